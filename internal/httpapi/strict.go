package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"postern.dev/postern"
	"postern.dev/postern/api"
)

// Limits of request bodies (security.md section 9).
const (
	maxBody      = 1 << 20
	maxDocuments = 40 << 20 // for the one route that takes OpenAPI documents: 32 MB of text, escaped
	maxDepth     = 32
	maxMembers   = 1000 // of one object
	bodyTime     = 10 * time.Second
	documentTime = 2 * time.Minute
	pace         = 16 << 10 // bytes a second, at least
)

// readBody reads a JSON body as a whole and refuses what two readers could take
// for two different things.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !(kind == "application/merge-patch+json" && r.Method == http.MethodPatch) {
		return nil, postern.Errorf(postern.CodeUnsupportedMedia, "Send the body as JSON, with Content-Type: application/json.")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, postern.Errorf(postern.CodeUnsupportedMedia, "Send the body as it is, without a Content-Encoding.")
	}
	tooLarge := postern.Errorf(postern.CodeTooLarge, "The body has more than %d KiB, which is the most here.", limit>>10)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	conn := http.NewResponseController(w)
	data, err := io.ReadAll(http.MaxBytesReader(w, &paced{ReadCloser: r.Body, conn: conn, began: time.Now(), most: within}, limit))
	if err == nil {
		_ = conn.SetReadDeadline(time.Time{}) // one that runs out would end the request
	} // and without one, net/http would wait for the rest of a body before it answers
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return nil, &postern.Error{Code: postern.CodeTimeout, Message: "The body did not come in time. Send it again, without pauses.", Err: err}
	}
	if err != nil {
		return nil, &postern.Error{Code: postern.CodeInvalid, Message: "The body did not arrive whole.", Err: err}
	}
	return data, checkJSON(data)
}

// paced is a body that has to keep coming: it has bodyTime, and a second more for
// each pace bytes that are here, up to most. One that stops ends the request soon,
// however long a whole one may take.
type paced struct {
	io.ReadCloser
	conn  *http.ResponseController
	began time.Time
	most  time.Duration
	n     int64
	spent time.Duration // waiting for it: what we did with it in between isn't the sender's
}

// Read reads until the deadline that what came before has earned.
func (p *paced) Read(b []byte) (int, error) {
	now := time.Now()
	until := now.Add(bodyTime + time.Duration(p.n)*time.Second/pace - p.spent)
	if last := p.began.Add(p.most); until.After(last) {
		until = last
	}
	_ = p.conn.SetReadDeadline(until) // not every connection has deadlines
	n, err := p.ReadCloser.Read(b)
	p.n += int64(n)
	p.spent += time.Since(now)
	return n, err
}

// checkJSON refuses what is not one JSON value, names a member of an object
// twice (letters' case aside, as readers differ in that too), or is nested too deep.
func checkJSON(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return postern.Errorf(postern.CodeInvalid, "The body is empty; JSON is expected.")
	}
	if !utf8.Valid(data) {
		return postern.Errorf(postern.CodeInvalid, "The body is not UTF-8.")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, "", 0); err != nil {
		if e, ok := errors.AsType[*postern.Error](err); ok {
			return e
		}
		return postern.Errorf(postern.CodeInvalid, "The body is not well-formed JSON (at byte %d).", dec.InputOffset())
	}
	if _, err := dec.Token(); err != io.EOF {
		return postern.Errorf(postern.CodeInvalid, "The body holds more than one JSON value.")
	}
	return nil
}

func checkValue(dec *json.Decoder, at string, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth++; depth > maxDepth {
		return postern.Errorf(postern.CodeInvalid, "The body is nested more than %d deep.", maxDepth)
	}
	var seen map[string]bool
	if open == '{' {
		seen = map[string]bool{}
	}
	for dec.More() {
		in := at
		if seen != nil {
			k, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ := k.(string)
			in = fieldName(strings.TrimPrefix(at+"."+name, "."))
			same := fold(name)
			if seen[same] {
				return postern.Invalidf(in, "This field is there twice.")
			}
			if seen[same] = true; len(seen) > maxMembers {
				return postern.Errorf(postern.CodeInvalid, "An object has more than %d members.", maxMembers)
			}
		}
		if err := checkValue(dec, in, depth); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the closing bracket
	return err
}

// fold makes names equal that encoding/json takes for one: it also reads ſ as s and K as k.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case 'ſ':
			return 's'
		case '\u212a':
			return 'k'
		}
		return r
	}, strings.ToLower(name))
}

// decode reads a checked body into what a handler takes. huma first reads it
// into an any, for the schema.
func decode(data []byte, v any) error {
	if _, schema := v.(*any); schema {
		return json.Unmarshal(data, v)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && te.Field != "" {
			return postern.Invalidf(fieldName(te.Field), "This is not what is expected here.")
		}
		return postern.Errorf(postern.CodeInvalid, "This is not what is expected here.")
	}
	return refuseEmpty(data, v)
}

// earliest is the first time that a member can have: before it is Go's zero time,
// which stands for one that was left out.
var earliest = time.Unix(0, 0)

// refuseEmpty refuses what Go would read as left out and isn't: null for a member
// that can't be none, and the year 1 for a time.
func refuseEmpty(data []byte, v any) error {
	t := reflect.TypeOf(v).Elem()
	if t.Kind() == reflect.Pointer { // a body that may be left out
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return postern.Errorf(postern.CodeInvalid, "A JSON object is expected.")
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		raw, ok := members[name]
		if !ok {
			continue
		}
		if !bytes.Equal(raw, []byte("null")) {
			if at, ok := timeOf(f.Type, raw); ok && at.Before(earliest) {
				return postern.Invalidf(name, "This time is before 1970; leave it out for none.")
			}
			continue
		}
		if _, optional := reflect.PointerTo(f.Type).MethodByName("Null"); !optional {
			return postern.Invalidf(name, "This can't be null; leave it out.")
		}
	}
	return nil
}

// timeOf is the time that a member was given, if it is one for a time.
func timeOf(t reflect.Type, raw json.RawMessage) (at time.Time, ok bool) {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[api.Optional[time.Time]]():
		return at, json.Unmarshal(raw, &at) == nil
	}
	return at, false
}
