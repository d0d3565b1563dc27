package keyring_test

import (
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// settle runs the job for one key, and checks what it did and how the old secret stands.
func (w *world) settle(what string, id postern.KeyID, old, fresh time.Time, want postern.RotationStep, works bool) {
	w.t.Helper()
	got, err := w.SettleRotation(w.t.Context(), w.super.AccountID, id, postern.RotationUse{Old: old, Fresh: fresh, Known: w.now})
	if err != nil || got != want {
		w.t.Errorf("%s: step = %d, %v; want %d", what, got, err, want)
	}
	k, err := w.Key(w.t.Context(), w.super, id)
	if err != nil || k.Rotating(w.now) != works {
		w.t.Errorf("%s: the old secret works = %v, %v; want %v", what, k.Rotating(w.now), err, works)
	}
}

func TestRotationPlansAreChecked(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		id := w.key(w.super, "nightly", "deals.read").Key.ID
		for what, in := range map[string]keyring.Rotation{
			"an unknown end":               {Grace: day, Ends: "some_day"},
			"idle at a deadline":           {Grace: day, Idle: 2 * time.Hour},
			"hold at a deadline":           {Grace: day, Hold: 2 * day},
			"waiting for nothing":          {Ends: postern.EndHold},
			"too short a silence":          {Grace: day, Ends: postern.EndWhenIdle, Idle: time.Minute},
			"a silence beyond the grace":   {Grace: day, Ends: postern.EndWhenIdle, Idle: day},
			"when idle, held":              {Grace: 2 * day, Ends: postern.EndWhenIdle, Idle: day, Hold: 3 * day},
			"held shorter than its grace":  {Grace: 2 * day, Ends: postern.EndHold, Hold: day},
			"held longer than can be held": {Grace: 2 * day, Ends: postern.EndHold, Hold: postern.MaxGrace + 1},
		} {
			_, err := w.RotateKey(t.Context(), w.super, id, in)
			wantCode(t, what, err, postern.CodeInvalid)
		}
		_, err := w.RotateKey(t.Context(), w.member("km@example.org", postern.RoleKeyManager, "contacts.read"), id, keyring.Rotation{Grace: day, Ends: postern.EndHold})
		wantCode(t, "hold without the key's scopes", err, postern.CodeInsufficientScope)
	})
}

// TestWhenIdle: the old secret ends early once it was silent for the set time, and
// something uses the new one; not before the time has passed since the start.
func TestWhenIdle(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.key(w.super, "nightly", "deals.read").Key.ID
		if _, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 7 * day, Ends: postern.EndWhenIdle, Idle: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		began := w.now
		var never time.Time
		w.now = began.Add(23 * time.Hour)
		w.settle("silent since long before, too early", id, began.Add(-90*day), began.Add(time.Hour), postern.RotationWaits, true)
		w.now = began.Add(25 * time.Hour)
		w.settle("silent, and nobody has the new one", id, never, never, postern.RotationWaits, true)
		w.settle("used two hours ago", id, w.now.Add(-2*time.Hour), began.Add(time.Hour), postern.RotationWaits, true)
		w.settle("silent for a day", id, began.Add(time.Hour), began.Add(time.Hour), postern.RotationOver, false)
		list, err := w.Audit(ctx, w.super, store.AuditFilter{Object: string(id), Action: "service_key.rotation.finish"}, 0, 9)
		if err != nil || len(list) != 1 || list[0].Actor.System != "rotation" || list[0].Reason != "The old secret was not used for 24 hours." {
			t.Errorf("audit = %+v, %v", list, err)
		}
		w.settle("it is over", id, never, began, postern.RotationWaits, false)

		// The deadline holds without the job.
		if _, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 2 * day, Ends: postern.EndWhenIdle}); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(2 * day)
		w.settle("at the deadline", id, w.now, w.now, postern.RotationWaits, false)
	})
}

