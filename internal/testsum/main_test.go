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
		{`{"Action":"build-output","ImportPath":"p","Output":"p.go:1: no\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"p"}` + "\n" +
			`{"Action":"output","Package":"p","Output":"FAIL p [build failed]\n"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p"}`, "2 passed, 1 failed", false},
	} {
		var out strings.Builder
		ok := summarize(strings.NewReader(c.in), &out, counts{passed: 2})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got := lines[len(lines)-1]; got != c.last || ok != c.ok {
			t.Errorf("summarize(%s) ends with %q, %v; want %q, %v", c.in, got, ok, c.last, c.ok)
		}
	}
}

// What failed before counts, whatever passes afterwards.
func TestSummarizeFailedBefore(t *testing.T) {
	var out strings.Builder
	ok := summarize(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}`), &out, counts{passed: 3, failed: 1})
	if ok || !strings.HasSuffix(out.String(), "\n4 passed, 1 failed\n") {
		t.Errorf("summarize = %v, %q; want 4 passed, 1 failed", ok, out.String())
	}
}
