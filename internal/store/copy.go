package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Copier loads rows into a table within a transaction, by PostgreSQL's COPY.
type Copier func(table string, columns []string, rows [][]any) error

// Load is Write for one who has many rows: copy loads them. On SQLite copy is
// nil, and rows are inserted as ever.
func (p *Pool) Load(ctx context.Context, fn func(tx *sql.Tx, copy Copier) error) error {
	if p.Engine == SQLite {
		return p.Write(ctx, func(tx *sql.Tx) error { return fn(tx, nil) })
	}
	conn, err := p.w.Conn(ctx)
	if err != nil {
		return p.note(err)
	}
	defer conn.Close()
	copier := func(table string, columns []string, rows [][]any) error {
		return conn.Raw(func(driver any) error {
			c, ok := driver.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("store: a connection of type %T can't copy", driver)
			}
			_, err := c.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
			return err
		})
	}
	return p.retry(ctx, func() error {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // also where fn panics; after a commit it does nothing
		if err := fn(tx, copier); err != nil {
			return err
		}
		return tx.Commit()
	})
}
