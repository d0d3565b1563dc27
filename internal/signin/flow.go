package signin

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// flowKept is how long one may take from one step of signing in to the next.
const flowKept = 10 * time.Minute

// errFlow is the one answer to every sealed text that is not what it should be.
var errFlow = postern.Errorf(postern.CodeUnauthenticated, "This took too long, or was completed already. Start again.")

// Seal encrypts a value for one purpose, so that a browser can carry it without
// reading or changing it (AES-256-GCM under a key from the pepper).
func (s *Service) Seal(purpose string, v any, kept time.Duration) (string, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(sealed{Until: s.now().Add(kept).UnixMicro(), Body: body})
	if err != nil {
		return "", err
	}
	g, err := aead(s.key("seal " + purpose))
	if err != nil {
		return "", err
	}
	nonce := make([]byte, g.NonceSize())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(g.Seal(nonce, nonce, plain, []byte(purpose))), nil
}

// Open reads what Seal sealed for the same purpose, while it is kept.
func (s *Service) Open(purpose, text string, v any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder passes over: one text for one seal
		return errFlow
	}
	g, err := aead(s.key("seal " + purpose))
	if err != nil {
		return err
	}
	if len(raw) < g.NonceSize() {
		return errFlow
	}
	plain, err := g.Open(nil, raw[:g.NonceSize()], raw[g.NonceSize():], []byte(purpose))
	if err != nil {
		return errFlow
	}
	var box sealed
	if json.Unmarshal(plain, &box) != nil || s.now().UnixMicro() >= box.Until || json.Unmarshal(box.Body, v) != nil {
		return errFlow
	}
	return nil
}

type sealed struct {
	Until int64           `json:"until"`
	Body  json.RawMessage `json:"body"`
}

func aead(key [32]byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// Flow is where someone stands who is not in yet. The text of it is sealed.
type Flow struct {
	ID       string             `json:"id"`
	MemberID postern.MemberID   `json:"member,omitempty"`  // whose password was right
	Members  []postern.MemberID `json:"members,omitempty"` // of whom one is to be chosen
	Ceremony json.RawMessage    `json:"ceremony,omitempty"`
	Provider string             `json:"provider,omitempty"`
	State    string             `json:"state,omitempty"`
	Nonce    string             `json:"nonce,omitempty"`
	Verifier string             `json:"verifier,omitempty"`
	Invite   string             `json:"invite,omitempty"`
	Session  string             `json:"session,omitempty"` // whose session ties an identity or confirms
	Confirm  bool               `json:"confirm,omitempty"`
	Back     string             `json:"back,omitempty"`
	At       int64              `json:"at"`
}

func (s *Service) newFlow() Flow { return Flow{ID: newText(), At: s.now().UnixMicro()} }

func (s *Service) sealFlow(purpose string, f Flow) (string, error) {
	return s.Seal("flow "+purpose, f, flowKept)
}

func (s *Service) openFlow(purpose, text string) (f Flow, err error) {
	return f, s.Open("flow "+purpose, text, &f)
}

// spend makes sure that a flow is completed once.
func (s *Service) spend(ctx context.Context, tx *store.Tx, f Flow) error {
	now := s.now()
	err := tx.SpendFlow(ctx, f.ID, now, now.Add(flowKept))
	if errors.Is(err, postern.CodeConflict) {
		return errFlow
	}
	return err
}

// Spend uses up a name that must not work twice within a time: a kept form.
func (s *Service) Spend(ctx context.Context, id string, kept time.Duration) error {
	now := s.now()
	return s.change(ctx, func(tx *store.Tx) error { return tx.SpendFlow(ctx, id, now, now.Add(kept)) })
}

// Token is a text that only this server can make, for one purpose and subject.
func (s *Service) Token(purpose, subject string) string {
	k := s.key("token " + purpose)
	m := hmac.New(sha256.New, k[:])
	m.Write([]byte(subject))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// deviceMark is what a browser keeps after its member came in. It proves nothing
// but that, and spares the member from waits that strangers cause.
func (s *Service) deviceMark(m postern.MemberID) string {
	id := postern.RandomText(16)
	return id + "." + s.Token("device", string(m)+" "+id)
}

// knownDevice reads a mark; it gives the empty device, as strangers have, where it isn't one of this member's.
func (s *Service) knownDevice(m postern.MemberID, mark string) string {
	id, mac, ok := strings.Cut(mark, ".")
	if !ok || len(id) != 16 || !hmac.Equal([]byte(mac), []byte(s.Token("device", string(m)+" "+id))) {
		return ""
	}
	return id
}
