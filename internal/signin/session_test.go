package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
)

func TestSessionTimes(t *testing.T) {
	each(t, func(w *world) {
		// Idle: 30 minutes after the latest request.
		for range 5 {
			w.now = w.now.Add(29 * time.Minute)
			w.session(w.text)
		}
		w.now = w.now.Add(30 * time.Minute)
		w.ended("a session idle for 30 minutes", w.text)

		// Absolute: 12 hours, however busy.
		text := w.comeIn().Text
		began := w.now
		for w.now.Sub(began) < 12*time.Hour-20*time.Minute {
			w.now = w.now.Add(20 * time.Minute)
			w.session(text)
		}
		w.now = began.Add(12 * time.Hour)
		w.ended("a session of 12 hours", text)
	})
}

func TestSessionTexts(t *testing.T) {
	each(t, func(w *world) {
		for what, text := range map[string]string{
			"no text": "", "a short text": w.text[1:], "a long text": w.text + "x", "another text": strings.Repeat("A", 43),
			"text of any bytes": strings.Repeat("\xff", 43),
		} {
			w.ended(what, text)
		}
		// Only a hash of the text is kept.
		all, err := w.db.Sessions(w.t.Context(), w.admin.MemberID)
		if err != nil || len(all) != 1 || strings.Contains(w.text, string(all[0].Hash.Hash[:])) {
			w.t.Errorf("Sessions = %+v, %v", all, err)
		}
	})
}

func TestSessionEnds(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		a, b, c := w.comeIn().Text, w.comeIn().Text, w.comeIn().Text
		list, err := w.Sessions(ctx, w.admin.MemberID)
		if err != nil || len(list) != 4 {
			w.t.Fatalf("Sessions = %d, %v; want 4", len(list), err)
		}
		ok(w.t, "SignOut", w.SignOut(ctx, w.session(a), w.from))
		w.ended("a session after signing out", a)
		ok(w.t, "EndSession", w.EndSession(ctx, w.admin, w.session(b).ID, w.from))
		w.ended("a session that was ended elsewhere", b)
		n, err := w.EndOtherSessions(ctx, w.admin, w.from)
		if err != nil || n != 1 {
			w.t.Errorf("EndOtherSessions = %d, %v; want 1", n, err)
		}
		w.ended("a session that was ended with all others", c)
		w.session(w.text)
		if got := w.audited(3); got[0] != "session.end_others ok" || got[1] != "session.end ok" || got[2] != "signout ok" {
			w.t.Errorf("the audit log ends with %q", got)
		}

		// Nobody ends the session of someone else.
		inv := w.invite("grace@example.org", postern.RoleViewer)
		grace, err := w.Join(ctx, inv.Invitation.Reveal(), "candle orbit paper lime", w.from)
		ok(w.t, "Join", err)
		wantCode(w.t, "another member's session", w.EndSession(ctx, w.session(grace.Text), w.admin.ID, w.from), postern.CodeNotFound)
		w.session(w.text)
	})
}

func TestPasswordChangeEndsSessions(t *testing.T) {
	each(t, func(w *world) {
		other := w.comeIn().Text
		signed, err := w.SetPassword(w.t.Context(), w.admin, "quiet harbour stone nine", w.from)
		ok(w.t, "SetPassword", err)
		w.ended("another session", other)
		w.ended("the session's text from before", w.text)
		w.session(signed.Text)
		_, err = w.Password(w.t.Context(), w.try(long))
		wantCode(w.t, "the password from before", err, postern.CodeUnauthenticated)
	})
}

func TestRemovedMemberAndSuspendedAccount(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		inv := w.invite("grace@example.org", postern.RoleViewer)
		grace, err := w.Join(ctx, inv.Invitation.Reveal(), "candle orbit paper lime", w.from)
		ok(w.t, "Join", err)
		ok(w.t, "RemoveMember", w.kr.RemoveMember(ctx, w.admin.Actor(w.from), inv.Member.ID))
		w.ended("the session of a member who was removed", grace.Text)
		_, err = w.Password(ctx, signin.Try{Email: "grace@example.org", Password: "candle orbit paper lime", From: w.from})
		if err != signin.ErrWrong {
			w.t.Errorf("the password of a member who was removed: %v", err)
		}
		_, err = w.db.Write(ctx, func(tx *store.Tx) error {
			a, err := tx.Account(ctx, w.admin.AccountID)
			if err != nil {
				return err
			}
			a.SuspendedAt = w.now
			return tx.UpdateAccount(ctx, &a)
		})
		ok(w.t, "suspend", err)
		_, err = w.Session(ctx, w.text)
		wantCode(w.t, "a session of a suspended account", err, postern.CodeForbidden)
		_, err = w.Password(ctx, w.try(long))
		wantCode(w.t, "a password of a suspended account", err, postern.CodeForbidden)
	})
}

