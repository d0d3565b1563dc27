package signin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/signin/signintest"
)

func TestSetupLinkWorksOnce(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		if w.admin.Member.Role.ID != postern.RoleSuperAdmin || w.admin.Account.Name != "Acme" || !w.admin.Account.Operator {
			w.t.Errorf("set-up signed in %+v of %+v, want the super admin of the operator's account", w.admin.Member, w.admin.Account)
		}
		if got := w.audited(1); got[0] != "signin ok" {
			w.t.Errorf("the audit log ends with %q, want the sign-in", got)
		}
		keys, err := w.kr.PersonalKeys(ctx, w.admin.Actor(w.from))
		if err != nil || len(keys) != 0 {
			w.t.Errorf("set-up with a password made %d personal access keys (%v), want none", len(keys), err)
		}
		in := keyring.SetupInput{AccountName: "Other", Email: "eve@example.org", Name: "Eve"}
		_, err = w.Setup(ctx, "pst_boot_nonsense", in, long, w.from)
		wantCode(w.t, "a link that isn't one", err, postern.CodeUnauthenticated)
		link, _, err := w.kr.SetupLink(ctx)
		ok(w.t, "SetupLink", err)
		_, err = w.Setup(ctx, link.Reveal(), in, long, w.from)
		wantCode(w.t, "a second set-up", err, postern.CodeConflict)
		_, err = w.Setup(ctx, link.Reveal(), in, "short", w.from)
		wantCode(w.t, "a weak password", err, postern.CodeInvalid)
	})
}

func TestPassword(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		signed := w.comeIn()
		x := w.session(signed.Text)
		if x.Method != "password" || x.IP != w.from.IP || x.UserAgent != w.from.UserAgent {
			w.t.Errorf("the session is %+v", x.Session)
		}
		if signed.Text == w.text {
			w.t.Error("two sessions have one text")
		}
		_, err := w.Password(ctx, signin.Try{Email: " ADA@Example.org ", Password: long, From: w.from})
		ok(w.t, "an address in capitals and with spaces", err)
		_, err = w.Password(ctx, signin.Try{Email: "ada@example.org", Password: long, Account: x.Account.Number, From: w.from})
		ok(w.t, "with the account's number", err)

		for what, try := range map[string]signin.Try{
			"a wrong password":               w.try(long + "x"),
			"an empty password":              w.try(""),
			"an unknown address":             {Email: "eve@example.org", Password: long, From: w.from},
			"another account":                {Email: "ada@example.org", Password: long, Account: 1, From: w.from},
			"an address that isn't text":     {Email: "ada\xff@example.org", Password: long, From: w.from},
			"an address with a NUL":          {Email: "ada\x00@example.org", Password: long, From: w.from},
			"an endless address":             {Email: strings.Repeat("a", 1000) + "@example.org", Password: long, From: w.from},
			"a password longer than allowed": {Email: "ada@example.org", Password: strings.Repeat("a", 100_000), From: w.from},
		} {
			a, err := w.Password(ctx, try)
			if err != signin.ErrWrong || a.Signed != nil || a.Flow != "" {
				w.t.Errorf("%s: %+v, %v; want the one answer to all that is wrong", what, a, err)
			}
		}
		got := w.audited(3)
		if !slices.Contains(got, "signin refused wrong password") {
			w.t.Errorf("the audit log ends with %q, want the refusal of a wrong password", got)
		}
	})
}

func TestUserAgentOfAnyKind(t *testing.T) {
	each(t, func(w *world) {
		w.from.UserAgent = strings.Repeat("é", 149) + "x€ and more\xff"
		x := w.session(w.comeIn().Text)
		if want := strings.Repeat("é", 149) + "x"; x.UserAgent != want {
			w.t.Errorf("the session keeps the user agent %q, want %q", x.UserAgent, want)
		}
	})
}

// A refusal takes as long for who is no member as for who is one: both hash a
// password, and both are answered at the same moment.
func TestUnknownMembersTakeAsLong(t *testing.T) {
	each(t, func(w *world) {
		const at = 300 * time.Millisecond
		w.AnswerAfter(at)
		for what, try := range map[string]signin.Try{
			"a wrong password":   w.try("wrong"),
			"an unknown address": {Email: "nobody@example.org", Password: "wrong", From: w.from},
		} {
			start := time.Now()
			_, err := w.Password(w.t.Context(), try)
			if took := time.Since(start); err != signin.ErrWrong || took < at {
				w.t.Errorf("%s was answered with %v after %s, want the same words not before %s", what, err, took, at)
			}
		}
		// Without the wait the work itself is alike: an unknown address costs a hash too.
		w.AnswerAfter(0)
		// In turns, so that a busy machine is as busy for both.
		member, stranger := time.Hour, time.Hour
		for range 6 {
			for email, least := range map[string]*time.Duration{"ada@example.org": &member, "stranger@example.org": &stranger} {
				start := time.Now()
				if _, err := w.Password(w.t.Context(), signin.Try{Email: email, Password: "wrong", From: w.from}); err != signin.ErrWrong {
					w.t.Fatal(err)
				}
				*least = min(*least, time.Since(start))
			}
			w.now = w.now.Add(48 * time.Hour)
		}
		if stranger < member/4 {
			w.t.Errorf("an unknown address took %s and a known one %s: the difference tells who is a member", stranger, member)
		}
	})
}

