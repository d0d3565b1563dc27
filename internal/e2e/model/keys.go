package model

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Key is a service key.
type Key struct {
	Account     *Account
	Name        string
	Description string
	Scopes      []string
	Networks    []netip.Prefix
	NotBefore   time.Time // zero: at once
	ExpiresAt   time.Time // zero: never
	Rate        Rate
	PausedAt    time.Time
	RevokedAt   time.Time
	RevokedWhy  string
	Deleted     bool
	FlaggedAt   time.Time
	MadeBy      *Member
	MadeAt      time.Time
	Revision    int64

	Current       *Secret
	Previous      *Secret // the one before, kept so that it can be called retired
	PreviousUntil time.Time
	Secrets       []*Secret // all that it ever had, voided ones too

	spent   time.Duration // of its burst, at spentAt
	spentAt time.Time
}

// Rate is a limit of calls in a time; no calls is no limit.
type Rate struct {
	Calls int64
	Per   time.Duration
}

// Secret is a secret of a service key or of a personal access key.
type Secret struct {
	Key        *Key
	Personal   *Personal
	Generation int64
}

// NewKey is what a key shall be.
type NewKey struct {
	Name        string
	Description string
	Scopes      []string
	Networks    []netip.Prefix
	NotBefore   time.Time
	ExpiresAt   time.Time
	Rate        Rate
	Idempotency string
}

// ended reports whether a key is ended for good.
func (k *Key) ended() bool { return k.Deleted || !k.RevokedAt.IsZero() }

// State is what a key can do now. Where several hold, the more final one is told.
func (w *World) State(k *Key) string {
	switch {
	case k.ended():
		return "ended"
	case !k.ExpiresAt.IsZero() && !w.Now.Before(k.ExpiresAt):
		return "expired"
	case !k.PausedAt.IsZero():
		return "paused"
	case w.Now.Before(k.NotBefore):
		return "scheduled"
	case w.Rotating(k):
		return "rotating"
	}
	return "active"
}

// CreateKey makes a key and its first secret. Asked again with the same
// Idempotency-Key it gives the same key, and no secret.
func (w *World) CreateKey(by Actor, in NewKey) (*Key, *Secret, Refusal) {
	r := w.may(by, "postern.keys.write")
	if !r.None() {
		return nil, nil, r
	}
	request := fmt.Sprintf("create %+v", in)
	if first := w.recall(by, in.Idempotency); first != nil && w.Bug != BugRetryMintsAgain {
		if first.request != request {
			return nil, nil, alone(Conflict)
		}
		if first.key.Deleted {
			return nil, nil, alone(NotFound)
		}
		return first.key, nil, r
	}
	r.addIf(!validName(in.Name) || len(in.Description) > 1000, Invalid)
	r.addIf(!w.allGrantable(in.Scopes, nil), Invalid)
	r.addIf(!w.validLife(in.NotBefore, in.ExpiresAt) || !validRate(in.Rate), Invalid)
	r.addIf(w.nameTaken(by.Account, in.Name, nil), Conflict)
	r.addMissing(w.lacks(by.Member, in.Scopes))
	if !r.None() {
		return nil, nil, r
	}
	k := &Key{
		Account: by.Account, Name: in.Name, Description: in.Description, Scopes: sorted(in.Scopes), Networks: in.Networks,
		NotBefore: in.NotBefore, ExpiresAt: in.ExpiresAt, Rate: in.Rate, MadeBy: by.Member, MadeAt: w.Now, Revision: 1,
	}
	k.Current = k.newSecret()
	by.Account.Keys = append(by.Account.Keys, k)
	w.remember(by, in.Idempotency, request, k)
	return k, k.Current, r
}

// newSecret counts one above all secrets that the key had.
func (k *Key) newSecret() *Secret {
	s := &Secret{Key: k, Generation: int64(len(k.Secrets)) + 1}
	k.Secrets = append(k.Secrets, s)
	return s
}

// RevokeKey ends a key; to revoke one that is revoked changes nothing.
func (w *World) RevokeKey(by Actor, k *Key, why string) (changed bool, r Refusal) {
	r = w.may(by, "postern.keys.revoke")
	if !w.sees(by, k) {
		r.add(NotFound)
	}
	if !r.None() || k.ended() {
		return false, r
	}
	k.RevokedAt, k.RevokedWhy = w.Now, why
	k.Revision++
	return true, r
}

// DeleteKey revokes what is still live and takes the key off the lists.
func (w *World) DeleteKey(by Actor, k *Key, revision int64) (r Refusal) {
	r = w.may(by, "postern.keys.revoke")
	if !w.sees(by, k) {
		r.add(NotFound)
		return r
	}
	r.addIf(revision != 0 && revision != k.Revision, Precondition)
	if r.None() {
		k.Deleted = true
	}
	return r
}

// ReadKey reports whether someone can read a key.
func (w *World) ReadKey(by Actor, k *Key) (r Refusal) {
	r = w.may(by, "postern.keys.read")
	r.addIf(!w.sees(by, k), NotFound)
	return r
}

// sees reports whether a key is there for someone: of their account, and not
// deleted. No key at all stands for an id that nobody has.
func (w *World) sees(by Actor, k *Key) bool {
	return k != nil && !k.Deleted && (k.Account == by.Account || w.Bug == BugForeignFound)
}

// nameTaken reports whether another live key of the account has a name.
func (w *World) nameTaken(a *Account, name string, but *Key) bool {
	return slices.ContainsFunc(a.Keys, func(k *Key) bool {
		return k != but && k.Name == name && (!k.ended() || w.Bug == BugNamesStayTaken && !k.Deleted)
	})
}

func validName(name string) bool { return name != "" && len(name) <= 100 }

// validRate reports whether a limit is none, or 1 to 1,000,000 calls in whole
// seconds, an hour at most.
func validRate(r Rate) bool {
	return r == (Rate{}) || r.Calls >= 1 && r.Calls <= 1_000_000 && r.Per >= time.Second && r.Per <= time.Hour && r.Per%time.Second == 0
}

// validLife reports whether a key can begin and end so: it ends after now and
// after its beginning.
func (w *World) validLife(from, to time.Time) bool {
	return to.IsZero() || to.After(w.Now) && to.After(from)
}

// allGrantable reports whether all scopes can be put on a key that has some already.
func (w *World) allGrantable(scopes, have []string) bool {
	for _, s := range scopes {
		if !slices.Contains(have, s) && !w.grantable(s) {
			return false
		}
	}
	return true
}
