package activity

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern.dev/postern"
)

// The drain takes calls out of the buffers, packs them, and puts them into the
// spool: that is all that stands between a call and a killed process, so it
// never waits for the database.

// batchRows is about the most calls of a frame.
const batchRows = 4096

// drain takes out what is buffered, and returns the number of the latest frame.
// Where nothing more can be held it takes nothing: calls stay in the buffers, and
// what finds them full is counted as lost by Record.
func (l *Log) drain(ctx context.Context) (last int64, took bool, err error) {
	select {
	case l.draining <- struct{}{}:
		defer func() { <-l.draining }()
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	if l.spool != nil {
		l.spoolAgain()
	}
	if took = !l.full(); took {
		l.takeOut()
	}
	return l.queue.lastAdded(), took, nil
}

// full reports whether no more may be taken out: without a spool while anything
// waits, and with one when what it has no room for is as much as memory holds.
func (l *Log) full() bool {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if l.spool == nil {
		return len(l.queue.frames) > 0
	}
	return l.queue.unspooled > keepUnspooled
}

// spoolAgain tries to spool what there was no room for before.
func (l *Log) spoolAgain() {
	for _, fr := range l.queue.loose() {
		l.queue.mu.Lock()
		b := fr.body
		waits := slices.Contains(l.queue.frames, fr)
		l.queue.mu.Unlock()
		if !waits {
			continue
		}
		// In a copy, since the loader may be at it.
		to := &frame{batch: fr.batch}
		if l.spool.append(to, b) != nil {
			return
		}
		l.queue.mu.Lock()
		if slices.Contains(l.queue.frames, fr) {
			l.queue.unspooled -= int64(fr.size)
			fr.seg, fr.off = to.seg, to.off
			l.queue.bodies += int64(to.size - fr.size)
			fr.size = to.size
			to = nil
		}
		l.queue.mu.Unlock()
		if to != nil {
			l.spool.done(to) // written meanwhile
		}
	}
}

// place is where a call that is taken out lies: in which buffer, in which slot.
type place struct {
	at          postern.Micros
	shard, slot int32
}

// takeOut makes frames of what is buffered, in the order of time.
func (l *Log) takeOut() {
	now := postern.ToMicros(l.cfg.Now())
	bufs, texts := make([]*buffer, len(l.shards)), make([]string, len(l.shards))
	order := l.order[:0]
	for i := range l.shards {
		b := l.shards[i].swap()
		bufs[i], texts[i] = b, string(b.text)
		for j := range b.slots {
			at := b.slots[j].at
			// A time from a clock that went wrong would stay at the top of every list.
			if at <= 0 || at > now+5*60*1_000_000 {
				at = now
			}
			order = append(order, place{at, int32(i), int32(j)})
		}
	}
	slices.SortFunc(order, func(a, b place) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.slot, b.slot))
	})
	losses := l.lost.news()
	for rest := order; len(rest) > 0; {
		n := min(len(rest), batchRows)
		records := l.records[:0]
		for _, p := range rest[:n] {
			records = append(records, l.recordOf(texts[p.shard], &bufs[p.shard].slots[p.slot], p.at))
		}
		rest, l.records = rest[n:], records
		l.pack1(now, records, losses)
		losses = nil
		clear(records)
	}
	if len(losses) > 0 {
		l.pack1(now, nil, losses)
	}
	for i := range l.shards {
		l.shards[i].giveBack(bufs[i])
	}
	l.facts.forget()
	l.order = order
}

// pack1 makes a frame of records and puts it into the spool and the queue.
func (l *Log) pack1(now postern.Micros, records []record, losses map[postern.Reason]uint64) {
	b := &body{at: now, losses: losses, blocks: l.packer.pack(records)}
	fr := &frame{writer: l.writer, batch: l.batch, calls: int64(len(records)), oldest: now, body: b}
	if len(records) > 0 {
		fr.oldest = records[0].at
	}
	for i := range b.blocks {
		fr.size += len(b.blocks[i].data)
	}
	l.batch++
	l.lost.keep(losses)
	if l.spool != nil {
		if err := l.spool.append(fr, b); err != nil && l.spooling.CompareAndSwap(true, false) {
			l.cfg.Logger.Error("activity: the spool takes no more; what memory can't hold either is counted as lost", "err", err)
		} else if err == nil && l.spooling.CompareAndSwap(false, true) {
			l.cfg.Logger.Info("activity: the spool takes calls again")
		}
	}
	for i := range records {
		if records[i].facts.stranger() {
			l.strangers.add(records[i].activity())
		}
	}
	l.queue.add(fr, true)
}

// runDrain drains until ctx is done.
func (l *Log) runDrain(ctx context.Context) {
	every := l.cfg.Delay
	if l.spool != nil {
		every = max(l.cfg.Delay/4, time.Millisecond)
	}
	for {
		hurry := false
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			hurry = true
		case <-time.After(every):
		}
		if _, _, err := l.drain(ctx); err != nil {
			return
		}
		if hurry {
			select {
			case l.load <- struct{}{}:
			default:
			}
		}
	}
}
