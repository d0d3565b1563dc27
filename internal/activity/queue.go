package activity

import (
	"slices"
	"sync"
	"sync/atomic"

	"postern.dev/postern"
)

// keepBodies is how many bytes of frames stay in memory beside the spool, so that they needn't be read back.
const keepBodies = 16 << 20

// keepUnspooled is how many bytes of frames that the spool has no room for are held in memory. A test makes it small.
var keepUnspooled int64 = 16 << 20

// queue is of the frames that wait for the database, oldest first. The drain adds
// to it and the loader takes from it.
type queue struct {
	mu        sync.Mutex
	frames    []*frame
	calls     int64
	bodies    int64 // bytes that are in memory
	unspooled int64 // of those, of frames that are nowhere else
	last      int64 // the number of the latest that was added, of this process
	loaded    atomic.Int64
}

// add puts a frame at the end.
func (q *queue) add(fr *frame, own bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frames = append(q.frames, fr)
	q.calls += fr.calls
	if own {
		q.last = fr.batch
	}
	if fr.body != nil {
		q.bodies += int64(fr.size)
	}
	if fr.seg == nil {
		q.unspooled += int64(fr.size)
	} else if q.bodies > keepBodies && fr.body != nil {
		fr.body = nil
		q.bodies -= int64(fr.size)
	}
}

// head gives the frames at the beginning that may be written as one: of one
// writer, and up to so many calls, but at least one.
func (q *queue) head(calls int64) []*frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, sum := 0, int64(0)
	for _, fr := range q.frames {
		if n > 0 && (fr.writer != q.frames[0].writer || sum+fr.calls > calls) {
			break
		}
		n, sum = n+1, sum+fr.calls
	}
	return slices.Clone(q.frames[:n])
}

// drop takes the first n away.
func (q *queue) drop(n int, writer string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, fr := range q.frames[:n] {
		q.calls -= fr.calls
		if fr.body != nil {
			q.bodies -= int64(fr.size)
		}
		if fr.seg == nil {
			q.unspooled -= int64(fr.size)
		}
		if fr.writer == writer {
			q.loaded.Store(fr.batch)
		}
	}
	clear(q.frames[:n])
	if q.frames = q.frames[n:]; len(q.frames) == 0 {
		q.frames = nil
	}
}

// look tells how many calls wait, and since when.
func (q *queue) look() (calls int64, oldest postern.Micros) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) > 0 {
		oldest = q.frames[0].oldest
	}
	return q.calls, oldest
}

// lastAdded is the number of the latest frame of this process.
func (q *queue) lastAdded() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}

// loose are the frames that are not in the spool. Only the drain, which alone
// spools them, may change what they are.
func (q *queue) loose() []*frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unspooled == 0 {
		return nil
	}
	var out []*frame
	for _, fr := range q.frames {
		if fr.seg == nil {
			out = append(out, fr)
		}
	}
	return out
}
