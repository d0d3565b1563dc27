package verify_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// slowKey puts an imported credential of which only a slow hash is known.
func (w *world) slowKey(text, find string, cost int, change ...func(*postern.CredentialRow)) postern.CredentialRow {
	w.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(text), cost)
	if err != nil {
		w.t.Fatal(err)
	}
	_, row := w.keyOf(postern.SecretServiceKey, postern.KindLegacyPrivateApp, append([]func(*postern.CredentialRow){func(r *postern.CredentialRow) {
		r.Current.Hash = sha256.Sum256([]byte("placeholder of " + text))
		r.Retiring = &postern.Retiring{Find: find, Hash: string(hash)}
	}}, change...)...)
	return row
}

func imported(text string) *verify.Request { return get(postern.SecretOf(text), "GET", "/deals") }

func TestSlowHashIsProvedAndThenKnown(t *testing.T) {
	var proved []string
	w := newWorld(t, func(c *verify.Config) {
		c.Proved = func(key postern.KeyID, s postern.Secret) { proved = append(proved, string(key)+" "+s.Reveal()) }
	})
	const text = "app1-secret-one"
	row := w.slowKey(text, "prefix:app1", bcrypt.MinCost)
	other := w.slowKey("tail-secret-xyz9", "suffix:xyz9", bcrypt.MinCost)
	digits := fmt.Sprintf("%x", sha256.Sum256([]byte("by its digest")))
	w.slowKey("by its digest", "sha256:"+digits[:8], bcrypt.MinCost)
	for _, wrong := range []string{"nobody-knows-this", "app2-secret-one", "app", "zzzz"} {
		w.want(imported(wrong), postern.ReasonMalformed)
	}
	if n := w.v.SlowChecks(); n != 0 {
		t.Errorf("%d slow hashes were computed for ids that nobody has, want 0", n)
	}
	for range 3 {
		if d := w.want(imported(text), postern.ReasonAllowed); d.KeyID() != row.Key || !d.Known || d.Kind != postern.KindLegacyPrivateApp {
			t.Errorf("decision = %+v", d)
		}
		w.want(imported("app1-secret-two"), postern.ReasonMalformed)
	}
	if n := w.v.SlowChecks(); n != 2 || len(proved) != 1 || proved[0] != string(row.Key)+" "+text {
		t.Errorf("%d slow hashes were computed, %q proved; want one of each text, and one", n, proved)
	}
	w.want(imported("tail-secret-xyz9"), postern.ReasonAllowed)
	w.want(imported("by its digest"), postern.ReasonAllowed)

	// The fast form takes its place, and the slow one is not asked again.
	before := w.v.SlowChecks()
	row.Retiring = &postern.Retiring{}
	row.Current.Hash, _ = w.pepper.LegacyDigest(w.pepper.Latest(), sha256.Sum256([]byte(text)))
	w.put(row)
	w.want(imported(text), postern.ReasonAllowed)
	w.want(imported("app1-secret-two"), postern.ReasonMalformed)
	if n := w.v.SlowChecks(); n != before {
		t.Errorf("%d slow hashes were computed after the upgrade, want none", n-before)
	}
	other.RevokedAt = w.clock.time()
	w.put(other)
	w.want(imported("tail-secret-xyz9"), postern.ReasonMalformed)
}

// A flood of guesses is told to come again, and computes few hashes at once.
func TestSlowHashesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.slowKey("app1-the-one", "prefix:app1", 8)
	var mu sync.Mutex
	reasons := map[postern.Reason]int{}
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			d := verifyWith(t, w.v, imported(fmt.Sprintf("app1-guess-%d", i)))
			mu.Lock()
			reasons[d.Reason]++
			mu.Unlock()
		})
	}
	all.Wait()
	if reasons[postern.ReasonUnavailable] == 0 || reasons[postern.ReasonMalformed] == 0 || reasons[postern.ReasonUnavailable]+reasons[postern.ReasonMalformed] != 100 {
		t.Errorf("reasons = %v, want some busy, and the others malformed", reasons)
	}
	w.want(imported("app1-the-one"), postern.ReasonAllowed)
}

func TestImportedPlacesTakeNoSecretOfOurs(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key()
	req := get(secret, "GET", "/deals")
	w.want(req, postern.ReasonAllowed)
	req.Imported = true
	w.want(req, postern.ReasonMalformed)
}

// Holding every scope of the APIs opens nothing of Postern itself.
func TestAllScopesAreNotPosterns(t *testing.T) {
	w := newWorld(t)
	const text = "0123abcd-0000-4000-8000-0123456789ab"
	w.keyOf(postern.SecretServiceKey, postern.KindLegacyAPIKey, func(r *postern.CredentialRow) {
		r.AllScopes = true
		r.Scopes = nil
		r.Current.Hash, _ = w.pepper.LegacyDigest(w.pepper.Latest(), sha256.Sum256([]byte(text)))
		r.Retiring = &postern.Retiring{DeprecatedAt: t0, SunsetAt: t0.Add(time.Hour)}
	})
	w.want(imported(text), postern.ReasonAllowed)
	ask := func(scopes ...postern.Scope) postern.Reason {
		d, err := w.v.Verify(context.Background(), &verify.Request{Secret: postern.SecretOf(text), Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		return d.Reason
	}
	for _, p := range postern.Permissions() {
		if got := ask(p); got != postern.ReasonInsufficientScope {
			t.Errorf("%s = %s, want insufficient_scope", p, got)
		}
	}
	if got := ask("deals.read"); got != postern.ReasonAllowed {
		t.Errorf("deals.read = %s", got)
	}
	d := verifyWith(t, w.v, imported(text))
	if r, ok := w.v.Retirement(d.KeyID()); !ok || r.SunsetAt.Time() != t0.Add(time.Hour) || r.DeprecatedAt.Time() != t0 {
		t.Errorf("retirement = %+v, %t", r, ok)
	}
}

// A secret of which only a slow hash is known works at every moment: while its row is
// edited, and while the fast form takes the slow hash's place.
func TestSlowHashWorksWhileItsRowChanges(t *testing.T) {
	w := newWorld(t)
	const text = "app1-busy-secret"
	row := w.slowKey(text, "prefix:app1", bcrypt.MinCost)
	w.slowKey("app2-another-one", "prefix:app2", bcrypt.MinCost)
	slow, mark := row.Retiring.Hash, row.Current
	fast, _ := w.pepper.LegacyDigest(w.pepper.Latest(), sha256.Sum256([]byte(text)))
	rounds := 6000
	if testing.Short() {
		rounds = 500
	}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d := verifyWith(t, w.v, imported(text)); d.Reason != postern.ReasonAllowed {
					t.Errorf("while its row is edited, Verify = %v", d.Reason)
					return
				}
			}
		})
	}
	for round := range rounds {
		switch round % 10 {
		case 8:
			row.Current.Hash, row.Retiring = fast, &postern.Retiring{}
		case 9:
			row.Current, row.Retiring = mark, &postern.Retiring{Find: "prefix:app1", Hash: slow}
		default:
			row.Retiring = &postern.Retiring{Find: "prefix:app1", Hash: slow, SunsetAt: t0.AddDate(0, 0, round)}
		}
		row = w.put(row)
	}
	close(stop)
	callers.Wait()
}
