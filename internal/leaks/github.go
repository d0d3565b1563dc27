package leaks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/outgoing"
)

// GitHubKeys is where GitHub publishes the keys that it signs its reports with.
const GitHubKeys = "https://api.github.com/meta/public_keys/secret_scanning"

// Bounds of GitHub's reports, and of the list of its keys.
const (
	MaxGitHubBody    = 4 << 20
	MaxGitHubMatches = 10_000
	maxGitHubKeys    = 100

	keysFresh = time.Hour      // after this the list is read again
	keysGood  = 24 * time.Hour // for this long it is believed where that fails
	keysPause = time.Minute    // between two tries to read it, whoever asks
)

// Failures of a report's signature.
var (
	ErrSignature = errors.New("the signature isn't right")
	ErrNoKeys    = errors.New("the keys of GitHub can't be read now")
)

// Signers are the public keys that reports are signed with. They are read from a
// URL when they are needed, and again when a report names one that isn't there.
type Signers struct {
	source string
	client *outgoing.Client
	now    func() time.Time

	mu      sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	at      time.Time // when it was read
	tried   time.Time
	failed  error         // of the latest try
	reading chan struct{} // closed when the read that is under way has ended; nil where none is
}

// NewSigners makes Signers of a source: an https URL, or a file with the same JSON, which is read now.
func NewSigners(source string, client *outgoing.Client, now func() time.Time) (*Signers, error) {
	s := &Signers{source: source, client: client, now: now}
	if strings.Contains(source, "://") {
		if _, err := client.Check(source); err != nil {
			return nil, fmt.Errorf("leaks: the URL of the keys of GitHub: %w", err)
		}
		return s, nil
	}
	b, err := os.ReadFile(source)
	if err != nil {
		return nil, fmt.Errorf("leaks: the keys of GitHub: %w", err)
	}
	s.client = nil
	if s.keys, err = parseKeys(b); err != nil {
		return nil, fmt.Errorf("leaks: the keys of GitHub in %s: %w", source, err)
	}
	return s, nil
}

// parseKeys reads {"public_keys": [{"key_identifier": …, "key": PEM}]}. Keys of
// another sort than P-256 are left out.
func parseKeys(b []byte) (map[string]*ecdsa.PublicKey, error) {
	var list struct {
		Keys []struct {
			ID  string `json:"key_identifier"`
			Key string `json:"key"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	out := map[string]*ecdsa.PublicKey{}
	for _, k := range list.Keys {
		block, _ := pem.Decode([]byte(k.Key))
		if block == nil || k.ID == "" || len(out) == maxGitHubKeys {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if pub, ok := key.(*ecdsa.PublicKey); err == nil && ok && pub.Curve == elliptic.P256() {
			out[k.ID] = pub
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no P-256 key in it")
	}
	return out, nil
}

// key finds a signer. A list that is old, or lacks it, is read again, once a minute
// at most; whoever needs no other list doesn't wait for that.
func (s *Signers) key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.client == nil || s.keys[id] != nil && now.Sub(s.at) <= keysFresh {
		return s.keys[id], nil
	}
	if wait := s.reading; wait != nil {
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
		}
		s.mu.Lock()
	} else if now.Sub(s.tried) >= keysPause {
		s.read(ctx, now)
	}
	if s.at.IsZero() || now.Sub(s.at) > keysGood {
		return nil, errors.Join(ErrNoKeys, s.failed)
	}
	return s.keys[id], nil
}

// read reads the list. The lock is held when it is called and when it returns, not in between.
func (s *Signers) read(ctx context.Context, now time.Time) {
	done := make(chan struct{})
	s.reading, s.tried = done, now
	s.mu.Unlock()
	var keys map[string]*ecdsa.PublicKey
	b, err := s.client.Get(context.WithoutCancel(ctx), s.source, nil)
	if err == nil {
		keys, err = parseKeys(b)
	}
	s.mu.Lock()
	if s.failed = err; err == nil {
		s.keys, s.at = keys, now
	}
	s.reading = nil
	close(done)
}

// Check checks the signature over the very bytes of a report: ECDSA with P-256 and
// SHA-256, in ASN.1, as base64.
func (s *Signers) Check(ctx context.Context, id, signature string, body []byte) error {
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || id == "" || len(id) > 200 || len(sig) < 8 || len(sig) > 80 {
		return ErrSignature
	}
	key, err := s.key(ctx, id)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if key == nil || !ecdsa.VerifyASN1(key, sum[:], sig) {
		return ErrSignature
	}
	return nil
}

// Match is one secret that GitHub found.
type Match struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

// Feedback is what GitHub is told of a match. The secret isn't repeated: its hash is enough.
type Feedback struct {
	TokenHash string `json:"token_hash"` // SHA-256, in hexadecimal digits
	TokenType string `json:"token_type"`
	Label     string `json:"label"`
}

// The labels.
const (
	TruePositive  = "true_positive"
	FalsePositive = "false_positive"
)

// Matches reads the body of a report.
func Matches(body []byte) ([]Match, error) {
	var out []Match
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, postern.Errorf(postern.CodeInvalid, "The body is to be a JSON array of matches.")
	}
	if len(out) > MaxGitHubMatches {
		return nil, postern.Errorf(postern.CodeTooLarge, "A report has at most %d matches.", MaxGitHubMatches)
	}
	return out, nil
}

// GitHub takes a report of GitHub whose signature was checked, and says of each
// match whether it is a secret of this server, dead ones too.
func (i *Intake) GitHub(ctx context.Context, matches []Match, from postern.Actor) ([]Feedback, error) {
	out := make([]Feedback, 0, len(matches))
	for _, m := range matches {
		f, err := i.Report(ctx, Presented(m.Token), Place{Source: postern.LeakFromGitHub, URL: m.URL, From: from})
		if err != nil {
			return nil, err
		}
		label := TruePositive
		if f.State == Unknown {
			label = FalsePositive
		}
		sum := sha256.Sum256([]byte(m.Token))
		out = append(out, Feedback{TokenHash: hex.EncodeToString(sum[:]), TokenType: m.Type, Label: label})
	}
	return out, nil
}
