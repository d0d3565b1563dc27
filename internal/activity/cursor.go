package activity

import (
	"math"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// Cursor is a place in a list of calls: that of one call. The zero Cursor is the
// newest end.
type Cursor struct {
	At  postern.Micros
	Seq int64
}

// Zero reports whether c is no place: the newest end where a list starts, and
// nothing more where it ends.
func (c Cursor) Zero() bool { return c == Cursor{} }

// String is the cursor as text for a URL, empty for the zero Cursor.
func (c Cursor) String() string {
	if c.Zero() {
		return ""
	}
	return strconv.FormatInt(int64(c.At), 36) + "-" + strconv.FormatInt(c.Seq, 36)
}

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	at, seq, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseInt(at, 36, 64)
	b, err2 := strconv.ParseInt(seq, 36, 64)
	c := Cursor{postern.Micros(a), b}
	// One text for one place, and no signs, blanks or capitals.
	if err1 != nil || err2 != nil || a < 0 || b < 0 || c.String() != s {
		return Cursor{}, &postern.Error{Code: postern.CodeInvalid, Field: "cursor",
			Message: "This is not a cursor. Use the one that the page before gave, or none to begin."}
	}
	return c, nil
}

// newest is a place after every call.
var newest = Cursor{math.MaxInt64, math.MaxInt64}

func (c Cursor) before(d Cursor) bool { return c.At < d.At || c.At == d.At && c.Seq < d.Seq }

func hourOf(t time.Time) int64 {
	at := postern.ToMicros(t)
	return int64(at - at%hour)
}

// micros is a time as a bound: a zero one is the beginning.
func micros(t time.Time) int64 { return max(0, int64(postern.ToMicros(t))) }

// microsEnd is a time as an end: a zero one is the end of time.
func microsEnd(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return micros(t)
}
