package crm

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// operation is a route as the document has it: of one type, or of any.
type operation struct {
	route
	scopes []string
}

// typedBases begin the paths that the document has once for each type.
var typedBases = map[string]bool{"/crm/v3/objects": true, "/crm/objects/{apiVersion}": true, "/crm/v3/properties": true, "/crm/v3/pipelines": true}

// documented are all operations of the document: every route, and those of records
// once more for each type, by its plural name.
func documented() []operation {
	var out []operation
	for _, r := range routes() {
		out = append(out, operation{r, r.need.alternatives()})
		base, rest, ok := strings.Cut(r.path, "/{objectType}")
		if !ok || !typedBases[base] || r.need.of == linked || r.need.of == nothing {
			continue
		}
		for i := range standardTypes {
			t := &standardTypes[i]
			if r.need.of == records && r.need.write && len(t.Write) == 0 || strings.HasSuffix(rest, "gdpr-delete") && t.Plural != "contacts" ||
				strings.HasSuffix(rest, "merge") && !t.Mergeable || strings.HasSuffix(base, "pipelines") && t.Pipeline == "" {
				continue
			}
			o := operation{r, r.need.alternativesFor(t)}
			o.path = base + "/" + t.Plural + rest
			o.tag = t.Labels
			o.op = typedName(r.op, t)
			o.summary = typedWords(r.summary, t)
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b operation) int { return strings.Compare(a.path, b.path) })
	return out
}

func typedName(op string, t *objectType) string {
	camel := func(s string) (out string) {
		for w := range strings.SplitSeq(s, "_") {
			out += strings.ToUpper(w[:1]) + w[1:]
		}
		return out
	}
	if !strings.Contains(op, "Record") {
		return op + "Of" + camel(t.Plural)
	}
	op = strings.Replace(op, "Records", camel(t.Plural), 1)
	return strings.Replace(op, "Record", camel(t.Name), 1)
}

func typedWords(s string, t *objectType) string {
	one, many := strings.ToLower(t.Label), strings.ToLower(t.Labels)
	article := "a "
	if strings.ContainsRune("aeio", rune(one[0])) {
		article = "an "
	}
	if !strings.Contains(s, "record") {
		return s + " of " + many
	}
	s = strings.Replace(s, "records", many, 1)
	return strings.Replace(s, "a record", article+one, 1)
}

