package console

import (
	"bytes"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
)

// formToken is the field in which a form shows that it is ours, and which sending
// of it this is. Each time a form is shown it is another text, so that compressing
// the page tells nothing of it.
const formToken = "_form"

const onceLen = 22

// newOnce names a sending of a form that is about to be shown.
func newOnce() string { return postern.RandomText(onceLen) }

// newFormToken makes the token of one form on one page of a session.
func (c *Console) newFormToken(session string) string { return c.formTokenOf(session, newOnce()) }

// formTokenOf is the token of one sending, in one session.
func (c *Console) formTokenOf(session, once string) string {
	return once + "." + c.cfg.Signin.Token("console form", session+" "+once)
}

// checkFormToken reads a token back.
func (c *Console) checkFormToken(session, text string) (once string, ok bool) {
	once, mac, ok := strings.Cut(text, ".")
	if !ok || len(once) != onceLen {
		return "", false
	}
	want := c.cfg.Signin.Token("console form", session+" "+once)
	return once, subtle.ConstantTimeCompare([]byte(mac), []byte(want)) == 1
}

const (
	answersKept  = 15 * time.Minute
	answersMax   = 4096
	answersBytes = 16 << 20
	answerBytes  = 256 << 10
)

// answers remembers what forms were answered, so that sending one twice does
// nothing twice and shows the same. Across nodes and restarts the spent tokens in
// the database do that, without the answer.
type answers struct {
	mu    sync.Mutex
	by    map[string]*answer
	order []*answer // by their time
	bytes int       // of all bodies and headers
}

// answer is kept of one sending of a form.
type answer struct {
	name   string
	at     time.Time
	done   chan struct{} // closed once the first sending was answered
	given  bool          // whether it was, under the lock of answers
	size   int
	status int // 0: not kept, as it held a secret or was too big
	header http.Header
	body   []byte
}

// take finds the answer of a sending, or makes the place for it.
func (a *answers) take(name string, now time.Time) (ans *answer, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.room(now, 1)
	if ans, ok := a.by[name]; ok {
		return ans, false
	}
	if a.by == nil {
		a.by = map[string]*answer{}
	}
	ans = &answer{name: name, at: now, done: make(chan struct{})}
	a.by[name] = ans
	a.order = append(a.order, ans)
	return ans, true
}

// give fills an answer in and lets those go on who wait for it.
func (a *answers) give(ans *answer, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ans.given, ans.size = true, len(ans.body)
	for name, values := range ans.header {
		for _, v := range values {
			ans.size += len(name) + len(v)
		}
	}
	a.bytes += ans.size
	a.room(now, 0)
	close(ans.done)
}

// room forgets what is too old, and the oldest where there is too much, so that some
// more fit in. One that is still being answered stays: forgotten, its form would be
// served a second time at the same moment.
func (a *answers) room(now time.Time, more int) {
	for i := 0; i < len(a.order); {
		old := a.order[i]
		if now.Sub(old.at) <= answersKept && len(a.order)+more <= answersMax && a.bytes <= answersBytes {
			return
		}
		if !old.given {
			i++
			continue
		}
		delete(a.by, old.name)
		a.bytes -= old.size
		a.order = slices.Delete(a.order, i, i+1)
	}
}

// kept writes an answer and keeps it.
type kept struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	tooBig bool
}

// WriteHeader keeps the status.
func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
	k.ResponseWriter.WriteHeader(status)
}

// Write keeps what is written.
func (k *kept) Write(b []byte) (int, error) {
	if k.status == 0 {
		k.status = http.StatusOK
	}
	if k.tooBig = k.tooBig || k.body.Len()+len(b) > answerBytes; !k.tooBig {
		k.body.Write(b)
	}
	return k.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (k *kept) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// answerOnce serves a form, and gives a second sending of it the first one's answer.
func (v *visit) answerOnce() error {
	ans, first := v.c.answers.take(v.session.ID+" "+v.once, time.Now())
	if !first {
		v.drain()
		select {
		case <-ans.done:
		case <-v.r.Context().Done():
			return v.r.Context().Err()
		}
		if ans.status == 0 {
			return v.repeat()
		}
		h := v.w.Header()
		for name, values := range ans.header {
			if h.Get(name) == "" || name == "Set-Cookie" {
				h[name] = values
			}
		}
		v.w.WriteHeader(ans.status)
		_, err := v.w.Write(ans.body)
		return err
	}
	defer func() { v.c.answers.give(ans, time.Now()) }()
	if err := v.c.cfg.Signin.Spend(v.r.Context(), "form "+v.once, v.spentFor()); err != nil {
		// Another node has answered it, or this one before it was started anew.
		if ours(err) {
			return err
		}
		return v.repeat()
	}
	k := &kept{ResponseWriter: v.w}
	v.w = k
	err := v.rt.Serve(v)
	if err != nil {
		v.drain()
		v.fail(err)
	}
	if !v.secret && k.status != 0 && k.status < 500 && !k.tooBig {
		ans.status, ans.body, ans.header = k.status, bytes.Clone(k.body.Bytes()), http.Header{}
		for _, name := range []string{"Content-Type", "Location", "Set-Cookie", "Cache-Control", "Content-Encoding", "Vary"} {
			if values := k.Header().Values(name); len(values) > 0 {
				ans.header[name] = values
			}
		}
	}
	return nil
}

// spentFor is how long a spent token is remembered: it works while its session
// lives, and a form that was kept over the end of a session a while longer.
func (v *visit) spentFor() time.Duration {
	return max(v.session.ExpiresAt.Sub(v.now), 0) + formKept
}

// repeat answers a form that was sent before and whose answer isn't kept.
func (v *visit) repeat() error {
	if v.rt.Repeats {
		v.again = true
		return v.rt.Serve(v)
	}
	return postern.Errorf(postern.CodeConflict, "This form was sent before. Nothing was done a second time. Open the page again to see how things are.")
}
