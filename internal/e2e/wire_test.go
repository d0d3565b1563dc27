package e2e

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// wire is a TCP proxy that a test can cut: what is on it then waits, as on a
// network that drops everything, and nobody is told.
type wire struct {
	dial func() (net.Conn, error)
	l    net.Listener

	mu    sync.Mutex
	whole *sync.Cond
	cut   bool
	conns map[net.Conn]bool
	// watch, where set, sees what goes to the server before it does, and says whether it may.
	watch func(c net.Conn, b []byte) bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	return newWireAt(t, "127.0.0.1:0", func() (net.Conn, error) { return net.Dial("tcp", to) })
}

// newWireAt is a wire that begins at an address and goes on wherever dial leads.
func newWireAt(t *testing.T, address string, dial func() (net.Conn, error)) *wire {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{dial: dial, l: l, conns: map[net.Conn]bool{}}
	w.whole = sync.NewCond(&w.mu)
	go w.accept()
	t.Cleanup(w.close)
	return w
}

// through is a database's URL by way of the wire.
func through(t *testing.T, database string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, u.Host)
	u.Host = w.l.Addr().String()
	return w, u.String()
}

func (w *wire) accept() {
	for {
		in, err := w.l.Accept()
		if err != nil {
			return
		}
		out, err := w.dial()
		if err != nil {
			in.Close()
			continue
		}
		w.mu.Lock()
		w.conns[in], w.conns[out] = true, true
		w.mu.Unlock()
		go w.pass(in, out, true)
		go w.pass(out, in, false)
	}
}

func (w *wire) pass(from, to net.Conn, up bool) {
	defer w.drop(from, to)
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			w.mu.Lock()
			for w.cut {
				w.whole.Wait()
			}
			watch := w.watch
			w.mu.Unlock()
			if up && watch != nil && !watch(to, b[:n]) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *wire) drop(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(w.conns, c)
	}
}

// hold lets nothing pass any more; release lets all of it pass.
func (w *wire) hold()    { w.set(true) }
func (w *wire) release() { w.set(false) }

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.whole.Broadcast()
}

func (w *wire) close() {
	w.l.Close()
	w.release()
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
}
