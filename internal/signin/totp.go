package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// totpStep is how long a code is shown; a code of one step before or after counts too (RFC 6238 section 5.2).
const totpStep = 30 * time.Second

// ErrCode is the answer to every code that is wrong, or was used before.
var ErrCode = postern.Invalidf("code", "This code is wrong or was used already. Wait for the next one.")

// NewTOTP is an authenticator app that waits for its first code.
type NewTOTP struct {
	Flow   string
	Secret string // in base32, for typing
	URL    string // otpauth://…
	QR     QR
}

// QR is a QR code as an SVG path, in a square of Size units with its margin.
type QR struct {
	Size int
	Path string
}

const qrMargin = 4 // the quiet zone that readers need

// drawQR gives the code of a text: one rectangle for each run of dark modules.
func drawQR(text string) (out QR, err error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return out, fmt.Errorf("signin: draw a QR code: %w", err)
	}
	n := code.Bounds().Dx()
	dark := func(x, y int) bool {
		if x >= n {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var b strings.Builder
	for y := range n {
		for x := 0; x < n; x++ {
			from := x
			for dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1H%dz", from+qrMargin, y+qrMargin, x-from, from+qrMargin)
			}
		}
	}
	return QR{Size: n + 2*qrMargin, Path: b.String()}, nil
}

// BeginTOTP makes the secret of an authenticator app. It counts once a code of it was right.
func (s *Service) BeginTOTP(x *Session) (out NewTOTP, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: s.cfg.Name, AccountName: x.Member.Email, Rand: rand.Reader})
	if err != nil {
		return out, fmt.Errorf("signin: make a TOTP secret: %w", err)
	}
	f := s.newFlow()
	f.MemberID, f.Session, f.State = x.MemberID, x.ID, key.Secret()
	flow, err := s.sealFlow("totp", f)
	if err != nil {
		return out, err
	}
	return s.showTOTP(x, flow, key.Secret())
}

// ReopenTOTP shows an authenticator app again that still waits: its code was wrong.
func (s *Service) ReopenTOTP(x *Session, flow string) (out NewTOTP, err error) {
	f, err := s.openFlow("totp", flow)
	if err != nil || f.Session != x.ID {
		return out, errFlow
	}
	return s.showTOTP(x, flow, f.State)
}

func (s *Service) showTOTP(x *Session, flow, secret string) (out NewTOTP, err error) {
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + s.cfg.Name + ":" + x.Member.Email,
		// Apps don't all read a plus sign as a space.
		RawQuery: strings.ReplaceAll(url.Values{"secret": {secret}, "issuer": {s.cfg.Name}}.Encode(), "+", "%20")}
	out = NewTOTP{Flow: flow, Secret: secret, URL: u.String()}
	out.QR, err = drawQR(out.URL)
	return out, err
}

// FinishTOTP adds the authenticator app, if the code is one of its. The first
// second factor comes with recovery codes, which are shown this once.
func (s *Service) FinishTOTP(ctx context.Context, x *Session, flow, code string, from postern.Actor) (out Signed, codes []string, err error) {
	f, err := s.openFlow("totp", flow)
	if err != nil || f.Session != x.ID || f.MemberID != x.MemberID {
		return out, nil, errFlow
	}
	step, ok := matchTOTP(f.State, code, s.now(), 0)
	if !ok {
		return out, nil, ErrCode
	}
	v := s.cfg.Pepper.Latest()
	sealed, err := s.sealUnder(v, "totp", []byte(f.State))
	if err != nil {
		return out, nil, err
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		if codes, err = s.firstCodes(ctx, tx, x); err != nil {
			return err
		}
		if err := tx.PutTOTP(ctx, x.MemberID, store.TOTP{Secret: sealed, Pepper: v, LastStep: step, CreatedAt: s.now()}); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "totp.add", from)
		return err
	})
	return out, codes, err
}

// RemoveTOTP takes the authenticator app away.
func (s *Service) RemoveTOTP(ctx context.Context, x *Session, from postern.Actor) (out Signed, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		f, err := s.waysLeft(ctx, tx, x)
		if err != nil {
			return err
		}
		if err := f.mayLose(1, 0); err != nil {
			return err
		}
		if err := tx.DeleteTOTP(ctx, x.MemberID); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "totp.remove", from)
		return err
	})
	return out, err
}

// matchTOTP finds the step whose code this is, later than the last that was used.
func matchTOTP(secret, code string, now time.Time, last int64) (step int64, ok bool) {
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, code)
	for _, d := range []time.Duration{0, -totpStep, totpStep} {
		at := now.Add(d)
		want, err := totp.GenerateCodeCustom(secret, at, totp.ValidateOpts{Period: uint(totpStep / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step = at.Unix() / int64(totpStep/time.Second)
		}
	}
	return step, step > last
}

// useTOTP checks a code and uses it up.
func (s *Service) useTOTP(ctx context.Context, tx *store.Tx, m postern.MemberID, code string) error {
	t, err := tx.TOTP(ctx, m)
	if err != nil {
		return err
	}
	if len(t.Secret) == 0 || t.Altered {
		return ErrCode
	}
	secret, err := s.openUnder(t.Pepper, "totp", t.Secret)
	if err != nil {
		return err
	}
	step, ok := matchTOTP(string(secret), code, s.now(), t.LastStep)
	if !ok {
		return ErrCode
	}
	if err := tx.UseTOTP(ctx, m, step); errors.Is(err, postern.CodeNotFound) {
		return ErrCode
	} else if err != nil {
		return err
	}
	return nil
}

// sealUnder encrypts what is kept in the database under a version of the pepper.
func (s *Service) sealUnder(version uint8, purpose string, plain []byte) ([]byte, error) {
	k, _ := s.cfg.Pepper.Derive(version, "signin keep "+purpose)
	g, err := aead(k)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, g.NonceSize())
	rand.Read(nonce)
	return g.Seal(nonce, nonce, plain, []byte(purpose)), nil
}

func (s *Service) openUnder(version uint8, purpose string, sealed []byte) ([]byte, error) {
	k, ok := s.cfg.Pepper.Derive(version, "signin keep "+purpose)
	g, err := aead(k)
	if err != nil || !ok || len(sealed) < 12 {
		return nil, fmt.Errorf("signin: what is kept for %s can't be read: its pepper is gone or the row was changed", purpose)
	}
	return g.Open(nil, sealed[:12], sealed[12:], []byte(purpose))
}
