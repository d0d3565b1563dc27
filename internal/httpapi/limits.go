package httpapi

import (
	"context"
	"net/http"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

// lanes bound how many requests are served at once. What ends keys, and health,
// has a lane of its own, so that a flood of anything else can't keep a key alive.
type lanes struct {
	ordinary, urgent, waiting chan struct{}
}

func newLanes(n int) lanes {
	return lanes{ordinary: make(chan struct{}, n), urgent: make(chan struct{}, max(16, n/4)), waiting: make(chan struct{}, max(16, n/2))}
}

// enter takes a place without waiting; leave gives it back.
func enter(lane chan struct{}) bool {
	select {
	case lane <- struct{}{}:
		return true
	default:
		return false
	}
}

func leave(lane chan struct{}) { <-lane }

// lane finds the lane of a request.
func (l *lanes) lane(r *http.Request) chan struct{} {
	switch {
	case isEnding(r):
		return l.urgent
	case r.URL.Path == "/v1/activity/export":
		return l.waiting
	case r.URL.Path == "/v1/activity" && r.URL.Query().Has("follow"):
		return l.waiting
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics":
		return l.urgent
	}
	return l.ordinary
}

const (
	// exportsAtOnce is how many exports of a kind may run, and exportsEach how many of one account.
	exportsAtOnce = 4
	exportsEach   = 2
)

// enterExport takes a place for an export of an account, or says why there is none.
func enterExport(ctx context.Context, places *limit.Places, a postern.AccountID) (leave func(), err error) {
	switch leave, how := places.Enter(ctx, string(a), 0); how {
	case limit.Entered:
		return leave, nil
	case limit.Share:
		return nil, postern.Errorf(postern.CodeRateLimited, "%d exports of your account are running. Try again when one has ended.", exportsEach)
	}
	return nil, postern.Errorf(postern.CodeUnavailable, "Other exports are running. Try again in a minute.")
}
