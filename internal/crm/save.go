package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

const insertRecords = `crm_records (acct, type_id, id, rev, props, created_at, updated_at, archived_at)`

// saveRecords writes records whole, new ones and changed ones alike.
func saveRecords(ctx context.Context, tx *sql.Tx, acct int64, t *objectType, list []*record) error {
	rows := make([][]any, len(list))
	for i, r := range list {
		props, err := json.Marshal(r.props)
		if err != nil {
			return err
		}
		var archived any
		if r.archived != 0 {
			archived = r.archived
		}
		rows[i] = []any{acct, t.ID, r.id, r.rev, string(props), r.created, r.updated, archived}
	}
	err := bulkInsert(ctx, tx, insertRecords, rows, `on conflict (acct, type_id, id) do update set
		rev = excluded.rev, props = excluded.props, created_at = excluded.created_at, updated_at = excluded.updated_at, archived_at = excluded.archived_at`)
	if err != nil {
		return fmt.Errorf("crm: save %s: %w", t.Plural, err)
	}
	return nil
}

// draft is a record on its way into the database.
type draft struct {
	in      writeInput
	rec     *record
	isNew   bool
	changed []string // the properties whose values changed
	bad     []valueError
	fault   *fault
	links   []draftLink
}

type draftLink struct {
	to    *objectType
	id    int64
	kinds []*kind
}

// failed gives what is wrong with the draft, or nil.
func (d *draft) failed() *fault {
	if d.fault != nil {
		return d.fault
	}
	if len(d.bad) > 0 {
		return badValues(d.bad)
	}
	return nil
}

// writer writes records of one type in one transaction.
type writer struct {
	*rules
	c   *call
	tx  *sql.Tx
	src source
}

func (c *call) writer(tx *sql.Tx, t *objectType) (*writer, error) {
	r, err := rulesFor(c.ctx(), tx, c.acct, t, micros(c.s.now()))
	return &writer{rules: r, c: c, tx: tx, src: c.source()}, err
}

// save stores drafts that hold: the records, what searches look up, what was
// before, and their associations.
func (w *writer) save(list []*draft) error {
	var fresh, old []*draft
	for _, d := range list {
		switch {
		case d.isNew:
			fresh = append(fresh, d)
		case len(d.changed) > 0:
			old = append(old, d)
		}
	}
	if len(fresh) > 0 {
		first, err := takeIDs(w.c.ctx(), w.tx, w.c.acct, len(fresh))
		if err != nil {
			return err
		}
		for i, d := range fresh {
			d.rec.id = first + int64(i)
			d.changed = append(d.changed, w.identify(d.rec)...)
		}
	}
	for _, part := range []struct {
		list  []*draft
		fresh bool
	}{{fresh, true}, {old, false}} {
		if err := w.store(part.list, part.fresh); err != nil {
			return err
		}
	}
	return w.associate(list)
}

func (w *writer) store(list []*draft, fresh bool) error {
	records := make([]*record, len(list))
	names := map[string]bool{}
	var past []change
	for i, d := range list {
		records[i] = d.rec
		d.rec.rev++
		d.rec.updated = max(w.now, d.rec.updated)
		if fresh {
			d.rec.updated = w.now
		}
		for _, n := range d.changed {
			names[n] = true
			if p := w.defs[n]; p != nil && !p.readOnly && n != w.typ.Created {
				past = append(past, change{d.rec, n, d.rec.props[n]})
			}
		}
	}
	if err := saveRecords(w.c.ctx(), w.tx, w.c.acct, w.typ, records); err != nil {
		return err
	}
	if err := reindex(w.c.ctx(), w.tx, w.c.acct, w.typ, w.defs, records, keys(names), fresh); err != nil {
		return fmt.Errorf("crm: index %s: %w", w.typ.Plural, err)
	}
	if err := remember(w.c.ctx(), w.tx, w.c.acct, w.typ, past, w.src, fresh); err != nil {
		return fmt.Errorf("crm: history of %s: %w", w.typ.Plural, err)
	}
	return nil
}

// associate makes the associations that drafts came with, and reads the records
// again that they changed.
func (w *writer) associate(list []*draft) error {
	byType := map[string][]link{}
	types := map[string]*objectType{}
	var ids []int64
	for _, d := range list {
		for _, l := range d.links {
			types[l.to.ID] = l.to
			for _, k := range l.kinds {
				byType[l.to.ID] = append(byType[l.to.ID], link{d.rec.id, l.id, k})
			}
		}
		if len(d.links) > 0 {
			ids = append(ids, d.rec.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	for _, id := range sortedKeys(byType) {
		l, err := newLinker(w.c.ctx(), w.tx, w.c.acct, w.typ, types[id], w.now)
		if err == nil {
			err = l.link(byType[id])
		}
		if err != nil {
			return err
		}
	}
	again, err := recordsByID(w.c.ctx(), w.tx, w.c.acct, w.typ, ids, false)
	for _, d := range list {
		if r := again[d.rec.id]; r != nil {
			d.rec = r
		}
	}
	return err
}
