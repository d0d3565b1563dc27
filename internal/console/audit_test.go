package console

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store/storetest"
)

func auditViews(c func() Common) map[string][]view {
	row := auditRow{AuditEntry: postern.AuditEntry{Seq: 3, At: t0, Action: polyglot, Object: polyglot, Name: polyglot, Result: "refused", Reason: polyglot, Actor: postern.Actor{MemberID: polyglot, KeyID: polyglot, IP: polyglot, UserAgent: polyglot, RequestID: polyglot},
		Before: map[string]any{"a": 1}, After: map[string]any{"b": 1}}, Who: polyglot, Person: true, Words: polyglot, Target: polyglot, Link: "/audit/3", Same: "/audit", Refused: true}
	f := auditFilter{asked: asked{F: &form{Values: url.Values{"object": {polyglot}, "person": {polyglot}}, Errors: []fieldError{{"from", polyglot}}}, Secret: true, values: url.Values{"object": {polyglot}}}}
	check := func(s auditor.State) view { return &auditView{Common: c(), Check: checkView{s}} }
	return map[string][]view{
		"audit": {&auditView{}, &auditView{Common: c(), Filter: f, People: []option{{"x", polyglot, false}}, Actions: []option{{"x", polyglot, false}}, Results: []option{{"", "Any", false}}, Rows: []auditRow{row}, Newest: "/audit", Older: "/audit", CSV: "/audit.csv", JSONL: "/audit.jsonl"},
			check(auditor.State{Running: true, Done: 3, Total: 9}), check(auditor.State{Running: true}), check(auditor.State{Failed: true, At: t0, Report: auditlog.Report{Sound: true}}), check(auditor.State{Refused: polyglot, RefusedAt: 3}),
			check(auditor.State{At: t0, Covered: 3, Report: auditlog.Report{Sound: true, Entries: 18204, Root: polyglot}}), check(auditor.State{At: t0, Report: auditlog.Report{FirstBad: 12044, Faults: []auditlog.Fault{{Entry: 12044, Why: polyglot}}}})},
		"audit-entry": {&entryView{}, &entryView{Common: c(), Row: row, Diff: []diffRow{{polyglot, []diffPart{{polyglot, true}, {polyglot, false}}, []diffPart{{polyglot, true}}}, {polyglot, nil, nil}}, Back: "/audit", Older: "/audit/2", Open: action{polyglot, "/keys", "key", false}}},
	}
}

var entryLinks = regexp.MustCompile(`href="(/audit/\d+[^"]*)"`)

// TestEachFilterOfTheAuditLog: every filter lets through what it says, and the
// downloads hold the same entries.
func TestEachFilterOfTheAuditLog(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		nia := w.member("nia@example.com", "Nia Park", postern.RoleViewer)
		k := must(w.kr.CreateKey(ctx, w.super, keyring.NewKey{Name: "=formula", Scopes: []postern.Scope{"deals.read"}}))(w.t).Key
		if _, err := w.kr.CreateKey(ctx, nia, keyring.NewKey{Name: "not-allowed"}); err == nil {
			t.Fatal("a viewer made a key")
		}
		w.later(48 * time.Hour)
		yes := true
		must(w.kr.EditKey(ctx, w.super, k.ID, keyring.KeyEdit{Paused: &yes, Scopes: &[]postern.Scope{"deals.read", "contacts.read"}}))(w.t)
		b := w.login()
		for _, c := range []struct {
			query string
			want  int
		}{
			{"object=" + string(k.ID), 2},
			{"action=service_key.create", 2},
			{"action=service_key.create&result=ok", 1},
			{"action=service_key.create&result=refused&person=" + string(nia.MemberID), 1},
			{"action=service_key.create&person=" + string(w.super.MemberID), 1},
			{"object=" + string(k.ID) + "&from=" + w.now().Add(-time.Hour).Format("2006-01-02T15:04"), 1},
			{"object=" + string(k.ID) + "&to=" + w.now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05Z"), 1},
			{"object=nothing", 0},
		} {
			p := b.get("/audit?" + c.query).want(200)
			if got := len(entryLinks.FindAllString(p.body, -1)); got != c.want {
				t.Errorf("?%s lists %d entries, want %d", c.query, got, c.want)
			}
			rows, err := csv.NewReader(strings.NewReader(b.get("/audit.csv?" + c.query).want(200).body)).ReadAll()
			if err != nil || len(rows) != c.want+1 {
				t.Errorf("the CSV of ?%s has %d rows, %v, want %d", c.query, len(rows), err, c.want+1)
			}
			if text := strings.TrimSpace(b.get("/audit.jsonl?" + c.query).want(200).body); c.want > 0 {
				for line := range strings.SplitSeq(text, "\n") {
					if !json.Valid([]byte(line)) {
						t.Errorf("no JSON: %s", line)
					}
				}
			}
		}
		b.get("/audit.csv?action=service_key.create&result=ok").want(200, "'=formula")
		b.get("/audit?action=audit.export").want(200, "downloaded the audit log")
		p := b.get("/audit?action=service_key.update").want(200, "Maya Okafor", "paused a service key", "=formula")
		b.get(strings.ReplaceAll(entryLinks.FindStringSubmatch(p.body)[1], "&amp;", "&")).want(200, "What changed", "contacts.read", "<ins", "Paused at", "All its entries")
		p = b.get("/audit?result=refused&person="+string(nia.MemberID)).want(200, "Nia Park", "tried, and was refused")
		b.get(strings.ReplaceAll(entryLinks.FindStringSubmatch(p.body)[1], "&amp;", "&")).want(200, "Refused. Nothing was changed.")
		b.get("/audit/3").want(200, "The entry before", "What it is since then")
		b.get("/audit?object=zzz").want(200, "No entries match", "Clear the filters")
		b.get("/audit?from=soon&result=perhaps").want(200, "Write the time", "Choose done or refused")
		b.get("/audit/999999").want(404)
		b.get("/audit/01").want(404)
		w.login(nia).get("/audit").want(403)
		w.login(nia).get("/audit/1").want(403)
		w.login(nia).post("/audit/check").want(403)
	})
}

