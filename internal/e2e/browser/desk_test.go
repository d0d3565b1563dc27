package browser

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/demo"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

// desk is a server with the demo's company, and a key and a person in each state.
type desk struct {
	*server
	account postern.Account
	people  map[string]postern.Member // by first name
	keys    map[string]postern.ServiceKey
	invited keyring.Invited
	role    postern.Role
	other   postern.Account
	rotate  store.Campaign
	old     map[string]string // the move's items, by name
	calls   []oldCall         // of the tools that are on the move
}

// office is the desk that tests share.
func office(t testing.TB) *desk {
	t.Helper()
	shared.deskOnce.Do(func() {
		d := &desk{people: map[string]postern.Member{}, keys: map[string]postern.ServiceKey{}}
		d.server, shared.deskErr = launch("desk", d.fill)
		if shared.deskErr == nil {
			d.callOn(t)
		}
		shared.desk = d
	})
	if shared.deskErr != nil {
		t.Fatal(shared.deskErr)
	}
	return shared.desk
}

func (d *desk) fill(ctx context.Context, n *node.Node) (err error) {
	now := time.Now().UTC()
	if _, err := demo.Prepare(ctx, n, now); err != nil {
		return err
	}
	all, err := n.DB.Accounts(ctx)
	if err != nil {
		return err
	}
	d.account = all[0]
	members, err := n.DB.Members(ctx, d.account.ID, false)
	if err != nil {
		return err
	}
	for _, m := range members {
		first, _, _ := strings.Cut(m.Name, " ")
		d.people[first] = m
	}
	by := d.as("Ada")
	for name, in := range map[string]keyring.NewKey{
		"paused-import": {Scopes: []postern.Scope{"crm.objects.contacts.read"}},
		"ended-export":  {Scopes: []postern.Scope{"crm.objects.deals.read"}},
		"rotating-sync": {Scopes: []postern.Scope{"crm.objects.deals.read", "crm.objects.companies.read"}, ExpiresAt: now.AddDate(0, 3, 0)},
		"soon-over":     {Scopes: []postern.Scope{"crm.objects.deals.read"}, ExpiresAt: now.AddDate(0, 0, 6)},
		"never-used":    {Scopes: []postern.Scope{"crm.objects.deals.read"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		longName:        {Scopes: []postern.Scope{"crm.objects.deals.read"}},
	} {
		in.Name = name
		if _, err := n.Keyring.CreateKey(ctx, by, in); err != nil {
			return err
		}
	}
	have, err := n.Keyring.Keys(ctx, by, store.KeyFilter{}, store.Cursor{}, 100)
	if err != nil {
		return err
	}
	for _, k := range have {
		d.keys[k.Name] = k
	}
	paused := true
	if _, err := n.Keyring.EditKey(ctx, by, d.keys["paused-import"].ID, keyring.KeyEdit{Paused: &paused}); err != nil {
		return err
	}
	if _, err := n.Keyring.NarrowKey(ctx, by, d.keys["soon-over"].ID, keyring.Narrowing{Scopes: &[]postern.Scope{}, Watch: true}); err != nil {
		return err
	}
	if _, err := n.Keyring.RevokeKey(ctx, by, d.keys["ended-export"].ID, "The export moved to another tool."); err != nil {
		return err
	}
	if _, err := n.Keyring.RotateKey(ctx, by, d.keys["rotating-sync"].ID, keyring.Rotation{Grace: 7 * 24 * time.Hour}); err != nil {
		return err
	}
	d.rotate, err = n.Keyring.StartCampaign(ctx, by, keyring.NewCampaign{Name: "After the laptop was lost", Deadline: now.AddDate(0, 0, 5),
		Choice: keyring.CampaignChoice{IDs: []postern.KeyID{d.keys["support-bot"].ID, d.keys["never-used"].ID, d.keys["soon-over"].ID}}})
	if err != nil {
		return err
	}
	d.role, err = n.Keyring.CreateRole(ctx, by, keyring.RoleInput{Name: "Data team", Words: "Makes keys that read.",
		Permissions: []postern.Permission{postern.PermKeysRead, postern.PermKeysWrite}, Grants: postern.Grants{"crm.objects.deals.read"}})
	if err != nil {
		return err
	}
	d.invited, err = n.Keyring.InviteMember(ctx, by, keyring.NewMember{Email: "ivo@larkspur.example", Name: "Ivo Brandt", RoleID: postern.RoleDeveloper})
	if err != nil {
		return err
	}
	var kit keyring.Invited
	d.other, kit, err = n.Keyring.CreateAccount(ctx, by, keyring.NewAccount{Name: "Bramble Tools", AdminEmail: "kit@bramble.example", AdminName: "Kit Moss"})
	if err != nil {
		return err
	}
	if _, err := n.Keyring.AcceptInvitation(ctx, kit.Invitation.Reveal(), postern.Actor{}); err != nil {
		return err
	}
	d.people["Kit"] = kit.Member
	if err := d.move(ctx, n); err != nil {
		return err
	}
	for _, role := range postern.BuiltinRoles() {
		inv, err := n.Keyring.InviteMember(ctx, by, keyring.NewMember{Email: string(role.ID) + "@larkspur.example", Name: "Role " + role.Name, RoleID: role.ID})
		if err != nil {
			return err
		}
		// They are in once they accepted.
		if _, err := n.Keyring.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{}); err != nil {
			return err
		}
		d.people[string(role.ID)] = inv.Member
	}
	return nil
}

// as is a member of the desk, as who changes something.
func (d *desk) as(name string) postern.Actor {
	m := d.people[name]
	return postern.Actor{AccountID: m.AccountID, MemberID: m.ID, IP: "198.51.100.7"}
}

func (d *desk) in(t testing.TB, name string) *tab { return d.login(t, d.people[name].ID) }

// longName is as wide as a key's name may be.
var longName = strings.Repeat("w", 64)
