package crm_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever is sent, the answer is one of those that clients know, and never a failure of ours.
func FuzzRequests(f *testing.F) {
	for _, path := range []string{"/crm/v3/objects/contacts/search", "/crm/v3/objects/contacts", "/crm/v3/objects/contacts/batch/read", "/crm/v3/objects/deals/batch/upsert",
		"/crm/v3/properties/contacts", "/crm/v3/pipelines/deals", "/crm/v4/associations/contacts/companies/batch/create", "/crm-object-schemas/v3/schemas"} {
		f.Add("POST", path, `{}`)
	}
	f.Add("POST", "/crm/v3/objects/contacts/search", `{"filterGroups":[{"filters":[{"propertyName":"createdate","operator":"BETWEEN","value":1,"highValue":"2"}]}],"sorts":["-email"],"after":5,"limit":"7"}`)
	f.Add("POST", "/crm/v3/objects/contacts", `{"properties":{"email":"a@b.example","annualrevenue":1e999,"closedate":"2026-02-30"},"associations":null}`)
	f.Add("PATCH", "/crm/v3/objects/contacts/101", `{"properties":{"firstname":null}}`)
	f.Add("GET", "/crm/v3/objects/contacts?properties=a%2Cb&limit=3&after=x&archived=False", "")
	f.Add("GET", "/crm/v3/objects/contacts/a%40b?idProperty=email", "")
	a := newAPI(f, f.TempDir()+"/crm.db")
	a.create("contacts", props{"email": "ada@example.org"})
	f.Fuzz(func(t *testing.T, method, path, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" || !strings.HasPrefix(path, "/") || !validMethod(method) {
			return
		}
		req := httptest.NewRequest("GET", "/", strings.NewReader(body))
		req.Method, req.URL = method, u
		req.Header.Set("Content-Type", "application/json")
		for k, v := range map[string]string{"Postern-Account": a.account, "Postern-Account-Number": a.number, "Postern-Key": "Kx7pQ2mN8vR4tW6z", "Postern-Scopes": a.scopes} {
			req.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		a.s.Handler().ServeHTTP(w, req)
		if w.Code < 200 || w.Code >= 500 {
			t.Errorf("%s %s with %q = %d %s", method, path, body, w.Code, w.Body)
		}
		if w.Code >= 400 && !strings.Contains(w.Body.String(), `"status":"error"`) {
			t.Errorf("%s %s = %d with the body %q", method, path, w.Code, w.Body)
		}
	})
}

func validMethod(s string) bool {
	return s != "" && len(s) < 10 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
