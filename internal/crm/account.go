package crm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// idsPerAccount is how many record ids one account may use up. Accounts have
// ranges of their own, so that an id of one is never by chance an id of another;
// nine million accounts stay below 2^53, which JavaScript counts to.
const idsPerAccount = 1_000_000_000

// firstID is the first id of an account's range that a record gets.
const firstID = 101

// firstKind is the first id that an account's own association kinds get. Those
// below are of the standard pairs.
const firstKind = 10_000

// acct gives the account's short number, and on its first use makes what every account starts with.
func (s *Service) acct(ctx context.Context, id postern.AccountID) (int64, error) {
	if n, ok := s.accts.Load(id); ok {
		return n.(int64), nil
	}
	n, err := acctOf(ctx, s.db.Read(), id)
	if errors.Is(err, sql.ErrNoRows) {
		n, err = s.makeAccount(ctx, id)
	}
	if err != nil {
		return 0, fmt.Errorf("crm: account %s: %w", id, err)
	}
	s.accts.Store(id, n)
	return n, nil
}

func acctOf(ctx context.Context, q querier, id postern.AccountID) (n int64, err error) {
	err = q.QueryRowContext(ctx, `select acct from crm_accounts where account_id = $1`, id).Scan(&n)
	return n, err
}

func (s *Service) makeAccount(ctx context.Context, id postern.AccountID) (n int64, err error) {
	for range 5 {
		err = s.db.Write(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, `
				insert into crm_accounts (account_id, acct, next_id, next_kind, writes, created_at)
				select $1, coalesce(max(acct), 0) + 1, coalesce(max(acct), 0) * $2 + $3, $4, 0, $5 from crm_accounts where true
				on conflict (account_id) do nothing`, id, int64(idsPerAccount), int64(firstID), int64(firstKind), micros(s.now()))
			if err != nil {
				return err
			}
			if n, err = acctOf(ctx, tx, id); err != nil {
				return err
			}
			if made, err := res.RowsAffected(); err != nil || made == 0 {
				return err
			}
			return insertDefaultPipelines(ctx, tx, n)
		})
		// Two accounts that are made at once on two nodes may reckon the same number.
		if !store.IsUnique(err) {
			break
		}
	}
	return n, err
}

// write runs fn in a transaction that has the account to itself: on PostgreSQL too
// the changes of one account happen one after the other, so what fn reads (is this
// email taken? which id is next?) stays true until its commit, and ids are
// committed in their order, which is what makes a list's cursor miss nothing.
func (s *Service) write(ctx context.Context, acct int64, fn func(tx *sql.Tx) error) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update crm_accounts set writes = writes + 1 where acct = $1`, acct); err != nil {
			return err
		}
		return fn(tx)
	})
}

// takeIDs reserves n ids in a row and gives the first.
func takeIDs(ctx context.Context, tx *sql.Tx, acct int64, n int) (first int64, err error) {
	err = tx.QueryRowContext(ctx, `update crm_accounts set next_id = next_id + $2 where acct = $1 returning next_id`, acct, int64(n)).Scan(&first)
	return first - int64(n), err
}

// takeKinds reserves n ids of association kinds and gives the first.
func takeKinds(ctx context.Context, tx *sql.Tx, acct int64, n int) (first int64, err error) {
	err = tx.QueryRowContext(ctx, `update crm_accounts set next_kind = next_kind + $2 where acct = $1 returning next_kind`, acct, int64(n)).Scan(&first)
	return first - int64(n), err
}

// insertKinds stores kinds of association that the account has beside the standard ones.
func insertKinds(ctx context.Context, tx *sql.Tx, acct int64, list []*kind) error {
	rows := make([][]any, len(list))
	for i, k := range list {
		rows[i] = []any{acct, k.category, k.id, k.inverse, k.from, k.to, k.name, k.label}
	}
	return bulkInsert(ctx, tx, `crm_association_kinds (acct, category, kind, inverse, from_type, to_type, name, label)`, rows, "")
}
