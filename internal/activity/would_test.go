package activity_test

import (
	"slices"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// What a narrowing that is being tried would have refused is kept with the call,
// which counts as allowed all the same, and can be asked for.
func TestWouldRefuseIsKept(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		l.Record(call(t0, by(keyA, 1), path(1)))
		l.Record(call(t0, by(keyA, 1), path(2), used("a.read"), func(e *postern.Event) {
			e.Decision.Would, e.Missing = postern.ReasonInsufficientScope, "a.read"
		}))
		flush(t, l)
		got := all(t, l, activity.Filter{Account: acme, Would: true}, 10)
		if len(got) != 1 || !got[0].Allowed || got[0].Would != postern.ReasonInsufficientScope || !slices.Equal(got[0].Missing, []postern.Scope{"a.read"}) {
			t.Fatalf("the calls that would be refused are %+v, want the second alone, allowed, lacking a.read", got)
		}
		needs, err := l.Needs(ctx, acme, keyA, t0.AddDate(0, 0, -1), t0.AddDate(0, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needs {
			if !n.Allowed {
				t.Errorf("%+v counts as refused", n)
			}
		}
	})
}
