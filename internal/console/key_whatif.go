package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/keyring"
)

func (c *Console) whatIfRoutes() []route {
	seen, write := []postern.Permission{postern.PermActivityRead}, []postern.Permission{postern.PermKeysWrite}
	return []route{
		// It only shows what the form would do, so it may be sent again, or linked to.
		{Pattern: "GET /keys/{id}/what-if", Serve: c.whatIf, Need: seen},
		{Pattern: "POST /keys/{id}/what-if", Serve: c.whatIf, Need: seen, Anew: true},
		{Pattern: "GET /keys/{id}/watch", Serve: c.showWatch, Need: seen},
		{Pattern: "POST /keys/{id}/watch", Serve: c.startWatch, Need: write},
		{Pattern: "POST /keys/{id}/watch/enforce", Serve: c.enforceWatch, Need: write},
		{Pattern: "POST /keys/{id}/watch/end", Serve: c.endWatch, Need: write},
	}
}

const (
	whatIfDays   = 7
	whatIfWithin = 4 * time.Second
	whatIfRows   = 50
)

// replayPart is what calls would meet.
type replayPart struct {
	*advice.Replay
	Days int
	Rows []replayRow
	More int // rows beyond those that are shown
}

type replayRow struct {
	Calls  int64
	What   string
	Why    string
	IP     string
	Client string
	Last   time.Time
}

