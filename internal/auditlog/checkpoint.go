package auditlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"postern.dev/postern"
)

// KeyLabel is the purpose for which the pepper gives the seed of the signing key.
const KeyLabel = "audit checkpoint signing key v1"

// CheckpointEvery is the most entries between two checkpoints.
const CheckpointEvery = 1000

// Checkpoint says what the log was at a moment.
type Checkpoint struct {
	Origin string // which log
	Number int64  // of the checkpoint, from 1, without gaps
	Size   int64  // entries
	Root   Hash
	At     time.Time
	// Previous is the hash of the note before; zero in the first.
	Previous Hash
	// Keys are the IDs of the keys that sign it, in the order of their signatures.
	Keys []string
}

// Text is what is signed.
func (c *Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\nat %s\nnumber %d\nprevious %s\nkeys %s\n",
		c.Origin, c.Size, c.Root, timeText(postern.ToMicros(c.At)), c.Number, c.Previous, strings.Join(c.Keys, ","))
}

var errNoCheckpoint = errors.New("this is no checkpoint")

// parseCheckpoint reads what was signed. There is one way to write a checkpoint.
func parseCheckpoint(s string) (c Checkpoint, err error) {
	lines := strings.Split(s, "\n")
	if len(lines) != 8 || lines[0] == "" {
		return c, errNoCheckpoint
	}
	after := func(i int, word string) string {
		rest, ok := strings.CutPrefix(lines[i], word)
		if !ok {
			err = errNoCheckpoint
		}
		return rest
	}
	c.Origin = lines[0]
	var errs [5]error
	c.Size, errs[0] = strconv.ParseInt(lines[1], 10, 64)
	c.Root, errs[1] = parseHash(lines[2])
	c.At, errs[2] = time.Parse(time.RFC3339Nano, after(3, "at "))
	c.Number, errs[3] = strconv.ParseInt(after(4, "number "), 10, 64)
	c.Previous, errs[4] = parseHash(after(5, "previous "))
	c.Keys = strings.Split(after(6, "keys "), ",")
	if err != nil || errors.Join(errs[:]...) != nil || c.Size < 1 || c.Number < 1 || c.Text() != s {
		return c, errNoCheckpoint
	}
	return c, nil
}

func parseHash(s string) (h Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errNoCheckpoint
	}
	return Hash(b), nil
}

// NoteHash is what the next checkpoint says of a note.
func NoteHash(n string) Hash { return sha256.Sum256([]byte(n)) }

// Signer signs checkpoints of one log.
type Signer struct {
	signer note.Signer
	Key    string // by which others verify: NAME+ID+KEY
}

// NewSigner makes the signer of a seed.
func NewSigner(origin string, seed [32]byte) (Signer, error) {
	private := ed25519.NewKeyFromSeed(seed[:])
	key, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		return Signer{}, fmt.Errorf("auditlog: the key's name: %w", err)
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return Signer{}, fmt.Errorf("auditlog: the key: %w", err)
	}
	s, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, v.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))))
	if err != nil {
		return Signer{}, fmt.Errorf("auditlog: the signing key: %w", err)
	}
	return Signer{s, key}, nil
}

// Sign gives the signed note of a checkpoint, whose Keys it sets.
func Sign(c *Checkpoint, by ...Signer) (string, error) {
	signers := make([]note.Signer, len(by))
	c.Keys = make([]string, len(by))
	for i, s := range by {
		signers[i], c.Keys[i] = s.signer, idText(s.signer.KeyHash())
	}
	b, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return "", fmt.Errorf("auditlog: sign: %w", err)
	}
	return string(b), nil
}

// Keys are those whose signature counts.
type Keys struct {
	list  []string
	known note.Verifiers
}

// ParseKeys reads keys as Signer.Key writes them.
func ParseKeys(list ...string) (Keys, error) {
	vs := make([]note.Verifier, len(list))
	for i, s := range list {
		v, err := note.NewVerifier(strings.TrimSpace(s))
		if err != nil {
			return Keys{}, fmt.Errorf("%q is no key of an audit log; it is written as NAME+ID+KEY", s)
		}
		vs[i] = v
	}
	return Keys{list, note.VerifierList(vs...)}, nil
}

// Open reads a signed note. Signed is false where it can be read and none of the
// keys signed it.
func (k Keys) Open(s string) (c Checkpoint, signed bool, err error) {
	n, err := note.Open([]byte(s), k.known)
	if e, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		n, err = e.Note, nil
	}
	if err != nil {
		return c, false, errNoCheckpoint // a signature of one of the keys that is wrong, too
	}
	if c, err = parseCheckpoint(n.Text); err != nil {
		return c, false, err
	}
	return c, len(n.Sigs) > 0, c.onlyWay(s)
}

// parseNote reads a note without looking at its signatures.
func parseNote(s string) (Checkpoint, error) {
	text, _, ok := strings.Cut(s, "\n\n")
	if !ok {
		return Checkpoint{}, errNoCheckpoint
	}
	return parseCheckpoint(text + "\n")
}

// onlyWay refuses a note that is signed by other keys than it says, or written in
// another way than Sign writes it.
func (c *Checkpoint) onlyWay(s string) error {
	_, signatures, _ := strings.Cut(s, "\n\n")
	text := c.Text() + "\n"
	for i, line := range strings.SplitAfter(strings.TrimSuffix(signatures, "\n"), "\n") {
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "— "+c.Origin+" "))
		if err != nil || i >= len(c.Keys) || len(b) != 4+ed25519.SignatureSize || c.Keys[i] != idText(binary.BigEndian.Uint32(b)) {
			return errNoCheckpoint
		}
		text += "— " + c.Origin + " " + base64.StdEncoding.EncodeToString(b) + "\n"
	}
	if text != s || strings.Count(signatures, "\n") != len(c.Keys) {
		return errNoCheckpoint
	}
	return nil
}

func idText(id uint32) string { return fmt.Sprintf("%08x", id) }

// KeyID is the number by which a signature names its key, in eight hexadecimal digits.
func KeyID(key string) string {
	v, err := note.NewVerifier(key)
	if err != nil {
		return ""
	}
	return idText(v.KeyHash())
}
