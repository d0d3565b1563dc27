package workbench

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
)

// To is what takes the place of an old credential.
type To string

// The paths. An admin decides; these are what is proposed.
const (
	ToServiceKey To = "service_key" // it reads and writes data
	ToApp        To = "app"         // it does what only an app may
	ToRetire     To = "retire"      // nobody uses it
	ToUnclear    To = "unclear"     // there is too little to say
)

// Path is the proposal for one credential, with its reasons and with what an admin
// should know of it whichever path it takes.
type Path struct {
	To      To
	Reasons []string
	Notes   []Note
}

// Note is something worth knowing of a credential.
type Note struct {
	Code string // in_address, weak, shared, two_places, refused, unknown_operations
	Text string
}

// What the rules go by.
const (
	silentAfter  = 60 * 24 * time.Hour // without a call: switch off
	watchFor     = 7 * 24 * time.Hour  // under which there is too little to say
	fewCalls     = 10
	unknownShare = 20 // more than one call in so many outside the catalogs leaves it unclear
)

// appWords stand in the paths of operations that belong to apps, where no catalog says so.
var appWords = []string{"webhooks", "subscriptions", "integrators", "extensions", "timeline", "oauth", "callbacks", "app-install", "ui-extensions", "marketplace"}

// Recommend proposes a path for what was seen of a credential between two times.
func Recommend(i *Item, from, to time.Time) Path {
	p := Path{Notes: notes(i)}
	worked := i.Calls - i.Refused
	silent := to.Sub(i.Last)
	seen := to.Sub(from)
	switch app, unknown := appOperation(i), unknownCalls(i); {
	case worked == 0:
		p.To = ToUnclear
		if seen >= watchFor {
			p.To = ToRetire
		}
		p.Reasons = append(p.Reasons, fmt.Sprintf("All of its %s were refused: whatever uses it has not worked since %s.", count(i.Calls, "call"), date(i.First)))
	case silent >= silentAfter:
		p.To = ToRetire
		p.Reasons = append(p.Reasons, fmt.Sprintf("No call for %d days: the last one came on %s.", int(silent.Hours()/24), date(i.Last)))
	case app != nil:
		p.To = ToApp
		why := "which belongs to apps"
		if app.Known() {
			why = "which the API does not open to service keys"
		}
		p.Reasons = append(p.Reasons, fmt.Sprintf("It calls %s %s (%s), %s.", app.Method, app.Path, count(app.Calls, "time"), why))
	case unknown*unknownShare > i.Calls:
		p.To = ToUnclear
		p.Reasons = append(p.Reasons, fmt.Sprintf("%d of its %s go to operations that no API description has. Load the description, or look at the paths.", unknown, count(i.Calls, "call")))
	case i.Calls < fewCalls && i.Rhythm.Kind != "monthly" && i.Rhythm.Kind != "weekly" && i.Rhythm.Kind != "daily":
		p.To = ToUnclear
		p.Reasons = append(p.Reasons, fmt.Sprintf("Only %s, %s: watch it for 7 days more, or ask who uses it.", count(i.Calls, "call"), i.Rhythm.Words))
	case to.Sub(i.First) < watchFor && seen >= watchFor:
		p.To = ToUnclear
		p.Reasons = append(p.Reasons, fmt.Sprintf("It was first seen on %s: watch it until there are 7 days.", date(i.First)))
	default:
		p.To = ToServiceKey
		p.Reasons = append(p.Reasons, fmt.Sprintf("It %s data and nothing else: %s, %s.", verb(i), count(int64(len(i.Operations)), "operation"), i.Rhythm.Words))
	}
	return p
}

func verb(i *Item) string {
	if slices.ContainsFunc(i.Operations, func(o OperationUse) bool { return o.Writes && o.OK > 0 }) {
		return "reads and writes"
	}
	return "reads"
}

// appOperation is the operation that a service key can't do and this credential did most, or nil.
func appOperation(i *Item) *OperationUse {
	for k := range i.Operations {
		o := &i.Operations[k]
		if o.OK == 0 {
			continue
		}
		if o.Known() {
			if !o.Public && o.Kinds != 0 && !o.Kinds.Has(postern.KindServiceKey) {
				return o
			}
			continue
		}
		for _, seg := range strings.Split(strings.ToLower(o.Path), "/") {
			if slices.Contains(appWords, seg) {
				return o
			}
		}
	}
	return nil
}

// unknownCalls counts the calls outside the catalogs, where there are catalogs.
func unknownCalls(i *Item) (n int64) {
	known := false
	for k := range i.Operations {
		o := &i.Operations[k]
		known = known || o.Known()
		if !o.Known() && o.OK > 0 {
			n += o.Calls
		}
	}
	if !known {
		return 0
	}
	return n
}

func notes(i *Item) (out []Note) {
	add := func(code, format string, args ...any) { out = append(out, Note{code, fmt.Sprintf(format, args...)}) }
	if i.InAddress > 0 {
		add("in_address", "%s put the secret into the address, where every log on the way keeps it.", count(i.InAddress, "call"))
	}
	if i.Weak {
		add("weak", "The secret is short enough to be guessed.")
	}
	if tools := products(i.Callers); len(tools) > 1 {
		add("shared", "%d tools share it: %s. Give each a key of its own, so that one can be stopped without the others.", len(tools), strings.Join(tools, ", "))
	}
	if a, b, ok := twoPlaces(i); ok {
		add("two_places", "It is used from two networks by unlike clients at the same time: %s and %s. If one of them isn't yours, replace the secret now.", a, b)
	}
	if i.Refused*10 > i.Calls && i.Refused < i.Calls {
		add("refused", "%d of its %s were refused.", i.Refused, count(i.Calls, "call"))
	}
	return out
}

// product is the name that a user agent begins with: "python-requests/2.31" is python-requests.
func product(agent string) string {
	name, _, _ := strings.Cut(agent, "/")
	name, _, _ = strings.Cut(name, " ")
	return name
}

// products are the tools that each make a twentieth of the calls or more, by calls.
func products(callers []Caller) []string {
	var total int64
	calls := map[string]int64{}
	for _, c := range callers {
		if p := product(c.UserAgent); p != "" {
			calls[p] += c.Calls
			total += c.Calls
		}
	}
	var out []string
	for p, n := range calls {
		if n*20 >= total {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return int(calls[b]-calls[a]) + strings.Compare(a, b) })
	return out
}

// twoPlaces finds two clients of different names in networks far apart that were
// active in the same time: one place and a second one that somebody else could be at.
func twoPlaces(i *Item) (string, string, bool) {
	for x := range i.Callers {
		for y := x + 1; y < min(len(i.Callers), 20); y++ {
			a, b := &i.Callers[x], &i.Callers[y]
			if !a.IP.IsValid() || !b.IP.IsValid() || near(a.IP, b.IP) || product(a.UserAgent) == product(b.UserAgent) {
				continue
			}
			if a.First.Before(b.Last) && b.First.Before(a.Last) {
				return a.IP.String(), b.IP.String(), true
			}
		}
	}
	return "", "", false
}

// near reports whether two addresses are in the same /16, or /32 of IPv6.
func near(a, b netip.Addr) bool {
	if a.Is4() != b.Is4() {
		return false
	}
	bits := 32
	if a.Is4() {
		bits = 16
	}
	p, err := a.Prefix(bits)
	return err == nil && p.Contains(b)
}

func count(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006") }
