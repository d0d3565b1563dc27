package activity

import (
	"context"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Pool is the database of a log, for tests that look at its rows.
func Pool(l *Log) *store.Pool { return l.pool }

// Trace shows a test every read of a log.
func Trace(l *Log, fn func(query string, args []any)) { l.trace = fn }

// SetBlocks makes blocks and what is read of them in one go small.
func SetBlocks(calls, many int) (restore func()) {
	oldCalls, oldLook := blockCalls, lookBlocks
	blockCalls, lookBlocks.first, lookBlocks.most = calls, many, many
	return func() { blockCalls, lookBlocks = oldCalls, oldLook }
}

// SetLookTime makes Query give what it found sooner, or later.
func SetLookTime(d time.Duration) (restore func()) {
	oldTime, oldLeast := lookTime, lookLeast
	lookTime, lookLeast = d, 0
	return func() { lookTime, lookLeast = oldTime, oldLeast }
}

// SetSpans makes spans and groups of them small, and asks them soon.
func SetSpans(blocks, spans, after int) (restore func()) {
	oldBlocks, oldSpans, oldAfter := spanBlocks, groupSpans, spanAfter
	spanBlocks, groupSpans, spanAfter = blocks, spans, after
	return func() { spanBlocks, groupSpans, spanAfter = oldBlocks, oldSpans, oldAfter }
}

// MakeSpans makes spans as is done in the background, of all blocks.
func MakeSpans(ctx context.Context, l *Log) error { return l.makeSpans(ctx, math.MaxInt64) }

// MakeGroups makes groups of spans as is done in the background.
func MakeGroups(ctx context.Context, l *Log) error { return l.makeGroups(ctx) }

// Merge merges blocks as is done in the background.
func Merge(ctx context.Context, l *Log) error { return new(merger).run(ctx, l) }

// Calls are all calls that are stored, in the order of their blocks' numbers.
func Calls(l *Log) (out []postern.Activity, err error) {
	err = EachCall(l, func(a *postern.Activity) { out = append(out, *a) })
	return out, err
}

// EachCall calls fn with all calls that are stored, in the order of their blocks' numbers.
func EachCall(l *Log, fn func(*postern.Activity)) error {
	for seq := int64(0); ; {
		rows, err := collect(context.Background(), l, scanBlock, `select `+blockColumns+` from activity_blocks b where seq > $1 order by seq limit 64`, seq)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			u, err := unpack(&rows[i].block)
			if err == nil {
				err = u.each(func(c *call) { fn(u.show(c)) })
			}
			if err != nil {
				return err
			}
			seq = rows[i].seq
		}
	}
}

// Unpack reads a block of an account as it is read from the database.
func Unpack(firstSeq, seq int64, firstAt, lastAt postern.Micros, calls int64, data []byte) ([]postern.Activity, error) {
	u, err := unpack(&block{account: "acc_acme", firstSeq: firstSeq, seq: seq, firstAt: firstAt, lastAt: lastAt, calls: calls, data: data})
	if err != nil {
		return nil, err
	}
	var out []postern.Activity
	err = u.each(func(c *call) { out = append(out, *u.show(c)) })
	return out, err
}

// Sum gives a block's data the checksum that it should have.
func Sum(data []byte) {
	if len(data) >= blockHead {
		data[0] = blockVersion
		binary.LittleEndian.PutUint32(data[1:], crc32.Checksum(data[blockHead:], castagnoli))
	}
}

// CleanPath is how a path is stored.
func CleanPath(brand, path, template string) string {
	return cleanPath(brand, path, templateOf(template))
}

// Clean is how any other text is stored.
func Clean(brand, s string, n int) string { return clean(brand, s, n) }

// Rewind makes the next frame look like the one before it, as after a commit whose answer was lost.
func Rewind(l *Log) { l.batch-- }

// SetSegments makes the spool's segments small.
func SetSegments(size int64) (restore func()) {
	old := segmentSize
	segmentSize = size
	return func() { segmentSize = old }
}

// SetHeld bounds what memory holds beyond the spool.
func SetHeld(bytes int64) (restore func()) {
	old := keepUnspooled
	keepUnspooled = bytes
	return func() { keepUnspooled = old }
}

// Drain takes out what is buffered, and leaves it waiting for the database.
func Drain(l *Log) { l.drain(context.Background()) }

// Forget makes a log read from the spool all that waits.
func Forget(l *Log) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	for _, fr := range l.queue.frames {
		if fr.seg != nil && fr.body != nil {
			l.queue.bodies -= int64(fr.size)
			fr.body = nil
		}
	}
}

// ParseFrame reads the bytes of a frame, and writes them again.
func ParseFrame(data []byte) ([]byte, error) {
	batch, b, err := parseBody(data)
	if err != nil {
		return nil, err
	}
	return appendBody(nil, batch, b), nil
}

func templateOf(s string) *postern.Operation {
	if s == "" {
		return nil
	}
	return &postern.Operation{Path: s}
}

// Discard forgets what was recorded, without looking at it.
func Discard(l *Log) {
	l.draining <- struct{}{}
	defer func() { <-l.draining }()
	for i := range l.shards {
		l.shards[i].giveBack(l.shards[i].swap())
	}
}

// Exec changes the database behind a log's back.
func Exec(p *store.Pool, query string, args ...any) (n int64, err error) {
	err = p.Write(context.Background(), func(tx *sql.Tx) error {
		res, err := tx.Exec(query, args...)
		if err == nil {
			n, err = res.RowsAffected()
		}
		return err
	})
	return n, err
}

// Target is where a log is kept.
func Target(l *Log) string { return l.cfg.Target }

// SetTailPoll says how often Tail looks for what other nodes wrote, until the returned function is called.
func SetTailPoll(every time.Duration) (restore func()) {
	before := tailPoll
	tailPoll = every
	return func() { tailPoll = before }
}
