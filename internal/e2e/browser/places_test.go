package browser

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern"
)

// place is a page in a state that it can be in.
type place struct {
	name, path string
	pattern    string // the route that it belongs to; found from the path where empty
	who        string // empty: Ada, who may do everything; "-": nobody
	status     int64  // 200 unless set
}

// places are all pages, each in every state that an address leads to.
func (d *desk) places(t testing.TB) []place {
	t.Helper()
	key := func(name string) string {
		k, ok := d.keys[name]
		if !ok {
			t.Fatalf("the desk has no key %s", name)
		}
		return "/keys/" + string(k.ID)
	}
	item := func(name string) string {
		id, ok := d.old[name]
		if !ok {
			t.Fatalf("the desk has no old token %s", name)
		}
		return "/migration/" + id
	}
	old := "/legacy/" + strings.TrimPrefix(item("web-forms"), "/migration/")
	ctx := context.Background()
	setup, invite := d.links(t)
	bot, rot := key("support-bot"), key("rotating-sync")
	draft := "?name=weekly-export&use=bi&step="
	return []place{
		{name: "home", path: "/"},
		{name: "home-viewer", path: "/", who: "Sam"},
		{name: "keys", path: "/keys"},
		{name: "keys-decide", path: "/keys?tab=decision"},
		{name: "keys-rotating", path: "/keys?tab=rotating"},
		{name: "keys-unused", path: "/keys?tab=unused"},
		{name: "keys-paused", path: "/keys?tab=paused"},
		{name: "keys-ended", path: "/keys?tab=ended"},
		{name: "keys-nothing", path: "/keys?q=nothing-like-it"},
		{name: "keys-viewer", path: "/keys", who: "Sam"},
		{name: "keys-bulk", path: "/keys/bulk?action=delete&id=" + string(d.keys["never-used"].ID) + "&id=" + string(d.keys["support-bot"].ID)},
		{name: "keys-bulk-pause", path: "/keys/bulk?action=pause&id=" + string(d.keys["support-bot"].ID)},
		{name: "create", path: "/keys/new"},
		{name: "create-scopes", path: "/keys/new" + draft + "2"},
		{name: "create-scopes-path", path: "/keys/new" + draft + "2&q=%2Fcrm%2Fv3%2Fobjects%2Fdeals"},
		{name: "create-scopes-locked", path: "/keys/new" + draft + "2", who: "Noor"},
		{name: "create-wrong", path: "/keys/new?name=&step=2", status: 422},
		{name: "create-review", path: "/keys/new" + draft + "3&picked=1&scope=crm.objects.deals.read&scope=crm.objects.deals.write"},
		{name: "create-forbidden", path: "/keys/new", who: "Sam", status: 403},
		{name: "key", path: key("nightly-deals-sync")},
		{name: "key-activity", path: bot + "?tab=activity"},
		{name: "key-refused", path: bot + "?tab=activity&show=refused"},
		{name: "key-scopes", path: bot + "?tab=scopes"},
		{name: "key-secrets", path: bot + "?tab=secrets"},
		{name: "key-connect", path: bot + "?tab=connect"},
		{name: "key-history", path: bot + "?tab=history"},
		{name: "key-new", path: key("never-used")},
		{name: "key-paused", path: key("paused-import")},
		{name: "key-ended", path: key("ended-export")},
		{name: "key-rotating", path: rot},
		{name: "key-soon-over", path: key("soon-over")},
		{name: "key-long-name", path: key(longName)},
		{name: "key-viewer", path: bot, who: "Sam"},
		{name: "key-watch", path: key("soon-over") + "/watch"},
		{name: "key-what-if", path: bot + "/what-if?from=scopes"},
		{name: "key-what-if-limits", path: bot + "/what-if?from=limits&networks=192.0.2.1"},
		{name: "migration", path: "/migration"},
		{name: "migration-list", path: "/migration?view=list"},
		{name: "migration-empty", path: "/migration", who: "Kit"},
		{name: "migration-viewer", path: "/migration", who: "Sam"},
		{name: "migration-found", path: item("web-forms")},
		{name: "migration-brownouts", path: item("partner-sync")},
		{name: "migration-mapped", path: item("old-dashboard")},
		{name: "migration-running", path: item("crm-export")},
		{name: "migration-item-viewer", path: item("crm-export"), who: "Sam"},
		{name: "migration-shadow", path: item("crm-export") + "/shadow"},
		{name: "migration-inventory", path: "/migration/inventory"},
		{name: "legacy", path: "/legacy"},
		{name: "legacy-nothing", path: "/legacy?q=nothing-like-it"},
		{name: "legacy-ended", path: "/legacy?tab=ended"},
		{name: "legacy-empty", path: "/legacy", who: "Kit"},
		{name: "legacy-viewer", path: "/legacy", who: "Sam"},
		{name: "legacy-one", path: old},
		{name: "legacy-one-viewer", path: old, who: "Sam"},
		{name: "legacy-end", path: old + "/end"},
		{name: "legacy-receipt", path: old + "/receipt"},
		{name: "legacy-names", path: "/legacy/names"},
		{name: "legacy-names-viewer", path: "/legacy/names", who: "Sam"},
		{name: "legacy-import", path: "/legacy/import"},
		{name: "advice", path: "/advice"},
		{name: "advice-viewer", path: "/advice", who: "Sam"},
		{name: "policy", path: "/settings/security"},
		{name: "policy-viewer", path: "/settings/security", who: "Sam"},
		{name: "notifications", path: "/notifications"},
		{name: "me-notifications", path: "/me/notifications"},
		{name: "key-unknown", path: "/keys/AAAAAAAAAAAAAAAA", pattern: "GET /keys/{id}", status: 404},
		{name: "key-callers", path: bot + "/callers"},
		{name: "key-rename", path: bot + "/rename"},
		{name: "key-limits", path: key("stock-levels-to-erp") + "/limits"},
		{name: "key-edit-scopes", path: bot + "/scopes"},
		{name: "key-edit-scopes-locked", path: bot + "/scopes", who: "Noor"},
		{name: "key-unused-scopes", path: bot + "/scopes/unused"},
		{name: "key-pause", path: bot + "/pause"},
		{name: "key-resume", path: key("paused-import") + "/resume"},
		{name: "key-end", path: bot + "/end"},
		{name: "key-delete", path: bot + "/delete"},
		{name: "key-delete-idle", path: key("never-used") + "/delete"},
		{name: "key-receipt", path: key("ended-export") + "/receipt"},
		{name: "key-first-call", path: key("never-used") + "/first-call"},
		{name: "key-first-call-refused", path: bot + "/first-call"},
		{name: "rotate", path: bot + "/rotate"},
		{name: "rotate-locked", path: bot + "/rotate", who: "Noor"},
		{name: "rotate-watch", path: rot + "/rotate"},
		{name: "rotate-longer", path: rot + "/rotate/longer"},
		{name: "rotate-finish", path: rot + "/rotate/finish"},
		{name: "rotate-cancel", path: rot + "/rotate/cancel"},
		{name: "campaigns", path: "/campaigns"},
		{name: "campaigns-viewer", path: "/campaigns", who: "Sam"},
		{name: "campaign-new", path: "/campaigns/new"},
		{name: "campaign-look", path: "/campaigns/new?look=1&all=on"},
		{name: "campaign", path: "/campaigns/" + d.rotate.ID},
		{name: "campaign-viewer", path: "/campaigns/" + d.rotate.ID, who: "Sam"},
		{name: "campaign-unknown", path: "/campaigns/cmp_none", pattern: "GET /campaigns/{id}", status: 404},
		{name: "choose", path: "/choose"},
		{name: "activity", path: "/activity"},
		{name: "activity-refused", path: "/activity?answer=refused&period=7d"},
		{name: "activity-nothing", path: "/activity?path=%2Fnowhere"},
		{name: "activity-forbidden", path: "/audit", who: "Sam", status: 403},
		{name: "call", path: d.linkOn(t, "/activity?answer=refused&period=7d", "/activity/"), pattern: "GET /activity/{cursor}"},
		{name: "audit", path: "/audit"},
		{name: "audit-nothing", path: "/audit?q=nothing-like-it"},
		{name: "audit-entry", path: d.linkOn(t, "/audit", "/audit/"), pattern: "GET /audit/{entry}"},
		{name: "search", path: "/search?q=deals"},
		{name: "search-empty", path: "/search"},
		{name: "search-nothing", path: "/search?q=nothing-like-it"},
		{name: "me", path: "/me"},
		{name: "me-keys", path: "/me/keys"},
		{name: "me-keys-new", path: "/me/keys/new"},
		{name: "me-security", path: "/me/security"},
		{name: "me-history", path: "/me/security/history"},
		{name: "me-password", path: "/me/security/password"},
		{name: "me-totp", path: "/me/security/totp"},
		{name: "me-passkey-new", path: "/me/security/passkeys/new"},
		{name: "integrations", path: "/settings/integrations"},
		{name: "account", path: "/settings/account"},
		{name: "account-viewer", path: "/settings/account", who: "Sam"},
		{name: "nodes", path: "/settings/nodes"},
		{name: "accounts", path: "/settings/accounts"},
		{name: "accounts-new", path: "/settings/accounts/new"},
		{name: "accounts-one", path: "/settings/accounts/" + string(d.other.ID)},
		{name: "catalog", path: "/settings/catalog"},
		{name: "catalog-one", path: "/settings/catalog/crm"},
		{name: "catalog-load", path: "/settings/catalog/crm/load"},
		{name: "members", path: "/settings/members"},
		{name: "members-viewer", path: "/settings/members", who: "Noor"},
		{name: "members-forbidden", path: "/settings/members", who: "Sam", status: 403},
		{name: "members-new", path: "/settings/members/new"},
		{name: "members-one", path: "/settings/members/" + string(d.people["Noor"].ID)},
		{name: "members-invited", path: "/settings/members/" + string(d.invited.Member.ID)},
		{name: "members-remove", path: "/settings/members/" + string(d.people["Sam"].ID) + "/remove"},
		{name: "roles", path: "/settings/roles"},
		{name: "roles-new", path: "/settings/roles/new"},
		{name: "roles-one", path: "/settings/roles/" + string(d.role.ID)},
		{name: "roles-delete", path: "/settings/roles/" + string(d.role.ID) + "/delete"},
		{name: "upstreams", path: "/settings/upstreams"},
		{name: "upstreams-new", path: "/settings/upstreams/new"},
		{name: "upstreams-one", path: "/settings/upstreams/crm"},
		{name: "upstreams-remove", path: "/settings/upstreams/crm/remove"},
		{name: "confirm", path: "/confirm?next=%2Fkeys"},
		{name: "not-found", path: "/no-such-page", pattern: "-", status: 404},
		{name: "signin", path: "/signin", who: "-"},
		{name: "found", path: "/found", who: "-"},
		{name: "signin-link", path: "/signin/link/" + d.link(t, ctx), pattern: "GET /signin/link/{link}", who: "-"},
		{name: "signin-link-dead", path: "/signin/link/nothing", pattern: "GET /signin/link/{link}", who: "-", status: 404},
		{name: "join", path: "/join/" + invite, pattern: "GET /join/{link}", who: "-"},
		{name: "setup-dead", path: "/setup/" + setup, pattern: "GET /setup/{link}", who: "-", status: 404},
	}
}

