package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/keyring"
)

const notValid = string(postern.CodeUnauthenticated)

// A set-up link works once, for an hour, and not after the next one was made.
func TestSetupLink(t *testing.T) {
	w := open(t, t.TempDir()+"/postern.db")
	old, _, err := w.kr.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link, _, err := w.kr.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nobody := w.client("")
	in := api.Setup{Link: old.Reveal(), Account: "Acme", Name: "Ada", Email: "ada@example.org", TimeZone: "Europe/London"}
	if _, err := nobody.Setup(t.Context(), in); !client.IsCode(err, notValid) {
		t.Errorf("a link that was replaced: %v", err)
	}
	in.Link = link.Reveal()
	w.later.Store(int64(keyring.SetupKept))
	if _, err := nobody.Setup(t.Context(), in); !client.IsCode(err, notValid) {
		t.Errorf("a link after its end: %v", err)
	}
	w.later.Store(int64(keyring.SetupKept - time.Minute))
	bad := in
	bad.Email = "nobody"
	if _, err := nobody.Setup(t.Context(), bad); !client.IsCode(err, string(postern.CodeInvalid)) {
		t.Errorf("a bad address: %v", err)
	}
	joined := must(nobody.Setup(t.Context(), in))(t) // what was refused used nothing up
	if me := must(w.client(joined.Secret).Me(t.Context()))(t); me.Member.Email != "ada@example.org" {
		t.Errorf("set-up let in %q", me.Member.Email)
	}
	if _, err := nobody.Setup(t.Context(), in); !client.IsCode(err, notValid) {
		t.Errorf("a used link: %v", err)
	}
	for _, s := range []string{joined.Secret, link.Reveal(), old.Reveal(), "ada@example.org"} {
		if strings.Contains(w.log.String(), s) {
			t.Errorf("the log holds %.12s", s)
		}
	}
}

// An invitation lets its member in once, and not after its time.
func TestInvitation(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		nobody := w.client("")
		invite := func(email string) api.Invited {
			inv := must(w.super.InviteMember(t.Context(), api.NewMember{Email: email, Name: "Kim", RoleID: "viewer"}))(t)
			if inv.Link != "/join/"+inv.Invitation {
				t.Errorf("the link is %q", inv.Link)
			}
			return inv
		}
		refused := func(what, invitation string) {
			t.Helper()
			if _, err := nobody.AcceptInvitation(t.Context(), invitation); !client.IsCode(err, notValid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		kim := invite("kim@example.org")
		must(nobody.AcceptInvitation(t.Context(), kim.Invitation))(t)
		refused("a used invitation", kim.Invitation)
		late, removed, replaced := invite("lee@example.org"), invite("max@example.org"), invite("ola@example.org")
		again := must(w.super.ReinviteMember(t.Context(), replaced.Member.ID))(t)
		if err := w.super.RemoveMember(t.Context(), removed.Member.ID); err != nil {
			t.Fatal(err)
		}
		refused("an invitation of who was removed", removed.Invitation)
		refused("an invitation that was replaced", replaced.Invitation)
		w.later.Store(int64(keyring.InvitationKept - time.Minute))
		must(nobody.AcceptInvitation(t.Context(), again.Invitation))(t)
		w.later.Store(int64(keyring.InvitationKept))
		refused("an invitation after its end", late.Invitation)
	})
}

// One address can't try many links.
func TestLinksAreLimited(t *testing.T) {
	w := open(t, t.TempDir()+"/postern.db", func(c *httpapi.Config) { c.FailuresPerSecond = 2 })
	for try := 0; ; try++ {
		a := w.send("POST", "/v1/invitations/accept", "", `{"invitation":"x"}`)
		if a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "" {
			break
		}
		if try > 200 {
			t.Fatalf("after %d wrong links the answer is %d", try, a.status)
		}
	}
}

// The console's pages are not the API's.
func TestNoPages(t *testing.T) {
	w := open(t, t.TempDir()+"/postern.db")
	for _, path := range []string{"/", "/setup/x", "/join/x", "/invite/x", "/static/postern.css"} {
		if a := w.send("GET", path, "", ""); a.status != http.StatusNotFound || a.problem(t).Code != string(postern.CodeNotFound) {
			t.Errorf("GET %s = %d %s", path, a.status, a.body)
		}
	}
}
