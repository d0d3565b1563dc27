package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/verify"
)

var many = flag.Int("legacy", 2000, "how many SHA-256 tokens TestImportMany imports")

const (
	oldToken = "pat-na1-3f2b1c0d-1111-4222-8333-444455556666"
	oldKey   = "0a1b2c3d-aaaa-4bbb-8ccc-ddddeeeeffff"
)

func init() {
	// Bodies that are a text to the document, whatever is in them.
	for _, kind := range []string{"application/jsonl", "text/csv"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
}

// call asks what a credential may do.
func (w *world) call(secret, method, path string) postern.Decision {
	w.t.Helper()
	d, err := w.verifier.Verify(w.t.Context(), &verify.Request{Secret: postern.SecretOf(secret), Method: method, Upstream: "api", Path: path, Door: postern.DoorGateway})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func TestLegacyByAPI(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		slow, err := bcrypt.GenerateFromPassword([]byte("acct_7.swordfish-swordfish"), 4)
		if err != nil {
			t.Fatal(err)
		}
		file := strings.Join([]string{"name,kind,secret,sha256,hash,find,scopes,owner,sunset,expires,networks",
			"Nightly,private_app," + oldToken + ",,,,deals.read,Kim,2027-01-31,,",
			"Everything,api_key," + oldKey + ",,,,,Lee,,,",
			"Hashed,private_app,," + hex.EncodeToString(sum("hashed-one")) + ",,,deals.read,,,,203.0.113.0/24",
			"Slow,private_app,,," + string(slow) + ",prefix:acct_7.,deals.read,,,,",
			"Weak,private_app,password1,,,,deals.read,,,,",
			"Weak too,private_app,password1,,,,deals.read,,,2099-01-01,",
			"Twice,private_app," + oldToken + ",,,,deals.read,,,,",
			"Unknown,private_app,something-long-enough-here-0123,,,,nothing.read,,,,",
			"Two,private_app,a-secret-of-its-own,,x,,deals.read,,,,",
			`Broken,private_app,"a"b,,,,,,,,`,
			"Short,api_key",
			"",
		}, "\n")
		before := w.everything()
		dry, err := c.ImportLegacy(ctx, "csv", []byte(file), true, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, w.everything()); d != "" {
			t.Errorf("a dry run changed (-before +after):\n%s", d)
		}
		if list, err := c.LegacyCredentials(ctx, client.LegacyQuery{}); err != nil || len(list.Items) != 0 {
			t.Errorf("after a dry run there are %d (%v)", len(list.Items), err)
		}
		real, err := c.ImportLegacy(ctx, "csv", []byte(file), false, true)
		if err != nil {
			t.Fatal(err)
		}
		want := map[int]string{2: "imported", 3: "imported", 4: "imported", 5: "imported", 6: "refused", 7: "imported", 8: "duplicate", 9: "refused", 10: "refused", 11: "refused", 12: "refused"}
		for _, r := range []api.LegacyImport{dry, real} {
			got := map[int]string{}
			for _, l := range r.Lines {
				got[l.Line] = l.Result
				if l.Result == "refused" == (l.Reason == "") {
					t.Errorf("line %d: %s, reason %q", l.Line, l.Result, l.Reason)
				}
			}
			if d := cmp.Diff(want, got); d != "" || r.Imported != 5 || r.Refused != 5 || r.Duplicates != 1 || r.Weak != 1 || r.APIKeys != 1 || r.Records != 11 {
				t.Errorf("report = %+v (-want +got)\n%s", r, d)
			}
		}
		again, err := c.ImportLegacy(ctx, "csv", []byte(file), false, false)
		if err != nil || again.Imported != 0 || again.Duplicates != 6 || len(again.Lines) != 11 {
			t.Errorf("again = %+v, %v", again, err)
		}

		ids := map[string]string{}
		list, err := c.LegacyCredentials(ctx, client.LegacyQuery{Import: real.ImportID})
		if err != nil || len(list.Items) != 5 {
			t.Fatalf("list = %+v, %v", list, err)
		}
		for _, l := range list.Items {
			ids[l.Name] = l.ID
		}
		if l := must(c.LegacyCredential(ctx, ids["Everything"]))(t); !l.AllScopes || l.Kind != "legacy_api_key" || len(l.Scopes) != 0 || l.State != "active" || l.Shown != "…ffff" {
			t.Errorf("the API key = %+v", l)
		}
		if l := must(c.LegacyCredential(ctx, ids["Weak too"]))(t); l.Strength != "weak" || l.Shown != "" || l.RateLimit == nil || l.ExpiresAt.IsZero() {
			t.Errorf("the weak one = %+v", l)
		}
		for secret, name := range map[string]string{oldToken: "Nightly", oldKey: "Everything", "acct_7.swordfish-swordfish": "Slow", "password1": "Weak too"} {
			if d := w.call(secret, "GET", "/deals"); !d.Allowed || string(d.KeyID()) != ids[name] {
				t.Errorf("%s = %+v", name, d.Reason)
			}
		}
		if d := w.call("hashed-one", "GET", "/deals"); d.Reason != postern.ReasonAddressNotAllowed {
			t.Errorf("from nowhere = %s", d.Reason)
		}
		if d := w.call(oldToken, "POST", "/contacts"); d.Reason != postern.ReasonInsufficientScope {
			t.Errorf("beyond its scopes = %s", d.Reason)
		}

		id := ids["Nightly"]
		sunset := time.Now().UTC().Truncate(time.Second).Add(48 * time.Hour)
		must(c.EditLegacyCredential(ctx, id, api.EditLegacy{Note: api.Set("Kim says March"), SunsetAt: api.Set(sunset)}))(t)
		if _, err := c.EditLegacyCredential(ctx, id, api.EditLegacy{Note: api.Set("x")}, client.IfRevision(1)); !client.IsCode(err, string(postern.CodePrecondition)) {
			t.Errorf("an edit of another revision = %v", err)
		}
		if out := must(c.PauseLegacyCredential(ctx, id))(t); out.State != "paused" || out.Receipt == nil {
			t.Errorf("paused = %+v", out)
		}
		if d := w.call(oldToken, "GET", "/deals"); d.Reason != postern.ReasonPaused {
			t.Errorf("while it is paused = %s", d.Reason)
		}
		if out := must(c.ResumeLegacyCredential(ctx, id))(t); out.State != "sunset" || !out.SunsetAt.Equal(sunset) || out.Note != "Kim says March" {
			t.Errorf("resumed = %+v", out)
		}
		if out := must(c.EndLegacyCredential(ctx, id, "moved"))(t); out.State != "ended" || out.Ended.Reason != "moved" {
			t.Errorf("ended = %+v", out)
		}
		if d := w.call(oldToken, "GET", "/deals"); d.Reason != postern.ReasonRevoked {
			t.Errorf("when it has ended = %s", d.Reason)
		}
	})
}

