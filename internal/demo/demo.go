// Package demo makes the account that postern demo shows: a made-up company in
// the CRM, three members with different rights, a few service keys, what these did
// in the two weeks before, and a move off old credentials that is in its middle.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
)

// Shown is what the demo tells whoever started it. Its secrets are shown to
// them and nowhere else.
type Shown struct {
	Account   string
	Summary   string
	People    []Person // a super admin first
	KeyName   string
	KeyScope  postern.Scope
	KeySecret postern.Secret
	Logs      string // the folder with sample logs
}

// Person is a member whom one can be.
type Person struct {
	Name   string
	May    string         // what they may do, in a few words
	Secret postern.Secret // a personal access key
}

const (
	company = "Larkspur Instruments"
	noor    = "noor@larkspur.example"
	sam     = "sam@larkspur.example"
	keyName = "nightly-deals-sync"
	scope   = postern.Scope("crm.objects.deals.read")
)

// Prepare makes what the demo shows, or finds it from an earlier start. The
// secrets of an earlier start are never known again, so the demo's own key and
// personal access key are made anew.
func Prepare(ctx context.Context, n *node.Node, now time.Time) (s Shown, err error) {
	fresh, err := n.Keyring.NeedsSetup(ctx)
	if err != nil {
		return s, err
	}
	if fresh {
		if err := people(ctx, n); err != nil {
			return s, err
		}
	}
	admin, account, err := find(ctx, n)
	if err != nil {
		return s, err
	}
	sum, err := n.Seed(ctx, account.ID, now)
	if err != nil {
		return s, fmt.Errorf("demo: fill the CRM: %w", err)
	}
	by := postern.Actor{AccountID: account.ID, MemberID: admin.ID, System: ""}
	var own postern.Secret
	if fresh {
		if own, err = keys(ctx, n, by, now); err != nil {
			return s, err
		}
	}
	s = Shown{Account: account.Name, Summary: fmt.Sprintf("%d contacts, %d companies, %d deals", sum.Contacts, sum.Companies, sum.Deals),
		KeyName: keyName, KeyScope: scope}
	// At the first start the secret is the one that the calls of the past were made with,
	// so that a rotation has callers to wait for.
	if s.KeySecret = own; own.Zero() {
		if s.KeySecret, err = ownKey(ctx, n, by); err != nil {
			return s, err
		}
	}
	s.Logs = filepath.Join(n.Config.Data, "sample-logs")
	if s.People, err = persons(ctx, n, admin, now); err != nil || !fresh {
		return s, err
	}
	callers, err := past(ctx, n, account)
	if err != nil {
		return s, err
	}
	moving, more, err := migration(ctx, n, by, account, now)
	if err != nil {
		return s, err
	}
	if err := recordAll(ctx, n, append(callers, more...), now); err != nil {
		return s, err
	}
	return s, sampleLogs(s.Logs, moving, now)
}

