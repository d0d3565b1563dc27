package store

import (
	"context"
	"fmt"
	"sync"

	"postern.dev/postern"
)

// keeper tells of changes that are kept. It reads of them in a transaction that takes
// the writer's place, and whose commit a standby confirms only after all that was read.
// Those who ask while one is made share the next: however many only read, they take
// one turn at a time among those who write.
type keeper struct {
	mu      sync.Mutex
	waiting []*keep
	running bool
}

// keepMost is how many things are asked about in one transaction.
const keepMost = 50

// keep is one transaction that several wait for.
type keep struct {
	seqs  map[changed]int64 // the number of each thing that is asked about, once done is closed
	asked int               // how many still wait for it
	done  chan struct{}
	err   error // once done is closed
}

// changed is a thing that changes are about.
type changed struct {
	kind postern.ChangeKind
	id   string
}

// seqOf is the number of the latest change of a thing that is kept, 0 if there is none.
func (k *keeper) seqOf(ctx context.Context, d *DB, of changed) (int64, error) {
	k.mu.Lock()
	mine := k.join(of)
	if !k.running {
		k.running = true
		go k.run(d)
	}
	k.mu.Unlock()
	select {
	case <-mine.done:
		return mine.seqs[of], mine.err
	case <-ctx.Done():
		k.mu.Lock()
		defer k.mu.Unlock()
		mine.asked--
		return 0, ctx.Err()
	}
}

// join puts a thing into the last transaction that has room and hasn't begun. The caller has mu.
func (k *keeper) join(of changed) *keep {
	if n := len(k.waiting); n == 0 || len(k.waiting[n-1].seqs) == keepMost {
		k.waiting = append(k.waiting, &keep{seqs: map[changed]int64{}, done: make(chan struct{})})
	}
	last := k.waiting[len(k.waiting)-1]
	last.seqs[of] = 0
	last.asked++
	return last
}

// run makes one transaction after another until nobody waits.
func (k *keeper) run(d *DB) {
	for now := k.begin(); now != nil; now = k.begin() {
		// Nobody's own context: one who goes away takes no other along.
		ctx := context.Background()
		_, now.err = d.Write(ctx, func(tx *Tx) (err error) {
			for of := range now.seqs {
				if now.seqs[of], err = tx.feedSeqOf(ctx, of); err != nil {
					return err
				}
			}
			return nil
		})
		close(now.done)
	}
}

// begin takes the transaction that waits longest, but for those that nobody waits for any more.
func (k *keeper) begin() *keep {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) > 0 {
		first := k.waiting[0]
		k.waiting = k.waiting[1:]
		if first.asked > 0 {
			return first
		}
	}
	k.running = false
	return nil
}

func (q *queries) feedSeqOf(ctx context.Context, of changed) (n int64, err error) {
	err = q.db.QueryRowContext(ctx, "select coalesce(max(seq), 0) from feed where ref = $1 and kind = $2", of.id, string(of.kind)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("store: find a change: %w", err)
	}
	return n, nil
}
