package console

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// decision is something about a key that someone must decide.
type decision struct {
	Hot    bool
	Icon   string
	Name   string
	Why    template.HTML
	Button string
	Link   string
}

// decisions are the worst few of the keys that need one, and how many there are.
func (c *Console) decisions(v *visit, s *keySnap, all []*keyRow) (out []decision, n int, err error) {
	var rows []*keyRow
	for _, r := range all {
		if r.needsDecision() {
			rows = append(rows, r)
		}
	}
	k := func(r *keyRow) postern.RotationPlan { return s.plans[r.Key.ID] }
	worst := func(r *keyRow) (rank int, within int64) {
		h := s.hour[r.Key.ID]
		switch r.State.Rank {
		case rankFailing:
			return 0, -h.Refused * 1000 / h.Calls
		case rankHeld:
			return 1, int64(postern.ToMicros(k(r).Latest))
		case rankExpires:
			return 2, int64(postern.ToMicros(r.Key.ExpiresAt))
		case rankUnused:
			return 3, int64(postern.ToMicros(cmp.Or(r.Used, r.Key.CreatedAt)))
		}
		return 4, int64(postern.ToMicros(r.Key.FlaggedAt))
	}
	slices.SortFunc(rows, func(a, b *keyRow) int {
		ra, wa := worst(a)
		rb, wb := worst(b)
		return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(wa, wb), strings.Compare(string(a.Key.ID), string(b.Key.ID)))
	})
	top := rows[:min(decisionTop, len(rows))]
	if err := c.fillRows(v, s, top); err != nil {
		return nil, 0, err
	}
	for _, r := range top {
		d, err := c.decide(v, s, r)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, d)
	}
	return out, len(rows), nil
}

// decide says in one sentence what must be decided about a key.
func (c *Console) decide(v *visit, s *keySnap, r *keyRow) (decision, error) {
	k, e := r.Key, template.HTMLEscapeString
	d := decision{Name: k.Name, Icon: "alert", Link: v.keyLink(k.ID)}
	switch r.State.Rank {
	case rankFailing:
		h := s.hour[k.ID]
		d.Hot, d.Button = true, "See what it needs"
		no := false
		calls, _, err := c.cfg.Activity.Query(v.r.Context(), activity.Filter{Account: k.AccountID, Key: k.ID, Allowed: &no, Since: v.now.Add(-2 * time.Hour)}, activity.Cursor{}, 1)
		if err != nil {
			return d, err
		}
		why := fmt.Sprintf("is being refused %d%% of the time.", h.Refused*100/h.Calls)
		if len(calls) > 0 {
			why += " " + refusedWords(&calls[0])
		}
		d.Why = template.HTML(why)
	case rankHeld:
		d.Hot, d.Icon, d.Button, d.Link = true, "rotate", "Let it go on or end it", v.keyLink(k.ID)
		if v.c.known["GET /keys/{id}"] {
			d.Link += "/rotate"
		}
		d.Why = template.HTML("is past the deadline of its rotation, and something still uses the old secret. It stops on " + e(s.plans[k.ID].Latest.In(v.zone).Format("2 January")) + " at the latest.")
	case rankExpires:
		d.Icon, d.Button = "clock", "Extend or replace"
		d.Why = template.HTML("stops working on " + e(lastMoment(k.ExpiresAt, v.zone).Format("2 January")) + ". " + callsWords(r.Calls))
	case rankUnused:
		d.Icon, d.Button = "eye", "Pause it"
		d.Link = link("/keys/bulk", "action", string(actPause), "id", string(k.ID))
		if !v.can(postern.PermKeysRevoke) {
			d.Button, d.Link = "Look at it", v.keyLink(k.ID)
		}
		can := "can " + e(strings.ToLower(cmp.Or(r.How, "use"))) + " " + e(r.What)
		switch r.How {
		case "Read only":
			can = "can read " + e(r.What)
		case "Write only":
			can = "can write " + e(r.What)
		case "No scopes":
			can = "has no scopes"
		}
		if r.Used.IsZero() {
			d.Why = template.HTML(can + " and has never been used.")
		} else {
			d.Why = template.HTML(can + " and has not been used since " + e(r.Used.In(v.zone).Format("2 January")) + ".")
		}
	default:
		d.Icon, d.Button = "eye", "Review it"
		d.Why = template.HTML("waits for a review. " + e(k.FlaggedWhy))
	}
	return d, nil
}

// keyLink is the page of a key, or its calls where there is none.
func (v *visit) keyLink(id postern.KeyID) string {
	switch {
	case v.c.known["GET /keys/{id}"]:
		return "/keys/" + string(id)
	case v.c.known["GET /activity"]:
		return link("/activity", "key", string(id))
	}
	return link("/keys", "q", string(id))
}

// refusedWords says why a call was refused.
func refusedWords(a *postern.Activity) string {
	e := template.HTMLEscapeString
	call := "<code>" + e(a.Method+" "+a.Path) + "</code>"
	switch a.Reason {
	case postern.ReasonInsufficientScope:
		return "It calls " + call + ", which its scopes do not open."
	case postern.ReasonAddressNotAllowed:
		return "It calls from <code>" + e(a.IP) + "</code>, which is not on its list."
	case postern.ReasonRateLimited, postern.ReasonDailyLimit:
		return "It calls more often than its limit allows."
	case postern.ReasonExpired:
		return "It is past its end."
	case postern.ReasonRetired, postern.ReasonUnknownKey:
		return "Something still sends an old or wrong secret."
	case postern.ReasonUnknownOperation, postern.ReasonMethodNotAllowed:
		return "It calls " + call + ", which the API does not have."
	case postern.ReasonUncovered:
		return "It calls " + call + ", which no scope opens."
	}
	return "It calls " + call + "."
}

// callsWords says how much a key is used, from its calls in 14 days.
func callsWords(calls int64) string {
	switch a := calls / sparkDays; {
	case calls == 0:
		return "It made no calls in 14 days."
	case a < 1:
		return "It made " + count(calls, "call", "calls") + " in 14 days."
	case a < 100:
		return "It makes about " + count(a, "call", "calls") + " a day."
	default:
		return "It makes about " + num(a/10*10) + " calls a day."
	}
}
