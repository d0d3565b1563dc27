package activity_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// segments are the files of a spool.
func segments(t testing.TB, dir string) (out []string) {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAnOutageLosesNothing records far more than the buffers hold while nobody
// can write, and then finds every call once.
func TestAnOutageLosesNothing(t *testing.T) {
	defer activity.SetSegments(16 << 10)()
	engines(t, func(t *testing.T, target string) {
		dir := filepath.Join(t.TempDir(), "spool")
		l := open(t, activity.Config{Target: target, Spool: dir, Capacity: 128})
		release := hold(t, target)
		const n = 5000
		for i := range n {
			l.Record(call(t0, path(i)))
			if i%100 == 99 {
				activity.Drain(l)
			}
		}
		activity.Forget(l)
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if err := l.Flush(short); err == nil {
			t.Fatal("Flush succeeds while nobody can write")
		}
		if st := l.Stats(); st.Buffered != n || len(st.Dropped) > 0 || st.Spool.Bytes == 0 || st.Spool.Full {
			t.Errorf("Stats = %+v, want all %d held and none dropped", st, n)
		}
		if len(segments(t, dir)) < 2 {
			t.Errorf("the spool is %v, want several segments", segments(t, dir))
		}
		release()
		flush(t, l)
		seen := map[string]bool{}
		for _, a := range calls(t, l) {
			if seen[a.Path] {
				t.Fatalf("%s is there twice", a.Path)
			}
			seen[a.Path] = true
		}
		if len(seen) != n {
			t.Errorf("%d calls, want %d", len(seen), n)
		}
		equalTotals(t, l)
		l.Close()
		if left := segments(t, dir); len(left) > 0 {
			t.Errorf("the spool still has %v", left)
		}
	})
}

// TestTheSpoolIsReplayedOnce ends a process at each point between spooling and
// letting go, and has another one go on.
func TestTheSpoolIsReplayedOnce(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		dir := filepath.Join(t.TempDir(), "spool")
		open(t, activity.Config{Target: target}).Close()
		l := open(t, activity.Config{Target: target, Spool: dir})
		for i := range 30 {
			l.Record(call(t0, path(i)))
			if i%10 == 9 {
				activity.Drain(l)
			}
		}
		l.Record(call(t0, unknown)) // a stranger's, counted once as well
		activity.Drain(l)
		// What is on disk now is what a killed process leaves: one copy as it is, one whose end is torn.
		var saved [][]byte
		for _, name := range segments(t, dir) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			saved = append(saved, data)
		}
		flush(t, l) // the commit succeeded, and then the process was killed
		l.Close()
		put := func(change func([]byte) []byte) {
			for i, data := range saved {
				if err := os.WriteFile(filepath.Join(dir, "wri_left-"+string(rune('1'+i))+".spool"), change(bytes.Clone(data)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		check := func(step string, want int) activity.Stats {
			t.Helper()
			l := open(t, activity.Config{Target: target, Spool: dir})
			flush(t, l)
			if n := len(calls(t, l)); n != want {
				t.Errorf("%s: %d calls, want %d", step, n, want)
			}
			if got := row(t, l, `select coalesce(sum(calls), 0), 0, 0, 0 from activity_strangers`); got[0] != 1 {
				t.Errorf("%s: %d strangers, want 1", step, got[0])
			}
			equalTotals(t, l)
			st := l.Stats()
			l.Close()
			return st
		}
		same := func(b []byte) []byte { return b }
		put(same)
		check("all was written", 30)
		// As if the database had only the first frame.
		p := open(t, activity.Config{Target: target})
		for _, q := range []string{"activity_writers", "activity_blocks", "activity_block_keys", "activity_hours", "activity_uses", "activity_callers", "activity_days", "activity_strangers"} {
			if _, err := activity.Exec(activity.Pool(p), "delete from "+q); err != nil {
				t.Fatal(err)
			}
		}
		put(func(b []byte) []byte { return b[:bytes.Index(b[40:], []byte("PFRM"))+40] })
		l = open(t, activity.Config{Target: target, Spool: dir})
		flush(t, l)
		if n := len(calls(t, l)); n > 10 {
			t.Errorf("%d calls of the first frame, want at most 10", n)
		}
		l.Close()
		put(same)
		check("the first frame was written", 30)
		put(func(b []byte) []byte { return b[:len(b)-3] })
		if st := check("the end is torn", 30); st.Spool.TornEnds != 1 || st.Spool.DamagedFrames != 0 {
			t.Errorf("Stats = %+v, want one torn end", st.Spool)
		}
	})
}

// TestADamagedSegmentIsSetAside spoils one frame of three: the others are written,
// and the file stays for whoever looks into it.
func TestADamagedSegmentIsSetAside(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		dir := filepath.Join(t.TempDir(), "spool")
		l := open(t, activity.Config{Target: target, Spool: dir})
		for i := range 30 {
			l.Record(call(t0, path(i)))
			if i%10 == 9 {
				activity.Drain(l)
			}
		}
		name := segments(t, dir)[0]
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		parts := bytes.Split(data, []byte("PFRM"))
		parts[2][len(parts[2])/2] ^= 1
		if err := os.WriteFile(name, bytes.Join(parts, []byte("PFRM")), 0o600); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(dir, "empty.spool"), nil, 0o600)
		os.WriteFile(filepath.Join(dir, "other.spool"), []byte("this is no segment of a spool"), 0o600)
		l = open(t, activity.Config{Target: target, Spool: dir})
		flush(t, l)
		if n := len(calls(t, l)); n != 20 {
			t.Errorf("%d calls, want the 20 of the sound frames", n)
		}
		st := l.Stats().Spool
		if st.DamagedFrames != 1 || st.SetAside != 2 || st.Bytes != 0 {
			t.Errorf("Stats = %+v, want one damaged frame and two files set aside", st)
		}
		left := segments(t, dir)
		if len(left) != 2 || !strings.HasSuffix(left[0], ".damaged") || !strings.HasSuffix(left[1], ".damaged") {
			t.Errorf("the spool has %v, want two files that are set aside", left)
		}
		equalTotals(t, l)
	})
}

