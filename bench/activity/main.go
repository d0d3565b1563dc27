// Command activity measures what a page of the activity explorer costs among many
// calls, and what recording them costs:
//
//	go run ./bench/activity -calls 5000000
//	go run ./bench/activity -calls 50000000 -target /somewhere/activity.db
//	go run ./bench/activity -calls 50000000 -target postgres://…/activity_bench
//
// It fills a fresh log with calls of one account over 30 days, asks for pages with
// filters that many, few and no calls pass, and prints how long they took beside
// an indexed read of one row in the same run. A PostgreSQL database that isn't there
// is made. The target is left as it is filled: with -keep it is asked again without
// filling, and -drop removes it. A run that is stopped leaves what it recorded, and
// the same command goes on.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"postern.dev/postern/internal/activity"
)

func main() {
	calls := flag.Int("calls", 5_000_000, "how many calls the account has")
	target := flag.String("target", "", "an SQLite file, or the URL of an empty PostgreSQL database; empty: a temporary file")
	rounds := flag.Int("rounds", 40, "how often each filter is asked; each time four pages")
	keep := flag.Bool("keep", false, "the target is filled already: only ask")
	drop := flag.Bool("drop", false, "remove the target that an earlier run filled, and do no more")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	var err error
	if *drop {
		err = remove(ctx, *target)
	} else {
		err = measure(ctx, *target, *calls, *rounds, *keep)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/activity:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, target string, calls, rounds int, keep bool) error {
	dir, err := os.MkdirTemp("", "postern-activity")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	target = cmp.Or(target, filepath.Join(dir, "activity.db"))
	if !keep {
		if err := provide(ctx, target); err != nil {
			return err
		}
	}
	l, err := activity.Open(ctx, activity.Config{Target: target, Spool: filepath.Join(dir, "spool"), Capacity: held, Delay: 4 * time.Second, KeepCalls: 400 * 24 * time.Hour})
	if err != nil {
		return err
	}
	defer l.Close()
	if !keep {
		if err := fill(ctx, l, time.Now().UTC().Truncate(time.Microsecond), calls); err != nil {
			return err
		}
	}
	return ask(ctx, l, rounds)
}

func isPostgres(target string) bool { return strings.HasPrefix(target, "postgres") }

// server connects to a server's own database, and gives the name of the one that a URL is of.
func server(ctx context.Context, target string) (*pgx.Conn, string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, "", err
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || name == "postgres" {
		return nil, "", errors.New("name a database of its own in the URL, such as /activity_bench")
	}
	u.Path = "/postgres"
	conn, err := pgx.Connect(ctx, u.String())
	return conn, pgx.Identifier{name}.Sanitize(), err
}

// provide makes the database, where it isn't there.
func provide(ctx context.Context, target string) error {
	if !isPostgres(target) {
		return os.MkdirAll(filepath.Dir(target), 0o700)
	}
	conn, name, err := server(ctx, target)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `create database `+name)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42P04" { // it is there
		return nil
	}
	return err
}

// remove removes what an earlier run filled.
func remove(ctx context.Context, target string) error {
	if target == "" {
		return errors.New("name the target")
	}
	if !isPostgres(target) {
		return errors.Join(os.Remove(target), ignoreMissing(os.Remove(target+"-wal")), ignoreMissing(os.Remove(target+"-shm")))
	}
	conn, name, err := server(ctx, target)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `drop database `+name)
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
