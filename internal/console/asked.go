package console

import (
	"net/url"
	"strings"
	"time"
)

// asked is what an address asks of a list: its filters.
type asked struct {
	F      *form // as it was typed, with what is wrong with it
	Secret bool  // something that looked like a secret was left out
	values url.Values
}

// asked reads the filters of these names. What looks like a secret of ours is left
// out, what is overlong is cut.
func (v *visit) asked(names ...string) asked {
	f := asked{F: &form{Values: url.Values{}}, values: url.Values{}}
	for _, name := range names {
		text := v.query(name)
		if hasOurs(text) {
			f.Secret = true
			continue
		}
		if len(text) > 300 {
			text = strings.ToValidUTF8(text[:300], "")
		}
		if text != "" {
			f.F.Values.Set(name, text)
			f.values.Set(name, text)
		}
	}
	return f
}

// drop says beside a field what is wrong with it; it narrows nothing.
func (f *asked) drop(field, format string, args ...any) {
	f.F.Wrong(field, format, args...)
	f.values.Del(field)
}

// timeOf reads a time; without a zone it is the reader's. Zero: there is none, or it is wrong.
func (f *asked) timeOf(v *visit, name string) time.Time {
	text := f.F.Get(name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, v.zone); err == nil && t.Year() > 2000 && t.Year() < 3000 {
			f.values.Set(name, t.UTC().Format(time.RFC3339))
			return t
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && t.Year() > 2000 && t.Year() < 3000 {
		f.F.Values.Set(name, t.In(v.zone).Format("2006-01-02T15:04"))
		return t
	}
	f.drop(name, "Write the time as 2026-11-22T09:30.")
	return time.Time{}
}

// with is an address with the filters, some of them changed; its cursor is dropped.
func (f asked) with(path string, pairs ...string) string {
	q := url.Values{}
	for name, values := range f.values {
		q[name] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Del(pairs[i])
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
