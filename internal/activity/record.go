package activity

import (
	"net/netip"
	"strings"
	"time"

	"postern.dev/postern"
)

// record is a call on its way from the buffer to the database.
type record struct {
	at                postern.Micros
	facts             *facts
	duration          int64 // in microseconds
	bytesIn, bytesOut int64
	path, request     string
}

// recordOf makes a record of what is in a slot: bounded, printable, without
// secrets. text is all that the slot's buffer holds.
func (l *Log) recordOf(text string, s *slot, at postern.Micros) record {
	text = text[s.text:]
	take := func(n uint16) (t string) {
		t, text = text[:n], text[n:]
		return t
	}
	method, path, agent, request := take(s.method), take(s.path), take(s.agent), take(s.request)
	missing, used := take(s.missing), take(s.used)
	f := l.facts.of(l.cfg.Brand, s, method, agent, missing, used)
	return record{at: at, facts: f, duration: max(0, s.duration.Microseconds()),
		bytesIn: max(0, s.bytesIn), bytesOut: max(0, s.bytesOut),
		path: f.path(l.cfg.Brand, path, s.operation), request: clean(l.cfg.Brand, request, maxRequest)}
}

// activity is the record as it is shown, of texts of its own.
func (r *record) activity() postern.Activity {
	a := r.facts.activity()
	a.At, a.Duration, a.BytesIn, a.BytesOut = r.at.Time(), time.Duration(r.duration)*time.Microsecond, r.bytesIn, r.bytesOut
	a.Path, a.RequestID = strings.Clone(r.path), strings.Clone(r.request)
	return a
}

// Counts reports whether a call with this reason counts towards its account's
// daily limit: those that came as far as the limit and were let through it.
func Counts(r postern.Reason) bool {
	switch r {
	case postern.ReasonAllowed, postern.ReasonWrongKind, postern.ReasonUncovered, postern.ReasonInsufficientScope,
		postern.ReasonUnknownOperation, postern.ReasonMethodNotAllowed:
		return true
	}
	return false
}

// network is what an address is counted under where it is nobody's: its /24 or /48.
func network(ip netip.Addr) string {
	if !ip.IsValid() {
		return "unknown"
	}
	n := 24
	if ip.Is6() {
		n = 48
	}
	return netip.PrefixFrom(ip, n).Masked().String()
}

func splitScopes(s string) []postern.Scope {
	if s == "" {
		return nil
	}
	var out []postern.Scope
	for name := range strings.FieldsSeq(s) {
		out = append(out, postern.Scope(name))
	}
	return out
}