func TestConfirm(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		if !w.IsFresh(w.admin) {
			w.t.Error("a session that has just begun isn't fresh")
		}
		w.now = w.now.Add(10 * time.Minute)
		x := w.session(w.text)
		if w.IsFresh(x) {
			w.t.Error("a session is fresh after 10 minutes")
		}
		_, err := w.Confirm(ctx, x, signin.Proof{Password: "wrong"}, w.from)
		wantCode(w.t, "a wrong password", err, postern.CodeInvalid)
		_, err = w.Confirm(ctx, x, signin.Proof{Code: "123456"}, w.from)
		wantCode(w.t, "a code without an app", err, postern.CodeInvalid)
		_, err = w.Confirm(ctx, x, signin.Proof{}, w.from)
		wantCode(w.t, "no proof", err, postern.CodeInvalid)
		signed, err := w.Confirm(ctx, x, signin.Proof{Password: long}, w.from)
		ok(w.t, "Confirm", err)
		w.ended("the text from before", w.text)
		if y := w.session(signed.Text); !w.IsFresh(y) || y.ID != x.ID || !y.ExpiresAt.Equal(x.ExpiresAt) {
			w.t.Errorf("after confirming the session is %+v, want the same one, fresh, with the end it had", y.Session)
		}
		w.admin, w.text = w.session(signed.Text), signed.Text
		secret, codes := w.addTOTP()
		w.now = w.now.Add(time.Minute)
		signed, err = w.Confirm(ctx, w.admin, signin.Proof{Code: w.code(secret)}, w.from)
		ok(w.t, "a code", err)
		_, err = w.Confirm(ctx, w.session(signed.Text), signin.Proof{Code: w.code(secret)}, w.from)
		wantCode(w.t, "a code again", err, postern.CodeInvalid)
		signed, err = w.Confirm(ctx, w.session(signed.Text), signin.Proof{Code: codes[0]}, w.from)
		ok(w.t, "a recovery code", err)
		_, err = w.Confirm(ctx, w.session(signed.Text), signin.Proof{Code: codes[0]}, w.from)
		wantCode(w.t, "a recovery code again", err, postern.CodeInvalid)
	})
}

func TestHistory(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		w.now = w.now.Add(time.Minute)
		w.Password(ctx, w.try("wrong"))
		w.now = w.now.Add(time.Minute)
		w.comeIn()
		h, err := w.History(ctx, w.admin.MemberID, store.Cursor{}, 10)
		ok(w.t, "History", err)
		var got []string
		for _, r := range h {
			got = append(got, r.Method+" "+r.Result+" "+r.Reason+" "+r.IP)
		}
		if want := "password ok  203.0.113.7,password refused wrong password 203.0.113.7,setup ok  203.0.113.7"; strings.Join(got, ",") != want {
			w.t.Errorf("History = %q, want %q", strings.Join(got, ","), want)
		}
		rest, err := w.History(ctx, w.admin.MemberID, store.Cursor{At: h[0].At.UnixMicro(), ID: h[0].ID}, 1)
		if err != nil || len(rest) != 1 || rest[0].ID != h[1].ID {
			w.t.Errorf("the page after the first = %+v, %v", rest, err)
		}
		last, err := w.LastSignins(ctx, w.admin.AccountID)
		if err != nil || !last[w.admin.MemberID].Equal(w.now) {
			w.t.Errorf("LastSignins = %v, %v; want %s", last, err, w.now)
		}
	})
}

// A change of a factor and its audit entry are one: a refused transaction leaves neither.
func TestNothingIsHalfDone(t *testing.T) {
	each(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		before := w.audited(50)
		if _, err := w.SetPassword(ctx, w.admin, "quiet harbour stone nine", w.from); err == nil {
			w.t.Fatal("a change succeeded whose request was gone")
		}
		if after := w.audited(50); len(after) != len(before) {
			w.t.Errorf("the audit log has %d entries more", len(after)-len(before))
		}
		w.session(w.text)
		w.comeIn()
	})
}
