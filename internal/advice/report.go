package advice

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
)

// Kind is what a finding is about.
type Kind string

// The kinds of findings, in the order of their weight.
const (
	KindIdle       Kind = "idle_key"          // no call in the window
	KindUnused     Kind = "unused_scopes"     // scopes that no call needed
	KindWrite      Kind = "write_never_used"  // write scopes, where reading is all that was done
	KindNarrower   Kind = "narrower_scope"    // a scope that opens less would do
	KindNoExpiry   Kind = "no_expiry"         // the key never ends
	KindNoNetworks Kind = "no_ip_list"        // works from anywhere, and is used from few networks
	KindOldSecret  Kind = "old_secret"        // not rotated for long
	KindMaker      Kind = "maker_rights"      // its maker may no longer do what the key may
	KindNoHolder   Kind = "no_current_holder" // a scope in use that nobody in the account could grant
)

// Kinds lists every kind of finding.
func Kinds() []Kind {
	return []Kind{KindIdle, KindUnused, KindWrite, KindNarrower, KindNoExpiry, KindNoNetworks, KindOldSecret, KindMaker, KindNoHolder}
}

// points is what each kind takes from a key's score. Those that can be found of
// one key at once come to at most 100: an idle key has none about its scopes or networks.
var points = map[Kind]int{KindIdle: 40, KindUnused: 25, KindWrite: 15, KindNarrower: 15, KindNoExpiry: 15, KindNoNetworks: 10,
	KindOldSecret: 10, KindMaker: 5, KindNoHolder: 5}

// FixKind is how a finding is put right.
type FixKind string

// The fixes.
const (
	FixNarrow FixKind = "narrow" // set the scopes, the IP list or the expiry; can be undone
	FixPause  FixKind = "pause"  // can be undone
	FixRotate FixKind = "rotate" // gives a new secret, which someone must put in place
	FixReview FixKind = "review" // someone looks at the key and says that it may stay
	FixPeople FixKind = "people" // a member needs a role
)

// Fix is the exact change that puts a finding right. What is nil stays as it is.
type Fix struct {
	Kind      FixKind
	Scopes    *[]postern.Scope // all that the key then has
	Remove    []postern.Scope  // what that takes away
	Add       []postern.Scope  // and what it gives
	Networks  *[]netip.Prefix
	ExpiresAt time.Time
}

// Finding is one thing that could be better, what it is known by, and its fix.
type Finding struct {
	Kind     Kind
	Points   int // that the score rises by when the fix is made
	Title    string
	Evidence string
	FixWords string
	Fix      Fix
	// Dismissed is when someone put it aside; zero where nobody did. It counts all the same.
	Dismissed   time.Time
	DismissedBy postern.MemberID
}

// Facts are all that the rules about one key look at.
type Facts struct {
	Key     postern.ServiceKey
	Now     time.Time
	Since   time.Time // from when on calls were looked at
	Needs   []Need
	Callers []Caller
	// Moments are the exact times of the hours that needs have, as far as they are known.
	Moments []Moment
	// Partial says that there was more than could be looked at, so that nothing is said of what wasn't seen.
	Partial bool
	// LastUse is of the latest allowed call ever; zero where there was none.
	LastUse time.Time
	// Granted says since when a key has a scope, where that is later than the key.
	Granted map[postern.Scope]time.Time
	// Unheld are the scopes of the key that no member could grant.
	Unheld []postern.Scope
	Policy postern.Policy
	// Dismissed are the findings that were put aside.
	Dismissed map[Kind]Dismissal
}

// Dismissal is a finding put aside.
type Dismissal struct {
	At time.Time
	By postern.MemberID
	// What is the fix that was put aside; another one is told anew.
	What string
}

// Report is the advice on one key.
type Report struct {
	Key      postern.ServiceKey
	At       time.Time
	Since    time.Time // calls from here on were looked at
	Days     int       // of history
	Wait     bool      // too few days to say what wasn't needed
	Partial  bool
	Calls    int64 // allowed ones in the window
	Unknown  int64 // of them, those that no scope of today explains
	Exact    bool  // whether the set of scopes in use is proven to be the least
	Scopes   []ScopeUse
	Findings []Finding
}

