package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/crm"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/verify"
)

// crmUpstream is the id of the built-in CRM data API.
const crmUpstream postern.UpstreamID = "crm"

// CRMOpenAPI is the document of the built-in CRM data API.
func CRMOpenAPI() []byte { return crm.OpenAPI() }

// openCRM opens the built-in CRM data API, and makes it an upstream with its
// catalog where it isn't one yet.
func (n *Node) openCRM(ctx context.Context) (err error) {
	n.CRM, err = crm.Open(ctx, crm.Config{Target: n.target("crm.db"), UIBase: n.Config.PublicURL, Now: n.Config.Now, Logger: n.Config.Log,
		Account: n.crmAccount, KeyLabel: n.keyLabel, Introspect: n.introspect})
	if err != nil {
		return err
	}
	by := postern.Actor{System: "crm"}
	ups, err := n.DB.Upstreams(ctx)
	if err != nil {
		return err
	}
	there := false
	for _, u := range ups {
		there = there || u.ID == crmUpstream
		if u.ID == crmUpstream && u.Altered {
			n.Config.Log.Error("the record of the upstream crm was altered; it isn't served until it is set anew and the server started again")
			return nil
		}
	}
	if !there {
		_, err = n.Keyring.PutUpstream(ctx, by, postern.Upstream{ID: crmUpstream, Name: "CRM", URL: keyring.BuiltinURL + "crm",
			Options: postern.UpstreamOptions{Errors: postern.ErrorsHubSpot, CollapseLeadingSlash: true}})
		if err != nil {
			return err
		}
	}
	cat, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "crm/openapi.yaml", Data: crm.OpenAPI()}}, catalog.Options{Upstream: crmUpstream})
	if err != nil {
		return err
	}
	// Where it is the catalog in force already, this changes nothing.
	_, err = n.Keyring.LoadCatalog(ctx, by, crmUpstream, cat, false)
	return err
}

func (n *Node) crmAccount(ctx context.Context, id postern.AccountID) (crm.AccountInfo, error) {
	a, err := n.DB.Account(ctx, id)
	if err != nil {
		return crm.AccountInfo{}, err
	}
	info := crm.AccountInfo{TimeZone: a.TimeZone, DailyLimit: a.DailyLimit}
	for _, u := range n.Verifier.Usage() {
		if u.Account == id {
			info.DailyUsage = u.Calls
		}
	}
	return info, nil
}

// keyLabel is the name of a key, for the history of what it wrote.
func (n *Node) keyLabel(ctx context.Context, id postern.KeyID) string {
	row, err := n.DB.Credential(ctx, id)
	if err != nil {
		return ""
	}
	k, err := n.DB.Key(ctx, row.AccountID, id)
	if err != nil {
		return ""
	}
	return k.Key.Name
}

// introspect tells of a secret that is presented in a body, if it is valid.
func (n *Node) introspect(ctx context.Context, secret string) (crm.Identity, bool) {
	req := verify.Request{Secret: postern.SecretOf(secret), Door: postern.DoorGateway, RemoteIP: netip.Addr{}}
	d, err := n.Verifier.Verify(ctx, &req)
	// A key with an IP list is valid although nobody knows here where it would be used from.
	if err != nil || !d.Known || (!d.Allowed && d.Reason != postern.ReasonAddressNotAllowed) {
		return crm.Identity{}, false
	}
	id := crm.Identity{Account: d.Account, Number: d.AccountNo, Key: d.KeyID(), Scopes: n.Verifier.HeldScopes(&d)}
	row, err := n.DB.Credential(ctx, d.KeyID())
	if err != nil && !errors.Is(err, postern.CodeNotFound) {
		return crm.Identity{}, false
	}
	id.ExpiresAt = row.ExpiresAt
	return id, true
}

// Seed fills the CRM of an account with a believable company, once.
func (n *Node) Seed(ctx context.Context, a postern.AccountID, now time.Time) (crm.Summary, error) {
	return n.CRM.Seed(ctx, a, crm.SeedOptions{Now: now})
}