func TestJoin(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		inv := w.invite("grace@example.org", postern.RoleViewer)
		_, err := w.Join(ctx, inv.Invitation.Reveal(), "grace", w.from)
		wantCode(w.t, "a weak password", err, postern.CodeInvalid)
		signed, err := w.Join(ctx, inv.Invitation.Reveal(), "candle orbit paper lime", w.from)
		ok(w.t, "Join", err)
		if x := w.session(signed.Text); x.MemberID != inv.Member.ID || x.Method != "invitation" {
			w.t.Errorf("joined as %s by %s, want %s by invitation", x.MemberID, x.Method, inv.Member.ID)
		}
		_, err = w.Join(ctx, inv.Invitation.Reveal(), "candle orbit paper lime", w.from)
		wantCode(w.t, "the invitation again", err, postern.CodeUnauthenticated)
		_, err = w.Password(ctx, signin.Try{Email: "grace@example.org", Password: "candle orbit paper lime", From: w.from})
		ok(w.t, "the password that they chose", err)
	})
}

// Who lost every way in gets a new invitation, and what they had before is gone.
func TestJoinStartsAnew(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		inv := w.invite("grace@example.org", postern.RoleSuperAdmin)
		first, err := w.Join(ctx, inv.Invitation.Reveal(), "candle orbit paper lime", w.from)
		ok(w.t, "Join", err)
		admin := w.admin
		w.admin, w.text = w.session(first.Text), first.Text
		secret, _ := w.addTOTP()
		w.addPasskey(authenticator(), "Laptop")
		text := w.text
		w.admin = admin

		again, err := w.kr.ReinviteMember(ctx, w.admin.Actor(w.from), inv.Member.ID)
		ok(w.t, "ReinviteMember", err)
		_, err = w.Join(ctx, again.Invitation.Reveal(), "marble ticket cloud seven", w.from)
		ok(w.t, "Join again", err)
		w.ended("a session from before", text)
		f, err := w.Factors(ctx, inv.Member.ID)
		if err != nil || f.TOTP || len(f.Passkeys) > 0 || f.Codes > 0 || !f.Password {
			w.t.Errorf("after starting anew the factors are %+v (%v), want the password alone; the app was %s", f, err, secret)
		}
	})
}

func TestJoinWithPasskey(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		inv := w.invite("grace@example.org", postern.RoleViewer)
		link, a := inv.Invitation.Reveal(), authenticator()
		c, err := w.BeginJoinPasskey(ctx, host, link)
		ok(w.t, "BeginJoinPasskey", err)
		answer, err := a.Create(c.Options)
		ok(w.t, "Create", err)
		other := w.invite("mary@example.org", postern.RoleViewer)
		_, err = w.JoinWithPasskey(ctx, host, other.Invitation.Reveal(), c.Flow, answer, w.from)
		wantCode(w.t, "the passkey of another invitation", err, postern.CodeUnauthenticated)
		signed, err := w.JoinWithPasskey(ctx, host, link, c.Flow, answer, w.from)
		ok(w.t, "JoinWithPasskey", err)
		if x := w.session(signed.Text); x.Member.Email != "grace@example.org" {
			w.t.Errorf("joined as %s", x.Member.Email)
		}
		_, err = w.JoinWithPasskey(ctx, host, link, c.Flow, answer, w.from)
		wantCode(w.t, "the invitation again", err, postern.CodeUnauthenticated)
		if x := w.session(w.passkey(a).Text); x.MemberID != inv.Member.ID {
			w.t.Errorf("the passkey signs in %s, want %s", x.MemberID, inv.Member.ID)
		}
	})
}

