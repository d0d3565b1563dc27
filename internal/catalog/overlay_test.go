package catalog_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

const overlaid = `openapi: 3.0.0
paths:
  /a: {get: {operationId: getA, security: [{apps: []}]}, post: {operationId: postA, security: [{oauth: [x.write]}]}}
  /b/{id}: {get: {operationId: getB}}
  /c/{id}: {get: {operationId: byID, security: [{oauth: [x.read]}]}}
  /c/{name}: {get: {operationId: byName, security: [{oauth: [x.write]}]}}
` + schemes

func TestOverlay(t *testing.T) {
	c, r := parse(t, overlaid, catalog.Options{Overlay: overlay(t, `
schemes:
  oauth: {kinds: [service_key]}
operations:
  getA: {scopes: [[x.read], [y.read, x.write]]}
  POST /a: {deny: true}
  GET /b/{key}: {public: true}   # named by its template, whatever the parameter is called
  byName: {omit: true}
`)})
	want := "GET /a [x.read][service_key app_token] [x.write y.read][service_key app_token]\nPOST /a denied\nGET /b/{id} public\nGET /c/{id} [x.read][service_key]\n"
	if got := show(c); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if len(r.Conflicts)+len(r.Uncovered) != 0 {
		t.Errorf("conflicts %v and uncovered %v, want none", r.Conflicts, r.Uncovered)
	}
	if d := c.Documents[len(c.Documents)-1]; !d.Overlay || d.Name != "overlay.yaml" || len(d.SHA256) != 64 {
		t.Errorf("the overlay is recorded as %+v", d)
	}
	m, err := catalog.Compile(c, numbers())
	if err != nil {
		t.Fatal(err)
	}
	if op, res := m.Match("POST", "/a"); res != catalog.Found || op.Need.Public || len(op.Need.Any) != 0 {
		t.Errorf("a denied operation is %v with %+v, want found and nothing that could be met", res, op)
	}
}

func TestOverlayIsStrict(t *testing.T) {
	tests := []struct{ text, want string }{
		{"scopeRule: some", `o.yaml:1: scopeRule is "any" or "all", and not "some". (at /scopeRule)`},
		{"basePath: 7", `o.yaml:1: basePath is a path such as "/crm", and not "7". (at /basePath)`},
		{"x: 1", `o.yaml:1: "x" is not known here`},
		{"operations:\n  getA: {pubic: true}", `o.yaml:2: "pubic" is not known here`},
		{"operations:\n  getA: {public: yes}", `o.yaml:2: public is true or false, and not "yes".`},
		{"operations:\n  getA: {public: true, deny: true}", `o.yaml:2: The operation "getA" needs one of`},
		{"operations:\n  getA: {public: false}", `o.yaml:2: The operation "getA" needs one of`},
		{"operations:\n  getA: {}", `o.yaml:2: The operation "getA" needs one of`},
		{"operations:\n  getA:", `o.yaml:2: An object is needed here, and this is null.`},
		{"operations:\n  getA: {scopes: []}", "o.yaml:2: scopes has 0 alternatives"},
		{"operations:\n  getA: {scopes: [[]]}", "o.yaml:2: An alternative without scopes would permit everybody"},
		{"operations:\n  getA: {scopes: [x.read]}", "o.yaml:2: scopes is a list of lists"},
		{"operations:\n  getA: {scopes: [[a b]]}", `o.yaml:2: "a b" can't be the name of a scope.`},
		{"operations:\n  getA: {scopes: [[x.read]], kinds: [wizard]}", `o.yaml:2: "wizard" is no kind of credential; the kinds are service_key,`},
		{"operations:\n  getA: {scopes: [[x.read]], kinds: []}", "o.yaml:2: kinds is empty"},
		{"operations:\n  getA: {deny: true, kinds: [service_key]}", `o.yaml:2: The operation "getA" has kinds without scopes.`},
		{"operations:\n  getA: {deny: true}\n  getA: {public: true}", `o.yaml:3: "getA" is given twice`},
		{"operations:\n  getZ: {deny: true}", `o.yaml:2: No document has the operation "getZ"`},
		{"operations:\n  GET /zzz: {deny: true}", `o.yaml:2: No document has the operation "GET /zzz"`},
		{"operations:\n  GET /c/{x}: {deny: true}", `o.yaml:2: Several operations are called "GET /c/{x}"`},
		{"schemes:\n  zzz: {kinds: []}", `o.yaml:2: No document has the security scheme "zzz".`},
		{"schemes:\n  oauth: {}", `o.yaml:2: The scheme "oauth" has no kinds.`},
		{"schemes:\n  oauth: {kind: []}", `o.yaml:2: "kind" is not known here`},
		{"schemes:\n  oauth: {kinds: service_key}", `o.yaml:2: "service_key" is no kind of credential`},
		{"scopes:\n  zzz.read: {words: hm}", `o.yaml:2: Nothing declares or uses the scope "zzz.read".`},
		{"scopes:\n  x.read: {access: maybe}", `o.yaml:2: "access" is "read" or "write", and not "maybe".`},
		{"scopes:\n  x.read: {sensitive: 1}", `o.yaml:2: "sensitive" is true or false, and not "1".`},
		{"scopes:\n  x.read: {secret: true}", `o.yaml:2: "secret" is not known here.`},
		{"scopes:\n  a b: {}", `o.yaml:2: "a b" can't be the name of a scope.`},
	}
	for _, tt := range tests {
		o, err := catalog.ParseOverlay(context.Background(), catalog.Source{Name: "o.yaml", Data: []byte(tt.text)})
		if err == nil {
			_, _, err = catalog.Parse(context.Background(), []catalog.Source{{Name: "a.yaml", Data: []byte(overlaid)}}, catalog.Options{Overlay: o})
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("%q:\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}
