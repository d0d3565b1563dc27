package store

import (
	"context"
	"fmt"

	"postern.dev/postern"
)

const accountColumns = "id, number, name, time_zone, operator, suspended_at, daily_limit, created_at, revision"

func scanAccount(s scanner) (a postern.Account, err error) {
	var operator, suspended, created int64
	err = s.Scan(&a.ID, &a.Number, &a.Name, &a.TimeZone, &operator, &suspended, &a.DailyLimit, &created, &a.Revision)
	a.Operator, a.SuspendedAt, a.CreatedAt = operator == 1, fromMicros(suspended), fromMicros(created)
	return a, err
}

// Account reads an account.
func (q *queries) Account(ctx context.Context, id postern.AccountID) (postern.Account, error) {
	return one(q.db.QueryRowContext(ctx, "select "+accountColumns+" from accounts where id = $1", id), scanAccount, "account")
}

// Accounts reads all accounts, in the order in which they were made.
func (q *queries) Accounts(ctx context.Context) ([]postern.Account, error) {
	rows, err := q.db.QueryContext(ctx, "select "+accountColumns+" from accounts order by number")
	return collect(rows, err, scanAccount)
}

// InsertAccount writes a new account and gives it the next public number, unless it has one.
func (tx *Tx) InsertAccount(ctx context.Context, a *postern.Account) error {
	if a.Number == 0 {
		if err := tx.db.QueryRowContext(ctx, "update heads set n = n + 1 where name = 'account_number' returning n").Scan(&a.Number); err != nil {
			return fmt.Errorf("store: take an account number: %w", err)
		}
	}
	a.Revision = 1
	return tx.exec(ctx, "insert account", "insert into accounts ("+accountColumns+") values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		a.ID, a.Number, a.Name, a.TimeZone, bit(a.Operator), micros(a.SuspendedAt), a.DailyLimit, micros(a.CreatedAt), a.Revision)
}

// UpdateAccount writes what may change of an account.
func (tx *Tx) UpdateAccount(ctx context.Context, a *postern.Account) error {
	a.Revision++
	return tx.execOne(ctx, "account", `update accounts set name = $2, time_zone = $3, suspended_at = $4, daily_limit = $5, revision = $6 where id = $1`,
		a.ID, a.Name, a.TimeZone, micros(a.SuspendedAt), a.DailyLimit, a.Revision)
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
