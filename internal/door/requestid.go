package door

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"

	"postern.dev/postern"
)

// RequestIDHeader is the header in which every answer says the request's id.
const RequestIDHeader = "Postern-Request-Id"

// NewRequestID makes a UUID (RFC 9562, version 4), by which a person quotes a
// request. It need not be hard to guess: it opens nothing.
func NewRequestID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var t [36]byte
	hex.Encode(t[0:8], b[0:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:36], b[10:16])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}

// requestID is the id of a request: what a trusted peer says, or a new one.
func requestID(h http.Header, trusted bool) string {
	if trusted {
		for _, name := range [...]string{RequestIDHeader, "X-Request-Id"} {
			if v := h[name]; len(v) == 1 && plainID(v[0]) {
				return v[0]
			}
		}
	}
	return NewRequestID()
}

func plainID(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return postern.HideSecrets(s) == s // a proxy may hand on what its caller chose
}