func replayOf(r *advice.Replay, days int) *replayPart {
	p := &replayPart{Replay: r, Days: days}
	for i := range r.Refusals {
		if i == whatIfRows {
			p.More = len(r.Refusals) - i
			break
		}
		f := &r.Refusals[i]
		row := replayRow{Calls: f.Calls, What: strings.TrimSpace(f.Method + " " + f.Operation), Why: whyRefused(f), IP: f.IP, Client: f.UserAgent, Last: f.Last}
		if row.What == "" {
			row.What = "Asked for scopes"
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}

func whyRefused(f *advice.Refusal) string {
	switch f.Reason {
	case postern.ReasonInsufficientScope:
		return "needs " + strings.Join(textsOf(f.Missing), ", ")
	case postern.ReasonAddressNotAllowed:
		return "comes from outside the list"
	case postern.ReasonExpired:
		return "comes after the end"
	}
	return strings.ReplaceAll(f.Reason.String(), "_", " ")
}

func textsOf(list []postern.Scope) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// whatIfView shows what a form of the key's would do to the calls of the last days.
type whatIfView struct {
	keyHead
	From   string // the form's page: scopes or limits
	Values []nameValue
	Replay *replayPart
	Try    bool // it can be tried first
}

func (c *Console) whatIf(v *visit) error {
	_, h, err := c.keyOf(v, "What would fail on")
	if err != nil {
		return err
	}
	f := v.sent()
	if v.r.Method == http.MethodGet {
		f = &form{Values: v.r.URL.Query()}
	}
	h.F = f
	view := &whatIfView{keyHead: h, From: "scopes"}
	p := advice.Proposal{}
	if f.Get("from") == "limits" {
		view.From = "limits"
		edit := v.limitsOf(f, &h.K)
		if !f.OK() {
			page, err := c.limitsPage(v, h, f)
			if err != nil {
				return err
			}
			page.Error = true
			return v.show(422, "key_limits", page)
		}
		p.Networks, p.ExpiresAt = edit.Networks, edit.ExpiresAt
		view.Try = edit.Networks != nil && !slices.Equal(*edit.Networks, h.K.Networks)
	} else {
		scopes := scopesIn(f)
		p.Scopes = &scopes
		view.Try = !slices.Equal(scopes, h.K.Scopes)
	}
	view.Try = view.Try && v.can(postern.PermKeysWrite)
	for _, name := range []string{"scope", "networks", "expiresAt", "notBefore", "calls", "seconds"} {
		for _, value := range f.Values[name] {
			view.Values = append(view.Values, nameValue{name, value})
		}
	}
	c.cfg.Activity.Settle(v.r.Context())
	r, err := c.advice.WhatIf(v.r.Context(), v.by, h.K.ID, &p, advice.Span{From: v.now.AddDate(0, 0, -whatIfDays), To: v.now, Within: whatIfWithin})
	if err != nil {
		return err
	}
	view.Replay = replayOf(r, whatIfDays)
	return v.render("key_whatif", view)
}

// scopesIn are the scopes that a form ticks.
func scopesIn(f *form) []postern.Scope {
	out := []postern.Scope{}
	for _, name := range f.Values["scope"] {
		out = append(out, postern.Scope(name))
	}
	return postern.SortScopes(out)
}

// startWatch tries what the form of the scopes or of the limits asks for.
func (c *Console) startWatch(v *visit) error {
	_, h, err := c.keyOf(v, "Try on")
	if err != nil {
		return err
	}
	f := v.sent()
	in := keyring.Narrowing{Watch: true, IfRevision: revisionOf(f)}
	if f.Get("from") == "limits" {
		nets, bad := keyNetworks(f.Get("networks"))
		if bad != "" {
			return v.warn(h.Link("limits"), fmt.Sprintf("%q is no address, so nothing is tried.", bad))
		}
		in.Networks = &nets
	} else {
		scopes := scopesIn(f)
		in.Scopes = &scopes
	}
	if _, err := c.kr.NarrowKey(v.r.Context(), v.by, h.K.ID, in); err != nil {
		return err
	}
	return v.done(h.Link("watch"), "Trying it. Nothing is refused.")
}

// watchPageView shows what is being tried on a key, and what it would have refused.
type watchPageView struct {
	keyHead
	Removed  []string // scopes that the key would lose
	Added    []string
	Networks []netip.Prefix
	Anywhere bool
	By       string
	Replay   *replayPart
}

func (c *Console) showWatch(v *visit) error {
	_, h, err := c.keyOf(v, "Trying less on")
	if err != nil {
		return err
	}
	w := h.K.Watch
	if w == nil {
		return v.warn(h.Link(""), "Nothing is being tried on this key.")
	}
	view := &watchPageView{keyHead: h}
	if w.Scopes != nil {
		for _, s := range h.K.Scopes {
			if !slices.Contains(*w.Scopes, s) {
				view.Removed = append(view.Removed, string(s))
			}
		}
		for _, s := range *w.Scopes {
			if !slices.Contains(h.K.Scopes, s) {
				view.Added = append(view.Added, string(s))
			}
		}
	}
	if w.Networks != nil {
		view.Networks, view.Anywhere = *w.Networks, len(*w.Networks) == 0
	}
	names, err := c.memberNames(v)
	if err != nil {
		return err
	}
	view.By = names[w.By]
	r, err := c.advice.Watched(v.r.Context(), v.by, h.K.ID, advice.Span{Within: whatIfWithin})
	if err != nil {
		return err
	}
	view.Replay = replayOf(r, int(v.now.Sub(w.Since)/(24*time.Hour)))
	return v.render("key_watch", view)
}

func (c *Console) enforceWatch(v *visit) error {
	_, h, err := c.keyOf(v, "Enforce on")
	if err != nil {
		return err
	}
	if _, err := c.kr.EnforceKey(v.r.Context(), v.by, h.K.ID, revisionOf(v.sent())); err != nil {
		return err
	}
	return v.done(h.Tab("scopes"), "It counts now. You can undo this for 10 minutes.")
}

func (c *Console) endWatch(v *visit) error {
	_, h, err := c.keyOf(v, "Stop trying on")
	if err != nil {
		return err
	}
	if _, err := c.kr.UnwatchKey(v.r.Context(), v.by, h.K.ID, revisionOf(v.sent())); err != nil {
		return err
	}
	return v.done(h.Tab("scopes"), "Stopped. The key is as it was.")
}
