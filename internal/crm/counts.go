package crm

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Some properties tell of a record's associations: how many deals it has, which
// company is its primary one. They are kept with the record, so that they can be
// searched, and made true again whenever associations change.

// counted says what a type's property counts, or which record it names.
type counted struct {
	property string
	types    []string // type ids: how many records of these
	kind     int64    // or the record at the other end of this kind
}

var activityTypes = []string{"0-46", "0-27", "0-48", "0-49", "0-47", "0-18", "0-116"}

var countedProperties = map[string][]counted{
	"contacts": {{"num_associated_deals", []string{"0-3"}, 0}, {"num_notes", activityTypes, 0}, {"associatedcompanyid", nil, 1}},
	"companies": {{"num_associated_contacts", []string{"0-1"}, 0}, {"num_associated_deals", []string{"0-3"}, 0}, {"num_notes", activityTypes, 0},
		{"hs_parent_company_id", nil, 14}},
	"deals":   {{"num_associated_contacts", []string{"0-1"}, 0}, {"num_notes", activityTypes, 0}},
	"tickets": {{"num_notes", activityTypes, 0}},
}

// refreshCounts makes the counted properties of some records true again. A record
// of which one changes counts as changed: who follows changes must hear of it.
func refreshCounts(ctx context.Context, tx *sql.Tx, acct int64, t *objectType, ids []int64, now int64) error {
	list := countedProperties[t.Plural]
	if len(list) == 0 {
		return nil
	}
	slices.Sort(ids)
	return chunks(ids, 500, func(ids []int64) error {
		values, err := countAssociations(ctx, tx, acct, list, ids)
		if err != nil {
			return fmt.Errorf("crm: count associations: %w", err)
		}
		found, err := recordsByID(ctx, tx, acct, t, ids, false)
		if err != nil {
			return err
		}
		var changed []*record
		names := map[string]bool{}
		for _, id := range ids {
			r := found[id]
			if r == nil {
				continue
			}
			dirty := false
			for _, p := range list {
				if r.set(p.property, values[id][p.property]) {
					dirty, names[p.property] = true, true
				}
			}
			if dirty {
				r.rev++
				r.updated = max(r.updated, now)
				changed = append(changed, r)
			}
		}
		if err := saveRecords(ctx, tx, acct, t, changed); err != nil {
			return err
		}
		return reindex(ctx, tx, acct, t, t.byName, changed, keys(names), false)
	})
}

// countAssociations reckons counted properties from the associations themselves.
func countAssociations(ctx context.Context, tx *sql.Tx, acct int64, list []counted, ids []int64) (map[int64]map[string]string, error) {
	out := map[int64]map[string]string{}
	numbers := map[int64]map[string]int64{}
	for _, id := range ids {
		out[id], numbers[id] = map[string]string{}, map[string]int64{}
	}
	a := args{acct}
	rows, err := tx.QueryContext(ctx, `select from_id, to_type, count(distinct to_id) from crm_associations
		where acct = $1 and from_id in `+in(&a, ids)+` group by from_id, to_type`, a...)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var id, n int64
		var to string
		if err := r.Scan(&id, &to, &n); err != nil {
			return struct{}{}, err
		}
		for _, p := range list {
			if slices.Contains(p.types, to) {
				numbers[id][p.property] += n
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	for id, m := range numbers {
		for name, n := range m {
			out[id][name] = formatID(n)
		}
	}
	for _, p := range list {
		if p.kind == 0 {
			continue
		}
		a := args{acct, p.kind, hubspotDefined}
		rows, err := tx.QueryContext(ctx, `select from_id, min(to_id) from crm_associations
			where acct = $1 and kind = $2 and category = $3 and from_id in `+in(&a, ids)+` group by from_id`, a...)
		_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
			var id, to int64
			err := r.Scan(&id, &to)
			out[id][p.property] = formatID(to)
			return struct{}{}, err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
