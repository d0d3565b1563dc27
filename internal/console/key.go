package console

import (
	"html/template"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store"
)

// keyRoutes are the page of one key. What is done to it is in key_edit.go,
// key_stop.go and rotate.go.
func (c *Console) keyRoutes() []route {
	read := []postern.Permission{postern.PermKeysRead}
	routes := []route{
		{Pattern: "GET /keys/{id}", Serve: c.showKey, Need: read},
		{Pattern: "GET /keys/{id}/callers", Serve: c.showAddresses, Need: []postern.Permission{postern.PermActivityRead}},
		{Pattern: "GET /keys/{id}/callers.csv", Serve: c.downloadAddresses, Need: []postern.Permission{postern.PermActivityRead}},
		{Pattern: "GET /keys/{id}/receipt", Serve: c.showReceipt, Need: read},
	}
	routes = append(routes, c.keyEditRoutes()...)
	routes = append(routes, c.keyStopRoutes()...)
	return append(routes, c.rotateRoutes()...)
}

const (
	callersSince = 30 * 24 * time.Hour
	newCaller    = 7 * 24 * time.Hour
	typedWithin  = 30 * 24 * time.Hour // a key that was used within this takes typing to delete
)

// keyHead is what all pages of one key hold: the key, and what its dialogs ask.
type keyHead struct {
	Common
	K        postern.ServiceKey
	State    keyState
	Team     string
	F        *form
	Revision int64
	Conflict *keyConflict
	Dialogs  bool // the forms are shown as dialogs of the key's page
	Live     bool // the key has not ended
	Paused   bool
	Rotating bool
	Use      activity.Use
	Week     int64  // calls in 7 days
	InUse    bool   // called within 30 days
	Typed    string // what must be typed to delete it
	Leak     *postern.LeakReport
}

// keyConflict is a change that someone else made meanwhile.
type keyConflict struct {
	Who string
	At  time.Time
	Did string
}

// Link is an address under the key's own.
func (h *keyHead) Link(part string) string {
	if part == "" {
		return "/keys/" + string(h.K.ID)
	}
	return "/keys/" + string(h.K.ID) + "/" + part
}

// Tab is the address of a tab of the key's page.
func (h *keyHead) Tab(name string) string { return link(h.Link(""), "tab", name) }

// keyOf reads the key that the address names, and begins a page of it.
func (c *Console) keyOf(v *visit, title string) (*keySnap, keyHead, error) {
	ctx := v.r.Context()
	k, err := c.kr.Key(ctx, v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return nil, keyHead{}, err
	}
	c.cfg.Activity.Settle(ctx)
	s, err := c.snapshot(ctx, v.by.AccountID)
	if err != nil {
		return nil, keyHead{}, err
	}
	h := keyHead{K: k, State: s.state(&k, v.now, v.zone), F: newForm(), Revision: k.Revision, Use: s.uses[k.ID]}
	h.Live = h.State.Rank != rankEnded
	h.Paused, h.Rotating = !k.PausedAt.IsZero(), k.Rotating(v.now)
	if h.Leak, err = c.leakOf(v, k.ID); err != nil {
		return nil, h, err
	}
	if title == "" {
		title = k.Name
		h.Common = v.common(title, "/keys", crumb{Name: "Development"}, crumb{"Service keys", "/keys"})
	} else {
		h.Common = v.common(title+" "+k.Name, "/keys", crumb{"Service keys", "/keys"}, crumb{k.Name, h.Link("")})
	}
	if k.TeamID != "" {
		name, err := c.cfg.DB.Team(ctx, v.by.AccountID, k.TeamID)
		if err != nil && ours(err) {
			return nil, h, err
		}
		h.Team = name
	}
	week, err := c.cfg.Activity.Series(ctx, activity.Subject{Account: v.by.AccountID, Key: k.ID}, v.now.Add(-7*24*time.Hour), v.now.Add(time.Hour), 24*time.Hour)
	if err != nil {
		return nil, h, err
	}
	for _, p := range week {
		h.Week += p.Calls
	}
	// The summary of uses is a few seconds old; the calls of the week are not.
	h.InUse = h.Week > 0 || !h.Use.LastAt.IsZero() && v.now.Sub(h.Use.LastAt) < typedWithin
	if h.InUse {
		h.Typed = k.Name
	}
	return s, h, nil
}