// document writes the OpenAPI document.
func document(t *testing.T) []byte {
	var b bytes.Buffer
	file := func(name string) {
		text, err := os.ReadFile("testdata/openapi/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	file("head.yaml")
	writeScopes(&b)
	ops := documented()
	var tags []string
	for _, o := range ops {
		if !slices.Contains(tags, o.tag) {
			tags = append(tags, o.tag)
		}
	}
	slices.Sort(tags)
	b.WriteString("tags:\n")
	for _, tag := range tags {
		fmt.Fprintf(&b, "- {name: %s}\n", tag)
	}
	b.WriteString("paths:\n")
	path := ""
	for _, o := range ops {
		if o.path != path {
			path = o.path
			fmt.Fprintf(&b, "  %s:\n", path)
			if refs := paramRefs(pathParams(path)); refs != "" {
				fmt.Fprintf(&b, "    parameters: [%s]\n", refs)
			}
		}
		writeOperation(&b, o)
	}
	writeComponents(&b, ops)
	file("components.yaml")
	return b.Bytes()
}

func writeScopes(b *bytes.Buffer) {
	b.WriteString("x-postern-scopes:\n")
	for _, s := range scopeTable() {
		access := "read"
		if s.Write {
			access = "write"
		}
		fmt.Fprintf(b, "  %s: {group: %s, access: %s", s.Name, s.Group, access)
		if s.Sensitive {
			b.WriteString(", sensitive: true")
		}
		if s.Implicit {
			b.WriteString(", implicit: true")
		}
		fmt.Fprintf(b, ", words: %q}\n", s.Words)
	}
}

func writeOperation(b *bytes.Buffer, o operation) {
	fmt.Fprintf(b, "    %s:\n      operationId: %s\n      summary: %q\n      tags: [%s]\n", strings.ToLower(o.method), o.op, o.summary, o.tag)
	var ways []string
	if !o.need.public {
		for _, s := range o.scopes {
			ways = append(ways, "{service_keys: ["+s+"]}")
		}
	}
	fmt.Fprintf(b, "      security: [%s]\n", strings.Join(ways, ", "))
	if len(o.query) > 0 {
		fmt.Fprintf(b, "      parameters: [%s]\n", paramRefs(o.query))
	}
	if o.in != "" {
		fmt.Fprintf(b, "      requestBody: {$ref: '#/components/requestBodies/%s'}\n", o.in)
	}
	b.WriteString("      responses:\n")
	reply := "Done"
	if o.out != "" {
		reply = o.out
	}
	fmt.Fprintf(b, "        %q: {$ref: '#/components/responses/%s'}\n", strconv.Itoa(o.status), reply)
	if o.multi {
		fmt.Fprintf(b, "        \"207\": {$ref: '#/components/responses/%s'}\n", reply)
	}
	b.WriteString("        default: {$ref: '#/components/responses/Error'}\n")
}

func pathParams(path string) (out []string) {
	for seg := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(seg, "{"); ok {
			out = append(out, strings.TrimSuffix(name, "}"))
		}
	}
	return out
}

func paramRefs(names []string) string {
	var refs []string
	for _, n := range names {
		refs = append(refs, "{$ref: '#/components/parameters/"+n+"'}")
	}
	return strings.Join(refs, ", ")
}

// writeComponents writes what refers to the schemas by name, and the security scheme.
func writeComponents(b *bytes.Buffer, ops []operation) {
	b.WriteString("components:\n  securitySchemes:\n    service_keys:\n      type: oauth2\n" +
		"      description: A bearer credential with scopes.\n" +
		"      x-postern-kinds: [service_key, app_token, oauth_access_token, legacy_private_app, legacy_api_key]\n" +
		"      flows:\n        clientCredentials:\n          tokenUrl: /oauth/v3/token\n          scopes:\n")
	for _, s := range scopeTable() {
		fmt.Fprintf(b, "            %s: %q\n", s.Name, s.Words)
	}
	ins, outs := map[string]bool{}, map[string]bool{"Error": true}
	for _, o := range ops {
		ins[o.in], outs[o.out] = true, true
	}
	b.WriteString("  requestBodies:\n")
	for _, name := range sortedKeys(ins) {
		switch name {
		case "":
		case formBody:
			fmt.Fprintf(b, "    %s: {required: true, content: {application/x-www-form-urlencoded: {schema: {type: object, required: [token], properties: {token: {type: string}}}}}}\n", name)
		default:
			fmt.Fprintf(b, "    %s: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/%s'}}}}\n", name, name)
		}
	}
	b.WriteString("  responses:\n    Done: {description: It is done.}\n")
	for _, name := range sortedKeys(outs) {
		if name != "" {
			fmt.Fprintf(b, "    %s: {description: %q, content: {application/json: {schema: {$ref: '#/components/schemas/%s'}}}}\n", name, describe(name), name)
		}
	}
}

func describe(name string) string {
	switch {
	case name == "Error":
		return "What is wrong."
	case strings.HasSuffix(name, "Page"):
		return "A list."
	case strings.HasSuffix(name, "Batch"):
		return "The result of a batch."
	}
	return "What was asked for."
}

func TestOpenAPIIsTrue(t *testing.T) {
	doc := document(t)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile("openapi.yaml", doc, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(doc, OpenAPI()) {
		t.Error("openapi.yaml isn't what the routes and types say: run the test with -update")
	}
}

func TestOpenAPILoads(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	router := newRouter(routes())
	seen, names := map[*route]bool{}, map[string]bool{}
	for path, item := range doc.Paths.Map() {
		concrete := strings.ReplaceAll(path, "{apiVersion}", "2026-03")
		for method, op := range item.Operations() {
			methods, _ := router.find(concrete)
			if methods[method] == nil {
				t.Errorf("%s %s is in the document and not served", method, path)
				continue
			}
			seen[methods[method]] = true
			if op.OperationID == "" || names[op.OperationID] {
				t.Errorf("%s %s: operationId %q is missing or taken", method, path, op.OperationID)
			}
			names[op.OperationID] = true
			if op.Summary == "" || len(op.Tags) != 1 || op.Security == nil || op.Responses.Len() < 2 {
				t.Errorf("%s %s lacks a summary, a tag, its security or a response", method, path)
			}
		}
	}
	for _, methods := range allRoutes(router.root) {
		if !seen[methods] {
			t.Errorf("%s %s is served and not in the document", methods.method, methods.path)
		}
	}
	declared := doc.Components.SecuritySchemes["service_keys"].Value.Flows.ClientCredentials.Scopes
	for _, o := range documented() {
		for _, s := range o.scopes {
			if declared[s] == "" && !o.need.public {
				t.Errorf("%s %s asks for %s, which isn't declared", o.method, o.path, s)
			}
		}
		if len(o.scopes) > 64 {
			t.Errorf("%s %s has %d alternatives, more than a gateway reads", o.method, o.path, len(o.scopes))
		}
		if len(o.scopes) == 0 && !o.need.public {
			t.Errorf("%s %s asks for no scope", o.method, o.path)
		}
	}
}

func allRoutes(n *node) (out []*route) {
	for _, r := range n.routes {
		out = append(out, r)
	}
	for _, next := range n.fixed {
		out = append(out, allRoutes(next)...)
	}
	for _, next := range n.params {
		out = append(out, allRoutes(next)...)
	}
	return out
}
