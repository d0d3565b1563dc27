package doortest

import (
	"crypto/sha256"
	"testing"
	"time"

	"postern.dev/postern"
)

// When a World's imported credentials go.
var (
	Deprecated = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	Sunset     = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
)

// Legacy makes an imported credential of Account, and gives its text.
func (w *World) Legacy(t testing.TB, kind postern.Kind, text string, change func(*postern.CredentialRow)) string {
	t.Helper()
	w.KeyOf(t, postern.SecretServiceKey, kind, func(r *postern.CredentialRow) {
		r.Current.Hash, _ = w.Pepper.LegacyDigest(w.Pepper.Latest(), sha256.Sum256([]byte(text)))
		r.Retiring = &postern.Retiring{DeprecatedAt: Deprecated, SunsetAt: Sunset}
		if r.AllScopes = kind == postern.KindLegacyAPIKey; r.AllScopes {
			r.Scopes = nil
		}
		if change != nil {
			change(r)
		}
	})
	return text
}

// LegacyVectors are calls with imported credentials. on says whether the header
// X-Api-Key is accepted, and the query at the upstreams API and HubSpot.
func LegacyVectors(on bool) []Vector {
	const allowed, malformed, bad, none = postern.ReasonAllowed, postern.ReasonMalformed, postern.ReasonBadRequest, postern.ReasonNoCredential
	where := func(want postern.Reason) postern.Reason { // in the query, where it is switched on
		if on {
			return want
		}
		return malformed
	}
	list := []Vector{
		{Name: "as a bearer", Auth: []string{"Bearer {old token}"}, Want: allowed},
		{Name: "a key as a bearer", Auth: []string{"Bearer {old key}"}, Method: "POST", Want: allowed},
		{Name: "a token that lacks a scope", Auth: []string{"Bearer {old token}"}, Method: "POST", Want: postern.ReasonInsufficientScope},
		{Name: "an ended one", Auth: []string{"Bearer {old ended}"}, Want: postern.ReasonRevoked},
		{Name: "cut off", Auth: []string{"Bearer pat-na1-11111111-2222-4333-8444-55555555555"}, Want: malformed},
		{Name: "where only members may", Auth: []string{"Bearer {old key}"}, Target: "/keys", Method: "POST", Want: postern.ReasonWrongKind},

		{Name: "in the query", Target: "/things?hapikey={old key}", Auth: []string{}, Want: where(allowed), Forward: "/things"},
		{Name: "in the query, among others", Target: "/things?a=%2F&hapikey={old key}&b=1&&b=2", Auth: []string{}, Want: where(allowed), Forward: "/things?a=%2F&b=1&&b=2"},
		{Name: "a token in the query", Target: "/things?a=1&hapikey={old token}", Auth: []string{}, Want: where(allowed), Forward: "/things?a=1"},
		{Name: "in the query, under a mount", Target: "/hs/things?hapikey={old key}", Auth: []string{}, Want: where(allowed), Forward: "/things"},
		{Name: "in the query of another upstream", Target: "/lax/things?hapikey={old key}", Auth: []string{}, Want: malformed},
		{Name: "in the query, ended", Target: "/things?hapikey={old ended}", Auth: []string{}, Want: where(postern.ReasonRevoked)},
		{Name: "one of ours in the query", Target: "/things?hapikey={good}", Auth: []string{}, Want: malformed},
		{Name: "nobody's in the query", Target: "/things?hapikey=abc", Auth: []string{}, Want: malformed},
		{Name: "nothing in the query", Target: "/things?hapikey=", Auth: []string{}, Want: malformed},
		{Name: "twice in the query", Target: "/things?hapikey={old key}&hapikey={old key}", Auth: []string{}, Want: where(bad)},
		{Name: "twice in the query, once in disguise", Target: "/things?hapikey={old key}&HAPI%4bEY=x", Auth: []string{}, Want: where(bad)},
		{Name: "in the query after a semicolon", Target: "/things?a=1;hapikey={old key}", Auth: []string{}, Want: where(bad)},
		{Name: "in the query before a semicolon", Target: "/things?hapikey={old key};a=1", Auth: []string{}, Want: where(bad)},
		{Name: "in the query, spelled otherwise", Target: "/things?Hapikey={old key}", Auth: []string{}, Want: where(bad)},
		{Name: "in the query beside a bearer", Target: "/things?hapikey={old key}", Want: where(bad)},
		{Name: "in the query beside the same bearer", Target: "/things?hapikey={old key}", Auth: []string{"Bearer {old key}"}, Want: where(bad)},
		{Name: "in the query, of what is public", Target: "/open?hapikey={old ended}", Auth: []string{}, Want: malformed, Forward: "/open"},
	}
	if on {
		list[len(list)-1].Want = postern.ReasonPublic
	}
	header := func(name string, want postern.Reason, auth []string, lines ...string) {
		if !on {
			switch {
			case len(auth) == 0:
				want = none
			default:
				want = allowed
			}
		}
		list = append(list, Vector{Name: "header: " + name, Auth: auth, Headers: lines, Header: true, Want: want})
	}
	header("its own", allowed, []string{}, "X-API-Key: {old key}")
	header("a token", allowed, []string{}, "x-api-key: {old token}")
	header("one of ours", malformed, []string{}, "X-Api-Key: {good}")
	header("nobody's", malformed, []string{}, "X-Api-Key: abc")
	header("empty", malformed, []string{}, "X-Api-Key:")
	header("a list", malformed, []string{}, "X-Api-Key: {old key},{old key}")
	header("twice", bad, []string{}, "X-Api-Key: {old key}", "X-Api-Key: {old key}")
	header("beside a bearer", bad, []string{"Bearer {good}"}, "X-Api-Key: {old key}")
	if on {
		list = append(list, Vector{Name: "header: and the query", Target: "/things?hapikey={old key}", Auth: []string{}, Headers: []string{"X-Api-Key: {old key}"}, Header: true, Want: bad},
			Vector{Name: "header: spelled otherwise beside a bearer", Headers: []string{"X_API_KEY: {old key}"}, Header: true, Want: allowed})
	}
	return list
}
