package crm

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxMerges is how many records may become part of one.
const maxMerges = 250

// mergeRecords makes two records one. The first keeps its id and its values; gaps
// are filled from the second, whose associations move over.
func mergeRecords(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return 0, nil, err
	}
	if !t.Mergeable {
		return 0, nil, invalid("%s can't be merged.", t.Labels)
	}
	var in struct {
		Primary scalar `json:"primaryObjectId"`
		Other   scalar `json:"objectIdToMerge"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	first, ok1 := recordID(string(in.Primary))
	second, ok2 := recordID(string(in.Other))
	if !ok1 || !ok2 || first == second {
		return 0, nil, invalid("primaryObjectId and objectIdToMerge must be the ids of two different records.")
	}
	var out *recordReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		w, err := c.writer(tx, t)
		if err != nil {
			return err
		}
		found, err := recordsByID(c.ctx(), tx, c.acct, t, []int64{first, second}, false)
		if err != nil {
			return err
		}
		keep, gone := found[first], found[second]
		if keep == nil || gone == nil {
			return invalid("Both records must exist to be merged.")
		}
		d := oldDraft(writeInput{}, keep)
		if err := w.merge(d, gone); err != nil {
			return err
		}
		if err := w.moveLinks(second, first); err != nil {
			return err
		}
		// The second record goes first: it frees its unique values.
		if err := w.retire(gone); err != nil {
			return err
		}
		if err := w.save([]*draft{d}); err != nil {
			return err
		}
		if err := refreshCounts(c.ctx(), tx, c.acct, t, []int64{first}, w.now); err != nil {
			return err
		}
		again, err := recordsByID(c.ctx(), tx, c.acct, t, []int64{first}, false)
		if err != nil {
			return err
		}
		out = c.reply(t, again[first], c.present(t, w.defs, again[first]))
		return nil
	})
	return http.StatusOK, out, err
}

// merge fills the gaps of a draft from another record.
func (w *writer) merge(d *draft, gone *record) error {
	before := map[string]string{}
	for k, v := range d.rec.props {
		before[k] = v
	}
	s := &setter{rec: d.rec}
	for _, n := range sortedKeys(gone.props) {
		if p := w.defs[n]; p != nil && !p.readOnly && d.rec.props[n] == "" {
			s.set(n, gone.props[n])
		}
	}
	join := func(name string, more ...string) {
		list := strings.Split(d.rec.props[name], ";")
		for _, v := range more {
			for part := range strings.SplitSeq(v, ";") {
				if part != "" && !slices.Contains(list, part) {
					list = append(list, part)
				}
			}
		}
		s.set(name, strings.Trim(strings.Join(list, ";"), ";"))
	}
	join("hs_merged_object_ids", formatID(d.rec.id), formatID(gone.id), gone.props["hs_merged_object_ids"])
	if strings.Count(d.rec.props["hs_merged_object_ids"], ";") > maxMerges {
		return invalid("At most %d records can be merged into one.", maxMerges)
	}
	if email := gone.props["email"]; w.typ.Plural == "contacts" && email != "" && email != d.rec.props["email"] {
		join("hs_additional_emails", email, gone.props["hs_additional_emails"])
	}
	d.changed = s.changed
	w.derive(d, before)
	return nil
}

// moveLinks gives the associations of one record to another of the same type. The
// primary mark isn't moved where there is one already.
func (w *writer) moveLinks(from, to int64) error {
	rows, err := w.tx.QueryContext(w.c.ctx(), `
		select to_type, to_id, category, kind from crm_associations where acct = $1 and from_id = $2 and to_id <> $3 order by to_type, to_id, category, kind`, w.c.acct, from, to)
	list, err := collect(rows, err, func(r *sql.Rows) (e edge, err error) {
		err = r.Scan(&e.toType, &e.to, &e.category, &e.id)
		return e, err
	})
	if err != nil {
		return fmt.Errorf("crm: merge associations: %w", err)
	}
	byType := map[string][]edge{}
	for _, e := range list {
		byType[e.toType] = append(byType[e.toType], e)
	}
	for _, typeID := range sortedKeys(byType) {
		o, err := w.c.s.typeOf(w.c.ctx(), w.tx, w.c.acct, w.c.who.number, typeID)
		if err != nil {
			return err
		}
		l, err := newLinker(w.c.ctx(), w.tx, w.c.acct, w.typ, o, w.now)
		if err != nil {
			return err
		}
		var links []link
		for _, e := range byType[typeID] {
			if k := l.kinds.find(kindRef{e.category, integer{n: e.id}}); k != nil && !k.primary() {
				links = append(links, link{to, e.to, k})
			}
		}
		if err := l.link(links); err != nil {
			return err
		}
	}
	return nil
}

// retire archives a record that became part of another.
func (w *writer) retire(r *record) error {
	r.archived, r.rev = w.now, r.rev+1
	if err := saveRecords(w.c.ctx(), w.tx, w.c.acct, w.typ, []*record{r}); err != nil {
		return err
	}
	if err := unindex(w.c.ctx(), w.tx, w.c.acct, w.typ, []int64{r.id}, keys(w.defs)); err != nil {
		return err
	}
	return unlinkAll(w.c.ctx(), w.tx, w.c.acct, []int64{r.id}, w.now)
}

// eraseContact removes a contact for good: the record, its history, and the
// activities that were with no other contact. It answers the same where there is none.
func eraseContact(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return 0, nil, err
	}
	if t.Plural != "contacts" {
		return 0, nil, invalid("Only contacts can be erased.")
	}
	var in struct {
		ID         scalar `json:"objectId"`
		IDProperty string `json:"idProperty"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if in.ID == "" {
		return 0, nil, invalid("objectId is needed.")
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		found, err := lookup(c.ctx(), tx, c.acct, t, defs, in.IDProperty, []string{string(in.ID)})
		if err != nil {
			return err
		}
		id := found[string(in.ID)]
		if id == 0 {
			return nil
		}
		have, err := existing(c.ctx(), tx, c.acct, t, []int64{id})
		if err != nil || !have[id] {
			return err
		}
		ids, err := c.soleActivities(tx, id)
		if err != nil {
			return err
		}
		return c.erase(tx, append(ids, id))
	})
	return http.StatusNoContent, nil, err
}

