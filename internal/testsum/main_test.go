package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		in, last string
		ok       bool
	}{
		{`{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p"}`, "3 passed, 0 failed", true},
		{`{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}`, "2 passed, 1 failed", false},
		{`{"Action":"fail","Package":"p"}`, "2 passed, 1 failed", false},
		{`{"Action":"pass","Package":"p","Test":"A"}` + "\n" + `{"Action":"skip","Package":"p","Test":"B"}`, "3 passed, 0 failed, 1 skipped", true},
		{"", "2 passed, 0 failed", false},
	} {
		var out strings.Builder
		ok := summarize(strings.NewReader(c.in), &out, 2)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got := lines[len(lines)-1]; got != c.last || ok != c.ok {
			t.Errorf("summarize(%s) ends with %q, %v; want %q, %v", c.in, got, ok, c.last, c.ok)
		}
	}
}
