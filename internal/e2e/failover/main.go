// Command failover shows what three nodes do while their database fails over: it
// starts etcd, three PostgreSQL servers under Patroni and HAProxy, all of Debian's
// packages and as deploy/patroni has them, and three nodes of the real binary
// before it; then it kills the primary again and again under load:
//
//	apt-get install -y --no-install-recommends postgresql patroni etcd-server haproxy
//	go run ./internal/e2e/failover -kills 10
//
// Every other time Patroni dies with its server. No verification may fail, no
// acknowledged change may be lost, and no revoked key accepted once its receipt
// says so; otherwise it ends with status 1. It needs to be root, since PostgreSQL
// must not be, and the addresses 127.77.0.10 to 127.77.0.13.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	kills := flag.Int("kills", 10, "how often the primary is killed")
	loops := flag.Int("loops", 64, "clients that verify")
	pace := flag.Duration("pace", 100*time.Millisecond, "pause of each between two verifications")
	binary := flag.String("binary", "", "the postern to run; empty: it is built")
	keep := flag.String("keep", "", "directory to work in and to leave behind; empty: a temporary one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *kills, *loops, *pace, *binary, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kills, loops int, pace time.Duration, binary, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "postern-failover-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	os.Chmod(dir, 0o711)
	if binary == "" {
		binary = filepath.Join(dir, "postern")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/postern").CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	db := newDatabases(dir)
	defer db.stop()
	if err := db.start(ctx); err != nil {
		return err
	}
	ns, admin, err := startNodes(ctx, binary, dir, db)
	defer ns.stop()
	if err != nil {
		return err
	}
	l := newLoad(ns.urls(), admin)
	began := time.Now()
	halt := l.start(ctx, loops, pace)
	gaps, err := killAll(ctx, db, l, kills)
	halt()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, l.report())
	}
	l.checkAll(ctx)
	sound, err := verifyAudit(ctx, binary, dir, db.direct())
	if err != nil {
		return err
	}
	slices.Sort(gaps)
	fmt.Printf("\n%d kills of the primary in %s, every other one with its Patroni\n%s", kills, time.Since(began).Round(time.Second), l.report())
	fmt.Printf("time without issuance: median %s, longest %s\naudit log: %s\n", gaps[len(gaps)/2].Round(100*time.Millisecond), gaps[len(gaps)-1].Round(100*time.Millisecond), sound)
	return l.verdict()
}

// killAll kills the primary again and again, and gives how long no key could be made each time.
func killAll(ctx context.Context, db *databases, l *load, kills int) (gaps []time.Duration, err error) {
	for i := range kills {
		if err := db.whole(ctx); err != nil {
			return gaps, fmt.Errorf("before kill %d: %w", i+1, err)
		}
		if err := l.acked(ctx, time.Now(), 10); err != nil {
			return gaps, fmt.Errorf("before kill %d: no changes: %w", i+1, err)
		}
		with := i%2 == 1
		name, err := db.killPrimary(ctx, with)
		if err != nil {
			return gaps, err
		}
		at := time.Now()
		if err := l.acked(ctx, at, 1); err != nil {
			return gaps, fmt.Errorf("after kill %d: no changes: %w", i+1, err)
		}
		gap := l.firstAck(at).Sub(at)
		gaps = append(gaps, gap)
		fmt.Printf("kill %2d: %s, %-16s no key could be made for %5.1f s; so far %s\n", i+1, name, map[bool]string{true: "with its Patroni", false: "server alone"}[with], gap.Seconds(), l.line())
		if with {
			if err := db.revive(ctx, name); err != nil {
				return gaps, err
			}
		}
	}
	return gaps, db.whole(ctx)
}
