package httpapi

import (
	"net/http"

	"postern.dev/postern/api"
)

// CheckJSON is checkJSON, for tests.
func CheckJSON(data []byte) error { return checkJSON(data) }

// ReadBody is readBody, for tests: of a catalog's load, or of any other request.
func ReadBody(w http.ResponseWriter, r *http.Request, catalog bool) ([]byte, error) {
	if catalog {
		return readBody(w, r, maxDocuments, documentTime)
	}
	return readBody(w, r, maxBody, bodyTime)
}

// Decode is decode, for tests.
func Decode(data []byte, v any) error { return decode(data, v) }

// ReadCursor is readCursor of the list of service keys, for tests.
func ReadCursor(text string) ([]string, error) { return readCursor(listKeys, text, 2) }

// WriteCursor is writeCursor of the list of service keys, for tests.
func WriteCursor(parts ...string) string { return writeCursor(listKeys, parts...) }

// DecodeQuestion reads a question to /v1/verify, for tests.
func DecodeQuestion(data []byte) (api.VerifyRequest, error) {
	var in verifyInput
	err := in.decode(data)
	return api.VerifyRequest{Secret: in.secret, Method: in.method, Path: in.path, Host: in.host, Upstream: in.upstream,
		Scopes: list[string](in.scopes), RemoteIP: in.remoteIP, UserAgent: in.userAgent}, err
}
