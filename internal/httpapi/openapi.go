package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
)

// permSelf is what every personal access key may do: ask who it is, and look
// after its member's own keys. It is implicit, so it is never given to anyone.
const permSelf postern.Permission = "postern.self"

// The security schemes of the document.
const (
	schemePersonal = "personalAccessKey"
	schemeAny      = "credential"
)

// scopeWords are Postern's own scopes in words.
var scopeWords = []struct {
	scope  postern.Permission
	group  string
	access postern.Access
	words  string
}{
	{postern.PermKeysRead, "Service keys", postern.AccessRead, "See service keys, never their secrets"},
	{postern.PermKeysWrite, "Service keys", postern.AccessWrite, "Make, change and rotate service keys"},
	{postern.PermKeysRevoke, "Service keys", postern.AccessWrite, "Pause, revoke and delete service keys"},
	{postern.PermMembersRead, "Members", postern.AccessRead, "See members and roles"},
	{postern.PermMembersWrite, "Members", postern.AccessWrite, "Invite, change and remove members, and change roles"},
	{postern.PermCatalogRead, "Scope catalog", postern.AccessRead, "See scopes, upstreams and their operations"},
	{postern.PermCatalogWrite, "Scope catalog", postern.AccessWrite, "Set upstreams and load their catalogs"},
	{postern.PermActivityRead, "Activity and audit", postern.AccessRead, "See what credentials did"},
	{postern.PermAuditRead, "Activity and audit", postern.AccessRead, "See the audit log"},
	{postern.PermAccountRead, "Account", postern.AccessRead, "See the account"},
	{postern.PermAccountWrite, "Account", postern.AccessWrite, "Change the account"},
	{postern.PermAccountsWrite, "Account", postern.AccessWrite, "Make, change and suspend the accounts of this server"},
	{postern.PermVerify, "Verification", postern.AccessRead, "Learn why a credential of the account was refused"},
	{postern.PermAppsRead, "Apps", postern.AccessRead, "See apps"},
	{postern.PermAppsWrite, "Apps", postern.AccessWrite, "Upload and change apps"},
	{permSelf, "Yourself", postern.AccessWrite, "See who you are, and look after your own personal access keys"},
}

// documentConfig is huma's configuration, and the document without its operations.
func documentConfig() huma.Config {
	cfg := huma.DefaultConfig("Postern", "1")
	cfg.CreateHooks = nil // no $schema links: they would trust the Host header
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.RejectUnknownQueryParameters = true
	jsonFormat := huma.Format{Marshal: encode, Unmarshal: decode}
	cfg.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	cfg.Info.Description = "Service keys for any HTTP API. Every operation names the scope of Postern that it needs; " +
		"the personal access key of a member who has it is sent as a bearer. Failures are problems of RFC 9457."
	words := map[string]any{}
	for _, w := range scopeWords {
		entry := map[string]any{"group": w.group, "access": w.access, "words": w.words}
		if w.scope == permSelf {
			entry["implicit"] = true
		}
		words[string(w.scope)] = entry
	}
	cfg.Extensions = map[string]any{"x-postern-scopes": words}
	kinds := func(kinds ...postern.Kind) map[string]any {
		var names []string
		for _, k := range kinds {
			names = append(names, k.String())
		}
		return map[string]any{"x-postern-kinds": names}
	}
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		schemePersonal: {Type: "http", Scheme: "bearer", Description: "A member's personal access key.", Extensions: kinds(postern.KindPersonal)},
		schemeAny: {Type: "http", Scheme: "bearer", Description: "A service key with the scope postern.verify, or a member's personal access key.",
			Extensions: kinds(postern.KindServiceKey, postern.KindPersonal)},
	}
	// What a change may leave out is, in the document, what it holds.
	alias := func(t, as reflect.Type) { cfg.Components.Schemas.RegisterTypeAlias(t, as) }
	alias(reflect.TypeFor[api.Optional[time.Time]](), reflect.TypeFor[time.Time]())
	alias(reflect.TypeFor[api.Optional[string]](), reflect.TypeFor[string]())
	alias(reflect.TypeFor[api.Optional[[]string]](), reflect.TypeFor[[]string]())
	alias(reflect.TypeFor[api.Optional[api.RateLimit]](), reflect.TypeFor[api.RateLimit]())
	return cfg
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

var useProblemsOnce sync.Once

// operations registers all operations, and gives their handler and the document.
func (s *server) operations() (http.Handler, []byte, error) {
	useProblemsOnce.Do(useProblems)
	mux := http.NewServeMux()
	a := humago.New(mux, documentConfig())
	a.UseMiddleware(s.sameOperation)
	s.register(a)
	describeForeign(a.OpenAPI())
	nullableRate(a.OpenAPI())
	document, err := json.Marshal(a.OpenAPI())
	if err != nil {
		return nil, nil, fmt.Errorf("httpapi: the OpenAPI document: %w", err)
	}
	return mux, document, nil
}

// nullableRate lets a change of a key say null for its rate limit: huma's own
// tags can't say that of an object.
func nullableRate(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	rate := *schemas["RateLimit"]
	rate.Nullable = true
	rate.Description = "null: the server's default."
	schemas["EditServiceKey"].Properties["rateLimit"] = &rate
}

// own is the document and the catalog of this API: the same for every server.
var own = sync.OnceValues(func() (*catalog.Catalog, error) {
	s := &server{}
	_, document, err := s.operations()
	if err != nil {
		return nil, err
	}
	cat, report, err := catalog.Parse(context.Background(), []catalog.Source{{Name: "openapi.json", Data: document}},
		catalog.Options{Upstream: keyring.ReservedUpstream})
	if err != nil {
		return nil, fmt.Errorf("httpapi: the catalog of this API: %w", err)
	}
	if !report.Clean() {
		return nil, fmt.Errorf("httpapi: the catalog of this API has findings: %v %v %v", report.Problems, report.Uncovered, report.Undeclared)
	}
	return cat, nil
})

// OwnCatalog is the catalog of Postern's own API, read from the document that it
// serves. The verifier decides every management request by it.
func OwnCatalog() (*catalog.Catalog, error) { return own() }
