package crm

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// link is an association that is to be made: from one record to another, of a kind.
type link struct {
	from, to int64
	kind     *kind
}

// primaryOf are the types of which each record has at most one primary company.
var primaryOf = []string{"contacts", "deals", "tickets"}

// linker makes and ends associations between the records of two types.
type linker struct {
	ctx      context.Context
	tx       *sql.Tx
	acct     int64
	from, to *objectType
	kinds    kinds // from "from" to "to"
	now      int64
}

func newLinker(ctx context.Context, tx *sql.Tx, acct int64, from, to *objectType, now int64) (*linker, error) {
	ks, err := kindsOf(ctx, tx, acct, from, to)
	return &linker{ctx: ctx, tx: tx, acct: acct, from: from, to: to, kinds: ks, now: now}, err
}

// link makes associations. Each kind brings the default one along, and its inverse.
// The first company of a record becomes its primary one; naming another primary
// moves the mark.
func (l *linker) link(list []link) error {
	if len(list) == 0 {
		return nil
	}
	prim, err := l.primaries(list)
	if err != nil {
		return err
	}
	var rows [][]any
	seen := map[[4]int64]bool{}
	add := func(from, to int64, k *kind) {
		for _, e := range [2]edge{{from: from, to: to, kind: *k}, {from: to, to: from, kind: kind{category: k.category, id: k.inverse, from: k.to, to: k.from}}} {
			key := [4]int64{e.from, e.to, e.id, int64(len(e.category))}
			if !seen[key] {
				seen[key] = true
				rows = append(rows, []any{l.acct, e.kind.from, e.from, e.kind.to, e.to, e.category, e.id, l.now})
			}
		}
	}
	for _, x := range list {
		add(x.from, x.to, l.kinds.byDefault())
		if x.kind != nil && !x.kind.primary() {
			add(x.from, x.to, x.kind)
		}
	}
	for _, x := range prim {
		add(x.from, x.to, x.kind)
	}
	if err := bulkInsert(l.ctx, l.tx, `crm_associations (acct, from_type, from_id, to_type, to_id, category, kind, created_at)`, rows, "on conflict do nothing"); err != nil {
		return fmt.Errorf("crm: associate: %w", err)
	}
	return l.refreshBoth(list)
}

// primaries gives the rows that mark primary companies, and takes the mark off the
// companies that lose it.
func (l *linker) primaries(list []link) ([]link, error) {
	toCompany := l.to.Plural == "companies" && slices.Contains(primaryOf, l.from.Plural)
	fromCompany := l.from.Plural == "companies" && slices.Contains(primaryOf, l.to.Plural)
	if !toCompany && !fromCompany {
		return nil, nil
	}
	i := slices.IndexFunc(l.kinds, (*kind).primary)
	k := l.kinds[i]
	member := func(x link) int64 {
		if toCompany {
			return x.from
		}
		return x.to
	}
	explicit, implicit := map[int64]link{}, map[int64]link{}
	for _, x := range list {
		if x.kind != nil && x.kind.primary() {
			explicit[member(x)] = link{x.from, x.to, k}
		} else if _, ok := implicit[member(x)]; !ok {
			implicit[member(x)] = link{x.from, x.to, k}
		}
	}
	// The mark's id on the side of the record that has at most one.
	mark, company := k.id, l.to
	if fromCompany {
		mark, company = k.inverse, l.from
	}
	if len(explicit) > 0 {
		if err := l.unmark(keys(explicit), company, mark); err != nil {
			return nil, err
		}
	}
	has := map[int64]bool{}
	err := chunks(keys(implicit), 500, func(ids []int64) error {
		a := args{l.acct, company.ID, mark, hubspotDefined}
		rows, err := l.tx.QueryContext(l.ctx, `select from_id from crm_associations
			where acct = $1 and to_type = $2 and kind = $3 and category = $4 and from_id in `+in(&a, ids), a...)
		found, err := collect(rows, err, scanOne[int64])
		for _, id := range found {
			has[id] = true
		}
		return err
	})
	var out []link
	for _, x := range explicit {
		out = append(out, x)
	}
	for id, x := range implicit {
		if _, ok := explicit[id]; !ok && !has[id] {
			out = append(out, x)
		}
	}
	return out, err
}

