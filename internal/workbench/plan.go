package workbench

import (
	"fmt"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Stage is how far an old credential has come. It is computed from facts, and never stored.
type Stage string

// The stages, in their order.
const (
	Found        Stage = "found"
	PathChosen   Stage = "path_chosen"
	ScopesMapped Stage = "scopes_mapped"
	BothRunning  Stage = "both_running"
	SwitchedOff  Stage = "switched_off"
)

// Stages are all of them, with their names and what they mean.
func Stages() []struct {
	ID          Stage
	Name, Words string
} {
	return []struct {
		ID          Stage
		Name, Words string
	}{
		{Found, "Found", "Nothing is decided yet."},
		{PathChosen, "Path chosen", "Key, app, or switch it off."},
		{ScopesMapped, "Scopes mapped", "The new key is ready to use."},
		{BothRunning, "Both running", "Old and new side by side."},
		{SwitchedOff, "Switched off", "Old token gone, kept in the audit log."},
	}
}

// Facts are all that is known of one item at a time.
type Facts struct {
	Item   store.MigrationItem
	Legacy *postern.LegacyCredential // nil where it is only known from an inventory
	New    *postern.ServiceKey       // nil where it has no replacement yet
	Now    time.Time

	Seen     Item // what it did
	SeenDays int  // for how many days it has been watched
	Live     bool // Seen is from traffic through Postern, and not from an upload alone
	Week     int64
	NewWeek  int64
	NewFirst time.Time
	NewLast  time.Time
	Moves    []Move
	Partial  bool // there was no time to look at its calls: only what is cheap to know is told
}

// View is an item as people see it.
type View struct {
	Facts
	ID        string // of the item, or of its credential where nothing was decided yet
	Stage     Stage
	Path      To   // decided, or empty
	Proposal  Path // what is proposed
	Checks    []Check
	Next      string // what to do next, in words
	Gate      Gate
	Full      bool // it may do everything
	InAddress bool
	Share     int // of 100 calls in 7 days, on the new key
	Left      int // callers that still use the old one
}

// Check is one point of an item's checklist.
type Check struct {
	State string // done, now or todo
	Name  string
	Words string
}

// Stand works out how an item stands: pure.
func Stand(f *Facts) *View {
	v := &View{Facts: *f, ID: f.Item.ID, Path: To(f.Item.Path), Proposal: propose(f)}
	if v.ID == "" {
		v.ID = string(f.Item.Key)
	}
	v.Full = f.Legacy != nil && f.Legacy.AllScopes
	v.InAddress = f.Seen.InAddress > 0 || f.Legacy != nil && !f.Legacy.InAddressAt.IsZero()
	if total := f.Week + f.NewWeek; total > 0 {
		v.Share = int(f.NewWeek * 100 / total)
	}
	for i := range f.Moves {
		if f.Moves[i].State.Still() {
			v.Left++
		}
	}
	v.Stage = stage(f)
	v.Gate = gate(v)
	v.Checks = checks(v)
	v.Next = next(v)
	return v
}

func stage(f *Facts) Stage {
	i := &f.Item
	switch {
	case !i.ArchivedAt.IsZero() || !i.EndedAt.IsZero(), f.Legacy != nil && f.Legacy.State(f.Now) == postern.LegacyEnded:
		return SwitchedOff
	case i.NewKey != "" && !f.NewFirst.IsZero():
		return BothRunning
	case i.NewKey != "", !i.ScopesAt.IsZero():
		return ScopesMapped
	case i.Path != "":
		return PathChosen
	}
	return Found
}

// propose is the path that is proposed for what was seen.
func propose(f *Facts) Path {
	if f.Seen.Calls > 0 {
		return Recommend(&f.Seen, f.Now.AddDate(0, 0, -f.SeenDays), f.Now)
	}
	if f.SeenDays >= int(silentAfter/(24*time.Hour)) {
		return Path{To: ToRetire, Reasons: []string{fmt.Sprintf("No call in the %d days since it was imported.", f.SeenDays)}}
	}
	return Path{To: ToUnclear, Reasons: []string{"No call was seen yet: watch it for 7 days, or ask who uses it."}}
}

// watched says for how long something has been watched of the 7 days that it takes.
func watched(f *Facts) string {
	if f.SeenDays >= 7 {
		return fmt.Sprintf("No call in %s of watching.", count(int64(f.SeenDays), "day"))
	}
	return fmt.Sprintf("Watch its calls for 7 days. %s in.", count(int64(f.SeenDays), "day"))
}

func checks(v *View) []Check {
	f, i := &v.Facts, &v.Item
	off := v.Stage == SwitchedOff
	list := []Check{
		{Name: "Found", Words: foundWords(f)},
		{Name: "Path: " + pathName(v.Path), Words: pathWords(v)},
		scopesCheck(v), keyCheck(v), bothCheck(v),
		{Name: "Switch the old token off", Words: "We pause it for 3 days first. One click brings it back."},
	}
	done := []bool{
		f.Seen.Calls > 0 || f.SeenDays >= 7 || i.Path != "", i.Path != "" && v.Path != ToUnclear,
		!i.ScopesAt.IsZero() || i.NewKey != "" || i.Path != "" && v.Path != ToServiceKey,
		!f.NewFirst.IsZero() || i.Path != "" && v.Path != ToServiceKey && i.NewKey == "",
		i.Path != "" && v.Gate.quiet(), !i.EndedAt.IsZero(),
	}
	if !i.ArchivedAt.IsZero() {
		list[5].Words = "It is paused since " + date(i.ArchivedAt) + ". It can be brought back until " + i.UndoUntil.UTC().Format("2 January 2006 at 15:04 MST") + "."
	}
	if !i.EndedAt.IsZero() || off && i.ArchivedAt.IsZero() {
		list[5].Name, list[5].Words, done[5] = "Switched off", "It ended for good. What it did stays in the audit log.", true
	}
	now := true
	for k := range list {
		switch {
		case done[k] || off && k < 5:
			list[k].State = "done"
		case now:
			list[k].State, now = "now", false
		default:
			list[k].State = "todo"
		}
	}
	return list
}

func foundWords(f *Facts) string {
	if f.Seen.Calls == 0 {
		return watched(f)
	}
	return fmt.Sprintf("%s of calls seen: %s, %s.", count(int64(max(1, f.SeenDays)), "day"), count(int64(len(f.Seen.Operations)), "endpoint"), f.Seen.Rhythm.Words)
}

func pathName(to To) string {
	switch to {
	case ToServiceKey:
		return "a service key"
	case ToApp:
		return "an app"
	case ToRetire:
		return "switch it off"
	}
	return "to be decided"
}

func pathWords(v *View) string {
	if v.Item.PathWhy != "" {
		return v.Item.PathWhy
	}
	p := v.Proposal
	if v.Path == "" {
		return "Proposed: " + pathName(p.To) + ". " + firstOf(p.Reasons)
	}
	return firstOf(p.Reasons)
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func scopesCheck(v *View) Check {
	c := Check{Name: "Map its scopes"}
	switch n := int64(len(v.Item.Scopes)); {
	case v.Path == ToApp:
		c.Name, c.Words = "Scopes mapped", "The app asks for its own scopes."
	case v.Path == ToRetire:
		c.Name, c.Words = "Scopes mapped", "Nothing takes its place, so it needs none."
	case !v.Item.ScopesAt.IsZero():
		c.Name = "Scopes mapped"
		if v.Full {
			c.Words = "It had access to everything. It needs " + count(n, "scope") + "."
		} else {
			c.Words = "It needs " + count(n, "scope") + "."
		}
	default:
		c.Words = fmt.Sprintf("Its calls need %s.", count(int64(len(v.Seen.Scopes)), "scope"))
	}
	return c
}

func keyCheck(v *View) Check {
	c := Check{Name: "Give the new secret to its tool"}
	switch {
	case v.Path == ToRetire:
		c.Name, c.Words = "No new key", "Nothing takes its place."
	case v.Path == ToApp && v.Item.NewKey == "":
		c.Name, c.Words = "The app takes over", "Build and install the app, and move its webhooks. Then the old token goes quiet."
		if v.Item.MovedTo != "" {
			c.Words = "It moved to: " + v.Item.MovedTo
		}
	case v.New == nil:
		c.Words = "Make the key. Its secret is shown once; paste it into the tool."
	case v.NewFirst.IsZero():
		c.Words = "The key " + v.New.Name + " is ready. Paste its secret into the tool. We watch for its first call."
	default:
		c.Name, c.Words = "New secret in use", "The key "+v.New.Name+" was first used on "+date(v.NewFirst)+"."
	}
	return c
}

func bothCheck(v *View) Check {
	c := Check{Name: fmt.Sprintf("Run both for %d days", v.Gate.Days), Words: "The clock starts when the old token goes quiet."}
	if v.Path == ToRetire {
		c.Name = fmt.Sprintf("Quiet for %d days", v.Gate.Days)
	}
	if v.Gate.Quiet > 0 {
		c.Words = fmt.Sprintf("Quiet for %d of %d days.", min(v.Gate.Quiet, v.Gate.Days), v.Gate.Days)
	}
	return c
}

// next is the one thing to do about an item.
func next(v *View) string {
	i := &v.Item
	switch {
	case v.Stage == SwitchedOff && i.EndedAt.IsZero() && !i.ArchivedAt.IsZero():
		if v.Now.Before(i.UndoUntil) {
			return "Can be brought back until " + i.UndoUntil.UTC().Format("2 January at 15:04 MST") + "."
		}
		return "Ends for good within a minute."
	case v.Stage == SwitchedOff:
		return "Nothing left to do."
	case v.Legacy == nil:
		return "Import it, so that its calls go through Postern."
	case len(i.Forgotten) > 0 && v.Left > 0:
		return "A brownout met " + i.Forgotten[0] + ". Give it the new secret."
	case i.Path == "" && v.Proposal.To == ToUnclear && v.SeenDays < 7:
		return watched(&v.Facts)
	case i.Path == "" && i.Owner == "":
		return "Name an owner."
	case i.Path == "" || v.Path == ToUnclear:
		if v.Proposal.To == ToUnclear {
			return "Ask who uses it, then choose its path."
		}
		return "Choose its path. Proposed: " + pathName(v.Proposal.To) + "."
	case v.Path == ToServiceKey && i.NewKey == "" && i.ScopesAt.IsZero():
		return fmt.Sprintf("Map %s.", count(int64(len(v.Seen.Scopes)), "scope"))
	case v.Path == ToServiceKey && i.NewKey == "":
		return "Make the new key."
	case i.NewKey != "" && v.NewFirst.IsZero():
		return "Paste the new secret into its tool."
	case v.Path == ToApp && !v.Gate.quiet() && i.NewKey == "" && i.MovedTo == "":
		return "Create the app, and move what it does."
	case !v.Gate.quiet() && v.Left > 0:
		if v.Path == ToRetire || i.NewKey == "" {
			return count(int64(v.Left), "caller") + " still " + verbs(v.Left, "uses", "use") + " it. Ask them, or schedule a brownout."
		}
		return fmt.Sprintf("%d%% on the new key. %s left.", v.Share, count(int64(v.Left), "caller"))
	case !v.Gate.quiet():
		return fmt.Sprintf("Quiet for %d of %d days.", min(v.Gate.Quiet, v.Gate.Days), v.Gate.Days)
	}
	for _, c := range v.Gate.Conditions {
		if !c.Met {
			return c.Fix
		}
	}
	return "Switch it off."
}

func verbs(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
