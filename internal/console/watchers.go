package console

import (
	"context"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// What watching calls finds, as the pages show it.

// rotationPlans are the plans of an account's rotations, by key.
func (c *Console) rotationPlans(ctx context.Context, account postern.AccountID) (map[postern.KeyID]postern.RotationPlan, error) {
	all, err := c.cfg.DB.Rotations(ctx, account)
	out := make(map[postern.KeyID]postern.RotationPlan, len(all))
	for _, p := range all {
		out[p.Key] = p
	}
	return out, err
}

// held gives the plan of a rotation that waits for someone's word.
func (s *keySnap) held(k *postern.ServiceKey, now time.Time) (postern.RotationPlan, bool) {
	p, ok := s.plans[k.ID]
	return p, ok && p.Generation == k.Previous.Generation && k.Rotating(now) && p.Undecided(now)
}

// plan reads from the form of a rotation how it ends. One that ends now has no plan.
func (f *form) plan(in keyring.Rotation) keyring.Rotation {
	ends := postern.RotationEnd(f.Get("ends"))
	if in.Grace == 0 || ends == "" || ends == postern.EndAtDeadline {
		return in
	}
	in.Ends = ends
	if hours, err := strconv.Atoi(f.Get("idle")); err == nil && hours > 0 && hours <= 720 {
		in.Idle = time.Duration(hours) * time.Hour
	}
	return in
}

// planned says how a rotation ends, and reports whether it is one that is held.
func (view *watchView) planned(p *postern.RotationPlan, v *visit) (held bool) {
	if p == nil {
		return false
	}
	silent := count(int64(p.Idle/time.Hour), "hour", "hours")
	switch p.Ends {
	case postern.EndHold:
		view.Asks = p.Undecided(v.now)
		view.Plan = "On " + longTime(p.Deadline, v.zone) + " it ends if it was silent for " + silent + ". If something still uses it, you are asked first."
		return true
	case postern.EndWhenIdle:
		view.Plan = "It ends sooner once it was silent for " + silent + " and something uses the new one."
	}
	return false
}

// tripNames are the tripwires in the words of the pages.
var tripNames = []struct {
	kind               postern.TripKind
	field, name, words string
}{
	{postern.TripRetired, "tripRetired", "An ended secret is used", "A whole true secret that was rotated away, or of a key that has ended."},
	{postern.TripFar, "tripFar", "Two far networks at once", "One secret, from two networks, one of them new to the key."},
	{postern.TripCanary, "tripCanary", "A canary is used", "A key that nobody should ever use."},
	{postern.TripRefused, "tripRefused", "A burst of refused calls", "Many calls in a short time that the key may not make."},
}

// tripRow is a tripwire that was touched.
type tripRow struct {
	Name, Words string
	At          time.Time
	Paused      bool
}

const (
	tripsShown = 5
	tripsSince = 30 * 24 * time.Hour
)

// trips are the latest tripwires of a key that were touched.
func (c *Console) trips(v *visit, id postern.KeyID) (out []tripRow, err error) {
	if !v.can(postern.PermActivityRead) {
		return nil, nil
	}
	list, err := c.kr.Trips(v.r.Context(), v.by, id, store.Cursor{}, tripsShown)
	for _, t := range list {
		if v.now.Sub(t.At) > tripsSince {
			break
		}
		row := tripRow{Name: string(t.Kind), Words: t.Words, At: t.At, Paused: t.Paused}
		for _, n := range tripNames {
			if n.kind == t.Kind {
				row.Name = n.name + "."
			}
		}
		out = append(out, row)
	}
	return out, err
}

// tripChoice is a tripwire in the form of the policy.
type tripChoice struct {
	Field, Name, Words, Does string
	Options                  []option
}

var tripActions = []struct {
	action postern.TripAction
	words  string
}{{postern.TripNotify, "Tell its people"}, {postern.TripPause, "Tell them, and pause the key"}, {postern.TripOff, "Nothing"}}

// Trips are the tripwires as the form of the policy has them.
func (page *policyView) Trips() (out []tripChoice) {
	for _, n := range tripNames {
		one := tripChoice{Field: n.field, Name: n.name, Words: n.words}
		for _, a := range tripActions {
			if page.P.Tripwires.Action(n.kind) == a.action {
				one.Does = a.words
			}
			one.Options = append(one.Options, option{Value: string(a.action), Label: a.words, Selected: page.F != nil && page.F.Get(n.field) == string(a.action)})
		}
		out = append(out, one)
	}
	return out
}

// tripwireForm puts tripwires into a form.
func tripwireForm(f *form, t *postern.Tripwires) {
	for _, n := range tripNames {
		f.Values.Set(n.field, string(t.Action(n.kind)))
	}
	for name, n := range map[string]int{"farMinutes": t.FarMinutes, "farFleet": t.FarFleet, "farLearnHours": t.FarLearnHours,
		"refusedCalls": t.RefusedCalls, "refusedMinutes": t.RefusedMinutes, "refusedPercent": t.RefusedPercent} {
		f.Values.Set(name, strconv.Itoa(n))
	}
}

// tripwiresOf reads them from a form; a form without them leaves them as they are.
func tripwiresOf(f *form) (t postern.Tripwires) {
	if f.Get("tripCanary") == "" {
		return t
	}
	var sent struct {
		Retired string `form:"tripRetired"`
		Far     string `form:"tripFar"`
		Canary  string `form:"tripCanary"`
		Refused string `form:"tripRefused"`
		Minutes int    `form:"farMinutes"`
		Fleet   int    `form:"farFleet"`
		Learn   int    `form:"farLearnHours"`
		Calls   int    `form:"refusedCalls"`
		Within  int    `form:"refusedMinutes"`
		Percent int    `form:"refusedPercent"`
	}
	f.decode(&sent)
	return postern.Tripwires{Retired: postern.TripAction(sent.Retired), Far: postern.TripAction(sent.Far), Canary: postern.TripAction(sent.Canary),
		Refused: postern.TripAction(sent.Refused), FarMinutes: sent.Minutes, FarFleet: sent.Fleet, FarLearnHours: sent.Learn,
		RefusedCalls: sent.Calls, RefusedMinutes: sent.Within, RefusedPercent: sent.Percent}
}
