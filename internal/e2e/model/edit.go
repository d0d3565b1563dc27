package model

import (
	"net/netip"
	"slices"
	"time"
)

// KeyEdit is what shall change of a key. Nil members stay; a zero time means none.
type KeyEdit struct {
	Name        *string
	Description *string
	Scopes      *[]string
	Networks    *[]netip.Prefix
	NotBefore   *time.Time
	ExpiresAt   *time.Time
	Rate        *Rate
	Paused      *bool
	Reviewed    bool
	Revision    int64
}

// EditKey changes a key. Whatever widens what it can do, for how long, from where
// or how often needs a member who holds its scopes: the added ones where only
// scopes are added, all of them otherwise.
func (w *World) EditKey(by Actor, k *Key, in KeyEdit) (changed bool, r Refusal) {
	r = w.may(by, editPermission(in))
	if !w.sees(by, k) {
		r.add(NotFound)
		return false, r
	}
	r.addIf(k.ended(), Conflict)
	r.addIf(in.Revision != 0 && in.Revision != k.Revision, Precondition)
	to := w.edited(k, in)
	r.addIf(in.Name != nil && !validName(*in.Name), Invalid)
	r.addIf(in.Description != nil && len(*in.Description) > 1000, Invalid)
	r.addIf(in.Name != nil && w.nameTaken(k.Account, *in.Name, k), Conflict)
	r.addIf(in.Scopes != nil && !w.allGrantable(*in.Scopes, k.Scopes), Invalid)
	r.addIf(in.Rate != nil && !validRate(*in.Rate), Invalid)
	lifeMoves := !to.NotBefore.Equal(k.NotBefore) || !to.ExpiresAt.Equal(k.ExpiresAt)
	r.addIf(lifeMoves && !w.validLife(to.NotBefore, to.ExpiresAt), Invalid)
	if !slices.Contains(r.Codes, Forbidden) {
		r.addMissing(w.lacks(by.Member, w.widened(k, to)))
	}
	if !r.None() || same(k, to) {
		return false, r
	}
	to.Revision++
	*k = *to
	return true, r
}

// editPermission: to pause a key and nothing else is a way to stop it; all other
// edits write.
func editPermission(in KeyEdit) string {
	if in.Paused != nil && *in.Paused && in.Name == nil && in.Description == nil && in.Scopes == nil && in.Networks == nil &&
		in.NotBefore == nil && in.ExpiresAt == nil && in.Rate == nil && !in.Reviewed {
		return "postern.keys.revoke"
	}
	return "postern.keys.write"
}

// edited is the key as it would be after an edit.
func (w *World) edited(k *Key, in KeyEdit) *Key {
	to := *k
	set(&to.Name, in.Name)
	set(&to.Description, in.Description)
	set(&to.Networks, in.Networks)
	set(&to.NotBefore, in.NotBefore)
	set(&to.ExpiresAt, in.ExpiresAt)
	set(&to.Rate, in.Rate)
	if in.Scopes != nil {
		to.Scopes = sorted(*in.Scopes)
		if w.Bug == BugEditKeepsScopes {
			to.Scopes = sorted(slices.Concat(*in.Scopes, k.Scopes))
		}
	}
	// A secret never outlives its key.
	if in.ExpiresAt != nil && !to.ExpiresAt.IsZero() && to.PreviousUntil.After(to.ExpiresAt) && w.Bug != BugGraceOutlivesKey {
		to.PreviousUntil = to.ExpiresAt
	}
	if in.Paused != nil && *in.Paused != !k.PausedAt.IsZero() {
		to.PausedAt = time.Time{}
		if *in.Paused {
			to.PausedAt = w.Now
		}
	}
	if in.Reviewed {
		to.FlaggedAt = time.Time{}
	}
	return &to
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// widened gives the scopes that somebody must hold to make one key of another.
func (w *World) widened(from, to *Key) []string {
	if w.livesLonger(from, to) || w.reachesFurther(from, to) || w.resumes(from, to) || callsMore(from.Rate, to.Rate) {
		return to.Scopes
	}
	var added []string
	for _, s := range to.Scopes {
		if !slices.Contains(from.Scopes, s) {
			added = append(added, s)
		}
	}
	return added
}

// livesLonger: it ends later, or begins sooner, where it has not begun.
func (w *World) livesLonger(from, to *Key) bool {
	if w.Bug == BugLengthenFreely {
		return false
	}
	later := !from.ExpiresAt.IsZero() && (to.ExpiresAt.IsZero() || to.ExpiresAt.After(from.ExpiresAt))
	return later || from.NotBefore.After(w.Now) && to.NotBefore.Before(from.NotBefore)
}

func (w *World) resumes(from, to *Key) bool {
	return !from.PausedAt.IsZero() && to.PausedAt.IsZero() && w.Bug != BugResumeFreely
}

// callsMore reports whether one limit lets more calls through than another, at
// once or in the long run; no limit is the most.
func callsMore(from, to Rate) bool {
	switch {
	case from.Calls == 0:
		return false
	case to.Calls == 0:
		return true
	}
	return to.Calls > from.Calls || to.Calls*int64(from.Per) > from.Calls*int64(to.Per)
}

// reachesFurther reports whether there is an address that the networks of to let
// in and those of from don't. If there is one, there is one at an edge: the first
// or last address of a network of to, or one just beside a network of from.
func (w *World) reachesFurther(from, to *Key) bool {
	if len(from.Networks) == 0 || w.Bug == BugWidenFreely {
		return false
	}
	if len(to.Networks) == 0 {
		return true
	}
	var edges []netip.Addr
	for _, p := range slices.Concat(from.Networks, to.Networks) {
		first, last := p.Masked().Addr(), lastOf(p)
		edges = append(edges, first, last, first.Prev(), last.Next())
	}
	return slices.ContainsFunc(edges, func(a netip.Addr) bool {
		return a.IsValid() && within(to.Networks, a) && !within(from.Networks, a)
	})
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// within reports whether an address is in one of the networks.
func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// same reports whether two keys are the same to whoever reads them.
func same(a, b *Key) bool {
	return a.Name == b.Name && a.Description == b.Description && slices.Equal(a.Scopes, b.Scopes) &&
		SameNetworks(a.Networks, b.Networks) && a.NotBefore.Equal(b.NotBefore) && a.ExpiresAt.Equal(b.ExpiresAt) &&
		a.Rate == b.Rate && a.PausedAt.Equal(b.PausedAt) && a.FlaggedAt.Equal(b.FlaggedAt)
}

// SameNetworks reports whether two lists hold the same networks.
func SameNetworks(a, b []netip.Prefix) bool {
	all := func(of, in []netip.Prefix) bool {
		return !slices.ContainsFunc(of, func(p netip.Prefix) bool { return !slices.Contains(in, p) })
	}
	return all(a, b) && all(b, a)
}
