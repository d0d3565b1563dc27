package signin_test

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
)

func (w *world) raw(query string, args ...any) {
	w.t.Helper()
	if err := w.db.Pool.Write(w.t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

const malsOwn = "candle orbit paper lime"

// mal is a viewer who can write the database's rows, and has a password.
func (w *world) mal() *signin.Session {
	w.t.Helper()
	inv := w.invite("mal@example.org", postern.RoleViewer)
	signed, err := w.Join(w.t.Context(), inv.Invitation.Reveal(), malsOwn, w.from)
	ok(w.t, "Join", err)
	x := w.session(signed.Text)
	w.t.Cleanup(func() {
		if w.db.AlteredRows() == 0 {
			w.t.Error("nothing was counted")
		}
	})
	return x
}

func TestAPasswordOfAnother(t *testing.T) {
	each(t, func(w *world) {
		mal := w.mal()
		w.raw("update passwords set hash = (select hash from passwords where member_id = $1) where member_id = $2", string(mal.MemberID), string(w.admin.MemberID))
		_, err := w.Password(w.t.Context(), w.try(malsOwn))
		wantCode(w.t, "its hash in another's row", err, postern.CodeUnauthenticated)
		w.raw("delete from passwords where member_id = $1", string(w.admin.MemberID))
		w.raw("update passwords set member_id = $1", string(w.admin.MemberID))
		_, err = w.Password(w.t.Context(), w.try(malsOwn))
		wantCode(w.t, "its whole row, moved", err, postern.CodeUnauthenticated)
		w.raw("update passwords set member_id = $1", string(mal.MemberID))
		a, err := w.Password(w.t.Context(), signin.Try{Email: "mal@example.org", Password: malsOwn, From: w.from})
		if err != nil || a.Signed == nil {
			w.t.Errorf("put back: %+v, %v; want a session", a, err)
		}
	})
}

func TestASessionOfAnother(t *testing.T) {
	each(t, func(w *world) {
		inv := w.invite("mal@example.org", postern.RoleViewer)
		signed, err := w.Join(w.t.Context(), inv.Invitation.Reveal(), malsOwn, w.from)
		ok(w.t, "Join", err)
		id, me := signed.Session.ID, string(signed.Session.MemberID)
		for _, c := range [][2]string{
			{"member_id = '" + string(w.admin.MemberID) + "'", "member_id = '" + me + "'"},
			{"expires_at = expires_at + 1000000", "expires_at = expires_at - 1000000"},
			{"proved_at = proved_at + 1000000", "proved_at = proved_at - 1000000"},
			{"seen_at = seen_at + 1000000", "seen_at = seen_at - 1000000"},
		} {
			w.raw("update sessions set "+c[0]+" where id = $1", id)
			w.ended(c[0], signed.Text)
			w.raw("update sessions set "+c[1]+" where id = $1", id)
			w.session(signed.Text)
		}
		// Nor does a member who was altered stay in, or come in.
		w.raw("update members set role_id = 'super_admin' where id = $1", me)
		w.ended("an altered member's session", signed.Text)
		_, err = w.Password(w.t.Context(), signin.Try{Email: "mal@example.org", Password: malsOwn, From: w.from})
		wantCode(w.t, "an altered member's password", err, postern.CodeUnauthenticated)
		_, _, err = w.Link(w.t.Context(), w.from, signed.Session.MemberID)
		wantCode(w.t, "a link for an altered member", err, postern.CodeForbidden)
		w.raw("update members set role_id = 'viewer' where id = $1", me)
		w.session(signed.Text)
	})
}

func TestALinkOfAnother(t *testing.T) {
	each(t, func(w *world) {
		mal := w.mal()
		link, _, err := w.Link(w.t.Context(), w.from, mal.MemberID)
		ok(w.t, "Link", err)
		w.raw("update single_use set member_id = $1 where purpose = 'signin'", string(w.admin.MemberID))
		_, err = w.UseLink(w.t.Context(), link.Reveal(), w.from)
		wantCode(w.t, "moved", err, postern.CodeUnauthenticated)
		w.raw("update single_use set member_id = $1 where purpose = 'signin'", string(mal.MemberID))
		_, err = w.UseLink(w.t.Context(), link.Reveal(), w.from)
		ok(w.t, "put back", err)
		w.raw("update single_use set used_at = 0 where purpose = 'signin'")
		_, err = w.UseLink(w.t.Context(), link.Reveal(), w.from)
		wantCode(w.t, "used before", err, postern.CodeUnauthenticated)
	})
}

// Whoever uses a link is looked at in the transaction that uses it up: on SQLite, what
// came right before it in the same commit can be seen nowhere else.
func TestALinkOfOneWhoIsBeingRemoved(t *testing.T) {
	each(t, func(w *world) {
		ada := w.admin.MemberID
		link, _, err := w.Link(w.t.Context(), w.from, ada)
		ok(w.t, "Link", err)
		_, err = w.db.Write(w.t.Context(), func(tx *store.Tx) error {
			m, err := tx.Member(w.t.Context(), ada)
			if err != nil {
				return err
			}
			ok(w.t, "before", w.FindLink(w.t.Context(), tx, link.Reveal()))
			m.RemovedAt = w.now
			if err := tx.UpdateMember(w.t.Context(), &m); err != nil {
				return err
			}
			wantCode(w.t, "after", w.FindLink(w.t.Context(), tx, link.Reveal()), postern.CodeUnauthenticated)
			return nil
		})
		ok(w.t, "remove", err)
	})
}

func TestAnAppOfAnother(t *testing.T) {
	each(t, func(w *world) {
		mal := w.mal()
		w.addTOTP()
		n, err := w.BeginTOTP(mal)
		ok(w.t, "BeginTOTP", err)
		_, _, err = w.FinishTOTP(w.t.Context(), mal, n.Flow, w.code(n.Secret), w.from)
		ok(w.t, "FinishTOTP", err)
		w.raw("delete from totps where member_id = $1", string(w.admin.MemberID))
		w.raw("update totps set member_id = $1", string(w.admin.MemberID))
		w.now = w.now.Add(time.Minute)
		// The password still asks for a code, and no code of the app is one.
		_, err = w.Code(w.t.Context(), w.second(), w.code(n.Secret), "", w.from)
		wantCode(w.t, "a code of an app that was moved", err, postern.CodeInvalid)
		w.raw("update totps set secret = $1", []byte{})
		_, err = w.Code(w.t.Context(), w.second(), w.code(n.Secret), "", w.from)
		wantCode(w.t, "a code of an app that was emptied", err, postern.CodeInvalid)
	})
}

func TestAPasskeyOfAnother(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		mal, a := w.mal(), authenticator()
		c, err := w.BeginRegister(ctx, host, mal)
		ok(w.t, "BeginRegister", err)
		answer, err := a.Create(c.Options)
		ok(w.t, "Create", err)
		_, _, err = w.FinishRegister(ctx, host, mal, c.Flow, answer, "Mine", w.from)
		ok(w.t, "FinishRegister", err)
		as := func(who postern.MemberID) (*signin.Signed, error) {
			c, err := w.BeginPasskey(host)
			ok(w.t, "BeginPasskey", err)
			answer, err := a.Sign(c.Options)
			ok(w.t, "Sign", err)
			// Whom a passkey names isn't signed by it.
			var m map[string]any
			ok(w.t, "read the answer", json.Unmarshal(answer, &m))
			m["response"].(map[string]any)["userHandle"] = base64.RawURLEncoding.EncodeToString([]byte(who))
			answer, err = json.Marshal(m)
			ok(w.t, "write the answer", err)
			return w.FinishPasskey(ctx, host, c.Flow, answer, w.from)
		}
		_, err = as(mal.MemberID)
		ok(w.t, "one's own passkey", err)
		w.raw("update passkeys set member_id = $1", string(w.admin.MemberID))
		_, err = as(w.admin.MemberID)
		wantCode(w.t, "a passkey that was moved", err, postern.CodeUnauthenticated)
		w.raw("update passkeys set member_id = $1", string(mal.MemberID))
		_, err = as(mal.MemberID)
		ok(w.t, "put back", err)
	})
}

func TestAnIdentityOfAnother(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		mal := w.mal()
		done, err := w.visit(signin.SSOWish{Session: mal}, mal)
		if err != nil || !done.Tied {
			w.t.Fatalf("to tie the provider: %+v, %v", done, err)
		}
		_, err = w.visit(signin.SSOWish{}, nil)
		ok(w.t, "one's own", err)
		w.raw("update identities set member_id = $1", string(w.admin.MemberID))
		_, err = w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "moved", err, postern.CodeForbidden)
		w.raw("update identities set member_id = $1", string(mal.MemberID))
		_, err = w.visit(signin.SSOWish{}, nil)
		ok(w.t, "put back", err)
	})
}
