package httpapi_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// written is everything that the server wrote: its databases as they lie there, and its log.
func (w *world) written() []byte {
	w.t.Helper()
	all := []byte(w.log.String())
	if !strings.Contains(w.target, "://") {
		files, err := filepath.Glob(w.target + "*")
		if err != nil || len(files) < 2 {
			w.t.Fatalf("the database's files are %v, %v", files, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	}
	db, err := sql.Open("pgx", strings.Replace(w.target, "pool_max_conns=4&", "", 1))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	column := func(query string) (out []string) {
		rows, err := db.Query(query)
		if err != nil {
			w.t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s sql.NullString
			if err := rows.Scan(&s); err != nil {
				w.t.Fatal(err)
			}
			out = append(out, s.String)
		}
		return out
	}
	tables := column("select table_name from information_schema.tables where table_schema = current_schema()")
	if len(tables) < 10 {
		w.t.Fatalf("the schema has the tables %v", tables)
	}
	for _, table := range tables {
		for _, row := range column(`select t::text from "` + table + `" t`) {
			all = append(all, row...)
			all = append(all, '\n')
		}
	}
	return all
}

// The same request again gives the same key and no second one, and the secret is
// shown once and written nowhere; another request under the same name is refused.
func TestIdempotencyKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		const body = `{"name":"sync","scopes":["deals.read"]}`
		send := func(secret, body, name string) *answer {
			return w.send("POST", "/v1/service-keys", secret, body, "Idempotency-Key", name)
		}
		// Eight at once: one makes the key, and the others learn of it.
		answers := make([]*answer, 8)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = send(w.secret, body, "one") })
		}
		all.Wait()
		ids, secrets := map[string]int{}, []string{}
		for _, a := range append(answers, send(w.secret, body, "one")) {
			if a.status != http.StatusCreated {
				t.Fatalf("create = %d %s", a.status, a.body)
			}
			k := decodeKey(t, a)
			ids[k.ID]++
			if k.Secret != "" {
				secrets = append(secrets, k.Secret)
			}
			if k.SecretShown != (k.Secret == "") || a.header.Get("ETag") != `"1"` || a.header.Get("Location") != "/v1/service-keys/"+k.ID || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("create = %v %s", a.header, a.body)
			}
		}
		if len(ids) != 1 || len(secrets) != 1 {
			t.Errorf("the same request made the keys %v and showed %d secrets, want one", ids, len(secrets))
		}
		for _, other := range []string{`{"name":"sync2","scopes":["deals.read"]}`, `{"name":"sync","scopes":["deals.write"]}`, `{"name":"sync","scopes":["deals.read"],"description":"x"}`} {
			if a := send(w.secret, other, "one"); a.status != http.StatusConflict {
				t.Errorf("another body under the same name = %d %s", a.status, a.body)
			}
		}
		if a := send(w.secret, body, "a b"); a.status != http.StatusBadRequest {
			t.Errorf("a name with a blank = %d %s", a.status, a.body)
		}
		if a := send(w.secret, body, strings.Repeat("a", 201)); a.status != http.StatusBadRequest {
			t.Errorf("a name that is too long = %d %s", a.status, a.body)
		}
		// A name is its actor's own.
		_, kim := w.member("kim@example.org", "key_manager")
		if a := send(kim.Secret, `{"name":"kims"}`, "one"); a.status != http.StatusCreated {
			t.Errorf("another member's request of the same name = %d %s", a.status, a.body)
		}
		id := slices.Collect(func(yield func(string) bool) {
			for id := range ids {
				yield(id)
			}
		})[0]
		// A lost rotation is made good: never two successors, never a moment without a secret.
		first := must(c.RotateServiceKey(ctx, id, api.Rotate{Grace: "1h"}, client.IdempotencyKey("turn")))(t)
		again := must(c.RotateServiceKey(ctx, id, api.Rotate{Grace: "1h"}, client.IdempotencyKey("turn")))(t)
		if _, err := c.RotateServiceKey(ctx, id, api.Rotate{Grace: "2h"}, client.IdempotencyKey("turn")); !client.IsCode(err, "conflict") {
			t.Errorf("another rotation under the same name = %v", err)
		}
		for secret, want := range map[string]bool{secrets[0]: true, first.Secret: false, again.Secret: true} {
			if got := must(c.Verify(ctx, api.VerifyRequest{Secret: secret}))(t); got.Allowed != want {
				t.Errorf("after a recovered rotation allowed = %v (%s), want %v", got.Allowed, got.Reason, want)
			}
		}
		if err := w.activity.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		all1 := w.written()
		for _, secret := range []string{secrets[0], first.Secret, again.Secret, w.secret, kim.Secret} {
			if secret == "" || bytes.Contains(all1, []byte(secret)) || bytes.Contains(all1, []byte(secret[len(secret)-49:])) {
				t.Error("a secret was written down")
			}
		}
		if !bytes.Contains(all1, []byte(id)) {
			t.Error("the search of what was written is blind: it doesn't find the key's id")
		}
	})
}

