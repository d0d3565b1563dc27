package workbench

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"postern.dev/postern/internal/activity"
)

// QuietDays is how long an old credential is silent before it may be switched off;
// longer where it is used so rarely that silence says nothing, and somebody who used
// it was not seen on the new one.
const (
	QuietDays        = 7
	quietDaysWeekly  = 15
	quietDaysMonthly = 36
)

const aDay = 24 * time.Hour

// Progress is how far a caller has come.
type Progress string

// The states of a caller.
const (
	OnOld  Progress = "old"   // it calls with the old credential alone
	OnBoth Progress = "both"  // it called with the old one after it had the new one
	Moved  Progress = "moved" // it calls with the new one
	Quiet  Progress = "quiet" // it has not called for as long as the gate asks, and was not seen on the new one
)

// Still reports whether such a caller would fail without the old credential.
func (p Progress) Still() bool { return p == OnOld || p == OnBoth }

// Move is a caller, and which of the two credentials it calls with.
type Move struct {
	IP, UserAgent    string // both empty for those that are not told apart
	State            Progress
	OldCalls         int64
	NewCalls         int64
	Refused          int64 // of those with the old one
	OldLast, NewLast time.Time
	newFirst         time.Time
}

// Name is a caller in a sentence.
func (m *Move) Name() string { return callerName(m.UserAgent, m.IP) }

func callerName(agent, ip string) string {
	name := product(agent)
	switch {
	case name == "" && ip == "":
		return "callers that are not told apart"
	case name == "":
		return ip
	case ip == "":
		return name
	}
	return name + " at " + ip
}

// moves puts the callers of the old and of the new credential together: pure.
func moves(old, fresh []activity.Caller, quiet time.Duration, now time.Time) (out []Move) {
	type id struct{ ip, agent string }
	at := map[id]int{}
	byIP := map[string]time.Time{} // when an address was first seen on the new one
	get := func(c *activity.Caller) *Move {
		k := id{c.IP, c.UserAgent}
		if _, ok := at[k]; !ok {
			at[k] = len(out)
			out = append(out, Move{IP: c.IP, UserAgent: c.UserAgent})
		}
		return &out[at[k]]
	}
	for i := range fresh {
		c := &fresh[i]
		if c.Calls == c.Refused {
			continue // what is refused has not moved
		}
		m := get(c)
		m.NewCalls, m.NewLast, m.newFirst = m.NewCalls+c.Calls, later(m.NewLast, c.LastAt), earlier(m.newFirst, c.FirstAt)
		if first, ok := byIP[c.IP]; c.IP != "" && (!ok || c.FirstAt.Before(first)) {
			byIP[c.IP] = c.FirstAt
		}
	}
	for i := range old {
		c := &old[i]
		m := get(c)
		m.OldCalls, m.Refused, m.OldLast = m.OldCalls+c.Calls, m.Refused+c.Refused, later(m.OldLast, c.LastAt)
	}
	for i := range out {
		m := &out[i]
		first, sameIP := byIP[m.IP]
		switch {
		case !m.newFirst.IsZero() && m.OldLast.After(m.newFirst) && now.Sub(m.OldLast) < aDay:
			m.State = OnBoth
		case !m.newFirst.IsZero(), sameIP && m.OldLast.Before(first):
			m.State = Moved
		case now.Sub(m.OldLast) >= quiet:
			m.State = Quiet
		default:
			m.State = OnOld
		}
	}
	rank := map[Progress]int{OnOld: 0, OnBoth: 1, Quiet: 2, Moved: 3}
	slices.SortFunc(out, func(a, b Move) int {
		return cmp.Or(cmp.Compare(rank[a.State], rank[b.State]), cmp.Compare(b.OldCalls+b.NewCalls, a.OldCalls+a.NewCalls),
			cmp.Compare(a.IP, b.IP), cmp.Compare(a.UserAgent, b.UserAgent))
	})
	return out
}

// Gate says whether an old credential may be switched off, and what it waits for.
type Gate struct {
	Open       bool
	Days       int // that it has to be quiet
	Quiet      int // days that it was quiet so far
	Conditions []Condition
}

// Condition is one thing that a gate waits for.
type Condition struct {
	ID    string // path, imported, quiet, replacement, callers or sign_off
	Met   bool
	Words string
	Fix   string
}

func (g *Gate) quiet() bool { return g.Quiet >= g.Days }

// gate works out whether an item may be switched off.
func gate(v *View) Gate {
	i := &v.Item
	g := Gate{Days: quietDays(&v.Facts)}
	since := v.Seen.Last
	if v.Legacy != nil && v.Legacy.CreatedAt.After(since) {
		since = v.Legacy.CreatedAt // before that nobody watched
	}
	if since.IsZero() {
		since = v.Now
	}
	g.Quiet = max(0, int(v.Now.Sub(since)/aDay))
	add := func(id string, met bool, words, fix string) {
		g.Conditions = append(g.Conditions, Condition{id, met, words, fix})
	}
	add("imported", v.Legacy != nil, "Its calls go through Postern.", "Import it, so that its calls go through Postern.")
	add("path", i.Path != "" && v.Path != ToUnclear, "Its path is chosen.", "Choose its path.")
	if v.Path == ToServiceKey || i.NewKey != "" {
		add("replacement", !v.NewFirst.IsZero(), "Its replacement is in use.", "Paste the new secret into its tool.")
	}
	add("quiet", g.quiet(), fmt.Sprintf("The old token was quiet for %d of %d days.", min(g.Quiet, g.Days), g.Days), "Wait until it is quiet, or find who uses it.")
	still, gone := 0, 0
	for k := range v.Moves {
		switch {
		case v.Moves[k].State.Still():
			still++
		case v.Moves[k].State == Quiet:
			gone++
		}
	}
	words := "Every caller has moved."
	if still > 0 {
		words = fmt.Sprintf("%s still %s the old token.", count(int64(still), "caller"), verbs(still, "uses", "use"))
	} else if gone > 0 {
		words = fmt.Sprintf("No caller is left. %s went quiet and %s not seen on a new key: whoever signs off says that this is right.", count(int64(gone), "caller"), verbs(gone, "was", "were"))
	}
	add("callers", still == 0, words, "Move the callers that are left.")
	add("sign_off", !i.SignedAt.IsZero(), "A member signed off.", "Sign off: say that it can go.")
	g.Open = !slices.ContainsFunc(g.Conditions, func(c Condition) bool { return !c.Met })
	return g
}

// quietDays is how long silence must last to say something.
func quietDays(f *Facts) int {
	days := map[string]int{"weekly": quietDaysWeekly, "monthly": quietDaysMonthly}[f.Seen.Rhythm.Kind]
	if days == 0 || len(f.Moves) > 0 && !slices.ContainsFunc(f.Moves, func(m Move) bool { return m.State != Moved }) {
		return QuietDays
	}
	return days
}
