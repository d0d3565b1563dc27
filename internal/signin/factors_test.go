package signin_test

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
)

func TestTOTP(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		n, err := w.BeginTOTP(w.admin)
		ok(w.t, "BeginTOTP", err)
		u, err := url.Parse(n.URL)
		if err != nil || u.Scheme != "otpauth" || u.Path != "/Postern:ada@example.org" || u.Query().Get("secret") != n.Secret {
			w.t.Errorf("the address for the app is %q (%v)", n.URL, err)
		}
		if n.QR.Size < 29 || !regexp.MustCompile(`^(M\d+ \d+h\d+v1H\d+z)+$`).MatchString(n.QR.Path) {
			w.t.Errorf("the QR code is %+v", n.QR)
		}
		_, _, err = w.FinishTOTP(ctx, w.admin, n.Flow, "000000", w.from)
		wantCode(w.t, "a first code that is wrong", err, postern.CodeInvalid)
		again, err := w.ReopenTOTP(w.admin, n.Flow)
		if err != nil || again != n {
			w.t.Errorf("ReopenTOTP = %+v, %v; want what was there before", again, err)
		}
		secret, codes := w.addTOTP()
		if len(codes) != 10 {
			w.t.Errorf("the first second factor came with %d recovery codes, want 10", len(codes))
		}
		_, _, err = w.FinishTOTP(ctx, w.admin, n.Flow, w.code(n.Secret), w.from)
		ok(w.t, "another app in its stead", err)
		w.t.Logf("replaced %d characters", len(secret))
	})
}

func TestSecondFactorIsAsked(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		secret, _ := w.addTOTP()
		_, err := w.Code(ctx, w.second(), w.code(secret), "", w.from)
		wantCode(w.t, "the code that added the app", err, postern.CodeInvalid)

		w.now = w.now.Add(30 * time.Second)
		flow := w.second()
		a, err := w.Second(ctx, flow)
		if err != nil || a.Name != "Ada Marsh" || !a.Factors.TOTP {
			w.t.Errorf("Second = %+v, %v", a, err)
		}
		_, err = w.Code(ctx, flow, "000000", "", w.from)
		wantCode(w.t, "a wrong code", err, postern.CodeInvalid)
		if got := w.audited(1); got[0] != "signin refused wrong code" {
			w.t.Errorf("the audit log ends with %q", got)
		}
		code := w.code(secret)
		signed, err := w.Code(ctx, flow, code[:3]+" "+code[3:], "", w.from)
		ok(w.t, "Code", err)
		if x := w.session(signed.Text); x.Method != "password+totp" {
			w.t.Errorf("the session's method is %q", x.Method)
		}
		_, err = w.Code(ctx, flow, code, "", w.from)
		wantCode(w.t, "a spent flow", err, postern.CodeUnauthenticated)
		_, err = w.Code(ctx, w.second(), code, "", w.from)
		wantCode(w.t, "a replayed code", err, postern.CodeInvalid)

		flow = w.second()
		w.now = w.now.Add(10 * time.Minute)
		_, err = w.Code(ctx, flow, w.code(secret), "", w.from)
		wantCode(w.t, "a flow after its time", err, postern.CodeUnauthenticated)
	})
}

