package gateway

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// writer passes an answer on, and counts it.
type writer struct {
	http.ResponseWriter
	head   func(http.Header) // called once, before the head of an upstream's answer is sent
	body   *body             // of the request, where it has one
	status int
	bytes  int64
	cut    atomic.Bool // nothing more is passed on
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the head.
func (w *writer) WriteHeader(status int) {
	switch {
	case w.status != 0 || w.cut.Load():
		return
	case status < 200:
		// A hint before the answer. What only the gateway may say is not in it.
		stripAnswer(w.Header())
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
	if w.head != nil {
		w.head(w.Header())
	}
	if w.body != nil && !w.body.done.Load() {
		// Where a body is still to come, or broke off, nobody can be sure that the next
		// call begins where it seems to.
		w.Header()["Connection"] = []string{"close"}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.cut.Load() {
		return 0, http.ErrAbortHandler
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// FlushError sends what was written so far.
func (w *writer) FlushError() error {
	if w.cut.Load() {
		return http.ErrAbortHandler
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is FlushError for handlers that know http.Flusher only.
func (w *writer) Flush() { _ = w.FlushError() }

// dropTrailers takes off the trailers that were not announced. The others were
// taken off with their announcement.
func (w *writer) dropTrailers() {
	for name := range w.Header() {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(w.Header(), name)
		}
	}
}

// cleanTrailers takes off the trailers by which an upstream would speak for the
// gateway. The head has gone already.
func (w *writer) cleanTrailers() {
	for name := range w.Header() {
		if ours(strings.TrimPrefix(name, http.TrailerPrefix)) {
			delete(w.Header(), name)
		}
	}
}

// body counts what is read of a request's body. The transport may still read it
// while the answer is on its way.
type body struct {
	io.ReadCloser
	n      atomic.Int64
	length int64 // -1 where it isn't known
	done   atomic.Bool
	failed atomic.Bool
	// Trailers come with the end of a body: those that were announced and may pass
	// are copied from in to out then.
	in, out http.Header
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if read := b.n.Add(int64(n)); err == io.EOF || read == b.length {
		b.done.Store(true)
	}
	switch {
	case err == io.EOF:
		for name := range b.out {
			b.out[name] = b.in[name]
		}
	case err != nil:
		b.failed.Store(true)
	}
	return n, err
}

// trailers are the trailers that a call announces and that may pass. Their
// values are there when the body has been read. A caller's trailer is as little
// to be trusted as a header: some servers put the two together.
func (x *exchange) trailers(r *http.Request) http.Header {
	if len(r.Trailer) == 0 || x.body.ReadCloser == nil {
		return nil
	}
	out := make(http.Header, len(r.Trailer))
	for name := range r.Trailer {
		if !hopByHop[name] && !spoken(name) && name != "Authorization" && name != "Host" && name != "Cookie" && !x.g.door.LegacyHeader(name) {
			out[name] = nil
		}
	}
	x.body.in, x.body.out = r.Trailer, out
	return out
}
