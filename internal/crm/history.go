package crm

import (
	"context"
	"database/sql"
	"fmt"

	"postern.dev/postern"
)

// source says where a value comes from.
type source struct {
	kind, id, label string
}

// sourceOf is the source of what a caller writes: its key.
func (c *call) source() source {
	src := source{kind: "INTEGRATION", id: string(c.who.key), label: string(c.who.key)}
	if c.s.cfg.KeyLabel != nil && c.who.key != "" {
		if l := c.s.cfg.KeyLabel(c.ctx(), postern.KeyID(c.who.key)); l != "" {
			src.label = l
		}
	}
	return src
}

const historyColumns = `crm_history (acct, record_id, property, rev, at, value, source_type, source_id, source_label)`

// change is a property's new value on its way into the history.
type change struct {
	record *record
	name   string
	value  string
}

// remember adds changed values to the history and forgets those beyond the number that the type keeps.
func remember(ctx context.Context, tx *sql.Tx, acct int64, t *objectType, list []change, src source, fresh bool) error {
	rows := make([][]any, len(list))
	ids := map[int64]bool{}
	for i, ch := range list {
		rows[i] = []any{acct, ch.record.id, ch.name, ch.record.rev, ch.record.updated, ch.value, src.kind, src.id, src.label}
		ids[ch.record.id] = true
	}
	if err := bulkInsert(ctx, tx, historyColumns, rows, ""); err != nil || fresh {
		return err
	}
	return chunks(keys(ids), 500, func(ids []int64) error {
		a := args{acct}
		_, err := tx.ExecContext(ctx, `
			delete from crm_history where acct = $1 and (record_id, property, rev) in (
				select record_id, property, rev from (
					select record_id, property, rev, row_number() over (partition by record_id, property order by rev desc) as k
					from crm_history where acct = $1 and record_id in `+in(&a, ids)+`) as h
				where k > `+a.add(int64(t.historyLen()))+`)`, a...)
		return err
	})
}

// histories reads the values that some properties of some records had, newest first.
func histories(ctx context.Context, q querier, acct int64, ids []int64, names []string) (map[int64]map[string][]historyReply, error) {
	out := map[int64]map[string][]historyReply{}
	if len(ids) == 0 || len(names) == 0 {
		return out, nil
	}
	a := args{acct}
	rows, err := q.QueryContext(ctx, `
		select record_id, property, at, value, source_type, source_id, source_label from crm_history
		where acct = $1 and record_id in `+in(&a, ids)+` and property in `+in(&a, names)+`
		order by record_id, property, rev desc`, a...)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var id int64
		var name string
		var at int64
		var h historyReply
		if err := r.Scan(&id, &name, &at, &h.Value, &h.SourceType, &h.SourceID, &h.SourceLabel); err != nil {
			return struct{}{}, err
		}
		h.Timestamp = timestamp(at)
		if out[id] == nil {
			out[id] = map[string][]historyReply{}
		}
		out[id][name] = append(out[id][name], h)
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("crm: history: %w", err)
	}
	return out, nil
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
