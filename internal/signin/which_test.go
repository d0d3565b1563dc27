package signin_test

import (
	"context"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
)

// twice has one address in three accounts: two with one password, one with another.
type twice struct {
	*world
	numbers []int64 // of the accounts
	ids     []postern.MemberID
}

const elsewhere = "candle orbit paper lime"

func eachTwice(t *testing.T, passwords []string, test func(w *twice)) {
	t.Helper()
	each(t, func(w *world) {
		x := &twice{world: w}
		for i, password := range passwords {
			w.now = w.now.Add(time.Second)
			a, inv, err := w.kr.CreateAccount(w.t.Context(), w.admin.Actor(w.from), keyring.NewAccount{Name: "Tenant " + string(rune('A'+i)), AdminEmail: "grace@example.org", AdminName: "Grace"})
			ok(w.t, "CreateAccount", err)
			if password != "" {
				_, err = w.Join(w.t.Context(), inv.Invitation.Reveal(), password, w.from)
				ok(w.t, "Join", err)
			}
			x.numbers, x.ids = append(x.numbers, a.Number), append(x.ids, inv.Member.ID)
		}
		test(x)
	})
}

func (w *twice) tryIt(password string) (signin.Answer, error) {
	return w.Password(w.t.Context(), signin.Try{Email: "grace@example.org", Password: password, From: w.from})
}

func (w *twice) failures(i int, device string) int64 {
	w.t.Helper()
	g, err := w.db.Guard(context.Background(), w.ids[i], device)
	ok(w.t, "Guard", err)
	return g.Failures
}

func TestOnePasswordManyAccounts(t *testing.T) {
	eachTwice(t, []string{elsewhere, "", elsewhere, "marble ticket cloud seven"}, func(w *twice) {
		ctx := w.t.Context()
		for _, password := range []string{"", "wrong", long} {
			a, err := w.tryIt(password)
			if err != signin.ErrWrong || len(a.Choices) > 0 {
				w.t.Errorf("%q: %+v, %v; want the one answer to all that is wrong", password, a, err)
			}
		}
		a, err := w.tryIt(elsewhere)
		if err != nil || a.Signed != nil || len(a.Choices) != 2 || a.Choices[0].Name != "Tenant A" || a.Choices[1].Name != "Tenant C" {
			w.t.Fatalf("one password of two accounts: %+v, %v; want both to choose from", a, err)
		}
		for what, number := range map[string]int64{"an account with another password": w.numbers[3], "one without": w.numbers[1], "one that isn't theirs": w.admin.Account.Number, "none": 0} {
			_, err := w.Choose(ctx, a.Flow, number, "", w.from)
			wantCode(w.t, "to choose "+what, err, postern.CodeUnauthenticated)
		}
		in, err := w.Choose(ctx, a.Flow, w.numbers[2], "", w.from)
		ok(w.t, "Choose", err)
		if x := w.session(in.Signed.Text); x.MemberID != w.ids[2] || x.Method != "password" {
			w.t.Errorf("chose %d and came in as %+v", w.numbers[2], x.Session)
		}
		_, err = w.Choose(ctx, a.Flow, w.numbers[0], "", w.from)
		wantCode(w.t, "to choose again", err, postern.CodeUnauthenticated)
		// Who names the account goes straight in, and so does whoever's password is of one.
		for i, try := range map[int]signin.Try{0: {Account: w.numbers[0], Password: elsewhere}, 3: {Password: "marble ticket cloud seven"}} {
			try.Email, try.From = "grace@example.org", w.from
			a, err := w.Password(ctx, try)
			if err != nil || a.Signed == nil || w.session(a.Signed.Text).MemberID != w.ids[i] {
				w.t.Errorf("account %d: %+v, %v", i, a, err)
			}
		}
		// A password that was changed meanwhile opens nothing.
		a, err = w.tryIt(elsewhere)
		ok(w.t, "Password", err)
		w.now = w.now.Add(time.Second)
		_, err = w.SetPassword(ctx, w.session(in.Signed.Text), "quiet harbour stone nine", w.from)
		ok(w.t, "SetPassword", err)
		_, err = w.Choose(ctx, a.Flow, w.numbers[2], "", w.from)
		wantCode(w.t, "an account whose password was changed", err, postern.CodeUnauthenticated)
	})
}

