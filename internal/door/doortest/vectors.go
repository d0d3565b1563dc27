package doortest

import (
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
)

// Vector is a call, as it goes over the wire, and how every door is to judge it.
// In Auth, Target and Headers, "{name}" stands for a credential of Secrets.
type Vector struct {
	Name    string
	Method  string   // GET unless set
	Host    string   // api.example unless set
	Target  string   // /things unless set
	Auth    []string // the values of Authorization headers; one bearer of {good} where nil
	Headers []string // further lines
	// Header says that the vector is about headers, which the verify API has none of.
	Header bool
	// Server says that net/http itself refuses it, before the gateway sees it.
	Server bool
	Want   postern.Reason
	Status int // where it isn't what the reason says
	// Forward is the request target that the upstream is to get, where it is
	// another than the one that was sent.
	Forward string
}

// Defaults fills in what is left out.
func (v Vector) Defaults() Vector {
	if v.Method == "" {
		v.Method = "GET"
	}
	if v.Host == "" {
		v.Host = "api.example"
	}
	if v.Target == "" {
		v.Target = "/things"
	}
	if v.Auth == nil {
		v.Auth = []string{"Bearer {good}"}
	}
	if v.Status == 0 {
		v.Status = v.Want.Status()
	}
	if v.Forward == "" {
		v.Forward = v.Target
	}
	return v
}

// Bearer is the text that is presented, for doors that get it without a header;
// ok is false where it is not one.
func (v Vector) Bearer() (text string, ok bool) {
	switch len(v.Auth) {
	case 0:
		return "", true
	case 1:
		return strings.CutPrefix(v.Auth[0], "Bearer ")
	}
	return "", false
}

// Secrets makes the credentials that vectors name.
func (w *World) Secrets(t testing.TB) map[string]string {
	hour := time.Now().Add(time.Hour)
	ago := time.Now().Add(-time.Hour)
	row := func(change func(*postern.CredentialRow)) string { return w.Key(t, change).Reveal() }
	// other is a secret of the same key with other random characters.
	other := func(text string) string {
		p, err := postern.ParseSecret(postern.DefaultBrand, text)
		if err != nil {
			t.Fatal(err)
		}
		return postern.NewSecret(postern.DefaultBrand, p.Type, p.KeyID()).Reveal()
	}
	s := map[string]string{
		"good":     row(func(*postern.CredentialRow) {}),
		"writer":   row(func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"things.read", "things.write"} }),
		"bare":     row(func(r *postern.CredentialRow) { r.Scopes = nil }),
		"revoked":  row(func(r *postern.CredentialRow) { r.RevokedAt = ago }),
		"deleted":  row(func(r *postern.CredentialRow) { r.DeletedAt = ago }),
		"expired":  row(func(r *postern.CredentialRow) { r.ExpiresAt = ago }),
		"later":    row(func(r *postern.CredentialRow) { r.NotBefore = hour }),
		"paused":   row(func(r *postern.CredentialRow) { r.PausedAt = ago }),
		"foreign":  row(func(r *postern.CredentialRow) { r.AccountID = OtherAccount }),
		"tampered": w.tampered(t),
		"refresh":  postern.NewSecret(postern.DefaultBrand, postern.SecretRefresh, postern.NewKeyID()).Reveal(),
		"session":  postern.NewSecret(postern.DefaultBrand, postern.SecretSession, postern.NewKeyID()).Reveal(),
		"unknown":  postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, postern.NewKeyID()).Reveal(),
		"brand":    postern.NewSecret("acme", postern.SecretServiceKey, postern.NewKeyID()).Reveal(),
		"long":     strings.Repeat("a", 5000),
	}
	s["previous"], s["retired"] = w.rotated(t, hour), w.rotated(t, ago)
	good := s["good"]
	for _, k := range []string{"good", "revoked", "expired", "paused", "foreign", "previous"} {
		s["not "+k] = other(s[k])
	}
	s["cut"] = good[:len(good)-1]
	s["cut in half"] = good[:len(good)/2]
	s["longer"] = good + "0"
	s["mistyped"] = flip(good, len(good)-10)
	s["upper"] = strings.ToUpper(good)
	s["lookalike"] = strings.Replace(good, "p", "р", 1) // a Cyrillic er
	s["wide"] = strings.Replace(good, "_", "＿", 1)
	s["retyped"] = strings.Replace(good, "_sk_", "_pak_", 1)
	s["old token"] = w.Legacy(t, postern.KindLegacyPrivateApp, "pat-na1-11111111-2222-4333-8444-555555555555", nil)
	s["old key"] = w.Legacy(t, postern.KindLegacyAPIKey, "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", nil)
	s["old ended"] = w.Legacy(t, postern.KindLegacyAPIKey, "aaaaaaaa-bbbb-4ccc-8ddd-ffffffffffff", func(r *postern.CredentialRow) { r.RevokedAt = ago })
	return s
}

