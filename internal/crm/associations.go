package crm

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The categories of association kinds: those that everyone has, and the labels
// that an account made.
const (
	hubspotDefined = "HUBSPOT_DEFINED"
	userDefined    = "USER_DEFINED"
)

// kind is a kind of association in one direction. Kinds without a label are the
// plain fact that two records belong together.
type kind struct {
	category    string
	id, inverse int64
	from, to    string // type ids
	name, label string
}

func (k *kind) primary() bool { return k.category == hubspotDefined && k.label == labelPrimary }

// kindRef is a kind as clients name it.
type kindRef struct {
	Category string  `json:"associationCategory"`
	ID       integer `json:"associationTypeId"`
}

// kinds are those of one ordered pair of types, the default first.
type kinds []*kind

func (ks kinds) byDefault() *kind { return ks[0] }

// find gives the kind that a client names by category and id. A missing category is the standard one.
func (ks kinds) find(ref kindRef) *kind {
	cat := strings.ToUpper(ref.Category)
	if cat == "" {
		cat = hubspotDefined
	}
	for _, k := range ks {
		if k.id == ref.ID.n && k.category == cat {
			return k
		}
	}
	return nil
}

// named gives the kind that a client of the older calls names by its name or its id.
func (ks kinds) named(s string) *kind {
	for _, k := range ks {
		if strings.EqualFold(k.name, s) || strconv.FormatInt(k.id, 10) == s {
			return k
		}
	}
	return nil
}

// kindsOf gives the kinds of an ordered pair of types.
func kindsOf(ctx context.Context, q querier, acct int64, from, to *objectType) (kinds, error) {
	m, err := kindsFrom(ctx, q, acct, from, []*objectType{to})
	if err != nil {
		return nil, err
	}
	if len(m[to.ID]) == 0 {
		return nil, fmt.Errorf("crm: no kind of association from %s to %s", from.ID, to.ID)
	}
	return m[to.ID], nil
}

// kindsFrom gives the kinds from one type to others, by the others' ids.
func kindsFrom(ctx context.Context, q querier, acct int64, from *objectType, to []*objectType) (map[string]kinds, error) {
	out := map[string]kinds{}
	var ids []string
	for _, t := range to {
		out[t.ID] = slices.Clone(standardKinds[[2]string{from.ID, t.ID}])
		ids = append(ids, t.ID)
	}
	a := args{acct, from.ID}
	rows, err := q.QueryContext(ctx, `
		select category, kind, inverse, from_type, to_type, name, label from crm_association_kinds
		where acct = $1 and from_type = $2 and to_type in `+in(&a, ids)+` order by category, kind`, a...)
	stored, err := collect(rows, err, scanKind)
	if err != nil {
		return nil, fmt.Errorf("crm: association kinds: %w", err)
	}
	for _, k := range stored {
		out[k.to] = append(out[k.to], k)
	}
	return out, nil
}

// edge is one row of an association.
type edge struct {
	from   int64
	toType string
	to     int64
	kind
}

// target is a record that another is associated with, and how.
type target struct {
	id    int64
	kinds []*kind
}

// targets reads what records are associated with: for each record and type at most
// limit others and one more, in the order of their ids, from after on.
func targets(ctx context.Context, q querier, acct int64, ks map[string]kinds, ids []int64, after int64, limit int) (map[int64]map[string][]target, error) {
	out := map[int64]map[string][]target{}
	if len(ids) == 0 || len(ks) == 0 {
		return out, nil
	}
	a := args{acct}
	idList := in(&a, ids)
	types := in(&a, sortedKeys(ks))
	start := a.add(after)
	most := a.add(int64(limit + 1))
	rows, err := q.QueryContext(ctx, `
		select from_id, to_type, to_id, category, kind from (
			select from_id, to_type, to_id, category, kind, dense_rank() over (partition by from_id, to_type order by to_id) as k
			from crm_associations
			where acct = $1 and from_id in `+idList+` and to_type in `+types+` and to_id >= `+start+`) as a
		where k <= `+most+`
		order by from_id, to_type, to_id, category, kind`, a...)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var e edge
		if err := r.Scan(&e.from, &e.toType, &e.to, &e.category, &e.id); err != nil {
			return struct{}{}, err
		}
		m := out[e.from]
		if m == nil {
			m = map[string][]target{}
			out[e.from] = m
		}
		list := m[e.toType]
		if n := len(list); n == 0 || list[n-1].id != e.to {
			list = append(list, target{id: e.to})
		}
		k := ks[e.toType].find(kindRef{Category: e.category, ID: integer{n: e.id}})
		if k == nil {
			k = &kind{category: e.category, id: e.id}
		}
		last := &list[len(list)-1]
		last.kinds = append(last.kinds, k)
		m[e.toType] = list
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("crm: associations: %w", err)
	}
	return out, nil
}

// associationsPage is what a record is associated with, of one type, in the older form.
type associationsPage struct {
	Results []namedLink `json:"results"`
	Paging  *paging     `json:"paging,omitempty"`
}

type namedLink struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// maxLinks is how many associated records a read of a record shows of each type.
const maxLinks = 100

// associationPages reads the associations that a read of records asks for.
func (c *call) associationPages(q querier, t *objectType, ids []int64, types []*objectType) (map[int64]map[string]associationsPage, error) {
	if len(types) == 0 {
		return nil, nil
	}
	ks, err := kindsFrom(c.ctx(), q, c.acct, t, types)
	if err != nil {
		return nil, err
	}
	found, err := targets(c.ctx(), q, c.acct, ks, ids, 0, maxLinks)
	if err != nil {
		return nil, err
	}
	out := map[int64]map[string]associationsPage{}
	for id, byType := range found {
		out[id] = map[string]associationsPage{}
		for _, o := range types {
			list := byType[o.ID]
			if len(list) == 0 {
				continue
			}
			var p associationsPage
			if len(list) > maxLinks {
				after := formatID(list[maxLinks].id)
				p.Paging = &paging{Next: nextPage{After: after, Link: fmt.Sprintf("%s/crm/v3/objects/%s/%d/associations/%s?after=%s", c.base(), t.Plural, id, o.Plural, after)}}
				list = list[:maxLinks]
			}
			p.Results = namedLinks(list)
			out[id][o.associationKey(c.who.number)] = p
		}
	}
	return out, nil
}

// namedLinks are targets in the older form: one row for each kind.
func namedLinks(list []target) []namedLink {
	out := []namedLink{}
	for _, x := range list {
		for _, k := range x.kinds {
			out = append(out, namedLink{ID: formatID(x.id), Type: k.name})
		}
	}
	return out
}
