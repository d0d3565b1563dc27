package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
)

// legacyOneView is one imported credential.
type legacyOneView struct {
	Common
	F       *form
	L       legacyRow
	Live    bool
	Paused  bool
	Use     activity.Use
	Callers []callerRow
	More    int // callers that are not shown
	Scopes  []legacyScope
	Calls   string // the address of its calls
	By      string // who imported it
	Places  accepted
	Asking  bool // it is asked whether to end it
}

// Link is the address of the credential, or of something that is done to it.
func (p *legacyOneView) Link(act string) string {
	to := "/legacy/" + string(p.ID())
	if act != "" {
		to += "/" + act
	}
	return to
}

// ID is that of the credential.
func (p *legacyOneView) ID() postern.KeyID {
	if p.L.LegacyCredential == nil {
		return ""
	}
	return p.L.LegacyCredential.ID
}

// legacyScope is a scope that a credential holds or needed.
type legacyScope struct {
	Name    postern.Scope
	Held    bool
	Calls   int64
	Refused int64
	Last    time.Time
}

const legacyCallers = 20

func (c *Console) legacyOne(v *visit, title string) (*legacyOneView, error) {
	ctx := v.r.Context()
	l, err := c.kr.Legacy(ctx, v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return nil, err
	}
	c.cfg.Activity.Settle(ctx)
	name := l.Name
	if title != "" {
		name = title + " " + name
	}
	page := &legacyOneView{Common: v.common(name, "/legacy", crumb{Name: "Development"}, crumb{Name: "Legacy credentials", Link: "/legacy"}), Places: c.accepted()}
	page.Styles = []string{"migration.css"}
	uses, err := c.cfg.Activity.Uses(ctx, v.by.AccountID, l.ID)
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		if u.LastAt.After(page.Use.LastAt) {
			page.Use = u
		}
	}
	page.L = v.legacyRow(&l, page.Use.LastAt)
	state := l.State(v.now)
	page.Live, page.Paused = state != postern.LegacyEnded, state == postern.LegacyPaused
	people, err := v.people()
	if err != nil {
		return nil, err
	}
	page.By = people[l.MadeBy]
	page.F = legacyForm(v, &l)
	if !v.can(postern.PermActivityRead) {
		return page, nil
	}
	page.Calls = link("/activity", "key", string(l.ID), "period", "30d")
	all, err := c.callersOf(v, &postern.ServiceKey{ID: l.ID, CreatedAt: l.CreatedAt}, 0)
	if err != nil {
		return nil, err
	}
	page.Callers = all[:min(len(all), legacyCallers)]
	page.More = len(all) - len(page.Callers)
	page.Scopes, err = c.legacyScopes(v, &l)
	return page, err
}

