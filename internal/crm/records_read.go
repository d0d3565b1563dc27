package crm

import (
	"net/http"
	"slices"
)

const (
	pageSize       = 10
	maxPage        = 100
	maxHistoryPage = 50
)

// want is what a read asks to see of each record.
type want struct {
	properties   []string
	history      []string
	associations []*objectType
	archived     bool
}

// want reads the query parameters that all reads of records share.
func (c *call) want() (w want, err error) {
	w.properties = c.list("properties")
	w.history = c.list("propertiesWithHistory")
	if w.archived, err = c.flag("archived"); err != nil {
		return w, err
	}
	for _, name := range c.list("associations") {
		t, err := c.s.typeOf(c.ctx(), c.s.db.Read(), c.acct, c.who.number, name)
		if err != nil {
			return w, err
		}
		if err := c.requireAll(false, t); err != nil {
			return w, err
		}
		if !slices.ContainsFunc(w.associations, func(o *objectType) bool { return o.ID == t.ID }) {
			w.associations = append(w.associations, t)
		}
	}
	return w, nil
}

// replies renders records with all that was asked for, with one query for each sort of thing.
func (c *call) replies(q querier, t *objectType, defs definitions, records []*record, w want) ([]*recordReply, error) {
	names := c.shown(t, defs, append(slices.Clone(w.properties), w.history...))
	ids := make([]int64, len(records))
	for i, r := range records {
		ids[i] = r.id
	}
	var asked []string
	for _, n := range w.history {
		if p := defs[n]; p != nil && c.maySee(t, p) {
			asked = append(asked, n)
		}
	}
	past, err := histories(c.ctx(), q, c.acct, ids, asked)
	if err != nil {
		return nil, err
	}
	linked, err := c.associationPages(q, t, ids, w.associations)
	if err != nil {
		return nil, err
	}
	out := make([]*recordReply, len(records))
	for i, r := range records {
		out[i] = c.reply(t, r, names)
		out[i].Associations = linked[r.id]
		if len(asked) > 0 {
			out[i].History = map[string][]historyReply{}
			for _, n := range asked {
				out[i].History[n] = append([]historyReply{}, past[r.id][n]...)
			}
		}
	}
	return out, nil
}

// listRecords answers a page of a type's records, in the order of their ids.
func listRecords(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(false, t)
	}
	if err != nil {
		return 0, nil, err
	}
	w, err := c.want()
	if err != nil {
		return 0, nil, err
	}
	most := maxPage
	if len(w.history) > 0 {
		most = maxHistoryPage
	}
	limit, err := c.int("limit", pageSize, 1, most)
	if err != nil {
		return 0, nil, err
	}
	after, err := c.after()
	if err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	defs, err := definitionsOf(c.ctx(), q, c.acct, t)
	if err != nil {
		return 0, nil, err
	}
	// The cursor is the id that the next page begins with: one more row is read than is shown.
	rows, err := q.QueryContext(c.ctx(), `select `+recordColumns+` from crm_records
		where acct = $1 and type_id = $2 and `+archivedIs(w.archived)+` and id >= $3 order by id limit $4`, c.acct, t.ID, after, int64(limit+1))
	records, err := collect(rows, err, scanRecord)
	if err != nil {
		return 0, nil, err
	}
	p := page{}
	if len(records) > limit {
		p.Paging = c.next(formatID(records[limit].id))
		records = records[:limit]
	}
	p.Results, err = c.replies(q, t, defs, records, w)
	return http.StatusOK, p, err
}

// readRecord answers one record, found by its id or by a unique property.
func readRecord(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(false, t)
	}
	if err != nil {
		return 0, nil, err
	}
	w, err := c.want()
	if err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	defs, err := definitionsOf(c.ctx(), q, c.acct, t)
	if err != nil {
		return 0, nil, err
	}
	id, err := c.find(q, t, defs, c.query().Get("idProperty"), c.params["objectId"])
	if err != nil {
		return 0, nil, err
	}
	found, err := recordsByID(c.ctx(), q, c.acct, t, []int64{id}, w.archived)
	if err != nil {
		return 0, nil, err
	}
	if found[id] == nil {
		return 0, nil, notFound("resource not found")
	}
	list, err := c.replies(q, t, defs, []*record{found[id]}, w)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, list[0], nil
}
