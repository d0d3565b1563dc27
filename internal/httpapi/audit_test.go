package httpapi_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/auditlog"
)

// exportOf is an account's export in one format.
func exportOf(t *testing.T, c *client.Client, format string, after int64, q client.AuditQuery) (text string, entries, last int64) {
	t.Helper()
	var b bytes.Buffer
	entries, last, err := c.ExportAudit(t.Context(), &b, format, after, q)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), entries, last
}

// An account's export proves each of its entries, also those of which it isn't
// told who made them, and an entry that was altered on the way shows.
func TestAuditExportProvesItself(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		theirs, joined := w.otherAccount("globex")
		words := "Globex Ltd."
		must(w.super.EditAnyAccount(t.Context(), joined.Account.ID, api.EditAccount{Name: &words}))(t)
		if err := w.auditor.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		keys := must(w.super.AuditKeys(t.Context()))(t)
		for name, c := range map[string]*client.Client{"the operator's": w.super, "another": theirs} {
			text, entries, _ := exportOf(t, c, "proof", 0, client.AuditQuery{})
			verify := func(text string, keys ...string) (auditlog.Report, error) {
				in, err := auditlog.NewReader(strings.NewReader(text))
				if err != nil {
					return auditlog.Report{}, err
				}
				return auditlog.VerifyPart(in, auditlog.Options{Keys: keys})
			}
			r, err := verify(text, keys.Keys...)
			if err != nil || !r.Sound || r.Entries != entries || entries < 1 || (r.Hidden > 0) != (c == theirs) {
				t.Errorf("%s account: %+v, %v; want %d entries, sound", name, r, err, entries)
			}
			if c == theirs && strings.Contains(text, string(w.account)) {
				t.Errorf("%s account is told of the operator's:\n%s", name, text)
			}
			if r, err := verify(strings.Replace(text, `\"action\":\"`, `\"action\":\"x`, 1), keys.Keys...); err != nil || r.Sound {
				t.Errorf("%s account: altered, and %+v, %v", name, r, err)
			}
			lines := strings.SplitAfter(text, "\n")
			if _, err := verify(strings.Join(lines[:len(lines)-2], ""), keys.Keys...); err == nil {
				t.Errorf("%s account: an export that was cut short counts", name)
			}
			other, err := auditlog.NewSigner(keys.Origin, [32]byte{1})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := verify(text, other.Key); err != nil || r.Sound {
				t.Errorf("%s account: by another key: %+v, %v", name, r, err)
			}
		}
	})
}

// Proofs lead to the signed roots, and from one of them to the next.
func TestAuditProofs(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		sign := func() api.AuditCheckpoint {
			if err := w.auditor.Sign(ctx); err != nil {
				t.Fatal(err)
			}
			return must(w.super.AuditCheckpoint(ctx))(t)
		}
		hashes := func(list ...string) (out []tlog.Hash) {
			for _, s := range list {
				out = append(out, must(tlog.ParseHash(s))(t))
			}
			return out
		}
		old := sign()
		must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: "sync", Scopes: []string{"deals.read"}}))(t)
		entry := must(w.super.Audit(ctx, client.AuditQuery{}))(t).Items[0]
		if _, err := w.super.AuditProof(ctx, entry.Seq, 0); err == nil {
			t.Error("an entry that no checkpoint covers is proven")
		}
		now := sign()
		p := must(w.super.AuditProof(ctx, entry.Seq, 0))(t)
		if p.Checkpoint == nil || *p.Checkpoint != now || p.Root != now.Root || auditlog.LeafHash(p.Text).String() != p.Leaf {
			t.Fatalf("proof %+v, want to %+v", p, now)
		}
		if err := tlog.CheckRecord(hashes(p.Proof...), p.Size, hashes(p.Root)[0], p.Seq-1, hashes(p.Leaf)[0]); err != nil {
			t.Error(err)
		}
		g := must(w.super.AuditConsistency(ctx, old.Size, now.Size))(t)
		if g.FromRoot != old.Root || g.ToRoot != now.Root {
			t.Errorf("roots %+v", g)
		}
		if err := tlog.CheckTree(hashes(g.Proof...), g.To, hashes(g.ToRoot)[0], g.From, hashes(g.FromRoot)[0]); err != nil {
			t.Error(err)
		}
		list := must(w.super.AuditCheckpoints(ctx, client.Paging{Limit: 1}))(t)
		next := must(w.super.AuditCheckpoints(ctx, client.Paging{Limit: 1, Cursor: list.NextCursor}))(t)
		if len(list.Items) != 1 || list.Items[0] != now || len(next.Items) != 1 || next.Items[0].Number != now.Number-1 {
			t.Errorf("checkpoints %+v, then %+v", list, next)
		}
		known, err := auditlog.ParseKeys(must(w.super.AuditKeys(ctx))(t).Keys...)
		if err != nil {
			t.Fatal(err)
		}
		if c, signed, err := known.Open(now.Note); err != nil || !signed || c.Size != now.Size {
			t.Errorf("the note: %+v, %v, %v", c, signed, err)
		}
	})
}

// The formats for other systems hold what passes the filters, and go on after a number.
func TestAuditExportFormats(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := must(w.super.CreateServiceKey(t.Context(), api.NewServiceKey{Name: `a "quoted" ] name`, Scopes: []string{"deals.read"}}))(t)
		q := client.AuditQuery{Object: k.ID, Action: "service_key.create", Since: time.Now().Add(-time.Hour)}
		text, n, last := exportOf(t, w.super, "syslog", 0, q)
		if n != 1 || !strings.HasPrefix(text, "<109>1 20") || !strings.Contains(text, fmt.Sprintf(` postern - service_key.create [postern@32473 seq="%d" account="%s"`, must(w.super.Audit(t.Context(), q))(t).Items[0].Seq, w.account)) ||
			!strings.Contains(text, `name="a \"quoted\" \] name"`) || strings.Count(text, "\n") != 1 {
			t.Errorf("%d messages: %s", n, text)
		}
		text, n, _ = exportOf(t, w.super, "csv", 0, q)
		if rows, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil || n != 1 || len(rows) != 2 || rows[1][8] != `a "quoted" ] name` {
			t.Errorf("CSV %q, %v", rows, err)
		}
		if text, n, _ := exportOf(t, w.super, "jsonl", 0, q); n != 1 || !strings.Contains(text, `"action":"service_key.create"`) {
			t.Errorf("JSON lines: %s", text)
		}
		if _, n, again := exportOf(t, w.super, "jsonl", last, q); n != 0 || again <= last { // the exports are entries, too
			t.Errorf("after %d: %d entries up to %d", last, n, again)
		}
	})
}
