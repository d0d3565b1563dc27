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

// CreatePersonal makes a personal access key for whoever asks. A key that is made
// by means of another one is not wider and not longer-lived than that.
func (w *World) CreatePersonal(by Actor, with *Personal, in NewPersonal) (*Personal, Refusal) {
	r := w.may(by, "")
	r.addIf(!validName(in.Name) || !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(w.Now), Invalid)
	r.addIf(slices.ContainsFunc(in.Scopes, func(s string) bool { return !slices.Contains(Permissions, s) }), Invalid)
	if !slices.Contains(r.Codes, Forbidden) {
		lacks := func(s string) bool { return !slices.Contains(by.Member.Role.Permissions, s) }
		r.addIf(slices.ContainsFunc(in.Scopes, lacks), Insufficient)
		if with != nil {
			wider := len(with.Scopes) > 0 && (len(in.Scopes) == 0 ||
				slices.ContainsFunc(in.Scopes, func(s string) bool { return !slices.Contains(with.Scopes, s) }))
			longer := !with.ExpiresAt.IsZero() && (in.ExpiresAt.IsZero() || in.ExpiresAt.After(with.ExpiresAt))
			r.addIf(wider || longer, Forbidden)
			r.addIf(wider, Insufficient)
		}
	}
	if !r.None() {
		return nil, r
	}
	return by.Member.Own(in), r
}

// Own gives a member a personal access key: how the first ones come there.
func (m *Member) Own(in NewPersonal) *Personal {
	p := &Personal{Member: m, Name: in.Name, Scopes: sorted(in.Scopes), ExpiresAt: in.ExpiresAt, madeWith: m.Role.Permissions}
	p.Secret = &Secret{Personal: p, Generation: 1}
	m.Account.Personal = append(m.Account.Personal, p)
	return p
}

// RevokePersonal ends a personal access key: one's own, or, for who may change
// members, anyone's of the account. That of somebody else is otherwise not to be seen.
func (w *World) RevokePersonal(by Actor, p *Personal) Refusal {
	r := w.may(by, "")
	switch {
	case p == nil, p.Ended, p.Member.Account != by.Account:
		r.add(NotFound)
	case p.Member != by.Member && !w.canManage(by):
		r.add(NotFound)
		r.add(Forbidden)
	}
	if r.None() {
		p.Ended = true
	}
	return r
}

func (w *World) canManage(by Actor) bool {
	r := w.may(by, "postern.members.write")
	return r.None()
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