// links are one of set-up that is over, and an invitation that works.
func (d *desk) links(t testing.TB) (setup, invite string) {
	t.Helper()
	again, err := d.node.Keyring.ReinviteMember(t.Context(), d.as("Ada"), d.invited.Member.ID)
	if err != nil {
		t.Fatal(err)
	}
	return "pst_setup_nothing", again.Invitation.Reveal()
}

func (d *desk) link(t testing.TB, ctx context.Context) string {
	t.Helper()
	link, _, err := d.node.Signin.Link(ctx, postern.Actor{System: "test"}, d.people["viewer"].ID)
	if err != nil {
		t.Fatal(err)
	}
	return link.Reveal()
}

// fetch asks for a page as someone, without a browser.
func (s *server) fetch(t testing.TB, session, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "postern_session", Value: session})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, string(read(t, res.Body))
}

// linkOn is the first link on a page that begins so and goes on.
func (d *desk) linkOn(t testing.TB, path, prefix string) string {
	t.Helper()
	_, body := d.fetch(t, d.session(t, d.people["Ada"].ID), path)
	for _, m := range regexp.MustCompile(`href="(`+regexp.QuoteMeta(prefix)+`[0-9A-Za-z_.-]+)(?:\?[^"]*)?"`).FindAllStringSubmatch(body, -1) {
		if !strings.HasSuffix(m[1], "/live") && !strings.HasSuffix(m[1], "/check") && !strings.HasSuffix(m[1], ".json") && !strings.HasSuffix(m[1], ".txt") {
			return m[1]
		}
	}
	t.Fatalf("%s has no link to %s…", path, prefix)
	return ""
}

