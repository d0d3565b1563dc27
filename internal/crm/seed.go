package crm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern.dev/postern"
)

// SeedOptions say how a seeded account looks.
type SeedOptions struct {
	// Now is the day that the company's history ends on; zero means the clock's.
	Now time.Time
	// Seed chooses among the companies that could be made up; the same seed and the
	// same day give the same company.
	Seed uint64
}

// Summary counts what an account was seeded with.
type Summary struct {
	Owners, Companies, Contacts, Deals, Tickets, Activities, Associations int
	// Seeded is false where the account was seeded before, and nothing was done.
	Seeded bool
}

// Seed fills an account with a believable company: people and the firms they work
// for, deals on their way through the pipeline, tickets, notes and calls, with
// owners, associations and the history of a year and a half. It happens in one
// transaction, and a second time does nothing.
func (s *Service) Seed(ctx context.Context, account postern.AccountID, o SeedOptions) (Summary, error) {
	acct, err := s.acct(ctx, account)
	if err != nil {
		return Summary{}, err
	}
	now := o.Now
	if now.IsZero() {
		now = s.now()
	}
	var sum Summary
	err = s.write(ctx, acct, func(tx *sql.Tx) error {
		var at sql.NullInt64
		if err := tx.QueryRowContext(ctx, `select seeded_at from crm_accounts where acct = $1`, acct).Scan(&at); err != nil {
			return err
		}
		if at.Valid {
			return errSeeded
		}
		if _, err := tx.ExecContext(ctx, `update crm_accounts set seeded_at = $2 where acct = $1`, acct, micros(s.now())); err != nil {
			return err
		}
		w, err := makeWorld(ctx, tx, acct, now.UTC().Truncate(time.Second), o.Seed)
		if err != nil {
			return err
		}
		sum, err = w.save(ctx, tx, acct)
		return err
	})
	if errors.Is(err, errSeeded) {
		return Summary{}, nil
	}
	if err != nil {
		return Summary{}, fmt.Errorf("crm: seed account %s: %w", account, err)
	}
	return sum, nil
}

var errSeeded = errors.New("crm: the account is seeded")

// seeded is a record that is made up, with the values that it had over time.
type seeded struct {
	t    *objectType
	rec  *record
	past []pastValue
	src  source
	to   []*seeded
}

type pastValue struct {
	name, value string
	at          time.Time
}

// put gives a record a value from a time on.
func (r *seeded) put(at time.Time, name, value string) {
	if value == "" || r.rec.props[name] == value {
		return
	}
	r.rec.props[name] = value
	r.past = append(r.past, pastValue{name, value, at})
	r.rec.updated = max(r.rec.updated, micros(at))
}

func (r *seeded) created() time.Time { return fromMicros(r.rec.created) }

// world is a made-up company.
type world struct {
	*guesser
	now     time.Time
	rules   map[string]*rules
	owners  []*Owner
	records []*seeded
}

func makeWorld(ctx context.Context, tx *sql.Tx, acct int64, now time.Time, seed uint64) (*world, error) {
	w := &world{guesser: newGuesser(seed), now: now, rules: map[string]*rules{}}
	for _, name := range []string{"companies", "contacts", "deals", "tickets", "notes", "calls"} {
		r, err := rulesFor(ctx, tx, acct, standard[name], micros(now))
		if err != nil {
			return nil, err
		}
		w.rules[name] = r
	}
	if err := w.hire(ctx, tx, acct); err != nil {
		return nil, err
	}
	companies := w.foundCompanies()
	contacts := w.meetContacts(companies)
	deals := w.openDeals(companies, contacts)
	w.raiseTickets(contacts)
	w.logActivities(contacts, deals)
	// Ids follow the order in which things came to be.
	slices.SortStableFunc(w.records, func(a, b *seeded) int { return int(a.rec.created - b.rec.created) })
	return w, nil
}

// begin makes a record that came to be at a time.
func (w *world) begin(plural string, at time.Time, src source) *seeded {
	at = at.Truncate(time.Second)
	if at.After(w.now) {
		at = w.now
	}
	r := &seeded{t: standard[plural], src: src, rec: &record{created: micros(at), updated: micros(at), props: map[string]string{}}}
	w.records = append(w.records, r)
	return r
}