// One code used at once by many is used by one.
func TestCodeHasOneWinner(t *testing.T) {
	each(t, func(w *world) {
		secret, _ := w.addTOTP()
		w.now = w.now.Add(time.Minute)
		var wg sync.WaitGroup
		won := make(chan *signin.Signed, 4)
		for range 4 {
			flow := w.second()
			wg.Go(func() {
				if s, err := w.Code(w.t.Context(), flow, w.code(secret), "", w.from); err == nil {
					won <- s
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			w.t.Errorf("%d of 4 came in with one code, want 1", len(won))
		}
	})
}

func TestTamperedFlow(t *testing.T) {
	each(t, func(w *world) {
		secret, _ := w.addTOTP()
		w.now = w.now.Add(time.Minute)
		flow := w.second()
		for i := range flow {
			other := byte('A')
			if flow[i] == other {
				other = 'B'
			}
			bad := flow[:i] + string(other) + flow[i+1:]
			if a, err := w.Second(w.t.Context(), bad); postern.CodeOf(err) != postern.CodeUnauthenticated {
				w.t.Fatalf("a flow whose character %d was changed: %+v, %v", i, a, err)
			}
		}
		// What was sealed for one purpose is nothing for another.
		n, err := w.BeginTOTP(w.admin)
		ok(w.t, "BeginTOTP", err)
		for what, text := range map[string]string{"an app's": n.Flow, "no": "", "half a": flow[:len(flow)/2]} {
			_, err := w.Code(w.t.Context(), text, w.code(secret), "", w.from)
			wantCode(w.t, what+" flow", err, postern.CodeUnauthenticated)
		}
		// Nor for another session.
		x := *w.admin
		x.ID = "ses_other"
		_, _, err = w.FinishTOTP(w.t.Context(), &x, n.Flow, w.code(n.Secret), w.from)
		wantCode(w.t, "the app of another session", err, postern.CodeUnauthenticated)
	})
}

func TestRecoveryCodes(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		_, codes := w.addTOTP()
		signed, err := w.Code(ctx, w.second(), " "+strings.ToUpper(codes[3])+" ", "", w.from)
		ok(w.t, "a recovery code", err)
		if x := w.session(signed.Text); x.Method != "password+recovery" {
			w.t.Errorf("the session's method is %q", x.Method)
		}
		_, err = w.Code(ctx, w.second(), codes[3], "", w.from)
		wantCode(w.t, "a recovery code again", err, postern.CodeInvalid)
		f, err := w.Factors(ctx, w.admin.MemberID)
		if err != nil || f.Codes != 9 {
			w.t.Errorf("%d codes are left (%v), want 9", f.Codes, err)
		}
		turned, fresh, err := w.NewCodes(ctx, w.admin, w.from)
		w.ended("a text from before new recovery codes", w.text)
		w.session(turned.Text)
		if err != nil || len(fresh) != 10 {
			w.t.Fatalf("NewCodes = %d, %v", len(fresh), err)
		}
		_, err = w.Code(ctx, w.second(), codes[4], "", w.from)
		wantCode(w.t, "a code from before the new ones", err, postern.CodeInvalid)
		_, err = w.Code(ctx, w.second(), fresh[0], "", w.from)
		ok(w.t, "a new code", err)
		seen := map[string]bool{}
		for _, c := range fresh {
			if seen[c] || len(c) != 11 {
				w.t.Errorf("the recovery code %q is there twice, or not of 11 characters", c)
			}
			seen[c] = true
		}
	})
}

func TestRemoveTOTP(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		w.addTOTP()
		signed, err := w.SetPassword(ctx, w.admin, "mild4est", w.from)
		ok(w.t, "a short password beside an app", err)
		x := w.session(signed.Text)
		_, err = w.RemoveTOTP(ctx, x, w.from)
		wantCode(w.t, "the second factor of a short password", err, postern.CodeConflict)
		signed, err = w.SetPassword(ctx, x, long, w.from)
		ok(w.t, "SetPassword", err)
		last, err := w.RemoveTOTP(ctx, w.session(signed.Text), w.from)
		ok(w.t, "RemoveTOTP", err)
		w.comeIn()
		_, err = w.SetPassword(ctx, w.session(last.Text), "mild4est", w.from)
		wantCode(w.t, "a short password alone", err, postern.CodeInvalid)
	})
}

func TestPasskeyAlone(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		a := authenticator()
		if codes := w.addPasskey(a, " My   laptop "); len(codes) != 10 {
			w.t.Errorf("the first second factor came with %d recovery codes, want 10", len(codes))
		}
		f, err := w.Factors(ctx, w.admin.MemberID)
		if err != nil || len(f.Passkeys) != 1 || f.Passkeys[0].Name != "My laptop" || !f.Passkeys[0].UsedAt.IsZero() {
			w.t.Fatalf("the passkeys are %+v, %v", f.Passkeys, err)
		}
		w.now = w.now.Add(time.Minute)
		if x := w.session(w.passkey(a).Text); x.Method != "passkey" || x.MemberID != w.admin.MemberID {
			w.t.Errorf("the passkey signed in %+v", x.Session)
		}
		if f, err = w.Factors(ctx, w.admin.MemberID); err != nil || !f.Passkeys[0].UsedAt.Equal(w.now) {
			w.t.Errorf("the passkey was used at %s (%v), want %s", f.Passkeys[0].UsedAt, err, w.now)
		}

		c, err := w.BeginPasskey(host)
		ok(w.t, "BeginPasskey", err)
		answer, err := a.Sign(c.Options)
		ok(w.t, "Sign", err)
		_, err = w.FinishPasskey(ctx, "localhost:9999", c.Flow, answer, w.from)
		wantCode(w.t, "the answer at another origin", err, postern.CodeUnauthenticated)
		other, err := w.BeginPasskey(host)
		ok(w.t, "BeginPasskey", err)
		_, err = w.FinishPasskey(ctx, host, other.Flow, answer, w.from)
		wantCode(w.t, "the answer to another challenge", err, postern.CodeUnauthenticated)
		_, err = w.FinishPasskey(ctx, host, c.Flow, []byte("{}"), w.from)
		wantCode(w.t, "an answer that is none", err, postern.CodeUnauthenticated)
		_, err = w.FinishPasskey(ctx, host, c.Flow, answer, w.from)
		ok(w.t, "FinishPasskey", err)
		_, err = w.FinishPasskey(ctx, host, c.Flow, answer, w.from)
		wantCode(w.t, "the same answer again", err, postern.CodeUnauthenticated)

		evil := authenticator()
		evil.Origin = "https://localhost.evil.example"
		c, err = w.BeginPasskey(host)
		ok(w.t, "BeginPasskey", err)
		*evil = *a
		evil.Origin = "https://localhost.evil.example"
		answer, err = evil.Sign(c.Options)
		ok(w.t, "Sign", err)
		_, err = w.FinishPasskey(ctx, host, c.Flow, answer, w.from)
		wantCode(w.t, "an answer given to another site", err, postern.CodeUnauthenticated)
		a.Present = true
		c, err = w.BeginPasskey(host)
		ok(w.t, "BeginPasskey", err)
		answer, err = a.Sign(c.Options)
		ok(w.t, "Sign", err)
		_, err = w.FinishPasskey(ctx, host, c.Flow, answer, w.from)
		wantCode(w.t, "a passkey alone without a finger, a face or a PIN", err, postern.CodeUnauthenticated)
		a.Present = false
		a.Rewind()
		c, err = w.BeginPasskey(host)
		ok(w.t, "BeginPasskey", err)
		answer, err = a.Sign(c.Options)
		ok(w.t, "Sign", err)
		_, err = w.FinishPasskey(ctx, host, c.Flow, answer, w.from)
		wantCode(w.t, "a copied passkey", err, postern.CodeUnauthenticated)
	})
}