// looksAfter calls each operation on imported credentials once as it should be, and
// once as it can't be.
func looksAfter(t *testing.T, w *world, step func(name string, well, badly error)) {
	t.Helper()
	ctx, c, nobody, no := t.Context(), w.super, w.client(""), "0000000000000000"
	err2 := func(_ any, err error) error { return err }
	line := []byte(`{"name":"looked after","kind":"private_app","secret":"` + oldToken + `","scopes":"deals.read"}`)
	r, err := c.ImportLegacy(ctx, "jsonl", line, false, true)
	step("import", err, err2(nobody.ImportLegacy(ctx, "jsonl", line, false, true)))
	list, err := c.LegacyCredentials(ctx, client.LegacyQuery{Import: r.ImportID, Name: "look", State: "active", Kind: "legacy_private_app", Paging: client.Paging{Limit: 10}})
	step("old credentials", err, err2(c.LegacyCredentials(ctx, client.LegacyQuery{Paging: client.Paging{Cursor: "x"}})))
	if len(list.Items) != 1 {
		t.Fatalf("the import %+v shows %+v", r, list.Items)
	}
	id := list.Items[0].ID
	step("old credential", err2(c.LegacyCredential(ctx, id)), err2(c.LegacyCredential(ctx, no)))
	step("edit old", err2(c.EditLegacyCredential(ctx, id, api.EditLegacy{Note: api.Set("Kim asks.")})), err2(c.EditLegacyCredential(ctx, id, api.EditLegacy{}, client.IfRevision(1))))
	step("pause old", err2(c.PauseLegacyCredential(ctx, id)), err2(c.PauseLegacyCredential(ctx, no)))
	step("resume old", err2(c.ResumeLegacyCredential(ctx, id)), err2(c.ResumeLegacyCredential(ctx, no)))
	step("end old", err2(c.EndLegacyCredential(ctx, id, "Moved.")), err2(c.EndLegacyCredential(ctx, no, "")))
	step("an end is for good", nil, err2(c.ResumeLegacyCredential(ctx, id)))
}

