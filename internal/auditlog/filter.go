package auditlog

import (
	"slices"
	"time"

	"postern.dev/postern/api"
)

// Filter says which entries an export gives. What is empty asks nothing.
type Filter struct {
	Action, Object, Result string
	Actor                  string    // a member, a credential, or a part of the system
	Since, Until           time.Time // Until is the first moment that is too late
}

// Wants reports whether an entry, as it is told, passes.
func (f *Filter) Wants(e *api.AuditEntry) bool {
	is := func(want string, have ...string) bool { return want == "" || slices.Contains(have, want) }
	return is(f.Action, e.Action) && is(f.Object, e.Object) && is(f.Result, e.Result) && is(f.Actor, e.Actor.MemberID, e.Actor.KeyID, e.Actor.System) &&
		(f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until))
}
