package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"postern.dev/postern"
	"postern.dev/postern/api"
)

const noID = "0000000000000000"

// operation is an operation of the document, with the scopes of which one is needed.
type operation struct {
	name, method, path string
	scopes             []string
}

// operations are those of the management API that need a credential.
func (w *world) operations() (out []operation) {
	for path, item := range w.contract.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !strings.HasPrefix(path, "/v1/") || op.OperationID == "verify" || len(*op.Security) == 0 {
				continue
			}
			out = append(out, operation{op.OperationID, method, path, scopesOf(op)})
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	return out
}

func scopesOf(op *openapi3.Operation) (out []string) {
	for _, way := range *op.Security {
		out = append(out, way["personalAccessKey"]...)
	}
	return out
}

// bodyOf is a body for an operation that is well-formed and changes nothing much.
func (o *operation) body() string {
	switch o.method {
	case http.MethodGet, http.MethodDelete:
		return ""
	}
	return `{}`
}

// narrowed makes a personal access key of the super admin for some permissions.
func (w *world) narrowed(scopes ...string) string {
	w.t.Helper()
	return must(w.super.CreatePersonalKey(w.t.Context(), api.NewPersonalKey{Name: "narrow", Scopes: scopes}))(w.t).Secret
}

// Every operation but those that are public is shut to who presents nothing, to
// a service key, and to a personal access key without its scope, which it names;
// and it is open to one with just that scope.
func TestEveryOperationNeedsItsScope(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	service := must(w.super.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "sync", Scopes: []string{"deals.read", "postern.verify"}}))(t).Secret
	with, without := map[string]string{}, map[string]string{}
	for _, p := range postern.Permissions() {
		with[string(p)] = w.narrowed(string(p))
		var others []string
		for _, q := range postern.Permissions() {
			if q != p {
				others = append(others, string(q))
			}
		}
		without[string(p)] = w.narrowed(others...)
	}
	with["postern.self"] = with["postern.keys.read"]
	// Either of two opens changing a key: who is shut out has neither.
	neither := w.narrowed("postern.keys.read", "postern.members.write")
	ops := w.operations()
	if len(ops) < 35 {
		t.Errorf("the document has %d protected operations", len(ops))
	}
	for _, op := range ops {
		path := strings.ReplaceAll(op.path, "{id}", noID)
		if a := w.send(op.method, path, "", op.body()); a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s without a credential = %d, %q", op.name, a.status, a.header.Get("WWW-Authenticate"))
		}
		if a := w.send(op.method, path, service, op.body()); a.status != http.StatusForbidden || a.problem(t).Reason != "wrong_kind" {
			t.Errorf("%s with a service key = %d %s", op.name, a.status, a.body)
		}
		for _, sc := range op.scopes {
			if a := w.send(op.method, path, with[sc], op.body()); a.status == http.StatusUnauthorized || a.status == http.StatusForbidden && a.problem(t).Reason != "" {
				t.Errorf("%s with only %s = %d %s", op.name, sc, a.status, a.body)
			}
		}
		if op.scopes[0] == "postern.self" {
			continue
		}
		lacking := without[op.scopes[0]]
		if len(op.scopes) > 1 {
			lacking = neither
		}
		a := w.send(op.method, path, lacking, op.body())
		p := a.problem(t)
		if a.status != http.StatusForbidden || p.Code != "insufficient_scope" || len(p.MissingScopes) == 0 || !slices.Contains(op.scopes, p.MissingScopes[0]) {
			t.Errorf("%s without %v = %d %s", op.name, op.scopes, a.status, a.body)
		}
	}
}
