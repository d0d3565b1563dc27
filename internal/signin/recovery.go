package signin

import (
	"context"
	"crypto/rand"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const recoveryCodes = 10

// recoveryLetters leaves out what people confuse: 32 of them, so 5 bits each.
const recoveryLetters = "023456789abcdefghjkmnpqrstuvwxyz"

func newRecoveryCode() string {
	var b [10]byte
	rand.Read(b[:])
	out := make([]byte, 0, 11)
	for i, c := range b {
		if i == 5 {
			out = append(out, '-')
		}
		out = append(out, recoveryLetters[c&31])
	}
	return string(out)
}

// plainCode is a code as it is hashed: without the marks that people add.
func plainCode(code string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(code))
}

// makeCodes replaces a member's recovery codes.
func (s *Service) makeCodes(ctx context.Context, tx *store.Tx, m postern.MemberID) ([]string, error) {
	codes := make([]string, recoveryCodes)
	hashes := make([]postern.SecretHash, recoveryCodes)
	for i := range codes {
		codes[i] = newRecoveryCode()
		hashes[i] = s.secretHash("recovery "+string(m), plainCode(codes[i]))
	}
	return codes, tx.PutRecoveryCodes(ctx, m, hashes, s.now())
}

// firstCodes makes recovery codes for a member who gets their first second factor.
func (s *Service) firstCodes(ctx context.Context, tx *store.Tx, x *Session) ([]string, error) {
	f, err := readFactors(ctx, tx, x.MemberID)
	if err != nil || f.Second() && f.Codes > 0 {
		return nil, err
	}
	return s.makeCodes(ctx, tx, x.MemberID)
}

// NewCodes replaces a member's recovery codes; they are shown this once.
func (s *Service) NewCodes(ctx context.Context, x *Session, from postern.Actor) (out Signed, codes []string, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		if codes, err = s.makeCodes(ctx, tx, x.MemberID); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "recovery.new", from)
		return err
	})
	return out, codes, err
}

// useCode uses a recovery code up, whichever live pepper it was hashed under.
func (s *Service) useCode(ctx context.Context, tx *store.Tx, m postern.MemberID, code string) error {
	for _, v := range s.cfg.Pepper.Versions() {
		if err := tx.UseRecoveryCode(ctx, m, s.hash(v, "recovery "+string(m), plainCode(code)), s.now()); err == nil {
			return nil
		} else if postern.CodeOf(err) != postern.CodeNotFound {
			return err
		}
	}
	return postern.Invalidf("code", "This is none of your recovery codes, or was used already.")
}