func decodeKey(t *testing.T, a *answer) (k api.ChangedKey) {
	t.Helper()
	if err := json.Unmarshal(a.body, &k); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return k
}

// A change is of the revision that its sender saw.
func TestIfMatch(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		k := must(c.CreateServiceKey(ctx, api.NewServiceKey{Name: "sync", Scopes: []string{"deals.read"}}))(t)
		path := "/v1/service-keys/" + k.ID
		tag := w.send("GET", path, w.secret, "").header.Get("ETag")
		a := w.send("PATCH", path, w.secret, `{"description":"a"}`, "If-Match", tag)
		if a.status != http.StatusOK || a.header.Get("ETag") != `"2"` || tag != `"1"` {
			t.Fatalf("edit = %d %s, %s then %s", a.status, a.body, tag, a.header.Get("ETag"))
		}
		stale := []string{"PATCH " + path, "DELETE " + path, "POST " + path + "/rotate", "POST " + path + "/rotation/finish", "POST " + path + "/rotation/cancel"}
		for _, route := range stale {
			method, path, _ := strings.Cut(route, " ")
			body := map[string]string{"PATCH": `{"description":"b"}`}[method]
			if a := w.send(method, path, w.secret, body, "If-Match", tag); a.status != http.StatusPreconditionFailed || a.problem(t).Code != "precondition_failed" {
				t.Errorf("%s of an old revision = %d %s", route, a.status, a.body)
			}
			for _, bad := range []string{"2", `W/"2"`, `"2", "3"`, `"0"`, `"-1"`, `"+2"`, `"x"`, `""`, `"2`} {
				if a := w.send(method, path, w.secret, body, "If-Match", bad); a.status != http.StatusBadRequest {
					t.Errorf("%s If-Match %s = %d %s", route, bad, a.status, a.body)
				}
			}
		}
		for _, fine := range []string{`"2"`, "*", ""} {
			if a := w.send("PATCH", path, w.secret, `{"description":"a"}`, "If-Match", fine); a.status != http.StatusOK || a.header.Get("ETag") != `"2"` {
				t.Errorf("If-Match %s of what changes nothing = %d %s", fine, a.status, a.body)
			}
		}
		role := must(c.CreateRole(ctx, api.NewRole{Name: "R", Permissions: []string{}}))(t)
		_, kim := w.member("kim@example.org", "viewer")
		for _, path := range []string{"/v1/roles/" + role.ID, "/v1/members/" + kim.Member.ID} {
			if a := w.send("PATCH", path, w.secret, `{"name":"B"}`, "If-Match", `"9"`); a.status != http.StatusPreconditionFailed {
				t.Errorf("%s of another revision = %d %s", path, a.status, a.body)
			}
			if a := w.send("PATCH", path, w.secret, `{"name":"B"}`, "If-Match", `"1"`); a.status != http.StatusOK || a.header.Get("ETag") != `"2"` {
				t.Errorf("%s = %d %s", path, a.status, a.body)
			}
		}
	})
}

// Of changes made at once to one revision exactly one is made; and changes of
// different things, made at once, are all made.
func TestConcurrentEdits(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		k := must(c.CreateServiceKey(ctx, api.NewServiceKey{Name: "sync", Scopes: []string{"deals.read"}}))(t)
		path := "/v1/service-keys/" + k.ID
		for round := range 5 {
			tag := w.send("GET", path, w.secret, "").header.Get("ETag")
			var mu sync.Mutex
			got := map[int]int{}
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					a := w.send("PATCH", path, w.secret, fmt.Sprintf(`{"description":"%d %d"}`, round, i), "If-Match", tag)
					mu.Lock()
					defer mu.Unlock()
					got[a.status]++
				})
			}
			all.Wait()
			if got[http.StatusOK] != 1 || got[http.StatusPreconditionFailed] != 7 {
				t.Errorf("eight changes of one revision = %v", got)
			}
		}
		revision := must(c.ServiceKey(ctx, k.ID))(t).Revision
		var all sync.WaitGroup
		for i := 1; i <= 5; i++ {
			for _, body := range []string{`{"name":"n%d"}`, `{"description":"d%d"}`, `{"rateLimit":{"calls":%d,"seconds":1}}`} {
				all.Go(func() {
					if a := w.send("PATCH", path, w.secret, fmt.Sprintf(body, i)); a.status != http.StatusOK {
						t.Errorf("edit = %d %s", a.status, a.body)
					}
				})
			}
		}
		// One of the rotations wins; a second is told that one is pending.
		statuses := make([]int, 4)
		for i := range statuses {
			all.Go(func() { statuses[i] = w.send("POST", path+"/rotate", w.secret, `{"grace":"1h"}`).status })
		}
		all.Wait()
		slices.Sort(statuses)
		if !slices.Equal(statuses, []int{200, 409, 409, 409}) {
			t.Errorf("four rotations at once = %v", statuses)
		}
		end := must(c.ServiceKey(ctx, k.ID))(t)
		if end.Revision != revision+16 || !strings.HasPrefix(end.Name, "n") || !strings.HasPrefix(end.Description, "d") || end.RateLimit == nil {
			t.Errorf("after 15 changes and a rotation of revision %d: %+v", revision, end)
		}
		entries := must(c.Audit(ctx, client.AuditQuery{Object: k.ID, Result: "ok", Paging: client.Paging{Limit: 200}}))(t).Items
		if int64(len(entries)) != end.Revision {
			t.Errorf("%d entries of %d changes", len(entries), end.Revision)
		}
	})
}

