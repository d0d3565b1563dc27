package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// unreplicated marks a connection on which a COMMIT was answered with success
// although the synchronous standby has not confirmed it.
const unreplicated = "postern.unreplicated"

// noteUnreplicated hears that PostgreSQL gave up waiting for the standby: a
// cancel ends the wait and not the commit, and the answer is success with a
// warning. The routine is looked at since the
// warning's text is in the server's language.
func noteUnreplicated(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.CustomData()[unreplicated] = true
	}
}

// errUnreplicated is what such a success is worth.
var errUnreplicated = errors.New("store: the primary has committed, and no standby has confirmed it")

// begin begins a transaction on a connection that is known until its end.
func (p *Pool) begin(ctx context.Context) (*sql.Conn, *sql.Tx, error) {
	conn, err := p.w.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, tx, nil
}

// replicated is an error where the COMMIT that was just answered on a connection
// is kept by the primary alone.
func (p *Pool) replicated(conn *sql.Conn) error {
	if p.Engine == SQLite {
		return nil
	}
	alone := false
	err := conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("store: the connection is a %T", driver)
		}
		data := c.Conn().PgConn().CustomData()
		alone = data[unreplicated] != nil
		delete(data, unreplicated)
		return nil
	})
	if err == nil && alone {
		err = errUnreplicated
	}
	if err != nil {
		return commitLost{err}
	}
	return nil
}
