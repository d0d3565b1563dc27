package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/api"
)

// describeForeign puts into the document what other handlers answer: health, and
// the doors that keep to formats of others.
func describeForeign(doc *huma.OpenAPI) {
	schema := func(t reflect.Type) *huma.Schema { return doc.Components.Schemas.Schema(t, true, "") }
	answer := func(words string, s *huma.Schema) *huma.Response {
		return &huma.Response{Description: words, Content: map[string]*huma.MediaType{"application/json": {Schema: s}}}
	}
	problems := &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema(reflect.TypeFor[problem]())}}}
	healthy := schema(reflect.TypeFor[api.Health]())
	for _, h := range []struct {
		path, name, words string
		answers           map[string]*huma.Response
	}{
		{"/healthz", "healthz", "Ask whether the server runs", map[string]*huma.Response{"200": answer("It does.", healthy)}},
		{"/readyz", "readyz", "Ask whether the server can do its work",
			map[string]*huma.Response{"200": answer("It can.", healthy), "503": answer("It can't now.", healthy)}},
	} {
		doc.AddOperation(&huma.Operation{Method: http.MethodGet, Path: h.path, OperationID: h.name, Summary: h.words, Tags: []string{"health"},
			Security: []map[string][]string{}, Responses: h.answers})
	}
	doc.Paths["/readyz"].Get.Parameters = []*huma.Param{{Name: "for", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"decisions"}},
		Description: "decisions: whether it can verify and pass calls on, which it can for a while without the database."}}
	anyone := []map[string][]string{{}, {schemeAny: {string(postern.PermVerify)}}}
	doc.AddOperation(&huma.Operation{Method: http.MethodPost, Path: "/v1/verify", OperationID: "verify", Tags: []string{"verify"},
		Summary:     "Ask whether a secret may do something",
		Description: "Whoever has the secret may ask. A resource server that presents a credential of its own is told more of those of its account.",
		Security:    anyone,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema(reflect.TypeFor[api.VerifyRequest]())}}},
		Responses:   map[string]*huma.Response{"200": answer("The decision.", schema(reflect.TypeFor[api.VerifyAnswer]())), "default": problems}})
	token := &huma.Schema{Type: huma.TypeObject, Required: []string{"token"}, AdditionalProperties: true, Properties: map[string]*huma.Schema{"token": {Type: huma.TypeString}}}
	doc.AddOperation(&huma.Operation{Method: http.MethodPost, Path: "/oauth/introspect", OperationID: "introspect", Tags: []string{"verify"},
		Summary:     "Ask what a token is (RFC 7662)",
		Security:    []map[string][]string{{schemeAny: {string(postern.PermVerify)}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {Schema: token}}},
		Responses:   map[string]*huma.Response{"200": answer("What it is.", schema(reflect.TypeFor[api.Introspection]())), "default": problems}})
}
