package crm

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// The limits of the association calls.
const (
	linkPage       = 500
	maxLinkReads   = 1000
	maxLinkChanges = 2000
)

// linkedID is the id of an associated record: a number under v4, a string under a
// dated path, as clients of each expect.
type linkedID struct {
	id   int64
	text bool
}

// MarshalJSON writes the id.
func (l linkedID) MarshalJSON() ([]byte, error) {
	if l.text {
		return json.Marshal(formatID(l.id))
	}
	return strconv.AppendInt(nil, l.id, 10), nil
}

func (c *call) linkedID(id int64) linkedID { return linkedID{id, c.dated()} }

type kindReply struct {
	Category string  `json:"category"`
	TypeID   int64   `json:"typeId"`
	Label    *string `json:"label"`
	From     string  `json:"fromObjectTypeId,omitempty"`
	To       string  `json:"toObjectTypeId,omitempty"`
}

func (k *kind) reply() kindReply {
	r := kindReply{Category: k.category, TypeID: k.id}
	if k.label != "" {
		r.Label = &k.label
	}
	return r
}

type targetReply struct {
	ToObjectID linkedID    `json:"toObjectId"`
	Types      []kindReply `json:"associationTypes"`
}

func (c *call) targetReplies(list []target) []targetReply {
	out := []targetReply{}
	for _, x := range list {
		r := targetReply{ToObjectID: c.linkedID(x.id)}
		for _, k := range x.kinds {
			r.Types = append(r.Types, k.reply())
		}
		out = append(out, r)
	}
	return out
}

// pair resolves the two types of an association call and checks the scopes on both.
func (c *call) pair(from, to string, write bool) (*objectType, *objectType, error) {
	f, err := c.typ(from)
	if err != nil {
		return nil, nil, err
	}
	t, err := c.typ(to)
	if err != nil {
		return nil, nil, err
	}
	return f, t, c.requireAll(write, f, t)
}

// page of one record's associations, for both forms of the call.
func (c *call) linksOf() ([]target, *paging, error) {
	from, to, err := c.pair("objectType", "toObjectType", false)
	if err != nil {
		return nil, nil, err
	}
	limit, err := c.int("limit", linkPage, 1, linkPage)
	if err != nil {
		return nil, nil, err
	}
	after, err := c.after()
	if err != nil {
		return nil, nil, err
	}
	q := c.s.db.Read()
	id, ok := recordID(c.params["objectId"])
	if ok {
		var have map[int64]bool
		if have, err = existing(c.ctx(), q, c.acct, from, []int64{id}); err != nil {
			return nil, nil, err
		}
		ok = have[id]
	}
	if !ok {
		return nil, nil, notFound("resource not found")
	}
	ks, err := kindsOf(c.ctx(), q, c.acct, from, to)
	if err != nil {
		return nil, nil, err
	}
	found, err := targets(c.ctx(), q, c.acct, map[string]kinds{to.ID: ks}, []int64{id}, after, limit)
	if err != nil {
		return nil, nil, err
	}
	list := found[id][to.ID]
	var next *paging
	if len(list) > limit {
		next = c.next(formatID(list[limit].id))
		list = list[:limit]
	}
	return list, next, nil
}

func listLinks(c *call) (int, any, error) {
	list, next, err := c.linksOf()
	return http.StatusOK, page{Results: c.targetReplies(list), Paging: next}, err
}

// onePair is what the calls on two records by path share.
type onePair struct {
	from, to     *objectType
	fromID, toID int64
}

func (c *call) onePair() (p onePair, err error) {
	if p.from, p.to, err = c.pair("objectType", "toObjectType", true); err != nil {
		return p, err
	}
	p.fromID, _ = recordID(c.params["objectId"])
	p.toID, _ = recordID(c.params["toObjectId"])
	return p, nil
}

// exist refuses a pair of which one isn't there, or that is one and the same.
func (p onePair) exist(c *call, q querier) error {
	for _, side := range []struct {
		t  *objectType
		id int64
	}{{p.from, p.fromID}, {p.to, p.toID}} {
		have, err := existing(c.ctx(), q, c.acct, side.t, []int64{side.id})
		if err != nil {
			return err
		}
		if !have[side.id] {
			return notFound("resource not found")
		}
	}
	if p.fromID == p.toID {
		return invalid("A record can't be associated with itself.")
	}
	return nil
}

type recordRef struct {
	ID string `json:"id"`
}

type specReply struct {
	From recordRef `json:"from"`
	To   recordRef `json:"to"`
	Spec struct {
		Category string `json:"associationCategory"`
		TypeID   int64  `json:"associationTypeId"`
	} `json:"associationSpec"`
}

// bothWays are the two rows of a default association.
func bothWays(from, to int64, k *kind) []specReply {
	out := make([]specReply, 2)
	for i, e := range [2]edge{{from: from, to: to, kind: kind{id: k.id}}, {from: to, to: from, kind: kind{id: k.inverse}}} {
		out[i].From.ID, out[i].To.ID = formatID(e.from), formatID(e.to)
		out[i].Spec.Category, out[i].Spec.TypeID = k.category, e.id
	}
	return out
}

func linkDefault(c *call) (int, any, error) {
	p, err := c.onePair()
	if err != nil {
		return 0, nil, err
	}
	var results []specReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		if err := p.exist(c, tx); err != nil {
			return err
		}
		l, err := newLinker(c.ctx(), tx, c.acct, p.from, p.to, micros(c.s.now()))
		if err != nil {
			return err
		}
		results = bothWays(p.fromID, p.toID, l.kinds.byDefault())
		return l.link([]link{{p.fromID, p.toID, nil}})
	})
	if err != nil {
		return 0, nil, err
	}
	return c.batchReply(http.StatusOK, results, nil)
}

