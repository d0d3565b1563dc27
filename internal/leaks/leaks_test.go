package leaks_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/outgoing"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

// world is an account with a key, and an intake over the real thing.
type world struct {
	*leaks.Intake
	kr    *keyring.Keyring
	super postern.Actor
	key   keyring.Made
	told  atomic.Int64
	log   bytes.Buffer

	db     *store.DB
	pepper *postern.Pepper
	v      *verify.Verifier
}

func run(t *testing.T, test func(t *testing.T, w *world)) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		w := &world{}
		pepper, err := postern.ParsePepper(postern.NewPepper())
		if err != nil {
			t.Fatal(err)
		}
		w.db, w.pepper = db, pepper
		log := slog.New(slog.NewTextHandler(&w.log, nil))
		v, err := verify.New(verify.Config{Store: verifystore.Of(db), Pepper: pepper, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		w.v = v
		w.kr = keyring.New(keyring.Config{DB: db, Pepper: pepper, Logger: log, Applied: func(ctx context.Context, seq int64) {
			if err := v.CatchUp(ctx, seq); err != nil {
				t.Error(err)
			}
		}})
		done, err := w.kr.Setup(ctx, keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
		if w.key, err = w.kr.CreateKey(ctx, w.super, keyring.NewKey{Name: "nightly", Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}); err != nil {
			t.Fatal(err)
		}
		if err := v.Renew(ctx); err != nil {
			t.Fatal(err)
		}
		if w.Intake, err = leaks.New(leaks.Config{Verifier: v, Keyring: w.kr, Told: func() { w.told.Add(1) }, Log: log}); err != nil {
			t.Fatal(err)
		}
		test(t, w)
		if strings.Contains(w.log.String(), w.key.Secret.Reveal()[22:]) {
			t.Error("the log holds the secret")
		}
	})
}

func at(url string) leaks.Place {
	return leaks.Place{Source: postern.LeakFromFinder, URL: url, From: postern.Actor{IP: "198.51.100.9"}}
}

func TestIntake(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.key.Secret
		if f, err := w.Look(ctx, s); err != nil || f.State != leaks.Live || f.Key != w.key.Key.ID || f.Kind != postern.KindServiceKey || f.Reported {
			t.Fatalf("Look = %+v, %v", f, err)
		}
		// Pasted as people do.
		if f, _ := w.Look(ctx, leaks.Presented(" Bearer  "+s.Reveal()+"\r\n")); f.State != leaks.Live {
			t.Errorf("pasted: %+v", f)
		}
		f, err := w.Report(ctx, s, at("https://example.org/a?x="+s.Reveal()+"\x00\u202e"))
		if err != nil || !f.Reported || f.Did != postern.LeakNotify || f.Ended || w.told.Load() != 1 {
			t.Fatalf("Report = %+v, %v; told %d", f, err, w.told.Load())
		}
		if f, err = w.Report(ctx, s, at("https://example.org/a?x="+s.Reveal())); err != nil || !f.Reported || w.told.Load() != 1 {
			t.Errorf("again: %+v, %v; told %d, want once", f, err, w.told.Load())
		}
		list, err := w.kr.Leaks(ctx, w.super, "", store.Cursor{}, 10)
		if err != nil || len(list) != 1 || strings.Contains(list[0].URL, s.Reveal()[30:]) || !strings.HasPrefix(list[0].URL, "https://example.org/a?x=pst_sk_") || strings.ContainsAny(list[0].URL, "\x00\u202e") {
			t.Fatalf("reports %+v, %v", list, err)
		}
		if f, err = w.End(ctx, s, at("")); err != nil || !f.Ended || f.State != leaks.Dead || f.Seq == 0 || !w.Settle(ctx, f.Seq) {
			t.Fatalf("End = %+v, %v", f, err)
		}
		for what, do := range map[string]func(context.Context, postern.Secret, leaks.Place) (leaks.Found, error){"Report": w.Report, "End": w.End} {
			if f, err = do(ctx, s, at("https://example.org/new")); err != nil || f.State != leaks.Dead || f.Reported || f.Ended {
				t.Errorf("%s of a dead secret = %+v, %v", what, f, err)
			}
		}
	})
}

// What isn't the whole true secret gets one answer, whatever it is.
func TestIntakeTellsAGuesserNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		text := w.key.Secret.Reveal()
		last := byte('a')
		if text[len(text)-1] == last {
			last = 'b'
		}
		typo := text[:len(text)-1] + string(last)
		for what, s := range map[string]postern.Secret{
			"no key":               postern.NewSecret("pst", postern.SecretServiceKey, postern.NewKeyID()),
			"a wrong secret of it": postern.NewSecret("pst", postern.SecretServiceKey, w.key.Key.ID),
			"another type of it":   postern.NewSecret("pst", postern.SecretPersonal, w.key.Key.ID),
			"a session":            postern.NewSecret("pst", postern.SecretSession, w.key.Key.ID),
			"a typing error":       postern.SecretOf(typo),
			"its key ID":           postern.SecretOf(text[:23]),
			"nothing":              postern.SecretOf(""),
			"too much":             leaks.Presented(strings.Repeat("x", 5000)),
		} {
			for _, do := range []func() (leaks.Found, error){
				func() (leaks.Found, error) { return w.Look(t.Context(), s) },
				func() (leaks.Found, error) { return w.Report(t.Context(), s, at("https://example.org")) },
				func() (leaks.Found, error) { return w.End(t.Context(), s, at("https://example.org")) },
			} {
				if f, err := do(); err != nil || f != (leaks.Found{State: leaks.Unknown}) {
					t.Errorf("%s: %+v, %v; want it unknown", what, f, err)
				}
			}
		}
		if list, err := w.kr.Leaks(t.Context(), w.super, "", store.Cursor{}, 10); err != nil || len(list) != 0 || w.told.Load() != 0 {
			t.Errorf("%d reports, %v, told %d", len(list), err, w.told.Load())
		}
	})
}