// TestAFullSpoolCounts records beyond the bound while nobody can write: what
// neither disk nor memory hold is counted by its reason.
func TestAFullSpoolCounts(t *testing.T) {
	defer activity.SetHeld(1 << 20)()
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Spool: t.TempDir(), SpoolMax: 64 << 10, Capacity: 1024})
		release := hold(t, target)
		n := 0
		for l.Stats().Dropped[postern.ReasonAllowed] == 0 && n < 2_000_000 {
			n++
			// Paths of their own, so that memory is soon full too.
			l.Record(call(t0, path(n), func(e *postern.Event) { e.RequestID, e.UserAgent = postern.RandomText(100), postern.RandomText(250) }))
			if n%500 == 0 {
				activity.Drain(l)
			}
		}
		if st := l.Stats(); !st.Spool.Full || st.Spool.Bytes > 64<<10 || st.Buffered < 1000 {
			t.Errorf("Stats = %+v, want a full spool and the rest in memory", st)
		}
		release()
		flush(t, l)
		flush(t, l)
		lost := l.Stats().Dropped[postern.ReasonAllowed]
		if got := uint64(len(calls(t, l))); got+lost != uint64(n) || lost == 0 {
			t.Errorf("%d calls kept and %d counted as lost, want %d together", got, lost, n)
		}
		l.Record(call(t0))
		flush(t, l)
		if l.Stats().Spool.Full {
			t.Error("the spool is still full")
		}
		losses, err := l.Losses(ctx, t0)
		if err != nil || len(losses) != 1 || uint64(losses[0].Calls) != lost {
			t.Errorf("Losses = %+v, %v; want %d", losses, err, lost)
		}
		equalTotals(t, l)
	})
}

// FuzzFrame reads any bytes as a frame: it is read and written as it was, or is an error.
func FuzzFrame(f *testing.F) {
	dir := f.TempDir()
	l := open(f, activity.Config{Target: f.TempDir() + "/a.db", Spool: dir})
	for i := range 5 {
		l.Record(call(t0, path(i)))
		l.Record(call(t0, unknown))
	}
	activity.Drain(l)
	data, err := os.ReadFile(segments(f, dir)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[bytes.Index(data, []byte("PFRM"))+12:])
	f.Add([]byte{})
	f.Add([]byte{1, 2, 1, 7, 'a', 'l', 'l', 'o', 'w', 'e', 'd', 3, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := activity.ParseFrame(data)
		if err != nil {
			return
		}
		again, err := activity.ParseFrame(out)
		if err != nil || len(again) != len(out) {
			t.Errorf("what was written again can't be read: %v", err)
		}
	})
}

// TestASpoolThatCantBeWritten takes the directory away: calls still reach the
// database, and the spool is used again once the directory is back.
func TestASpoolThatCantBeWritten(t *testing.T) {
	defer activity.SetSegments(1)() // each frame begins a file
	engines(t, func(t *testing.T, target string) {
		dir := filepath.Join(t.TempDir(), "spool")
		l := open(t, activity.Config{Target: target, Spool: dir})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			l.Record(call(t0, path(i)))
			activity.Drain(l)
		}
		if st := l.Stats(); !st.Spool.Full || st.Buffered != 10 || len(st.Dropped) > 0 {
			t.Errorf("Stats = %+v, want a spool that takes nothing, and all calls held", st)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		activity.Drain(l)
		if st := l.Stats(); st.Spool.Full || len(segments(t, dir)) != 10 {
			t.Errorf("Stats = %+v with %d files, want all that was held in the spool", st, len(segments(t, dir)))
		}
		flush(t, l)
		if n := len(calls(t, l)); n != 10 {
			t.Errorf("%d calls, want 10", n)
		}
		if st := l.Stats(); st.Spool.Bytes > 1000 || len(segments(t, dir)) > 1 {
			t.Errorf("%d bytes and %d files are left in the spool", st.Spool.Bytes, len(segments(t, dir)))
		}
		equalTotals(t, l)
	})
}
