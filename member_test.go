package postern

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		grants    Grants
		scope     Scope
		sensitive bool
		want      bool
	}{
		{nil, "deals.read", false, false},
		{Grants{"deals.read"}, "deals.read", false, true},
		{Grants{"deals.read"}, "deals.read", true, true},
		{Grants{"deals.read"}, "deals.write", false, false},
		{Grants{"deals.*"}, "deals.read", false, true},
		{Grants{"deals.*"}, "deals.bulk.read", false, true},
		{Grants{"deals.*"}, "deals", false, false},
		{Grants{"deals.*"}, "dealsx.read", false, false},
		{Grants{"deals.*"}, "deals.read", true, false},
		{Grants{"*"}, "deals.read", false, true},
		{Grants{"*"}, "deals.read", true, false},
		{Grants{"**"}, "deals.read", true, true},
		{Grants{"**"}, "bad scope", false, false},
		{Grants{"*"}, "", false, false},
	} {
		if got := c.grants.Covers(c.scope, c.sensitive); got != c.want {
			t.Errorf("%v covers %q (sensitive %v): %v", c.grants, c.scope, c.sensitive, got)
		}
	}
}

// Who may hand out a pattern may hand out every scope that it covers.
func TestCoversGrantsIsSound(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "ab"})
	scope := rapid.Custom(func(t *rapid.T) string {
		s := part.Draw(t, "part")
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			s += "." + part.Draw(t, "part")
		}
		return s
	})
	pattern := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 5).Draw(t, "form") {
		case 0:
			return "*"
		case 1:
			return GrantAll
		case 2, 3:
			return scope.Draw(t, "scope") + ".*"
		}
		return scope.Draw(t, "scope")
	})
	grants := rapid.Custom(func(t *rapid.T) Grants { return rapid.SliceOfN(pattern, 0, 3).Draw(t, "patterns") })
	rapid.Check(t, func(t *rapid.T) {
		have, give := grants.Draw(t, "have"), grants.Draw(t, "give")
		s, sensitive := Scope(scope.Draw(t, "scope")), rapid.Bool().Draw(t, "sensitive")
		if have.CoversGrants(give) && give.Covers(s, sensitive) && !have.Covers(s, sensitive) {
			t.Fatalf("%v may hand out %v, and so %s (sensitive %v), which it doesn't cover", have, give, s, sensitive)
		}
		if !have.CoversGrants(have) {
			t.Fatalf("%v doesn't cover itself", have)
		}
	})
}

func TestValidGrant(t *testing.T) {
	for p, want := range map[string]bool{"*": true, "**": true, "a.*": true, "a.b": true, "a*": false, "*.a": false, ".*": false, "a.*.b": false, "***": false, "a b": false, "": false} {
		if got := ValidGrant(p); got != want {
			t.Errorf("ValidGrant(%q) = %v", p, got)
		}
	}
}

func TestMayGrant(t *testing.T) {
	manager, _ := BuiltinRole(RoleKeyManager)
	admin, _ := BuiltinRole(RoleSuperAdmin)
	sensitive := func(s Scope) bool { return s == "money.move" }
	want := []Scope{"deals.read", "money.move", PermVerify}
	for _, c := range []struct {
		name    string
		member  Member
		missing []Scope
	}{
		{"a key manager", Member{Role: manager}, []Scope{"money.move", PermVerify}},
		{"a key manager with scopes of their own", Member{Role: manager, Scopes: Grants{"money.move"}}, []Scope{"deals.read", PermVerify}},
		{"a key manager with none", Member{Role: manager, Scopes: Grants{}}, []Scope{"deals.read", "money.move", PermVerify}},
		{"a super admin", Member{Role: admin}, nil},
		{"one who was removed", Member{Role: admin, RemovedAt: time.Unix(1, 0)}, []Scope{"deals.read", "money.move", PermVerify}},
		{"every scope, and not the permission", Member{Role: manager, Scopes: Grants{GrantAll}}, []Scope{PermVerify}},
	} {
		if got := MayGrant(&c.member, want, sensitive); !slices.Equal(got, c.missing) {
			t.Errorf("%s lacks %v, want %v", c.name, got, c.missing)
		}
	}
}

func TestMayAppoint(t *testing.T) {
	role := func(id RoleID) Role { r, _ := BuiltinRole(id); return r }
	security, admin := Member{Role: role(RoleSecurityAdmin)}, Member{Role: role(RoleSuperAdmin)}
	if !MayAppoint(&admin, role(RoleSuperAdmin), nil) {
		t.Error("a super admin can't appoint another")
	}
	if !MayAppoint(&security, role(RoleViewer), nil) {
		t.Error("a security admin can't appoint a viewer")
	}
	for _, r := range []RoleID{RoleSuperAdmin, RoleKeyManager, RoleDeveloper} {
		if MayAppoint(&security, role(r), nil) {
			t.Errorf("a security admin, who grants no scopes, appoints a %s", r)
		}
	}
	if MayAppoint(&security, role(RoleViewer), Grants{"deals.read"}) {
		t.Error("a security admin hands out a scope")
	}
}
