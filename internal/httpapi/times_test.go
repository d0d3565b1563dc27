package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// Go's zero time stands for none. Who sends it asked for an end, and must not get
// a key that has none.
func TestZeroTimeIsNotNone(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		end := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Microsecond)
		k := must(w.super.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "ends", ExpiresAt: end}))(t)
		before := len(must(w.super.ServiceKeys(t.Context(), client.KeyQuery{}))(t).Items)
		personal := len(must(w.super.PersonalKeys(t.Context()))(t))
		for _, at := range []string{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0000001Z", "0001-01-01T01:00:00+01:00", "0000-01-01T00:00:00+01:00", "1969-12-31T23:59:59Z"} {
			for _, x := range []struct{ method, path, field string }{
				{"POST", "/v1/service-keys", "expiresAt"},
				{"POST", "/v1/service-keys", "notBefore"},
				{"PATCH", "/v1/service-keys/" + k.ID, "expiresAt"},
				{"PATCH", "/v1/service-keys/" + k.ID, "notBefore"},
				{"POST", "/v1/personal-keys", "expiresAt"},
			} {
				a := w.send(x.method, x.path, w.secret, `{"name":"zero","`+x.field+`":"`+at+`"}`)
				if a.status != http.StatusBadRequest || a.problem(t).Field != x.field {
					t.Errorf("%s %s with %s %s = %d %s, want 400 that names the field", x.method, x.path, x.field, at, a.status, a.body)
				}
			}
		}
		if got := must(w.super.ServiceKey(t.Context(), k.ID))(t); !got.ExpiresAt.Equal(end) || got.Name != "ends" {
			t.Errorf("the key is %q until %s, want it as it was", got.Name, got.ExpiresAt)
		}
		if n := len(must(w.super.ServiceKeys(t.Context(), client.KeyQuery{}))(t).Items); n != before {
			t.Errorf("%d keys, want %d", n, before)
		}
		if n := len(must(w.super.PersonalKeys(t.Context()))(t)); n != personal {
			t.Errorf("%d personal keys, want %d", n, personal)
		}
	})
}
