package console

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// What least access goes by (console.md section 6.5).
const (
	accessSince  = 90 * 24 * time.Hour
	accessFair   = 14 * 24 * time.Hour // below so much history nothing is said of a scope
	idleAfter    = 30 * 24 * time.Hour
	idleMonthly  = 70 * 24 * time.Hour // for what is used once a month
	monthlyGap   = 20 * 24 * time.Hour // between two uses, at least
	undoRemoval  = 10 * time.Minute
	changesAtAll = 200 // audit entries of a key that are looked through
)

// accessCard says which of a key's scopes it needs.
type accessCard struct {
	Rows    []scopeRow
	Unused  []scopeRow // that could be removed
	Watched int        // days
	Wait    bool       // too few of them
	Soon    bool       // the key ends within 30 days, a good time to look
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
	Granted   time.Time
}

// Removable reports whether the scope could be taken away.
func (r *scopeRow) Removable() bool { return r.Kind == "warn" }

// scopeUse is what activity says of a scope.
type scopeUse struct {
	last time.Time
	days []time.Time // with calls, the latest first
}

// monthly reports whether all uses lie far apart.
func (u *scopeUse) monthly() bool {
	for i := 1; i < len(u.days); i++ {
		if u.days[i-1].Sub(u.days[i]) < monthlyGap {
			return false
		}
	}
	return len(u.days) > 1
}

// judge says what a scope's use comes to.
func (u *scopeUse) judge(granted, now time.Time) (kind, state string) {
	switch {
	case u != nil && !u.last.IsZero():
		idle, limit := now.Sub(u.last), idleAfter
		if u.monthly() {
			limit = idleMonthly
		}
		if idle >= limit {
			return "warn", "Idle " + count(int64(idle/(24*time.Hour)), "day", "days")
		}
		return "ok", "In use"
	case now.Sub(granted) < accessFair:
		return "", "New"
	}
	return "warn", "Never used"
}

func (c *Console) access(v *visit, s *keySnap, k *postern.ServiceKey) (*accessCard, error) {
	ctx := v.r.Context()
	days, err := c.cfg.Activity.OperationDays(ctx, v.by.AccountID, k.ID, v.now.Add(-accessSince))
	if err != nil {
		return nil, err
	}
	granted, err := c.grantedAt(v, k)
	if err != nil {
		return nil, err
	}
	uses := s.usesOf(k, days)
	watched := v.now.Sub(k.CreatedAt)
	card := &accessCard{Watched: int(watched / (24 * time.Hour)), Wait: watched < accessFair}
	card.Soon = !k.ExpiresAt.IsZero() && k.ExpiresAt.After(v.now) && k.ExpiresAt.Sub(v.now) <= 30*24*time.Hour
	for _, name := range k.Scopes {
		r := scopeRow{Name: name, Words: string(name), Granted: granted[name], Gone: true}
		if i := s.scopes[name]; i != nil {
			r.Words, r.Group, r.Write, r.Sensitive, r.Opens, r.Gone = cmp.Or(i.Words, string(name)), i.Group, i.Access == postern.AccessWrite, i.Sensitive, i.Opens, false
		} else if name == postern.PermVerify {
			r.Words, r.Gone = "Ask Postern about other credentials", false
		}
		u := uses[name]
		if u != nil {
			r.Last = u.last
			// Hours are kept, minutes are not: the key's latest call is known exactly.
			if k := s.uses[k.ID]; k.LastAt.Sub(r.Last) < time.Hour && k.LastAt.After(r.Last) {
				r.Last = k.LastAt
			}
		}
		r.Kind, r.State = u.judge(r.Granted, v.now)
		if name == postern.PermVerify { // its calls are Postern's own, and not among these
			r.Kind, r.State = "", "Not counted"
		}
		if card.Wait && r.Kind == "warn" {
			r.Kind, r.State = "", "No call yet"
		}
		if r.Removable() {
			card.Unused = append(card.Unused, r)
		}
		card.Rows = append(card.Rows, r)
	}
	return card, nil
}

// usesOf counts the days of operations towards the scopes that open them. Where
// two scopes of the key open the same operation both count as used: better one
// too many kept than one too many removed.
func (s *keySnap) usesOf(k *postern.ServiceKey, days []activity.OperationDay) map[postern.Scope]*scopeUse {
	out := map[postern.Scope]*scopeUse{}
	for _, d := range days {
		for _, name := range k.Scopes {
			i := s.scopes[name]
			if i == nil || !slices.Contains(i.Opens, d.Operation) {
				continue
			}
			u := out[name]
			if u == nil {
				u = &scopeUse{}
				out[name] = u
			}
			if d.Last.After(u.last) {
				u.last = d.Last
			}
			if n := len(u.days); n == 0 || !u.days[n-1].Equal(d.Day) {
				u.days = append(u.days, d.Day)
			}
		}
	}
	return out
}

