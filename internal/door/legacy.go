package door

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// queryKey is the parameter in which old clients send an API key.
const queryKey = "hapikey"

// readLegacyHeader reads an imported credential from the header that was set for
// them, if any. A request that presents two credentials is refused: two programs
// may take it for two callers'.
func (d *Door) readLegacyHeader(c *Call, h http.Header) {
	if d.legacyHeader == "" {
		return
	}
	values := h[d.legacyHeader]
	switch {
	case len(values) == 0:
	case len(values) > 1:
		c.Refuse("The header " + d.legacyHeader + " is there twice.")
	case c.Secret != (postern.Secret{}):
		c.Refuse("There are two credentials, in the headers Authorization and " + d.legacyHeader + ". Send one.")
	default:
		c.Secret, c.Imported = Presented(values[0]), true
	}
}

// LegacyHeader reports whether a header is the one for imported credentials,
// however it is spelled: some servers read "_" as "-".
func (d *Door) LegacyHeader(name string) bool {
	return d.legacyHeader != "" && len(name) == len(d.legacyHeader) && strings.EqualFold(strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(d.legacyHeader, "_", "-"))
}

// checkQuery reads an imported credential from the query where the operator has
// switched that on for the upstream, and takes it out. Everywhere else a
// credential in the query is refused: it is in the log of every proxy that it passed.
func (d *Door) checkQuery(c *Call, query string) {
	if !hasQueryKey(query) {
		return
	}
	if c.In == nil || !slices.Contains(d.legacyQuery, "*") && !slices.Contains(d.legacyQuery, string(c.In.ID)) {
		c.refuse(0, postern.ReasonMalformed, "A credential in the query is not accepted. Send it in the Authorization header, as a bearer.")
		return
	}
	value, rest, ok := cutQueryKey(query)
	switch {
	case !ok:
		c.Refuse("The query has more than one " + queryKey + ", or one that can be read in two ways.")
	case c.Secret != (postern.Secret{}):
		c.Refuse("There are two credentials, one of them in the query. Send one.")
	default:
		c.Secret, c.Imported, c.InAddress, c.Query = Presented(value), true, true, rest
	}
}

// KeyInAddress reports whether an address has a credential in its query: a Referer that
// does goes no further, as browsers send the address of the page that they come from.
func KeyInAddress(address string) bool {
	_, query, ok := strings.Cut(address, "?")
	return ok && hasQueryKey(query)
}

// cutQueryKey takes the one credential out of a query, which otherwise stays as it is.
func cutQueryKey(query string) (value, rest string, ok bool) {
	found := false
	var left []string
	for pair := range strings.SplitSeq(query, "&") {
		if !hasQueryKey(pair) {
			left = append(left, pair)
			continue
		}
		name, v, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(v)
		if found || name != queryKey || err != nil || strings.Contains(pair, ";") {
			return "", "", false
		}
		value, found = plain, true
	}
	return value, strings.Join(left, "&"), found
}

// Retire says in the headers of an answer that the credential of the call is an
// old one: since when it is on its way out (Deprecation, RFC 9745), until when it
// works (Sunset, RFC 8594), and where to read what to do.
func (d *Door) Retire(h http.Header, c *Call) {
	if !c.Decision.Known || !c.Decision.Kind.Legacy() {
		return
	}
	r, ok := d.v.Retirement(c.Decision.KeyID())
	if !ok {
		return
	}
	link := func(rel string) { h["Link"] = append(h["Link"], "<"+d.legacyPage+`>; rel="`+rel+`"; type="text/html"`) }
	if r.DeprecatedAt != 0 {
		h["Deprecation"] = []string{"@" + strconv.FormatInt(int64(r.DeprecatedAt)/1_000_000, 10)}
		link("deprecation")
	}
	if r.SunsetAt != 0 {
		h["Sunset"] = []string{r.SunsetAt.Time().Format(http.TimeFormat)}
		link("sunset")
	}
}

// noteInAddress tells of an imported credential that came in an address.
func (d *Door) noteInAddress(c *Call) {
	if c.InAddress && c.Decision.Known && d.onInAddress != nil {
		d.onInAddress(c.Decision.KeyID())
	}
}

// validHeader reports whether a name can be that of the header for imported credentials.
func validHeader(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	switch strings.ToLower(name) {
	case "authorization", "cookie", "host", "content-type", "content-length", "connection", "user-agent", "accept", "origin", "referer":
		return false
	}
	return true
}