// A list is read to its end whatever is added meanwhile, and a cursor that was altered is refused.
func TestCursors(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		make := func(name string) string {
			return must(c.CreateServiceKey(ctx, api.NewServiceKey{Name: name}))(t).ID
		}
		want := []string{}
		for i := range 23 {
			want = append(want, make(fmt.Sprintf("key %02d", i)))
		}
		slices.Reverse(want)
		var got, cursors []string
		for page, n := client.Paging(client.Paging{Limit: 5}), 0; ; n++ {
			p := must(c.ServiceKeys(ctx, client.KeyQuery{Paging: page}))(t)
			for _, k := range p.Items {
				got = append(got, k.ID)
			}
			if p.NextCursor == "" {
				break
			}
			page.Cursor = p.NextCursor
			cursors = append(cursors, p.NextCursor)
			make(fmt.Sprintf("new %d", n))                    // goes to the front
			must(c.RevokeServiceKey(ctx, want[n*5+1], ""))(t) // was read already
		}
		if !slices.Equal(got, want) || len(cursors) != 4 {
			t.Errorf("the pages hold\n%v, want\n%v", got, want)
		}
		cursor := cursors[0]
		bad := []string{"x", cursor[1:], cursor[:len(cursor)-1], cursor + "A", cursor + "=", strings.ToUpper(cursor), strings.Repeat("A", 1300)}
		for i := range cursor {
			c := byte('A')
			if cursor[i] == c {
				c = 'B'
			}
			bad = append(bad, cursor[:i]+string(c)+cursor[i+1:])
		}
		scopes := must(c.Scopes(ctx, client.ScopeQuery{Paging: client.Paging{Limit: 1}}))(t)
		audit := must(c.Audit(ctx, client.AuditQuery{Paging: client.Paging{Limit: 1}}))(t)
		bad = append(bad, scopes.NextCursor, audit.NextCursor)
		for _, text := range bad {
			if a := w.send("GET", "/v1/service-keys?cursor="+text, w.secret, ""); a.status != http.StatusBadRequest || a.problem(t).Field != "cursor" {
				t.Errorf("cursor %q = %d %s", text, a.status, a.body)
			}
		}
		for _, path := range []string{"/v1/scopes", "/v1/audit", "/v1/activity"} {
			for _, text := range []string{"x", cursor, "AAAA"} {
				if a := w.send("GET", path+"?cursor="+text, w.secret, ""); a.status != http.StatusBadRequest {
					t.Errorf("%s with the cursor %q = %d %s", path, text, a.status, a.body)
				}
			}
		}
		for _, limit := range []string{"0", "201", "-1", "x", "1e2", "1&limit=2"} {
			if a := w.send("GET", "/v1/service-keys?limit="+limit, w.secret, ""); a.status != http.StatusBadRequest {
				t.Errorf("limit=%s = %d %s", limit, a.status, a.body)
			}
		}
		// Every entry of the audit log once, newest first, while more are written.
		last, seqs := int64(1<<62), 0
		for e, err := range c.EachAuditEntry(ctx, client.AuditQuery{Paging: client.Paging{Limit: 7}}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Seq >= last {
				t.Fatalf("entry %d follows %d", e.Seq, last)
			}
			if last, seqs = e.Seq, seqs+1; seqs%10 == 0 {
				make(fmt.Sprintf("more %d", seqs))
			}
		}
		if seqs < 30 {
			t.Errorf("the audit log holds %d entries", seqs)
		}
	})
}

