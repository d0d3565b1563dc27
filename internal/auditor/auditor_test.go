package auditor_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// world is a log, its auditor, and a clock.
type world struct {
	*auditor.Auditor
	t      *testing.T
	db     *store.DB
	now    time.Time
	alarms []string
	log    strings.Builder
}

func newWorld(t *testing.T, db *store.DB) *world {
	w := &world{t: t, db: db, now: t0}
	w.Auditor = w.another(storetest.Pepper(t))
	return w
}

// another is the auditor of another node.
func (w *world) another(p *postern.Pepper) *auditor.Auditor {
	w.t.Helper()
	a, err := auditor.New(w.t.Context(), auditor.Config{DB: w.db, Pepper: p, Now: func() time.Time { return w.now }, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Alarm: func(_ context.Context, entry int64, why string) error {
			w.alarms = append(w.alarms, fmt.Sprintf("%d: %s", entry, why))
			return nil
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// write appends entries.
func (w *world) write(n int) {
	w.t.Helper()
	_, err := w.db.Write(w.t.Context(), func(tx *store.Tx) error {
		for i := range n {
			by := postern.Actor{AccountID: "acc_1", System: "test"}
			if err := tx.InsertAudit(w.t.Context(), by.Entry(w.now, "test.write", fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) step() {
	w.t.Helper()
	if err := w.Step(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// sizes are those of all checkpoints, the newest first.
func (w *world) sizes() (out []int64) {
	w.t.Helper()
	list, err := w.db.AuditCheckpoints(w.t.Context(), 1<<62, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range list {
		out = append(out, c.Size)
	}
	return out
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	err := w.db.Pool.Write(w.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// A checkpoint is signed when something is new and a minute is over, or a thousand
// entries are new; never without anything new.
func TestWhenACheckpointIsSigned(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, s := range []struct {
			later time.Duration
			write int
			want  string
		}{
			{0, 0, "[]"}, {0, 3, "[3]"}, {30 * time.Second, 4, "[3]"}, {30 * time.Second, 0, "[7 3]"}, {time.Hour, 0, "[7 3]"}, {0, 1, "[8 7 3]"},
			{time.Second, 999, "[8 7 3]"}, {time.Second, 1, "[1008 8 7 3]"}, {time.Minute, 1500, "[2508 2008 1008 8 7 3]"},
		} {
			w.now = w.now.Add(s.later)
			w.write(s.write)
			w.step()
			if got := fmt.Sprint(w.sizes()); got != s.want {
				t.Errorf("after %d entries, %s later: checkpoints %s, want %s", s.write, s.later, got, s.want)
			}
		}
		if s := w.State(); !s.Sound() || s.Entries != 2508 || len(w.alarms) != 0 {
			t.Errorf("state %+v, alarms %v", s, w.alarms)
		}
	})
}

// However many nodes sign, the checkpoints are one chain.
func TestManyNodesSign(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		nodes := []*auditor.Auditor{w.Auditor, w.another(storetest.Pepper(t)), w.another(storetest.Pepper(t))}
		for range 5 {
			w.write(7)
			var all sync.WaitGroup
			for _, n := range nodes {
				all.Go(func() {
					if err := n.Sign(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		r, err := db.VerifyAudit(t.Context(), auditlog.Options{Keys: w.Keys()})
		if err != nil || !r.Sound || r.Covered != 35 || r.Checkpoints != 5 {
			t.Errorf("%+v, %v; want 5 checkpoints over 35 entries", r, err)
		}
	})
}

// Nothing is signed over a log that is not what was signed before; somebody is
// told, once, and the state stays red until the log is what it was.
func TestNothingIsSignedOverABrokenLog(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		for name, c := range map[string]struct{ alter, back string }{
			"an edge of the tree": {"update audit_hashes set hash = (select hash from audit_hashes where n = 0) where n = 14", ""},
			"a new entry":         {"update audit_entries set object = 'x' where seq = 12", "update audit_entries set object = '1' where seq = 12"},
			"the head":            {"update heads set n = 5 where name = 'audit'", "update heads set n = 12 where name = 'audit'"},
			"the checkpoint":      {"update audit_checkpoints set note = 'x' where number = 1", ""},
			"no checkpoint":       {"delete from audit_checkpoints", ""},
			"a missing entry":     {"delete from audit_entries where seq = 11", ""},
		} {
			t.Run(name, func(t *testing.T) {
				for _, table := range []string{"audit_entries", "audit_hashes", "audit_checkpoints", "settings"} {
					(&world{t: t, db: db}).exec("delete from " + table)
				}
				(&world{t: t, db: db}).exec("update heads set n = 0 where name in ('audit', 'audit_checkpoints')")
				w := newWorld(t, db)
				w.write(10)
				w.step()
				w.now = w.now.Add(time.Minute)
				w.write(2)
				w.exec(c.alter)
				before := fmt.Sprint(w.sizes())
				for range 3 {
					if err := w.Sign(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				s := w.State()
				entry, why := s.Broken()
				if fmt.Sprint(w.sizes()) != before || s.Sound() || entry == 0 || why == "" {
					t.Errorf("checkpoints %v, broken at %d: %s", w.sizes(), entry, why)
				}
				if len(w.alarms) == 0 || len(w.alarms) > 3 || !strings.Contains(w.log.String(), "the audit log is broken") {
					t.Errorf("alarms %q", w.alarms)
				}
				if c.back == "" {
					return
				}
				w.exec(c.back)
				if err := w.Sign(t.Context()); err != nil {
					t.Fatal(err)
				}
				<-w.Begin(t.Context())
				if s := w.State(); !s.Sound() || len(w.sizes()) != 2 {
					t.Errorf("put right, and %+v", s)
				}
			})
		}
	})
}

// The whole log is checked each hour by one node; the others, and the next start, know what it found.
func TestTheWholeLogIsChecked(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.write(5)
		w.step()
		if s := w.State(); !s.At.Equal(t0) || !s.Report.Sound || s.Report.Entries != 5 {
			t.Fatalf("state %+v", s)
		}
		w.exec("update audit_entries set result = 'OK' where seq = 3")
		w.now = w.now.Add(59 * time.Minute)
		w.step()
		if s := w.State(); !s.Sound() {
			t.Errorf("checked before it was due: %+v", s)
		}
		w.now = w.now.Add(2 * time.Minute)
		w.step()
		if entry, _ := func() (int64, string) { s := w.State(); return s.Broken() }(); entry != 3 || len(w.alarms) != 1 || !strings.HasPrefix(w.alarms[0], "3: ") {
			t.Errorf("broken at %d, alarms %q; want entry 3", entry, w.alarms)
		}
		next := w.another(storetest.Pepper(t)).State()
		if entry, _ := next.Broken(); entry != 3 || !next.At.Equal(w.now) {
			t.Errorf("the next start knows %+v", next)
		}
		w.exec("update audit_entries set result = 'ok' where seq = 3")
		<-w.Begin(t.Context())
		if s := w.State(); !s.Sound() {
			t.Errorf("put right, and %+v", s)
		}
	})
}

// The newest entries are cut off, and the head with them: that is seen at the next
// look, not when the next check is due, and whatever is new or not.
func TestACutIsSeenAtOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.write(9)
		w.step()
		w.exec("delete from audit_entries where seq > 6")
		w.exec("delete from audit_hashes where n >= (select min(n) from audit_hashes where n > 9)")
		w.exec("update heads set n = 6 where name = 'audit'")
		w.now = w.now.Add(time.Second)
		w.step()
		s := w.State()
		if entry, why := s.Broken(); entry != 7 || len(w.alarms) == 0 {
			t.Errorf("broken at %d (%s), alarms %q; want entry 7", entry, why, w.alarms)
		}
	})
}

// What one node's check found, the others know at their next look.
func TestNodesKnowWhatOneFound(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.write(5)
		w.step()
		other := w.another(storetest.Pepper(t))
		w.exec("update audit_entries set result = 'OK' where seq = 3")
		w.now = w.now.Add(2 * time.Hour)
		w.step()
		if err := other.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := other.State()
		if entry, _ := s.Broken(); entry != 3 || !s.At.Equal(w.now) {
			t.Errorf("the other node knows %+v, want entry 3 as found at %s", s, w.now)
		}
	})
}

// When the pepper gets another version, one checkpoint is signed by both keys, and
// whoever believes the new one alone still verifies all of the log.
func TestTheKeyChanges(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.write(3)
		w.step()
		first := "1:" + strings.Repeat("cG9zdGVy", 5) + "bmU="
		both, err := postern.ParsePepper(first + "\n2:" + strings.Repeat("c2Vjb25k", 5) + "bmU=")
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		b := w.another(both)
		if err := b.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys := b.Keys(); len(keys) != 2 || keys[1] != w.Keys()[0] {
			t.Fatalf("keys %q", keys)
		}
		for _, key := range b.Keys() {
			r, err := db.VerifyAudit(t.Context(), auditlog.Options{Keys: []string{key}})
			if err != nil || !r.Sound || r.Entries != 4 || r.Checkpoints != 2 {
				t.Errorf("by %s: %+v, %v", key, r, err)
			}
		}
	})
}

// A node that stood still between its look and its signing doesn't sign what
// another one has signed meanwhile.
func TestSignsOnceAPeriod(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.write(1)
		w.step()
		stood := false
		slow, err := auditor.New(t.Context(), auditor.Config{DB: db, Pepper: storetest.Pepper(t), Now: func() time.Time { return w.now }, Leads: func() bool {
			if !stood { // the other one leads now, and more happens
				stood = true
				w.step()
				w.write(1)
			}
			return true
		}})
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Minute)
		w.write(1)
		if err := slow.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.sizes(); !stood || len(got) != 2 {
			t.Errorf("checkpoints of sizes %v, want two", got)
		}
		w.now = w.now.Add(time.Minute)
		if err := slow.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.sizes(); len(got) != 3 {
			t.Errorf("a minute later there are checkpoints of sizes %v, want three", got)
		}
	})
}
