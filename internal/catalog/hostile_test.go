package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// fill repeats s to n bytes.
func fill(s string, n int) string { return strings.Repeat(s, n/len(s)) }

// TestHostile reads documents that are made to cost time, memory or stack. Each
// ends within its time, most of them by a clear error.
func TestHostile(t *testing.T) {
	const head = "openapi: 3.0.0\n"
	const size = 4 << 20
	var bomb strings.Builder
	bomb.WriteString(head + "l0: &l0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&bomb, "l%d: &l%d [%s*l%d]\n", i, i, fill(fmt.Sprintf("*l%d, ", i-1), 54), i-1)
	}
	var merges strings.Builder
	merges.WriteString(head + "m0: &m0 {get: {}}\n")
	for i := 1; i < 15; i++ {
		fmt.Fprintf(&merges, "m%d: &m%d {<<: [%s*m%d]}\n", i, i, fill(fmt.Sprintf("*m%d, ", i-1), 54), i-1)
	}
	tests := []struct {
		name, doc string
		want      string       // in the error; "" for none
		code      postern.Code // CodeInvalid where it is empty
	}{
		{name: "100 MB", doc: fill("# padding\n", 100<<20), want: "a.yaml: The document has 100 MB, and at most 32 are read.", code: postern.CodeTooLarge},
		{name: "open brackets", doc: head + "x: " + fill("[", size), want: "a.yaml:2: ", code: postern.CodeTooLarge},
		{name: "few open brackets", doc: head + "x: " + fill("[", 9000), want: "a.yaml:2: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "open braces", doc: head + "x: " + fill("{a: ", 9000), want: "a.yaml:2: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "brackets over lines", doc: head + "x:\n" + fill(" [\n", 9000), want: "Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "brackets after quotes", doc: head + `x: "[" ` + "\ny: {\"a]\": '}', b: " + fill("[", 9000), want: "a.yaml:3: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "dashes", doc: head + "x:\n " + fill("- ", 9000), want: "a.yaml:3: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "question marks", doc: head + "x:\n " + fill("? ", 9000), want: "a.yaml:3: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "staircase", doc: head + "x:\n" + staircase(400), want: "Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "brackets after a document's begin", doc: "%YAML 1.2\n--- # here\n" + head + "x: " + fill("[", 9000), want: "a.yaml:4: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "stairs after text that goes on", doc: head + "x: a\n  b\ny:\n" + staircase(400), want: "Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "hidden depth", doc: head + "x: a\n  " + fill("[", 20000), want: ""}, // plain text that goes on in the next line
		{name: "deep in a block", doc: head + "x: |\n" + staircase(400), want: ""},
		{name: "brackets in a block", doc: head + "x: >-\n  " + fill("[", size) + "\n", want: "values.", code: postern.CodeTooLarge},
		{name: "intervals in text", doc: head + "x:\n" + fill("  - {d: \"[0, 1)\"}\n  - e: '[{'\n  - |\n    [{[\n  - a [ b # [[\n", 100_000), want: ""},
		{name: "many values", doc: head + "x: [" + fill("a,", size) + "]", want: "a.yaml:2: The document has more than 2000000 values.", code: postern.CodeTooLarge},
		{name: "many keys", doc: head + "x:\n" + fill("  a:\n", 3*size), want: "The document has more than 2000000 values.", code: postern.CodeTooLarge},
		{name: "comments", doc: head + fill("#\n", size), want: ""},
		{name: "empty lines", doc: head + fill("\n", size), want: ""},
		{name: "one long word", doc: head + "x: " + fill("a b", size), want: ""},
		{name: "an open quote", doc: head + `x: "` + fill("a\n", size), want: "a.yaml:2: This is not well-formed YAML: found unexpected end of stream."},
		{name: "alias bomb that nobody looks at", doc: bomb.String(), want: ""},
		{name: "alias bomb in a requirement", doc: bomb.String() + "paths: {/a: {get: {security: *l11}}}\n", want: ""},
		{name: "merge bomb", doc: merges.String() + "paths: {/a: *m14}\n", want: "Aliases and references repeat so much that reading stopped", code: postern.CodeTooLarge},
		{name: "an anchor inside itself", doc: head + "paths: &p {/a: *p, /b: {get: {security: [*p]}}}\n", want: ""},
		{name: "a merge with itself", doc: head + "paths: &p {<<: *p, /b: {get: {}}}\n", want: "Merge keys"},
		{name: "an alias to many", doc: head + "s: &s [" + fill("{o: [x]},", 2000) + "{}]\npaths: {" + paths(9000, "{get: {security: *s}}") + "}\n", want: "repeat so much", code: postern.CodeTooLarge},
		{name: "many alternatives", doc: head + "s: &s [" + fill("{o: [x]},", 90_000) + "{}]\npaths: {" + paths(9000, "{get: {security: *s}}") + "}\n", want: ""},
		{name: "many operations", doc: head + "paths: {" + paths(20_001, "{get: {}}") + "}\n", want: "The upstream has more than 20000 operations.", code: postern.CodeTooLarge},
		{name: "many directives", doc: fill("%YAML 1.1\n", size), want: "This is not well-formed YAML"},
		{name: "many documents", doc: head + fill("---\n", size), want: ""},
		{name: "tabs", doc: head + fill("\t", size), want: "This is not well-formed YAML"},
		{name: "cut off", doc: head + "paths:\n  /a:\n    get: {security: [{oauth: [x", want: "This is not well-formed YAML"},
		{name: "garbage", doc: "\x89PNG\r\n\x1a\n\x00\x00", want: "a.yaml:1: This is not a text in UTF-8 (byte 0)."},
		{name: "UTF-16", doc: "\xff\xfeo\x00p\x00", want: "a.yaml:1: This is not a text in UTF-8 (byte 0)."},
		{name: "JSON brackets", doc: fill("[", size), want: "a.yaml:1: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "JSON braces", doc: fill(`{"a":`, size), want: "a.yaml:1: Values are nested more than 256 deep.", code: postern.CodeTooLarge},
		{name: "JSON values", doc: `{"openapi":"3.0.0","x":[` + fill("1,", size) + "1]}", want: "a.yaml:1: The document has more than 2000000 values.", code: postern.CodeTooLarge},
		{name: "references to everything", doc: head + "x: {" + paths(30_000, "{}") + "}\npaths: {" + refs(15_000) + "}\n", want: ""},
		{name: "overlaps of everything", doc: head + "paths: {" + paths(3000, "{get: {}}") + overlapping(3000) + "}\n", want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Minutes are for a document that never ends, not for a slow machine.
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			_, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "a.yaml", Data: []byte(tt.doc)}}, catalog.Options{})
			if ctx.Err() != nil {
				t.Fatal("it has not ended in three minutes")
			}
			switch {
			case tt.name == "many documents": // one empty document after the other
				if err == nil {
					t.Error("several documents in a file are accepted")
				}
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if tt.code == "" {
				tt.code = postern.CodeInvalid
			}
			if tt.want != "" && !errors.Is(err, tt.code) {
				t.Errorf("the code of %v is not %s", err, tt.code)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func staircase(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func paths(n int, item string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "/p%d: %s,", i, item)
	}
	return b.String()
}

func refs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "/p%d: {$ref: '#/x/~1p%d'},", i, 2*i)
	}
	return b.String()
}

// A document of a quarter of the values that are allowed, in the form that costs
// the most for each, stays under a quarter of a limit.
func TestHostileMemory(t *testing.T) {
	doc := []byte("openapi: 3.0.0\nx:\n" + fill("- a: b\n", 1_700_000))
	var most uint64
	done, stopped := make(chan struct{}), make(chan struct{})
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	start := m.HeapAlloc
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	_, _, err := catalog.Parse(context.Background(), []catalog.Source{{Name: "a.yaml", Data: doc}}, catalog.Options{})
	close(done)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	most -= min(most, start)
	t.Logf("%d MB at most", most>>20)
	if most > 256<<20 {
		t.Errorf("%d MB, want at most 256 MB, a quarter of what the bounds allow", most>>20)
	}
}

func TestParseStops(t *testing.T) {
	for name, doc := range map[string]string{
		"yaml": "openapi: 3.0.0\nx:\n" + fill("- a\n", 6<<20),
		"json": `{"openapi":"3.0.0","x":[` + fill("1,", 3<<20) + "1]}",
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, _, err := catalog.Parse(ctx, []catalog.Source{{Name: name, Data: []byte(doc)}}, catalog.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
		start := time.Now()
		_, _, err := catalog.Parse(ctx, []catalog.Source{{Name: name, Data: []byte(doc)}}, catalog.Options{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a deadline: %v after %v", name, err, time.Since(start))
		}
	}
}

func TestParseNothing(t *testing.T) {
	if _, _, err := catalog.Parse(context.Background(), nil, catalog.Options{}); !errors.Is(err, postern.CodeInvalid) {
		t.Errorf("no documents: %v", err)
	}
	if _, _, err := catalog.Parse(context.Background(), make([]catalog.Source, 501), catalog.Options{}); !errors.Is(err, postern.CodeTooLarge) {
		t.Errorf("501 documents: %v", err)
	}
}

// FuzzParse reads anything, and holds what it accepts to the promises.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "openapi: 3.0.0\n", before, after, overlaid, "openapi: 3.0.0\npaths: &p {/a: *p}\n",
		`{"openapi":"3.1.0","paths":{"/a":{"get":{"security":[{"o":["x"]}]}}},"components":{"securitySchemes":{"o":{"type":"oauth2"}}}}`,
		"openapi: 3.0.0\nservers: [{url: '{a}', variables: {a: {default: /v1}}}]\npaths: {/a/{b}.json: {$ref: '#/x'}}\nx: {get: {}}\n"} {
		f.Add([]byte(s), false)
	}
	if data, err := os.ReadFile(filepath.Join("testdata", "xero", "xero-identity.yaml")); err == nil {
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, scopesAny bool) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = catalog.ParseOverlay(ctx, catalog.Source{Name: "o.yaml", Data: data})
		c, r, err := catalog.Parse(ctx, []catalog.Source{{Name: "a.yaml", Data: data}}, catalog.Options{ScopesAny: scopesAny})
		if err != nil {
			if !errors.Is(err, postern.CodeInvalid) && !errors.Is(err, postern.CodeTooLarge) {
				t.Fatalf("the error %v is not the caller's", err)
			}
			return
		}
		for i := range c.Operations {
			op := &c.Operations[i]
			if op.Public && len(op.Ways) > 0 || !op.Public && !op.Uncovered && len(op.Ways) == 0 || op.Name == "" {
				t.Fatalf("operation %+v is neither open nor closed", op)
			}
			for _, w := range op.Ways {
				if len(w.Scopes) == 0 {
					t.Fatalf("operation %+v has a way without scopes", op)
				}
			}
		}
		_, err = catalog.Compile(c, numbers())
		if (err != nil) != (len(r.Conflicts) > 0) {
			t.Fatalf("Compile: %v, and the report has the conflicts %v", err, r.Conflicts)
		}
		enc, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Unmarshal(enc); err != nil {
			t.Fatal(err)
		}
	})
}

// overlapping makes templates that all fit the same paths, of parameters and fixed segments in turn.
func overlapping(n int) string {
	var b strings.Builder
	for i := range n {
		path := ""
		for bit := range 12 {
			if i>>bit&1 == 0 {
				path += "/{p}"
			} else {
				path += "/s"
			}
		}
		fmt.Fprintf(&b, "'%s': {%s: {}},", path, []string{"get", "post"}[i%2])
	}
	return b.String()
}
