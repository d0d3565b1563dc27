package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// funcs are what templates may call.
func funcs(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset":  a.url,
		"icon":   func(name string) template.HTML { return iconHTML(a, name) },
		"num":    numAny,
		"count":  count,
		"spark":  spark,
		"bars":   bars,
		"list":   list,
		"join":   strings.Join,
		"link":   link,
		"last4":  last4,
		"state":  func(kind, words string) pill { return pill{kind, words} },
		"button": func(kind, icon, words string) button { return button{Kind: kind, Icon: icon, Words: words} },
		"copy":   func(text, words, said string) copyButton { return copyButton{text, words, said} },
		"empty":  func(heading, text string) emptyState { return emptyState{Heading: heading, Text: text} },
		"note":   func(kind, strong, text string) note { return note{kind, strong, text} },
		"lower":  strings.ToLower,
		"add":    func(a, b int) int { return a + b },
	}
}

// iconHTML shows an icon of the sprite; it says nothing to who can't see it.
func iconHTML(a *assets, name string) template.HTML {
	return template.HTML(`<svg class="i" viewBox="0 0 16 16" aria-hidden="true"><use href="` + a.url("icons.svg") + `#i-` +
		template.HTMLEscapeString(name) + `"/></svg>`)
}

// num groups the digits of a number: 10,214.
func num[T int | int64 | uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		return "−" + s
	}
	return s
}

// numAny is num for templates.
func numAny(n any) string {
	switch n := n.(type) {
	case int:
		return num(n)
	case int64:
		return num(n)
	case uint64:
		return num(n)
	}
	return fmt.Sprint(n)
}

// count is a number with its noun: 1 key, 2 keys.
func count(n any, one, many string) string {
	var i int64
	switch n := n.(type) {
	case int:
		i = int64(n)
	case int64:
		i = n
	}
	if i == 1 {
		return "1 " + one
	}
	return num(i) + " " + many
}

