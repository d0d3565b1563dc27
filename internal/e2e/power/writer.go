package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"postern.dev/postern/internal/store"
)

func openStore(ctx context.Context, file string, relaxed bool) (*store.Pool, error) {
	sql := &fstest.MapFile{Data: []byte("create table writes (n integer primary key, text text not null) strict")}
	return store.Open(ctx, store.PoolConfig{Target: file, Table: "schema_writes", Relaxed: relaxed, Migrations: fstest.MapFS{"sqlite/0001_writes.sql": sql}})
}

// writers is how many write at once, so that several share a commit.
const writers = 8

// write writes numbers, each once, and says each once it is committed.
func write(ctx context.Context, file string, relaxed bool) error {
	p, err := openStore(ctx, file, relaxed)
	if err != nil {
		return err
	}
	var last int64
	if err := p.Read().QueryRowContext(ctx, "select coalesce(max(n), 0) from writes").Scan(&last); err != nil {
		return err
	}
	fmt.Println(0)
	var said sync.Mutex
	failed := make(chan error)
	for range writers {
		go func() {
			for {
				var n int64
				err := p.WriteGrouped(ctx, func(tx store.Statements) error {
					// The next number, of those before it in the same commit too.
					return tx.QueryRowContext(ctx, "insert into writes (n, text) select coalesce(max(n), 0) + 1, $1 from writes returning n", strings.Repeat("x", 200)).Scan(&n)
				})
				if err != nil {
					failed <- err
					return
				}
				said.Lock()
				fmt.Println(n, p.GroupSizes().Commits)
				said.Unlock()
			}
		}()
	}
	return <-failed
}

// count says which number is the last, how many there are, and whether the database is sound.
func count(ctx context.Context, file string, relaxed bool) error {
	p, err := openStore(ctx, file, relaxed)
	if err != nil {
		return err
	}
	defer p.Close()
	var last, n int64
	var sound string
	if err := p.Read().QueryRowContext(ctx, "select coalesce(max(n), 0), count(*) from writes").Scan(&last, &n); err != nil {
		return err
	}
	if err := p.Read().QueryRowContext(ctx, "pragma integrity_check").Scan(&sound); err != nil {
		return err
	}
	fmt.Println(last, n, sound)
	return nil
}

// cutWriter cuts the power of a process that writes.
func cutWriter(ctx context.Context, name, mnt string, relaxed bool, cuts int, rnd *rand.Rand, life time.Duration) (*result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r, d := &result{name: name}, newDisk(rnd.Uint64())
	file := filepath.Join(mnt, "writes.db")
	acked := int64(0)
	for i := range cuts {
		unmount, err := d.mount(mnt)
		if err != nil {
			return nil, fmt.Errorf("mount: %w", err)
		}
		cmd := exec.CommandContext(ctx, self, "-write", file, fmt.Sprintf("-relaxed=%v", relaxed))
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, errors.Join(err, unmount())
		}
		if err := cmd.Start(); err != nil {
			return nil, errors.Join(err, unmount())
		}
		said := bufio.NewScanner(out)
		if !said.Scan() {
			cmd.Wait()
			r.unreadable, r.cuts = fmt.Sprintf("after cut %d the database can't be opened", i), i
			return r, unmount()
		}
		next, here := make(chan *disk, 1), int64(0)
		time.AfterFunc(20*time.Millisecond+time.Duration(rnd.Int64N(int64(life))), func() {
			next <- d.cut(keepOf(i, rnd))
			cmd.Process.Kill()
		})
		for said.Scan() {
			var n, commits int64
			if fmt.Sscan(said.Text(), &n, &commits); n > 0 {
				acked = max(acked, n)
				r.acknowledged++
				here = commits
			}
		}
		r.commits += here
		cmd.Wait()
		d = <-next
		if err := unmount(); err != nil {
			return nil, fmt.Errorf("unmount: %w", err)
		}
		r.cuts, r.syncs, r.forgotten = i+1, d.syncs, d.forgotten
		if acked, err = r.compare(ctx, d, mnt, file, relaxed, acked); err != nil {
			return nil, err
		}
		d = d.again()
	}
	return r, nil
}

// compare opens what is left, and counts what is missing.
func (r *result) compare(ctx context.Context, d *disk, mnt, file string, relaxed bool, acked int64) (have int64, err error) {
	unmount, err := d.mount(mnt)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unmount()) }()
	// Another process looks: one that serves a file system must not map files on it.
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, self, "-count", file, fmt.Sprintf("-relaxed=%v", relaxed)).Output()
	if err != nil {
		return 0, fmt.Errorf("after cut %d the database can't be read: %w\n%s", r.cuts, err, out)
	}
	var count int64
	var sound string
	if _, err := fmt.Sscan(string(out), &have, &count, &sound); err != nil {
		return 0, fmt.Errorf("%w in %q", err, out)
	}
	if sound != "ok" || count != have {
		r.unreadable = fmt.Sprintf("after cut %d: integrity %q, %d rows up to %d", r.cuts, sound, count, have)
	}
	if have < acked {
		r.lost += int(acked - have)
		if r.firstLoss == "" {
			r.firstLoss = fmt.Sprintf("after cut %d %d writes are missing", r.cuts, acked-have)
		}
	}
	return have, nil
}
