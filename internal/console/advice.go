package console

import (
	"strconv"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
)

func (c *Console) adviceRoutes() []route {
	seen, write := []postern.Permission{postern.PermActivityRead}, []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /advice", Serve: c.showAdvice, Need: seen},
		{Pattern: "POST /keys/{id}/advice/apply", Serve: c.applyAdvice, Need: write},
		{Pattern: "POST /keys/{id}/advice/dismiss", Serve: c.dismissAdvice, Need: write},
	}
}

// adviceRows is how many things to do one page shows.
const adviceRows = 100

// adviceView is what could be better about the account's keys.
type adviceView struct {
	Common
	Score    string
	Whole    int // the score, rounded down, for its bar
	Overview *advice.Overview
	Todos    []todoRow
	Aside    []todoRow
	More     int
	Undo     *undoneRow
}

// todoRow is one thing to do.
type todoRow struct {
	ID        postern.KeyID
	Key       string
	Link      string
	Kind      string
	Title     string
	Evidence  string
	Fix       string
	Points    int
	Revision  int64
	Apply     bool   // it can be done here
	Elsewhere string // or there
	Words     string // what the button says
}

// todoPart is a row as it is shown.
type todoPart struct {
	Page  *adviceView
	Row   todoRow
	Aside bool
}

// Of is a row for the template.
func (a *adviceView) Of(r todoRow, aside bool) todoPart { return todoPart{a, r, aside} }

// undoneRow offers to take back what was just done.
type undoneRow struct {
	ID  postern.KeyID
	Key string
}

func (c *Console) showAdvice(v *visit) error {
	ctx := v.r.Context()
	c.cfg.Activity.Settle(ctx)
	o, err := c.advice.Account(ctx, v.by)
	if err != nil {
		return err
	}
	view := &adviceView{Common: v.common("Advice", "/advice", crumb{Name: "Monitoring"}), Overview: o,
		Score: strconv.FormatFloat(o.Score.Value(), 'f', 1, 64), Whole: int(o.Score.Value())}
	view.Styles = []string{"advice.css"}
	for i := range o.Todos {
		row := todoOf(&o.Todos[i])
		switch {
		case !o.Todos[i].Dismissed.IsZero():
			view.Aside = append(view.Aside, row)
		case len(view.Todos) == adviceRows:
			view.More++
		default:
			view.Todos = append(view.Todos, row)
		}
	}
	view.Aside = view.Aside[:min(len(view.Aside), adviceRows)]
	if id := postern.KeyID(v.query("done")); id != "" && v.can(postern.PermKeysWrite) {
		if k, err := c.kr.Key(ctx, v.by, id); err == nil && k.Undo.Open(k.Revision, v.now) {
			view.Undo = &undoneRow{k.ID, k.Name}
		}
	}
	return v.render("advice", view)
}

func todoOf(t *advice.Todo) todoRow {
	r := todoRow{ID: t.Key.ID, Key: t.Key.Name, Link: "/keys/" + string(t.Key.ID), Kind: string(t.Kind), Title: t.Title, Evidence: t.Evidence,
		Fix: t.FixWords, Points: t.Points, Revision: t.Key.Revision}
	switch t.Fix.Kind {
	case advice.FixNarrow:
		r.Apply, r.Words = true, "Apply"
	case advice.FixPause:
		r.Apply, r.Words = true, "Pause"
	case advice.FixReview:
		r.Apply, r.Words = true, "It may stay"
	case advice.FixRotate:
		r.Elsewhere, r.Words = r.Link+"/rotate", "Rotate"
	case advice.FixPeople:
		r.Elsewhere, r.Words = "/settings/members", "Members and roles"
	}
	return r
}

func (c *Console) applyAdvice(v *visit) error {
	f := v.sent()
	id := postern.KeyID(v.path("id"))
	made, err := c.advice.Apply(v.r.Context(), v.by, id, advice.Kind(f.Get("kind")), revisionOf(f))
	if err != nil {
		return err
	}
	return v.done(link("/advice", "done", string(id)), "Done on "+made.Key.Name+"."+watchEnded(&made))
}

func (c *Console) dismissAdvice(v *visit) error {
	f := v.sent()
	up := f.Get("up") != ""
	if err := c.advice.Dismiss(v.r.Context(), v.by, postern.KeyID(v.path("id")), advice.Kind(f.Get("kind")), !up); err != nil {
		return err
	}
	if up {
		return v.done("/advice", "Taken up again.")
	}
	return v.done("/advice", "Put aside. It counts all the same, and you find it at the end of the page.")
}
