package console

import (
	"context"
	"slices"
	"sync"

	"postern.dev/postern/internal/store"
)

// How many answers may stay open to wait for something. Over these a page is answered
// at once, and asks again every few seconds.
const (
	streamsMost   = 256 // of this server
	streamsOfMost = 4   // of one session: a browser opens six connections
)

// streams counts the answers that stay open.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// open makes room for one more of a session, where there is some. Whoever got it closes it.
func (s *streams) open(session string) (closed func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsMost || s.of[session] >= streamsOfMost {
		return nil, false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.all++
	s.of[session]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[session]--; s.of[session] == 0 {
			delete(s.of, session)
		}
	}, true
}

// stillIn reports whether the visit's session goes on. Unlike a request it keeps
// nobody signed in.
func (v *visit) stillIn(ctx context.Context) (bool, error) {
	live, err := v.c.cfg.Signin.Sessions(ctx, v.member().ID)
	return slices.ContainsFunc(live, func(x store.Session) bool { return x.ID == v.session.ID }), err
}
