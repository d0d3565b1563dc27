package model

import (
	"slices"
	"time"
)

// Personal is a personal access key: a member's own, which may do what its member
// may at the moment of use, or some of that.
type Personal struct {
	Member    *Member
	Name      string
	Scopes    []string // permissions; none: all that its member has
	ExpiresAt time.Time
	Ended     bool
	Secret    *Secret

	madeWith []string // what its member could do when it was made
}

// NewPersonal is what a personal access key shall be.
type NewPersonal struct {
	Name      string
	Scopes    []string
	ExpiresAt time.Time
}

// CreatePersonal makes a personal access key for whoever asks, with permissions
// that they have. One that is made by means of another is not wider and not
// longer-lived than that: where nothing is said, it is the same.
func (w *World) CreatePersonal(by Actor, in NewPersonal) (*Personal, Refusal) {
	r := w.may(by, "")
	r.addIf(!validName(in.Name) || !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(w.Now), Invalid)
	r.addIf(slices.ContainsFunc(in.Scopes, func(s string) bool { return !slices.Contains(Permissions, s) }), Invalid)
	if slices.Contains(r.Codes, Forbidden) {
		return nil, r
	}
	if with := by.With; with != nil {
		if len(in.Scopes) == 0 {
			in.Scopes = with.Scopes
		}
		if end := with.ExpiresAt; !end.IsZero() && (in.ExpiresAt.IsZero() || in.ExpiresAt.After(end)) {
			in.ExpiresAt = end
		}
		r.addIf(!narrower(with, in.Scopes), Insufficient)
	}
	r.addIf(slices.ContainsFunc(in.Scopes, func(s string) bool { return !w.has(by, s) }), Insufficient)
	if !r.None() {
		return nil, r
	}
	return by.Member.Own(in), r
}

// narrower reports whether a key with these scopes may do no more than another.
func narrower(than *Personal, scopes []string) bool {
	if len(than.Scopes) == 0 {
		return true
	}
	return len(scopes) > 0 && !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(than.Scopes, s) })
}

// Own gives a member a personal access key: how the first ones come there.
func (m *Member) Own(in NewPersonal) *Personal {
	p := &Personal{Member: m, Name: in.Name, Scopes: sorted(in.Scopes), ExpiresAt: in.ExpiresAt, madeWith: m.Role.Permissions}
	p.Secret = &Secret{Personal: p, Generation: 1}
	m.Account.Personal = append(m.Account.Personal, p)
	return p
}

// RevokePersonal ends a personal access key: one's own, or, for who may change
// members, that of a member of the account whom they may remove. That of somebody
// else is otherwise not to be seen. By means of another key only one that is not wider can be ended. To end
// one that has ended changes nothing.
func (w *World) RevokePersonal(by Actor, p *Personal) Refusal {
	r := w.may(by, "")
	if p == nil || p.Member.Account != by.Account {
		r.add(NotFound)
		return r
	}
	if !slices.Contains(r.Codes, Forbidden) {
		manages := w.has(by, "postern.members.write")
		r.addIf(p.Member != by.Member && !manages, NotFound)
		r.addIf(manages && !w.outranks(by, p.Member), Insufficient)
		r.addIf(by.With != nil && by.With != p && !narrower(by.With, p.Scopes), Insufficient)
	}
	if r.None() {
		p.Ended = true
	}
	return r
}

// does gives what a personal access key may do now.
func (w *World) does(p *Personal) (out []string) {
	has := p.Member.Role.Permissions
	if w.Bug == BugPersonalFrozen {
		has = p.madeWith
	}
	for _, s := range has {
		if len(p.Scopes) == 0 || slices.Contains(p.Scopes, s) {
			out = append(out, s)
		}
	}
	return out
}
