package console

import (
	"net/http"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store"
)

// homeRoutes are the first page.
func (c *Console) homeRoutes() []route {
	return []route{
		{Pattern: "GET /{$}", Serve: c.home},
		{Pattern: "GET /steps", Quiet: true, Serve: c.stepsDone},
		{Pattern: "POST /steps/hide", Serve: c.hideSteps},
	}
}

const (
	cookieSteps = "postern_steps" // what hid the first steps: the account's number
	homeDays    = 7
	homeChanges = 8
)

// homeView is the first page: the first steps, or what there is to know today.
type homeView struct {
	Common
	Steps     []homeStep // none once the first call came, or they were hidden
	Left      int
	Decisions []decision
	Deciding  int
	Keys      bool // the reader may see keys
	Calls     *callsChart
	Changes   []auditRow
	Log       bool // the reader may see the audit log
	AllKeys   string
	Checked   time.Time
}

// homeStep is one of the three first steps.
type homeStep struct {
	Name  string
	Text  string
	Done  bool
	Now   bool // it is the next one
	Does  action
	Other action
	Wait  bool // it ends by itself, when a call comes
}

func (c *Console) home(v *visit) error {
	view := &homeView{Common: v.common("Home", "/"), AllKeys: keysFilter{}.Decide()}
	view.Scripts = []string{"home.js"}
	if v.can(postern.PermKeysRead) {
		view.Keys = true
		s, err := c.snapshot(v.r.Context(), v.by.AccountID)
		if err != nil {
			return err
		}
		view.Checked = s.Checked
		if !s.everCalled() && v.cookie(cookieSteps) != string(v.by.AccountID) {
			view.Steps = v.steps(s)
			for _, step := range view.Steps {
				if !step.Done {
					view.Left++
				}
			}
			return v.render("home", view)
		}
		all, _ := v.rows(s, keysFilter{})
		if view.Decisions, view.Deciding, err = c.decisions(v, s, all); err != nil {
			return err
		}
	}
	if v.can(postern.PermActivityRead) {
		chart, err := c.callsOfWeek(v)
		if err != nil {
			return err
		}
		view.Calls = &chart
	}
	if v.can(postern.PermAuditRead) {
		view.Log = true
		entries, err := c.kr.Audit(v.r.Context(), v.by, store.AuditFilter{}, 0, homeChanges)
		if err != nil {
			return err
		}
		people, err := v.people()
		if err != nil {
			return err
		}
		for _, e := range entries {
			view.Changes = append(view.Changes, auditRowOf(e, people, auditFilter{}))
		}
	}
	return v.render("home", view)
}

// everCalled reports whether a service key made a call that was let through; people's
// own keys don't count.
func (s *keySnap) everCalled() bool {
	return slices.ContainsFunc(s.keys, func(k *postern.ServiceKey) bool { return !s.uses[k.ID].LastAt.IsZero() })
}

// callsOfWeek is a chart of whole days up to today.
func (c *Console) callsOfWeek(v *visit) (out callsChart, err error) {
	now := v.now.In(v.zone)
	to := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, v.zone)
	c.cfg.Activity.Settle(v.r.Context())
	points, err := c.cfg.Activity.Series(v.r.Context(), activity.Subject{Account: v.by.AccountID}, to.Add(-homeDays*24*time.Hour), to, 24*time.Hour)
	if err != nil {
		return out, err
	}
	out.Chart = chart{Label: "Calls a day over 7 days, worked and refused", Names: []string{"Worked", "Refused"}, Kinds: []string{"b1", "b3"}}
	for _, p := range points[:min(len(points), homeDays)] {
		name := p.Start.In(v.zone).Format("2 Jan")
		worked := p.Calls - p.Refused
		out.Chart.Bars = append(out.Chart.Bars, bar{Name: name, Values: []int64{worked, p.Refused}})
		out.Chart.Ticks = append(out.Chart.Ticks, name)
		out.Points = append(out.Points, chartPoint{p.Start, name, worked, p.Refused})
		out.Totals.Add(p.Totals)
		out.Worked += worked
	}
	return out, nil
}

// steps are the three first steps, as far as they are done.
func (v *visit) steps(s *keySnap) []homeStep {
	has := func(pattern string) bool { return v.c.known[pattern] }
	connected := len(s.scopes) > 0
	alive := 0
	var latest *postern.ServiceKey
	for _, k := range s.keys {
		if k.Ended() {
			continue
		}
		alive++
		if latest == nil || k.CreatedAt.After(latest.CreatedAt) {
			latest = k
		}
	}
	one := homeStep{Name: "Connect an API", Text: "Say where your API is and give its OpenAPI file. The scopes are proposed from it, and you can change them.", Done: connected}
	if connected {
		one.Text = "An API is connected. Its operations and scopes are known."
	} else if has("GET /settings/integrations") && v.can(postern.PermCatalogWrite) {
		one.Does = action{Words: "Connect an API", Link: "/settings/integrations", Primary: true}
	} else {
		one.Text = "Whoever runs this server connects APIs. Ask them to connect yours."
	}
	two := homeStep{Name: "Create your first key", Text: "Say which tool it is for and tick what that tool may do. It takes about a minute.", Done: alive > 0}
	if alive > 0 {
		two.Text = "Your key " + latest.Name + " is ready."
	} else if v.can(postern.PermKeysWrite) && has("GET /keys/new") {
		two.Does = action{Words: "Create a key", Link: "/keys/new", Icon: "plus", Primary: connected}
		if has("GET /choose") {
			two.Other = action{Words: "Which credential do I need?", Link: "/choose"}
		}
	} else {
		two.Text = "Somebody with the Manage keys permission can create it."
	}
	three := homeStep{Name: "See its first call", Text: "Paste the secret into your tool and press its test or refresh button. This turns green the moment a call arrives.", Wait: alive > 0}
	if alive > 0 && latest != nil {
		three.Does = action{Words: "How to connect " + latest.Name, Link: v.keyLink(latest.ID), Primary: true}
		if has("GET /keys/{id}/connect") {
			three.Does.Link = "/keys/" + string(latest.ID) + "/connect"
		}
	}
	steps := []homeStep{one, two, three}
	for i := range steps {
		if !steps[i].Done {
			steps[i].Now = true
			break
		}
	}
	return steps
}

// stepsDone tells a script how far the first steps are: 4 is past them.
func (c *Console) stepsDone(v *visit) error {
	if !v.can(postern.PermKeysRead) {
		return denied(postern.PermKeysRead)
	}
	s, err := c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return err
	}
	done := 0
	for _, step := range v.steps(s) {
		if step.Done {
			done++
		}
	}
	if s.everCalled() {
		done = 4
	}
	return v.sayJSON(http.StatusOK, map[string]int{"done": done})
}

// hideSteps puts the first steps away, on this browser.
func (c *Console) hideSteps(v *visit) error {
	v.setCookie(cookieSteps, string(v.by.AccountID), 400*24*time.Hour)
	return v.redirect("/")
}
