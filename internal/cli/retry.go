package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"postern.dev/postern/client"
)

// retryPauses are waited between the tries of a change whose answer was lost.
var retryPauses = []time.Duration{300 * time.Millisecond, time.Second, 3 * time.Second}

// once sends a change that the server does once however often it is asked: the
// same Idempotency-Key goes with every try. lost says that an answer may have
// been lost on the way, with the secret in it.
func once[T any](ctx context.Context, send func(client.RequestOption) (T, error)) (out T, lost bool, err error) {
	key := client.IdempotencyKey("cli-" + rand.Text())
	for try := 0; ; try++ {
		out, err = send(key)
		if err == nil || !answerLost(err) || ctx.Err() != nil || try == len(retryPauses) {
			return out, lost, err
		}
		lost = true
		select {
		case <-ctx.Done():
			return out, lost, err
		case <-time.After(retryPauses[try]):
		}
	}
}

// answerLost reports whether the server may have done what it was asked, and its
// answer didn't come: the connection broke, or a proxy on the way gave up.
func answerLost(err error) bool {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Code == "" && (e.Status == 502 || e.Status == 503 || e.Status == 504)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return false // nothing was sent
	}
	return unreachable(err)
}