// TestChosenAccountAsksItsSecondFactor: the choice is no way around it.
func TestChosenAccountAsksItsSecondFactor(t *testing.T) {
	eachTwice(t, []string{elsewhere, elsewhere}, func(w *twice) {
		ctx := w.t.Context()
		in, err := w.Password(ctx, signin.Try{Email: "grace@example.org", Password: elsewhere, Account: w.numbers[0], From: w.from})
		ok(w.t, "Password", err)
		w.admin, w.text = w.session(in.Signed.Text), in.Signed.Text
		secret, _ := w.addTOTP()
		w.now = w.now.Add(time.Minute)
		a, err := w.tryIt(elsewhere)
		ok(w.t, "Password", err)
		next, err := w.Choose(ctx, a.Flow, w.numbers[0], "", w.from)
		if err != nil || next.Signed != nil || next.Flow == "" || !next.Factors.TOTP {
			w.t.Fatalf("an account with a second factor: %+v, %v", next, err)
		}
		// To choose proves nothing anew: it takes no failure back.
		_, err = w.Code(ctx, next.Flow, "000000", "", w.from)
		wantCode(w.t, "a wrong code", err, postern.CodeInvalid)
		before := w.failures(0, "")
		_, err = w.Choose(ctx, a.Flow, w.numbers[0], "", w.from)
		ok(w.t, "Choose", err)
		if got := w.failures(0, ""); got != before || got == 0 {
			w.t.Errorf("choosing took the failures from %d to %d", before, got)
		}
		signed, err := w.Code(ctx, next.Flow, w.code(secret), "", w.from)
		ok(w.t, "Code", err)
		if x := w.session(signed.Text); x.MemberID != w.ids[0] {
			w.t.Errorf("came in as %s", x.MemberID)
		}
	})
}

// TestFailuresBesideASuccess: whoever signs in to one account doesn't lock their other
// one, and can't guess its password by it either.
func TestFailuresBesideASuccess(t *testing.T) {
	eachTwice(t, []string{elsewhere, "marble ticket cloud seven"}, func(w *twice) {
		ctx := w.t.Context()
		const victim, guesser = 0, 1
		for range 8 {
			a, err := w.tryIt("marble ticket cloud seven")
			if err != nil || a.Signed == nil {
				w.t.Fatalf("a right password beside a wrong one: %+v, %v", a, err)
			}
		}
		if n := w.failures(victim, ""); n != 0 {
			w.t.Errorf("signing in to one account counted %d failures at the other", n)
		}
		if n := w.failures(victim, "beside"); n != 8 {
			w.t.Errorf("%d failures beside a success are counted, want 8", n)
		}
		// The guesser, whose password is theirs to set, hits the victim's, and isn't told while they wait.
		w.now = w.now.Add(time.Millisecond)
		a, err := w.tryIt("marble ticket cloud seven")
		ok(w.t, "Password", err)
		x := w.session(a.Signed.Text)
		_, err = w.SetPassword(ctx, x, elsewhere, w.from)
		ok(w.t, "SetPassword", err)
		a, err = w.tryIt(elsewhere)
		if err != nil || a.Signed == nil || w.session(a.Signed.Text).MemberID != w.ids[guesser] || len(a.Choices) > 0 {
			w.t.Errorf("a hit while the account waits: %+v, %v; want the guesser's own account", a, err)
		}
		w.now = w.now.Add(time.Hour)
		a, err = w.tryIt(elsewhere)
		if err != nil || len(a.Choices) != 2 {
			w.t.Errorf("after the wait: %+v, %v; want both to choose from", a, err)
		}
	})
}

// TestSuspendedAccountIsNotOffered: nor does it keep anyone from the others.
func TestSuspendedAccountIsNotOffered(t *testing.T) {
	eachTwice(t, []string{elsewhere, elsewhere}, func(w *twice) {
		suspend := func(i int) {
			_, err := w.db.Write(w.t.Context(), func(tx *store.Tx) error {
				m, err := tx.Member(w.t.Context(), w.ids[i])
				if err != nil {
					return err
				}
				a, err := tx.Account(w.t.Context(), m.AccountID)
				if err != nil {
					return err
				}
				a.SuspendedAt = w.now
				return tx.UpdateAccount(w.t.Context(), &a)
			})
			ok(w.t, "suspend", err)
		}
		suspend(1)
		a, err := w.tryIt(elsewhere)
		if err != nil || a.Signed == nil || w.session(a.Signed.Text).MemberID != w.ids[0] {
			w.t.Errorf("beside a suspended account: %+v, %v", a, err)
		}
		suspend(0)
		_, err = w.tryIt(elsewhere)
		wantCode(w.t, "with both suspended", err, postern.CodeForbidden)
	})
}

// TestEveryAddressCostsTheSame: in how many accounts an address is doesn't show in the work.
func TestEveryAddressCostsTheSame(t *testing.T) {
	each(t, func(w *world) {
		cost := func(email string) int64 {
			before := w.Hashes()
			_, err := w.Password(w.t.Context(), signin.Try{Email: email, Password: "wrong", From: w.from})
			if err != signin.ErrWrong {
				w.t.Fatalf("%s: %v", email, err)
			}
			return w.Hashes() - before
		}
		if a, b := cost("ada@example.org"), cost("nobody@example.org"); a != 1 || b != 1 {
			w.t.Errorf("on a server of one account a try costs %d and %d hashes, want 1", a, b)
		}
	})
	eachTwice(t, []string{elsewhere, elsewhere, "", "", elsewhere}, func(w *twice) {
		for email, accounts := range map[string]int{"nobody@example.org": 0, "ada@example.org": 1, "grace@example.org": 5} {
			before := w.Hashes()
			_, err := w.Password(w.t.Context(), signin.Try{Email: email, Password: "wrong", From: w.from})
			if cost := w.Hashes() - before; err != signin.ErrWrong || cost != 4 {
				w.t.Errorf("an address of %d accounts costs %d hashes (%v), want 4", accounts, cost, err)
			}
		}
	})
}