func TestPasskeyAsSecondFactor(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		a := authenticator()
		w.addPasskey(a, "")
		flow := w.second()
		c, err := w.BeginSecondPasskey(ctx, host, flow)
		ok(w.t, "BeginSecondPasskey", err)
		a.Present = true // a touch is enough beside a password
		answer, err := a.Sign(c.Options)
		ok(w.t, "Sign", err)
		signed, err := w.FinishSecondPasskey(ctx, host, c.Flow, answer, w.from)
		if err != nil {
			w.t.Fatalf("FinishSecondPasskey: %v\n%s", err, w.log.String())
		}
		if x := w.session(signed.Text); x.Method != "password+passkey" {
			w.t.Errorf("the session's method is %q", x.Method)
		}
		_, err = w.FinishSecondPasskey(ctx, host, c.Flow, answer, w.from)
		wantCode(w.t, "the same answer again", err, postern.CodeUnauthenticated)
		_, err = w.BeginSecondPasskey(ctx, host, "nonsense")
		wantCode(w.t, "a flow that is none", err, postern.CodeUnauthenticated)
	})
}

func TestPasskeyConfirms(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		a := authenticator()
		w.addPasskey(a, "")
		w.now = w.now.Add(15 * time.Minute)
		x := w.session(w.text)
		c, err := w.BeginConfirmPasskey(ctx, host, x)
		ok(w.t, "BeginConfirmPasskey", err)
		a.Present = true
		answer, err := a.Sign(c.Options)
		ok(w.t, "Sign", err)
		_, err = w.FinishConfirmPasskey(ctx, host, x, c.Flow, answer, w.from)
		wantCode(w.t, "a touch alone", err, postern.CodeUnauthenticated)
		a.Present = false
		answer, err = a.Sign(c.Options)
		ok(w.t, "Sign", err)
		elsewhere := *x
		elsewhere.ID = "ses_other"
		_, err = w.FinishConfirmPasskey(ctx, host, &elsewhere, c.Flow, answer, w.from)
		wantCode(w.t, "another session's confirmation", err, postern.CodeUnauthenticated)
		signed, err := w.FinishConfirmPasskey(ctx, host, x, c.Flow, answer, w.from)
		ok(w.t, "FinishConfirmPasskey", err)
		w.ended("the text from before", w.text)
		if !w.IsFresh(w.session(signed.Text)) {
			w.t.Error("a confirmed session isn't fresh")
		}
	})
}

func TestPasskeysOfOthers(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		w.addPasskey(authenticator(), "Laptop")
		f, err := w.Factors(ctx, w.admin.MemberID)
		ok(w.t, "Factors", err)
		inv := w.invite("grace@example.org", postern.RoleSuperAdmin)
		signed, err := w.Join(ctx, inv.Invitation.Reveal(), "candle orbit paper lime", w.from)
		ok(w.t, "Join", err)
		grace := w.session(signed.Text)
		wantCode(w.t, "to rename another's passkey", w.RenamePasskey(ctx, grace, f.Passkeys[0].ID, "Mine", w.from), postern.CodeNotFound)
		_, err = w.RemovePasskey(ctx, grace, f.Passkeys[0].ID, w.from)
		wantCode(w.t, "to remove another's passkey", err, postern.CodeNotFound)
		wantCode(w.t, "a long name", w.RenamePasskey(ctx, w.admin, f.Passkeys[0].ID, strings.Repeat("x", 65), w.from), postern.CodeInvalid)
		ok(w.t, "RenamePasskey", w.RenamePasskey(ctx, w.admin, f.Passkeys[0].ID, "Desk", w.from))
	})
}

func TestPasskeysNeedAName(t *testing.T) {
	each(t, func(w *world) {
		for h, want := range map[string]bool{"localhost:8080": true, "localhost": true, "127.0.0.1:8080": false, "[::1]:8080": false, "evil.example": false} {
			if got := w.PasskeysAt(h); got != want {
				w.t.Errorf("PasskeysAt(%q) = %v, want %v", h, got, want)
			}
		}
	})
}
