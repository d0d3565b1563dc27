package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
)

// campaignRoutes are the rotations of many keys by a date.
func (c *Console) campaignRoutes() []route {
	see, write := []postern.Permission{postern.PermKeysRead}, []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /campaigns", Serve: c.listCampaigns, Need: see},
		{Pattern: "GET /campaigns/new", Serve: c.newCampaign, Need: write},
		{Pattern: "POST /campaigns", Serve: c.startCampaign, Need: write},
		{Pattern: "GET /campaigns/{id}", Serve: c.showCampaign, Need: see},
		{Pattern: "GET /campaigns/{id}/report", Serve: c.exportCampaign, Need: see},
		{Pattern: "POST /campaigns/{id}/close", Serve: c.closeCampaign, Need: write},
	}
}

var campaignTrail = []crumb{{"Service keys", "/keys"}, {"Rotate many", "/campaigns"}}

// campaignsView is the list.
type campaignsView struct {
	Common
	List []*rotation.Campaign
	More bool // older ones are not shown
	May  bool
}

// campaignsShown is how many campaigns the list shows.
const campaignsShown = 50

func (c *Console) listCampaigns(v *visit) error {
	ctx := v.r.Context()
	rows, err := c.kr.Campaigns(ctx, v.by, store.Cursor{}, campaignsShown+1)
	if err != nil {
		return err
	}
	view := &campaignsView{Common: v.common("Rotate many keys", "/keys", campaignTrail[0]), May: v.can(postern.PermKeysWrite), More: len(rows) > campaignsShown}
	for i := range rows[:min(len(rows), campaignsShown)] {
		if rows[i].Altered {
			continue
		}
		s, err := c.kr.Campaign(ctx, v.by, rows[i].ID)
		if err != nil {
			return err
		}
		view.List = append(view.List, rotation.Standing(s, v.now))
	}
	return v.render("campaigns", view)
}

// campaignNewView chooses the keys, and shows them before anybody is told.
type campaignNewView struct {
	Common
	F       *form
	Members []option
	Looked  bool
	Rows    []keyring.CampaignCandidate
	Chosen  int
}

// Told reports whether there is something to know of a key.
func (p *campaignNewView) Told() bool {
	return slices.ContainsFunc(p.Rows, func(r keyring.CampaignCandidate) bool { return r.Why != "" || r.Note != "" })
}

// campaignFields are those that choose.
var campaignFields = []string{"name", "deadline", "words", "madeBy", "named", "scope", "older", "all"}

func (c *Console) newCampaign(v *visit) error {
	q := v.r.URL.Query()
	f := newForm()
	for _, name := range append(campaignFields, "id") {
		for _, x := range q[name] {
			f.Values.Add(name, x)
		}
	}
	looked := q.Get("look") != "" || len(q["id"]) > 0
	return c.campaignForm(v, http.StatusOK, f, looked)
}

// choice is what a form chooses.
func (f *form) choice() (out keyring.CampaignChoice) {
	out = keyring.CampaignChoice{MadeBy: postern.MemberID(f.Get("madeBy")), Name: f.Get("named"), Scope: postern.Scope(f.Get("scope")), All: f.Has("all", "on")}
	for _, id := range f.Values["id"] {
		out.IDs = append(out.IDs, postern.KeyID(id))
	}
	if text := f.Get("older"); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil || days < 1 || days > 10_000 {
			f.Wrong("older", "Give a number of days, such as 90.")
			return out
		}
		out.OlderThan = time.Duration(days) * 24 * time.Hour
	}
	return out
}

func (c *Console) campaignForm(v *visit, status int, f *form, look bool) error {
	view := &campaignNewView{Common: v.common("Rotate many keys by a date", "/keys", campaignTrail...), F: f, Members: []option{{Value: "", Label: "Anyone"}}}
	members, err := c.kr.Members(v.r.Context(), v.by)
	if err == nil {
		for i := range members {
			view.Members = append(view.Members, option{Value: string(members[i].ID), Label: members[i].Name})
		}
	}
	choice := f.choice()
	if look && f.ErrorOf("older") == "" {
		view.Rows, err = c.kr.ChooseCampaign(v.r.Context(), v.by, choice)
		if err := f.take(err); err != nil {
			return err
		}
		view.Looked = err == nil
		for i := range view.Rows {
			if view.Rows[i].Why == "" {
				view.Chosen++
			}
		}
	}
	if !f.OK() && status == http.StatusOK {
		status = http.StatusUnprocessableEntity
	}
	view.Error = !f.OK()
	return v.show(status, "campaign-new", view)
}

