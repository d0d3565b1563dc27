package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// listener is the one connection of a process on which word of changes comes. It
// is none of the pool's: a connection goes on gathering notifications, whatever
// else it is used for.
type listener struct {
	turn chan struct{} // holds one while somebody waits

	mu   sync.Mutex
	conn *pgx.Conn
	shut bool
}

// listenFor is how long word of a change is waited for before the connection is
// tried: one that died unnoticed brings no word at all.
const listenFor = 20 * time.Second

// Wait blocks until a change after a number may exist, or ctx ends. It is a
// hint: changes of this process end it, and on PostgreSQL those of others too.
func (d *DB) Wait(ctx context.Context, after int64) error {
	if d.Engine == SQLite {
		select {
		case <-d.hint:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case d.listener.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.listener.turn }()
	conn, fresh, err := d.listening(ctx)
	if err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	if fresh {
		// What came between the caller's last look and LISTEN sent no word here.
		if head, _, err := d.FeedHead(ctx); err != nil || head > after {
			return err
		}
	}
	for {
		wait, cancel := context.WithTimeout(ctx, listenFor)
		_, err = conn.WaitForNotification(wait)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			if err = ping(ctx, conn); err == nil {
				continue
			}
		}
		if ctx.Err() == nil {
			d.listener.drop(conn)
		}
		return fmt.Errorf("store: listen: %w", err)
	}
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return conn.Ping(ctx)
}

// listening gives the connection, and whether it was just made.
func (d *DB) listening(ctx context.Context) (conn *pgx.Conn, fresh bool, err error) {
	l := &d.listener
	l.mu.Lock()
	conn, shut := l.conn, l.shut
	l.mu.Unlock()
	switch {
	case shut:
		return nil, false, errors.New("the database is closed")
	case conn != nil && !conn.IsClosed():
		return conn, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if conn, err = pgx.ConnectConfig(ctx, d.conns.Config().ConnConfig); err != nil {
		return nil, false, err
	}
	if _, err := conn.Exec(ctx, "listen postern_feed"); err != nil {
		conn.Close(context.Background())
		return nil, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		conn.Close(context.Background())
		return nil, false, errors.New("the database is closed")
	}
	l.conn = conn
	return conn, true, nil
}

func (l *listener) drop(conn *pgx.Conn) {
	l.mu.Lock()
	l.conn = nil
	l.mu.Unlock()
	conn.Close(context.Background())
}

// close ends whatever waits.
func (l *listener) close() {
	l.mu.Lock()
	conn := l.conn
	l.conn, l.shut = nil, true
	l.mu.Unlock()
	if conn == nil {
		return
	}
	// Whoever waits on it is woken by its end.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.PgConn().Conn().Close()
	select {
	case l.turn <- struct{}{}:
		<-l.turn
	case <-ctx.Done():
	}
}
