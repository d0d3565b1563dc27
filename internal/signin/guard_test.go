package signin_test

import (
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
)

func TestWait(t *testing.T) {
	for n, want := range map[int64]time.Duration{0: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 14: 512 * time.Second, 15: 15 * time.Minute,
		99: 15 * time.Minute, 100: 24 * time.Hour, 1 << 40: 24 * time.Hour} {
		if got := signin.Wait(n); got != want {
			t.Errorf("after %d failures the wait is %s, want %s", n, got, want)
		}
	}
}

// A guesser waits ever longer, and so does one at an address that nobody has:
// the waits tell nothing.
func TestGuessersWait(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		guess := func(email string) (waits []string) {
			for range 8 {
				_, err := w.Password(ctx, signin.Try{Email: email, Password: "guess", From: w.from})
				switch postern.CodeOf(err) {
				case postern.CodeUnauthenticated:
					waits = append(waits, "")
				case postern.CodeRateLimited:
					waits = append(waits, err.Error())
				default:
					w.t.Fatalf("a guess: %v", err)
				}
			}
			return waits
		}
		member, stranger := guess("ada@example.org"), guess("nobody@example.org")
		if m, s := strings.Join(member, "|"), strings.Join(stranger, "|"); m != s || !strings.HasPrefix(m, "||||") || member[5] == "" {
			w.t.Errorf("the waits of a member are\n%q, and of a stranger\n%q", m, s)
		}
		_, err := w.Password(ctx, w.try(long))
		wantCode(w.t, "the right password during a wait", err, postern.CodeRateLimited)

		// A device that came in before isn't kept out by strangers.
		try := w.try(long)
		try.Device = w.device
		_, err = w.Password(ctx, try)
		ok(w.t, "the right password on a known device", err)
		try.Device = w.device[:len(w.device)-1]
		_, err = w.Password(ctx, try)
		wantCode(w.t, "a forged mark of a device", err, postern.CodeRateLimited)

		w.now = w.now.Add(2 * time.Second)
		_, err = w.Password(ctx, w.try(long))
		ok(w.t, "the right password after the wait", err)
		_, err = w.Password(ctx, w.try("guess"))
		wantCode(w.t, "a first failure after a success", err, postern.CodeUnauthenticated)
	})
}

func TestHundredGuessesCloseForADay(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		secret, codes := w.addTOTP()
		flow := w.second()
		looked := 0
		for range 150 {
			_, err := w.Code(ctx, flow, "abcdefgh", "", w.from)
			switch postern.CodeOf(err) {
			case postern.CodeInvalid:
				looked++
			case postern.CodeUnauthenticated:
				// The flow ran out, as flows do; its successor costs a try as well.
				if _, err := w.Password(ctx, w.try("guess")); postern.CodeOf(err) == postern.CodeUnauthenticated {
					looked++
				}
			}
			w.now = w.now.Add(16 * time.Minute)
		}
		if looked != 100 {
			w.t.Errorf("%d guesses were looked at, want 100", looked)
		}
		_, err := w.Password(ctx, w.try(long))
		wantCode(w.t, "the right password after a hundred failures", err, postern.CodeRateLimited)
		w.now = w.now.Add(24 * time.Hour)
		_, err = w.Code(ctx, w.second(), w.code(secret), "", w.from)
		ok(w.t, "the right password a day later", err)
		w.t.Logf("%d codes were never guessed", len(codes))
	})
}

func TestDeviceBecomesAStranger(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		try := w.try("guess")
		try.Device = w.device
		for range 10 {
			_, err := w.Password(ctx, try)
			wantCode(w.t, "a guess on a known device", err, postern.CodeUnauthenticated)
			w.now = w.now.Add(15 * time.Minute)
		}
		// Its eleventh failure counts among the strangers', whose first it is.
		for range 5 {
			_, err := w.Password(ctx, try)
			wantCode(w.t, "a guess of a device that failed too often", err, postern.CodeUnauthenticated)
		}
		_, err := w.Password(ctx, w.try("guess"))
		wantCode(w.t, "a stranger's guess", err, postern.CodeRateLimited)
	})
}
