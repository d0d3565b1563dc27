package console

import (
	"net/http"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/workbench"
)

// migrationLiveRoutes are what is seen of a move while it goes on, and where something else took over.
func (c *Console) migrationLiveRoutes() []route {
	see, write := []postern.Permission{postern.PermKeysRead}, []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /migration/{id}/shadow", Serve: c.showShadow, Need: see},
		{Pattern: "GET /migration/{id}/live", Quiet: true, Serve: c.liveMigration, Need: see},
		{Pattern: "POST /migration/{id}/moved", Serve: c.movedMigration, Need: write},
	}
}

// shadowPeriods are the spans of calls that can be judged.
var shadowPeriods = []struct {
	id   string
	name string
	days int
}{{"1d", "1 day", 1}, {"", "7 days", 7}, {"30d", "30 days", 30}}

// shadowView is what the new key would refuse of an old credential's calls.
type shadowView struct {
	Common
	I       itemCard
	Periods tabs
	Scopes  []postern.Scope
	Replay  *replayPart
	Key     bool // the scopes are those of the key, and not of the plan
}

func (c *Console) showShadow(v *visit) error {
	if !v.can(postern.PermActivityRead) {
		return denied(postern.PermActivityRead)
	}
	ctx := v.r.Context()
	c.cfg.Activity.Settle(ctx)
	it, err := c.migration.Item(ctx, v.by, v.path("id"))
	if err != nil {
		return err
	}
	to := "/migration/" + it.ID
	if it.Legacy == nil {
		return v.warn(to, "It is known from an inventory alone: there are no calls through Postern to judge.")
	}
	page := &shadowView{Common: v.common("What would break", "/migration", crumb{Name: "Monitoring"}, crumb{Name: "Migration", Link: "/migration"}, crumb{Name: it.Item.Name, Link: to}), I: c.card(it, nil)}
	page.Scopes, page.Key = shadowScopes(it)
	page.Styles = []string{"migration.css"}
	days := 7
	page.Periods.Label = "Calls of the last"
	for _, p := range shadowPeriods {
		current := v.query("period") == p.id
		if current {
			days = p.days
		}
		page.Periods.Items = append(page.Periods.Items, tab{Name: p.name, Link: link(to+"/shadow", "period", p.id), Current: current})
	}
	r, err := c.migration.Shadow(ctx, v.by, it.ID, advice.Span{From: v.now.AddDate(0, 0, -days), To: v.now, Within: whatIfWithin})
	if err != nil {
		return err
	}
	page.Replay = replayOf(r, days)
	return v.render("migration-shadow", page)
}

// shadowScopes are what the calls are judged by.
func shadowScopes(it *workbench.View) (scopes []postern.Scope, key bool) {
	switch {
	case it.New != nil:
		return it.New.Scopes, true
	case !it.Item.ScopesAt.IsZero():
		return it.Item.Scopes, false
	}
	return it.Seen.Scopes, false
}

// shadowWithin is how long the page of an item looks at its calls.
const shadowWithin = 800 * time.Millisecond

// shadowOf is what the item's page tells of its shadow decisions; nil where there is nothing to judge.
func (c *Console) shadowOf(v *visit, it *workbench.View) (*replayPart, error) {
	if it.Legacy == nil || it.Stage == workbench.SwitchedOff || it.Path != workbench.ToServiceKey && it.New == nil {
		return nil, nil
	}
	r, err := c.migration.Shadow(v.r.Context(), v.by, it.ID, advice.Span{From: v.now.AddDate(0, 0, -whatIfDays), To: v.now, Within: shadowWithin})
	if err != nil {
		return nil, err
	}
	return replayOf(r, whatIfDays), nil
}