// notPages are routes that answer with something else than a page of their own, or
// lead to one that is listed, and why others can't be listed here.
var notPages = map[string]string{
	"GET /activity.csv": "a file", "GET /activity.jsonl": "a file", "GET /activity/live": "a stream",
	"GET /audit.csv": "a file", "GET /audit.jsonl": "a file", "GET /audit/check": "JSON", "GET /audit/proof.json": "JSON", "GET /audit/{entry}/proof.json": "a file",
	"GET /campaigns/{id}/report": "a file",
	"GET /audit/checkpoint.txt":  "a file", "GET /migration.csv": "a file", "GET /migration/{id}/live": "JSON", "GET /uploads/{job}": "JSON", "GET /stay": "JSON",
	"GET /keys.csv": "a file", "GET /keys/new/find": "JSON", "GET /keys/{id}/callers.csv": "a file", "GET /keys/{id}/first-call.json": "JSON",
	"GET /keys/{id}/first-call/events": "a stream", "GET /keys/{id}/postman.json": "a file", "GET /keys/{id}/rotate/live": "JSON",
	"GET /keys/{id}/addresses": "leads to the limits", "GET /keys/{id}/expiry": "leads to the limits", "GET /keys/{id}/limit": "leads to the limits",
	"GET /search.json": "JSON", "GET /steps": "JSON", "GET /signin/second": "leads to the sign-in", "GET /signin/account": "leads to the sign-in",
	"GET /settings/integrations/service-keys": "leads to the keys",
	"GET /signin/sso/{provider}":              "leads to a provider", "GET /signin/sso/callback": "leads on",
	"GET /confirm/sso/{provider}":    "leads to a provider",
	"GET /settings/sso":              "needs a provider",
	"GET /me/security/passkeys/{id}": "needs a passkey: TestPasskey goes there",
}

// Every route of the console that answers a GET is on the list of places, or is no page.
func TestPlacesAreAll(t *testing.T) {
	files, err := filepath.Glob("../../console/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	var routes []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "doc.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Pattern: "(GET [^"]+)"`).FindAllStringSubmatch(string(src), -1) {
			routes = append(routes, m[1])
		}
	}
	slices.Sort(routes)
	routes = slices.Compact(routes)
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r, func(http.ResponseWriter, *http.Request) {})
	}
	var seen []string
	for _, p := range office(t).places(t) {
		pattern := p.pattern
		if pattern == "" {
			req, err := http.NewRequest("GET", "http://localhost"+p.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, pattern = mux.Handler(req)
		}
		if pattern == "" {
			t.Errorf("%s is served by no route", p.path)
		}
		seen = append(seen, pattern)
	}
	for _, r := range routes {
		if _, is := notPages[r]; !is && !slices.Contains(seen, r) {
			t.Errorf("no place is served by %s", r)
		}
	}
	for r := range notPages {
		if !slices.Contains(routes, r) {
			t.Errorf("%s is excused, and is no route", r)
		}
	}
}
