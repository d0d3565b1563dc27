package rotation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// Looks is how far back a view looks for callers.
const Looks = 30 * 24 * time.Hour

// recently is for how long a caller that uses both secrets counts as one that has not moved.
const recently = 24 * time.Hour

// Progress is how far a caller has come.
type Progress string

// The states of a caller.
const (
	Old   Progress = "old"   // it has called since the change, with the old secret alone
	Both  Progress = "both"  // it called with the old one after it had the new one
	Moved Progress = "moved" // it calls with the new one
	Quiet Progress = "quiet" // it has not called since the change
)

// Still reports whether such a caller would fail without the old secret.
func (p Progress) Still() bool { return p == Old || p == Both }

// Caller is an address and a program, and which secrets it calls with.
type Caller struct {
	IP, UserAgent      string // both empty for those beyond the 256 that a key's hour tells apart
	State              Progress
	OldCalls, NewCalls int64 // since the hour of the change
	Refused            int64 // of these
	OldLast            time.Time
	NewFirst, NewLast  time.Time
}

// Secret is one of the two secrets.
type Secret struct {
	postern.SecretInfo
	Calls  int64 // since the hour of the change
	UsedAt time.Time
}

// View is how the change of a key's secret stands.
type View struct {
	Rotating bool
	Plan     postern.RotationPlan // how it ends; at the deadline where it has no other plan
	Asks     bool                 // it waits for an admin's word
	New, Old Secret
	Callers  []Caller // those that still use the old secret first
	Still    int      // how many do
	Moved    int
}

// Of reads the view of a key; plan is nil where its rotation ends at its deadline.
func Of(ctx context.Context, log *activity.Log, k *postern.ServiceKey, plan *postern.RotationPlan, now time.Time) (*View, error) {
	v := &View{Rotating: k.Rotating(now) && !k.Ended(), New: Secret{SecretInfo: k.Current}, Old: Secret{SecretInfo: k.Previous}}
	v.Plan = postern.RotationPlan{Key: k.ID, AccountID: k.AccountID, Generation: k.Previous.Generation, Ends: postern.EndAtDeadline,
		BeganAt: k.Current.MadeAt, Deadline: k.Previous.EndsAt, Latest: k.Previous.EndsAt}
	if plan != nil {
		v.Plan, v.Asks = *plan, plan.Undecided(now)
	}
	if k.Previous.Generation == 0 {
		return v, nil
	}
	changed := k.Current.MadeAt
	secrets, err := log.BySecret(ctx, k.AccountID, k.ID, changed)
	if err != nil {
		return nil, err
	}
	for _, s := range secrets {
		switch s.Generation {
		case k.Current.Generation:
			v.New.Calls, v.New.UsedAt = s.Calls, s.Use.LastAt
		case k.Previous.Generation:
			v.Old.Calls, v.Old.UsedAt = s.Calls, s.Use.LastAt
		}
	}
	rows, err := log.Callers(ctx, k.AccountID, k.ID, 0, now.Add(-Looks))
	if err != nil {
		return nil, err
	}
	v.Callers = callers(rows, k, now)
	for _, c := range v.Callers {
		switch {
		case c.State.Still():
			v.Still++
		case c.State == Moved:
			v.Moved++
		}
	}
	return v, nil
}

// callers tells callers apart by what they did with a key's two secrets: pure.
func callers(rows []activity.Caller, k *postern.ServiceKey, now time.Time) (out []Caller) {
	type id struct{ ip, agent string }
	at := map[id]int{}
	for _, r := range rows {
		if r.Generation != k.Current.Generation && r.Generation != k.Previous.Generation {
			continue
		}
		i, ok := at[id{r.IP, r.UserAgent}]
		if !ok {
			i = len(out)
			at[id{r.IP, r.UserAgent}] = i
			out = append(out, Caller{IP: r.IP, UserAgent: r.UserAgent})
		}
		c := &out[i]
		c.Refused += r.Refused
		if r.Generation == k.Current.Generation {
			c.NewCalls, c.NewFirst, c.NewLast = c.NewCalls+r.Calls, r.FirstAt, r.LastAt
		} else {
			c.OldCalls, c.OldLast = c.OldCalls+r.Calls, r.LastAt
		}
	}
	for i := range out {
		out[i].State = out[i].progress(k.Current.MadeAt, now)
	}
	rank := map[Progress]int{Old: 0, Both: 1, Quiet: 2, Moved: 3}
	slices.SortStableFunc(out, func(a, b Caller) int {
		return cmp.Or(cmp.Compare(rank[a.State], rank[b.State]), cmp.Compare(b.OldCalls+b.NewCalls, a.OldCalls+a.NewCalls),
			cmp.Compare(a.IP, b.IP), cmp.Compare(a.UserAgent, b.UserAgent))
	})
	return out
}

func (c *Caller) progress(changed, now time.Time) Progress {
	switch {
	case c.NewLast.IsZero() && c.OldLast.After(changed):
		return Old
	case c.NewLast.IsZero():
		return Quiet
	case c.OldLast.After(c.NewFirst) && now.Sub(c.OldLast) < recently:
		return Both
	}
	return Moved
}
