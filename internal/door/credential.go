package door

import (
	"net/http"
	"net/url"
	"strings"

	"postern.dev/postern"
)

// maxAuthorization is the most bytes of an Authorization header.
const maxAuthorization = 4 << 10

// notSecret stands for what was presented and can't be a secret of anyone: the
// text has a character that no credential has. Verifying it gives ReasonMalformed,
// or what a public operation gives.
var notSecret = postern.SecretOf("\x00")

// Bearer reads the credential of a request: the zero Secret where none is
// presented. What isn't one plain bearer text becomes a Secret that nobody has.
// ok is false where there is more than one Authorization header: then two
// programs may take the request for two callers'.
func Bearer(h http.Header) (s postern.Secret, ok bool) {
	values := h["Authorization"]
	switch len(values) {
	case 0:
		return postern.Secret{}, true
	case 1:
		return bearerOf(values[0]), true
	}
	return postern.Secret{}, false
}

// bearerOf reads "Bearer <text>": the scheme in any case, one space, and a text
// as Presented takes it.
func bearerOf(value string) postern.Secret {
	const scheme = "bearer "
	if len(value) > maxAuthorization || len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return notSecret
	}
	return Presented(value[len(scheme):])
}

// Presented wraps a text that was presented as a credential: printable ASCII
// without blanks and commas, so that no list and no second text hides in it.
// Anything else becomes a Secret that nobody has.
func Presented(text string) postern.Secret {
	if text == "" || len(text) > maxAuthorization {
		return notSecret
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c > '~' || c == ',' {
			return notSecret
		}
	}
	return postern.SecretOf(text)
}

// hasQueryKey reports whether a query carries a credential as "hapikey", however
// its name is spelled. Such a request is refused whole: the credential is in the
// logs of every proxy that it passed.
func hasQueryKey(query string) bool {
	for query != "" {
		var pair string
		// Some servers part a query at ";" too.
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if len(name) < len("hapikey") {
			continue
		}
		if strings.IndexByte(name, '%') >= 0 {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		if strings.EqualFold(strings.TrimSpace(name), "hapikey") {
			return true
		}
	}
	return false
}
