package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

// oldTokens are those of the desk's move: each stands at another step of it.
const oldTokens = `name,kind,scopes,secret
web-forms,legacy_api_key,,7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2
partner-sync,private_app,crm.objects.contacts.read crm.objects.deals.read,pat-eu1-5f0c2f4e-6c1d-4b8e-9a37-1d2e3f405162
crm-export,private_app,crm.objects.contacts.read crm.objects.deals.read,pat-eu1-8a1b2c3d-4e5f-4607-8899-aabbccddeeff
old-dashboard,private_app,crm.objects.contacts.read crm.objects.deals.read,pat-eu1-0d1c2b3a-4f5e-4768-9081-a2b3c4d5e6f7
`

// move puts old credentials onto the desk, each decided as far as its name stands here.
func (d *desk) move(ctx context.Context, n *node.Node) error {
	by := d.as("Ada")
	bench := workbench.NewService(workbench.Config{DB: n.DB, Keyring: n.Keyring, Activity: n.Activity, Now: func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }})
	report, err := workbench.Import(ctx, n.Keyring, by, strings.NewReader(oldTokens), workbench.ImportOptions{Format: "csv"})
	if err != nil {
		return err
	}
	if report.Imported != 4 {
		return fmt.Errorf("of 4 old tokens %d were imported: %+v", report.Imported, report.Lines)
	}
	board, err := bench.Board(ctx, by)
	if err != nil {
		return err
	}
	d.old = map[string]string{}
	for _, it := range board.Items {
		d.old[it.Item.Name] = it.ID
	}
	if err := n.DB.NoteInAddress(ctx, time.Now().UTC(), []postern.KeyID{postern.KeyID(d.old["web-forms"])}); err != nil {
		return err
	}
	choose := func(name string, to workbench.To) error {
		it, err := bench.Choose(ctx, by, d.old[name], to, "Its owner said so.")
		if err == nil {
			d.old[name] = it.ID
		}
		return err
	}
	if err := choose("partner-sync", workbench.ToApp); err != nil {
		return err
	}
	if _, _, err := bench.SetBrownouts(ctx, by, d.old["partner-sync"], workbench.Ramp(time.Now().UTC().Add(24*time.Hour).Truncate(time.Second), 3), store.MigrationBudget{}); err != nil {
		return err
	}
	if err := choose("old-dashboard", workbench.ToServiceKey); err != nil {
		return err
	}
	if _, err := bench.SetScopes(ctx, by, d.old["old-dashboard"], []postern.Scope{"crm.objects.deals.read"}); err != nil {
		return err
	}
	if err := choose("crm-export", workbench.ToServiceKey); err != nil {
		return err
	}
	if _, err := bench.Own(ctx, by, d.old["crm-export"], d.people["Noor"].ID); err != nil {
		return err
	}
	if _, err := bench.SetScopes(ctx, by, d.old["crm-export"], []postern.Scope{"crm.objects.contacts.read"}); err != nil {
		return err
	}
	made, _, err := bench.MakeKey(ctx, by, d.old["crm-export"], keyring.NewKey{Name: "crm-export-key"})
	if err != nil {
		return err
	}
	const old = "pat-eu1-8a1b2c3d-4e5f-4607-8899-aabbccddeeff"
	d.calls = []oldCall{{old, "export-hourly/2.1"}, {made.Secret.Reveal(), "export-hourly/2.1"}, {old, "export-nightly/2.1"}}
	return nil
}

// oldCall is a tool that calls with an old token, or with the key in its place.
type oldCall struct{ secret, agent string }

// callOn makes the calls of an old token and of its new key: one tool has moved, one has not.
func (d *desk) callOn(t testing.TB) {
	t.Helper()
	for _, c := range d.calls {
		for range 3 {
			d.call(t, c.secret, "/crm/v3/objects/contacts", c.agent)
		}
	}
}

// moveHostile adds an old token whose texts want to run, and gives its page.
func (d *desk) moveHostile(ctx context.Context, texts []string) (string, error) {
	by, name := d.as("Ada"), texts[3][:60]
	row, err := json.Marshal(map[string]string{"name": name, "note": texts[1], "kind": "private_app", "scopes": "things.read", "secret": "pat-eu1-11112222-3333-4444-8555-666677778888"})
	if err != nil {
		return "", err
	}
	report, err := workbench.Import(ctx, d.node.Keyring, by, bytes.NewReader(row), workbench.ImportOptions{Format: "jsonl", All: true})
	if err != nil {
		return "", err
	}
	if report.Imported != 1 {
		return "", fmt.Errorf("the old token was refused: %+v", report.Lines)
	}
	bench := workbench.NewService(workbench.Config{DB: d.node.DB, Keyring: d.node.Keyring, Activity: d.node.Activity, Now: time.Now})
	it, err := bench.Choose(ctx, by, string(report.Lines[0].ID), workbench.ToServiceKey, texts[0])
	if err != nil {
		return "", err
	}
	return "/migration/" + it.ID, nil
}