// grantedAt says since when a key has each of its scopes, from the audit log.
func (c *Console) grantedAt(v *visit, k *postern.ServiceKey) (map[postern.Scope]time.Time, error) {
	list, err := c.cfg.DB.AuditPage(v.r.Context(), v.by.AccountID, store.AuditFilter{Object: string(k.ID), Action: "service_key.update", Result: "ok"}, 0, changesAtAll)
	if err != nil {
		return nil, err
	}
	out := make(map[postern.Scope]time.Time, len(k.Scopes))
	for _, sc := range k.Scopes {
		out[sc] = k.CreatedAt
	}
	seen := map[postern.Scope]bool{}
	for i := range list { // the newest first
		before, after, ok := scopesChanged(&list[i])
		if !ok {
			continue
		}
		for _, sc := range after {
			if !seen[sc] && !slices.Contains(before, sc) {
				if _, has := out[sc]; has {
					out[sc], seen[sc] = list[i].At, true
				}
			}
		}
	}
	return out, nil
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

// undoNote offers to give back scopes that were removed a moment ago.
type undoNote struct {
	Scopes []string
	At     time.Time
	Who    string
}

// undoable finds a removal of scopes that can be taken back: the latest change of
// the key's scopes, not long ago, that only removed some.
func (c *Console) undoable(v *visit, k *postern.ServiceKey) (*undoNote, error) {
	if !v.can(postern.PermKeysWrite) || k.Ended() {
		return nil, nil
	}
	e, before, err := c.removal(v, k)
	if err != nil || e == nil {
		return nil, err
	}
	names, err := c.memberNames(v)
	if err != nil {
		return nil, err
	}
	n := &undoNote{At: e.At, Who: actorName(e, names)}
	for _, sc := range before {
		if !slices.Contains(k.Scopes, sc) {
			n.Scopes = append(n.Scopes, string(sc))
		}
	}
	return n, nil
}

func (c *Console) removal(v *visit, k *postern.ServiceKey) (*postern.AuditEntry, []postern.Scope, error) {
	list, err := c.cfg.DB.AuditPage(v.r.Context(), v.by.AccountID, store.AuditFilter{Object: string(k.ID), Action: "service_key.update", Result: "ok", Since: v.now.Add(-undoRemoval)}, 0, 20)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		before, after, ok := scopesChanged(&list[i])
		if !ok {
			continue
		}
		if len(before) <= len(after) || slices.ContainsFunc(after, func(sc postern.Scope) bool { return !slices.Contains(before, sc) }) || !slices.Equal(after, k.Scopes) {
			return nil, nil, nil
		}
		return &list[i], before, nil
	}
	return nil, nil, nil
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
	_, err = c.kr.EditKey(v.r.Context(), v.by, h.K.ID, keyring.KeyEdit{Scopes: &left, IfRevision: revisionOf(f)})
	if errors.Is(err, postern.CodePrecondition) {
		return v.warn(h.Tab("scopes"), "Someone changed the key a moment ago, so nothing was removed. Look at its scopes and do it again.")
	}
	if err != nil {
		return err
	}
	return v.done(h.Tab("scopes"), count(gone, "scope is", "scopes are")+" removed. The secret stays the same.")
}

// restoreScopes gives back what was removed, to who may grant it.
func (c *Console) restoreScopes(v *visit) error {
	_, h, err := c.keyOf(v, "Put back scopes of")
	if err != nil {
		return err
	}
	e, before, err := c.removal(v, &h.K)
	if err != nil {
		return err
	}
	if e == nil {
		return v.warn(h.Link("scopes"), "The 10 minutes are over, or the scopes changed since. Add them here instead.")
	}
	if _, err := c.kr.EditKey(v.r.Context(), v.by, h.K.ID, keyring.KeyEdit{Scopes: &before, IfRevision: h.K.Revision}); err != nil {
		return err
	}
	return v.done(h.Tab("scopes"), "The scopes are back.")
}

// scopesView is the form for the scopes of a key.
type scopesView struct {
	keyHead
	Groups []scopeGroup
	Locked int // rows that the reader can't add
	Listed bool
}

type scopeGroup struct {
	Name string
	Rows []scopeChoice
}

// scopeChoice is a scope that can be ticked, or a reason why it can't.
type scopeChoice struct {
	scopeRow
	Ticked bool
	Has    bool // the key has it now
	Locked bool // the reader doesn't hold it
}

