package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

func copyOf(t testing.TB, from, to store.Place, progress func(string, int64, int64)) (backup.Copied, error) {
	return backup.Copy(t.Context(), backup.CopyOptions{From: from, To: to, Parts: parts(), Pepper: storetest.Pepper(t), Log: quiet, Progress: progress})
}

// A database is copied into the other engine and back: every row is the same, the
// seals fit, and the keys work.
func TestCopy(t *testing.T) {
	engines(t, func(t *testing.T, at store.Place) {
		w := newWorld(t, at)
		id, secret := w.key("one", "deals.read")
		for i := range 40 {
			w.key(fmt.Sprintf("key-%d", i), "deals.read")
		}
		w.halt()
		there := empty(t, at.Database == "")
		first, err := copyOf(t, at, there, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first.Seals.Broken != 0 || first.Seals.Rows < 41 || first.Rows < 100 || first.Resumed {
			t.Errorf("copied %+v", first)
		}
		activity := int64(0)
		for _, x := range first.Tables {
			if x.Part == "activity" {
				activity += x.Rows
			}
		}
		if activity < 2 {
			t.Errorf("%d rows of activity were copied", activity)
		}
		if _, err := copyOf(t, at, there, nil); !errors.Is(err, postern.CodeConflict) {
			t.Errorf("a copy over data = %v, want a conflict", err)
		}
		db := w.restored(there)
		if u := using(t, db, w.pepper, id, secret, w.now()); !u.works {
			t.Errorf("the key doesn't work after the move: %+v", u.row)
		}
		soundWith(t, db)
		// And back: what comes of it is what was there first.
		back := empty(t, at.Database != "")
		second, err := copyOf(t, there, back, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range second.Tables {
			if y := first.Tables[i]; x.Table != y.Table || x.SHA256 != y.SHA256 {
				t.Errorf("after two moves %s has another digest", x.Table)
			}
		}
		other, err := postern.ParsePepper(postern.NewPepper())
		w.must(err)
		if _, err := backup.Copy(t.Context(), backup.CopyOptions{From: at, To: store.Place{Data: t.TempDir()}, Parts: parts(), Pepper: other, Log: quiet}); err == nil {
			t.Error("another pepper was accepted")
		}
	})
}

const killedCopy = "POSTERN_TEST_KILLED_COPY"

// A copy that is killed (SIGKILL, at several places) goes on where it stood.
func TestKilledCopyGoesOn(t *testing.T) {
	if at := os.Getenv(killedCopy); at != "" {
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		_, err = copyOf(t, store.Place{Data: os.Getenv("FROM")}, store.Place{Data: os.Getenv("TO"), Database: os.Getenv("TO_DATABASE")}, func(_ string, done, _ int64) {
			if done >= n {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
		t.Fatal("it was not killed", err)
	}
	w := newWorld(t, store.Place{Data: t.TempDir()})
	id, secret := w.key("one", "deals.read")
	for i := range 10 {
		w.key(fmt.Sprintf("key-%d", i), "deals.read")
	}
	w.halt()
	for _, to := range []store.Place{{Data: t.TempDir()}, {Data: t.TempDir(), Database: storetest.Postgres(t)}} {
		for _, at := range []string{"1", "30"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledCopyGoesOn$")
			cmd.Env = append(os.Environ(), killedCopy+"="+at, "FROM="+w.at.Data, "TO="+to.Data, "TO_DATABASE="+to.Database)
			out, err := cmd.CombinedOutput()
			if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the copy ended by %v\n%s", err, out)
			}
			if mark, err := w.restored(to).Unfinished(t.Context()); err != nil || mark == "" {
				t.Fatalf("a killed copy looks whole: %q, %v", mark, err)
			}
		}
		done, err := copyOf(t, w.at, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !done.Resumed || done.Before < 30 {
			t.Errorf("it began anew: %+v", done)
		}
		db := w.restored(to)
		if mark, err := db.Unfinished(t.Context()); err != nil || mark != "" {
			t.Errorf("a finished copy is marked %q, %v", mark, err)
		}
		if u := using(t, db, w.pepper, id, secret, w.now()); !u.works {
			t.Error("the key doesn't work after the move")
		}
	}
}

// What is half copied is no source, and a destination that someone changes is found out.
func TestCopyIsCompared(t *testing.T) {
	w := newWorld(t, store.Place{Data: t.TempDir()})
	w.key("one", "deals.read")
	w.halt()
	to := store.Place{Data: t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	_, err := backup.Copy(ctx, backup.CopyOptions{From: w.at, To: to, Parts: parts(), Pepper: w.pepper, Log: quiet, Progress: func(what string, _, _ int64) {
		if what == "Comparing" {
			stop()
		}
	}})
	if err == nil {
		t.Fatal("a stopped copy succeeded")
	}
	if _, err := copyOf(t, to, store.Place{Data: t.TempDir()}, nil); err == nil {
		t.Error("what is half copied was a source")
	}
	l, err := store.OpenLoader(t.Context(), to, store.Records(), store.LatestRecords(), nil)
	w.must(err)
	w.must(l.ClearTable(t.Context(), l.Table("preferences")))
	w.must(l.Insert(t.Context(), "preferences", []string{"member_id", "name", "value"}, [][]any{{string(w.super.MemberID), "zzz", "planted"}}))
	w.must(l.Close())
	if _, err := copyOf(t, w.at, to, nil); !errors.Is(err, postern.CodeConflict) {
		t.Errorf("a planted row = %v, want it found", err)
	}
}
