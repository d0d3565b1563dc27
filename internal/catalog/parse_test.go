package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

func parse(t testing.TB, text string, opts catalog.Options) (*catalog.Catalog, *catalog.Report) {
	t.Helper()
	c, r, err := catalog.Parse(context.Background(), []catalog.Source{{Name: "a.yaml", Data: []byte(text)}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func overlay(t testing.TB, text string) *catalog.Overlay {
	t.Helper()
	o, err := catalog.ParseOverlay(context.Background(), catalog.Source{Name: "overlay.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// show is a catalog's operations, one a line: "GET /a any of [x y] or [z]".
func show(c *catalog.Catalog) string {
	var b strings.Builder
	for _, op := range c.Operations {
		fmt.Fprintf(&b, "%s %s", op.Method, op.Path)
		switch {
		case op.Public:
			b.WriteString(" public")
		case op.Uncovered:
			b.WriteString(" uncovered")
		case op.Denied:
			b.WriteString(" denied")
		}
		for _, w := range op.Ways {
			fmt.Fprintf(&b, " %v", w.Scopes)
			switch w.Kinds {
			case postern.DataKinds:
			case 0:
				b.WriteString("!")
			default:
				fmt.Fprintf(&b, "%v", w.Kinds.List())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

const schemes = `
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {scopes: {x.read: Read x, x.write: '', y.read: '', unused.read: ''}}}}
    bearer: {type: http, scheme: Bearer}
    header: {type: apiKey, in: header, name: X-Key}
    query: {type: apiKey, in: query, name: key}
    oidc: {type: openIdConnect, openIdConnectUrl: 'https://example.com'}
    basic: {type: http, scheme: basic}
    tls: {type: mutualTLS}
    odd: {type: telepathy}
    apps: {type: oauth2, x-postern-kinds: [app_token, service_key], flows: {}}
    nobody: {type: oauth2, x-postern-kinds: [wizard]}
    linked: {$ref: '#/components/securitySchemes/bearer'}
`

func TestParseSecurity(t *testing.T) {
	tests := []struct{ security, want string }{
		{"[{oauth: [x.read]}]", "[x.read]"},
		{"[{oauth: [x.read, x.write]}]", "[x.read x.write]"},
		{"[{oauth: [x.read]}, {oauth: [x.write]}]", "[x.read] [x.write]"},
		{"[{oauth: [x.read]}, {bearer: [x.read]}]", "[x.read]"},
		{"[{oauth: [x.read], bearer: [y.read]}]", "[x.read y.read]"},
		{"[{oauth: [x.read], header: []}]", "[x.read]"},
		{"[{oidc: [x.read]}]", "[x.read]"},
		{"[{linked: [x.read]}]", "[x.read]"},
		{"[]", "public"},
		{"[{}]", "public"},
		{"[{oauth: [x.read]}, {}]", "public"},
		{"[{oauth: []}]", "uncovered"},
		{"[{bearer: []}]", "uncovered"},
		{"[{oauth: [x.read]}, {bearer: []}]", "[x.read]"},
		{"[{basic: [x.read]}]", "[x.read]!"},
		{"[{query: [x.read]}]", "[x.read]!"},
		{"[{tls: [x.read]}]", "[x.read]!"},
		{"[{oauth: [x.read], basic: []}]", "[x.read]!"},
		{"[{oauth: [x.read]}, {basic: [y.read]}]", "[x.read] [y.read]!"},
		{"[{odd: [x.read]}]", "[x.read]!"},
		{"[{missing: [x.read]}]", "[x.read]!"},
		{"[{missing: []}]", "uncovered"},
		{"[{nobody: [x.read]}]", "[x.read]!"},
		{"[{apps: [x.read]}]", "[x.read][service_key app_token]"},
		{"[{apps: [x.read], oauth: [y.read]}]", "[x.read y.read][service_key app_token]"},
		// what can't be understood permits nobody
		{"null", "uncovered"},
		{"true", "uncovered"},
		{"{}", "uncovered"},
		{"[null]", "uncovered"},
		{"[[]]", "uncovered"},
		{"[{oauth: x.read}]", "uncovered"},
		{"[{oauth: null}]", "uncovered"},
		{"[{oauth: [x.read, 7]}]", "[x.read]!"},
		{"[{oauth: ['two words']}]", "uncovered"},
		{"[{oauth: [[x.read]]}]", "uncovered"},
		{"[{[a]: [x.read]}]", "uncovered"},
		{"{oauth: [x.read]}", "uncovered"},
	}
	for _, tt := range tests {
		doc := "openapi: 3.0.0\npaths:\n  /a:\n    get: {security: " + tt.security + "}\n" + schemes
		c, _ := parse(t, doc, catalog.Options{})
		if got := strings.TrimSpace(show(c)); got != "GET /a "+tt.want {
			t.Errorf("security: %s\n gives %q, want %q", tt.security, got, "GET /a "+tt.want)
		}
		// The same below the document.
		doc = "openapi: 3.1.0\nsecurity: " + tt.security + "\npaths: {/a: {get: {}}}\n" + schemes
		c, _ = parse(t, doc, catalog.Options{})
		if got := strings.TrimSpace(show(c)); got != "GET /a "+tt.want {
			t.Errorf("document security: %s\n gives %q, want %q", tt.security, got, "GET /a "+tt.want)
		}
	}
}

func TestParseScopesAny(t *testing.T) {
	doc := "openapi: 3.0.0\n%spaths: {/a: {get: {security: [{oauth: [x.read, x.write], bearer: [y.read]}]}}}\n" + schemes
	const all, anyOf = "GET /a [x.read x.write y.read]", "GET /a [x.read y.read] [x.write y.read]"
	tests := []struct {
		extension string
		option    bool
		overlay   string
		want      string
	}{
		{"", false, "", all},
		{"", true, "", anyOf},
		{"x-postern-scope-rule: any\n", false, "", anyOf},
		{"x-postern-scope-rule: all\n", true, "", all},
		{"x-postern-scope-rule: any\n", true, "scopeRule: all", all},
		{"x-postern-scope-rule: all\n", false, "scopeRule: any", anyOf},
	}
	for _, tt := range tests {
		opts := catalog.Options{ScopesAny: tt.option}
		if tt.overlay != "" {
			opts.Overlay = overlay(t, tt.overlay)
		}
		c, _ := parse(t, fmt.Sprintf(doc, tt.extension), opts)
		if got := strings.TrimSpace(show(c)); got != tt.want {
			t.Errorf("extension %q, option %v, overlay %q: %q, want %q", tt.extension, tt.option, tt.overlay, got, tt.want)
		}
	}
}

func TestParsePaths(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"no server", `paths: {/a: {get: {}}}`, "GET /a"},
		{"a server", `servers: [{url: 'https://x.test/v1/'}]
paths: {/a: {get: {}}}`, "GET /v1/a"},
		{"a relative server", `servers: [{url: v1}]
paths: {/a: {get: {}}}`, "GET /v1/a"},
		{"server variables", `servers: [{url: '{scheme}://x.test/{base}/{v}', variables: {scheme: {default: https}, base: {default: api/rest}, v: {default: v2}}}]
paths: {/a: {get: {}}}`, "GET /api/rest/v2/a"},
		{"a variable without default is passed over", `servers: [{url: 'https://x.test/{v}'}, {url: /v3}]
paths: {/a: {get: {}}}`, "GET /v3/a"},
		{"servers at every level", `servers: [{url: /doc}]
paths:
  /a: {servers: [{url: /path}], get: {}, post: {servers: [{url: /op}]}}
  /b: {get: {}}`, "GET /doc/b\nPOST /op/a\nGET /path/a"},
		{"path item by reference", `paths: {/a: {$ref: '#/components/pathItems/a'}}
components: {pathItems: {a: {get: {}, parameters: []}}}`, "GET /a"},
		{"reference with escapes", `paths: {/a: {get: {}}, /b: {$ref: '#/paths/~1a'}, /c: {$ref: '#/paths/%7e1a'}}`, "GET /a\nGET /b\nGET /c"},
		{"reference with siblings", `paths: {/a: {post: {}, $ref: '#/components/pathItems/a'}}
components: {pathItems: {a: {get: {}}}}`, "GET /a\nPOST /a"},
		{"reference into another file", `paths: {/a: {$ref: 'b.yaml#/a'}, /b: {get: {}}}`, "GET /b"},
		{"reference to a URL", `paths: {/a: {$ref: 'https://evil.test/a'}, /b: {get: {}}}`, "GET /b"},
		{"reference to nothing", `paths: {/a: {$ref: '#/nowhere'}, /b: {get: {}}}`, "GET /b"},
		{"reference loop", `paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}, /c: {$ref: '#/paths/~1c'}, /d: {get: {}}}`, "GET /d"},
		{"anchors and merge keys", `x: &common {get: {}}
paths: {/a: *common, /b: {<<: *common, post: {}}, /c: {<<: [*common, {put: {}}]}}`, "GET /a\nGET /b\nPOST /b\nGET /c\nPUT /c"},
		{"wrong types are left out", `paths: {/a: [], /b: null, /c: {get: 7, post: null, put: {}}, d: {get: {}}, x-y: {get: {}}}`, "PUT /c"},
		{"templates no request can match are left out", `paths: {'/a//b': {get: {}}, '/{a': {get: {}}, '/a?b': {get: {}}, '/../a': {get: {}}, '/%zz': {get: {}}, '/%2f': {get: {}}, /ok: {get: {}}}`, "GET /ok"},
		{"all methods and nothing else", `paths: {/a: {get: {}, put: {}, post: {}, delete: {}, options: {}, head: {}, patch: {}, trace: {}, GET: {}, query: {}, summary: hi, x-get: {}}}`,
			"DELETE /a\nGET /a\nHEAD /a\nOPTIONS /a\nPATCH /a\nPOST /a\nPUT /a\nTRACE /a"},
		{"no paths", `webhooks: {a: {post: {}}}`, ""},
		{"null paths", `paths:`, ""},
		{"numbers for keys", `paths: {/a: {get: {responses: {200: {}}}}}`, "GET /a"},
	}
	for _, tt := range tests {
		c, _ := parse(t, "openapi: 3.1.0\n"+tt.doc+"\n", catalog.Options{})
		want := strings.ReplaceAll(tt.want, "\n", " uncovered\n")
		if want != "" {
			want += " uncovered"
		}
		if got := strings.TrimSpace(show(c)); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, got, want)
		}
	}
}

func TestParseBasePath(t *testing.T) {
	doc := "openapi: 3.0.0\nservers: [{url: /v1}]\npaths: {/a: {get: {}, post: {servers: [{url: /v2}]}}}\n"
	for base, want := range map[string]string{"": "GET /v1/a uncovered\nPOST /v2/a uncovered\n", "/": "GET /a uncovered\nPOST /a uncovered\n",
		"/crm/": "GET /crm/a uncovered\nPOST /crm/a uncovered\n"} {
		c, _ := parse(t, doc, catalog.Options{BasePath: base})
		if got := show(c); got != want {
			t.Errorf("BasePath %q:\n%swant:\n%s", base, got, want)
		}
	}
	c, _ := parse(t, doc, catalog.Options{BasePath: "/a", Overlay: overlay(t, "basePath: /b")})
	if c.Operations[0].Path != "/b/a" {
		t.Errorf("the overlay's base path gives %s, want /b/a", c.Operations[0].Path)
	}
	for _, bad := range []string{"a", "//", "/a//b", "/{a"} {
		_, _, err := catalog.Parse(context.Background(), []catalog.Source{{Name: "a.yaml", Data: []byte(doc)}}, catalog.Options{BasePath: bad})
		if !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("BasePath %q: %v, want an error", bad, err)
		}
	}
}

func TestParseJSON(t *testing.T) {
	doc := "{\n\t\"openapi\": \"3.0.1\",\n\t\"info\": {\"title\": \"\\ud83d\\ude00 API\", \"version\": \"2\"},\n\t\"paths\": {\"/a\": {\n\t\t\"get\": {\"operationId\": \"getA\", \"security\": []}}}\n}"
	c, r, err := catalog.Parse(context.Background(), []catalog.Source{{Name: "a.json", Data: []byte(doc)}}, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Title != "😀 API" || c.Version != "2" || len(c.Operations) != 1 || c.Operations[0].Line != 5 || c.Operations[0].Name != "getA" {
		t.Errorf("read %+v", c)
	}
	if !r.Clean() {
		t.Errorf("the report is not clean: %+v", r)
	}
	// JSON under a YAML name, and YAML that begins with a brace.
	for _, text := range []string{doc, "{openapi: 3.0.0, paths: {/a: {get: {security: []}}}}", "\ufeff" + doc} {
		if c, _ := parse(t, text, catalog.Options{}); len(c.Operations) != 1 {
			t.Errorf("%.20q has %d operations, want 1", text, len(c.Operations))
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"a.yaml", "", "a.yaml: The document is empty."},
		{"a.yaml", "# nothing\n", "a.yaml: The document is empty."},
		{"a.yaml", "hello", `a.yaml:1: This is no OpenAPI document: it begins with "hello" and not with an object.`},
		{"a.yaml", "[1]", "a.yaml:1: This is no OpenAPI document: it begins with a list and not with an object."},
		{"a.yaml", "a: b\n", `a.yaml:1: This is no OpenAPI document: it has no "openapi" that says which version it is.`},
		{"a.yaml", "a: b\nswagger: '2.0'\n", "a.yaml:2: This is a Swagger 2.0 document; convert it to OpenAPI 3.0 or 3.1 first. (at /swagger)"},
		{"a.yaml", "openapi: 4.0.0\n", `a.yaml:1: This is OpenAPI "4.0.0"; the versions 3.0 and 3.1 are read. (at /openapi)`},
		{"a.yaml", "openapi: 3.10.0\n", `a.yaml:1: This is OpenAPI "3.10.0"; the versions 3.0 and 3.1 are read. (at /openapi)`},
		{"a.yaml", "openapi: 3.0.0\npaths: 7\n", `a.yaml:2: An object is needed here, and this is "7". (at /paths)`},
		{"a.yaml", "openapi: 3.0.0\npaths: []\n", "a.yaml:2: An object is needed here, and this is a list. (at /paths)"},
		{"a.yaml", "openapi: 3.0.0\npaths:\n  /a:\n    get: {}\n    get: {}\n", `a.yaml:5: "get" is given twice, first at line 4. (at /paths/~1a/get)`},
		{"a.yaml", "openapi: 3.0.0\npaths:\n  /a: {}\n  /a: {}\n", `a.yaml:4: "/a" is given twice, first at line 3. (at /paths/~1a)`},
		{"a.yaml", "openapi: 3.0.0\nopenapi: 3.0.0\n", `a.yaml:2: "openapi" is given twice, first at line 1. (at /openapi)`},
		{"a.yaml", "openapi: 3.0.0\n---\nopenapi: 3.0.0\n", "a.yaml:2: The file has more than one YAML document."},
		{"a.yaml", "openapi: 3.0.0\npaths:\n  - a\n b: c\n", "a.yaml:4: This is not well-formed YAML: did not find expected key."},
		{"a.yaml", "openapi: *nobody\n", "a.yaml: This is not well-formed YAML: unknown anchor 'nobody' referenced."},
		{"a.yaml", "openapi: 3.0.0\nx-postern-scope-rule: maybe\n", `a.yaml:2: x-postern-scope-rule is "any" or "all". (at /x-postern-scope-rule)`},
		{"a.yaml", "openapi: 3.0.0\n\x00", "a.yaml:2: This is not a text in UTF-8 (byte 15)."},
		{"a.yaml", "\x7fELF\x02\x01\xff\xfe", "a.yaml:1: This is not a text in UTF-8 (byte 4)."},
		{"a.json", `{"openapi": "3.0.0", "paths": {`, "a.json:1: This is not well-formed JSON: a key in quotes is missing."},
		{"a.json", "{\n\"openapi\": \"3.0.0\"\n\"paths\": {}}", `a.json:3: This is not well-formed JSON: a comma or "}" is missing.`},
		{"a.json", `{"openapi": "3.0.0", "paths": {}} x`, "a.json:1: This is not well-formed JSON: there is more after the end."},
		{"a.json", `{"openapi": 3.0.0}`, `a.json:1: This is not well-formed JSON: "3.0.0" is no value.`},
		{"a.json", `{"openapi": "3.0.0`, "a.json:1: This is not well-formed JSON: it ends in the middle."},
		{"a.json", `{"openapi": "\x"}`, "a.json:1: This is not well-formed JSON: a string has a bad escape."},
		{"a.json", "{\"openapi\": \"3.0.0\", \"paths\": {\"/a\": {\"get\": {},\n\"get\": {}}}}", `a.json:2: "get" is given twice, first at line 1. (at /paths/~1a/get)`},
	}
	for _, tt := range tests {
		c, _, err := catalog.Parse(context.Background(), []catalog.Source{{Name: tt.name, Data: []byte(tt.doc)}}, catalog.Options{})
		if c != nil || err == nil || err.Error() != tt.want || !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("%q:\n got %v\nwant %s", tt.doc, err, tt.want)
		}
	}
}

func TestParseReport(t *testing.T) {
	_, r := parse(t, `openapi: 3.0.0
paths:
  /a:
    get: {operationId: getA, security: [{oauth: [x.read]}]}
    delete: {operationId: dropA, security: [{oauth: [x.read]}]}
  /b/{id}:
    get: {operationId: getB}
  /c/{id}: {get: {security: [{oauth: [x.read]}], parameters: [{in: path, name: id}]}}
  /c/{name}: {get: {security: [{oauth: [x.write]}], parameters: [{in: path, name: name}]}}
  /d: {get: {operationId: getA, security: [{missing: [x.read]}]}}
  /e: {get: {security: [{oauth: [typo.read]}]}}
  /f: {get: {security: [{bearer: [role]}]}}
`+schemes, catalog.Options{})
	for _, tt := range []struct {
		name string
		list []catalog.Finding
		want []string
	}{
		{"uncovered", r.Uncovered, []string{"a.yaml:7: The operation GET /b/{id} (getB) names no scope, so every call to it is denied."}},
		{"unsatisfiable", r.Unsatisfiable, []string{"a.yaml:10: No kind of credential can use the operation GET /d, so every call to it is denied."}},
		{"conflicts", r.Conflicts, []string{"a.yaml:9: GET /c/{name} can't be told apart from GET /c/{id} at a.yaml:8; omit one of them in the overlay."}},
		{"problems", r.Problems, []string{
			`a.yaml:10: GET /d (getA) needs the security scheme "missing", which is not declared, so that alternative permits nobody.`,
			`a.yaml:23: The security scheme "odd" has the unknown type "telepathy", so what needs it stays closed.`,
			`a.yaml:25: "wizard" is no kind of credential, so it admits none.`}},
		{"undeclared", r.Undeclared, []string{"a.yaml:11: The scope typo.read is used, and declared nowhere."}},
		{"unused", r.Unused, []string{
			"a.yaml:16: The scope unused.read is declared, and opens nothing.",
			"a.yaml:16: The scope y.read is declared, and opens nothing."}},
		{"warnings", r.Warnings, []string{
			`a.yaml:4: Several operations have the operationId "getA"; this one is called GET /a instead.`,
			`a.yaml:7: The parameter "id" of GET /b/{id} is not declared.`,
			`a.yaml:10: Several operations have the operationId "getA"; this one is called GET /d instead.`,
			"a.yaml:16: The scope x.read reads by its name, and opens DELETE /a (dropA)."}},
	} {
		got := texts(tt.list)
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
	if !r.Unsafe() || r.Clean() {
		t.Errorf("Unsafe = %v and Clean = %v, want true and false", r.Unsafe(), r.Clean())
	}
	if p := r.Problems[0]; p.Pointer == "" {
		t.Errorf("the problem %v has no pointer", p)
	}
	uncovered, r := parse(t, "openapi: 3.0.0\npaths: {/a: {get: {}}}\n", catalog.Options{})
	if r.Unsafe() || r.Clean() {
		t.Errorf("%s: Unsafe = %v and Clean = %v, want false and false", show(uncovered), r.Unsafe(), r.Clean())
	}
}

func TestParseScopes(t *testing.T) {
	c, _ := parse(t, `openapi: 3.0.0
x-postern-scopes:
  crm.deals.read: {group: Sales, words: See deals, sensitive: true}
  base: {implicit: true}
  special: {access: read}
paths:
  /deals: {get: {operationId: list, security: [{o: [crm.deals.read, base]}]}, post: {operationId: make, security: [{o: [crm.deals.write]}]}}
  /me: {get: {operationId: me, security: [{o: [base]}]}}
  /s: {post: {operationId: s, security: [{o: [special]}, {o: [other]}]}}
components: {securitySchemes: {o: {type: oauth2, x-postern-scopes: {other: {words: Anything}}, flows: {a: {scopes: {crm.deals.read: d, 'crm.deals.write': "Change\n deals", base: ''}}}}}}
`, catalog.Options{Upstream: "crm", Overlay: overlay(t, "scopes: {crm.deals.read: {words: Look at deals, sensitive: false}}")})
	var got []string
	for _, s := range c.Scopes {
		got = append(got, fmt.Sprintf("%s|%s|%s|%v|%v|%s|%v", s.Name, s.Group, s.Access, s.Sensitive, s.Implicit, s.Words, s.Opens))
	}
	want := []string{
		"base|Base|read|false|true|Read base|[list me]",
		"crm.deals.read|Sales|read|false|false|Look at deals|[list]",
		"crm.deals.write|Deals|write|false|false|Change deals|[make]",
		"other|Other|write|false|false|Anything|[s]",
		"special|Special|read|false|false|Read special|[s]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("scopes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	m, err := catalog.Compile(c, func(s postern.Scope) postern.ScopeID {
		if s == "base" {
			t.Error("the number of an implicit scope was asked for")
		}
		return 7
	})
	if err != nil {
		t.Fatal(err)
	}
	op, _ := m.Match("GET", "/me")
	if len(op.Need.Any) != 1 || len(op.Need.Any[0].Scopes) != 0 || op.Need.Any[0].Kinds != postern.DataKinds {
		t.Errorf("me needs %+v, want any credential of an admitted kind", op.Need)
	}
	if op, _ := m.Match("GET", "/deals"); len(op.Need.Any) != 1 || len(op.Need.Any[0].Scopes) != 1 || !slices.Equal(op.Scopes, []postern.Scope{"crm.deals.read"}) {
		t.Errorf("list needs %+v, want the one scope that isn't implicit", op.Need)
	}
}

func TestParseManyDocuments(t *testing.T) {
	doc := func(name, path, scope string) catalog.Source {
		return catalog.Source{Name: name, Data: []byte("openapi: 3.0.0\ninfo: {title: " + name + "}\npaths: {" + path + ": {get: {security: [{oauth: [" + scope + "]}]}}}\n" + schemes)}
	}
	c, r, err := catalog.Parse(context.Background(), []catalog.Source{doc("a.yaml", "/a", "x.read"), doc("b.yaml", "/b", "y.read"), doc("c.yaml", "/a", "y.read")}, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Title != "a.yaml" || len(c.Documents) != 3 || len(c.Operations) != 3 {
		t.Errorf("read %q with %d documents and %d operations", c.Title, len(c.Documents), len(c.Operations))
	}
	if len(r.Conflicts) != 1 || !strings.HasPrefix(r.Conflicts[0].String(), "c.yaml:3: GET /a can't be told apart from GET /a at a.yaml:3") {
		t.Errorf("conflicts: %v", r.Conflicts)
	}
	if _, err := catalog.Compile(c, numbers()); !errors.Is(err, postern.CodeInvalid) || !strings.Contains(err.Error(), "a.yaml:3") || !strings.Contains(err.Error(), "c.yaml:3") {
		t.Errorf("Compile: %v, want both places named", err)
	}
}

func TestParseOverlaps(t *testing.T) {
	doc := func(paths string) string { return "openapi: 3.0.0\npaths:\n" + paths + schemes }
	const read, write = "security: [{oauth: [x.read]}]", "security: [{oauth: [x.write]}]"
	tests := []struct{ name, paths, want string }{
		{"neither is more particular", "  /{area}/status: {get: {operationId: a, " + read + "}}\n  /deals/{id}: {get: {operationId: b, " + write + "}}\n",
			"a.yaml:3: A path such as /deals/status fits both GET /{area}/status and /deals/{id} at a.yaml:4. The latter counts, and it does not ask for the same."},
		{"the method is missing", "  /{area}/status: {post: {operationId: a, " + read + "}}\n  /deals/{id}: {get: {operationId: b, " + write + "}}\n",
			"a.yaml:3: A path such as /deals/status fits both POST /{area}/status and /deals/{id} at a.yaml:4. The latter counts, which has no POST."},
		{"mixed", "  /{a}/x-y: {get: {operationId: a, " + read + "}}\n  /{a}.json/x-{b}: {get: {operationId: b, " + write + "}}\n",
			"a.yaml:3: A path such as /x.json/x-y fits both GET /{a}/x-y and /{a}.json/x-{b} at a.yaml:4. The latter counts, and it does not ask for the same."},
		{"they ask for the same", "  /{area}/status: {get: {operationId: a, " + read + "}}\n  /deals/{id}: {get: {operationId: b, " + read + "}}\n", ""},
		{"one is more particular", "  /deals/{x}: {get: {operationId: a, " + read + "}}\n  /deals/status: {get: {operationId: b, " + write + "}}\n  /{x}/{y}: {get: {operationId: c, " + write + "}}\n", ""},
		{"no path fits both", "  /{area}/status/a: {get: {operationId: a, " + read + "}}\n  /deals/{id}/b: {get: {operationId: b, " + write + "}}\n", ""},
	}
	for _, tt := range tests {
		_, r := parse(t, doc(tt.paths), catalog.Options{})
		var got []string
		for _, text := range texts(r.Warnings) {
			if strings.Contains(text, "fits both") {
				got = append(got, text)
			}
		}
		if strings.Join(got, "\n") != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
		if len(r.Conflicts) > 0 {
			t.Errorf("%s: conflicts %v", tt.name, r.Conflicts)
		}
	}
}

// What a document says can't move the cursor of whoever reads the report, nor turn text around.
func TestReportIsPlainText(t *testing.T) {
	c, r, err := catalog.Parse(context.Background(), []catalog.Source{{Name: "a.json", Data: []byte(`{"openapi":"3.0.0","info":{"title":"a\u001b[2Jb\u202ec"},
		"paths":{"x\u001b[2J":{},"/a\u001b":{"get":{}},"/b":{"get":{"operationId":"o\u001b","summary":"s\u001b\n s\u202e","security":[{"s\u001b\u202e":["x"]}]}}}}`)}}, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%+v %+v", c, r)
	if strings.ContainsAny(all, "\x1b\n\u202e") {
		t.Errorf("control characters got through: %q", all)
	}
	if len(r.Problems) != 3 || c.Operations[0].Name != "GET /b" || c.Operations[0].Summary != "s s" {
		t.Errorf("read %+v with %v", c.Operations, r.Problems)
	}
}
