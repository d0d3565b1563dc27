package auditlog

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// text is the canonical form of an entry: JSON with members in this order, kept
// as text and hashed as it is kept.
type text struct {
	Seq     int64             `json:"seq"`
	At      string            `json:"at"`
	Account postern.AccountID `json:"account"`
	Actor   textActor         `json:"actor"`
	Action  string            `json:"action"`
	Object  string            `json:"object"`
	Name    string            `json:"name,omitempty"`
	Result  string            `json:"result"`
	Reason  string            `json:"reason,omitempty"`
	Before  map[string]any    `json:"before,omitempty"`
	After   map[string]any    `json:"after,omitempty"`
}

type textActor struct {
	Account   postern.AccountID `json:"account,omitempty"`
	Member    postern.MemberID  `json:"member,omitempty"`
	Key       postern.KeyID     `json:"key,omitempty"`
	System    string            `json:"system,omitempty"`
	IP        string            `json:"ip,omitempty"`
	UserAgent string            `json:"userAgent,omitempty"`
	Request   string            `json:"request,omitempty"`
}

// Encode gives the text of an entry.
func Encode(e *postern.AuditEntry) string {
	a := e.Actor
	b, err := json.Marshal(text{e.Seq, timeText(postern.ToMicros(e.At)), e.AccountID,
		textActor{a.AccountID, a.MemberID, a.KeyID, a.System, a.IP, a.UserAgent, a.RequestID},
		e.Action, e.Object, e.Name, e.Result, e.Reason, e.Before, e.After})
	if err != nil {
		panic(err) // only for what can't be JSON, which is a mistake of ours
	}
	return string(b)
}

// Decode reads the text of an entry.
func Decode(s string) (e postern.AuditEntry, err error) {
	var b text
	if err := json.Unmarshal([]byte(s), &b); err != nil {
		return e, err
	}
	at, err := time.Parse(time.RFC3339Nano, b.At)
	a := b.Actor
	return postern.AuditEntry{Seq: b.Seq, At: at, AccountID: b.Account,
		Actor:  postern.Actor{AccountID: a.Account, MemberID: a.Member, KeyID: a.Key, System: a.System, IP: a.IP, UserAgent: a.UserAgent, RequestID: a.Request},
		Action: b.Action, Object: b.Object, Name: b.Name, Result: b.Result, Reason: b.Reason, Before: b.Before, After: b.After}, err
}

func timeText(at postern.Micros) string { return at.Time().UTC().Format(time.RFC3339Nano) }

// Row is an entry as it is stored: its text, and what of it stands in columns so
// that it can be searched for.
type Row struct {
	Seq     int64  `json:"seq"`
	At      int64  `json:"at"` // microseconds since 1970; 0 is no time
	Account string `json:"account"`
	Actor   string `json:"actor"`
	Action  string `json:"action"`
	Object  string `json:"object"`
	Result  string `json:"result"`
	Text    string `json:"text"`
}

// RowOf gives the columns that go with a text, and reports false of a text that
// Encode doesn't write: all members once, in their order, and nothing else, so that
// whoever reads the text as JSON reads the same.
func RowOf(s string) (Row, bool) {
	c := cursor{rest: s}
	var r Row
	r.Text = s
	c.want(`{"seq":`)
	r.Seq = c.number()
	c.want(`,"at":`)
	at := c.str()
	c.want(`,"account":`)
	r.Account = c.str()
	r.Actor = c.actor()
	c.want(`,"action":`)
	r.Action = c.str()
	c.want(`,"object":`)
	r.Object = c.str()
	if c.may(`,"name":`) {
		c.str()
	}
	c.want(`,"result":`)
	r.Result = c.str()
	if c.may(`,"reason":`) {
		c.str()
	}
	for _, facts := range []string{`,"before":`, `,"after":`} {
		if c.may(facts) {
			c.object()
		}
	}
	if c.bad || c.rest != "}" || !json.Valid([]byte(s)) {
		return r, false
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return r, false
	}
	micros := postern.ToMicros(t)
	r.At = int64(micros)
	return r, timeText(micros) == at
}

// cursor reads the members of a text, which stand in a fixed order. That is many
// times faster than decoding it, and a million entries are read at once.
type cursor struct {
	rest string
	bad  bool
}

func (c *cursor) may(literal string) bool {
	rest, ok := strings.CutPrefix(c.rest, literal)
	if ok && !c.bad {
		c.rest = rest
		return true
	}
	return false
}

func (c *cursor) want(literal string) {
	if !c.may(literal) {
		c.bad = true
	}
}

func (c *cursor) number() int64 {
	end := strings.IndexFunc(c.rest, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 || c.bad {
		c.bad = true
		return 0
	}
	n, err := strconv.ParseInt(c.rest[:end], 10, 64)
	c.bad = err != nil || n < 1 || c.rest[0] == '0'
	c.rest = c.rest[end:]
	return n
}

// str reads a JSON string.
func (c *cursor) str() (out string) {
	if c.bad || len(c.rest) < 2 || c.rest[0] != '"' {
		c.bad = true
		return ""
	}
	escaped := false
	for i := 1; i < len(c.rest); i++ {
		switch c.rest[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			if out = c.rest[1:i]; escaped {
				c.bad = json.Unmarshal([]byte(c.rest[:i+1]), &out) != nil
			}
			c.rest = c.rest[i+1:]
			return out
		}
	}
	c.bad = true
	return ""
}

// object goes past a JSON object, of which only the ends are looked at.
func (c *cursor) object() {
	depth, quoted := 0, false
	for i := 0; i < len(c.rest) && !c.bad; i++ {
		switch b := c.rest[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{':
			depth++
		case b == '}':
			if depth--; depth == 0 {
				c.rest = c.rest[i+1:]
				return
			}
		}
		if i == 0 && depth == 0 {
			break // it doesn't begin with one
		}
	}
	c.bad = true
}

// actor reads who acted, and gives what stands in the column of it.
func (c *cursor) actor() string {
	c.want(`,"actor":{`)
	first := true
	member := func(name string) (value string) {
		sep := `,"`
		if first {
			sep = `"`
		}
		if c.may(sep + name + `":`) {
			first = false
			value = c.str()
		}
		return value
	}
	member("account")
	who := member("member")
	for _, name := range []string{"key", "system"} {
		if v := member(name); who == "" {
			who = v
		}
	}
	for _, name := range []string{"ip", "userAgent", "request"} {
		member(name)
	}
	c.want("}")
	return who
}