func sum(text string) []byte {
	s := sha256.Sum256([]byte(text))
	return s[:]
}

// An imported credential never widens anyone's rights, and reaches nothing of Postern itself.
func TestLegacyContainment(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		lead := must(c.CreateRole(ctx, api.NewRole{Name: "Lead", Scopes: []string{"deals.*"}, Permissions: []string{"postern.keys.read", "postern.keys.write", "postern.keys.revoke"}}))(t)
		_, lee := w.member("lee@example.org", lead.ID)
		_, kim := w.member("kim@example.org", "key_manager") // holds every scope that isn't sensitive
		_, vic := w.member("vic@example.org", "viewer")
		line := func(secret, kind, scopes string) []byte {
			return fmt.Appendf(nil, `{"kind":%q,"secret":%q,"scopes":%q}`, kind, secret, scopes)
		}
		n := 0
		for _, a := range []struct {
			who, secret, kind, scopes, names string
		}{
			{"lee", lee.Secret, "private_app", "contacts.read", "contacts.read"},
			{"lee", lee.Secret, "private_app", "deals.read contacts.write", "contacts.write"},
			{"lee", lee.Secret, "api_key", "", "**"},
			{"kim", kim.Secret, "api_key", "", "**"},
			{"super", w.secret, "private_app", "postern.keys.write", "postern.keys.write"},
			{"super", w.secret, "private_app", "postern.verify", "postern.verify"},
		} {
			n++
			r, err := w.client(a.secret).ImportLegacy(ctx, "jsonl", line(fmt.Sprintf("a-legacy-secret-of-its-own-%04d", n), a.kind, a.scopes), false, false)
			if err != nil || r.Imported != 0 || r.Refused != 1 || !strings.Contains(r.Lines[0].Reason, a.names) {
				t.Errorf("%s imports %s %q = %+v, %v; want a refusal that names %s", a.who, a.kind, a.scopes, r, err, a.names)
			}
		}
		if _, err := w.client(vic.Secret).ImportLegacy(ctx, "jsonl", line("a-legacy-secret-of-its-own-9999", "private_app", ""), false, false); !client.IsCode(err, string(postern.CodeInsufficientScope)) && !client.IsCode(err, string(postern.CodeForbidden)) {
			t.Errorf("a viewer's import = %v", err)
		}
		if r, err := w.client(lee.Secret).ImportLegacy(ctx, "jsonl", line("a-legacy-secret-of-its-own-1000", "private_app", "deals.read"), false, true); err != nil || r.Imported != 1 {
			t.Errorf("what lee may import = %+v, %v", r, err)
		}
		if list := must(c.LegacyCredentials(ctx, client.LegacyQuery{}))(t); len(list.Items) != 1 {
			t.Errorf("there are %d legacy credentials, want 1", len(list.Items))
		}
		refused := w.refused()
		if len(refused) < 5 {
			t.Errorf("%d refusals in the audit log", len(refused))
		}

		// Every operation of the management API, with an API key that may do everything.
		if r := must(c.ImportLegacy(ctx, "jsonl", line(oldKey, "api_key", ""), false, false))(t); r.Imported != 1 {
			t.Fatalf("import = %+v", r)
		}
		var doc struct {
			Paths map[string]map[string]struct {
				Security []map[string][]string `json:"security"`
			} `json:"paths"`
		}
		if err := json.Unmarshal(w.send(http.MethodGet, "/openapi.json", "", "").body, &doc); err != nil {
			t.Fatal(err)
		}
		tried := 0
		for path, ops := range doc.Paths {
			for method, o := range ops {
				if len(o.Security) == 0 || !strings.HasPrefix(path, "/v1/") || path == "/v1/verify" {
					continue
				}
				tried++
				if a := w.send(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "0000000000000000"), oldKey, ""); a.status != http.StatusForbidden {
					t.Errorf("%s %s with a legacy API key = %d %s, want 403", method, path, a.status, a.body)
				}
			}
		}
		if tried < 40 {
			t.Errorf("only %d operations were tried", tried)
		}
		if a := w.send(http.MethodPost, "/v1/verify", oldKey, `{"secret":"x"}`); a.status == http.StatusOK {
			t.Errorf("asking as a resource server with a legacy API key = %d %s", a.status, a.body)
		}
	})
}

