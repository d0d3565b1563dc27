package activity

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// How blocks lie in the database. They are never changed: merging puts a new one
// in the place of several. Whoever takes blocks away holds the head's lock.

const blockColumns = `b.account_id, b.first_seq, b.seq, b.first_at, b.last_at, b.calls, b.data`

var (
	blocksTable    = table{name: "activity_blocks", columns: "account_id, first_seq, seq, first_at, last_at, calls, data"}
	blockKeysTable = table{name: "activity_block_keys", columns: "account_id, key_id, last_at, seq, first_at"}
)

// blockRow is a stored block. reach is a place that none of its calls is after:
// of those that are asked for, where it is read for one key.
type blockRow struct {
	block
	reach Cursor
}

func scanBlock(rows *sql.Rows, b *blockRow) error {
	err := rows.Scan(&b.account, &b.firstSeq, &b.seq, &b.firstAt, &b.lastAt, &b.calls, &b.data)
	b.reach = Cursor{b.lastAt, b.seq}
	return err
}

// blocksBefore returns the next blocks that may hold calls before a cursor, by
// the place that they reach to, which is before another. Fewer than n are the last.
func (l *Log) blocksBefore(ctx context.Context, tx *sql.Tx, f *Filter, after, reach Cursor, n int) ([]blockRow, error) {
	if f.Key != "" {
		return l.keyBlocksBefore(ctx, tx, f, after, reach, n)
	}
	query := `select ` + blockColumns + ` from activity_blocks b
		where account_id = $1 and last_at >= $2 and (last_at, seq) < ($3, $4) and first_at <= $5
		order by last_at desc, seq desc limit $6`
	args := []any{string(f.Account), micros(f.Since), int64(reach.At), reach.Seq, int64(after.At), n}
	if l.trace != nil {
		l.trace(query, args)
	}
	return scanAll(ctx, tx, scanBlock, query, args)
}

// keyBlocksBefore is blocksBefore for one key. It asks first where they are and then
// for them, since PostgreSQL takes long to plan a join of two tables in days.
func (l *Log) keyBlocksBefore(ctx context.Context, tx *sql.Tx, f *Filter, after, reach Cursor, n int) (out []blockRow, err error) {
	for len(out) < n {
		query := `select k.seq, k.last_at from activity_block_keys k
			where k.account_id = $1 and k.last_at >= $2 and (k.last_at, k.seq) < ($3, $4) and k.first_at <= $5 and k.key_id = $7
			order by k.last_at desc, k.seq desc limit $6`
		args := []any{string(f.Account), micros(f.Since), int64(reach.At), reach.Seq, int64(after.At), n - len(out), string(f.Key)}
		if l.trace != nil {
			l.trace(query, args)
		}
		places, err := scanAll(ctx, tx, func(rows *sql.Rows, c *Cursor) error { return rows.Scan(&c.Seq, &c.At) }, query, args)
		if err != nil || len(places) == 0 {
			return out, err
		}
		reach = places[len(places)-1]
		seqs := make([]int64, len(places))
		of := make(map[int64]Cursor, len(places))
		for i, p := range places {
			seqs[i], of[p.Seq] = p.Seq, p
		}
		// A block ends with the hour of the key's last call in it, or before.
		blocks, err := l.blocksAt(ctx, tx, f.Account, seqs, reach.At, places[0].At+hour)
		if err != nil {
			return nil, err
		}
		for i := range blocks {
			blocks[i].reach = of[blocks[i].seq]
		}
		slices.SortFunc(blocks, func(a, b blockRow) int { return byReach(b, a) })
		out = append(out, blocks...)
	}
	return out, nil
}

// blocksAt reads blocks by their numbers, which end from one time until another, in any order.
func (l *Log) blocksAt(ctx context.Context, tx *sql.Tx, account postern.AccountID, seqs []int64, from, to postern.Micros) ([]blockRow, error) {
	args := []any{string(account), int64(from), int64(to)}
	for _, seq := range seqs {
		args = append(args, seq)
	}
	list, args := inList(args, len(seqs))
	query := `select ` + blockColumns + ` from activity_blocks b where account_id = $1 and last_at >= $2 and last_at <= $3 and seq in ` + list
	if l.pool.Engine == store.SQLite { // so that it goes by the numbers, and not through all of a long time
		query = `select ` + blockColumns + ` from activity_blocks b where +account_id = $1 and +last_at >= $2 and +last_at <= $3 and seq in ` + list
	}
	if l.trace != nil {
		l.trace(query, args)
	}
	return scanAll(ctx, tx, scanBlock, query, args)
}

