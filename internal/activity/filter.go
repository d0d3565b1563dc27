package activity

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// Filter says which calls of an account are asked for. Account is needed; of the
// others, what is zero asks for nothing.
type Filter struct {
	Account     postern.AccountID
	Key         postern.KeyID
	Generation  int64
	Upstream    postern.UpstreamID
	Operation   string
	Method      string
	Status      int // exactly
	StatusClass int // 4 for 400 to 499
	Reason      postern.Reason
	Allowed     *bool
	Would       bool // only allowed calls that a narrowing which was being tried would have refused
	Door        string
	NotDoor     string // what came in elsewhere
	IP          string // as activity shows it
	UserAgent   string // a part of it, whatever the case
	PathPrefix  string
	RequestID   string
	Scope       postern.Scope // that let the call through, or that it lacked
	Since       time.Time     // and later
	Until       time.Time     // and before
}

// where is a growing condition with its arguments.
type where struct {
	text strings.Builder
	args []any
}

// and adds a condition; each ? in it stands for the next of args.
func (w *where) and(cond string, args ...any) {
	if w.text.Len() > 0 {
		w.text.WriteString(" and ")
	}
	for _, a := range args {
		before, after, _ := strings.Cut(cond, "?")
		w.args = append(w.args, a)
		w.text.WriteString(before)
		w.text.WriteByte('$')
		w.text.WriteString(strconv.Itoa(len(w.args)))
		cond = after
	}
	w.text.WriteString(cond)
}

// test is a filter made ready to be asked about many calls.
type test struct {
	*Filter
	agent, path string
	request     requestTest
}

// requestTest tells whether a call has a request ID, without making a text of each.
type requestTest struct {
	text string
	id   [16]byte
	uuid bool
}

// bytes are what a block has of the request ID.
func (r *requestTest) bytes() []byte {
	if r.uuid {
		return r.id[:]
	}
	return []byte(r.text)
}

func (r *requestTest) is(c *call) bool {
	if c.uuid != r.uuid {
		return false
	}
	return string(c.request) == string(r.bytes())
}

func (f *Filter) test() *test {
	t := &test{Filter: f, agent: strings.ToLower(printable(f.UserAgent)), path: printable(f.PathPrefix)}
	t.request.text = f.RequestID
	t.request.id, t.request.uuid = parseUUID(f.RequestID)
	return t
}

// shape reports whether calls of a shape pass, if their path does.
func (t *test) shape(f *shape) bool {
	switch {
	case t.Key != "" && f.key != t.Key,
		t.Generation != 0 && f.generation != t.Generation,
		t.Upstream != "" && f.upstream != t.Upstream,
		t.Operation != "" && f.operation != t.Operation,
		t.Method != "" && f.method != t.Method,
		t.Status != 0 && f.status != t.Status,
		t.StatusClass != 0 && f.status/100 != t.StatusClass,
		t.Reason != postern.ReasonNone && f.reason != t.Reason,
		t.Allowed != nil && f.allowed != *t.Allowed,
		t.Would && f.would == postern.ReasonNone,
		t.Door != "" && f.door != t.Door,
		t.NotDoor != "" && f.door == t.NotDoor,
		t.IP != "" && f.ip != t.IP,
		t.Scope != "" && !names(f.scopes(), string(t.Scope)),
		t.agent != "" && !strings.Contains(strings.ToLower(f.agent), t.agent):
		return false
	}
	return true
}

// names reports whether a list of scopes, with blanks between, has one.
func names(list, scope string) bool {
	for name := range strings.FieldsSeq(list) {
		if name == scope {
			return true
		}
	}
	return false
}

// pass calls fn with the calls of a block that pass. Where no shape of the block
// does, or no text of it starts like the path, the calls are not looked at.
func (t *test) pass(u *unpacked, fn func(c *call)) error {
	shapes := make([]bool, len(u.shapes))
	some := false
	for i := range shapes {
		shapes[i] = t.shape(&u.shapes[i].shape)
		some = some || shapes[i]
	}
	if !some || t.path != "" && !slices.ContainsFunc(u.texts, func(s string) bool { return strings.HasPrefix(s, t.path) }) {
		return nil
	}
	// One look at all request IDs tells of most blocks that it isn't in them.
	if t.RequestID != "" && !bytes.Contains(u.sec[secRequests].b, t.request.bytes()) {
		return nil
	}
	return u.each(func(c *call) {
		if shapes[c.shape] && strings.HasPrefix(c.path, t.path) && (t.RequestID == "" || t.request.is(c)) {
			fn(c)
		}
	})
}
