package activity

import (
	"time"

	"postern.dev/postern"
)

// Seen is what calls of one shape come to in a batch that this process wrote: of
// one secret, from one address and program, with one answer.
type Seen struct {
	Account     postern.AccountID
	Key         postern.KeyID
	Kind        postern.Kind
	Generation  int64
	Allowed     bool
	Reason      postern.Reason
	IP          string
	UserAgent   string
	Upstream    postern.UpstreamID
	Operation   string
	Method      string
	First, Last time.Time
	Calls       int64
}

// tellSeen tells whoever asked to know of what a batch held, now that it is written.
func (l *Log) tellSeen(s *sums) {
	if l.cfg.Seen == nil {
		return
	}
	out := make([]Seen, 0, len(s.cells))
	for _, c := range s.cells {
		if f := c.facts; !f.stranger() && f.key != "" {
			out = append(out, Seen{Account: f.account, Key: f.key, Kind: f.kind, Generation: f.generation, Allowed: f.allowed, Reason: f.reason,
				IP: f.ip, UserAgent: f.agent, Upstream: f.upstream, Operation: f.operation, Method: f.method,
				First: c.first.Time(), Last: c.last.Time(), Calls: c.calls})
		}
	}
	if len(out) > 0 {
		l.cfg.Seen(out)
	}
}
