package console

import (
	"slices"
	"strconv"
	"time"

	"postern.dev/postern"
)

// lifeOf is what an account's security policy says of the end of a new key, in a
// reader's days.
type lifeOf struct {
	policy postern.Policy
	now    time.Time // in the reader's zone
	last   time.Time // the last day that an end can be; zero where there is no limit
}

func (c *Console) lifeOf(v *visit) (lifeOf, error) {
	p, err := c.cfg.DB.Policy(v.r.Context(), v.by.AccountID)
	l := lifeOf{policy: p, now: v.now.In(v.zone)}
	if latest := p.Latest(v.now); !latest.IsZero() {
		// An end is at the midnight after its day.
		l.last = latest.In(v.zone).AddDate(0, 0, -1)
	}
	return l, err
}

// words is the longest life: "one year", "90 days".
func (l *lifeOf) words() string {
	switch n := l.policy.LongestLife; {
	case n == 365:
		return "one year"
	case n%365 == 0:
		return count(n/365, "year", "years")
	default:
		return count(n, "day", "days")
	}
}

// says is how far ahead an end can be, and when people are reminded of it.
func (l *lifeOf) says() string {
	text := "Your account does not limit how long a key lives."
	switch {
	case l.policy.LongestLife > 0:
		text = "Your account allows at most " + l.words() + "."
	case l.policy.RequireExpiry:
		text = "Your account asks every key for an end."
	}
	if n := len(l.policy.RemindExpiry); n > 0 {
		days := make([]string, n)
		for i, d := range l.policy.RemindExpiry {
			days[i] = strconv.Itoa(d)
		}
		text += " We remind the team " + list(days) + " " + noun(int64(l.policy.RemindExpiry[n-1]), "day", "days") + " before."
	}
	return text
}

// allows reports whether a day can be the last of a key.
func (l *lifeOf) allows(day time.Time) bool {
	return l.last.IsZero() || day.Format(time.DateOnly) <= l.last.Format(time.DateOnly)
}

// usual is the day that is chosen before anyone chooses: the longest, at most a year.
func (l *lifeOf) usual() string {
	year := l.now.AddDate(1, 0, 0)
	if !l.allows(year) {
		year = l.last
	}
	return year.Format(time.DateOnly)
}

// neverEnds is the choice of a key without an end.
const neverEnds = "never"

// choices are the ends that are offered.
func (l *lifeOf) choices(chosen string) (out []option) {
	add := func(words string, day time.Time) {
		value := day.Format(time.DateOnly)
		if l.allows(day) && !slices.ContainsFunc(out, func(o option) bool { return o.Value == value }) {
			out = append(out, option{Value: value, Label: words + ", " + day.Format("2 January 2006")})
		}
	}
	add("In 30 days", l.now.AddDate(0, 0, 30))
	add("In 90 days", l.now.AddDate(0, 0, 90))
	add("In 1 year", l.now.AddDate(1, 0, 0))
	if !l.last.IsZero() {
		add("In "+l.words(), l.last)
	}
	if !l.policy.NeedsEnd() {
		out = append(out, option{Value: neverEnds, Label: "No end"})
	}
	out = append(out, option{Value: "on", Label: "On a date I choose…"})
	known := slices.ContainsFunc(out, func(o option) bool { return o.Value == chosen })
	for i := range out {
		out[i].Selected = out[i].Value == chosen || !known && out[i].Value == l.usual()
	}
	return out
}

// fillReview adds what the last step shows.
func (c *Console) fillReview(v *visit, b *scopeBook, p *createView, held []postern.Scope) error {
	l, err := c.lifeOf(v)
	if err != nil {
		return err
	}
	f := p.F
	writes := slices.ContainsFunc(held, func(s postern.Scope) bool { return b.scopes[s] == nil || b.scopes[s].Access == postern.AccessWrite })
	listed := l.policy.WriteNetworks && writes
	where := "any"
	if listed {
		where = "some"
	}
	for name, usual := range map[string]string{"expires": l.usual(), "where": where, "per": "10"} {
		if f.Get(name) == "" {
			f.Values.Set(name, usual)
		}
	}
	p.Vague = slices.Contains(vague, f.Get("name"))
	p.Warn = p.Sum.Writes != ""
	p.Lives, p.Allows = l.choices(f.Get("expires")), l.says()
	switch {
	case l.policy.Altered:
		p.Refuse = "The account’s security policy was altered outside of Postern. Creating keys is refused until an admin saves it anew."
	case listed && (f.Get("where") != "some" || f.Get("networks") == ""):
		p.Refuse = "Your account asks keys that can change records for an IP list. Without one, creating this key is refused: say below from where it is used, or go back and untick write."
	}
	p.First = l.now.AddDate(0, 0, 1).Format(time.DateOnly)
	if !l.last.IsZero() {
		p.Last = l.last.Format(time.DateOnly)
	}
	p.IP = v.by.IP
	for _, o := range []option{{Value: "1", Label: "each second"}, {Value: "10", Label: "in 10 seconds"}, {Value: "60", Label: "each minute"}, {Value: "3600", Label: "each hour"}} {
		o.Selected = o.Value == f.Get("per")
		p.Pers = append(p.Pers, o)
	}
	p.More = f.Get("notBefore") != "" || f.Get("calls") != "" || f.ErrorOf("notBefore") != "" || f.ErrorOf("calls") != ""
	return nil
}

// readEnd reads the end of a key from a form; zero is none.
func (l *lifeOf) readEnd(f *form) (end time.Time) {
	text, field := f.Get("expires"), "expires"
	if text == "on" {
		text, field = f.Get("expiresOn"), "expiresOn"
	}
	if text == neverEnds {
		if l.policy.NeedsEnd() {
			f.Wrong(field, "Your account asks every key for an end. Choose the day on which the key ends.")
		}
		return end
	}
	day, err := time.ParseInLocation(time.DateOnly, text, l.now.Location())
	if err != nil {
		f.Wrong(field, "Choose the day on which the key ends.")
		return end
	}
	end = day.AddDate(0, 0, 1).UTC()
	switch {
	case !end.After(l.now):
		f.Wrong(field, "That day is over. Choose one that is to come.")
	case !l.allows(day):
		f.Wrong(field, "Your account allows at most %s. Choose a day until %s.", l.words(), l.last.Format("2 January 2006"))
	case day.Year() > 9999:
		f.Wrong(field, "Choose an earlier day.")
	}
	return end
}