// unmark takes the primary mark off all companies of some records, on both sides.
func (l *linker) unmark(ids []int64, company *objectType, mark int64) error {
	return chunks(ids, 500, func(ids []int64) error {
		var inverse int64
		for _, k := range l.kinds {
			if k.primary() {
				inverse = k.id + k.inverse - mark
			}
		}
		a := args{l.acct, hubspotDefined, inverse}
		list := in(&a, ids)
		_, err := l.tx.ExecContext(l.ctx, `delete from crm_associations where acct = $1 and category = $2 and kind = $3 and to_id in `+list+`
			and from_id in (select to_id from crm_associations where acct = $1 and to_type = `+a.add(company.ID)+` and from_id in `+list+`)`, a...)
		if err != nil {
			return err
		}
		a = args{l.acct, hubspotDefined, mark}
		_, err = l.tx.ExecContext(l.ctx, `delete from crm_associations where acct = $1 and category = $2 and kind = $3 and from_id in `+in(&a, ids), a...)
		return err
	})
}

// unlink ends associations. Ending the default kind, or none in particular, ends
// every kind between the two records.
func (l *linker) unlink(list []link) error {
	for _, x := range list {
		where, ids := "", []any{l.acct, x.from, l.to.ID, x.to}
		back := []any{l.acct, x.to, l.from.ID, x.from}
		if x.kind != nil && (x.kind.label != "" || x.kind.category == userDefined) {
			where = " and category = $5 and kind = $6"
			ids = append(ids, x.kind.category, x.kind.id)
			back = append(back, x.kind.category, x.kind.inverse)
		}
		for _, a := range [2][]any{ids, back} {
			_, err := l.tx.ExecContext(l.ctx, `delete from crm_associations where acct = $1 and from_id = $2 and to_type = $3 and to_id = $4`+where, a...)
			if err != nil {
				return fmt.Errorf("crm: end an association: %w", err)
			}
		}
	}
	return l.refreshBoth(list)
}

func (l *linker) refreshBoth(list []link) error {
	from, to := map[int64]bool{}, map[int64]bool{}
	for _, x := range list {
		from[x.from], to[x.to] = true, true
	}
	if err := refreshCounts(l.ctx, l.tx, l.acct, l.from, keys(from), l.now); err != nil {
		return err
	}
	return refreshCounts(l.ctx, l.tx, l.acct, l.to, keys(to), l.now)
}

// unlinkAll ends every association of records that are going away, and makes true
// again what their neighbours tell of them.
func unlinkAll(ctx context.Context, tx *sql.Tx, acct int64, ids []int64, now int64) error {
	neighbours := map[string]map[int64]bool{}
	err := chunks(ids, 500, func(ids []int64) error {
		a := args{acct}
		rows, err := tx.QueryContext(ctx, `select distinct to_type, to_id from crm_associations where acct = $1 and from_id in `+in(&a, ids), a...)
		list, err := collect(rows, err, func(r *sql.Rows) (e edge, err error) {
			err = r.Scan(&e.toType, &e.to)
			return e, err
		})
		if err != nil {
			return err
		}
		for _, e := range list {
			if neighbours[e.toType] == nil {
				neighbours[e.toType] = map[int64]bool{}
			}
			neighbours[e.toType][e.to] = true
		}
		b := args{acct}
		gone := in(&b, ids)
		if _, err := tx.ExecContext(ctx, `delete from crm_associations where acct = $1 and to_id in `+gone+`
			and from_id in (select to_id from crm_associations where acct = $1 and from_id in `+gone+`)`, b...); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `delete from crm_associations where acct = $1 and from_id in `+in(&args{acct}, ids), append([]any{acct}, anys(ids)...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("crm: end associations: %w", err)
	}
	for _, id := range sortedKeys(neighbours) {
		if t := standard[id]; t != nil {
			if err := refreshCounts(ctx, tx, acct, t, keys(neighbours[id]), now); err != nil {
				return err
			}
		}
	}
	return nil
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
