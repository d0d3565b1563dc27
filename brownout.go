package postern

import (
	"slices"
	"time"
)

// Window is a stretch of time: from a moment until just before another.
type Window struct{ From, Until time.Time }

// MaxBrownouts is the most windows that a credential has at once; MaxBrownout the longest of one.
const (
	MaxBrownouts = 64
	MaxBrownout  = 24 * time.Hour
)

// Span is a Window as an index keeps it.
type Span struct{ From, Until Micros }

// SpansOf gives windows in the order of their starts.
func SpansOf(list []Window) []Span {
	out := make([]Span, 0, len(list))
	for _, w := range list {
		if w.From.Before(w.Until) {
			out = append(out, Span{ToMicros(w.From), ToMicros(w.Until)})
		}
	}
	slices.SortFunc(out, func(a, b Span) int { return int(max(-1, min(1, a.From-b.From))) })
	return out
}

// Brownout tells whether a moment is within one of some spans, and when that ends: a
// credential that is being taken out of service is refused in them, for a short while,
// so that whoever still uses it finds out while it can still be undone.
func Brownout(spans []Span, now Micros) (until Micros, within bool) {
	for _, s := range spans {
		if s.From <= now && now < s.Until {
			until, within = max(until, s.Until), true
		}
	}
	return until, within
}

// windows adds windows; a row without any adds nothing.
func (b *sealer) windows(list []Window) {
	if len(list) == 0 {
		return
	}
	b.str("brownouts")
	b.num(int64(len(list)))
	for _, w := range list {
		b.at(w.From)
		b.at(w.Until)
	}
}
