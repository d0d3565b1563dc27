package workbench

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"postern.dev/postern/internal/activity"
)

// handOver is for how long after its first call with the new credential a caller may
// go on with the old one, as its processes restart one after the other.
const handOver = time.Hour

// who tells callers apart: an address and a program, whatever its version. Callers
// whose program has the same name at the same address are one.
type who struct{ ip, program string }

func whoOf(c *activity.Caller) who { return who{c.IP, program(c.UserAgent)} }

// program is a user agent without its versions, which change when a tool is updated.
func program(agent string) string {
	var out strings.Builder
	for word := range strings.FieldsSeq(strings.ToLower(agent)) {
		name, version, cut := strings.Cut(word, "/")
		if !cut || !strings.ContainsAny(version, "0123456789") {
			name = word
		}
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(name)
	}
	return out.String()
}

// moves puts the callers of the old and of the new credential together: pure.
//
// Two programs at one address are two callers. One that fell silent as a program
// that nobody knew began with the new credential at its address may be that program
// under another name, or it may be gone: that is said, and not guessed. So it is
// of one that went on with the old credential for longer than its processes take to
// restart, until it was silent for as long as the gate asks: a second tool of the
// same name looks the same.
func moves(old, fresh []activity.Caller, quiet time.Duration, now time.Time) (out []Move) {
	at := map[who]int{}
	get := func(c *activity.Caller) *Move {
		k := whoOf(c)
		if _, ok := at[k]; !ok {
			at[k] = len(out)
			out = append(out, Move{IP: c.IP, UserAgent: c.UserAgent})
		}
		m := &out[at[k]]
		if c.LastAt.After(later(m.OldLast, m.NewLast)) {
			m.UserAgent = c.UserAgent // its latest version
		}
		return m
	}
	for i := range fresh {
		c := &fresh[i]
		if c.Calls == c.Refused {
			continue // what is refused has not moved
		}
		m := get(c)
		m.NewCalls, m.NewLast, m.newFirst = m.NewCalls+c.Calls, later(m.NewLast, c.LastAt), earlier(m.newFirst, c.FirstAt)
	}
	for i := range old {
		c := &old[i]
		m := get(c)
		m.OldCalls, m.Refused, m.OldLast = m.OldCalls+c.Calls, m.Refused+c.Refused, later(m.OldLast, c.LastAt)
	}
	newcomers := map[string]time.Time{} // when a program that never had the old one was first seen at an address
	for i := range out {
		if m := &out[i]; m.OldLast.IsZero() && m.IP != "" {
			newcomers[m.IP] = earlier(newcomers[m.IP], m.newFirst)
		}
	}
	for i := range out {
		out[i].State = out[i].progress(newcomers[out[i].IP], quiet, now)
	}
	rank := map[Progress]int{OnOld: 0, OnBoth: 1, Unsure: 2, Quiet: 3, Moved: 4}
	slices.SortFunc(out, func(a, b Move) int {
		return cmp.Or(cmp.Compare(rank[a.State], rank[b.State]), cmp.Compare(b.OldCalls+b.NewCalls, a.OldCalls+a.NewCalls),
			cmp.Compare(a.IP, b.IP), cmp.Compare(a.UserAgent, b.UserAgent))
	})
	return out
}

// progress is how far a caller has come; newcomer is when a program that never had the
// old credential was first seen with the new one at its address, zero for never.
func (m *Move) progress(newcomer time.Time, quiet time.Duration, now time.Time) Progress {
	silent := now.Sub(m.OldLast)
	switch {
	case m.OldLast.IsZero():
		return Moved
	case m.IP == "":
		// Many callers that nobody tells apart: none of them says anything of the others.
		if silent >= quiet {
			return Quiet
		}
		return OnOld
	case !m.newFirst.IsZero() && m.OldLast.After(m.newFirst) && silent < aDay:
		return OnBoth
	case !m.newFirst.IsZero() && m.OldLast.Sub(m.newFirst) > handOver && silent < quiet:
		return Unsure
	case !m.newFirst.IsZero():
		return Moved
	case !newcomer.IsZero() && m.OldLast.Before(newcomer):
		return Unsure
	case silent >= quiet:
		return Quiet
	}
	return OnOld
}