// Filters find what they say, and nothing more.
func TestKeyFilters(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		_, kim := w.member("kim@example.org", "key_manager")
		yes, hour := true, time.Hour
		make := func(name string, in api.NewServiceKey) api.ChangedKey {
			in.Name = name
			return must(c.CreateServiceKey(ctx, in))(t)
		}
		deals, both := []string{"deals.read"}, []string{"deals.read", "deals.write"}
		used := make("Active", api.NewServiceKey{Scopes: deals})
		make("100% sure", api.NewServiceKey{})
		make("a_b", api.NewServiceKey{Scopes: both})
		must(c.RotateServiceKey(ctx, make("Rotating", api.NewServiceKey{Scopes: both}).ID, api.Rotate{}))(t)
		make("Scheduled", api.NewServiceKey{NotBefore: time.Now().Add(48 * hour)})
		must(c.PauseServiceKey(ctx, make("Paused", api.NewServiceKey{}).ID))(t)
		make("Expired", api.NewServiceKey{ExpiresAt: time.Now().Add(hour)})
		must(c.RevokeServiceKey(ctx, make("Ended", api.NewServiceKey{Scopes: deals}).ID, "x"))(t)
		must(c.DeleteServiceKey(ctx, make("Deleted", api.NewServiceKey{Scopes: deals}).ID))(t)
		must(w.client(kim.Secret).CreateServiceKey(ctx, api.NewServiceKey{Name: "Kims", Scopes: both}))(t)
		must(c.EditMember(ctx, kim.Member.ID, api.EditMember{Scopes: api.Set([]string{"deals.read"})}))(t)
		start := time.Now().UTC().Add(-time.Second)
		if d := must(c.Verify(ctx, api.VerifyRequest{Secret: used.Secret, Scopes: deals}))(t); !d.Allowed {
			t.Fatalf("verify = %+v", d)
		}
		if err := w.activity.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		w.later.Store(int64(2 * hour)) // Expired has
		everyone := []string{"100% sure", "Active", "Ended", "Expired", "Kims", "Paused", "Rotating", "Scheduled", "a_b"}
		without := func(name string) []string {
			return slices.DeleteFunc(slices.Clone(everyone), func(s string) bool { return s == name })
		}
		for _, f := range []struct {
			q    client.KeyQuery
			want []string
		}{
			{client.KeyQuery{}, everyone},
			{client.KeyQuery{Name: "ACT"}, []string{"Active"}},
			{client.KeyQuery{Name: "%"}, []string{"100% sure"}},
			{client.KeyQuery{Name: "_"}, []string{"a_b"}},
			{client.KeyQuery{Name: `\`}, nil},
			{client.KeyQuery{Name: "'"}, nil},
			{client.KeyQuery{Name: "e", State: "paused"}, []string{"Paused"}},
			{client.KeyQuery{Scope: "deals.write"}, []string{"Kims", "Rotating", "a_b"}},
			{client.KeyQuery{Scope: "deals.w"}, nil},
			{client.KeyQuery{Scope: "deals.read", State: "ended"}, []string{"Ended"}},
			{client.KeyQuery{State: "active"}, []string{"100% sure", "Active", "Kims", "a_b"}},
			{client.KeyQuery{State: "rotating"}, []string{"Rotating"}},
			{client.KeyQuery{State: "scheduled"}, []string{"Scheduled"}},
			{client.KeyQuery{State: "paused"}, []string{"Paused"}},
			{client.KeyQuery{State: "expired"}, []string{"Expired"}},
			{client.KeyQuery{MadeBy: kim.Member.ID}, []string{"Kims"}},
			{client.KeyQuery{Flagged: yes}, []string{"Kims"}},
			{client.KeyQuery{UsedSince: start}, []string{"Active"}},
			{client.KeyQuery{UsedSince: start.Add(hour)}, nil},
			{client.KeyQuery{UnusedSince: start}, without("Active")},
			{client.KeyQuery{UnusedSince: start, State: "active", Scope: "deals.read"}, []string{"Kims", "a_b"}},
		} {
			for _, limit := range []int{1, 50} {
				f.q.Limit = limit
				var got []string
				for k, err := range c.EachServiceKey(ctx, f.q) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, k.Name)
				}
				if slices.Sort(got); !slices.Equal(got, f.want) {
					t.Errorf("%+v = %q, want %q", f.q, got, f.want)
				}
			}
		}
		k := must(c.ServiceKey(ctx, used.ID))(t)
		if k.LastUsed == nil || k.Secrets[0].LastUsed == nil || k.Secrets[0].Calls != 1 {
			t.Errorf("the used key is %+v", k)
		}
		if a := w.send("GET", "/v1/service-keys?state=live", w.secret, ""); a.status != http.StatusBadRequest {
			t.Errorf("an unknown state = %d %s", a.status, a.body)
		}
		if a := w.send("GET", "/v1/service-keys?colour=red", w.secret, ""); a.status != http.StatusBadRequest || a.problem(t).Code != string(postern.CodeInvalid) {
			t.Errorf("an unknown filter = %d %s", a.status, a.body)
		}
	})
}