func TestLink(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		link, until, err := w.Link(ctx, postern.Actor{System: "cli"}, w.admin.MemberID)
		ok(w.t, "Link", err)
		if want := w.now.Add(signin.LinkKept); !until.Equal(want) {
			w.t.Errorf("the link works until %s, want %s", until, want)
		}
		if m, _, err := w.LinkFor(ctx, link.Reveal()); err != nil || m.ID != w.admin.MemberID {
			w.t.Errorf("LinkFor = %s, %v", m.ID, err)
		}
		if _, _, err := w.kr.Invitation(ctx, link.Reveal()); err == nil {
			w.t.Error("a sign-in link is taken for an invitation")
		}
		newer, _, err := w.Link(ctx, postern.Actor{System: "cli"}, w.admin.MemberID)
		ok(w.t, "Link", err)
		_, err = w.UseLink(ctx, link.Reveal(), w.from)
		wantCode(w.t, "a link that was replaced", err, postern.CodeUnauthenticated)
		signed, err := w.UseLink(ctx, newer.Reveal(), w.from)
		ok(w.t, "UseLink", err)
		if x := w.session(signed.Text); x.Method != "link" {
			w.t.Errorf("the session's method is %q", x.Method)
		}
		_, err = w.UseLink(ctx, newer.Reveal(), w.from)
		wantCode(w.t, "a link again", err, postern.CodeUnauthenticated)
		inv := w.invite("grace@example.org", postern.RoleViewer)
		_, err = w.UseLink(ctx, inv.Invitation.Reveal(), w.from)
		wantCode(w.t, "an invitation as a link", err, postern.CodeUnauthenticated)

		late, _, err := w.Link(ctx, postern.Actor{System: "cli"}, w.admin.MemberID)
		ok(w.t, "Link", err)
		w.now = w.now.Add(signin.LinkKept)
		_, err = w.UseLink(ctx, late.Reveal(), w.from)
		wantCode(w.t, "a link after its time", err, postern.CodeUnauthenticated)
	})
}

// passkey signs in with a passkey alone.
func (w *world) passkey(a *signintest.Authenticator) *signin.Signed {
	w.t.Helper()
	c, err := w.BeginPasskey(host)
	ok(w.t, "BeginPasskey", err)
	answer, err := a.Sign(c.Options)
	ok(w.t, "Sign", err)
	signed, err := w.FinishPasskey(w.t.Context(), host, c.Flow, answer, w.from)
	if err != nil {
		w.t.Fatalf("FinishPasskey: %v\n%s", err, w.log.String())
	}
	return signed
}

func TestWaysInThatAreLeft(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		_, err := w.RemovePassword(ctx, w.admin, w.from)
		wantCode(w.t, "the password that is the only way in", err, postern.CodeConflict)
		a := authenticator()
		w.addPasskey(a, "Laptop")
		f, err := w.Factors(ctx, w.admin.MemberID)
		ok(w.t, "Factors", err)
		signed, err := w.RemovePassword(ctx, w.admin, w.from)
		ok(w.t, "RemovePassword", err)
		w.admin = w.session(signed.Text)
		_, err = w.RemovePasskey(ctx, w.admin, f.Passkeys[0].ID, w.from)
		wantCode(w.t, "the passkey that is the only way in", err, postern.CodeConflict)
		// Beside a passkey a short password is enough, and then neither may go alone.
		signed, err = w.SetPassword(ctx, w.admin, "mild4est", w.from)
		ok(w.t, "a short password beside a passkey", err)
		w.admin = w.session(signed.Text)
		_, err = w.RemovePasskey(ctx, w.admin, f.Passkeys[0].ID, w.from)
		wantCode(w.t, "the second factor of a short password", err, postern.CodeConflict)
		signed, err = w.SetPassword(ctx, w.admin, long, w.from)
		ok(w.t, "SetPassword", err)
		w.admin = w.session(signed.Text)
		_, err = w.RemovePasskey(ctx, w.admin, f.Passkeys[0].ID, w.from)
		ok(w.t, "RemovePasskey", err)
		if got := w.audited(1); got[0] != "passkey.remove ok" {
			w.t.Errorf("the audit log ends with %q", got)
		}
	})
}

func TestPreferences(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		ok(w.t, "SetPreference", w.SetPreference(ctx, w.admin.MemberID, "theme", "dark"))
		ok(w.t, "SetPreference", w.SetPreference(ctx, w.admin.MemberID, "theme", "light"))
		p, err := w.Preferences(ctx, w.admin.MemberID)
		if err != nil || p["theme"] != "light" || len(p) != 1 {
			w.t.Errorf("Preferences = %v, %v", p, err)
		}
		wantCode(w.t, "a long value", w.SetPreference(ctx, w.admin.MemberID, "x", strings.Repeat("x", 2000)), postern.CodeInvalid)
	})
}
