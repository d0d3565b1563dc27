package accesslog

import (
	"strconv"
	"time"
)

// clock reads the times of one log. Neighbouring lines are of the same second or
// minute, so what was read last is tried first. It isn't safe for concurrent use.
type clock struct {
	text [40]byte
	n    int
	at   time.Time
}

// The years that a log can be of. What is outside them is a unit mistaken or a clock never set.
var (
	earliest = time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// read reads a time in whatever way logs write it.
func (k *clock) read(v []byte) (time.Time, bool) {
	if len(v) > 0 && len(v) <= len(k.text) && len(v) == k.n && string(v) == string(k.text[:k.n]) {
		return k.at, true
	}
	at, ok := readTime(v)
	if !ok || at.Before(earliest) || !at.Before(latest) {
		return time.Time{}, false
	}
	if len(v) <= len(k.text) {
		k.n, k.at = copy(k.text[:], v), at
	}
	return at, true
}

// layouts are the ways of writing a time that are left once numbers and the two frequent forms are ruled out.
var layouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999 -0700",
	"2006-01-02 15:04:05.999999999 MST",
	"2006-01-02 15:04:05.999999999",
	"02/Jan/2006:15:04:05.999999999 -0700",
	"02/Jan/2006:15:04:05.999999999",
	"2006/01/02 15:04:05",
	"2006-01-02 15:04",
	time.RFC1123Z,
	time.RFC1123,
	"Jan 2, 2006 3:04:05 PM",
	"Jan 2, 2006, 3:04:05 PM",
	"01/02/2006 15:04:05",
	"01/02/2006 3:04:05 PM",
}

func readTime(v []byte) (time.Time, bool) {
	if len(v) < 8 || len(v) > 40 {
		return time.Time{}, false
	}
	if at, ok := commonTime(v); ok {
		return at, true
	}
	if at, ok := epoch(v); ok {
		return at, true
	}
	text := string(v)
	for _, l := range layouts {
		if at, err := time.Parse(l, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// commonTime reads 02/Jan/2006:15:04:05 -0700 without the layouts' cost.
func commonTime(v []byte) (time.Time, bool) {
	if len(v) != 26 || v[2] != '/' || v[6] != '/' || v[11] != ':' || v[14] != ':' || v[17] != ':' || v[20] != ' ' {
		return time.Time{}, false
	}
	day, ok1 := number(v[0:2])
	month := monthOf(v[3], v[4], v[5])
	year, ok2 := number(v[7:11])
	hour, ok3 := number(v[12:14])
	minute, ok4 := number(v[15:17])
	second, ok5 := number(v[18:20])
	zh, ok6 := number(v[22:24])
	zm, ok7 := number(v[24:26])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || month == 0 || day == 0 || day > 31 || hour > 23 || minute > 59 || second > 60 || zh > 15 || zm > 59 {
		return time.Time{}, false
	}
	offset := time.Duration(zh)*time.Hour + time.Duration(zm)*time.Minute
	switch v[21] {
	case '-':
		offset = -offset
	case '+':
	default:
		return time.Time{}, false
	}
	at := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	if at.Day() != day {
		return time.Time{}, false // the 31st of a month that hasn't one
	}
	return at.Add(-offset), true
}

func monthOf(a, b, c byte) time.Month {
	for m := time.January; m <= time.December; m++ {
		n := m.String()
		if n[0] == a && n[1] == b && n[2] == c {
			return m
		}
	}
	return 0
}

func number(v []byte) (int, bool) {
	n := 0
	for _, b := range v {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return n, true
}

// epoch reads seconds since 1970 with or without a fraction, or milli-, micro- or nanoseconds, told by their size.
func epoch(v []byte) (time.Time, bool) {
	whole := 0
	for whole < len(v) && v[whole] >= '0' && v[whole] <= '9' {
		whole++
	}
	if whole < 9 || whole > 19 || whole < len(v) && v[whole] != '.' {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(string(v[:whole]), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	var micros int64
	if whole < len(v) {
		f, err := strconv.ParseFloat("0"+string(v[whole:]), 64)
		if err != nil {
			return time.Time{}, false
		}
		micros = int64(f * 1e6)
	}
	switch {
	case whole <= 10:
		return time.Unix(n, micros*1000).UTC(), true
	case whole <= 13:
		return time.UnixMilli(n).UTC(), true
	case whole <= 16:
		return time.UnixMicro(n).UTC(), true
	}
	return time.Unix(0, n).UTC(), true
}
