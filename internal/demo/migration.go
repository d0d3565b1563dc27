package demo

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

// importedDays is how long ago the company imported its old credentials.
const importedDays = 21

// old is an old credential of the company's, and how far its move has come.
type old struct {
	name, note string
	all        bool // an API key, which may do everything
	scopes     string
	sunset     int // days from now; 0 for none
	inAddress  bool
	habits     []habit
	// decide does to its item what was decided, at the times at which that was.
	decide func(m *mover, id string) error

	id     postern.KeyID
	secret string
}

const (
	airflow = "apache-airflow/2.9.1"
	dbt     = "dbt-runner/1.7"
	relay   = "stock-relay/3.2"
)

// olds are the old credentials: each stands at another step.
func olds() []*old {
	contacts := habit{method: "GET", path: "/crm/v3/objects/contacts", operation: "listContacts", scope: "crm.objects.contacts.read", late: 25 * time.Millisecond}
	deals := habit{method: "GET", path: "/crm/v3/objects/deals", operation: "listDeals", scope: "crm.objects.deals.read", late: 40 * time.Millisecond}
	companies := habit{method: "GET", path: "/crm/v3/objects/companies", operation: "listCompanies", scope: "crm.objects.companies.read", late: 30 * time.Millisecond}
	return []*old{
		{name: "booking-widget", note: "Nobody knows; the web agency made it", all: true, inAddress: true, sunset: 45, habits: []habit{
			contacts.by("booking-widget/1.3", "198.51.100.140", 60, 7, 22), deals.by("python-requests/2.31.0", "203.0.113.199", 180, 9, 18)}},
		{name: "looker-reports", note: "Priya, sales operations", scopes: "contacts", habits: []habit{
			deals.by("Looker/24.2", "203.0.113.81", 60, 7, 19), companies.by("Looker/24.2", "203.0.113.81", 60, 7, 19)},
			decide: func(m *mover, id string) error { return m.path(id, 12, workbench.ToServiceKey, "It only reads.") }},
		{name: "month-end-invoices", note: "Finance", scopes: "crm.objects.deals.read crm.objects.companies.read", habits: []habit{
			deals.by("billing-close/3.0", "198.51.100.30", 120, 1, 5).until(24 * time.Hour)},
			decide: func(m *mover, id string) error {
				return m.key(id, 8, 2, "month-end-invoices-key", []postern.Scope{postern.Scope(deals.scope), postern.Scope(companies.scope)})
			}},
		{name: "nightly-warehouse-sync", note: "Data platform", scopes: "contacts", sunset: 30, habits: []habit{
			deals.by(airflow, "198.51.100.24", 30, 1, 5).until(5 * 24 * time.Hour), contacts.by(dbt, "198.51.100.25", 30, 2, 6).until(4 * 24 * time.Hour),
			companies.by(relay, "198.51.100.26", 60, 0, 24)},
			decide: func(m *mover, id string) error {
				return m.key(id, 10, 6, "warehouse-sync", []postern.Scope{postern.Scope(deals.scope), postern.Scope(contacts.scope), postern.Scope(companies.scope)},
					deals.by(airflow, "198.51.100.24", 30, 1, 5).since(5*24*time.Hour), contacts.by(dbt, "198.51.100.25", 30, 2, 6).since(4*24*time.Hour))
			}},
		{name: "partner-portal", note: "Jo, partners", scopes: "crm.objects.contacts.read crm.objects.deals.read", sunset: 14, habits: []habit{
			contacts.by("larkspur-portal/5.0", "203.0.113.60", 90, 6, 21)},
			decide: func(m *mover, id string) error {
				if err := m.path(id, 9, workbench.ToApp, "It has webhooks and screens."); err != nil {
					return err
				}
				s := m.at(0)
				if _, err := s.Moved(m.ctx, m.by, id, "", "The app Larkspur portal"); err != nil {
					return err
				}
				first := m.now.Add(24 * time.Hour).Truncate(24 * time.Hour).Add(10 * time.Hour)
				_, _, err := s.SetBrownouts(m.ctx, m.by, id, workbench.Ramp(first, 5), workbench.DefaultBudget)
				return err
			}},
		{name: "helpdesk-sync", note: "Support", scopes: "crm.objects.contacts.read tickets", habits: []habit{
			contacts.by("helpdesk/2.4", "198.51.100.77", 60, 8, 18).until(9 * 24 * time.Hour)},
			decide: func(m *mover, id string) error {
				return m.key(id, 15, 11, "helpdesk-contacts", []postern.Scope{postern.Scope(contacts.scope)}, contacts.by("helpdesk/2.4", "198.51.100.77", 60, 8, 18).since(9*24*time.Hour))
			}},
		{name: "intern-test-2023", note: "", scopes: "crm.objects.contacts.read crm.objects.contacts.write",
			decide: func(m *mover, id string) error {
				if err := m.path(id, 10, workbench.ToRetire, "Nobody used it, and who made it has left."); err != nil {
					return err
				}
				s := m.at(1)
				if _, err := s.SignOff(m.ctx, m.by, id, "Asked in every team."); err != nil {
					return err
				}
				_, _, err := s.Archive(m.ctx, m.by, id)
				return err
			}},
	}
}

