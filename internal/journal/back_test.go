package journal_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// feed is a database whose feed is written by hand.
type feed struct {
	*store.DB
	t    testing.TB
	now  time.Time
	path string
}

// change appends a change of an account that isn't there, which counts as suspended.
func (f *feed) change(id string) (seq int64) {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	_, err := f.Write(f.t.Context(), func(tx *store.Tx) (err error) {
		seq, err = tx.AppendFeed(f.t.Context(), postern.Change{At: f.now, Kind: postern.ChangeAccount, ID: id})
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return seq
}

func (f *feed) changes(prefix string, n int) (seq int64) {
	for i := range n {
		seq = f.change(fmt.Sprintf("%s-%d", prefix, i))
	}
	return seq
}

// forget sets the database back, as a standby that lacks the last changes.
func (f *feed) forget(seq int64) {
	f.t.Helper()
	err := f.Pool.Write(f.t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("delete from feed where seq > $1", seq); err != nil {
			return err
		}
		_, err := tx.Exec("update heads set n = $1 where name = 'feed'", seq)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// follow runs a follower, as one start of a node, until it holds what is in the database.
func (f *feed) follow() journal.State {
	f.t.Helper()
	follower := journal.New(journal.Config{DB: f.DB, Pepper: storetest.Pepper(f.t), Path: f.path, Now: func() time.Time { return f.now }})
	ctx, cancel := context.WithCancel(f.t.Context())
	cancel() // the step before the end is all that is wanted
	if err := follower.Run(ctx); err != nil {
		f.t.Fatal(err)
	}
	s := follower.State()
	if s.Failed != "" {
		f.t.Fatal(s.Failed)
	}
	return s
}

func (f *feed) history() *journal.History {
	f.t.Helper()
	h, err := journal.Read(storetest.Pepper(f.t), f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

func (f *feed) covers(seq int64) error {
	_, epoch, err := f.FeedHead(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return f.history().Covers(epoch, seq, 1<<40)
}

// A feed that forgot changes and gave their numbers to others is noticed, whether
// it is behind the journal then, level with it, or past it; and no backup is covered
// that could be of what was forgotten.
func TestFeedWentBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		again int // changes after the feed went back from 105 to 100
	}{{"behind", 2}, {"level", 5}, {"past", 6}} {
		t.Run(c.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, db *store.DB) {
				f := &feed{DB: db, t: t, now: t0, path: filepath.Join(t.TempDir(), "journal")}
				f.follow()
				f.changes("first", 100)
				f.follow()
				f.changes("lost", 5)
				if s := f.follow(); s.Feed != 105 || s.Lost != 0 {
					t.Fatalf("before: %+v", s)
				}
				if err := f.covers(40); err != nil {
					t.Fatalf("before: %v", err)
				}
				f.forget(100)
				head := f.changes("again", c.again)
				if s := f.follow(); s.Feed != head || s.Lost != max(105, head) || !s.LostAt.Equal(f.now) {
					t.Errorf("after: %+v", s)
				}
				for _, seq := range []int64{0, 40, 100, 101, 104, max(105, head) - 1} {
					if f.covers(seq) == nil {
						t.Errorf("a backup that ends at %d is covered", seq)
					}
				}
				// It goes on, over a restart too, and what comes is covered.
				f.changes("later", 10)
				if s := f.follow(); s.Feed != head+10 || s.Lost != max(105, head) {
					t.Errorf("later: %+v", s)
				}
				if err := f.covers(max(105, head)); err != nil {
					t.Error(err)
				}
				if f.covers(104) == nil {
					t.Error("a backup that ends at 104 is covered later")
				}
				_, epoch, _ := f.FeedHead(t.Context())
				from := max(105, head)
				list := f.history().After(epoch, from, 0)
				if len(list) != int(head+10-from) {
					t.Errorf("%d lines after change %d, not %d", len(list), from, head+10-from)
				}
				for _, l := range list {
					if !strings.HasPrefix(l.ID, "later") {
						t.Errorf("a line of %s, which is from before", l.ID)
					}
				}
				if lost, _, at := f.history().Lost(); lost != max(105, head) || at.IsZero() {
					t.Errorf("the history says %d, %v", lost, at)
				}
			})
		})
	}
}

// Changes of ways in are in the audit log alone: where only that went back, the same holds.
func TestAuditWentBack(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		f := &feed{DB: db, t: t, now: t0, path: filepath.Join(t.TempDir(), "journal")}
		audit := func(n int64) {
			err := f.Pool.Write(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.Exec("update heads set n = $1 where name = 'audit'", n)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		audit(50)
		f.changes("first", 10)
		f.follow()
		audit(47)
		if s := f.follow(); s.Lost != 10 {
			t.Errorf("%+v", s)
		}
		_, epoch, err := f.FeedHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if h := f.history(); h.Covers(epoch, 10, 49) == nil || h.Covers(epoch, 10, 50) != nil {
			t.Errorf("covers: %v, %v", h.Covers(epoch, 10, 49), h.Covers(epoch, 10, 50))
		}
	})
}

// A feed that goes on as it was is never taken for another.
func TestFeedGoesOn(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		f := &feed{DB: db, t: t, now: t0, path: filepath.Join(t.TempDir(), "journal")}
		for i := range 5 {
			f.changes(fmt.Sprint("round", i), 3)
			f.follow()
			if s := f.follow(); s.Lost != 0 || s.Feed != int64(3*(i+1)) {
				t.Fatalf("%d: %+v", i, s)
			}
		}
		if err := f.covers(3); err != nil {
			t.Error(err)
		}
	})
}
