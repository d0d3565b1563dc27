// Package signintest has what tests of signing in need on the other side: an
// authenticator that holds passkeys, and a provider of single sign-on.
package signintest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Authenticator is a device with passkeys, as a browser would use it.
type Authenticator struct {
	Origin string // of the page that asks
	// Present leaves out that the owner showed a finger, a face or a PIN.
	Present bool
	keys    []*credential
}

type credential struct {
	id, user []byte
	rp       string
	key      *ecdsa.PrivateKey
	count    uint32
}

var b64 = base64.RawURLEncoding

// options is what of a page's wishes the authenticator reads.
type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Exclude []descriptor `json:"excludeCredentials"`
		Allow   []descriptor `json:"allowCredentials"`
	} `json:"publicKey"`
}

type descriptor struct {
	ID string `json:"id"`
}

// Create makes a passkey, as navigator.credentials.create does.
func (a *Authenticator) Create(wish []byte) ([]byte, error) {
	var o options
	if err := json.Unmarshal(wish, &o); err != nil {
		return nil, err
	}
	for _, x := range o.PublicKey.Exclude {
		if a.find(x.ID) != nil {
			return nil, errors.New("signintest: this authenticator has a passkey of the member already")
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	user, err := b64.DecodeString(o.PublicKey.User.ID)
	if err != nil {
		return nil, err
	}
	c := &credential{id: make([]byte, 32), user: user, rp: o.PublicKey.RP.ID, key: key}
	rand.Read(c.id)
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: pub[1:33], -3: pub[33:65]})
	if err != nil {
		return nil, err
	}
	data := a.data(c, 0x40)
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(c.id)))
	data = append(append(data, c.id...), cose...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		return nil, err
	}
	a.keys = append(a.keys, c)
	return json.Marshal(map[string]any{"id": b64.EncodeToString(c.id), "rawId": b64.EncodeToString(c.id), "type": "public-key",
		"clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64.EncodeToString(a.client("webauthn.create", o.PublicKey.Challenge)),
			"attestationObject": b64.EncodeToString(object), "transports": []string{"internal"}}})
}

// Sign answers a challenge with a passkey, as navigator.credentials.get does.
func (a *Authenticator) Sign(wish []byte) ([]byte, error) {
	var o options
	if err := json.Unmarshal(wish, &o); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(a.keys, func(c *credential) bool {
		return c.rp == o.PublicKey.RPID && (len(o.PublicKey.Allow) == 0 ||
			slices.Contains(o.PublicKey.Allow, descriptor{b64.EncodeToString(c.id)}))
	})
	if i < 0 {
		return nil, errors.New("signintest: this authenticator has no fitting passkey")
	}
	c := a.keys[i]
	c.count++
	data := a.data(c, 0)
	client := a.client("webauthn.get", o.PublicKey.Challenge)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, c.key, digest[:])
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"id": b64.EncodeToString(c.id), "rawId": b64.EncodeToString(c.id), "type": "public-key",
		"clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
			"signature": b64.EncodeToString(sig), "userHandle": b64.EncodeToString(c.user)}})
}

// Rewind sets the counters back, as they are on a copy of the authenticator.
func (a *Authenticator) Rewind() {
	for _, c := range a.keys {
		c.count = 0
	}
}

func (a *Authenticator) find(id string) *credential {
	for _, c := range a.keys {
		if b64.EncodeToString(c.id) == id {
			return c
		}
	}
	return nil
}

// data is the start of the authenticator data (WebAuthn section 6.1).
func (a *Authenticator) data(c *credential, flags byte) []byte {
	rp := sha256.Sum256([]byte(c.rp))
	flags |= 0x01 // the owner is present
	if !a.Present {
		flags |= 0x04 // and was verified
	}
	return binary.BigEndian.AppendUint32(append(rp[:], flags), c.count)
}

func (a *Authenticator) client(typ, challenge string) []byte {
	text, _ := json.Marshal(map[string]any{"type": typ, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	return text
}
