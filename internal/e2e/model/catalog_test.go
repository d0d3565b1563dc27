package model_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/e2e/model"
)

// schemes are the security schemes of every document, and the kinds that they
// admit: of those that the model knows.
var schemes = []struct {
	name  string
	says  []string // x-postern-kinds; nil: what a scheme admits that says nothing
	kinds []string
}{
	{"keys", nil, []string{model.ServiceKey}},
	{"people", []string{model.PersonalKey}, []string{model.PersonalKey}},
	{"both", []string{model.ServiceKey, model.PersonalKey}, []string{model.ServiceKey, model.PersonalKey}},
}

var scopePool = []string{
	"deals.read", "deals.write", "deals.bulk.read", "dealsx.read", "contacts.read", "contacts.write", "health.read",
	"health.write", "money.move", "oauth",
}

var routes = []string{
	"GET /deals", "POST /deals", "GET /deals/{id}", "DELETE /deals/{id}", "POST /deals/search", "GET /contacts",
	"POST /contacts", "GET /contacts/{id}", "GET /health", "GET /me", "GET /status", "POST /money", "GET /deals/{id}/notes",
	"GET /deals/bulk/notes", "POST /deals/{id}/files",
}

// ownCatalog stands for Postern's own API.
var ownCatalog = func() model.Catalog {
	people := []string{model.PersonalKey}
	op := func(name, method, path string, scopes ...string) model.Operation {
		return model.Operation{Name: name, Method: method, Path: path, Ways: []model.Way{{Scopes: scopes, Kinds: people}}}
	}
	return model.Catalog{Upstream: "postern", Operations: []model.Operation{
		op("listKeys", "GET", "/v1/service-keys", "postern.keys.read"),
		op("makeKey", "POST", "/v1/service-keys", "postern.keys.write"),
		op("endKey", "POST", "/v1/service-keys/{id}/revoke", "postern.keys.revoke"),
		op("inviteMember", "POST", "/v1/members", "postern.members.write"),
		op("readAudit", "GET", "/v1/audit", "postern.audit.read", "postern.members.read"),
	}}
}()

// randomCatalog makes a version of the upstream's catalog.
func randomCatalog(r *rand.Rand) model.Catalog {
	c := model.Catalog{Upstream: "api", Declared: some(r, scopePool, 0.7)}
	for _, route := range routes {
		if chance(r, 0.12) {
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		op := model.Operation{Name: strings.NewReplacer(" ", "", "/", "_", "{", "", "}", "").Replace(route), Method: method, Path: path}
		switch x := r.Float64(); {
		case x < 0.08:
			op.Public = true
		case x < 0.16: // uncovered
		default:
			for range 1 + r.IntN(3) {
				scopes := some(r, scopePool, 0.2)
				op.Ways = append(op.Ways, model.Way{Scopes: scopes, Kinds: pick(r, schemes).kinds})
			}
			// A way that asks for nothing is none: only "public" is.
			op.Ways = slices.DeleteFunc(op.Ways, func(way model.Way) bool { return len(way.Scopes) == 0 })
		}
		c.Operations = append(c.Operations, op)
	}
	for _, s := range scopePool {
		odds := 0.08
		if strings.HasPrefix(s, "health") || strings.HasPrefix(s, "money") {
			odds = 0.8
		}
		switch {
		case s == "oauth" && chance(r, 0.85):
			c.Implicit = append(c.Implicit, s)
		case chance(r, odds):
			c.Sensitive = append(c.Sensitive, s)
		}
	}
	return c
}

// document writes a catalog as an OpenAPI document.
func document(c model.Catalog) []byte {
	type object = map[string]any
	paths, securitySchemes := object{}, object{}
	declared := object{}
	for _, s := range c.Declared {
		declared[s] = "May use " + s
	}
	for _, s := range schemes {
		scheme := object{"type": "oauth2", "flows": object{"clientCredentials": object{"tokenUrl": "/token", "scopes": declared}}}
		if s.says != nil {
			scheme["x-postern-kinds"] = s.says
		}
		securitySchemes[s.name] = scheme
	}
	for _, op := range c.Operations {
		if paths[op.Path] == nil {
			paths[op.Path] = object{}
		}
		security := []object{}
		for _, way := range op.Ways {
			security = append(security, object{schemeFor(way.Kinds): way.Scopes})
		}
		operation := object{"operationId": op.Name, "security": security}
		if !op.Public && len(op.Ways) == 0 {
			operation["security"] = []object{{"keys": []string{}}}
		}
		paths[op.Path].(object)[strings.ToLower(op.Method)] = operation
	}
	about := object{}
	for _, s := range c.Sensitive {
		about[s] = object{"sensitive": true}
	}
	for _, s := range c.Implicit {
		about[s] = object{"implicit": true}
	}
	text, err := json.Marshal(object{
		"openapi": "3.1.0", "info": object{"title": "Test API", "version": "1"}, "paths": paths,
		"components": object{"securitySchemes": securitySchemes}, "x-postern-scopes": about,
	})
	if err != nil {
		panic(err)
	}
	return text
}

func schemeFor(kinds []string) string {
	for _, s := range schemes {
		if slices.Equal(s.kinds, kinds) {
			return s.name
		}
	}
	panic("no scheme admits these kinds")
}

// parse reads a catalog the way the real thing does.
func parse(t testing.TB, c model.Catalog) *catalog.Catalog {
	t.Helper()
	out, _, err := catalog.Parse(t.Context(), []catalog.Source{{Name: "api.json", Data: document(c)}},
		catalog.Options{Upstream: postern.UpstreamID(c.Upstream)})
	must(t, err)
	return out
}

// random is the randomness of one operation of a sequence, so that a sequence
// without some of its operations still makes the others alike.
func random(seed uint64, operation int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(operation)))
}

func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// some is a random part of a list, each with the same odds, in random order.
func some[T any](r *rand.Rand, from []T, p float64) (out []T) {
	for _, i := range r.Perm(len(from)) {
		if chance(r, p) {
			out = append(out, from[i])
		}
	}
	return out
}

// ref gives a pointer to a value.
func ref[T any](v T) *T { return &v }