// save stores a world.
func (w *world) save(ctx context.Context, tx *sql.Tx, acct int64) (sum Summary, err error) {
	first, err := takeIDs(ctx, tx, acct, len(w.records))
	if err != nil {
		return sum, err
	}
	byType := map[string][]*record{}
	for i, r := range w.records {
		r.rec.id = first + int64(i)
		byType[r.t.Plural] = append(byType[r.t.Plural], r.rec)
	}
	var links [][]any
	counts := map[*seeded]map[string]int{}
	for _, r := range w.records {
		links = append(links, w.linkRows(acct, r, counts)...)
	}
	var past [][]any
	for _, r := range w.records {
		past = append(past, w.finish(acct, r, counts[r])...)
	}
	for _, plural := range sortedKeys(byType) {
		t := standard[plural]
		if err := saveRecords(ctx, tx, acct, t, byType[plural]); err != nil {
			return sum, err
		}
		if err := reindex(ctx, tx, acct, t, w.rules[plural].defs, byType[plural], sortedKeys(w.rules[plural].defs), true); err != nil {
			return sum, err
		}
	}
	if err := bulkInsert(ctx, tx, historyColumns, past, ""); err != nil {
		return sum, err
	}
	err = bulkInsert(ctx, tx, `crm_associations (acct, from_type, from_id, to_type, to_id, category, kind, created_at)`, links, "on conflict do nothing")
	return Summary{Owners: len(w.owners), Companies: len(byType["companies"]), Contacts: len(byType["contacts"]), Deals: len(byType["deals"]),
		Tickets: len(byType["tickets"]), Activities: len(byType["notes"]) + len(byType["calls"]), Associations: len(links) / 2, Seeded: true}, err
}

// linkRows are the rows of a record's associations, both ways, and count them. The
// first company is the primary one.
func (w *world) linkRows(acct int64, r *seeded, counts map[*seeded]map[string]int) (rows [][]any) {
	count := func(a, b *seeded) {
		if counts[a] == nil {
			counts[a] = map[string]int{}
		}
		counts[a][b.t.ID]++
	}
	primary := slices.Contains(primaryOf, r.t.Plural)
	for _, o := range r.to {
		count(r, o)
		count(o, r)
		for _, k := range standardKinds[[2]string{r.t.ID, o.t.ID}] {
			if k.label == "" || primary && k.primary() {
				rows = append(rows, []any{acct, r.t.ID, r.rec.id, o.t.ID, o.rec.id, k.category, k.id, r.rec.created},
					[]any{acct, o.t.ID, o.rec.id, r.t.ID, r.rec.id, k.category, k.inverse, r.rec.created})
			}
		}
		if o.t.Plural == "companies" && primary {
			if r.t.Plural == "contacts" {
				r.rec.props["associatedcompanyid"] = formatID(o.rec.id)
			}
			primary = false
		}
	}
	return rows
}

// finish sets what follows from a record's values, and gives the rows of its history.
func (w *world) finish(acct int64, r *seeded, linked map[string]int) (rows [][]any) {
	rules := *w.rules[r.t.Plural]
	rules.now = r.rec.updated
	rules.identify(r.rec)
	if fn := derivers[r.t.Plural]; fn != nil {
		fn(&rules, r.rec, func(string) string { return "" }, true)
	}
	if body, ok := previewOf[r.t.Plural]; ok {
		r.rec.set("hs_body_preview", preview(r.rec.props[body]))
	}
	for _, p := range countedProperties[r.t.Plural] {
		n := 0
		for _, t := range p.types {
			n += linked[t]
		}
		if p.kind == 0 {
			r.rec.set(p.property, formatID(int64(n)))
		}
	}
	r.rec.set("hs_object_source", r.src.kind)
	r.rec.set("hs_object_source_id", r.src.id)
	r.rec.set("hs_object_source_label", r.src.label)
	slices.SortStableFunc(r.past, func(a, b pastValue) int { return a.at.Compare(b.at) })
	var at time.Time
	for _, p := range r.past {
		if !p.at.Equal(at) {
			at = p.at
			r.rec.rev++
		}
		rows = append(rows, []any{acct, r.rec.id, p.name, r.rec.rev, micros(p.at), p.value, r.src.kind, r.src.id, r.src.label})
	}
	return rows
}
