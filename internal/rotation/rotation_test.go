package rotation_test

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const day = 24 * time.Hour

type world struct {
	*keyring.Keyring
	t     *testing.T
	db    *store.DB
	log   *activity.Log
	file  string // of the log of calls
	clock atomic.Int64
	super postern.Actor
	told  atomic.Int64
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func run(t *testing.T, test func(t *testing.T, w *world)) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := &world{t: t, db: storetest.Open(t, target)}
		w.clock.Store(t0.UnixMicro())
		file := target
		if !strings.Contains(target, "://") {
			file += ".activity"
		}
		w.file = file
		var err error
		w.log, err = activity.Open(t.Context(), activity.Config{Target: file, Now: w.now})
		w.must(err)
		t.Cleanup(func() { w.log.Close() })
		w.Keyring = keyring.New(keyring.Config{DB: w.db, Pepper: storetest.Pepper(t), Now: w.now})
		done, err := w.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
		w.must(err)
		w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
		test(t, w)
	})
}

// job is the job of one node.
func (w *world) job() *rotation.Job {
	return rotation.NewJob(rotation.Config{DB: w.db, Activity: w.log, Keyring: w.Keyring, Now: w.now, Told: func() { w.told.Add(1) }})
}

func (w *world) call(id postern.KeyID, gen uint32, ip, agent string) {
	w.t.Helper()
	e := postern.Event{At: postern.ToMicros(w.now()), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: agent, Status: 200, IP: netip.MustParseAddr(ip)}
	e.Decision = postern.Decision{Allowed: true, Reason: postern.ReasonAllowed, Kind: postern.KindServiceKey, Gen: gen, Known: true, Account: w.super.AccountID}
	copy(e.Decision.Key[:], id)
	w.log.Record(&e)
	w.must(w.log.Flush(w.t.Context()))
}

func (w *world) rotated(how keyring.Rotation) postern.KeyID {
	w.t.Helper()
	made, err := w.CreateKey(w.t.Context(), w.super, keyring.NewKey{Name: "nightly"})
	w.must(err)
	_, err = w.RotateKey(w.t.Context(), w.super, made.Key.ID, how)
	w.must(err)
	return made.Key.ID
}

func (w *world) works(what string, id postern.KeyID, want bool) {
	w.t.Helper()
	k, err := w.Key(w.t.Context(), w.super, id)
	w.must(err)
	if k.Rotating(w.now()) != want {
		w.t.Errorf("%s: the old secret works = %v, want %v", what, !want, want)
	}
}

// TestJobEndsWhatIsSilent: by what activity knows of both secrets, and never while
// activity can't be written.
func TestJobEndsWhatIsSilent(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		id := w.rotated(keyring.Rotation{Grace: 7 * day, Ends: postern.EndWhenIdle, Idle: day})
		job := w.job()
		w.call(id, 1, "203.0.113.7", "sync/1")
		w.pass(25 * time.Hour)
		w.must(job.IfDue(t.Context()))
		w.works("nothing uses the new one", id, true)
		w.call(id, 2, "203.0.113.7", "sync/1")
		w.must(job.IfDue(t.Context()))
		w.works("it was looked at within the minute", id, true)
		w.pass(time.Minute)
		w.must(job.IfDue(t.Context()))
		w.works("silent for 25 hours", id, false)
		if n := w.told.Load(); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		if plans, err := w.db.Rotations(t.Context(), ""); err != nil || len(plans) != 0 {
			t.Errorf("plans = %+v, %v; want none left", plans, err)
		}
	})
}

// TestHoldAsksOnce: two nodes look at the same time, one asks; its people are told.
func TestHoldAsksOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		n := notify.New(notify.Config{DB: w.db, Activity: w.log, Now: w.now})
		w.must(n.Events(t.Context()))
		id := w.rotated(keyring.Rotation{Grace: 7 * day, Ends: postern.EndHold, Idle: day})
		w.pass(7*day - time.Hour)
		w.call(id, 1, "203.0.113.7", "sync/1")
		w.must(w.job().Settle(t.Context()))
		w.works("before the deadline", id, true)
		w.pass(time.Hour)
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := w.job().IfDue(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		w.works("held past the deadline", id, true)
		if n := w.told.Load(); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		w.must(n.Events(t.Context()))
		list, err := w.db.Notifications(t.Context(), w.super.MemberID, true, store.Cursor{}, 9)
		if err != nil || len(list) != 1 || list[0].Kind != notify.RotationAsks || !strings.Contains(list[0].Words, "until 3 April at 05:06 UTC at the latest") || list[0].Link != "/keys/"+string(id)+"/rotate" {
			t.Errorf("told %+v, %v", list, err)
		}
		// Once it falls silent, it ends by itself.
		w.pass(day)
		w.must(w.job().IfDue(t.Context()))
		w.works("silent at last", id, false)
		w.must(n.Events(t.Context()))
		if list, err := w.db.Notifications(t.Context(), w.super.MemberID, true, store.Cursor{}, 9); err != nil || len(list) != 2 || list[0].Kind != notify.RotationOver {
			t.Errorf("told %+v, %v", list, err)
		}
	})
}

