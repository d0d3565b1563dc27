package httpapi_test

import (
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/httpapi"
)

// Postern is its own first customer: the document that it serves is a catalog
// without findings, and each operation names its scopes and who may use them.
func TestOwnCatalog(t *testing.T) {
	cat, err := httpapi.OwnCatalog()
	if err != nil {
		t.Fatal(err)
	}
	if cat.Upstream != "postern" || len(cat.Operations) < 40 {
		t.Errorf("catalog of %q with %d operations", cat.Upstream, len(cat.Operations))
	}
	if _, err := catalog.Compile(cat, func(postern.Scope) postern.ScopeID { return 1 }); err != nil {
		t.Error(err)
	}
	public := map[string]bool{"setUp": true, "acceptInvitation": true, "checkFoundSecret": true, "reportFoundSecret": true, "revokeFoundSecret": true, "healthz": true, "readyz": true, "verify": true}
	for _, op := range cat.Operations {
		if op.Public != public[op.Name] {
			t.Errorf("%s public = %v", op.Name, op.Public)
		}
		for _, w := range op.Ways {
			if !w.Kinds.Has(postern.KindPersonal) || w.Kinds.Has(postern.KindServiceKey) != (op.Name == "introspect") {
				t.Errorf("%s admits %v", op.Name, w.Kinds.List())
			}
		}
	}
	for _, p := range postern.Permissions() {
		if sc, ok := cat.Scope(p); !ok || sc.Words == "" || sc.Group == "" || sc.Implicit {
			t.Errorf("scope %s = %+v", p, sc)
		}
	}
}