// keyView is the page of one key.
type keyView struct {
	keyHead
	At   string // the tab
	Tabs tabs

	Age      string
	AgeWarn  bool
	AgeMost  int // days after which a secret should be rotated; 0 for never
	InDays   string
	From     string // where it may be used
	FromMore string
	Calls    *callsCard
	Latest   []keyCall
	Callers  []callerRow
	More     int // callers beyond those that are shown
	History  []historyRow
	Older    string // the address of what follows on the tabs with lists
	Access   *accessCard
	Most     []rankRow
	Undo     *undoNote
	Secrets  []secretRow
	Connect  connectPart
	Refused  bool // the activity tab shows only what was refused
	Would    bool // or what a change that is being tried would refuse
	Rate     string
	Trips    []tripRow // tripwires that were touched lately
	Starts   bool      // it starts in the future
}

// keyTabNames are the tabs of a key's page.
var keyTabNames = []struct{ id, name string }{{"", "Overview"}, {"activity", "Activity"}, {"scopes", "Scopes"}, {"secrets", "Secrets"}, {"connect", "Connect"}, {"history", "History"}}

// keyTab reports whether a tab is for the reader.
func (v *visit) keyTab(id string) bool {
	switch id {
	case "activity":
		return v.can(postern.PermActivityRead)
	case "history":
		return v.can(postern.PermAuditRead)
	}
	return true
}

func (c *Console) showKey(v *visit) error {
	at := v.query("tab")
	if !slices.ContainsFunc(keyTabNames, func(t struct{ id, name string }) bool { return t.id == at }) {
		return errNoPage
	}
	switch {
	case at == "activity" && !v.keyTab(at):
		return denied(postern.PermActivityRead)
	case at == "history" && !v.keyTab(at):
		return denied(postern.PermAuditRead)
	case !v.keyTab(at):
		return errNoPage
	}
	s, h, err := c.keyOf(v, "")
	if err != nil {
		return err
	}
	h.Dialogs, h.Scripts = true, []string{"key.js"}
	h.F = newForm("name", h.K.Name, "description", h.K.Description)
	view := &keyView{keyHead: h, At: at}
	view.fill(v, &s.policy)
	view.Tabs.Label = "This key"
	for _, t := range keyTabNames {
		if !v.keyTab(t.id) {
			continue
		}
		one := tab{Name: t.name, Link: h.Tab(t.id), Current: t.id == at}
		switch t.id {
		case "scopes":
			one.Count = num(len(h.K.Scopes))
		case "secrets":
			one.Count = "1"
			if h.Rotating {
				one.Count = "2"
			}
		}
		view.Tabs.Items = append(view.Tabs.Items, one)
	}
	switch at {
	case "":
		err = c.overview(v, s, view)
	case "activity":
		err = c.keyCalls(v, view)
	case "scopes":
		if view.Undo, err = c.undoable(v, &h.K); err == nil {
			view.Access, err = c.access(v, s, &h.K)
		}
	case "secrets":
		err = c.keySecrets(v, view)
	case "history":
		err = c.keyHistory(v, view, 50)
	case "connect":
		view.Connect, err = c.connect(v.r.Context(), &h.K, toolName(h.Use.UserAgent))
	}
	if err != nil {
		return err
	}
	return v.render("key", view)
}

