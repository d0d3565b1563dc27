package console

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/keyring"
)

// accessCard says which of a key's scopes it needs.
type accessCard struct {
	Rows    []scopeRow
	Unused  []scopeRow // that could be removed
	Lacked  []scopeRow // that calls needed, and the key doesn't have
	Watched int        // days
	Wait    bool       // too few of them
	Soon    bool       // the key ends within 30 days, a good time to look
	Hidden  bool       // the reader may not see calls
	Score   int
	Advice  int // things that could be better
}

// scopeRow is a scope of a key with its use.
type scopeRow struct {
	Name      postern.Scope
	Words     string
	Group     string
	Write     bool
	Sensitive bool
	Gone      bool     // no catalog knows it any more
	Opens     []string // endpoints
	Kind      string
	State     string // In use, Idle 40 days, Never used, New
	Last      time.Time
	Use       activity.ScopeUse // the latest call that it let through; of a lacked one, that needed it
	Granted   time.Time
	Instead   []postern.Scope // narrower ones that would do
}

// describe fills in what is known of the scope itself.
func (r *scopeRow) describe(s *keySnap) {
	r.Words, r.Gone = string(r.Name), true
	if i := s.scopes[r.Name]; i != nil {
		r.Words, r.Group, r.Write, r.Sensitive, r.Opens, r.Gone = cmp.Or(i.Words, string(r.Name)), i.Group, i.Access == postern.AccessWrite, i.Sensitive, i.Opens, false
	} else if r.Name == postern.PermVerify {
		r.Words, r.Gone = "Ask Postern about other credentials", false
	}
}

// stateOf says what a scope's use comes to.
func stateOf(u *advice.ScopeUse) (kind, words string) {
	switch u.State {
	case advice.InUse:
		return "ok", "In use"
	case advice.Idle:
		return "warn", "Idle " + count(u.Idle, "day", "days")
	case advice.Unused:
		return "warn", "Never used"
	case advice.Replace:
		return "warn", "A narrower one would do"
	case advice.TooNew:
		return "", "New"
	case advice.NotCounted:
		return "", "Not counted"
	}
	return "", "No call yet"
}

func (c *Console) access(v *visit, s *keySnap, k *postern.ServiceKey) (*accessCard, error) {
	if !v.can(postern.PermActivityRead) {
		card := &accessCard{Hidden: true}
		for _, name := range k.Scopes {
			r := scopeRow{Name: name}
			r.describe(s)
			card.Rows = append(card.Rows, r)
		}
		return card, nil
	}
	rep, err := c.advice.Key(v.r.Context(), v.by, k.ID)
	if err != nil {
		return nil, err
	}
	uses, err := c.cfg.Activity.ScopeUses(v.r.Context(), v.by.AccountID, k.ID)
	if err != nil {
		return nil, err
	}
	card := &accessCard{Watched: rep.Days, Wait: rep.Wait, Score: rep.Score(), Advice: len(rep.Findings)}
	card.Soon = !k.ExpiresAt.IsZero() && k.ExpiresAt.After(v.now) && k.ExpiresAt.Sub(v.now) <= 30*24*time.Hour
	gone := removable(rep)
	for i := range rep.Scopes {
		u := &rep.Scopes[i]
		r := scopeRow{Name: u.Scope, Granted: u.Granted, Last: u.Last, Instead: u.Instead}
		r.describe(s)
		if i := slices.IndexFunc(uses, func(x activity.ScopeUse) bool { return x.Allowed && x.Scope == u.Scope }); i >= 0 {
			r.Use, r.Last = uses[i], uses[i].LastAt
		}
		r.Kind, r.State = stateOf(u)
		if slices.Contains(gone, u.Scope) {
			card.Unused = append(card.Unused, r)
		}
		card.Rows = append(card.Rows, r)
	}
	card.lacked(s, k, uses, v.now)
	return card, nil
}

// lacked lists the scopes for want of which calls were refused lately, the latest first.
func (card *accessCard) lacked(s *keySnap, k *postern.ServiceKey, uses []activity.ScopeUse, now time.Time) {
	for _, u := range uses {
		if u.Allowed || slices.Contains(k.Scopes, u.Scope) || now.Sub(u.LastAt) > callersSince {
			continue
		}
		r := scopeRow{Name: u.Scope, Last: u.LastAt, Use: u}
		r.describe(s)
		card.Lacked = append(card.Lacked, r)
	}
	slices.SortStableFunc(card.Lacked, func(a, b scopeRow) int { return b.Last.Compare(a.Last) })
}