// TestHold: at the deadline the old secret ends if nobody uses it; if somebody
// does, an admin is asked, once, and it works on, up to the latest end.
func TestHold(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.key(w.super, "nightly", "deals.read").Key.ID
		begin := func() (began time.Time) {
			t.Helper()
			made, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 7 * day, Ends: postern.EndHold, Idle: 2 * day, Hold: 20 * day})
			if err != nil || !made.Key.Previous.EndsAt.Equal(w.now.Add(20*day)) {
				t.Fatalf("rotate = %+v, %v; want the old secret to end in 20 days at the latest", made.Key.Previous, err)
			}
			return w.now
		}
		began := begin()
		w.now = began.Add(6 * day)
		w.settle("before the deadline, silent", id, began, began, postern.RotationWaits, true)
		w.now = began.Add(7 * day)
		w.settle("silent at the deadline", id, began.Add(4*day), began, postern.RotationOver, false)

		w.now = w.now.Add(day)
		began = begin()
		w.now = began.Add(7 * day)
		used := w.now.Add(-time.Hour)
		w.settle("used at the deadline", id, used, began, postern.RotationAsks, true)
		w.settle("asked already", id, used, began, postern.RotationWaits, true)
		if all, err := w.Undecided(ctx, w.super); err != nil || len(all) != 1 || !all[id].Latest.Equal(began.Add(20*day)) {
			t.Errorf("undecided = %+v, %v; want this one", all, err)
		}
		if list, err := w.Audit(ctx, w.super, store.AuditFilter{Object: string(id), Action: "service_key.rotation.ask"}, 0, 9); err != nil || len(list) != 1 {
			t.Errorf("audit of asking = %+v, %v; want one entry", list, err)
		}
		// Letting it go on puts the deadline off, and never the latest end.
		manager := w.member("km@example.org", postern.RoleKeyManager, "contacts.read")
		_, err := w.ExtendRotation(ctx, manager, id, day, 0)
		wantCode(t, "let it go on without the key's scopes", err, postern.CodeInsufficientScope)
		for i, want := range []int{13, 19, 20} {
			w.now = began.Add(time.Duration([]int{7, 12, 18}[i]) * day)
			made, err := w.ExtendRotation(ctx, w.super, id, 6*day, 0)
			if p, perr := w.Rotation(ctx, w.super, id); err != nil || perr != nil || p == nil || !p.Deadline.Equal(began.Add(time.Duration(want)*day)) || !p.AskedAt.IsZero() {
				t.Fatalf("extension %d: %+v, %v, %v; want a deadline after %d days", i, p, err, perr, want)
			}
			if !made.Key.Previous.EndsAt.Equal(began.Add(20 * day)) {
				t.Errorf("extension %d moved the latest end to %v", i, made.Key.Previous.EndsAt)
			}
		}
		_, err = w.ExtendRotation(ctx, w.super, id, day, 0)
		wantCode(t, "let it go on past the latest end", err, postern.CodeConflict)
		if all, err := w.Undecided(ctx, w.super); err != nil || len(all) != 0 {
			t.Errorf("undecided after it was put off = %+v, %v", all, err)
		}
		w.now = began.Add(20 * day)
		w.settle("at the latest end", id, w.now.Add(-time.Second), began, postern.RotationWaits, false)

		// The key's own end comes before any hold, and cancelling forgets the plan.
		w.now = w.now.Add(day)
		end := w.now.Add(10 * day)
		if _, err := w.EditKey(ctx, w.super, id, keyring.KeyEdit{ExpiresAt: &end}); err != nil {
			t.Fatal(err)
		}
		made, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 7 * day, Ends: postern.EndHold, Idle: 2 * day})
		if err != nil || !made.Key.Previous.EndsAt.Equal(end) {
			t.Errorf("hold ends %v, %v; want the key's own end", made.Key.Previous.EndsAt, err)
		}
		if _, err := w.CancelRotation(ctx, w.super, id, 0); err != nil {
			t.Fatal(err)
		}
		if p, err := w.db.Rotation(ctx, w.super.AccountID, id); p != nil || err != nil {
			t.Errorf("the plan after a cancel = %+v, %v; want none", p, err)
		}
	})
}

