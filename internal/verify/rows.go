package verify

import (
	"slices"
	"time"

	"postern.dev/postern"
)

// putRow puts a row into the index: as a record that works, or, where the row is
// not as it was sealed, as one that denies.
func (v *Verifier) putRow(row *postern.CredentialRow, anew bool) {
	if len(row.Key) != postern.KeyIDLen {
		v.badRow(row, "its key ID is malformed")
		return
	}
	c := postern.Credential{Key: [postern.KeyIDLen]byte([]byte(row.Key))}
	if !row.Sealed(v.hashers.pepper) {
		// Nothing in it is true for certain, so nothing of it is kept.
		v.badRow(row, "its MAC is wrong: it was changed by other means than Postern")
		c.Flags = postern.FlagTampered
		if err := v.index.put(&c, nil, nil, nil, nil, anew); err != nil {
			v.badRow(row, err.Error())
		}
		return
	}
	held := v.credential(row, &c)
	networks := make([]network, 0, len(row.Networks))
	for _, p := range row.Networks {
		if !p.IsValid() {
			v.badRow(row, "one of its networks is malformed")
			// A list that lost its only entry would mean anywhere.
			c.Flags = postern.FlagTampered
			continue
		}
		networks = append(networks, networkOf(p))
	}
	if imported(&c) && row.Retiring != nil {
		v.retiring.mu.Lock()
		defer v.retiring.mu.Unlock()
	}
	if err := v.index.put(&c, held, networks, v.watchOf(row.Watch), brownouts(row), anew); err != nil {
		v.badRow(row, err.Error())
		c.Flags = postern.FlagTampered
		// Without lists there is nothing that can fail.
		_ = v.index.put(&c, nil, nil, nil, nil, anew)
	}
	if imported(&c) && row.Retiring != nil && v.index.revision(&c.Key) == c.Revision {
		v.retiring.put(&c, row.Retiring)
	}
}

func (v *Verifier) badRow(row *postern.CredentialRow, why string) {
	// Under a wrong pepper there are as many as rows: each doubling is told.
	if n := v.counts.badRows.Add(1); n&(n-1) != 0 {
		return
	}
	v.log.Error("a credential's row can't be trusted; it denies", "key_id", row.Key, "why", why, "so_far", v.counts.badRows.Load())
}

// credential fills c in from a row, and gives the scopes that it holds.
func (v *Verifier) credential(row *postern.CredentialRow, c *postern.Credential) (held []postern.ScopeID) {
	c.Current, c.CurrentPepper = row.Current.Hash, row.Current.Pepper
	c.Previous, c.PreviousPepper = row.Previous.Hash, row.Previous.Pepper
	c.Generation, c.PreviousGen = clip32(row.Current.Generation), clip32(row.Previous.Generation)
	if row.Previous.Pepper != 0 {
		c.PreviousUntil = postern.ToMicros(row.PreviousUntil)
	}
	c.NotBefore, c.ExpiresAt = postern.ToMicros(row.NotBefore), postern.ToMicros(row.ExpiresAt)
	c.Account = v.accounts.number(row.AccountID)
	c.Kind = row.Kind
	c.Revision = clip32(row.Revision)
	if row.Rate.Calls > 0 {
		c.RateCalls = clip32(row.Rate.Calls)
		c.RatePer = max(1, seconds(int64(row.Rate.Per)))
	}
	if !row.PausedAt.IsZero() {
		c.Flags |= postern.FlagPaused
	}
	if row.PreviousEnded {
		c.Flags |= postern.FlagPreviousEnded
	}
	if row.AllScopes {
		c.Flags |= postern.FlagAllScopes
	}
	if end := earliest(row.RevokedAt, row.DeletedAt); !end.IsZero() {
		c.NotBefore = postern.ToMicros(end)
		if !row.RevokedAt.IsZero() {
			c.Flags |= postern.FlagRevoked
		}
		if !row.DeletedAt.IsZero() {
			c.Flags |= postern.FlagDeleted
		}
	}
	if row.Kind == postern.KindPersonal {
		c.Subject = v.members.number(row.MemberID)
		patterns := make(postern.Grants, len(row.Scopes))
		for i, s := range row.Scopes {
			patterns[i] = string(s)
		}
		return v.permissions(func(p postern.Permission) bool { return patterns.Covers(p, false) })
	}
	held, err := v.scopes.set(row.Scopes)
	if err != nil {
		v.badRow(row, err.Error())
	}
	return slices.Clip(held)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// brownouts are when an imported credential is refused for a while.
func brownouts(row *postern.CredentialRow) []postern.Span {
	if row.Retiring == nil || len(row.Retiring.Brownouts) == 0 {
		return nil
	}
	return postern.SpansOf(row.Retiring.Brownouts)
}