func TestIntakeLimitsAnAddress(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		one, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
		refused := 0
		for range 200 {
			if w.Allow(one) != nil {
				refused++
			}
		}
		if refused < 100 || w.Allow(netip.MustParseAddr("2001:db8::2")) == nil {
			t.Errorf("refused %d of 200, want most, and its neighbour too", refused)
		}
		if err := w.Allow(other); err != nil {
			t.Errorf("another network: %v", err)
		}
	})
}

// github is a signer as GitHub is one, and publishes its keys.
type github struct {
	keys    map[string]*ecdsa.PrivateKey
	fetched atomic.Int64
	down    atomic.Bool
	hangs   atomic.Pointer[hang] // where set, the list is given when it is let go
	url     string
	client  *outgoing.Client
}

// hang is one request that is not answered for a while.
type hang struct{ asked, goes chan struct{} }

func newGitHub(t *testing.T, ids ...string) *github {
	g := &github{keys: map[string]*ecdsa.PrivateKey{}}
	for _, id := range ids {
		g.add(t, id)
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.fetched.Add(1)
		if h := g.hangs.Load(); h != nil {
			close(h.asked)
			<-h.goes
		}
		if g.down.Load() {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		w.Write(g.list(t))
	}))
	t.Cleanup(srv.Close)
	u, _ := url.Parse(srv.URL)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	g.url = srv.URL + "/meta/public_keys/secret_scanning"
	g.client = outgoing.New(outgoing.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: []string{u.Port()}, Roots: roots})
	return g
}

func (g *github) add(t *testing.T, id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g.keys[id] = key
}

