package signin_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/signin/signintest"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const (
	host = "localhost:8080"
	long = "velvet anchor mild forest" // a password that stands alone
)

// world is a server whose super admin came in by its set-up link, and a clock that stands still.
type world struct {
	*signin.Service
	t      *testing.T
	db     *store.DB
	kr     *keyring.Keyring
	now    time.Time
	pepper *postern.Pepper
	from   postern.Actor
	admin  *signin.Session
	text   string // of the admin's session
	device string // of the admin
	log    bytes.Buffer
}

func newWorld(t *testing.T, db *store.DB, providers ...signin.Provider) *world {
	t.Helper()
	pepper, err := postern.ParsePepper(postern.NewPepper())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, now: t0, pepper: pepper, from: postern.Actor{IP: "203.0.113.7", UserAgent: "Browser/1", RequestID: "req_1"}}
	clock := func() time.Time { return w.now }
	w.kr = keyring.New(keyring.Config{DB: db, Pepper: pepper, Now: clock})
	w.Service, err = signin.New(signin.Config{DB: db, Pepper: pepper, Keyring: w.kr, PublicURL: "http://localhost:8080", Providers: providers,
		Now: clock, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.AnswerAfter(0)
	link, _, err := w.kr.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada Marsh"}
	signed, err := w.Setup(t.Context(), link.Reveal(), in, long, w.from)
	if err != nil {
		t.Fatal(err)
	}
	w.admin, w.text, w.device = w.session(signed.Text), signed.Text, signed.Device
	return w
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	storetest.Run(t, func(t *testing.T, db *store.DB) { test(newWorld(t, db)) })
}

// session finds the live session of a text.
func (w *world) session(text string) *signin.Session {
	w.t.Helper()
	x, err := w.Session(w.t.Context(), text)
	if err != nil {
		w.t.Fatalf("Session: %v", err)
	}
	return x
}

func (w *world) ended(what, text string) {
	w.t.Helper()
	_, err := w.Session(w.t.Context(), text)
	wantCode(w.t, what, err, postern.CodeUnauthenticated)
}

func (w *world) try(password string) signin.Try {
	return signin.Try{Email: "ada@example.org", Password: password, From: w.from}
}

// comeIn signs the admin in with their password alone.
func (w *world) comeIn() *signin.Signed {
	w.t.Helper()
	a, err := w.Password(w.t.Context(), w.try(long))
	if err != nil || a.Signed == nil {
		w.t.Fatalf("Password = %+v, %v; want a session", a, err)
	}
	return a.Signed
}

// addTOTP gives the admin an authenticator app, and gives its secret and the recovery codes.
func (w *world) addTOTP() (secret string, codes []string) {
	w.t.Helper()
	n, err := w.BeginTOTP(w.admin)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, codes, err := w.FinishTOTP(w.t.Context(), w.admin, n.Flow, w.code(n.Secret), w.from)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ended("the text from before a second factor", w.text)
	w.text, w.admin = signed.Text, w.session(signed.Text)
	return n.Secret, codes
}

func (w *world) code(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// second signs the admin in as far as the second factor.
func (w *world) second() string {
	w.t.Helper()
	a, err := w.Password(w.t.Context(), w.try(long))
	if err != nil || a.Signed != nil || a.Flow == "" {
		w.t.Fatalf("Password = %+v, %v; want a flow", a, err)
	}
	return a.Flow
}

func authenticator() *signintest.Authenticator {
	return &signintest.Authenticator{Origin: "http://" + host}
}

// addPasskey gives the admin a passkey.
func (w *world) addPasskey(a *signintest.Authenticator, name string) []string {
	w.t.Helper()
	c, err := w.BeginRegister(w.t.Context(), host, w.admin)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := a.Create(c.Options)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, codes, err := w.FinishRegister(w.t.Context(), host, w.admin, c.Flow, answer, name, w.from)
	if err != nil {
		w.t.Fatalf("FinishRegister: %v\n%s", err, w.log.String())
	}
	w.text, w.admin = signed.Text, w.session(signed.Text)
	return codes
}

func (w *world) invite(email string, role postern.RoleID) keyring.Invited {
	w.t.Helper()
	inv, err := w.kr.InviteMember(w.t.Context(), w.admin.Actor(w.from), keyring.NewMember{Email: email, Name: "Grace", RoleID: role})
	if err != nil {
		w.t.Fatal(err)
	}
	return inv
}

// audited gives the account's latest audit entries, newest first, as "action result reason".
func (w *world) audited(n int) []string {
	w.t.Helper()
	all, err := w.db.AuditPage(w.t.Context(), w.admin.AccountID, store.AuditFilter{}, 0, n)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		out = append(out, strings.TrimSpace(e.Action+" "+e.Result+" "+e.Reason))
	}
	return out
}

func wantCode(t *testing.T, what string, err error, code postern.Code) {
	t.Helper()
	if got := postern.CodeOf(err); err == nil || got != code {
		t.Errorf("%s: error = %v (%v), want %v", what, err, got, code)
	}
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