// liveMove is a caller as the item's page shows it.
type liveMove struct {
	Key   string `json:"key"`
	Kind  string `json:"kind"`
	Words string `json:"words"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// moveState is the state of a caller in words.
func moveState(m *workbench.Move) pill {
	switch m.State {
	case workbench.OnOld:
		return pill{"warn", "Still on old"}
	case workbench.OnBoth:
		return pill{"warn", "On both"}
	case workbench.Moved:
		return pill{"ok", "Moved"}
	}
	if m.State == workbench.Quiet {
		return pill{"", "Quiet"}
	}
	return pill{"warn", "May have moved"}
}

// liveMigration tells an item's page what changed: its callers move one by one.
func (c *Console) liveMigration(v *visit) error {
	if !v.can(postern.PermActivityRead) {
		return denied(postern.PermActivityRead)
	}
	c.cfg.Activity.Settle(v.r.Context())
	it, err := c.migration.Item(v.r.Context(), v.by, v.path("id"))
	if err != nil {
		return err
	}
	out := struct {
		Stage string     `json:"stage"`
		Next  string     `json:"next"`
		Week  string     `json:"week"`
		Share int        `json:"share"`
		Left  int        `json:"left"`
		Moves []liveMove `json:"moves"`
	}{string(it.Stage), it.Next, weekWords(it), it.Share, it.Left, []liveMove{}}
	for i := range it.Moves {
		m := &it.Moves[i]
		p := moveState(m)
		out.Moves = append(out.Moves, liveMove{moveKey(m), p.Kind, p.Words, num(m.OldCalls), num(m.NewCalls)})
	}
	return v.json(out)
}

func moveKey(m *workbench.Move) string { return m.IP + " " + m.UserAgent }

func weekWords(it *workbench.View) string {
	words := num(it.Week)
	if it.Item.NewKey != "" {
		words += ", and " + num(it.NewWeek) + " on the new key"
	}
	return words
}

// moveRow is a caller on the item's page.
type moveRow struct {
	*workbench.Move
	Key  string
	Pill pill
}

// Rows are the callers of the item.
func (i itemCard) Rows() []moveRow {
	if i.View == nil {
		return nil
	}
	out := make([]moveRow, len(i.Moves))
	for k := range i.Moves {
		out[k] = moveRow{&i.Moves[k], moveKey(&i.Moves[k]), moveState(&i.Moves[k])}
	}
	return out
}

// InWeek is how many calls it made in a week.
func (i itemCard) InWeek() string { return weekWords(i.View) }

// Linked reports whether the key that takes over was there before.
func (i itemCard) Linked() bool { return i.Item.NewKey != "" && i.Item.KeyMadeAt.IsZero() }

// MayLink reports whether it can be said that something took over.
func (i itemCard) MayLink() bool {
	return i.Path == workbench.ToApp || i.Path == workbench.ToServiceKey
}

// linkable is how many keys the form of a move proposes.
const linkable = 500

// takeovers are the keys that can be named as what took over.
func (c *Console) takeovers(v *visit) ([]option, error) {
	s, err := c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return nil, err
	}
	_, match := v.rows(s, keysFilter{Sort: "name"})
	out := []option{{Value: "", Label: "None"}}
	for _, r := range match[:min(len(match), linkable)] {
		if r.State.Rank != rankEnded {
			out = append(out, option{Value: string(r.Key.ID), Label: r.Key.Name})
		}
	}
	return out, nil
}

func (c *Console) movedMigration(v *visit) error {
	f := v.sent()
	note := f.Get("moved")
	it, err := c.migration.Moved(v.r.Context(), v.by, v.path("id"), postern.KeyID(f.Get("takeover")), note)
	if err != nil {
		if err := f.take(err); err != nil {
			return err
		}
		for i := range f.Errors {
			switch f.Errors[i].Field {
			case "note":
				f.Errors[i].Field = "moved"
			case "key":
				f.Errors[i].Field = "takeover"
			}
		}
		page, err := c.migrationItem(v, f)
		if err != nil {
			return err
		}
		page.Error = true
		return v.show(http.StatusUnprocessableEntity, "migration-item", page)
	}
	if note == "" && f.Get("takeover") == "" {
		return v.done("/migration/"+it.ID, "Nothing is said to have taken over.")
	}
	return v.done("/migration/"+it.ID, "Noted where it moved.")
}