// TestSilenceOfOurOwn: where activity can't be written, nobody knows who calls, and nothing ends.
func TestSilenceOfOurOwn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		id := w.rotated(keyring.Rotation{Grace: 7 * day, Ends: postern.EndWhenIdle, Idle: day})
		w.call(id, 2, "203.0.113.7", "sync/1")
		w.pass(2 * day)
		gone, err := activity.Open(t.Context(), activity.Config{Target: storetest.SQLite(t) + ".gone", Now: w.now})
		w.must(err)
		w.must(gone.Close())
		gone.Record(&postern.Event{At: postern.ToMicros(w.now())})
		if err := gone.Flush(t.Context()); err == nil {
			t.Fatal("a closed database takes records")
		}
		job := rotation.NewJob(rotation.Config{DB: w.db, Activity: gone, Keyring: w.Keyring, Now: w.now})
		if err := job.Settle(t.Context()); err == nil {
			t.Error("the job looks at rotations while activity can't be written")
		}
		w.works("with activity away", id, true)
		w.must(w.job().Settle(t.Context()))
		w.works("with activity there", id, false)
	})
}

func TestView(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		made, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "fleet"})
		w.must(err)
		id := made.Key.ID
		for _, c := range []string{"a", "b", "c", "d"} {
			w.call(id, 1, "203.0.113.7", c)
		}
		w.pass(time.Hour)
		_, err = w.RotateKey(t.Context(), w.super, id, keyring.Rotation{Grace: 7 * day})
		w.must(err)
		w.pass(time.Minute)
		w.call(id, 1, "203.0.113.7", "a")
		w.call(id, 2, "203.0.113.7", "b")
		w.call(id, 2, "203.0.113.7", "c")
		w.pass(time.Minute)
		w.call(id, 1, "203.0.113.7", "c")
		w.call(id, 1, "203.0.113.8", "b") // the same program elsewhere
		want := func(what, callers string, still, moved int) {
			t.Helper()
			k, err := w.Key(t.Context(), w.super, id)
			w.must(err)
			v, err := rotation.Of(t.Context(), w.log, &k, nil, w.now())
			w.must(err)
			var got []string
			for _, c := range v.Callers {
				got = append(got, c.UserAgent+c.IP[len(c.IP)-1:]+" "+string(c.State))
			}
			if strings.Join(got, ", ") != callers || v.Still != still || v.Moved != moved || v.Plan.Ends != postern.EndAtDeadline {
				t.Errorf("%s: %q, %d still, %d moved; want %q, %d, %d", what, got, v.Still, v.Moved, callers, still, moved)
			}
		}
		want("after the change", "a7 old, b8 old, c7 both, d7 quiet, b7 moved", 3, 1)
		w.pass(25 * time.Hour)
		want("a day later", "a7 old, b8 old, d7 quiet, c7 moved, b7 moved", 2, 2)
	})
}

// TestOtherNodesAreAwaited: an old secret isn't silent before every node has said that the
// calls which it let in are written. One that says nothing, holds calls that the database
// lacks, or was killed, keeps it alive; one that left, or has been gone for a week, doesn't.
func TestOtherNodesAreAwaited(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		far, err := activity.Open(ctx, activity.Config{Target: w.file, Now: w.now})
		w.must(err)
		defer far.Close()
		mark := rotation.NewMarker(rotation.MarkConfig{DB: w.db, Activity: far, Node: "far", Data: t.TempDir(), Now: w.now})
		job := rotation.NewJob(rotation.Config{DB: w.db, Activity: w.log, Keyring: w.Keyring, Node: "near", Now: w.now})
		settle := func(what string, id postern.KeyID, works bool) {
			t.Helper()
			w.must(job.Settle(ctx))
			w.works(what, id, works)
		}
		begin := func() postern.KeyID {
			made, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "k" + string(postern.NewKeyID())})
			w.must(err)
			id := made.Key.ID
			_, err = w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 30 * day, Ends: postern.EndWhenIdle, Idle: day})
			w.must(err)
			w.call(id, 2, "203.0.113.7", "sync/1")
			return id
		}
		old := func(id postern.KeyID) {
			e := postern.Event{At: postern.ToMicros(w.now()), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "cron/1", Status: 200, IP: netip.MustParseAddr("203.0.113.9")}
			e.Decision = postern.Decision{Allowed: true, Reason: postern.ReasonAllowed, Kind: postern.KindServiceKey, Gen: 1, Known: true, Account: w.super.AccountID}
			copy(e.Decision.Key[:], id)
			far.Record(&e)
		}
		_, err = w.db.RenewLease(ctx, "far", time.Hour)
		w.must(err)
		id := begin()
		w.pass(12 * time.Hour)
		old(id) // and it stays with the other node
		w.pass(14 * time.Hour)
		settle("a node says nothing", id, true)
		w.must(mark.Mark(ctx))
		settle("a node holds calls", id, true)
		w.must(far.Flush(ctx))
		w.must(mark.Mark(ctx))
		settle("used 14 hours ago", id, true)
		w.pass(11 * time.Hour)
		settle("a node said nothing for 11 hours", id, true)
		w.must(mark.Mark(ctx))
		settle("silent for 25 hours, as all say", id, false)

		// Killed with its lease run out, it counts for as long as it may come back.
		w.must(w.db.DropLease(ctx, "far"))
		id = begin()
		w.pass(rotation.MarkKept - time.Hour)
		settle("killed days ago", id, true)
		w.pass(2 * time.Hour)
		settle("gone for a week", id, false)

		// Who leaves with all written is not awaited; who leaves calls behind is.
		id = begin()
		old(id)
		w.must(mark.Leave(ctx))
		w.pass(26 * time.Hour)
		settle("left calls behind", id, true)
		w.must(far.Flush(ctx))
		w.must(mark.Leave(ctx))
		settle("left in order", id, false)
		if marks, err := w.db.WrittenMarks(ctx); err != nil || len(marks) != 0 {
			t.Errorf("marks = %+v, %v; want none", marks, err)
		}
	})
}
