package httpapi_test

import (
	"net/http"
	"testing"

	"postern.dev/postern/api"
)

// All that can be set of an upstream can be read, and sent back as it was read
// without changing any of it.
func TestUpstreamSettingsComeBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		all := api.UpstreamSettings{Name: "Chat", URL: "https://chat.example.org", Host: "chat.local", Prefix: "/chat", StripPrefix: true, Errors: "hubspot",
			Timeout: "10s", CollapseLeadingSlash: true, AllowSemicolon: true, Preflight: true, KeepCredential: true, Trailers: true, Upgrades: true, InsecureSkipTLSVerify: true}
		for range 2 {
			if got := must(w.super.PutUpstream(t.Context(), "chat", all))(t).UpstreamSettings; got != all {
				t.Errorf("set to %+v, want %+v", got, all)
			}
			found := false
			for _, u := range must(w.super.Upstreams(t.Context()))(t) {
				if u.ID == "chat" {
					found, all = true, u.UpstreamSettings
				}
			}
			if !found || !all.Trailers || !all.Upgrades {
				t.Errorf("listed as %+v", all)
			}
		}
		plain := api.UpstreamSettings{URL: "https://chat.example.org", Prefix: "/chat"}
		if got := must(w.super.PutUpstream(t.Context(), "chat", plain))(t); got.Trailers || got.Upgrades {
			t.Errorf("set to %+v, want neither trailers nor upgrades", got)
		}
	})
}

// A member of a JSON object is called a field, since a member is a person.
func TestUnknownField(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	a := w.send("PUT", "/v1/upstreams/api", w.secret, `{"url":"http://127.0.0.1:1","trailer":true}`)
	if p := a.problem(t); a.status != http.StatusBadRequest || p.Field != "trailer" || p.Detail != "There is no such field here." {
		t.Errorf("an unknown field = %d %s", a.status, a.body)
	}
}
