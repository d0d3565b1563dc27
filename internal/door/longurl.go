package door

import (
	"net/http"
	"strings"

	"postern.dev/postern"
)

// ShortURLs refuses requests whose target is longer than MaxURL with 414 before
// next sees them: for listeners that aren't an upstream's. Paths that begin with
// except are let through; what is behind them judges lengths itself.
func (d *Door) ShortURLs(next http.Handler, except ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.RequestURI) <= d.maxURL || begins(r.URL.Path, except) {
			next.ServeHTTP(w, r)
			return
		}
		c := &Call{}
		c.RequestID = requestID(r.Header, trusts(d.trusted, Peer(r)))
		c.refuse(http.StatusRequestURITooLong, postern.ReasonBadRequest, "The URL is too long.")
		d.Refuse(w, c)
	})
}

func begins(path string, with []string) bool {
	for _, p := range with {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}
