package keyring

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// personalAll is the pattern of a personal access key that may do all that its member may.
const personalAll = "postern.*"

// maxPersonalKeys is the most live personal access keys of one member.
const maxPersonalKeys = 50

// NewPersonalKey is what a new personal access key shall be.
type NewPersonalKey struct {
	Name string
	// Scopes narrow what it may do to some of what the member may; none means all.
	Scopes    []postern.Scope
	ExpiresAt time.Time
}

// MadePersonal is a personal access key and its secret.
type MadePersonal struct {
	Key    store.PersonalKey
	Secret postern.Secret
}

// CreatePersonalKey makes a personal access key for the acting member.
func (kr *Keyring) CreatePersonalKey(ctx context.Context, by postern.Actor, in NewPersonalKey) (made MadePersonal, err error) {
	_, err = kr.change(ctx, by, "personal_key.create", "", func(c *change) error {
		m, err := c.member("")
		if err != nil {
			return err
		}
		if by.MemberID == "" {
			return postern.Errorf(postern.CodeForbidden, "Only a member can have a personal access key.")
		}
		// A narrowed personal key must not mint one that is wider than itself.
		if by.KeyID != "" {
			own, err := c.PersonalKey(c.ctx, by.AccountID, by.KeyID)
			if err != nil {
				return postern.Errorf(postern.CodeForbidden, "Only a personal access key can make another one.")
			}
			if err := narrowed(own, &in); err != nil {
				return err
			}
		}
		made, err = c.personalKey(m, in)
		return err
	})
	return made, err
}

// throughKey narrows an acting member to what the personal access key may do by
// means of which they act, and refuses one that has ended since it came through
// a door.
func (kr *Keyring) throughKey(ctx context.Context, q memberReader, by postern.Actor, m *postern.Member) error {
	own, err := q.PersonalKey(ctx, by.AccountID, by.KeyID)
	switch {
	case errors.Is(err, postern.CodeNotFound) || err == nil && own.MemberID != by.MemberID:
		return postern.Errorf(postern.CodeForbidden, "Only a member can do this. Use a personal access key: postern login.")
	case err != nil:
		return err
	case !own.RevokedAt.IsZero() || !own.DeletedAt.IsZero() || !own.ExpiresAt.IsZero() && !kr.now().Before(own.ExpiresAt) || !own.Sealed(kr.cfg.Pepper):
		return postern.Errorf(postern.CodeForbidden, "The personal access key that you use has ended. Make a new one.")
	}
	if !slices.Contains(own.Scopes, personalAll) {
		m.Role.Permissions = slices.DeleteFunc(slices.Clone(m.Role.Permissions), func(p postern.Permission) bool { return !slices.Contains(own.Scopes, p) })
	}
	return nil
}

// narrowed checks that a key made with another one is not wider or longer-lived than it.
func narrowed(own store.PersonalKey, in *NewPersonalKey) error {
	if len(in.Scopes) == 0 {
		in.Scopes = slices.Clone(own.Scopes)
	}
	if !within(own.Scopes, in.Scopes) {
		e := postern.Errorf(postern.CodeInsufficientScope, "The personal access key that you use is narrowed; it can't make a wider one.")
		e.Scopes = slices.DeleteFunc(slices.Clone(in.Scopes), func(s postern.Scope) bool { return slices.Contains(own.Scopes, s) })
		e.Message += " It leaves out " + joinScopes(e.Scopes) + "."
		return e
	}
	if x := own.ExpiresAt; !x.IsZero() && (in.ExpiresAt.IsZero() || in.ExpiresAt.After(x)) {
		in.ExpiresAt = x
	}
	return nil
}