func flip(s string, i int) string {
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

// rotated makes a key with two secrets, and gives the one before.
func (w *World) rotated(t testing.TB, until time.Time) string {
	var before string
	w.Key(t, func(r *postern.CredentialRow) {
		s := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, r.Key)
		before = s.Reveal()
		r.Previous, r.PreviousUntil = w.Hash(s, 1), until
		r.Current.Generation = 2
	})
	return before
}

// tampered makes a key whose row was changed in the database.
func (w *World) tampered(t testing.TB) string {
	secret := w.Key(t)
	p, _ := postern.ParseSecret(postern.DefaultBrand, secret.Reveal())
	w.CatchUp(t, w.Store.Commit(postern.ChangeCredential, string(p.KeyID()), func(s *Store) {
		row := s.rows[p.KeyID()]
		row.Scopes = []postern.Scope{"things.read", "things.write"}
		row.Revision++
		s.rows[p.KeyID()] = row
	}))
	return secret.Reveal()
}

// Fill puts credentials where they are named.
func Fill(text string, secrets map[string]string) string {
	for name, s := range secrets {
		text = strings.ReplaceAll(text, "{"+name+"}", s)
	}
	return text
}

// Vectors are the attacks, and beside each what is to be let through, so that a
// door which refuses everything fails too.
func Vectors() []Vector {
	const (
		allowed, public, malformed = postern.ReasonAllowed, postern.ReasonPublic, postern.ReasonMalformed
		bad, noPath, noMethod      = postern.ReasonBadRequest, postern.ReasonUnknownOperation, postern.ReasonMethodNotAllowed
		noScope, unknown           = postern.ReasonInsufficientScope, postern.ReasonUnknownKey
	)
	list := []Vector{
		{Name: "a good call", Want: allowed},
		{Name: "scheme in lower case", Auth: []string{"bearer {good}"}, Header: true, Want: allowed},
		{Name: "scheme in mixed case", Auth: []string{"bEaReR {good}"}, Header: true, Want: allowed},
		{Name: "no credential", Auth: []string{}, Want: postern.ReasonNoCredential},
		{Name: "empty header", Auth: []string{""}, Header: true, Want: malformed},
		{Name: "scheme only", Auth: []string{"Bearer"}, Header: true, Want: malformed},
		{Name: "no scheme", Auth: []string{"{good}"}, Header: true, Want: malformed},
		{Name: "another scheme", Auth: []string{"Basic {good}"}, Header: true, Want: malformed},
		{Name: "two spaces", Auth: []string{"Bearer  {good}"}, Header: true, Want: malformed},
		{Name: "a tab", Auth: []string{"Bearer\t{good}"}, Header: true, Want: malformed},
		{Name: "trailing word", Auth: []string{"Bearer {good} x"}, Header: true, Want: malformed},
		{Name: "trailing semicolon", Auth: []string{"Bearer {good};"}, Want: malformed},
		{Name: "comma list", Auth: []string{"Bearer {good},Bearer {good}"}, Header: true, Want: malformed},
		{Name: "comma list of texts", Auth: []string{"Bearer {good},{writer}"}, Want: malformed},
		{Name: "quoted", Auth: []string{`Bearer "{good}"`}, Want: malformed},
		{Name: "as a parameter", Auth: []string{`Bearer token={good}`}, Want: malformed},
		{Name: "two equal headers", Auth: []string{"Bearer {good}", "Bearer {good}"}, Header: true, Want: bad},
		{Name: "two headers", Auth: []string{"Bearer {bare}", "Bearer {good}"}, Header: true, Want: bad},
		{Name: "two headers, one of another scheme", Auth: []string{"Basic x", "Bearer {good}"}, Header: true, Want: bad},
		{Name: "another brand", Auth: []string{"Bearer {brand}"}, Want: malformed},
		{Name: "cut off", Auth: []string{"Bearer {cut}"}, Want: malformed},
		{Name: "cut in half", Auth: []string{"Bearer {cut in half}"}, Want: malformed},
		{Name: "a character more", Auth: []string{"Bearer {longer}"}, Want: malformed},
		{Name: "checksum off", Auth: []string{"Bearer {mistyped}"}, Want: malformed},
		{Name: "in upper case", Auth: []string{"Bearer {upper}"}, Want: malformed},
		{Name: "a lookalike letter", Auth: []string{"Bearer {lookalike}"}, Want: malformed},
		{Name: "a wide underscore", Auth: []string{"Bearer {wide}"}, Want: malformed},
		{Name: "another type over the same key", Auth: []string{"Bearer {retyped}"}, Want: malformed},
		{Name: "a refresh token", Auth: []string{"Bearer {refresh}"}, Want: malformed},
		{Name: "a session", Auth: []string{"Bearer {session}"}, Want: malformed},
		{Name: "very long", Auth: []string{"Bearer {long}"}, Want: malformed},
		{Name: "in the query", Target: "/things?hapikey={good}", Auth: []string{}, Want: malformed},
		{Name: "in the query, beside a good one", Target: "/things?a=b&hapikey={good}", Want: malformed},
		{Name: "in the query, spelled otherwise", Target: "/things?a=b;HAPI%4bey={good}", Want: malformed},
		{Name: "a query that only looks like it", Target: "/things?xhapikey=1&q=hapikey", Want: allowed},

		{Name: "unknown key", Auth: []string{"Bearer {unknown}"}, Want: unknown},
		{Name: "wrong secret of a live key", Auth: []string{"Bearer {not good}"}, Want: unknown},
		{Name: "wrong secret of a revoked key", Auth: []string{"Bearer {not revoked}"}, Want: unknown},
		{Name: "wrong secret of an expired key", Auth: []string{"Bearer {not expired}"}, Want: unknown},
		{Name: "wrong secret of a paused key", Auth: []string{"Bearer {not paused}"}, Want: unknown},
		{Name: "wrong secret of a key in rotation", Auth: []string{"Bearer {not previous}"}, Want: unknown},
		{Name: "wrong secret of another account's key", Auth: []string{"Bearer {not foreign}"}, Want: unknown},
		{Name: "tampered row", Auth: []string{"Bearer {tampered}"}, Want: unknown},
		{Name: "revoked", Auth: []string{"Bearer {revoked}"}, Want: postern.ReasonRevoked},
		{Name: "deleted", Auth: []string{"Bearer {deleted}"}, Want: postern.ReasonRevoked},
		{Name: "expired", Auth: []string{"Bearer {expired}"}, Want: postern.ReasonExpired},
		{Name: "not yet valid", Auth: []string{"Bearer {later}"}, Want: postern.ReasonNotYetValid},
		{Name: "paused", Auth: []string{"Bearer {paused}"}, Want: postern.ReasonPaused},
		{Name: "previous secret in grace", Auth: []string{"Bearer {previous}"}, Want: allowed},
		{Name: "previous secret after grace", Auth: []string{"Bearer {retired}"}, Want: postern.ReasonRetired},
		{Name: "another account's key is its own", Auth: []string{"Bearer {foreign}"}, Want: allowed},

		{Name: "no scopes", Auth: []string{"Bearer {bare}"}, Want: noScope},
		{Name: "missing scope", Method: "POST", Want: noScope},
		{Name: "two missing scopes", Target: "/admin", Want: noScope},
		{Name: "implicit scope", Target: "/who", Auth: []string{"Bearer {bare}"}, Want: allowed},
		{Name: "uncovered", Target: "/bare", Want: postern.ReasonUncovered},
		{Name: "wrong kind", Target: "/keys", Method: "POST", Want: postern.ReasonWrongKind},
		{Name: "public, no credential", Target: "/open", Auth: []string{}, Want: public},
		{Name: "public, a bad credential", Target: "/open", Auth: []string{"Bearer {revoked}"}, Want: public},
		{Name: "public, two credentials", Target: "/open", Auth: []string{"Bearer {good}", "Bearer {good}"}, Header: true, Want: bad},
		{Name: "no such path", Target: "/nothing", Want: noPath},
		{Name: "no such path, unrecognized", Target: "/nothing", Auth: []string{"Bearer {unknown}"}, Want: unknown},
		{Name: "no such path, no credential", Target: "/nothing", Auth: []string{}, Want: postern.ReasonNoCredential},

		{Name: "method in lower case", Method: "get", Want: noMethod},
		{Name: "no such method", Method: "PATCH", Want: noMethod},
		{Name: "a made-up method", Method: "GETX", Want: noMethod},
		{Name: "HEAD follows GET", Method: "HEAD", Want: allowed},
		{Name: "TRACE", Method: "TRACE", Want: noMethod},
		{Name: "OPTIONS", Method: "OPTIONS", Want: noMethod},
		{Name: "method override is not heard", Headers: []string{"X-HTTP-Method-Override: POST"}, Header: true, Want: allowed},
		{Name: "method override gains nothing", Method: "POST", Headers: []string{"X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET"}, Header: true, Want: noScope},
		{Name: "preflight", Method: "OPTIONS", Auth: []string{}, Headers: []string{"Origin: https://a.example", "Access-Control-Request-Method: GET"}, Header: true, Want: public},
		{Name: "preflight of no such method", Method: "OPTIONS", Auth: []string{}, Headers: []string{"Origin: https://a.example", "Access-Control-Request-Method: PATCH"}, Header: true, Want: postern.ReasonNoCredential},

		{Name: "spoofed rewrite", Headers: []string{"X-Original-URL: /open", "X-Rewrite-URL: /open"}, Header: true, Want: allowed},
		{Name: "path with a trailing slash", Target: "/things/", Want: allowed},
		{Name: "path in upper case", Target: "/THINGS", Want: noPath},
		{Name: "a query", Target: "/things?a=1&a=2&b=%2F..%2F", Want: allowed},
		{Name: "escaped letters", Target: "/%74hings", Want: allowed, Forward: "/things"},
		{Name: "escaped space in a parameter", Target: "/things/a%20b", Want: allowed},
		{Name: "escaped question mark in a parameter", Target: "/things/a%3Fb", Want: allowed},
		{Name: "escaped number sign in a parameter", Target: "/things/a%23b", Want: allowed},
		{Name: "escaped percent sign in a parameter", Target: "/things/50%25", Want: allowed},
		{Name: "letters beyond ASCII", Target: "/things/%C3%A9", Want: allowed},
		{Name: "raw letters beyond ASCII", Target: "/things/é", Want: allowed, Forward: "/things/%C3%A9"},
		{Name: "at sign and colon", Target: "/things/a@b:c", Want: allowed},
		{Name: "plus", Target: "/things/a+b", Want: allowed, Forward: "/things/a%2Bb"},
		{Name: "number sign", Target: "/things#x", Want: bad},
		{Name: "absolute form", Target: "http://api.example/things", Header: true, Want: allowed, Forward: "/things"},

		{Name: "another mount", Target: "/lax/things", Want: allowed, Forward: "/things"},
		{Name: "mount only", Target: "/lax", Want: noPath},
		{Name: "mount by half a segment", Target: "/laxthings", Want: noPath},
		{Name: "semicolon where it may stand", Target: "/lax/things/a;v=1", Want: allowed, Forward: "/things/a;v=1"},
		{Name: "semicolon before dots, where it may stand", Target: "/lax/things/..;/things", Want: bad},
		{Name: "leading slashes where they collapse", Target: "//hs/things", Want: allowed, Forward: "/things"},
		{Name: "leading slashes, and others", Target: "//hs//things", Want: bad},
		{Name: "leading slashes elsewhere", Target: "//lax/things", Want: bad},
		{Name: "three leading slashes", Target: "///hs/things", Want: bad},
		{Name: "a host of its own", Host: "hosted.example", Want: allowed},
		{Name: "a host in upper case, with a port", Host: "HOSTED.example:80", Want: allowed},
		{Name: "no host of anyone", Host: "nobody.example", Want: allowed},
		{Name: "too long a target", Target: "/things?q=" + strings.Repeat("a", 9000), Want: bad, Status: 414},
		{Name: "as long a target where it may be", Target: "/hs/things?q=" + strings.Repeat("a", 16000), Want: allowed, Forward: "/things?q=" + strings.Repeat("a", 16000)},
		{Name: "too long a target there", Target: "/hs/things?q=" + strings.Repeat("a", 25000), Want: bad, Status: 414},
		{Name: "too long a path", Target: "/hs/things/" + strings.Repeat("a", 9000), Want: bad, Status: 414},
	}
	for name, target := range map[string]string{
		"escaped slash": "/things%2F1", "escaped slash, upper": "/things/1%2fparts/2", "escaped backslash": "/things/%5C..%5Copen",
		"backslash": `/things\..\open`, "dot segment": "/things/./1", "dot segments": "/things/../open",
		"dot segments at the end": "/open/..", "dot segments, escaped": "/things/%2e%2e/open", "dot segments, half escaped": "/things/.%2E/open",
		"dot segments, escaped twice": "/things/%252e%252e/open", "slash escaped twice": "/things/a%252Fb", "slash escaped thrice": "/things/a%25252Fb",
		"NUL": "/things/%00", "control": "/things/a%0Ab", "carriage return": "/things/a%0D%0AHost:%20x", "delete": "/things/%7F", "C1 control": "/things/%C2%85",
		"overlong slash": "/things/%C0%AF1", "overlong dot": "/things/%C0%AE%C0%AE/open", "not UTF-8": "/things/%FF", "half a character": "/things/%C3",
		"surrogate": "/things/%ED%A0%80", "semicolon": "/things;x=1", "semicolon escaped": "/things%3Bx", "semicolon and dots": "/things/..;/open",
		"empty segment": "/things//1", "leading slashes": "//things", "empty segment at the end": "/things/1//", "no slash": "things",
	} {
		list = append(list, Vector{Name: "path: " + name, Target: target, Want: bad, Server: name == "no slash"})
	}
	for name, target := range map[string]string{"bad escape": "/things/%", "half an escape": "/things/%2", "escape of no number": "/things/%zz"} {
		list = append(list, Vector{Name: "path: " + name, Target: target, Want: bad, Server: true})
	}
	for _, h := range []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9",
		"Postern-Account: acc_0000000000000002", "postern_account: acc_0000000000000002", "Postern-Scopes: things.write", "Postern-Jwt: x",
		"Connection: Postern-Account, Postern-Jwt", "Connection: close, Authorization", "X-Forwarded-Prefix: /x", "X_Forwarded_Host: evil.example"} {
		list = append(list, Vector{Name: "header: " + h, Headers: []string{h}, Header: true, Want: allowed})
	}
	return list
}