// list joins words as a sentence does: a, b and c.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// bytesWords is a size in the largest unit that it fills.
func bytesWords(n int64) string {
	switch {
	case n >= 1<<20:
		return strconv.FormatInt(n>>20, 10) + " MB"
	case n >= 1<<10:
		return strconv.FormatInt(n>>10, 10) + " KB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// last4 shows how a secret ends, and reads it out letter by letter.
func last4(s string) template.HTML {
	if s == "" {
		return ""
	}
	return template.HTML(`<code><span aria-hidden="true">…` + template.HTMLEscapeString(s) + `</span><span class="sr">Secret ends in ` +
		template.HTMLEscapeString(strings.Join(strings.Split(s, ""), " ")) + `</span></code>`)
}

// timeHTML is a time element: words to read, the exact time on hover and for machines.
func timeHTML(t, now time.Time, zone *time.Location, words string) template.HTML {
	if t.IsZero() {
		return "never"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.UTC().Format(time.RFC3339),
		t.In(zone).Format("2 Jan 2006, 15:04:05 MST"), template.HTMLEscapeString(words)))
}

// ago says a time as people do: relative within 7 days, the date beyond.
func ago(t, now time.Time, zone *time.Location) string {
	if t.IsZero() {
		return "never"
	}
	d, to := now.Sub(t), ""
	if d < 0 {
		d, to = -d, "in "
	}
	// What is to come is said to the nearest unit: who chose 7 days a moment ago reads 7.
	in := func(unit time.Duration) int64 {
		if to != "" {
			return int64(d.Round(unit) / unit)
		}
		return int64(d / unit)
	}
	var words string
	switch {
	case d < time.Second || d < 10*time.Second && to == "":
		return "just now"
	case d < time.Minute:
		words = count(in(time.Second), "second", "seconds")
	case d < time.Hour:
		words = fmt.Sprintf("%d min", in(time.Minute))
	case d < 24*time.Hour:
		words = fmt.Sprintf("%d h", in(time.Hour))
	case d < 7*24*time.Hour:
		words = count(in(24*time.Hour), "day", "days")
	default:
		return t.In(zone).Format("2 Jan 2006")
	}
	if to != "" {
		return to + words
	}
	return words + " ago"
}

// daysLeft is how many days are left until a time, to the nearest.
func daysLeft(from, to time.Time) int {
	return max(0, int(to.Sub(from).Round(24*time.Hour)/(24*time.Hour)))
}

// spark draws small bars of calls a day.
func spark(values []int64) template.HTML {
	const w, h, gap = 6, 22, 1.5
	var top, low int64
	for i, n := range values {
		top = max(top, n)
		if i == 0 || n < low {
			low = n
		}
	}
	var some, none strings.Builder
	for i, n := range values {
		bar, high := &some, 1.5
		if n == 0 {
			bar = &none
		} else {
			high = 2 + float64(n)/float64(top)*(h-4)
		}
		fmt.Fprintf(bar, "M%g %.1fv%.1fh%gv%.1fz", float64(i)*w+gap/2, h-high, high, w-gap, -high)
	}
	label := fmt.Sprintf("No calls in %d days", len(values))
	if top > 0 {
		label = fmt.Sprintf("Calls a day over %d days, %s to %s", len(values), num(low), num(top))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`, len(values)*w, h, len(values)*w, h, label)
	if some.Len() > 0 {
		b.WriteString(`<path d="` + some.String() + `"/>`)
	}
	if none.Len() > 0 {
		b.WriteString(`<path class="z" d="` + none.String() + `"/>`)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// chart is stacked bars over time. The same numbers belong into a table beside it.
type chart struct {
	Label  string   // what it shows, for who can't see it
	Names  []string // of the series, from the bottom; at most 3
	Kinds  []string // "b1" worked or new, "b2" the old secret, "b3" refused
	Bars   []bar
	Ticks  []string // under the bars, first to last
	Tall   bool
	MarkAt int // before which bar a dashed line stands; 0 none
}

// bar is one step of a chart.
type bar struct {
	Name   string // "14 Nov"
	Values []int64
}

// bars draws a chart: SVG that is stretched without its text, which is HTML.
func bars(c chart) template.HTML {
	const w, h = 1000.0, 200.0
	var top int64
	for _, b := range c.Bars {
		var sum int64
		for _, n := range b.Values {
			sum += n
		}
		top = max(top, sum)
	}
	top = nice(top)
	var b strings.Builder
	e := template.HTMLEscapeString
	tall := ""
	if c.Tall {
		tall = " tall"
	}
	fmt.Fprintf(&b, `<div class="chart%s"><div class="y" aria-hidden="true"><span>%s</span><span>%s</span><span>0</span></div><div class="plot">`, tall, num(top), num(top/2))
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s">`, w, h, e(c.Label))
	fmt.Fprintf(&b, `<line x1="0" x2="%g" y1="0" y2="0"/><line x1="0" x2="%g" y1="%g" y2="%g"/><line class="base" x1="0" x2="%g" y1="%g" y2="%g"/>`, w, w, h/2, h/2, w, h, h)
	if n := len(c.Bars); n > 0 {
		step := w / float64(n)
		for i, one := range c.Bars {
			x, y := float64(i)*step, h
			var tip strings.Builder
			tip.WriteString(one.Name)
			var rects strings.Builder
			for j, v := range one.Values {
				if j < len(c.Names) {
					fmt.Fprintf(&tip, "\n%s\t%s", c.Names[j], num(v))
				}
				if v == 0 || j >= len(c.Kinds) {
					continue
				}
				high := float64(v) / float64(top) * h
				y -= high
				fmt.Fprintf(&rects, `<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`, e(c.Kinds[j]), x+step*.14, y, step*.72, high)
			}
			fmt.Fprintf(&b, `<g data-tip="%s"><rect class="hit" x="%.2f" y="0" width="%.2f" height="%g"/>%s</g>`, e(tip.String()), x, step, h, rects.String())
		}
		if c.MarkAt > 0 {
			fmt.Fprintf(&b, `<line class="mark" x1="%.2f" x2="%.2f" y1="0" y2="%g"/>`, float64(c.MarkAt)*step, float64(c.MarkAt)*step, h)
		}
	}
	b.WriteString(`</svg></div><div class="x" aria-hidden="true">`)
	for _, t := range c.Ticks {
		b.WriteString("<span>" + e(t) + "</span>")
	}
	b.WriteString(`</div></div>`)
	return template.HTML(b.String())
}

// nice is the next round number from n up: 2, 4, 10, 20, 40, 100.
func nice(n int64) int64 {
	for p := int64(1); ; p *= 10 {
		for _, m := range []int64{2, 4, 6, 10} {
			if m*p >= n {
				return m * p
			}
		}
	}
}
