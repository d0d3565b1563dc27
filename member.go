package postern

import (
	"slices"
	"strings"
	"time"
)

// Account is the tenant that owns everything else.
type Account struct {
	ID       AccountID
	Number   int64 // public number, as in HubSpot's portal id
	Name     string
	TimeZone string // IANA name; the daily limit starts anew at its midnight
	// Operator is true for the account whose members run this server: they alone
	// load catalogs, set upstreams and make accounts.
	Operator    bool
	SuspendedAt time.Time // zero while it isn't
	// DailyLimit is the most calls a day of all its credentials together; 0 is none.
	DailyLimit int64
	CreatedAt  time.Time
	Revision   int64
	// Altered is true where the record was changed by other means than Postern. It
	// then counts as suspended, and operates nothing.
	Altered bool
}

// OwnScopes is how the names of Postern's own scopes start.
const OwnScopes = "postern."

// Permission is something that a member may do in Postern. Permissions are
// Postern's own scopes, which protect its management API.
type Permission = Scope

// The permissions.
const (
	PermKeysRead      Permission = "postern.keys.read"
	PermKeysWrite     Permission = "postern.keys.write"  // create, edit, rotate
	PermKeysRevoke    Permission = "postern.keys.revoke" // pause, revoke, delete
	PermMembersRead   Permission = "postern.members.read"
	PermMembersWrite  Permission = "postern.members.write"
	PermCatalogRead   Permission = "postern.catalog.read"
	PermCatalogWrite  Permission = "postern.catalog.write" // load catalogs, set upstreams; the operator's account only
	PermActivityRead  Permission = "postern.activity.read"
	PermAuditRead     Permission = "postern.audit.read"
	PermAccountRead   Permission = "postern.account.read"
	PermAccountWrite  Permission = "postern.account.write"
	PermAccountsWrite Permission = "postern.accounts.write" // make and suspend accounts; the operator's account only
	PermVerify        Permission = "postern.verify"         // ask why a credential of this account was refused
	PermAppsRead      Permission = "postern.apps.read"
	PermAppsWrite     Permission = "postern.apps.write"
)

// Permissions lists every permission.
func Permissions() []Permission {
	return []Permission{PermKeysRead, PermKeysWrite, PermKeysRevoke, PermMembersRead, PermMembersWrite,
		PermCatalogRead, PermCatalogWrite, PermActivityRead, PermAuditRead, PermAccountRead, PermAccountWrite,
		PermAccountsWrite, PermVerify, PermAppsRead, PermAppsWrite}
}

// Role is a named set of permissions and of the scopes that its members hold.
type Role struct {
	ID          RoleID
	AccountID   AccountID // empty for a built-in role
	Name        string
	Words       string // what it is for
	Permissions []Permission
	Grants      Grants
	Revision    int64
	Altered     bool // changed by other means than Postern: it holds nothing
}

// The built-in roles.
const (
	RoleSuperAdmin    RoleID = "super_admin"
	RoleSecurityAdmin RoleID = "security_admin"
	RoleKeyManager    RoleID = "key_manager"
	RoleDeveloper     RoleID = "developer"
	RoleViewer        RoleID = "viewer"
)

// BuiltinRoles are the roles that every account has. They can't be changed.
func BuiltinRoles() []Role {
	read := []Permission{PermKeysRead, PermCatalogRead, PermActivityRead, PermAccountRead}
	with := func(more ...Permission) []Permission { return append(slices.Clone(read), more...) }
	return []Role{
		{ID: RoleSuperAdmin, Name: "Super admin", Words: "May do everything in the account, and holds every scope.",
			Permissions: Permissions(), Grants: Grants{GrantAll}},
		{ID: RoleSecurityAdmin, Name: "Security admin", Words: "Sees everything, pauses and revokes keys, looks after members; grants no scopes.",
			Permissions: with(PermKeysRevoke, PermMembersRead, PermMembersWrite, PermAuditRead, PermVerify)},
		{ID: RoleKeyManager, Name: "Key manager", Words: "Makes, rotates and ends service keys with the scopes that they hold.",
			Permissions: with(PermKeysWrite, PermKeysRevoke, PermMembersRead), Grants: Grants{"*"}},
		{ID: RoleDeveloper, Name: "Developer", Words: "Makes service keys and apps with the scopes that they hold.",
			Permissions: with(PermKeysWrite, PermKeysRevoke, PermAppsRead, PermAppsWrite, PermVerify), Grants: Grants{"*"}},
		{ID: RoleViewer, Name: "Viewer", Words: "Sees keys, scopes and activity; changes nothing.", Permissions: read},
	}
}

// BuiltinRole finds a built-in role.
func BuiltinRole(id RoleID) (Role, bool) {
	for _, r := range BuiltinRoles() {
		if r.ID == id {
			return r, true
		}
	}
	return Role{}, false
}

// Member is a person in an account.
type Member struct {
	ID        MemberID
	AccountID AccountID
	Email     string
	Name      string
	Role      Role
	// Scopes, where not nil, is what the member holds instead of the role's Grants.
	Scopes    Grants
	CreatedAt time.Time
	RemovedAt time.Time // zero while they are a member
	Revision  int64
	// Altered is true where the record, or that of the role, was changed by other
	// means than Postern. Such a member can do nothing.
	Altered bool
}

// Holds are the scopes that the member holds and so may grant.
func (m *Member) Holds() Grants {
	if !m.RemovedAt.IsZero() || m.Altered {
		return nil
	}
	if m.Scopes != nil {
		return m.Scopes
	}
	return m.Role.Grants
}

// Can reports whether the member may do something in Postern.
func (m *Member) Can(p Permission) bool {
	return m.RemovedAt.IsZero() && !m.Altered && slices.Contains(m.Role.Permissions, p)
}

// MayGrant is the rule of containment: it gives the scopes of want that the
// member does not hold, sorted; none means that they may grant them all.
// sensitive says of a scope whether only holding it by name counts.
func MayGrant(m *Member, want []Scope, sensitive func(Scope) bool) (missing []Scope) {
	held := m.Holds()
	for _, s := range want {
		may := held.Covers(s, sensitive(s))
		if strings.HasPrefix(string(s), OwnScopes) {
			// Postern's own scopes are permissions: they come with a role, never with a pattern.
			may = m.Can(s)
		}
		if !may {
			missing = append(missing, s)
		}
	}
	return SortScopes(missing)
}

// MayAppoint reports whether by may give someone a role and scopes: nobody hands
// out a permission or a scope that they lack. The scopes of Postern itself come
// with the role.
func MayAppoint(by *Member, role Role, scopes Grants) bool {
	for _, p := range role.Permissions {
		if !by.Can(p) {
			return false
		}
	}
	held := role.Grants
	if scopes != nil {
		held = scopes
	}
	return by.Holds().CoversGrants(held)
}
