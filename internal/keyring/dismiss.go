package keyring

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// DismissAdvice puts advice of a kind on a key aside; what says which fix it was.
// With an empty what it is taken up again.
func (kr *Keyring) DismissAdvice(ctx context.Context, by postern.Actor, id postern.KeyID, kind, what string) error {
	_, err := kr.change(ctx, by, "advice.dismiss", string(id), func(c *change) error {
		m, err := c.member(postern.PermKeysWrite)
		if err != nil {
			return err
		}
		rec, err := c.liveKey(id, 0)
		if err != nil {
			return err
		}
		if what == "" {
			if err := c.DeleteDismissal(ctx, id, kind); err != nil {
				return err
			}
			return c.audit("advice.take_up", string(id), rec.Key.Name, because(kind))
		}
		if err := c.PutDismissal(ctx, &store.Dismissal{AccountID: by.AccountID, Key: id, Kind: kind, What: what, By: m.ID, At: c.now}); err != nil {
			return err
		}
		return c.audit("advice.dismiss", string(id), rec.Key.Name, because(kind))
	})
	return err
}

// Dismissals reads the advice that was put aside on the account's keys, or on one.
func (kr *Keyring) Dismissals(ctx context.Context, by postern.Actor, id postern.KeyID) ([]store.Dismissal, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	return kr.db.Dismissals(ctx, by.AccountID, id)
}

// GrantedSince tells which scopes a key was given since a time, and when last: by
// the audit log, which forgets nothing. Those that it had before are not in it.
func (kr *Keyring) GrantedSince(ctx context.Context, by postern.Actor, id postern.KeyID, since time.Time) (map[postern.Scope]time.Time, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	out := map[postern.Scope]time.Time{}
	for before := int64(0); ; {
		const page = 200
		list, err := kr.db.AuditPage(ctx, by.AccountID, store.AuditFilter{Object: string(id), Result: "ok", Since: since}, before, page)
		if err != nil {
			return nil, err
		}
		for i := range list {
			e := &list[i]
			if e.Action == actUndo {
				continue // what it gave back had been granted before
			}
			had := scopesOf(e.Before)
			for s := range scopesOf(e.After) {
				if at, ok := out[s]; !had[s] && (!ok || e.At.After(at)) {
					out[s] = e.At
				}
			}
		}
		if len(list) < page {
			return out, nil
		}
		before = list[len(list)-1].Seq
	}
}

// scopesOf reads the scopes from one side of an audit entry about a key.
func scopesOf(facts map[string]any) map[postern.Scope]bool {
	out := map[postern.Scope]bool{}
	list, _ := facts["scopes"].([]any)
	for _, s := range list {
		if text, ok := s.(string); ok {
			out[postern.Scope(text)] = true
		}
	}
	return out
}
