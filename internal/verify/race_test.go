package verify_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// Keys are verified while their scopes, secrets and ends change. A decision is
// always one that some version of the key justifies, and after a revocation was
// applied no later call passes.
func TestVerifyWhileChanging(t *testing.T) {
	w := newWorld(t, func(c *verify.Config) { c.Burst = postern.Rate{Calls: 1e9, Per: time.Second}; c.Shared = true })
	const keys = 40
	var secrets [keys]postern.Secret
	var rows [keys]postern.CredentialRow
	var ended [keys]atomic.Bool
	for i := range keys {
		secrets[i], rows[i] = w.key()
	}
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := i % keys
				before := ended[k].Load()
				req := get(secrets[k], "POST", "/deals")
				d, err := w.v.Verify(context.Background(), req)
				if err != nil {
					t.Errorf("Verify: %v", err)
					return
				}
				w.v.Done(req, &d, verify.Outcome{Status: 200})
				w.v.AppendScopes(nil, &d)
				switch d.Reason {
				case postern.ReasonAllowed, postern.ReasonInsufficientScope, postern.ReasonRevoked:
				default:
					t.Errorf("Verify = %v", d.Reason)
				}
				if before && d.Reason != postern.ReasonRevoked {
					t.Errorf("Verify = %v after the revocation was applied", d.Reason)
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.v.Stats()
				if err := w.v.Renew(context.Background()); err != nil {
					t.Errorf("Renew: %v", err)
				}
			}
		}
	})
	for round := range rounds {
		for i := range keys {
			if rows[i].RevokedAt.IsZero() {
				rows[i].Scopes = []postern.Scope{"deals.read"}
				if (round+i)%2 == 0 {
					rows[i].Scopes = append(rows[i].Scopes, "deals.write", postern.Scope("extra."+string(rune('a'+round%20))))
				}
			}
			if round > rounds/2 && i%3 == 0 {
				rows[i].RevokedAt = t0
			}
			rows[i] = w.put(rows[i])
			if !rows[i].RevokedAt.IsZero() {
				ended[i].Store(true)
			}
		}
	}
	close(stop)
	wg.Wait()
}