// Lost is what the findings take from the score.
func (r *Report) Lost() (n int) {
	for i := range r.Findings {
		n += r.Findings[i].Points
	}
	return n
}

// Score is 100 without findings, and for each one its points less.
func (r *Report) Score() int { return 100 - r.Lost() }

// Finding finds one by its kind.
func (r *Report) Finding(k Kind) (*Finding, bool) {
	for i := range r.Findings {
		if r.Findings[i].Kind == k {
			return &r.Findings[i], true
		}
	}
	return nil, false
}

// Look makes the report on a key.
func Look(w *World, f *Facts) *Report {
	r := &Report{Key: f.Key, At: f.Now, Since: later(f.Since, f.Key.CreatedAt), Partial: f.Partial}
	r.Days = int(f.Now.Sub(r.Since) / day)
	r.Wait = r.Days < FairHistory
	u := w.explain(f.Key.Scopes, f.Needs)
	r.Scopes, r.Calls, r.Unknown, r.Exact = u.scopes, u.allowed, u.unknown, u.exact
	r.states(f, &u)
	if !f.Key.Ended() {
		r.find(w, f, &u)
	}
	for i := range r.Findings {
		r.Findings[i].putAside(f)
	}
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// states fills in what became of each scope.
func (r *Report) states(f *Facts, u *use) {
	for i := range r.Scopes {
		s := &r.Scopes[i]
		s.Granted = later(f.Granted[s.Scope], f.Key.CreatedAt)
		s.sharpen(f.Moments)
		quiet := monthlyIdle
		if !s.Monthly {
			quiet = idleAfter
		}
		switch {
		case strings.HasPrefix(string(s.Scope), postern.OwnScopes):
			s.State = NotCounted
		case s.Calls == 0 && (r.Wait || f.Partial):
			s.State = Unknown
		case s.Calls == 0 && f.Now.Sub(s.Granted) < FairHistory*day:
			s.State = TooNew
		case s.Calls == 0:
			s.State = Unused
		default:
			s.Idle = max(0, int(f.Now.Sub(s.Last)/day))
			if s.State == Replace {
				s.Instead = u.adds
			} else if s.State = InUse; s.Idle >= quiet {
				s.State = Idle
			}
		}
	}
}

func (r *Report) find(w *World, f *Facts, u *use) {
	switch {
	case r.Wait || f.Partial:
	case r.Calls == 0:
		if r.Days >= idleAfter && f.Key.PausedAt.IsZero() {
			r.idle(f)
		}
	default:
		r.access(w, f, u)
		r.networks(f)
	}
	if f.Key.ExpiresAt.IsZero() {
		end := expiry(&f.Policy, f.Now)
		r.add(KindNoExpiry, "It never ends", "A key without an end works for whoever finds its secret, for ever.",
			fmt.Sprintf("Let it end on %s. Its people are told before.", end.Format("2 January 2006")), Fix{Kind: FixNarrow, ExpiresAt: end})
	}
	if age := f.Policy.RemindAge; age > 0 {
		if days := int(f.Now.Sub(f.Key.Current.MadeAt) / day); days >= age {
			r.add(KindOldSecret, "Its secret is old", fmt.Sprintf("The secret was made %d days ago; your policy asks for a new one after %d.", days, age),
				"Rotate it. Both secrets work for a while, so nothing stops.", Fix{Kind: FixRotate})
		}
	}
	if !f.Key.FlaggedAt.IsZero() {
		r.add(KindMaker, "Its maker's rights shrank", f.Key.FlaggedWhy, "Look at what it may do, and say that it may stay so.", Fix{Kind: FixReview})
	}
	var unheld []postern.Scope
	for _, s := range f.Unheld {
		if slices.ContainsFunc(r.Scopes, func(u ScopeUse) bool { return u.Scope == s && (u.State == InUse || u.State == Idle) }) {
			unheld = append(unheld, s)
		}
	}
	if len(unheld) > 0 {
		r.add(KindNoHolder, "Nobody could grant what it uses", fmt.Sprintf("No member holds %s. If the key is lost, nobody can make another.", names(unheld)),
			"Give a member a role that holds "+names(unheld)+".", Fix{Kind: FixPeople, Add: unheld})
	}
}

// expiry is the end that is proposed: the latest that the policy allows, at most a year ahead.
func expiry(p *postern.Policy, now time.Time) time.Time {
	end := now.AddDate(1, 0, 0)
	if l := p.Latest(now); !l.IsZero() && l.Before(end) {
		end = l
	}
	y, m, d := end.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func (r *Report) add(k Kind, title, evidence, fixWords string, fix Fix) {
	r.Findings = append(r.Findings, Finding{Kind: k, Points: points[k], Title: title, Evidence: evidence, FixWords: fixWords, Fix: fix})
}

func (r *Report) idle(f *Facts) {
	why := fmt.Sprintf("It was allowed no call in the last %d days.", r.Days)
	if f.LastUse.IsZero() {
		why = fmt.Sprintf("It was never used in the %d days that we have watched.", r.Days)
	}
	r.add(KindIdle, "Nobody uses it", why, "Pause it. Nothing is lost, and you can let it go on at any time.", Fix{Kind: FixPause})
}

func (r *Report) networks(f *Facts) {
	if len(f.Key.Networks) > 0 {
		return
	}
	list, ok := FewNetworks(f.Callers, f.Now)
	if !ok {
		return
	}
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = network(n)
	}
	r.add(KindNoNetworks, "It works from anywhere", fmt.Sprintf("All %d calls of the last %d days came from %s.", r.Calls, r.Days, strings.Join(texts, ", ")),
		"Let it work only from there.", Fix{Kind: FixNarrow, Networks: &list})
}

// network is a network as people write it: a single address without its length.
func network(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}

// access finds what the key may do and doesn't need to.
func (r *Report) access(w *World, f *Facts, u *use) {
	parts := r.parts(w, u)
	if len(parts) > 1 && !separate(w, f, parts) {
		// One depends on another: they are one change, to the least that explains all calls.
		all := part{kind: KindNarrower}
		for _, p := range parts {
			all.remove, all.add, all.points = append(all.remove, p.remove...), append(all.add, p.add...), all.points+p.points
		}
		parts = []part{all}
	}
	for _, p := range parts {
		r.accessFinding(p)
	}
}

// part is one change of what a key may do.
type part struct {
	kind        Kind
	points      int
	remove, add []postern.Scope
}

func (p *part) of(granted []postern.Scope) []postern.Scope {
	out := slices.DeleteFunc(slices.Clone(granted), func(s postern.Scope) bool { return slices.Contains(p.remove, s) })
	return postern.SortScopes(append(out, p.add...))
}

// parts are the changes that take away what the window's calls didn't need.
func (r *Report) parts(w *World, u *use) (out []part) {
	unused := part{kind: KindUnused, points: points[KindUnused]}
	write := part{kind: KindWrite, points: points[KindWrite]}
	narrow := part{kind: KindNarrower, points: points[KindNarrower], add: u.adds}
	for i := range r.Scopes {
		switch s := &r.Scopes[i]; {
		case s.State == Replace:
			narrow.remove = append(narrow.remove, s.Scope)
		case s.State != Unused:
		case w.writes(s.Scope) && r.reads(w, s.Scope):
			write.remove = append(write.remove, s.Scope)
		default:
			unused.remove = append(unused.remove, s.Scope)
		}
	}
	for _, p := range []part{unused, write, narrow} {
		if len(p.remove) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// reads reports whether a scope beside s, of the same group and for reading, is in use.
func (r *Report) reads(w *World, s postern.Scope) bool {
	of := w.info[s]
	return slices.ContainsFunc(r.Scopes, func(u ScopeUse) bool {
		i := w.info[u.Scope]
		return (u.State == InUse || u.State == Idle) && i.Access == postern.AccessRead && i.Upstream == of.Upstream && i.Group == of.Group
	})
}

// separate reports whether each part can be followed alone, and leaves the others as they are.
func separate(w *World, f *Facts, parts []part) bool {
	for i := range parts {
		after := *f
		after.Key.Scopes = parts[i].of(f.Key.Scopes)
		u := w.explain(after.Key.Scopes, f.Needs)
		r := &Report{Scopes: u.scopes}
		r.Days, r.Wait = FairHistory, false
		r.states(&after, &u)
		got := r.parts(w, &u)
		if len(got) != len(parts)-1 {
			return false
		}
		for _, p := range parts {
			if p.kind == parts[i].kind {
				continue
			}
			if !slices.ContainsFunc(got, func(q part) bool {
				return q.kind == p.kind && slices.Equal(q.remove, p.remove) && slices.Equal(q.add, p.add)
			}) {
				return false
			}
		}
	}
	return true
}

func (r *Report) accessFinding(p part) {
	after := p.of(r.Key.Scopes)
	fix := Fix{Kind: FixNarrow, Scopes: &after, Remove: p.remove, Add: p.add}
	n := count(len(p.remove), "scope")
	switch p.kind {
	case KindUnused:
		r.add(p.kind, "It has "+n+" that it doesn't use", fmt.Sprintf("None of its %d calls of the last %d days needed %s.", r.Calls, r.Days, names(p.remove)),
			"Remove "+n+".", fix)
	case KindWrite:
		r.add(p.kind, "It can write, and only reads", fmt.Sprintf("None of its %d calls of the last %d days needed %s.", r.Calls, r.Days, names(p.remove)),
			"Remove "+n+".", fix)
	default:
		if len(p.add) == 0 {
			r.add(p.kind, "It can do more than it needs", fmt.Sprintf("Its %d calls of the last %d days can do without %s.", r.Calls, r.Days, names(p.remove)),
				"Remove "+n+".", fix)
		} else {
			r.add(p.kind, "A narrower scope would do", fmt.Sprintf("All that its calls of the last %d days needed of %s is in %s.", r.Days, names(p.remove), names(p.add)),
				fmt.Sprintf("Replace %s by %s.", names(p.remove), names(p.add)), fix)
		}
	}
	r.Findings[len(r.Findings)-1].Points = p.points
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func names(list []postern.Scope) string {
	texts := make([]string, 0, len(list))
	for i, s := range list {
		if i == 5 && len(list) > 6 {
			texts = append(texts, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		texts = append(texts, string(s))
	}
	if n := len(texts); n > 1 {
		return strings.Join(texts[:n-1], ", ") + " and " + texts[n-1]
	}
	return strings.Join(texts, "")
}

// again is how long before its end a key is told once more of what was put aside.
const again = 30 * day

// What tells one fix from another of the same kind.
func (f *Finding) What() string {
	return fmt.Sprint(f.Fix.Kind, f.Fix.Remove, f.Fix.Add, f.Fix.Networks)
}

// putAside notes that someone put the finding aside, unless the fix is another by
// now, or the key's end has come near.
func (f *Finding) putAside(of *Facts) {
	d, ok := of.Dismissed[f.Kind]
	if !ok || d.What != f.What() {
		return
	}
	if end := of.Key.ExpiresAt; !end.IsZero() && !of.Now.Before(end.Add(-again)) && d.At.Before(end.Add(-again)) {
		return
	}
	f.Dismissed, f.DismissedBy = d.At, d.By
}

// Score is that of an account: of all its keys together.
type Score struct {
	Keys int
	Lost int // points of all keys
}

// Value is the score: 100 without findings. Each point of a key is worth its part of it.
func (s Score) Value() float64 {
	if s.Keys == 0 {
		return 100
	}
	return 100 - float64(s.Lost)/float64(s.Keys)
}

// Part is what a number of points of one key is worth in it.
func (s Score) Part(points int) float64 { return float64(points) / float64(max(s.Keys, 1)) }