// fill says the facts of the key.
func (view *keyView) fill(v *visit, p *postern.Policy) {
	k := &view.K
	old := v.now.Sub(k.Current.MadeAt)
	view.Age, view.AgeMost = ageWords(old)+" old", p.RemindAge
	view.AgeWarn = p.RemindAge > 0 && old >= time.Duration(p.RemindAge)*24*time.Hour
	if !k.ExpiresAt.IsZero() && view.Live {
		view.InDays = inWords(k.ExpiresAt, v.now)
	}
	switch n := len(k.Networks); {
	case n == 0:
		view.From = "Anywhere"
	case n == 1:
		view.From = k.Networks[0].String()
		if k.Networks[0].IsSingleIP() {
			view.From = k.Networks[0].Addr().String()
		}
	default:
		view.From, view.FromMore = count(n, "range", "ranges"), k.Networks[0].String()+" and "+moreWords(n-1)
	}
	if r := k.Rate; r.Calls > 0 {
		view.Rate = count(r.Calls, "call", "calls") + " in " + count(int64(r.Per/time.Second), "second", "seconds")
	}
	view.Starts = v.now.Before(k.NotBefore)
}

func moreWords(n int) string {
	if n == 1 {
		return "one more"
	}
	return num(n) + " more"
}

// ageWords says how long something has lasted.
func ageWords(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return count(int64(d/(24*time.Hour)), "day", "days")
	case d >= 2*time.Hour:
		return count(int64(d/time.Hour), "hour", "hours")
	case d >= time.Minute:
		return count(int64(d/time.Minute), "minute", "minutes")
	}
	return "less than a minute"
}

func (c *Console) overview(v *visit, s *keySnap, view *keyView) error {
	ctx, k := v.r.Context(), &view.K
	var err error
	if view.Calls, err = c.callsOf(v, k); err != nil {
		return err
	}
	if v.can(postern.PermActivityRead) {
		calls, _, err := c.cfg.Activity.Query(ctx, activity.Filter{Account: v.by.AccountID, Key: k.ID}, activity.Cursor{}, 6)
		if err != nil {
			return err
		}
		view.Latest = rowsOfCalls(calls)
		places, err := c.callersOf(v, k, 0)
		if err != nil {
			return err
		}
		view.More = max(0, len(places)-6)
		view.Callers = places[:min(6, len(places))]
		sum, err := c.cfg.Activity.Summary(ctx, activity.Subject{Account: v.by.AccountID, Key: k.ID}, v.now.Add(-callersSince), time.Time{})
		if err != nil {
			return err
		}
		view.Most = mostCalled(sum.ByOperation)
	}
	if v.can(postern.PermAuditRead) {
		if err := c.keyHistory(v, view, 5); err != nil {
			return err
		}
	}
	if view.Undo, err = c.undoable(v, k); err != nil {
		return err
	}
	if view.Trips, err = c.trips(v, k.ID); err != nil {
		return err
	}
	view.Access, err = c.access(v, s, k)
	return err
}

// conflict says who changed a key meanwhile, from the audit log.
func (c *Console) conflict(v *visit, id postern.KeyID) (*keyConflict, error) {
	list, err := c.cfg.DB.AuditPage(v.r.Context(), v.by.AccountID, store.AuditFilter{Object: string(id), Result: "ok"}, 0, 1)
	if err != nil || len(list) == 0 {
		return &keyConflict{Who: "Someone"}, err
	}
	names, err := c.memberNames(v)
	if err != nil {
		return nil, err
	}
	return &keyConflict{Who: actorName(&list[0], names), At: list[0].At, Did: historyWords(&list[0])}, nil
}

// SeeHistory reports whether the reader may look at the change.
func (h *keyHead) SeeHistory() bool { return h.Can(string(postern.PermAuditRead)) }

// Sentence says what is made of the calls of the week: what fails when the key stops.
func (h *keyHead) Sentence() template.HTML {
	if h.Week == 0 && !h.InUse {
		return ""
	}
	s := "It made " + count(h.Week, "call", "calls") + " in the last 7 days"
	if !h.Use.LastAt.IsZero() {
		s += ", the latest " + string(h.Time(h.Use.LastAt))
		if h.Use.IP != "" {
			s += " from <bdi>" + template.HTMLEscapeString(h.Use.IP) + "</bdi>"
		}
	}
	return template.HTML(s + ".")
}
