package signin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	freeTries     = 4                // failures that cost no wait
	maxWait       = 15 * time.Minute // the longest wait before the last
	maxTries      = 100              // failures in a row after which strangers wait a day
	closedFor     = 24 * time.Hour
	deviceTries   = 10 // failures in a row after which a device is a stranger
	strangerSlots = 1 << 14
)

// wait is how long nobody may try again after so many failures in a row.
func wait(failures int64) time.Duration {
	switch {
	case failures <= freeTries:
		return 0
	case failures >= maxTries:
		return closedFor
	}
	return min(time.Second<<min(failures-freeTries-1, 20), maxWait)
}

func errWait(d time.Duration) error {
	d = max(d.Round(time.Second), time.Second)
	var words string
	switch {
	case d < time.Minute:
		words = plural(int64(d/time.Second), "second")
	case d < time.Hour:
		words = plural(int64((d+time.Minute-1)/time.Minute), "minute")
	default:
		words = plural(int64((d+time.Hour-1)/time.Hour), "hour")
	}
	return postern.Errorf(postern.CodeRateLimited, "Too many tries were wrong. Wait %s, or sign in with a passkey or on a device that you used before.", words)
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return itoa(n) + " " + noun + "s"
}

// attempt counts a try before it is looked at, so that a hundred at once are a
// hundred; success forgets it. It gives the device that the try counts under.
func (s *Service) attempt(ctx context.Context, m postern.MemberID, mark string) (device string, err error) {
	device = s.knownDevice(m, mark)
	now := s.now()
	err = s.change(ctx, func(tx *store.Tx) error {
		g, err := tx.Guard(ctx, m, device)
		if err != nil {
			return err
		}
		if device != "" && g.Failures >= deviceTries {
			device = ""
			if g, err = tx.Guard(ctx, m, device); err != nil {
				return err
			}
		}
		if now.Before(g.RetryAt) {
			return errWait(g.RetryAt.Sub(now))
		}
		g.Failures = min(g.Failures+1, maxTries)
		g.FailedAt, g.RetryAt = now, now.Add(wait(g.Failures))
		return tx.PutGuard(ctx, m, device, g)
	})
	return device, err
}

// uncount takes a try back that was right as far as it went, so that the next
// step needn't wait for it. The failures before it stay.
func (s *Service) uncount(ctx context.Context, m postern.MemberID, device string) error {
	return s.change(ctx, func(tx *store.Tx) error {
		g, err := tx.Guard(ctx, m, device)
		if err != nil {
			return err
		}
		g.Failures, g.RetryAt = max(g.Failures-1, 0), s.now()
		return tx.PutGuard(ctx, m, device, g)
	})
}

// failed notes that somebody could not prove to be a member.
func (s *Service) failed(ctx context.Context, m *postern.Member, method, why string, from postern.Actor) error {
	return s.change(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := s.record(ctx, tx, m, method, why, from); err != nil {
			return err
		}
		return s.audit(ctx, tx, from, "signin", m, func(e *postern.AuditEntry) {
			// Who it was isn't known: the member is what the attempt was at.
			e.Actor.MemberID = ""
			e.Actor.System = "signin"
			e.Result, e.Reason, e.After = "refused", why, map[string]any{"method": method}
		})
	})
}

// strangers counts tries at addresses that no member has, so that they wait as
// members' do. Its size is fixed: addresses share slots, and nothing grows.
type strangers struct {
	key   [32]byte
	mu    sync.Mutex
	slots [strangerSlots]struct {
		failures int64
		retryAt  time.Time
	}
}

func (s *strangers) attempt(email string, now time.Time) error {
	m := hmac.New(sha256.New, s.key[:])
	m.Write([]byte(strings.ToLower(email)))
	at := &s.slots[binary.LittleEndian.Uint32(m.Sum(nil))%strangerSlots]
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(at.retryAt) {
		return errWait(at.retryAt.Sub(now))
	}
	at.failures = min(at.failures+1, maxTries)
	at.retryAt = now.Add(wait(at.failures))
	return nil
}
