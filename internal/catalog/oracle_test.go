package catalog_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern.dev/postern/internal/catalog"
)

// The oracle: try every template with a regular expression and take the best.
type oracle struct{ templates []oracleTemplate }

type oracleTemplate struct {
	method, path string
	slash        bool
	segs         []string
	match        *regexp.Regexp
}

func newOracle(lines []string) (o oracle) {
	for _, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		t := oracleTemplate{method: method, path: path, slash: strings.HasSuffix(path, "/")}
		t.segs = strings.Split(strings.Trim(path, "/"), "/")
		pattern := ""
		for _, s := range t.segs {
			pattern += "/" + strings.Join(mapped(regexp.MustCompile(`\{[^}]*\}`).Split(s, -1), regexp.QuoteMeta), "[^/]+")
		}
		t.match = regexp.MustCompile("^" + pattern + "/?$")
		o.templates = append(o.templates, t)
	}
	return o
}

func mapped(list []string, f func(string) string) (out []string) {
	for _, s := range list {
		out = append(out, f(s))
	}
	return out
}

var name = regexp.MustCompile(`\{[^}]*\}`)

// rank sorts as the segments win: text, then mixed with the most text, then parameters.
func rank(a, b string) int {
	class := func(s string) int {
		switch {
		case !strings.Contains(s, "{"):
			return 0
		case name.ReplaceAllString(s, "") != "" || strings.Count(s, "{") > 1:
			return 1
		}
		return 2
	}
	text := func(s string) int { return len(name.ReplaceAllString(s, "")) }
	front := func(s string) int { return max(strings.Index(s, "{"), 0) }
	return cmp.Or(class(a)-class(b), text(b)-text(a), front(b)-front(a),
		strings.Compare(name.ReplaceAllString(a, "{}"), name.ReplaceAllString(b, "{}")))
}

func (o oracle) find(method, path string) string {
	slash := strings.HasSuffix(path, "/")
	var best *oracleTemplate
	for i := range o.templates {
		t := &o.templates[i]
		if !t.match.MatchString(path) {
			continue
		}
		if best == nil || better(t, best, slash) < 0 {
			best = t
		}
	}
	if best == nil {
		return "no such path"
	}
	for _, want := range []string{method, map[string]string{"HEAD": "GET"}[method]} {
		for i := range o.templates {
			if t := &o.templates[i]; t.method == want && better(t, best, slash) == 0 && len(t.segs) == len(best.segs) {
				return t.method + " " + t.path
			}
		}
	}
	return "no such method"
}

func better(a, b *oracleTemplate, slash bool) int {
	if c := slices.CompareFunc(a.segs, b.segs, rank); c != 0 {
		return c
	}
	off := func(t *oracleTemplate) int {
		if t.slash == slash {
			return 0
		}
		return 1
	}
	return off(a) - off(b)
}

var (
	genSegment = rapid.SampledFrom([]string{"a", "b", "a.json", "{x}", "{y}", "{x}.json", "a{x}", "{x}b", "{x}:{y}", "{x}{y}", "a{x}b{y}"})
	genMethod  = rapid.SampledFrom([]string{"GET", "POST", "HEAD"})
	genPart    = rapid.SampledFrom([]string{"a", "b", "c", "a.json", "b.json", ".json", "ab", "aab", "a:b", ":", "ba", "aabb", "axbyb"})
	genSlash   = rapid.SampledFrom([]string{"", "", "", "/"})
)

func TestMatchIsTheOracles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]bool{}
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return genMethod.Draw(t, "method") + " /" + strings.Join(rapid.SliceOfN(genSegment, 1, 4).Draw(t, "segments"), "/") + genSlash.Draw(t, "slash")
		}), 1, 40).Draw(t, "routes")
		lines = slices.DeleteFunc(lines, func(l string) bool {
			shape := name.ReplaceAllString(l, "{}")
			again := seen[shape]
			seen[shape] = true
			return again
		})
		m, err := catalog.Compile(routes(lines...), numbers())
		if err != nil {
			t.Fatal(err)
		}
		o := newOracle(lines)
		for range 20 {
			method := genMethod.Draw(t, "method")
			path := "/" + strings.Join(rapid.SliceOfN(genPart, 1, 4).Draw(t, "parts"), "/") + genSlash.Draw(t, "slash")
			op, result := m.Match(method, path)
			got := result.String()
			if result == catalog.Found {
				got = op.Name
			}
			if want := o.find(method, path); got != want {
				t.Fatalf("Match(%s %s) = %q, the oracle says %q", method, path, got, want)
			}
		}
	})
}