// removable are the scopes that no call needed.
func removable(r *advice.Report) (out []postern.Scope) {
	for _, k := range []advice.Kind{advice.KindUnused, advice.KindWrite} {
		if f, ok := r.Finding(k); ok {
			out = append(out, f.Fix.Remove...)
		}
	}
	return out
}

// scopesChanged reads from an audit entry how a key's scopes changed.
func scopesChanged(e *postern.AuditEntry) (before, after []postern.Scope, ok bool) {
	read := func(m map[string]any) (out []postern.Scope, there bool) {
		list, there := m["scopes"]
		all, _ := list.([]any)
		for _, x := range all {
			if s, ok := x.(string); ok {
				out = append(out, postern.Scope(s))
			}
		}
		return out, there
	}
	before, was := read(e.Before)
	after, is := read(e.After)
	return before, after, was || is
}

// undoNote offers to take back what was taken away a moment ago.
type undoNote struct {
	Scopes []string // that were removed
	At     time.Time
	Who    string
	Other  bool // something else than scopes was taken away
}

// undoable says what of the key's latest narrowing can be taken back.
func (c *Console) undoable(v *visit, k *postern.ServiceKey) (*undoNote, error) {
	if !v.can(postern.PermKeysWrite) || k.Ended() || !k.Undo.Open(k.Revision, v.now) {
		return nil, nil
	}
	names, err := c.memberNames(v)
	if err != nil {
		return nil, err
	}
	n := &undoNote{At: k.Undo.Until.Add(-postern.UndoFor), Who: cmp.Or(names[k.Undo.By], "someone")}
	for _, sc := range k.Undo.Scopes {
		if !slices.Contains(k.Scopes, sc) {
			n.Scopes = append(n.Scopes, string(sc))
		}
	}
	n.Other = len(n.Scopes) == 0
	return n, nil
}

// unusedView asks before unused scopes are removed.
type unusedView struct {
	keyHead
	Access *accessCard
}

func (c *Console) askUnused(v *visit) error {
	s, h, err := c.keyOf(v, "Remove unused scopes of")
	if err != nil {
		return err
	}
	view := &unusedView{keyHead: h}
	if view.Access, err = c.access(v, s, &h.K); err != nil {
		return err
	}
	return v.render("key_unused", view)
}

// removeUnused removes the scopes that were shown, and no others.
func (c *Console) removeUnused(v *visit) error {
	_, h, err := c.keyOf(v, "Remove unused scopes of")
	if err != nil {
		return err
	}
	f := v.sent()
	left, gone := slices.Clone(h.K.Scopes), 0
	for _, name := range f.Values["scope"] {
		if i := slices.Index(left, postern.Scope(name)); i >= 0 {
			left, gone = slices.Delete(left, i, i+1), gone+1
		}
	}
	if gone == 0 {
		return v.warn(h.Tab("scopes"), "Nothing was removed: the key does not have these scopes any more.")
	}
	made, err := c.kr.NarrowKey(v.r.Context(), v.by, h.K.ID, keyring.Narrowing{Scopes: &left, IfRevision: revisionOf(f), Why: "unused scopes"})
	if errors.Is(err, postern.CodePrecondition) {
		return v.warn(h.Tab("scopes"), "Someone changed the key a moment ago, so nothing was removed. Look at its scopes and do it again.")
	}
	if err != nil {
		return err
	}
	return v.done(h.Tab("scopes"), count(gone, "scope is", "scopes are")+" removed. The secret stays the same."+watchEnded(&made))
}

// undoNarrowing takes back what was taken from the key a moment ago.
func (c *Console) undoNarrowing(v *visit) error {
	_, h, err := c.keyOf(v, "Undo on")
	if err != nil {
		return err
	}
	back := h.Tab("scopes")
	if v.sent().Get("to") == "advice" {
		back = "/advice"
	}
	if !h.K.Undo.Open(h.K.Revision, v.now) {
		return v.warn(back, "The 10 minutes are over, or the key was changed since. Change it here instead.")
	}
	if _, err := c.kr.UndoKey(v.r.Context(), v.by, h.K.ID, h.K.Revision); err != nil {
		return err
	}
	return v.done(back, h.K.Name+" is as it was.")
}