// soleActivities are the activities that were with one contact and no other.
func (c *call) soleActivities(tx *sql.Tx, id int64) ([]int64, error) {
	a := args{c.acct, id}
	types := in(&a, activityTypes)
	rows, err := tx.QueryContext(c.ctx(), `
		select distinct to_id from crm_associations where acct = $1 and from_id = $2 and to_type in `+types+`
		and to_id not in (select from_id from crm_associations where acct = $1 and from_type in `+types+` and to_type = '0-1' and to_id <> $2)`, a...)
	return collect(rows, err, scanOne[int64])
}

// erase removes records of any type with all that was kept of them.
func (c *call) erase(tx *sql.Tx, ids []int64) error {
	if err := unlinkAll(c.ctx(), tx, c.acct, ids, micros(c.s.now())); err != nil {
		return err
	}
	return chunks(ids, 500, func(ids []int64) error {
		for _, part := range []string{
			`crm_values where acct = $1 and (type_id, record_id) in (select type_id, id from crm_records where acct = $1 and id in `,
			`crm_history where acct = $1 and (record_id) in (select id from crm_records where acct = $1 and id in `,
			`crm_records where acct = $1 and (id) in (select id from crm_records where acct = $1 and id in `,
		} {
			a := args{c.acct}
			if _, err := tx.ExecContext(c.ctx(), `delete from `+part+in(&a, ids)+`)`, a...); err != nil {
				return fmt.Errorf("crm: erase: %w", err)
			}
		}
		return nil
	})
}
