package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
)

// record is one row of an object type. Times are microseconds.
type record struct {
	id       int64
	rev      int64
	created  int64
	updated  int64
	archived int64 // 0 while it lives
	props    map[string]string
}

const recordColumns = `id, rev, props, created_at, updated_at, coalesce(archived_at, 0)`

func scanRecord(rows *sql.Rows) (*record, error) {
	r := &record{}
	var props []byte
	if err := rows.Scan(&r.id, &r.rev, &props, &r.created, &r.updated, &r.archived); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(props, &r.props); err != nil {
		return nil, fmt.Errorf("record %d: %w", r.id, err)
	}
	return r, nil
}

// value gives a property's value: what is stored, or what follows from the record's row.
func (r *record) value(t *objectType, name string) (string, bool) {
	switch name {
	case "hs_object_id":
		return formatID(r.id), true
	case "hs_createdate", t.Created:
		return timestamp(r.created).String(), true
	case "hs_lastmodifieddate", t.Modified:
		return timestamp(r.updated).String(), true
	}
	v, ok := r.props[name]
	return v, ok
}

// recordReply is a record as clients get it.
type recordReply struct {
	ID           string                      `json:"id"`
	Properties   map[string]*string          `json:"properties"`
	History      map[string][]historyReply   `json:"propertiesWithHistory,omitempty"`
	CreatedAt    timestamp                   `json:"createdAt"`
	UpdatedAt    timestamp                   `json:"updatedAt"`
	Archived     bool                        `json:"archived"`
	ArchivedAt   *timestamp                  `json:"archivedAt,omitempty"`
	URL          string                      `json:"url"`
	Associations map[string]associationsPage `json:"associations,omitempty"`
	New          *bool                       `json:"new,omitempty"`
	TraceID      string                      `json:"objectWriteTraceId,omitempty"`
}

type historyReply struct {
	Value       string    `json:"value"`
	Timestamp   timestamp `json:"timestamp"`
	SourceType  string    `json:"sourceType"`
	SourceID    string    `json:"sourceId,omitempty"`
	SourceLabel string    `json:"sourceLabel,omitempty"`
}

// shown are the names of the properties that a reply has: those asked for, as far
// as they are defined and the caller may see them, and the three that every reply has.
func (c *call) shown(t *objectType, defs definitions, names []string) []string {
	if len(names) == 0 {
		names = t.Defaults
		if t.Custom {
			names = append(slices.Clone(names), t.Required...)
		}
	}
	out := []string{"hs_object_id", t.Created, t.Modified}
	seen := map[string]bool{"hs_object_id": true, t.Created: true, t.Modified: true}
	for _, n := range names {
		if p := defs[n]; p != nil && !seen[n] && c.maySee(t, p) {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// present are the names of all properties that have a value: what the reply to a write shows.
func (c *call) present(t *objectType, defs definitions, r *record) []string {
	out := []string{"hs_object_id", t.Created, t.Modified}
	for n := range r.props {
		if p := defs[n]; p != nil && c.maySee(t, p) {
			out = append(out, n)
		}
	}
	return out
}

func (c *call) reply(t *objectType, r *record, names []string) *recordReply {
	out := &recordReply{ID: formatID(r.id), Properties: make(map[string]*string, len(names)), CreatedAt: timestamp(r.created), UpdatedAt: timestamp(r.updated),
		URL: fmt.Sprintf("%s/contacts/%d/record/%s/%d", c.s.uiBase, c.who.number, t.ID, r.id)}
	for _, n := range names {
		if v, ok := r.value(t, n); ok {
			out.Properties[n] = &v
		} else {
			out.Properties[n] = nil
		}
	}
	if r.archived != 0 {
		at := timestamp(r.archived)
		out.Archived, out.ArchivedAt = true, &at
	}
	return out
}

// recordsByID reads records by their ids, by id. Those that aren't there are left out.
func recordsByID(ctx context.Context, q querier, acct int64, t *objectType, ids []int64, archived bool) (map[int64]*record, error) {
	out := make(map[int64]*record, len(ids))
	err := chunks(ids, 1000, func(ids []int64) error {
		a := args{acct, t.ID}
		rows, err := q.QueryContext(ctx, `select `+recordColumns+` from crm_records
			where acct = $1 and type_id = $2 and `+archivedIs(archived)+` and id in `+in(&a, ids), a...)
		list, err := collect(rows, err, scanRecord)
		for _, r := range list {
			out[r.id] = r
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("crm: read %s: %w", t.Plural, err)
	}
	return out, nil
}

// existing tells which of the ids are those of live records.
func existing(ctx context.Context, q querier, acct int64, t *objectType, ids []int64) (map[int64]bool, error) {
	out := make(map[int64]bool, len(ids))
	err := chunks(ids, 1000, func(ids []int64) error {
		a := args{acct, t.ID}
		rows, err := q.QueryContext(ctx, `select id from crm_records
			where acct = $1 and type_id = $2 and archived_at is null and id in `+in(&a, ids), a...)
		list, err := collect(rows, err, scanOne[int64])
		for _, id := range list {
			out[id] = true
		}
		return err
	})
	return out, err
}

func archivedIs(archived bool) string {
	if archived {
		return "archived_at is not null"
	}
	return "archived_at is null"
}