// TestAnAlteredPlanEndsNothing: the time in the credential's own row stands.
func TestAnAlteredPlanEndsNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		id := w.key(w.super, "nightly", "deals.read").Key.ID
		if _, err := w.RotateKey(t.Context(), w.super, id, keyring.Rotation{Grace: 7 * day, Ends: postern.EndWhenIdle, Idle: 5 * day}); err != nil {
			t.Fatal(err)
		}
		w.raw("update rotations set idle = 1")
		w.now = w.now.Add(2 * day)
		w.settle("altered", id, t0, w.now, postern.RotationWaits, true)
	})
}

// TestTrip: a tripwire is told of once an hour however many see it, pauses where
// the policy says so, and never a key of another account.
func TestTrip(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		k := w.key(w.super, "nightly", "deals.read").Key
		trip := postern.Trip{AccountID: w.super.AccountID, Key: k.ID, Kind: postern.TripCanary, Generation: 1, IP: "203.0.113.7", UserAgent: "curl/8", Words: "It was used."}
		want := func(what string, want, paused bool) {
			t.Helper()
			told, err := w.Trip(ctx, trip)
			if err != nil || told != want {
				t.Errorf("%s: told = %v, %v; want %v", what, told, err, want)
			}
			if got, err := w.Key(ctx, w.super, k.ID); err != nil || got.PausedAt.IsZero() == paused {
				t.Errorf("%s: paused at %v, %v; want paused %v", what, got.PausedAt, err, paused)
			}
		}
		want("first", true, false)
		want("again", false, false)
		w.now = w.now.Add(postern.TripAgain - time.Second)
		want("within the hour", false, false)
		trip.Kind = postern.TripFar
		want("another tripwire", true, false)
		p, err := w.Policy(ctx, w.super)
		if err != nil {
			t.Fatal(err)
		}
		p.Tripwires.Canary, p.Tripwires.Retired = postern.TripPause, postern.TripOff
		if _, err := w.SetPolicy(ctx, w.super, p); err != nil {
			t.Fatal(err)
		}
		trip.Kind = postern.TripRetired
		want("one that is off", false, false)
		trip.Kind, w.now = postern.TripCanary, w.now.Add(time.Second)
		want("one that pauses", true, true)
		list, err := w.Trips(ctx, w.super, k.ID, store.Cursor{}, 9)
		if err != nil || len(list) != 3 || !list[0].Paused || list[1].Kind != postern.TripFar || list[0].Name != "nightly" || list[0].IP != "203.0.113.7" {
			t.Errorf("trips = %+v, %v", list, err)
		}
		if rest, err := w.Trips(ctx, w.super, "", store.Cursor{At: int64(postern.ToMicros(list[0].At)), ID: list[0].ID}, 9); err != nil || len(rest) != 2 {
			t.Errorf("the second page has %d, %v; want 2", len(rest), err)
		}
		audit, err := w.Audit(ctx, w.super, store.AuditFilter{Object: string(k.ID), Action: "tripwire.canary"}, 0, 9)
		if err != nil || len(audit) != 2 || audit[0].After["pausedAt"] == nil || audit[0].After["seen"] == nil || audit[1].Reason != "It was used." {
			t.Errorf("audit = %+v, %v", audit, err)
		}
		trip.AccountID, trip.Kind = "acc_other", postern.TripRefused
		want("of another account", false, true)
		if _, err := w.Trips(ctx, postern.Actor{AccountID: "acc_other", MemberID: "mem_x"}, "", store.Cursor{}, 9); err == nil {
			t.Error("a stranger sees tripwires")
		}
	})
}
