package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
)

// load reads everything. The feed's head is read first: each thing is read as of
// that number or later, and what came later is applied once more, which changes
// nothing. With anew, what the store says counts even if it is older than what
// was known; ends of credentials are kept nevertheless. The caller has the turn.
func (v *Verifier) load(ctx context.Context, anew bool) error {
	began := time.Now()
	head, epoch, err := v.store.FeedHead(ctx)
	if err != nil {
		return fmt.Errorf("verify: read the feed's head: %w", err)
	}
	f := &v.feed
	if f.loaded && !anew {
		if err := v.sameFeed(head, epoch); err != nil {
			return err
		}
	}
	var last postern.Change
	if changes, err := v.readFeed(ctx, max(head-1, 0)); err != nil {
		return err
	} else if len(changes) > 0 && changes[0].Seq == head {
		last = changes[0]
	}
	if err := v.loadAccounts(ctx, anew); err != nil {
		return err
	}
	if err := v.loadMembers(ctx, anew); err != nil {
		return err
	}
	if err := v.loadRoutes(ctx); err != nil {
		return err
	}
	if err := v.loadCredentials(ctx, anew); err != nil {
		return err
	}
	f.loaded, f.epoch, f.last = true, epoch, last
	f.applied.Store(head)
	f.head.Store(head)
	if anew {
		f.confirmed.Store(0)
	}
	v.counts.loads.Add(1)
	v.log.Info("read all credentials", "keys", v.index.keys.Load(), "applied", head, "took", time.Since(began))
	if v.onApplied != nil {
		v.onApplied(nil)
	}
	return nil
}

// loadAccounts reads all accounts; those that are no more are refused.
func (v *Verifier) loadAccounts(ctx context.Context, anew bool) error {
	there := map[postern.AccountID]bool{}
	err := v.store.Accounts(ctx, func(a *postern.Account) error {
		there[a.ID] = true
		v.accounts.put(a, anew)
		return nil
	})
	if err != nil {
		return fmt.Errorf("verify: read accounts: %w", err)
	}
	for _, a := range *v.accounts.list.Load() {
		if !there[a.id] {
			a.facts.Store(nil)
		}
	}
	return nil
}

// loadMembers reads all members; those that are no more count as removed.
func (v *Verifier) loadMembers(ctx context.Context, anew bool) error {
	there := map[postern.MemberID]bool{}
	err := v.store.Members(ctx, func(m *postern.Member) error {
		there[m.ID] = true
		v.members.put(v.memberFacts(m), anew)
		return nil
	})
	if err != nil {
		return fmt.Errorf("verify: read members: %w", err)
	}
	v.members.keep(there, v.storeTime(v.clock.Now()))
	return nil
}

// loadCredentials reads all rows, and takes out of the index what isn't among
// them. Checking their MACs is most of the work, so several do it.
func (v *Verifier) loadCredentials(ctx context.Context, anew bool) error {
	const batch = 256
	rows := make(chan []*postern.CredentialRow, 16)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for list := range rows {
				for _, row := range list {
					v.putRow(row, anew)
				}
			}
		})
	}
	v.index.beginSweep()
	list := make([]*postern.CredentialRow, 0, batch)
	err := v.store.Credentials(ctx, func(row *postern.CredentialRow) error {
		if list = append(list, row); len(list) == batch {
			rows <- list
			list = make([]*postern.CredentialRow, 0, batch)
		}
		return ctx.Err()
	})
	rows <- list
	close(rows)
	workers.Wait()
	v.index.endSweep(err == nil)
	if err != nil {
		return fmt.Errorf("verify: read credentials: %w", err)
	}
	return nil
}

// changedRows reads the rows of all credentials that changes are about: an import
// makes hundreds at once. It gives nil where it is no more than one.
func (v *Verifier) changedRows(ctx context.Context, changes []postern.Change) (map[postern.KeyID]*postern.CredentialRow, error) {
	const atOnce = 500
	var keys []postern.KeyID
	for i := range changes {
		if changes[i].Kind == postern.ChangeCredential {
			keys = append(keys, postern.KeyID(changes[i].ID))
		}
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) < 2 {
		return nil, nil
	}
	out := make(map[postern.KeyID]*postern.CredentialRow, len(keys))
	for part := range slices.Chunk(keys, atOnce) {
		rows, err := v.store.CredentialsOf(ctx, part)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			out[rows[i].Key] = &rows[i]
		}
	}
	return out, nil
}

// applyOne brings a change into force: it reads afresh what that is about, unless
// it is a credential and rows, which were read for all of them, isn't nil.
func (v *Verifier) applyOne(ctx context.Context, c *postern.Change, rows map[postern.KeyID]*postern.CredentialRow) error {
	switch c.Kind {
	case postern.ChangeCredential:
		key := postern.KeyID(c.ID)
		if rows == nil {
			return v.readCredential(ctx, key)
		}
		if row := rows[key]; row != nil {
			return v.admitRow(ctx, row)
		}
		v.goneRow(key)
		return nil
	case postern.ChangeAccount:
		return v.readAccount(ctx, postern.AccountID(c.ID))
	case postern.ChangeMember:
		return v.readMember(ctx, postern.MemberID(c.ID))
	case postern.ChangeRole:
		for _, id := range v.members.ofRole(postern.RoleID(c.ID)) {
			if err := v.readMember(ctx, id); err != nil {
				return err
			}
		}
		return nil
	case postern.ChangeCatalog:
		return v.loadRoutes(ctx)
	}
	// From a newer version that knows more kinds. What it forbids can't be known
	// here, so this node must not go on as if it had applied it.
	return fmt.Errorf("a change of the kind %q is not known here", c.Kind)
}

func (v *Verifier) readCredential(ctx context.Context, key postern.KeyID) error {
	row, err := v.store.Credential(ctx, key)
	if errors.Is(err, postern.CodeNotFound) {
		v.goneRow(key)
		return nil
	}
	if err != nil {
		return err
	}
	return v.admitRow(ctx, row)
}

// goneRow notes that the store has no row of a key any more.
func (v *Verifier) goneRow(key postern.KeyID) {
	if len(key) == postern.KeyIDLen {
		v.index.gone((*[postern.KeyIDLen]byte)([]byte(key)), v.storeTime(v.clock.Now()))
	}
}

// admitRow puts a row into the index, after the account and the member that it
// names and that may be as new as itself.
func (v *Verifier) admitRow(ctx context.Context, row *postern.CredentialRow) error {
	if a := v.accounts.find(row.AccountID); a == nil || a.facts.Load() == nil {
		if err := v.readAccount(ctx, row.AccountID); err != nil {
			return err
		}
	}
	if row.MemberID != "" && !v.members.at(v.members.number(row.MemberID)).known {
		if err := v.readMember(ctx, row.MemberID); err != nil {
			return err
		}
	}
	v.putRow(row, false)
	return nil
}

func (v *Verifier) readAccount(ctx context.Context, id postern.AccountID) error {
	a, err := v.store.Account(ctx, id)
	switch {
	case errors.Is(err, postern.CodeNotFound):
		v.accounts.gone(id)
	case err != nil:
		return err
	default:
		v.accounts.put(a, false)
	}
	return nil
}

func (v *Verifier) readMember(ctx context.Context, id postern.MemberID) error {
	m, err := v.store.Member(ctx, id)
	switch {
	case errors.Is(err, postern.CodeNotFound):
		v.members.gone(id, v.storeTime(v.clock.Now()))
	case err != nil:
		return err
	default:
		v.members.put(v.memberFacts(m), false)
	}
	return nil
}
