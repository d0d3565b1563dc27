package httpapi_test

import (
	"database/sql"
	"net/http"
	"testing"

	"postern.dev/postern/api"
)

// Nothing of a policy that was altered outside of Postern is believed. A change of
// one field must not leave the rest at no, as if somebody had chosen that.
func TestAnAlteredPolicyIsSaidAnew(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		yes, no, days := true, false, 90
		must(w.super.EditPolicy(ctx, api.EditPolicy{RequireExpiry: &yes, LongestLife: &days}))(t)
		if err := w.db.Pool.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec("update policies set changed_at = changed_at + 1")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if p := must(w.super.Policy(ctx))(t); !p.Altered || p.RequireExpiry {
			t.Fatalf("the policy is %+v, want nothing of it believed", p)
		}
		if a := w.send("PATCH", "/v1/policy", w.secret, `{"idleAfter":30}`); a.status != http.StatusConflict {
			t.Errorf("one field = %d %s, want a conflict", a.status, a.body)
		}
		if p := must(w.super.Policy(ctx))(t); !p.Altered {
			t.Errorf("then it is %+v, want it altered still", p)
		}
		if p := must(w.super.EditPolicy(ctx, api.EditPolicy{RequireExpiry: &yes, LongestLife: &days, WriteNetworks: &no}))(t); p.Altered || !p.RequireExpiry || p.LongestLife != 90 {
			t.Errorf("said anew it is %+v", p)
		}
	})
}
