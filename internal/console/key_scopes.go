package console

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

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
	made, err := c.setScopes(v, &h.K, scopes, revisionOf(f))
	if err == nil {
		if made.Seq == 0 {
			return v.done(h.Tab("scopes"), "Nothing changed.")
		}
		return v.done(h.Tab("scopes"), h.K.Name+" has "+count(len(made.Key.Scopes), "scope", "scopes")+" now. The secret stays the same."+watchEnded(&made))
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

// setScopes gives a key other scopes. What only takes some away can be undone.
func (c *Console) setScopes(v *visit, k *postern.ServiceKey, scopes []postern.Scope, revision int64) (keyring.Made, error) {
	less := len(scopes) < len(k.Scopes) && !slices.ContainsFunc(scopes, func(s postern.Scope) bool { return !slices.Contains(k.Scopes, s) })
	if less {
		return c.kr.NarrowKey(v.r.Context(), v.by, k.ID, keyring.Narrowing{Scopes: &scopes, IfRevision: revision})
	}
	return c.kr.EditKey(v.r.Context(), v.by, k.ID, keyring.KeyEdit{Scopes: &scopes, IfRevision: revision})
}

// watchEnded says that what was being tried on a key ended with a change of it.
func watchEnded(made *keyring.Made) string {
	if !made.WatchEnded {
		return ""
	}
	return " What was being tried on it ended, since the key is another by now."
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
