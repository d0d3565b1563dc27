package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"postern.dev/postern"
)

// The lists that have cursors. A cursor of one isn't taken for another's.
const (
	listKeys   = "k"
	listScopes = "s"
	listAudit  = "a"

	listCheckpoint = "c"
)

const defaultPage = 50

var errCursor = &postern.Error{Code: postern.CodeInvalid, Field: "cursor",
	Message: "This is not a cursor of this list. Use the one that the page before gave, or none to begin."}

// writeCursor makes the text of a place in a list.
func writeCursor(list string, parts ...string) string {
	place := list + "\n" + strings.Join(parts, "\n")
	return base64.RawURLEncoding.EncodeToString(append(cursorSum(place), place...))
}

// cursorSum finds a cursor that was cut or altered on its way. It guards nothing
// else: whatever place a cursor names, only the caller's own account is listed.
func cursorSum(place string) []byte {
	sum := sha256.Sum256([]byte("postern cursor\n" + place))
	return sum[:6]
}

// readCursor reads a place in a list that is made of n parts; nil where text is empty.
func readCursor(list, text string, n int) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) > 1000 || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, errCursor
	}
	if len(raw) < 6 || !bytes.Equal(raw[:6], cursorSum(string(raw[6:]))) {
		return nil, errCursor
	}
	parts := strings.Split(string(raw[6:]), "\n")
	if len(parts) != n+1 || parts[0] != list {
		return nil, errCursor
	}
	for _, p := range parts[1:] {
		if p == "" {
			return nil, errCursor
		}
	}
	return parts[1:], nil
}
