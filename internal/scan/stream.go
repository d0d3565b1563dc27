package scan

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
)

// chunk is how much is read at once.
const chunk = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, chunk+overlap); return &b }}

// Place is a hit in a stream.
type Place struct {
	Hit
	Offset int64 // of its beginning
	Line   int   // from 1
}

// Stream finds the secrets in all that r gives, and tells how much that was.
func (f *Finder) Stream(r io.Reader, yield func(Place)) (int64, error) {
	return f.stream(r, nil, yield)
}

// stream is Stream, and shows how the stream begins to head.
func (f *Finder) stream(r io.Reader, head func([]byte), yield func(Place)) (total int64, err error) {
	p := buffers.Get().(*[]byte)
	buf := *p
	defer func() {
		clear(buf[:min(total, int64(len(buf)))]) // what was read may be secret
		buffers.Put(p)
	}()
	have, base, lines := 0, int64(0), 1
	for {
		n, err := io.ReadFull(r, buf[have:])
		total += int64(n)
		have += n
		if head != nil {
			head(buf[:min(have, peek)])
			head = nil
		}
		over := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		end := have - overlap
		if over || err != nil {
			end = have
		}
		counted, at := 0, lines
		f.sorted(buf[:have], end, func(h Hit) {
			at += bytes.Count(buf[counted:h.At], newline)
			counted = h.At
			yield(Place{Hit: h, Offset: base + int64(h.At), Line: at})
		})
		switch {
		case over:
			return total, nil
		case err != nil:
			return total, err
		}
		lines += bytes.Count(buf[:end], newline)
		base += int64(end)
		copy(buf, buf[end:have])
		have -= end
	}
}

var newline = []byte{'\n'}

// sorted gives the hits in the order of their places.
func (f *Finder) sorted(b []byte, end int, yield func(Hit)) {
	var hits []Hit
	f.find(b, end, func(h Hit) { hits = append(hits, h) })
	slices.SortStableFunc(hits, func(a, b Hit) int { return a.At - b.At })
	for _, h := range hits {
		yield(h)
	}
}
