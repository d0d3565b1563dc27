package activity

import (
	"net/netip"
	"strings"
	"time"

	"postern.dev/postern"
)

// record is a call on its way from the buffer to the database.
type record struct {
	at       postern.Micros
	activity postern.Activity
	network  string // of a stranger; empty for the others
	counts   bool   // towards the account's daily limit
}

func (r *record) stranger() bool { return r.activity.AccountID == "" }

// recordOf makes a record of what is in a slot: bounded, printable, without secrets.
func (l *Log) recordOf(b *buffer, s *slot, now postern.Micros) record {
	end := int(s.text) + int(s.method) + int(s.path) + int(s.agent) + int(s.request) + int(s.missing)
	text := string(b.text[s.text:end])
	take := func(n uint16) (t string) {
		t, text = text[:n], text[n:]
		return t
	}
	method, path, agent, request, missing := take(s.method), take(s.path), take(s.agent), take(s.request), take(s.missing)

	at := s.at
	// A time from a clock that went wrong would stay at the top of every list.
	if at <= 0 || at > now+5*60*1_000_000 {
		at = now
	}
	d := postern.Decision{Key: s.key}
	a := postern.Activity{At: at.Time(), KeyID: d.KeyID(), Kind: s.kind, Generation: int64(s.generation),
		Method: clean(l.cfg.Brand, method, rawMethod), Path: cleanPath(l.cfg.Brand, path, s.operation),
		Status: int(s.status), Allowed: s.allowed, Reason: s.reason, Door: clean(l.cfg.Brand, s.door, maxName),
		Duration: max(0, s.duration.Truncate(time.Microsecond)), BytesIn: max(0, s.bytesIn), BytesOut: max(0, s.bytesOut),
		UserAgent: clean(l.cfg.Brand, agent, maxAgent), RequestID: clean(l.cfg.Brand, request, maxRequest)}
	ip := s.ip.Unmap().WithZone("")
	if ip.IsValid() {
		a.IP = ip.String()
	}
	if s.operation != nil {
		a.Upstream = postern.UpstreamID(clean(l.cfg.Brand, string(s.operation.Upstream), maxName))
		a.Operation = clean(l.cfg.Brand, s.operation.Name, maxOperation)
	}
	for name := range strings.FieldsSeq(printable(missing)) {
		a.Missing = append(a.Missing, postern.Scope(name))
	}
	r := record{at: at, activity: a}
	// Only who presented a whole true secret acts in its account. A key ID alone
	// is public: whoever knows one must not be able to write into its history.
	if s.known && s.account != "" {
		r.activity.AccountID, r.activity.MemberID = s.account, s.member
		r.counts = Counts(s.reason)
	} else {
		r.network = network(ip)
	}
	return r
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
