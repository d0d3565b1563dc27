package store

import (
	"context"
	"fmt"

	"postern.dev/postern"
)

func accountValues(a *postern.Account) []any {
	return []any{a.ID, a.Number, a.Name, a.TimeZone, bit(a.Operator), micros(a.SuspendedAt), a.DailyLimit, micros(a.CreatedAt), a.Revision}
}

func (q *queries) scanAccount(s scanner) (a postern.Account, err error) {
	var operator, suspended, created int64
	var m mark
	err = s.Scan(append([]any{&a.ID, &a.Number, &a.Name, &a.TimeZone, &operator, &suspended, &a.DailyLimit, &created, &a.Revision}, m.targets()...)...)
	if err != nil {
		return a, err
	}
	a.Operator, a.SuspendedAt, a.CreatedAt = operator == 1, fromMicros(suspended), fromMicros(created)
	if q.seals.broken(accountsTable, []any{a.ID, a.Number, a.Name, a.TimeZone, operator, suspended, a.DailyLimit, created, a.Revision}, m) {
		a.Altered, a.Operator = true, false
		if a.SuspendedAt.IsZero() {
			// Since when isn't known; that it is must not depend on who remembers to ask about the seal.
			a.SuspendedAt = fromMicros(1)
		}
	}
	return a, nil
}

// Account reads an account.
func (q *queries) Account(ctx context.Context, id postern.AccountID) (postern.Account, error) {
	return one(q.db.QueryRowContext(ctx, "select "+accountsTable.list("")+" from accounts where id = $1", id), q.scanAccount, "account")
}

// Accounts reads all accounts, in the order in which they were made.
func (q *queries) Accounts(ctx context.Context) ([]postern.Account, error) {
	rows, err := q.db.QueryContext(ctx, "select "+accountsTable.list("")+" from accounts order by number")
	return collect(rows, err, q.scanAccount)
}

// InsertAccount writes a new account and gives it the next public number, unless it has one.
func (tx *Tx) InsertAccount(ctx context.Context, a *postern.Account) error {
	if a.Number == 0 {
		if err := tx.db.QueryRowContext(ctx, "update heads set n = n + 1 where name = 'account_number' returning n").Scan(&a.Number); err != nil {
			return fmt.Errorf("store: take an account number: %w", err)
		}
	}
	a.Revision = 1
	return tx.exec(ctx, "insert account", accountsTable.insert(), tx.seals.seal(accountsTable, accountValues(a))...)
}

// UpdateAccount writes an account that was read in the same transaction.
func (tx *Tx) UpdateAccount(ctx context.Context, a *postern.Account) error {
	if a.Altered {
		return errAltered("account", "Put it back from a back-up.")
	}
	a.Revision++
	return tx.execOne(ctx, "account", accountsTable.update(), tx.seals.seal(accountsTable, accountValues(a))...)
}

// Setting reads one of the server's own settings, "" where it isn't set.
func (q *queries) Setting(ctx context.Context, name string) (string, error) {
	var v string
	err := q.db.QueryRowContext(ctx, "select coalesce((select value from settings where name = $1), '')", name).Scan(&v)
	if err != nil {
		return "", fmt.Errorf("store: read setting %s: %w", name, err)
	}
	return v, nil
}

// SetSetting writes one of the server's own settings.
func (tx *Tx) SetSetting(ctx context.Context, name, value string) error {
	return tx.exec(ctx, "write setting "+name, `insert into settings (name, value) values ($1, $2)
		on conflict (name) do update set value = excluded.value`, name, value)
}
