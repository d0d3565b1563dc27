package httpapi

import (
	"encoding/base64"
	"strings"

	"postern.dev/postern"
)

// The lists that have cursors. A cursor of one isn't taken for another's.
const (
	listKeys   = "k"
	listScopes = "s"
	listAudit  = "a"
)

const defaultPage = 50

var errCursor = &postern.Error{Code: postern.CodeInvalid, Field: "cursor",
	Message: "This is not a cursor of this list. Use the one that the page before gave, or none to begin."}

// writeCursor makes the text of a place in a list.
func writeCursor(list string, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + strings.Join(parts, "\n")))
}

// readCursor reads a place in a list that is made of n parts; nil where text is empty.
func readCursor(list, text string, n int) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) > 1000 {
		return nil, errCursor
	}
	parts := strings.Split(string(raw), "\n")
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