// proves checks a proof as anyone can who has nothing but it.
func proves(t *testing.T, p *api.AuditProof) bool {
	t.Helper()
	hash := func(text string) (h tlog.Hash) {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || copy(h[:], b) != len(h) {
			t.Fatalf("%q is no hash: %v", text, err)
		}
		return h
	}
	var path tlog.RecordProof
	for _, text := range p.Proof {
		path = append(path, hash(text))
	}
	return tlog.CheckRecord(path, p.Size, hash(p.Root), p.Seq-1, tlog.RecordHash([]byte(p.Text))) == nil
}

// TestTheBadgeTurnsRed: a check of a whole log is green and stays so until the next
// one, which finds a row that was altered underneath. Each entry has its own proof.
func TestTheBadgeTurnsRed(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := newWorld(t, target)
		b := w.login()
		b.get("/audit").want(200, "Not checked yet", "Check now")
		b.get("/audit/proof.json").want(404)
		b.get("/audit/checkpoint.txt").want(404)
		b.get("/audit/1").want(200, "Download its proof", "/audit/1/proof.json")
		b.get("/audit/1/proof.json").want(409, "No checkpoint covers the entry yet")
		b.get("/audit/99999/proof.json").want(404)
		b.get("/audit/01/proof.json").want(404)
		if err := w.auditor.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.get("/audit/checkpoint.txt").want(200, w.auditor.Origin()+"\n", "\u2014 "+w.auditor.Origin()+" ")
		var proof api.AuditProof
		if err := json.Unmarshal([]byte(b.get("/audit/1/proof.json").want(200).body), &proof); err != nil {
			t.Fatal(err)
		}
		if !proves(t, &proof) || proof.Checkpoint == nil || !strings.Contains(proof.Checkpoint.Note, proof.Root) || !strings.Contains(proof.Text, `"seq":1,`) {
			t.Errorf("the proof of the first entry is %+v", proof)
		}
		b.post("/audit/check", "next", "/audit?result=ok").to("/audit?result=ok")
		w.later(4 * time.Minute)
		b.get("/audit").want(200, "Checked 4 min ago", "entries, unbroken.")
		if v := b.get("/audit/proof.json").want(200, `"unbroken":true`); !strings.Contains(v.body, `"root"`) {
			t.Errorf("the proof has no root: %s", v.body)
		}
		alterAudit(t, target, 2)
		b.get("/audit").want(200, "unbroken.")
		b.post("/audit/check", "next", "//evil.example").to("/audit")
		b.get("/audit").want(200, "Broken at entry 2", "Nothing after it can be trusted.", "Download the proof").not("unbroken")
		b.get("/audit/proof.json").want(200, `"firstBad":2`, `"unbroken":false`, "asItReadsNow")
		b.get("/audit/check").want(200, `"running":false`)
	})
}

// TestDiff: what was added to a list and taken from it is told apart from what stayed.
func TestDiff(t *testing.T) {
	got := diffOf(map[string]any{"scopes": []any{"a", "b"}, "expiresAt": "2026-11-22T09:00:00Z", "gone": nil}, map[string]any{"scopes": []any{"b", "c"}, "rateLimit": map[string]any{"calls": 3.0}, "note": ""}, time.UTC)
	want := []diffRow{
		{"Expires at", []diffPart{{"22 Nov 2026, 09:00:00 UTC", true}}, nil},
		{"Gone", []diffPart{{"none", true}}, nil},
		{"Note", nil, []diffPart{{"empty", true}}},
		{"Rate limit: calls", nil, []diffPart{{"3", true}}},
		{"Scopes", []diffPart{{"a", true}, {"b", false}}, []diffPart{{"b", false}, {"c", true}}},
	}
	if g, w := must(json.Marshal(got))(t), must(json.Marshal(want))(t); string(g) != string(w) {
		t.Errorf("diff = %s\nwant %s", g, w)
	}
}

// alterAudit changes an entry behind the server's back, through a connection of its own.
func alterAudit(t *testing.T, target string, seq int64) {
	t.Helper()
	driver := "sqlite"
	if strings.Contains(target, "://") {
		driver = "pgx"
		u := must(url.Parse(target))(t)
		q := u.Query()
		q.Del("pool_max_conns") // only the pool knows it
		u.RawQuery = q.Encode()
		target = u.String()
	}
	db := must(sql.Open(driver, target))(t)
	defer db.Close()
	res := must(db.Exec("update audit_entries set body = replace(body, '\"result\":\"ok\"', '\"result\":\"OK\"') where seq = $1", seq))(t)
	if n := must(res.RowsAffected())(t); n != 1 {
		t.Fatalf("altered %d entries", n)
	}
}
