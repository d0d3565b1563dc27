package door

import (
	"strings"
	"time"

	"postern.dev/postern"
)

// titles are the reasons in a few words.
var titles = map[postern.Reason]string{
	postern.ReasonAllowed:           "Allowed",
	postern.ReasonPublic:            "Public",
	postern.ReasonNoCredential:      "No credential",
	postern.ReasonMalformed:         "Not a credential",
	postern.ReasonWrongKind:         "Wrong kind of credential",
	postern.ReasonUnknownKey:        "Not a valid credential",
	postern.ReasonRetired:           "Rotated away",
	postern.ReasonRevoked:           "Revoked",
	postern.ReasonExpired:           "Expired",
	postern.ReasonNotYetValid:       "Not yet valid",
	postern.ReasonPaused:            "Paused",
	postern.ReasonAccountSuspended:  "Account suspended",
	postern.ReasonAddressNotAllowed: "Address not allowed",
	postern.ReasonRateLimited:       "Too many calls",
	postern.ReasonDailyLimit:        "Daily limit reached",
	postern.ReasonUnknownOperation:  "No such operation",
	postern.ReasonMethodNotAllowed:  "Method not allowed",
	postern.ReasonUncovered:         "Operation without scopes",
	postern.ReasonInsufficientScope: "Missing scope",
	postern.ReasonBadRequest:        "Bad request",
	postern.ReasonUnavailable:       "Can't tell now",
	postern.ReasonBrownout:          "Brownout",
	postern.ReasonLimitsAway:        "Limits can't be counted now",
}

// details are the reasons in a sentence, where nothing more is known.
var details = map[postern.Reason]string{
	postern.ReasonNoCredential:      "This needs a credential: send its secret as a bearer in the Authorization header.",
	postern.ReasonMalformed:         "What was presented is not a whole secret: it may be cut off or mistyped.",
	postern.ReasonUnknownKey:        "The credential is not valid.",
	postern.ReasonRetired:           "This secret was rotated away. Use the key's new secret.",
	postern.ReasonRevoked:           "The credential was revoked.",
	postern.ReasonExpired:           "The credential has expired.",
	postern.ReasonNotYetValid:       "The credential is not valid yet.",
	postern.ReasonPaused:            "The credential is paused. An admin of the account can resume it.",
	postern.ReasonAccountSuspended:  "The account of the credential is suspended.",
	postern.ReasonAddressNotAllowed: "The credential can't be used from this address.",
	postern.ReasonRateLimited:       "The credential's limit is reached.",
	postern.ReasonDailyLimit:        "The account's daily limit is reached.",
	postern.ReasonUnknownOperation:  "There is no such operation.",
	postern.ReasonMethodNotAllowed:  "This path doesn't have that method.",
	postern.ReasonUncovered:         "The operation names no scope, so nobody may do it until the operator gives it one.",
	postern.ReasonInsufficientScope: "The credential lacks a scope that this needs.",
	postern.ReasonBadRequest:        "The request can't be judged.",
	postern.ReasonBrownout:          "This old credential is being switched off. It is refused for a short while, on purpose, so that whoever still uses it finds out.",
	postern.ReasonUnavailable:       "It can't be decided now whether this is allowed. Try again.",
	postern.ReasonLimitsAway:        "The credential's calls can't be counted now, and without that none is allowed. Try again.",
	postern.ReasonWrongKind:         "A credential of this kind can't do this.",
}

// Missing names the scopes that a call was refused for.
func (d *Door) Missing(c *Call) []postern.Scope {
	if c.Decision.Reason != postern.ReasonInsufficientScope {
		return nil
	}
	return d.v.MissingScopes(&c.Request, &c.Decision)
}

// Detail says why a call is refused, to whoever presented what it carried.
func (d *Door) Detail(c *Call, missing []postern.Scope) string {
	if c.Why != "" {
		return c.Why
	}
	at := func(text string) string {
		if c.Decision.Since == 0 {
			return text + "."
		}
		return text + " at " + stamp(c.Decision.Since) + "."
	}
	switch c.Decision.Reason {
	case postern.ReasonRetired:
		return at("This secret was rotated away and stopped working") + " Use the key's new secret."
	case postern.ReasonRevoked:
		return at("The credential was revoked")
	case postern.ReasonExpired:
		return at("The credential expired")
	case postern.ReasonNotYetValid:
		if from, _ := d.v.Life(&c.Decision); from != 0 {
			return "The credential is not valid before " + stamp(from) + "."
		}
	case postern.ReasonAddressNotAllowed:
		if c.RemoteIP.IsValid() {
			return "The credential can't be used from " + c.RemoteIP.String() + "."
		}
	case postern.ReasonInsufficientScope:
		if len(missing) == 1 {
			return "The credential lacks the scope " + string(missing[0]) + "."
		} else if len(missing) > 1 {
			return "The credential lacks the scopes " + join(missing, ", ") + "."
		}
	case postern.ReasonBrownout:
		text := details[postern.ReasonBrownout]
		if c.Decision.RetryAt != 0 {
			text += " It works again at " + stamp(c.Decision.RetryAt) + "."
		}
		return text + " Move to a service key: an admin of the account can make one. Read more at " + d.docs + "/migration#brownouts"
	case postern.ReasonWrongKind:
		return d.wrongKind(c)
	}
	return details[c.Decision.Reason]
}

// wrongKind names the kind that was presented, which its prefix shows, and those that can.
func (d *Door) wrongKind(c *Call) string {
	var b strings.Builder
	b.WriteString(article(c.Decision.Kind.Words(), "A ", "An "))
	b.WriteString(" can't do this")
	kinds := d.v.Admits(&c.Request).List()
	if len(kinds) == 0 {
		return b.String() + "."
	}
	b.WriteString("; it takes ")
	for i, k := range kinds {
		switch {
		case i > 0 && i == len(kinds)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(article(k.Words(), "a ", "an "))
	}
	b.WriteByte('.')
	return b.String()
}

func article(words, a, an string) string {
	if strings.IndexByte("AEIOaeio", words[0]) >= 0 {
		return an + words
	}
	return a + words
}

// stamp is a time as people and programs read it: RFC 3339 in UTC, cut to seconds.
func stamp(m postern.Micros) string { return m.Time().Format(time.RFC3339) }

func join(list []postern.Scope, sep string) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(string(s))
	}
	return b.String()
}

// codeOf is the sort of failure that a status says, as api.Problem names it.
func codeOf(status int, r postern.Reason) postern.Code {
	switch status {
	case 401:
		return postern.CodeUnauthenticated
	case 404, 405:
		return postern.CodeNotFound
	case 413, 414:
		return postern.CodeTooLarge
	case 429:
		return postern.CodeRateLimited
	case 502, 503, 504:
		return postern.CodeUnavailable
	case 403:
		if r == postern.ReasonInsufficientScope {
			return postern.CodeInsufficientScope
		}
		return postern.CodeForbidden
	}
	return postern.CodeInvalid
}