func (c *Console) startCampaign(v *visit) error {
	f := v.sent()
	in := keyring.NewCampaign{Name: f.Get("name"), Words: f.Get("words"), Choice: f.choice(), Idempotency: v.once}
	day, err := time.ParseInLocation(time.DateOnly, f.Get("deadline"), v.zone)
	if err != nil {
		f.Wrong("deadline", "Choose a day.")
	}
	in.Deadline = time.Date(day.Year(), day.Month(), day.Day(), 23, 59, 0, 0, v.zone).UTC()
	if len(in.Choice.IDs) == 0 {
		f.Wrong("", "Look at the keys first.")
	}
	if f.OK() {
		made, err := c.kr.StartCampaign(v.r.Context(), v.by, in)
		if err == nil {
			return v.done("/campaigns/"+made.ID, "Those who look after the keys are told within a minute.")
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	return c.campaignForm(v, http.StatusUnprocessableEntity, f, true)
}

// campaignView is one of them.
type campaignView struct {
	Common
	F    *form
	C    *rotation.Campaign
	By   string // who started it
	May  bool
	Open bool
}

func (c *Console) campaignOf(v *visit, f *form) (*campaignView, error) {
	return c.campaignBy(v, f, rotation.CampaignOf)
}

func (c *Console) campaignBy(v *visit, f *form, read func(context.Context, *keyring.Keyring, *activity.Log, postern.Actor, string, time.Time) (*rotation.Campaign, error)) (*campaignView, error) {
	s, err := read(v.r.Context(), c.kr, c.cfg.Activity, v.by, v.path("id"), v.now)
	if err != nil {
		return nil, err
	}
	view := &campaignView{Common: v.common(s.Name, "/keys", campaignTrail...), F: f, C: s, By: s.MemberName(s.MadeBy),
		May: v.can(postern.PermKeysWrite), Open: s.ClosedAt.IsZero()}
	view.Styles = []string{"migration.css"}
	return view, nil
}

func (c *Console) showCampaign(v *visit) error {
	view, err := c.campaignOf(v, newForm())
	if err != nil {
		return err
	}
	return v.render("campaign", view)
}

func (c *Console) closeCampaign(v *visit) error {
	f := v.sent()
	i, err := c.kr.CloseCampaign(v.r.Context(), v.by, v.path("id"), f.Get("why"))
	if err == nil {
		return v.done("/campaigns/"+i.ID, "Closed. Nobody is reminded any more.")
	}
	if err := f.take(err); err != nil {
		return err
	}
	view, err := c.campaignOf(v, f)
	if err != nil {
		return err
	}
	view.Error = true
	return v.show(http.StatusUnprocessableEntity, "campaign", view)
}

// exportCampaign is the report as CSV. The audit log notes it.
func (c *Console) exportCampaign(v *visit) error {
	view, err := c.campaignBy(v, newForm(), rotation.CampaignReport)
	if err != nil {
		return err
	}
	e := v.by.Entry(v.now, "campaign.export", view.C.ID)
	e.Name, e.After = view.C.Name, map[string]any{"format": "csv", "keys": len(view.C.Keys)}
	out, err := v.beginExport(e, "rotation", "csv")
	if err != nil || out == nil {
		return err
	}
	for _, row := range view.C.Report() {
		out.row(row)
	}
	return out.end()
}

// rotateLinked is how many keys an address names: those beyond 8 KB are refused by
// many a proxy.
const rotateLinked = 300

// rotateChosen leads from keys that were chosen in the list to the form that asks for
// their rotation by a date.
func (v *visit) rotateChosen() error {
	ids, err := v.bulkIDs()
	if err != nil {
		return err
	}
	switch {
	case len(ids) == 0:
		return v.warn("/keys", "Choose at least one key first.")
	case len(ids) > rotateLinked:
		return v.warn("/keys", "Choose at most "+num(rotateLinked)+" keys here. For more of them say which on the page to rotate many: by name, scope, age or who made them.")
	}
	var pairs []string
	for _, id := range ids {
		pairs = append(pairs, "id", id)
	}
	return v.redirect(link("/campaigns/new", pairs...))
}
