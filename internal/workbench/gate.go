package workbench

import (
	"fmt"
	"slices"
	"time"
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
	OnOld  Progress = "old"    // it calls with the old credential alone
	OnBoth Progress = "both"   // it called with the old one after it had the new one
	Moved  Progress = "moved"  // it calls with the new one
	Unsure Progress = "unsure" // it fell silent, and may be one that calls with the new one: see moves
	Quiet  Progress = "quiet"  // it has not called for as long as the gate asks, and was not seen on the new one
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
	met, words := callersWords(v.Moves)
	add("callers", met, words, "Move the callers that are left.")
	add("sign_off", !i.SignedAt.IsZero(), "A member signed off.", "Sign off: say that it can go.")
	g.Open = !slices.ContainsFunc(g.Conditions, func(c Condition) bool { return !c.Met })
	return g
}

// callersWords says whether no caller is left, and what isn't certain about that.
func callersWords(list []Move) (met bool, words string) {
	n := map[Progress]int{}
	for k := range list {
		n[list[k].State]++
	}
	if still := n[OnOld] + n[OnBoth]; still > 0 {
		return false, fmt.Sprintf("%s still %s the old token.", count(int64(still), "caller"), verbs(still, "uses", "use"))
	}
	words = "Every caller has moved."
	if n[Quiet]+n[Unsure] > 0 {
		words = "No caller is left."
	}
	if k := n[Quiet]; k > 0 {
		words += fmt.Sprintf(" %s went quiet and %s not seen on a new key.", count(int64(k), "caller"), verbs(k, "was", "were"))
	}
	if k := n[Unsure]; k > 0 {
		words += fmt.Sprintf(" %s may have moved: another program at the same address has the new key, or two of one name do.", count(int64(k), "caller"))
	}
	if n[Quiet]+n[Unsure] > 0 {
		words += " Whoever signs off says that this is right."
	}
	return true, words
}

// quietDays is how long silence must last to say something.
func quietDays(f *Facts) int {
	days := map[string]int{"weekly": quietDaysWeekly, "monthly": quietDaysMonthly}[f.Seen.Rhythm.Kind]
	if days == 0 || len(f.Moves) > 0 && !slices.ContainsFunc(f.Moves, func(m Move) bool { return m.State != Moved }) {
		return QuietDays
	}
	return days
}