func (c *Console) scopesPage(v *visit, s *keySnap, h keyHead, f *form) (*scopesView, error) {
	h.F, h.Scripts = f, []string{"key.js"}
	view := &scopesView{keyHead: h, Listed: true}
	rows, err := c.kr.Scopes(v.r.Context(), v.by)
	if errors.Is(err, postern.CodeForbidden) { // who may not see the catalog can still take scopes away
		view.Listed = false
		for _, sc := range h.K.Scopes {
			rows = append(rows, keyring.ScopeRow{ScopeInfo: postern.ScopeInfo{Name: sc}, Grantable: false})
		}
	} else if err != nil {
		return nil, err
	}
	card, err := c.access(v, s, &h.K)
	if err != nil {
		return nil, err
	}
	book, err := c.scopeBook(v.r.Context())
	if err != nil {
		return nil, err
	}
	known := map[postern.Scope]bool{}
	add := func(r scopeChoice, group string) {
		i := slices.IndexFunc(view.Groups, func(g scopeGroup) bool { return g.Name == group })
		if i < 0 {
			i = len(view.Groups)
			view.Groups = append(view.Groups, scopeGroup{Name: group})
		}
		view.Groups[i].Rows = append(view.Groups[i].Rows, r)
	}
	for _, one := range rows {
		known[one.Name] = true
		r := scopeChoice{scopeRow: scopeRow{Name: one.Name, Words: cmp.Or(one.Words, string(one.Name)), Write: one.Access == postern.AccessWrite, Sensitive: one.Sensitive, Opens: one.Opens}}
		if at := book.opened[one.Name]; len(at) > 0 { // by method and path, as people search for them
			r.Opens = nil
			for _, i := range at {
				r.Opens = append(r.Opens, book.ops[i].Method+" "+book.ops[i].Path)
			}
		}
		r.Ticked, r.Has = f.Has("scope", string(one.Name)), slices.Contains(h.K.Scopes, one.Name)
		if i := slices.IndexFunc(card.Rows, func(x scopeRow) bool { return x.Name == one.Name }); i >= 0 {
			r.Kind, r.State = card.Rows[i].Kind, card.Rows[i].State
		}
		if one.Upstream == keyring.ReservedUpstream && one.Name != postern.PermVerify {
			continue // a service key can't administer Postern
		}
		if r.Locked = !one.Grantable; r.Locked && !r.Has {
			view.Locked++
		}
		add(r, cmp.Or(one.Group, string(one.Upstream), "Scopes"))
	}
	for _, r := range card.Rows {
		if !known[r.Name] {
			add(scopeChoice{scopeRow: r, Ticked: f.Has("scope", string(r.Name)), Has: true, Locked: true}, "Not in any connected API")
		}
	}
	return view, nil
}

func (c *Console) askScopes(v *visit) error {
	s, h, err := c.keyOf(v, "Scopes of")
	if err != nil {
		return err
	}
	if !h.Live {
		return errEndedKey(&h.K)
	}
	f := newForm()
	for _, sc := range h.K.Scopes {
		f.Values.Add("scope", string(sc))
	}
	// "Add this scope" of a refused call leads here with the box ticked.
	for _, add := range v.r.URL.Query()["add"] {
		if add != "" && !f.Has("scope", add) {
			f.Values.Add("scope", add)
		}
	}
	view, err := c.scopesPage(v, s, h, f)
	if err != nil {
		return err
	}
	return v.render("key_scopes", view)
}

func (c *Console) saveScopes(v *visit) error {
	s, h, err := c.keyOf(v, "Scopes of")
	if err != nil {
		return err
	}
	f := v.sent()
	scopes := []postern.Scope{}
	for _, name := range f.Values["scope"] {
		scopes = append(scopes, postern.Scope(name))
	}
	made, err := c.kr.EditKey(v.r.Context(), v.by, h.K.ID, keyring.KeyEdit{Scopes: &scopes, IfRevision: revisionOf(f)})
	if err == nil {
		if made.Seq == 0 {
			return v.done(h.Tab("scopes"), "Nothing changed.")
		}
		return v.done(h.Tab("scopes"), h.K.Name+" has "+count(len(made.Key.Scopes), "scope", "scopes")+" now. The secret stays the same.")
	}
	status, err := c.notSaved(v, &h, f, err)
	if err != nil {
		return err
	}
	view, err := c.scopesPage(v, s, h, f)
	if err != nil {
		return err
	}
	view.Error = true
	return v.show(status, "key_scopes", view)
}

// notSaved makes a failed edit one of the form: what is wrong with it, or that
// someone else was faster. It gives the answer's status.
func (c *Console) notSaved(v *visit, h *keyHead, f *form, err error) (int, error) {
	if errors.Is(err, postern.CodePrecondition) {
		if h.Conflict, err = c.conflict(v, h.K.ID); err != nil {
			return 0, err
		}
		return http.StatusConflict, nil
	}
	if err := f.take(err); err != nil {
		return 0, err
	}
	for i := range f.Errors {
		switch f.Errors[i].Field {
		case "rateLimit":
			f.Errors[i].Field = "calls"
		case "scopes", "more":
			f.Errors[i].Field = ""
		}
	}
	return http.StatusUnprocessableEntity, nil
}