// labelsReply tells which labels are between two records.
type labelsReply struct {
	FromType string   `json:"fromObjectTypeId"`
	From     linkedID `json:"fromObjectId"`
	ToType   string   `json:"toObjectTypeId"`
	To       linkedID `json:"toObjectId"`
	Labels   []string `json:"labels"`
}

func (c *call) labels(from, to *objectType, fromID, toID int64, ks []*kind) labelsReply {
	r := labelsReply{FromType: from.ID, From: c.linkedID(fromID), ToType: to.ID, To: c.linkedID(toID), Labels: []string{}}
	for _, k := range ks {
		if k != nil && k.label != "" {
			r.Labels = append(r.Labels, k.label)
		}
	}
	return r
}

// linkLabelled puts labels on a pair; the account's own labels become those given.
func linkLabelled(c *call) (int, any, error) {
	p, err := c.onePair()
	if err != nil {
		return 0, nil, err
	}
	var in []kindRef
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if len(in) == 0 {
		return 0, nil, invalid("At least one type of association is needed.")
	}
	var out labelsReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		l, err := newLinker(c.ctx(), tx, c.acct, p.from, p.to, micros(c.s.now()))
		if err != nil {
			return err
		}
		var ks []*kind
		var links []link
		for _, ref := range in {
			k := l.kinds.find(ref)
			if k == nil {
				return invalid("%s %d is not a type of association from %s to %s.", ref.Category, ref.ID.n, p.from.Plural, p.to.Plural)
			}
			ks = append(ks, k)
			links = append(links, link{p.fromID, p.toID, k})
		}
		if err := p.exist(c, tx); err != nil {
			return err
		}
		out = c.labels(p.from, p.to, p.fromID, p.toID, ks)
		if err := l.dropLabels(p.fromID, p.toID); err != nil {
			return err
		}
		return l.link(links)
	})
	return http.StatusCreated, out, err
}

// dropLabels takes the account's own labels off a pair.
func (l *linker) dropLabels(from, to int64) error {
	for _, a := range [2][]any{{l.acct, from, l.to.ID, to, userDefined}, {l.acct, to, l.from.ID, from, userDefined}} {
		_, err := l.tx.ExecContext(l.ctx, `delete from crm_associations where acct = $1 and from_id = $2 and to_type = $3 and to_id = $4 and category = $5`, a...)
		if err != nil {
			return err
		}
	}
	return nil
}

func unlinkPair(c *call) (int, any, error) {
	p, err := c.onePair()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, c.unlinkMany(p.from, p.to, []link{{p.fromID, p.toID, nil}})
}

func (c *call) unlinkMany(from, to *objectType, list []link) error {
	return c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		l, err := newLinker(c.ctx(), tx, c.acct, from, to, micros(c.s.now()))
		if err != nil {
			return err
		}
		return l.unlink(list)
	})
}

// noLinks is the item of a batch for a record that isn't associated with any.
func noLinks(from, to *objectType, id string) batchError {
	return notFound("No %s is associated with %s %s.", to.Name, from.Name, id).sub("crm.associations.NO_ASSOCIATIONS_FOUND").
		with("fromObjectId", id).with("fromObjectType", from.Name).with("toObjectType", to.Name).item()
}

// readLinks is what both forms of batch/read share: for each input the record's
// targets, or an item that says there are none.
func (c *call) readLinks(fn func(id int64, list []target, next *paging) any) (int, any, error) {
	from, to, err := c.pair("fromObjectType", "toObjectType", false)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Inputs []struct {
			ID    scalar  `json:"id"`
			After integer `json:"after"`
		} `json:"inputs"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if err := sizeOf(len(in.Inputs), maxLinkReads); err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	ks, err := kindsOf(c.ctx(), q, c.acct, from, to)
	if err != nil {
		return 0, nil, err
	}
	// Inputs that begin at the same place are read together; mostly that is all of them.
	byAfter := map[int64][]int64{}
	for _, i := range in.Inputs {
		if id, ok := recordID(string(i.ID)); ok && !slices.Contains(byAfter[i.After.n], id) {
			byAfter[i.After.n] = append(byAfter[i.After.n], id)
		}
	}
	if len(byAfter) > maxBatch {
		return 0, nil, invalid("inputs holds %d different cursors, and the maximum is %d.", len(byAfter), maxBatch)
	}
	found := map[int64]map[int64][]target{}
	for after, ids := range byAfter {
		have, err := existing(c.ctx(), q, c.acct, from, ids)
		if err != nil {
			return 0, nil, err
		}
		m, err := targets(c.ctx(), q, c.acct, map[string]kinds{to.ID: ks}, keys(have), after, linkPage)
		if err != nil {
			return 0, nil, err
		}
		found[after] = map[int64][]target{}
		for id, byType := range m {
			found[after][id] = byType[to.ID]
		}
	}
	results := []any{}
	var errs []batchError
	for _, i := range in.Inputs {
		id, _ := recordID(string(i.ID))
		list := found[i.After.n][id]
		if len(list) == 0 {
			errs = append(errs, noLinks(from, to, string(i.ID)))
			continue
		}
		var next *paging
		if len(list) > linkPage {
			next = &paging{Next: nextPage{After: formatID(list[linkPage].id)}}
			list = list[:linkPage]
		}
		results = append(results, fn(id, list, next))
	}
	return c.batchReply(http.StatusOK, results, errs)
}

func batchReadLinks(c *call) (int, any, error) {
	return c.readLinks(func(id int64, list []target, next *paging) any {
		return struct {
			From   recordRef     `json:"from"`
			To     []targetReply `json:"to"`
			Paging *paging       `json:"paging,omitempty"`
		}{recordRef{formatID(id)}, c.targetReplies(list), next}
	})
}