// legacyScopes are the scopes that it holds beside those that its calls needed.
func (c *Console) legacyScopes(v *visit, l *postern.LegacyCredential) ([]legacyScope, error) {
	used, err := c.cfg.Activity.ScopeUses(v.r.Context(), v.by.AccountID, l.ID)
	if err != nil {
		return nil, err
	}
	at := map[postern.Scope]*legacyScope{}
	var out []*legacyScope
	get := func(s postern.Scope) *legacyScope {
		if at[s] == nil {
			at[s] = &legacyScope{Name: s, Held: l.AllScopes}
			out = append(out, at[s])
		}
		return at[s]
	}
	for _, s := range l.Scopes {
		get(s).Held = true
	}
	for _, u := range used {
		s := get(u.Scope)
		s.Calls += u.Calls
		if !u.Allowed {
			s.Refused += u.Calls
		}
		if u.LastAt.After(s.Last) {
			s.Last = u.LastAt
		}
	}
	rows := make([]legacyScope, len(out))
	for i := range out {
		rows[i] = *out[i]
	}
	slices.SortStableFunc(rows, func(a, b legacyScope) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return rows, nil
}

func legacyForm(v *visit, l *postern.LegacyCredential) *form {
	return newForm("name", l.Name, "note", l.Note, "sunsetAt", lastDay(l.SunsetAt, v.zone), "expiresAt", lastDay(l.ExpiresAt, v.zone))
}

func (c *Console) showLegacy(v *visit) error {
	page, err := c.legacyOne(v, "")
	if err != nil {
		return err
	}
	return v.render("legacy-one", page)
}

// legacyEdit reads the form. A day that is as it was shown leaves the time, which may be finer, as it is.
func (v *visit) legacyEdit(f *form, l *postern.LegacyCredential) (in keyring.LegacyEdit) {
	day := func(name string, was time.Time) *time.Time {
		text := f.Get(name)
		if text == lastDay(was, v.zone) {
			return nil
		}
		var t time.Time
		if text != "" {
			var err error
			if t, err = time.ParseInLocation(dayForm, text, v.zone); err != nil || t.Year() < 1970 {
				f.Wrong(name, "Write the day as 2027-01-31.")
				return nil
			}
			t = t.AddDate(0, 0, 1)
		}
		return &t
	}
	name, note := f.Get("name"), f.Get("note")
	if hasOurs(name) || hasOurs(note) {
		f.Wrong("note", "That looks like a secret. Many can read the name and the note.")
	}
	in = keyring.LegacyEdit{Name: &name, Note: &note, SunsetAt: day("sunsetAt", l.SunsetAt), ExpiresAt: day("expiresAt", l.ExpiresAt), IfRevision: revisionOf(f)}
	return in
}

func (c *Console) editLegacy(v *visit) error {
	page, err := c.legacyOne(v, "")
	if err != nil {
		return err
	}
	f := v.sent()
	in := v.legacyEdit(f, page.L.LegacyCredential)
	status := http.StatusUnprocessableEntity
	if f.OK() {
		made, err := c.kr.EditLegacy(v.r.Context(), v.by, page.ID(), in)
		if err == nil {
			if made.Seq == 0 {
				return v.done(page.Link(""), "Nothing changed.")
			}
			return v.done(page.Link(""), "Saved. Its callers need nothing new.")
		}
		if errors.Is(err, postern.CodePrecondition) {
			status = http.StatusConflict
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	page.F, page.Error = f, true
	return v.show(status, "legacy-one", page)
}

// pauseLegacy stops an imported credential for a while, or lets it go on.
func (c *Console) pauseLegacy(paused bool) func(*visit) error {
	return func(v *visit) error {
		id := postern.KeyID(v.path("id"))
		made, err := c.kr.EditLegacy(v.r.Context(), v.by, id, keyring.LegacyEdit{Paused: &paused})
		if err != nil {
			page, err2 := c.legacyOne(v, "")
			if err2 != nil {
				return err2
			}
			if err := page.F.take(err); err != nil {
				return err
			}
			page.Error = true
			return v.show(http.StatusUnprocessableEntity, "legacy-one", page)
		}
		to := "/legacy/" + string(id)
		if made.Seq == 0 {
			return v.done(to, "Nothing changed.")
		}
		if !paused {
			return v.done(to, made.Legacy.Name+" works again.")
		}
		return v.done(to, made.Legacy.Name+" is paused: its calls are refused. "+c.receipt(v, made.Seq).Said())
	}
}

func (c *Console) askEndLegacy(v *visit) error {
	page, err := c.legacyOne(v, "End")
	if err != nil {
		return err
	}
	if !page.Live && !page.L.RevokedAt.IsZero() {
		return v.redirect(page.Link("receipt"))
	}
	page.Asking = true
	return v.render("legacy-end", page)
}

// endLegacy ends an imported credential for good and shows where that is in force.
func (c *Console) endLegacy(v *visit) error {
	page, err := c.legacyOne(v, "End")
	if err != nil {
		return err
	}
	page.F, page.Asking = v.sent(), true
	if recent(v.now, page.Use.LastAt) && page.F.Get("typed") != page.L.Name {
		page.F.Wrong("typed", "Type its name to go on.")
	} else if _, err := c.kr.EndLegacy(v.r.Context(), v.by, page.ID(), page.F.Get("reason")); err == nil {
		return v.done(page.Link("receipt"), page.L.Name+" has ended. Its calls are refused for good.")
	} else if err := page.F.take(err); err != nil {
		return err
	}
	page.Error = true
	return v.show(http.StatusUnprocessableEntity, "legacy-end", page)
}

// recent reports whether a credential is in use: it was called in the last 7 days.
func recent(now, last time.Time) bool { return !last.IsZero() && now.Sub(last) < 7*24*time.Hour }

// InUse reports whether someone would notice at once.
func (p *legacyOneView) InUse() bool { return recent(p.now(), p.Use.LastAt) }

// legacyReceiptView says where the latest change of an imported credential is in force.
type legacyReceiptView struct {
	Common
	L       legacyRow
	R       receiptWords
	Heading string
}

func (c *Console) legacyReceipt(v *visit) error {
	l, err := c.kr.Legacy(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return err
	}
	seq, err := c.cfg.DB.FeedSeqOf(v.r.Context(), postern.ChangeCredential, string(l.ID))
	if err != nil {
		return err
	}
	page := &legacyReceiptView{Common: v.common("Receipt for "+l.Name, "/legacy", crumb{Name: "Development"}, crumb{Name: "Legacy credentials", Link: "/legacy"}),
		L: v.legacyRow(&l, time.Time{}), R: c.receipt(v, seq), Heading: "The latest change is in force"}
	switch l.State(v.now) {
	case postern.LegacyEnded:
		page.Heading = "The credential has ended"
	case postern.LegacyPaused:
		page.Heading = "The credential is paused"
	}
	if !page.R.Everywhere {
		page.Heading = strings.Replace(page.Heading, "is in force", "is on its way", 1)
	}
	return v.render("legacy-receipt", page)
}
