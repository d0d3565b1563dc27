package door

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"postern.dev/postern"
)

// Limits says in the headers of an answer what the limits of the caller are and
// what is left of them: RateLimit and RateLimit-Policy (the IETF's draft), and
// HubSpot's own where the upstream's dialect is that. Only a caller who was
// recognized has any.
func (d *Door) Limits(h http.Header, c *Call) {
	dec := &c.Decision
	l := &dec.Limit
	if !dec.Known || l.BurstLimit == 0 && l.DailyLimit == 0 {
		return
	}
	h["Ratelimit-Policy"] = d.policies.of(l)
	var room [96]byte
	b := room[:0]
	if l.BurstLimit != 0 {
		b = append(b, `"burst";r=`...)
		b = strconv.AppendUint(b, uint64(l.BurstLeft), 10)
		b = append(b, ";t="...)
		b = strconv.AppendUint(b, uint64(l.BurstReset), 10)
	}
	if l.DailyLimit != 0 {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `"daily";r=`...)
		b = strconv.AppendInt(b, l.DailyLeft, 10)
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, l.DailyReset, 10)
	}
	h["Ratelimit"] = []string{string(b)}
	if c.hubspot() {
		d.hubSpotLimits(h, dec)
	}
}

// LimitHeaders are the headers that Limits sets, so that an upstream's can be taken off.
var LimitHeaders = []string{"Ratelimit", "Ratelimit-Policy"}

func (d *Door) hubSpotLimits(h http.Header, dec *postern.Decision) {
	l := &dec.Limit
	set := func(name string, n int64) { h[name] = []string{strconv.FormatInt(n, 10)} }
	if l.BurstLimit != 0 {
		set("X-Hubspot-Ratelimit-Interval-Milliseconds", int64(l.BurstSecs)*1000)
		set("X-Hubspot-Ratelimit-Max", int64(l.BurstLimit))
		set("X-Hubspot-Ratelimit-Remaining", int64(l.BurstLeft))
	}
	// The daily limit is not about what an app does for many accounts.
	if l.DailyLimit != 0 && dec.Kind != postern.KindOAuthAccess {
		set("X-Hubspot-Ratelimit-Daily", l.DailyLimit)
		set("X-Hubspot-Ratelimit-Daily-Remaining", l.DailyLeft)
	}
}

// policies keeps the text of each policy, of which there are few.
type policies struct {
	n    atomic.Int64
	text sync.Map // policy → []string
}

type policy struct {
	burst, secs uint32
	daily       int64
}

// maxPolicies bounds what is kept; the others are written anew each time.
const maxPolicies = 4096

func (p *policies) of(l *postern.LimitState) []string {
	k := policy{l.BurstLimit, l.BurstSecs, l.DailyLimit}
	if t, ok := p.text.Load(k); ok {
		return t.([]string)
	}
	t := []string{k.String()}
	if p.n.Load() < maxPolicies {
		if _, had := p.text.LoadOrStore(k, t); !had {
			p.n.Add(1)
		}
	}
	return t
}

// String is the value of RateLimit-Policy.
func (p policy) String() string {
	var b []byte
	if p.burst != 0 {
		b = append(b, `"burst";q=`...)
		b = strconv.AppendUint(b, uint64(p.burst), 10)
		b = append(b, ";w="...)
		b = strconv.AppendUint(b, uint64(p.secs), 10)
	}
	if p.daily != 0 {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `"daily";q=`...)
		b = strconv.AppendInt(b, p.daily, 10)
		b = append(b, ";w=86400"...)
	}
	return string(b)
}
