package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// When there are too many scope names, what has no room is not held, and not allowed.
func TestTooManyScopes(t *testing.T) {
	w := newWorld(t)
	for i := 0; i < verify.MaxScopes; i += 4000 {
		w.key(func(r *postern.CredentialRow) {
			for j := range 4000 {
				r.Scopes = append(r.Scopes, postern.Scope(fmt.Sprintf("filler.%d", i+j)))
			}
		})
	}
	if n := w.v.Stats().ScopeNames; n != verify.MaxScopes {
		t.Fatalf("%d scope names, want %d", n, verify.MaxScopes)
	}
	late, _ := w.key(func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"deals.read", "too.late"} })
	w.want(get(late, "GET", "/deals"), postern.ReasonAllowed)
	w.want(&verify.Request{Secret: late, Scopes: []postern.Scope{"too.late"}, RemoteIP: home}, postern.ReasonInsufficientScope)
	if w.v.Stats().BadRows == 0 {
		t.Error("Stats tells of no row with scopes that have no room")
	}
	// A catalog whose scopes have no room opens nothing.
	next := dealsCatalog()
	next.Operations[0].Ways[0].Scopes = []postern.Scope{"new.scope"}
	w.catchUp(w.store.commit(postern.ChangeCatalog, string(crm), func() { w.store.catalogs[crm] = next; w.store.ups[0].Catalog = 2 }))
	w.want(get(late, "GET", "/deals"), postern.ReasonUnknownOperation)
}

func TestTooManyScopesOfOneKey(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key(func(r *postern.CredentialRow) {
		for i := range 5000 {
			r.Scopes = append(r.Scopes, postern.Scope(fmt.Sprintf("filler.%d", i)))
		}
	})
	w.want(get(secret, "GET", "/deals"), postern.ReasonUnknownKey)
}

func TestNew(t *testing.T) {
	if _, err := verify.New(verify.Config{}); err == nil || !strings.Contains(err.Error(), "pepper") {
		t.Errorf("New without anything = %v", err)
	}
	w := newWorld(t)
	if a, b := w.v.Node(), w.node().Node(); a == b || a == "" {
		t.Errorf("two nodes are called %q and %q", a, b)
	}
}
