package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"postern.dev/postern"
)

// Lost reports whether an error means that the database could not be reached, so that
// a question may be asked again. What changes something says so itself: see Pool.Write.
func Lost(err error) bool { return lost(err) }

// lost reports whether an error means that a connection to PostgreSQL is gone, or
// that its server is on its way out or is a standby by now: what a transaction had
// done before its COMMIT was sent is undone then, and it can be done again elsewhere.
func lost(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "57P01", "57P02", "57P03", "57P05", "25006", "08000", "08003", "08006":
			return true
		}
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false // it was given up; whoever asked waits no longer
	}
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return refused || network || pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// commitLost is the end of a connection after COMMIT was sent: nobody knows yet
// whether the change was made.
type commitLost struct{ error }

func (c commitLost) Unwrap() error { return c.error }

// commit commits, and tells a refusal from an answer that never came.
func (p *Pool) commit(conn *sql.Conn, tx *sql.Tx) error {
	err := tx.Commit()
	if err == nil {
		return p.replicated(conn)
	}
	if p.Engine == SQLite {
		return err
	}
	if _, said := errors.AsType[*pgconn.PgError](err); said && !lost(err) {
		return err
	}
	return commitLost{err}
}

// away is a failure of the connection, said so that whoever asked can tell it from a mistake of ours.
func away(err error) error {
	if _, unknown := errors.AsType[commitLost](err); unknown {
		return &postern.Error{Code: postern.CodeUnavailable, Err: err,
			Message: "The connection to the database broke while the change was made, and the database can't be asked about it now. Look whether it was made, or ask again with the same Idempotency-Key."}
	}
	return &postern.Error{Code: postern.CodeUnavailable, Err: err, Message: "The database can't be reached: nothing was changed. Try again in a moment."}
}

// trace is what tells that a transaction was committed: an entry of the audit log
// that it made. Its text holds the time and the request, and is like no other.
type trace struct {
	seq  int64
	text string
}

// settleFor is how long the database is asked whether a change was made.
const settleFor = 20 * time.Second

// settle finds out whether a transaction was committed whose COMMIT was not
// answered. First it waits for the place that the transaction held until its end.
func (d *DB) settle(ctx context.Context, m *trace) (made bool, err error) {
	if m == nil {
		return false, errors.New("store: a change without an audit entry leaves nothing to ask for")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	for try := 0; ; try++ {
		if made, err = d.wasMade(ctx, m); err == nil {
			return made, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("store: settle a change: %w", err)
		case <-time.After(min(time.Second, 50*time.Millisecond<<min(try, 10))):
		}
	}
}

func (d *DB) wasMade(ctx context.Context, m *trace) (made bool, err error) {
	conn, tx, err := d.begin(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, takePlace); err != nil {
		return false, err
	}
	err = tx.QueryRowContext(ctx, "select exists (select 1 from audit_entries where seq = $1 and body = $2)", m.seq, m.text).Scan(&made)
	if err != nil || !made {
		return false, err
	}
	// What is there may be on the primary alone. This transaction has written too, and
	// so its commit is confirmed by the standby only once all before it is there.
	return true, d.commit(conn, tx)
}
