package postern

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// UndoFor is how long a narrowing can be taken back as it was.
const UndoFor = 10 * time.Minute

// Watch is a narrowing that is tried before it counts: what it would refuse is
// allowed and recorded as such. A nil list leaves things as they are.
type Watch struct {
	Scopes   *[]Scope
	Networks *[]netip.Prefix
	Since    time.Time
	By       MemberID
}

// Undo is what a key was before its latest narrowing, as long as that can be
// taken back: by whoever made it, or by someone who could widen the key that far.
// Any other change of the key ends it.
type Undo struct {
	Until     time.Time
	By        MemberID
	Revision  int64 // that the narrowing left the row at
	Scopes    []Scope
	Networks  []netip.Prefix
	ExpiresAt time.Time
	PausedAt  time.Time
	FlaggedAt time.Time // since when it waited for a review
	// FlaggedWhy is what for.
	FlaggedWhy string
	Watch      *Watch
}

// Open reports whether a narrowing can still be taken back from a row of a revision.
func (u *Undo) Open(revision int64, now time.Time) bool {
	return u != nil && u.Revision == revision && now.Before(u.Until)
}

// sealer writes what a MAC is made of: each part with its length before it.
type sealer []byte

func (b *sealer) str(s string) {
	*b = binary.BigEndian.AppendUint32(*b, uint32(len(s)))
	*b = append(*b, s...)
}

func (b *sealer) num(n int64) { *b = binary.BigEndian.AppendUint64(*b, uint64(n)) }

func (b *sealer) at(t time.Time) { b.num(int64(ToMicros(t))) }

func (b *sealer) yes(v bool) {
	n := int64(0)
	if v {
		n = 1
	}
	b.num(n)
}

func (b *sealer) scopes(list []Scope) {
	b.num(int64(len(list)))
	for _, s := range list {
		b.str(string(s))
	}
}

func (b *sealer) networks(list []netip.Prefix) {
	b.num(int64(len(list)))
	for _, n := range list {
		b.str(n.String())
	}
}

// watch adds a watch; a row without one adds nothing.
func (b *sealer) watch(w *Watch) {
	if w == nil {
		return
	}
	b.str("watch")
	b.yes(w.Scopes != nil)
	if w.Scopes != nil {
		b.scopes(*w.Scopes)
	}
	b.yes(w.Networks != nil)
	if w.Networks != nil {
		b.networks(*w.Networks)
	}
	b.at(w.Since)
	b.str(string(w.By))
}

func (b *sealer) undo(u *Undo) {
	if u == nil {
		return
	}
	b.str("undo")
	b.at(u.Until)
	b.str(string(u.By))
	b.num(u.Revision)
	b.scopes(u.Scopes)
	b.networks(u.Networks)
	b.at(u.ExpiresAt)
	b.at(u.PausedAt)
	b.at(u.FlaggedAt)
	b.str(u.FlaggedWhy)
	b.watch(u.Watch)
}

// SameWatch reports whether two watches try the same.
func SameWatch(a, b *Watch) bool {
	if a == nil || b == nil {
		return a == b
	}
	same := func(x, y bool) bool { return x == y }
	return same(a.Scopes == nil, b.Scopes == nil) && same(a.Networks == nil, b.Networks == nil) &&
		(a.Scopes == nil || slices.Equal(*a.Scopes, *b.Scopes)) && (a.Networks == nil || slices.Equal(*a.Networks, *b.Networks)) &&
		a.Since.Equal(b.Since) && a.By == b.By
}