func pemOf(t *testing.T, pub any) string {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (g *github) list(t *testing.T) []byte {
	type one struct {
		ID      string `json:"key_identifier"`
		Key     string `json:"key"`
		Current bool   `json:"is_current"`
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	out := []one{{"rsa", pemOf(t, &other.PublicKey), true}, {"none", "hello", true}}
	for id, k := range g.keys {
		out = append(out, one{id, pemOf(t, &k.PublicKey), true})
	}
	b, _ := json.Marshal(map[string]any{"public_keys": out})
	return b
}

func (g *github) sign(t *testing.T, id string, body []byte) string {
	sum := sha256.Sum256(body)
	sig, err := ecdsa.SignASN1(rand.Reader, g.keys[id], sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

func TestSigners(t *testing.T) {
	g := newGitHub(t, "first")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s, err := leaks.NewSigners(g.url, g.client, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`[{"token":"x"}]`)
	check := func(what, id, sig string, want error) {
		t.Helper()
		if err := s.Check(t.Context(), id, sig, body); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	g.down.Store(true)
	check("while the list can't be read", "first", g.sign(t, "first", body), leaks.ErrNoKeys)
	g.down.Store(false)
	check("within the same minute", "first", g.sign(t, "first", body), leaks.ErrNoKeys)
	now = now.Add(time.Minute)
	check("a true signature", "first", g.sign(t, "first", body), nil)
	check("of another body", "first", g.sign(t, "first", []byte(`[{"token":"y"}]`)), leaks.ErrSignature)
	check("no base64", "first", "!", leaks.ErrSignature)
	check("nothing", "first", "", leaks.ErrSignature)
	check("no key's name", "", g.sign(t, "first", body), leaks.ErrSignature)
	check("a key of another sort", "rsa", g.sign(t, "first", body), leaks.ErrSignature)
	if n := g.fetched.Load(); n != 2 {
		t.Errorf("fetched %d times, want 2", n)
	}
	// Names that aren't there make it read the list once a minute, and no more.
	for range 50 {
		check("an unknown key", "second", g.sign(t, "first", body), leaks.ErrSignature)
	}
	g.add(t, "second")
	now = now.Add(time.Minute)
	check("a new key", "second", g.sign(t, "second", body), nil)
	if n := g.fetched.Load(); n != 3 {
		t.Errorf("fetched %d times, want 3", n)
	}
	// A withdrawn key is believed for an hour at most; one that can't be asked after, for a day.
	first := g.sign(t, "first", body)
	delete(g.keys, "first")
	now = now.Add(61 * time.Minute)
	check("a withdrawn key", "first", first, leaks.ErrSignature)
	g.down.Store(true)
	now = now.Add(20 * time.Hour)
	check("while it is down", "second", g.sign(t, "second", body), nil)
	now = now.Add(5 * time.Hour)
	check("down for a day", "second", g.sign(t, "second", body), leaks.ErrNoKeys)
}

// TestSignersDontWait: while the list is read for a report with an unknown key, those whose
// key is known are checked, and whoever goes away waits no longer.
func TestSignersDontWait(t *testing.T) {
	g := newGitHub(t, "first")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s, err := leaks.NewSigners(g.url, g.client, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("[]")
	if err := s.Check(t.Context(), "first", g.sign(t, "first", body), body); err != nil {
		t.Fatal(err)
	}
	g.add(t, "second")
	now = now.Add(2 * time.Minute)
	h := &hang{make(chan struct{}), make(chan struct{})}
	g.hangs.Store(h)
	sig, second := g.sign(t, "second", body), make(chan error, 1)
	go func() { second <- s.Check(t.Context(), "second", sig, body) }()
	<-h.asked
	g.hangs.Store(nil)
	if err := s.Check(t.Context(), "first", g.sign(t, "first", body), body); err != nil {
		t.Errorf("a known key, meanwhile: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Check(gone, "second", sig, body); !errors.Is(err, leaks.ErrSignature) {
		t.Errorf("who went away: %v", err)
	}
	close(h.goes)
	if err := <-second; err != nil {
		t.Errorf("the new key: %v", err)
	}
	if n := g.fetched.Load(); n != 2 {
		t.Errorf("fetched %d times, want 2", n)
	}
}

func TestSignersFromAFile(t *testing.T) {
	g := newGitHub(t, "pinned")
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, g.list(t), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := leaks.NewSigners(path, g.client, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("[]")
	if err := s.Check(t.Context(), "pinned", g.sign(t, "pinned", body), body); err != nil {
		t.Error(err)
	}
	if err := s.Check(t.Context(), "other", g.sign(t, "pinned", body), body); !errors.Is(err, leaks.ErrSignature) {
		t.Error(err)
	}
	if g.fetched.Load() != 0 {
		t.Error("a pinned list was fetched")
	}
	os.WriteFile(path, []byte(`{"public_keys":[]}`), 0o600)
	for _, bad := range []string{path, path + "-none", "http://example.org/keys"} {
		if _, err := leaks.NewSigners(bad, g.client, time.Now); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestGitHubReport(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		s := w.key.Secret.Reveal()
		other := postern.NewSecret("pst", postern.SecretServiceKey, postern.NewKeyID()).Reveal()
		body, _ := json.Marshal([]leaks.Match{{s, "postern_service_key", "https://github.com/o/r/blob/1/a", "content"}, {other, "postern_service_key", "", "commit"}, {"rubbish", "x", "", ""}})
		matches, err := leaks.Matches(body)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			out, err := w.GitHub(t.Context(), matches, postern.Actor{})
			if err != nil || len(out) != 3 {
				t.Fatalf("%+v, %v", out, err)
			}
			sum := sha256.Sum256([]byte(s))
			if out[0] != (leaks.Feedback{TokenHash: hex.EncodeToString(sum[:]), TokenType: "postern_service_key", Label: "true_positive"}) ||
				out[1].Label != "false_positive" || out[2].Label != "false_positive" {
				t.Errorf("feedback %+v", out)
			}
			if w.told.Load() != 1 {
				t.Errorf("after round %d told %d times, want once", round, w.told.Load())
			}
			if round == 1 { // a secret that has ended is still a true one
				if _, err := w.kr.RevokeKey(t.Context(), w.super, w.key.Key.ID, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		list, err := w.kr.Leaks(t.Context(), w.super, "", store.Cursor{}, 10)
		if err != nil || len(list) != 1 || list[0].Source != "github" || list[0].URL != "https://github.com/o/r/blob/1/a" {
			t.Errorf("reports %+v, %v", list, err)
		}
		many, _ := json.Marshal(make([]leaks.Match, leaks.MaxGitHubMatches+1))
		for _, bad := range [][]byte{many, []byte("{}"), []byte("["), nil} {
			if _, err := leaks.Matches(bad); err == nil {
				t.Errorf("%.20s was taken", bad)
			}
		}
	})
}

// What has expired could be given a later end: it isn't called dead, and its people are told.
func TestIntakeOfAnExpiredSecret(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		before := keyring.New(keyring.Config{DB: w.db, Pepper: w.pepper, Now: func() time.Time { return time.Now().Add(-time.Hour) }})
		made, err := before.CreateKey(ctx, w.super, keyring.NewKey{Name: "short", ExpiresAt: time.Now().Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.v.CatchUp(ctx, made.Seq); err != nil {
			t.Fatal(err)
		}
		if f, err := w.Look(ctx, made.Secret); err != nil || f.State != leaks.Dormant {
			t.Errorf("Look = %+v, %v", f, err)
		}
		if f, err := w.Report(ctx, made.Secret, at("")); err != nil || !f.Reported || f.State != leaks.Dormant {
			t.Errorf("Report = %+v, %v", f, err)
		}
	})
}
