package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/httpapi"
)

// member is a member of a JSON object, at any depth, as it is written.
type member struct {
	name  string
	value json.RawMessage
}

// members reads one JSON object with nothing but the standard library's decoder,
// in the order that it is written in; nil if it is none, or more follows.
func members(data []byte) (out []member) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	out = []member{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil
		}
		m := member{name: name}
		if err := dec.Decode(&m.value); err != nil {
			return nil
		}
		out = append(out, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil
	}
	return out
}

// What is taken is one value without ambiguity: valid UTF-8, no name twice in
// whatever case, and every other reader gets the same of it.
func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"name":"a","scopes":["deals.read"],"rateLimit":{"calls":1,"seconds":1}}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"s":1,"ſ":2}`,
		`{"k":1,"\u212a":2}`, `{"a":{"b":1,"B":2}}`, `[{"a":1},{"a":1}]`, `{} {}`, `{}x`, ` null `, `"\ud800"`, `{"a":"\ud83d\ude00"}`, `[[[[[[]]]]]]`, `{"sCopes":[]}`, `1e999`, `-0`, `{"":0}`,
		strings.Repeat("[", 33) + strings.Repeat("]", 33), "\xff", "{\"a\x00\":1}", `{"name":"a","expiresAt":null}`, `{"name":"a","notBefore":"2026-01-02T03:04:05Z"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := httpapi.CheckJSON(data)
		if err != nil {
			if e, ok := errors.AsType[*postern.Error](err); !ok || e.Code != postern.CodeInvalid || !utf8.ValidString(e.Field) || len(e.Field) > 100 {
				t.Errorf("CheckJSON(%q) = %#v", data, err)
			}
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) {
			t.Fatalf("%q is taken and is no JSON", data)
		}
		top := members(data)
		for i, m := range top {
			for _, n := range top[:i] {
				if strings.EqualFold(m.name, n.name) {
					t.Fatalf("%q names %q and %q", data, n.name, m.name)
				}
			}
			if bytes.HasPrefix(bytes.TrimSpace(m.value), []byte("{")) {
				inner := members(m.value)
				for j, x := range inner {
					if slices.ContainsFunc(inner[:j], func(y member) bool { return strings.EqualFold(x.name, y.name) }) {
						t.Fatalf("%q names %q twice inside", data, x.name)
					}
				}
			}
		}
		var in api.NewServiceKey
		if httpapi.Decode(data, &in) != nil {
			return
		}
		// Written and read again it is the same, and every member that was sent is a known one.
		again, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var same api.NewServiceKey
		if err := httpapi.Decode(again, &same); err != nil {
			t.Fatalf("%q is read as %s, which is refused: %v", data, again, err)
		}
		if twice, err := json.Marshal(same); err != nil || !bytes.Equal(again, twice) {
			t.Fatalf("%q is read as %s and that as %s, %v", data, again, twice, err)
		}
		known := []string{"name", "description", "teamid", "scopes", "networks", "notbefore", "expiresat", "ratelimit"}
		for _, m := range top {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, m.name) }) {
				t.Fatalf("%q has the unknown member %q and is taken", data, m.name)
			}
			if string(bytes.TrimSpace(m.value)) == "null" && m.name != "rateLimit" && slices.Contains([]string{"name", "description", "teamId", "scopes", "networks"}, m.name) {
				t.Fatalf("%q has null for %q and is taken", data, m.name)
			}
		}
	})
}

// question reads a question as the standard library would, by the same rules:
// one object of known members, each at most once and spelled as it is.
func question(data []byte) (q api.VerifyRequest, ok bool) {
	top := members(data)
	if top == nil || !utf8.Valid(data) || !json.Valid(data) {
		return q, false
	}
	texts := map[string]*string{"secret": &q.Secret, "method": &q.Method, "path": &q.Path, "host": &q.Host, "upstream": &q.Upstream, "remoteIp": &q.RemoteIP, "userAgent": &q.UserAgent}
	seen := map[string]bool{}
	for _, m := range top {
		to, known := texts[m.name]
		if !known && m.name != "scopes" || seen[m.name] {
			return q, false
		}
		seen[m.name] = true
		if string(m.value) == "null" {
			continue
		}
		if !known {
			var list []*string
			if json.Unmarshal(m.value, &list) != nil || m.value[0] != '[' || len(list) > 500 {
				return q, false
			}
			for _, s := range list {
				if s == nil {
					return q, false
				}
				q.Scopes = append(q.Scopes, *s)
			}
			continue
		}
		if m.value[0] != '"' || json.Unmarshal(m.value, to) != nil {
			return q, false
		}
	}
	return q, true
}

// The decoder of the hot path reads what the standard library reads, no more and no less.
func FuzzVerifyQuestion(f *testing.F) {
	for _, s := range []string{`{}`, `{"secret":"pst_sk_x","method":"GET","path":"/deals","host":"a","upstream":"api","scopes":["a","b"],"remoteIp":"::1","userAgent":"x"}`,
		`{"secret":"a","secret":"b"}`, `{"Secret":"a"}`, `{"secret":null}`, `{"scopes":null}`, `{"scopes":[]}`, `{"scopes":[null]}`, `{"scopes":[1]}`, `{"scopes":["a",]}`, `{"secret":1}`,
		`{"secret":"a",}`, `{,}`, `{"secret" : "a" } `, `{"secret":"a"}{}`, `[]`, `null`, ``, `{"\u0073ecret":"a"}`, `{"secret":"\ud83d\ude00"}`, `{"secret":"\ud83d"}`, `{"secret":"\ude00\ud83d"}`,
		`{"secret":"\ud83dx"}`, `{"secret":"\ud83d\u0041"}`, `{"path":"\/a\b\f\n\r\t\"\\"}`, "{\"secret\":\"a\nb\"}", "{\"secret\":\"\xff\"}", "{\"secret\":\"\\u12\"}", `{"secret":"\x"}`, `{"method":nul}`, `{"method":nullx}`, "\ufeff{}", `{"":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := httpapi.DecodeQuestion(data)
		want, ok := question(data)
		// The library writes a replacement character for half of a surrogate pair;
		// here that is refused.
		if ok && err != nil && bytes.Contains(bytes.ToLower(data), []byte(`\ud`)) {
			return
		}
		if ok != (err == nil) {
			t.Fatalf("%q: error %v, and the library says %v", data, err, ok)
		}
		if err != nil {
			if postern.CodeOf(err) != postern.CodeInvalid || strings.Contains(err.Error(), "\ufffd") {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if len(got.Scopes) == 0 {
			got.Scopes = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%q:\n%s", data, d)
		}
	})
}

// A cursor that was written is read as it was, and nothing else is taken.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "x", httpapi.WriteCursor("1", "a"), httpapi.WriteCursor("1"), httpapi.WriteCursor("", ""), httpapi.WriteCursor("1", "a") + "=", httpapi.WriteCursor("1", "a") + "\n", "AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := httpapi.ReadCursor(text)
		if err != nil || text == "" {
			if parts != nil {
				t.Errorf("ReadCursor(%q) = %q, %v", text, parts, err)
			}
			return
		}
		if again := httpapi.WriteCursor(parts...); again != text {
			t.Errorf("ReadCursor(%q) = %q, which is written %q", text, parts, again)
		}
	})
}