func (c *change) personalKey(m *postern.Member, in NewPersonalKey) (made MadePersonal, err error) {
	name, err := text("name", in.Name, postern.MaxNameLen, true)
	if err != nil {
		return made, err
	}
	if err := c.checkLife(time.Time{}, in.ExpiresAt); err != nil {
		return made, err
	}
	have, err := c.PersonalKeys(c.ctx, m.AccountID, m.ID)
	if err != nil {
		return made, err
	}
	if len(have) >= maxPersonalKeys {
		return made, postern.Errorf(postern.CodeTooLarge, "You have %d personal access keys, which is the most. Revoke one first.", len(have))
	}
	scopes := postern.SortScopes(slices.Clone(in.Scopes))
	for _, s := range scopes {
		if s != personalAll && !slices.Contains(postern.Permissions(), s) {
			return made, postern.Invalidf("scopes", "There is no permission %q.", string(s))
		}
	}
	lacks := slices.DeleteFunc(slices.Clone(scopes), func(s postern.Scope) bool { return s == personalAll || m.Can(s) })
	if len(lacks) > 0 {
		e := postern.Errorf(postern.CodeInsufficientScope, "You can't make this personal access key: you don't have the permission %s.", joinScopes(lacks))
		e.Scopes = lacks
		return made, e
	}
	if len(scopes) == 0 {
		scopes = []postern.Scope{personalAll}
	}
	id := postern.NewKeyID()
	secret := postern.NewSecret(c.kr.cfg.Brand, postern.SecretPersonal, id)
	hash, pepper := c.kr.cfg.Pepper.Hash(secret)
	made = MadePersonal{Secret: secret, Key: store.PersonalKey{Name: name, CreatedAt: c.now, CredentialRow: postern.CredentialRow{
		Key: id, AccountID: m.AccountID, Kind: postern.KindPersonal, MemberID: m.ID, Scopes: scopes, ExpiresAt: whole(in.ExpiresAt), Revision: 1,
		Current: postern.SecretHash{Hash: hash, Pepper: pepper, Generation: 1, LastFour: secret.LastFour()}}}}
	made.Key.Seal(c.kr.cfg.Pepper)
	if err := c.InsertCredential(c.ctx, &made.Key.CredentialRow); err != nil {
		return made, err
	}
	if err := c.InsertPersonalKey(c.ctx, &made.Key); err != nil {
		return made, err
	}
	if err := c.feed(postern.ChangeCredential, m.AccountID, string(id)); err != nil {
		return made, err
	}
	return made, c.audit("personal_key.create", string(id), name, diff(nil, map[string]any{"member": m.ID, "scopes": scopes}))
}

// PersonalKeys lists the personal access keys of the acting member.
func (kr *Keyring) PersonalKeys(ctx context.Context, by postern.Actor) ([]store.PersonalKey, error) {
	if err := kr.reader(ctx, by, ""); err != nil {
		return nil, err
	}
	return kr.db.PersonalKeys(ctx, by.AccountID, by.MemberID)
}

// RevokePersonalKey ends a personal access key: one's own, or, with the
// permission to change members, that of a member who holds no more than oneself.
func (kr *Keyring) RevokePersonalKey(ctx context.Context, by postern.Actor, id postern.KeyID) error {
	_, err := kr.change(ctx, by, "personal_key.revoke", string(id), func(c *change) error {
		if _, err := c.member(""); err != nil {
			return err
		}
		k, err := c.PersonalKey(c.ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if k.MemberID != by.MemberID {
			m, err := c.member(postern.PermMembersWrite)
			if err != nil {
				// Another member's keys aren't there for whoever may not manage members.
				return postern.Errorf(postern.CodeNotFound, "There is no such personal access key.")
			}
			who, err := c.MemberOf(c.ctx, by.AccountID, k.MemberID)
			if err != nil {
				return err
			}
			// Who can't change or remove someone can't lock them out key by key either.
			if err := outranks(m, who.Role, who.Scopes, "end this member's personal access key"); err != nil {
				return err
			}
		}
		if err := c.mayEnd(k); err != nil {
			return err
		}
		return c.endPersonal(k.CredentialRow)
	})
	return err
}

// mayEnd refuses a narrowed personal access key that would end a wider one: it
// may end itself, and what it could have made.
func (c *change) mayEnd(k store.PersonalKey) error {
	if c.by.KeyID == "" || c.by.KeyID == k.Key {
		return nil
	}
	own, err := c.PersonalKey(c.ctx, c.by.AccountID, c.by.KeyID)
	if err != nil {
		return postern.Errorf(postern.CodeForbidden, "Only a personal access key can end another one.")
	}
	if !within(own.Scopes, k.Scopes) {
		return postern.Errorf(postern.CodeInsufficientScope, "The personal access key that you use is narrowed; it can't end a wider one.")
	}
	return nil
}

// within reports whether a personal access key with the scopes want may do no
// more than one with the scopes own. Permissions are all told by name: none is
// sensitive, so that the pattern for all of them covers each.
func within(own, want []postern.Scope) bool {
	if slices.Contains(own, personalAll) {
		return true
	}
	return !slices.ContainsFunc(want, func(s postern.Scope) bool { return !slices.Contains(own, s) })
}

func (c *change) endPersonal(row postern.CredentialRow) error {
	if !row.RevokedAt.IsZero() {
		return nil
	}
	row.RevokedAt = c.now
	row.Revision++
	row.Seal(c.kr.cfg.Pepper)
	if err := c.UpdateCredential(c.ctx, &row); err != nil {
		return err
	}
	if err := c.feed(postern.ChangeCredential, row.AccountID, string(row.Key)); err != nil {
		return err
	}
	return c.audit("personal_key.revoke", string(row.Key), "", diff(nil, map[string]any{"member": row.MemberID}))
}

func (c *change) endPersonalKeys(m postern.MemberID) error {
	keys, err := c.MemberKeys(c.ctx, m)
	if err != nil {
		return err
	}
	for _, id := range keys {
		row, err := c.Credential(c.ctx, id)
		if err != nil {
			return err
		}
		if err := c.endPersonal(row); err != nil {
			return err
		}
	}
	return nil
}