// open lets fn read a block. Where the block is broken, that is logged, and the
// calls that it held are missing from the answer: the others must not be.
func (l *Log) open(b *blockRow, fn func(u *unpacked) error) bool {
	u, err := unpack(&b.block)
	if err == nil {
		err = fn(u)
	}
	if err != nil {
		l.cfg.Logger.Error("activity: a block of calls can't be read and is left out", "account", string(b.account), "first", b.firstSeq, "last", b.seq, "calls", b.calls, "err", err)
	}
	return err == nil
}

// lockHead waits for whoever writes a batch, or changes blocks, and keeps others from it until the end of tx.
func (l *Log) lockHead(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `update activity_head set seq = seq where id = 1`)
	return err
}

// insertBlocks inserts blocks, whose numbers count from after seq.
func (l *Log) insertBlocks(ctx context.Context, tx *sql.Tx, copy store.Copier, blocks []block, seq int64) error {
	var rows, keys [][]any
	for i := range blocks {
		b := &blocks[i]
		rows = append(rows, []any{string(b.account), seq + b.firstSeq, seq + b.seq, int64(b.firstAt), int64(b.lastAt), b.calls, b.data})
		for _, k := range b.keys {
			keys = append(keys, []any{string(b.account), string(k.key), int64(k.last), seq + b.seq, int64(k.first)})
		}
	}
	if err := blocksTable.load(ctx, tx, copy, l.pool.Engine, rows); err != nil {
		return fmt.Errorf("insert blocks: %w", err)
	}
	if err := blockKeysTable.load(ctx, tx, copy, l.pool.Engine, keys); err != nil {
		return fmt.Errorf("insert keys of blocks: %w", err)
	}
	return nil
}

// deleteBlocks removes blocks of an account that follow each other, and what says which keys are in them.
func (l *Log) deleteBlocks(ctx context.Context, tx *sql.Tx, blocks []blockRow) error {
	first, last := &blocks[0], &blocks[len(blocks)-1]
	var w where
	firstAt, lastAt := first.firstAt, first.lastAt
	for i := range blocks {
		firstAt, lastAt = min(firstAt, blocks[i].firstAt), max(lastAt, blocks[i].lastAt)
	}
	w.and("account_id = ? and seq >= ? and seq <= ?", string(first.account), first.seq, last.seq)
	w.and("last_at >= ? and last_at <= ?", int64(firstAt), int64(lastAt))
	if _, err := tx.ExecContext(ctx, `delete from activity_blocks where `+w.text.String(), w.args...); err != nil {
		return fmt.Errorf("delete blocks: %w", err)
	}
	keys, known := keysOf(blocks)
	for !known || len(keys) > 0 {
		query, args := w.text.String(), w.args[:len(w.args):len(w.args)]
		if known { // else all keys of the account are looked through, which is slow and rare
			n := min(len(keys), 100)
			var in strings.Builder
			for i, k := range keys[:n] {
				if i > 0 {
					in.WriteString(", ")
				}
				args = append(args, string(k))
				in.WriteString("$" + strconv.Itoa(len(args)))
			}
			query, keys = query+" and key_id in ("+in.String()+")", keys[n:]
		}
		if _, err := tx.ExecContext(ctx, `delete from activity_block_keys where `+query, args...); err != nil {
			return fmt.Errorf("delete keys of blocks: %w", err)
		}
		known = true
	}
	return nil
}

// keysOf lists the keys in some blocks, and reports whether it knows them all.
func keysOf(blocks []blockRow) ([]postern.KeyID, bool) {
	seen := map[postern.KeyID]bool{}
	var out []postern.KeyID
	for i := range blocks {
		u, err := unpack(&blocks[i].block)
		if err != nil {
			return nil, false
		}
		for _, k := range u.keys() {
			if !seen[k] {
				seen[k] = true
				out = append(out, k)
			}
		}
	}
	return out, true
}