// by is a habit of a caller: so many minutes between two calls, within some hours.
func (h habit) by(agent, ip string, minutes, from, to int) habit {
	h.agent, h.ip, h.minutes, h.from, h.to, h.weekends = agent, ip, minutes, from, to, true
	return h
}

// until is a habit that ended so long ago; since one that began then.
func (h habit) until(ago time.Duration) habit { h.ended = ago; return h }
func (h habit) since(ago time.Duration) habit { h.began = ago; return h }

// mover decides about old credentials, as the company did day by day.
type mover struct {
	ctx context.Context
	n   *node.Node
	by  postern.Actor
	a   postern.Account
	now time.Time

	callers []*caller // of the keys that were made
}

// at is the workbench as it was some days ago.
func (m *mover) at(days int) *workbench.Service {
	then := m.now.AddDate(0, 0, -days)
	clock := func() time.Time { return then }
	return workbench.NewService(workbench.Config{DB: m.n.DB, Keyring: m.n.Keyring.WithClock(clock), Activity: m.n.Activity, Now: clock})
}

func (m *mover) path(id string, days int, to workbench.To, why string) error {
	_, err := m.at(days).Choose(m.ctx, m.by, id, to, why)
	return err
}

// key maps an item's scopes, makes its key some days later, and has that called.
func (m *mover) key(id string, mapped, made int, name string, scopes []postern.Scope, habits ...habit) error {
	if err := m.path(id, mapped, workbench.ToServiceKey, "It reads and writes data, and nothing else."); err != nil {
		return err
	}
	if _, err := m.at(mapped).SetScopes(m.ctx, m.by, id, scopes); err != nil {
		return err
	}
	k, _, err := m.at(made).MakeKey(m.ctx, m.by, id, keyring.NewKey{Name: name, ExpiresAt: m.now.AddDate(1, 0, 0)})
	if err != nil {
		return err
	}
	for _, h := range habits {
		m.callers = append(m.callers, h.with(m.a, k.Key.ID, postern.KindServiceKey))
	}
	return nil
}

// migration puts the account into the middle of its move off old credentials, and gives
// those, with who calls with them and with the keys that take their places.
func migration(ctx context.Context, n *node.Node, by postern.Actor, a postern.Account, now time.Time) ([]*old, []*caller, error) {
	m := &mover{ctx: ctx, n: n, by: by, a: a, now: now.Truncate(time.Microsecond)}
	list := olds()
	if err := importOld(ctx, n, by, list, m.now); err != nil {
		return nil, nil, err
	}
	var inAddress []postern.KeyID
	for _, o := range list {
		kind := postern.KindLegacyPrivateApp
		if o.all {
			kind = postern.KindLegacyAPIKey
		}
		if o.inAddress {
			inAddress = append(inAddress, o.id)
		}
		for _, h := range o.habits {
			m.callers = append(m.callers, h.with(a, o.id, kind))
		}
		if o.decide == nil {
			continue
		}
		_, err := n.Keyring.EditMigration(ctx, by, string(o.id), "migration.owner", func(i *store.MigrationItem) error {
			i.Owner = by.MemberID
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if err := o.decide(m, string(o.id)); err != nil {
			return nil, nil, fmt.Errorf("demo: move of %s: %w", o.name, err)
		}
	}
	return list, m.callers, n.DB.NoteInAddress(ctx, m.now.Add(-time.Hour), inAddress)
}

// importOld brings the credentials in, as the company did three weeks ago.
func importOld(ctx context.Context, n *node.Node, by postern.Actor, list []*old, now time.Time) error {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"name", "note", "kind", "secret", "scopes", "sunset"})
	for _, o := range list {
		kind := "private_app"
		o.secret = "pat-eu1-" + uuid()
		if o.all {
			kind, o.secret = "api_key", uuid()
		}
		sunset := ""
		if o.sunset > 0 {
			sunset = now.AddDate(0, 0, o.sunset).Format(time.DateOnly)
		}
		_ = w.Write([]string{o.name, o.note, kind, o.secret, o.scopes, sunset})
	}
	w.Flush()
	then := now.AddDate(0, 0, -importedDays)
	kr := n.Keyring.WithClock(func() time.Time { return then })
	r, err := workbench.Import(ctx, kr, by, strings.NewReader(b.String()), workbench.ImportOptions{Format: "csv", All: true, Brand: kr.Brand()})
	if err != nil {
		return fmt.Errorf("demo: import old credentials: %w", err)
	}
	if r.Imported != len(list) {
		return fmt.Errorf("demo: of %d old credentials %d were imported: %+v", len(list), r.Imported, r.Lines)
	}
	for i, l := range r.Lines {
		list[i].id = l.ID
	}
	return nil
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