// contents is how much the main records hold, table by table, and how far their counters
// are, but for those that have to do with time alone: leases, and the writer's place.
func (w *world) contents() (out string) {
	w.t.Helper()
	for _, table := range []string{"accounts", "members", "sessions", "credentials", "service_keys", "legacy_credentials", "legacy_scopes", "migration_items",
		"feed", "audit_entries", "audit_hashes", "idempotency", "settings"} {
		var n int64
		if err := w.db.Read().QueryRow("select count(*) from " + table).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		out += fmt.Sprintf("%s %d; ", table, n)
	}
	var feed, audit int64
	if err := w.db.Read().QueryRow("select (select n from heads where name = 'feed'), (select n from heads where name = 'audit')").Scan(&feed, &audit); err != nil {
		w.t.Fatal(err)
	}
	return out + fmt.Sprintf("feed at %d, audit log at %d", feed, audit)
}

// timeLists logs how long pages of the list of imported credentials take.
func (w *world) timeLists() {
	w.t.Helper()
	first, err := w.super.LegacyCredentials(w.t.Context(), client.LegacyQuery{})
	if err != nil || len(first.Items) == 0 {
		w.t.Fatalf("the list has %d, %v", len(first.Items), err)
	}
	for _, q := range []struct {
		name  string
		query client.LegacyQuery
	}{{"first page", client.LegacyQuery{}}, {"next page", client.LegacyQuery{Paging: client.Paging{Cursor: first.NextCursor}}}, {"search", client.LegacyQuery{Name: "zzz"}}} {
		var all []time.Duration
		for range 20 {
			began := time.Now()
			if _, err := w.super.LegacyCredentials(w.t.Context(), q.query); err != nil {
				w.t.Fatal(err)
			}
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		w.t.Logf("%s of the list: half within %s, 19 of 20 within %s", q.name, all[9].Round(10*time.Microsecond), all[18].Round(10*time.Microsecond))
	}
}

// A million SHA-256 tokens in the long form: time, memory, a dry run changes nothing, and every one verifies.
func TestImportMany(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		token := func(i int) string { return fmt.Sprintf("legacy-token-%012d-%x", i, i*2654435761) }
		const part = 100_000
		var took, dryTook time.Duration
		for from := 0; from < *many; from += part {
			var text strings.Builder
			for i := from; i < min(from+part, *many); i++ {
				fmt.Fprintf(&text, "{\"kind\":\"private_app\",\"scopes\":[\"deals.read\"],\"sha256\":%q}\n", hex.EncodeToString(sum(token(i))))
			}
			file, want := []byte(text.String()), min(part, *many-from)
			before, began := w.contents(), time.Now()
			r, err := c.ImportLegacy(ctx, "jsonl", file, true, false)
			dryTook += time.Since(began)
			if after := w.contents(); err != nil || r.Imported != want || !r.DryRun || after != before {
				t.Fatalf("dry run = %+v, %v; it left\n%s, want\n%s", r, err, after, before)
			}
			began = time.Now()
			if r, err := c.ImportLegacy(ctx, "jsonl", file, false, false); err != nil || r.Imported != want {
				t.Fatalf("import = %+v, %v", r, err)
			}
			took += time.Since(began)
		}
		var mem runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&mem)
		began := time.Now()
		for i := range *many {
			if d := w.call(token(i), "GET", "/deals"); !d.Allowed {
				t.Fatalf("token %d = %s", i, d.Reason)
			}
		}
		t.Logf("%d tokens: dry run in %s, imported in %s (%.0f a second), heap %d MiB, %d MiB from the system at most, all verified in %s", *many, dryTook.Round(time.Millisecond),
			took.Round(time.Millisecond), float64(*many)/took.Seconds(), mem.HeapAlloc>>20, mem.Sys>>20, time.Since(began).Round(time.Millisecond))
		if d := w.call(token(*many), "GET", "/deals"); d.Allowed {
			t.Error("a token that wasn't imported is accepted")
		}
		w.timeLists()
	})
}
