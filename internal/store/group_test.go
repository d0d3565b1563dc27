package store_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// caught runs a change, and gives what became of it: its error, or what it panicked with.
func caught(change func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = errors.New("it left in another way")
		defer func() {
			if what := recover(); what != nil {
				err = fmt.Errorf("panic: %v", what)
			}
		}()
		err = change()
	}()
	<-done
	return err
}

// inTurn runs changes one after another, once those whose ends are given are gone.
func inTurn(n int, change func(i int) error, ends ...func()) (out []error) {
	for _, end := range ends {
		end()
	}
	for i := range n {
		out = append(out, caught(func() error { return change(i) }))
	}
	return out
}

// together lets n changes wait for the writer in their order, runs them, and gives
// what became of each. Once all of them wait, those whose ends are given go away.
func together(t testing.TB, db *store.DB, n int, change func(i int) error, ends ...func()) []error {
	t.Helper()
	held, release, out := make(chan struct{}), make(chan struct{}), make([]error, n)
	wait := func(n int) {
		for db.Waiting() != n {
			runtime.Gosched()
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := db.Pool.Write(t.Context(), func(*sql.Tx) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i := range n {
		all.Go(func() { out[i] = caught(func() error { return change(i) }) })
		wait(i + 1)
	}
	for _, end := range ends {
		end()
	}
	wait(n - len(ends))
	close(release)
	all.Wait()
	return out
}

// how is how a change of the property ends.
type how int

const (
	goesWell     how = iota
	fails            // for a reason of its own
	breaksARule      // a statement of it does
	forgivesIt       // and it goes on
	goneBefore       // before its turn
	goneWithin       // and does more afterwards
	goneAtItsEnd     // after its last statement
	panics           // in the midst of it
	leaves           // as a test does that fails
	undoesAll        // what SQLite may do where a disk is full: the whole transaction is undone
	howMany
)

var errRefused = postern.Errorf(postern.CodeConflict, "It is refused.")

// step is one change of the property.
type step struct {
	how how
	rec *store.KeyRecord
	n   int
}

func (s *step) run(ctx context.Context, end func(), tx *store.Tx) error {
	text, err := tx.Setting(ctx, "sum")
	if err != nil {
		return err
	}
	// It reads what those before it wrote, and nothing of those that were undone.
	if err := tx.SetSetting(ctx, "sum", fmt.Sprintf("%.40s", fmt.Sprint(s.n, " ", text))); err != nil {
		return err
	}
	if err := tx.InsertKey(ctx, s.rec); err != nil {
		return err
	}
	if _, err := tx.AppendFeed(ctx, postern.Change{At: t0, Kind: postern.ChangeCredential, AccountID: s.rec.Row.AccountID, ID: string(s.rec.Row.Key)}); err != nil {
		return err
	}
	switch s.how {
	case fails:
		return errRefused
	case breaksARule, forgivesIt:
		if err := tx.InsertKey(ctx, s.rec); !store.IsUnique(err) {
			return fmt.Errorf("a key twice: %w", err)
		} else if s.how == breaksARule {
			return err
		}
	case goneWithin:
		end()
	case panics:
		panic("a change went wrong")
	case leaves:
		runtime.Goexit()
	case undoesAll:
		if _, err := tx.Raw().ExecContext(ctx, "rollback"); err != nil {
			return err
		}
		return errRefused
	}
	if err := tx.InsertAudit(ctx, postern.AuditEntry{At: t0, AccountID: s.rec.Row.AccountID, Action: "test", Object: string(s.rec.Row.Key)}); err != nil {
		return err
	}
	if s.how == goneAtItsEnd {
		end()
	}
	return nil
}

// A group leaves what its changes one by one leave, whichever of them fail, go away or panic.
func TestGroupIsOneByOne(t *testing.T) {
	if checks := flag.Lookup("rapid.checks").Value; checks.String() == "100" { // nobody wants more or fewer
		if err := checks.Set("20"); err != nil {
			t.Fatal(err)
		}
		defer checks.Set("100")
	}
	a := postern.Account{ID: "acc_group", Name: "Acme", TimeZone: "UTC", CreatedAt: t0}
	file := storetest.SQLite(t)
	first := storetest.Open(t, file)
	write(t, first, func(ctx context.Context, tx *store.Tx) error { return tx.InsertAccount(ctx, &a) })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	begun, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, opened := t.TempDir(), 0
	open := func() *store.DB {
		opened++
		copied := filepath.Join(dir, fmt.Sprint(opened%2, ".db"))
		if err := os.WriteFile(copied, begun, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := store.OpenDB(t.Context(), copied, storetest.Pepper(t), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		db.Unsynced(t)
		return db
	}
	rapid.Check(t, func(r *rapid.T) {
		one, group := open(), open()
		defer one.Close()
		defer group.Close()
		steps := make([]step, rapid.IntRange(1, 12).Draw(r, "changes"))
		for i := range steps {
			h := goesWell
			if rapid.Bool().Draw(r, "goes wrong") {
				h = how(rapid.IntRange(0, int(howMany)-1).Draw(r, "how"))
			}
			steps[i] = step{h, key(a.ID, fmt.Sprint("key ", i), t0), i}
		}
		change := func(db *store.DB, run func(n int, change func(i int) error, gone ...func()) []error, steps ...step) []error {
			var gone []func()
			var all []func() error
			for i := range steps {
				ctx, end := context.WithCancel(t.Context())
				defer end()
				if steps[i].how == goneBefore {
					gone = append(gone, end)
				}
				all = append(all, func() error {
					_, err := db.Write(ctx, func(tx *store.Tx) error { return steps[i].run(ctx, end, tx) })
					return err
				})
			}
			return run(len(steps), func(i int) error { return all[i]() }, gone...)
		}
		var want []error
		for _, s := range steps {
			want = append(want, change(one, inTurn, s)...)
		}
		got := change(group, func(n int, change func(i int) error, gone ...func()) []error {
			return together(t, group, n, change, gone...)
		}, steps...)
		for i := range steps {
			if gone := errors.Is(want[i], context.Canceled); gone != errors.Is(got[i], context.Canceled) || !gone && fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
				r.Errorf("change %d (%d): %v in a group, %v alone", i, steps[i].how, got[i], want[i])
			}
		}
		for i, s := range steps {
			// What it was refused for may have been undone with the rest.
			if s.how == undoesAll && errors.Is(got[i], errRefused) {
				r.Errorf("change %d, with which all was undone, is told %v", i, got[i])
			}
		}
		if d := cmp.Diff(dump(t, one), dump(t, group)); d != "" {
			r.Errorf("the group left something else (-alone +group):\n%s", d)
		}
		if v, err := group.VerifyAudit(t.Context(), auditlog.Options{}); err != nil || !v.Sound {
			r.Errorf("the audit log: %+v, %v", v, err)
		}
	})
}

// dump is all that is in a database.
func dump(t *testing.T, db *store.DB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, table := range columns(t, db.Read(), "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and name <> 'schema_migrations'") {
		list := columns(t, db.Read(), "select name from pragma_table_info('"+table+"')")
		out[table] = columns(t, db.Read(), "select '' || concat_ws('|', "+strings.Join(list, ", ")+") from "+table)
	}
	return out
}

// Changes that wait at the same time are one commit, a lone one is one by itself, and
// a group has an end.
func TestGroupSizes(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	before := db.GroupSizes()
	one := func(int) error {
		_, err := db.Write(t.Context(), func(tx *store.Tx) error { return tx.SetSetting(t.Context(), "a", "b") })
		return err
	}
	together(t, db, 1, one)
	if err := errors.Join(together(t, db, 70, one)...); err != nil {
		t.Fatal(err)
	}
	n := db.GroupSizes()
	if changes := n.Changes - before.Changes; changes != 71 {
		t.Errorf("%d changes are counted, want 71", changes)
	}
	// At least two for the seventy, since a group has 64 at most. A slow machine may need more.
	if commits := n.Commits - before.Commits; commits < 3 || commits > 60 {
		t.Errorf("71 changes took %d commits, want about 3", commits)
	}
	if last := len(n.UpTo) - 1; n.UpTo[last] != n.Commits || n.UpTo[0] < 1 {
		t.Errorf("sizes = %+v: the largest bound holds all of them", n)
	}
}

// Where the commit fails, it fails for all: nothing is acknowledged and nothing is there.
func TestGroupWhoseCommitFails(t *testing.T) {
	ctx := t.Context()
	db := storetest.Open(t, storetest.SQLite(t))
	before := dump(t, db)
	got := together(t, db, 5, func(i int) error {
		_, err := db.Write(ctx, func(tx *store.Tx) error {
			switch i {
			case 1:
				return errRefused
			case 2:
				// What it refers to isn't there, which is found at the commit alone.
				_, err := tx.Raw().ExecContext(ctx, "pragma defer_foreign_keys = on")
				return errors.Join(err, tx.InsertKey(ctx, key("acc_nobody", "of nobody", t0)))
			}
			return tx.SetSetting(ctx, fmt.Sprint("setting ", i), "x")
		})
		return err
	})
	for i, err := range got {
		// The refused one as well: what it was refused for may not be so.
		if err == nil || !strings.Contains(err.Error(), "FOREIGN KEY") {
			t.Errorf("change %d = %v, want what the commit failed of", i, err)
		}
	}
	if d := cmp.Diff(before, dump(t, db)); d != "" {
		t.Errorf("a group whose commit failed left something:\n%s", d)
	}
}

// On a full disk those for which there is room are made, and the others are told.
func TestGroupOnAFullDisk(t *testing.T) {
	ctx := t.Context()
	db := storetest.Open(t, storetest.SQLite(t))
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "small", "a") })
	full := db.Full(t)
	big := []int{1, 4}
	got := together(t, db, 6, func(i int) error {
		_, err := db.Write(ctx, func(tx *store.Tx) error {
			if !slices.Contains(big, i) {
				return tx.SetSetting(ctx, "small", fmt.Sprint(i))
			}
			first := tx.SetSetting(ctx, "big", strings.Repeat("x", 1<<20))
			// After it nothing runs, not outside of the transaction above all.
			if err := tx.SetSetting(ctx, "after", "x"); err == nil || first == nil {
				t.Errorf("there was room: %v, %v", first, err)
			}
			return nil
		})
		return err
	})
	for i, err := range got {
		if want := slices.Contains(big, i); want != errors.Is(err, postern.CodeStorageFull) || !want && err != nil {
			t.Errorf("change %d = %v; it was too big: %t", i, err, want)
		}
	}
	full(false)
	if got := settings(t, db); !maps.Equal(got, map[string]string{"small": "5"}) {
		t.Errorf("settings = %v", got)
	}
}

func settings(t *testing.T, db *store.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, row := range columns(t, db.Read(), "select name || '=' || value from settings where name in ('small', 'big', 'after')") {
		name, value, _ := strings.Cut(row, "=")
		out[name] = value
	}
	return out
}

// After a failed sync those who wait are refused too.
func TestGroupAfterAFailedSync(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	got := together(t, db, 4, func(i int) error {
		_, err := db.Write(t.Context(), func(tx *store.Tx) error {
			if i == 0 {
				db.Break()
			}
			return tx.SetSetting(t.Context(), "small", fmt.Sprint(i))
		})
		return err
	})
	if got[0] != nil {
		t.Errorf("the group that was being run = %v", got[0])
	}
	if _, err := db.Write(t.Context(), func(*store.Tx) error { t.Error("it writes on"); return nil }); !errors.Is(err, postern.CodeUnavailable) {
		t.Errorf("a change after a failed sync = %v", err)
	}
}

// Where no transaction can be had, everyone who waits for it hears so.
func TestGroupOnAClosedDatabase(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Write(t.Context(), func(*store.Tx) error { t.Error("it runs"); return nil }); err == nil {
		t.Error("a change of a closed database went through")
	}
}

// What prepares statements for many rows is made alone, and changes nothing in a group.
func TestManyRowsInAGroup(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	a := account(t, db, "Acme")
	list := []*store.KeyRecord{key(a.ID, "one", t0), key(a.ID, "two", t0)}
	insert := func(tx *store.Tx) error { return tx.InsertKeys(t.Context(), list) }
	before := dump(t, db)
	if _, err := db.Write(t.Context(), insert); err == nil || !strings.Contains(err.Error(), "WriteAlone") {
		t.Errorf("many rows in a group = %v, want a refusal", err)
	}
	if d := cmp.Diff(before, dump(t, db)); d != "" {
		t.Errorf("what was refused left something:\n%s", d)
	}
	if _, err := db.WriteAlone(t.Context(), insert); err != nil {
		t.Errorf("many rows alone = %v", err)
	}
}

// Many that write alone hold up a small change for no longer than the one that is
// being made: it comes before those that still wait.
func TestGroupBetweenThoseThatWriteAlone(t *testing.T) {
	ctx := t.Context()
	db := storetest.Open(t, storetest.SQLite(t))
	var mu sync.Mutex
	var order []string
	change := func(name string, write func(context.Context, func(*store.Tx) error) (int64, error), in func()) {
		_, err := write(ctx, func(*store.Tx) error {
			in()
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	held, release, before := make(chan struct{}), make(chan struct{}), db.WaitsForWriter()
	var all sync.WaitGroup
	all.Go(func() { change("first", db.WriteAlone, func() { close(held); <-release }) })
	<-held
	for range 8 {
		all.Go(func() { change("alone", db.WriteAlone, func() {}) })
	}
	all.Go(func() { change("small", db.Write, func() {}) })
	for db.Waiting() != 1 || db.WaitsForWriter() == before {
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if len(order) != 10 || order[0] != "first" || order[1] != "small" {
		t.Errorf("they were made in the order %q, want the small one second", order)
	}
}