// persons gives the demo's members personal access keys. Those who were removed
// meanwhile are left out.
func persons(ctx context.Context, n *node.Node, admin postern.Member, now time.Time) (out []Person, err error) {
	all, err := n.DB.Members(ctx, admin.AccountID, false)
	if err != nil {
		return nil, err
	}
	may := map[string]string{noor: "makes keys, with scopes for deals and a few others", sam: "sees keys and activity, and changes nothing"}
	for _, m := range append([]postern.Member{admin}, all...) {
		p := Person{Name: m.Name, May: may[m.Email]}
		if m.ID == admin.ID {
			p.May = "may do everything"
		}
		if p.May == "" || m.ID == admin.ID && len(out) > 0 {
			continue
		}
		by := postern.Actor{AccountID: m.AccountID, MemberID: m.ID}
		if p.Secret, err = ownPersonalKey(ctx, n, by, now); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// people makes the account and its three members.
func people(ctx context.Context, n *node.Node) error {
	done, err := n.Keyring.Setup(ctx, keyring.SetupInput{AccountName: company, TimeZone: "Europe/London", Email: "ada@larkspur.example", Name: "Ada Marsh"})
	if err != nil {
		return err
	}
	by := postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	limit := int64(250_000)
	if _, err := n.Keyring.EditAccount(ctx, by, done.Account.ID, keyring.AccountEdit{DailyLimit: &limit}); err != nil {
		return err
	}
	for _, m := range []keyring.NewMember{
		{Email: noor, Name: "Noor Haddad", RoleID: postern.RoleKeyManager,
			Scopes: postern.Grants{"crm.objects.deals.read", "crm.objects.deals.write", "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.owners.read"}},
		{Email: sam, Name: "Sam Whitlock", RoleID: postern.RoleViewer},
	} {
		if _, err := n.Keyring.InviteMember(ctx, by, m); err != nil {
			return err
		}
	}
	return nil
}

// find finds the demo's account and super admin.
func find(ctx context.Context, n *node.Node) (m postern.Member, a postern.Account, err error) {
	all, err := n.DB.Accounts(ctx)
	if err != nil {
		return m, a, err
	}
	for _, a := range all {
		admins, err := n.DB.RoleMembers(ctx, a.ID, postern.RoleSuperAdmin)
		if err != nil {
			return m, a, err
		}
		if a.Operator && len(admins) > 0 {
			return admins[0], a, nil
		}
	}
	return m, a, errors.New("demo: this data directory has no account with a super admin; use an empty one")
}

// keys makes the service keys that a company like this has. They were made before
// their calls of the past, so that there is something to say of what they don't need.
// The secret of the demo's own key is given back.
func keys(ctx context.Context, n *node.Node, by postern.Actor, now time.Time) (own postern.Secret, err error) {
	then := now.AddDate(0, 0, -pastDays-7)
	kr := n.Keyring.WithClock(func() time.Time { return then })
	for _, k := range []keyring.NewKey{
		{Name: keyName, Description: "Copies deals to the warehouse every night.", Scopes: []postern.Scope{scope}},
		{Name: "power-bi-sales", Description: "The sales dashboard.", ExpiresAt: now.AddDate(0, 6, 0),
			Scopes: []postern.Scope{"crm.objects.companies.read", "crm.objects.deals.read", "crm.objects.owners.read"}},
		{Name: "stock-levels-to-erp", Description: "Writes stock levels from the warehouse into products.", ExpiresAt: now.AddDate(1, 0, 0),
			Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}, Rate: postern.Rate{Calls: 20, Per: 10 * time.Second},
			Scopes: []postern.Scope{"crm.objects.products.read", "crm.objects.products.write"}},
		{Name: "support-bot", Description: "Opens tickets from the help page.", Scopes: []postern.Scope{"crm.objects.contacts.read", "tickets"}},
	} {
		made, err := kr.CreateKey(ctx, by, k)
		if err != nil {
			return own, fmt.Errorf("demo: key %s: %w", k.Name, err)
		}
		if k.Name == keyName {
			own = made.Secret
		}
	}
	return own, nil
}

// ownKey gives the demo's own key a new secret, and ends the one before.
func ownKey(ctx context.Context, n *node.Node, by postern.Actor) (postern.Secret, error) {
	rec, err := n.DB.KeyNamed(ctx, by.AccountID, keyName)
	if errors.Is(err, postern.CodeNotFound) {
		made, err := n.Keyring.CreateKey(ctx, by, keyring.NewKey{Name: keyName, Scopes: []postern.Scope{scope}})
		return made.Secret, err
	}
	if err != nil {
		return postern.Secret{}, err
	}
	made, err := n.Keyring.RotateKey(ctx, by, rec.Key.ID, keyring.Rotation{Replace: true})
	return made.Secret, err
}

// ownPersonalKey makes a member's personal access key, and ends those of earlier
// starts, and the one that set-up made and nobody was shown.
func ownPersonalKey(ctx context.Context, n *node.Node, by postern.Actor, now time.Time) (postern.Secret, error) {
	const name = "demo"
	have, err := n.Keyring.PersonalKeys(ctx, by)
	if err != nil {
		return postern.Secret{}, err
	}
	for _, k := range have {
		if k.Name == name || k.Name == "set-up" {
			if err := n.Keyring.RevokePersonalKey(ctx, by, k.Key); err != nil {
				return postern.Secret{}, err
			}
		}
	}
	made, err := n.Keyring.CreatePersonalKey(ctx, by, keyring.NewPersonalKey{Name: name, ExpiresAt: now.AddDate(0, 0, 30)})
	return made.Secret, err
}
