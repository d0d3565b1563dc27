package crm

import (
	"database/sql"
	"net/http"
)

// createRecord makes one record.
func createRecord(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return 0, nil, err
	}
	var in writeInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var out *recordReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		w, err := c.writer(tx, t)
		if err != nil {
			return err
		}
		d := w.newDraft(in)
		if err := w.prepare([]*draft{d}); err != nil {
			return err
		}
		if f := d.failed(); f != nil {
			return f
		}
		if err := w.save([]*draft{d}); err != nil {
			return err
		}
		out = c.reply(t, d.rec, c.present(t, w.defs, d.rec))
		return nil
	})
	return http.StatusCreated, out, err
}

// updateRecord changes some properties of one record.
func updateRecord(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return 0, nil, err
	}
	var in writeInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var out *recordReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		w, err := c.writer(tx, t)
		if err != nil {
			return err
		}
		// Bad values are told before whether the record exists.
		probe := w.newDraft(writeInput{Properties: in.Properties})
		if err := c.mayWrite(t, w.defs, in.Properties); err != nil {
			return err
		}
		if _, bad := w.accept(c, probe.rec, in.Properties); len(bad) > 0 {
			return badValues(bad)
		}
		id, err := c.find(tx, t, w.defs, c.query().Get("idProperty"), c.params["objectId"])
		if err != nil {
			return err
		}
		found, err := recordsByID(c.ctx(), tx, c.acct, t, []int64{id}, false)
		if err != nil {
			return err
		}
		if found[id] == nil {
			return notFound("resource not found")
		}
		d := oldDraft(writeInput{Properties: in.Properties}, found[id])
		if err := w.prepare([]*draft{d}); err != nil {
			return err
		}
		if f := d.failed(); f != nil {
			return f
		}
		if err := w.save([]*draft{d}); err != nil {
			return err
		}
		out = c.reply(t, d.rec, c.shown(t, w.defs, append(d.changed, sortedKeys(in.Properties)...)))
		return nil
	})
	return http.StatusOK, out, err
}

// archiveRecord hides one record. That it isn't there is no failure.
func archiveRecord(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return 0, nil, err
	}
	id, ok := recordID(c.params["objectId"])
	if !ok {
		return http.StatusNoContent, nil, nil
	}
	return http.StatusNoContent, nil, c.archive(t, []int64{id})
}

// archive hides live records: searches and unique values forget them at once, and
// so do the records that they were associated with.
func (c *call) archive(t *objectType, ids []int64) error {
	return c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		found, err := recordsByID(c.ctx(), tx, c.acct, t, ids, false)
		if err != nil || len(found) == 0 {
			return err
		}
		now := micros(c.s.now())
		var list []*record
		for _, r := range found {
			r.archived, r.rev = now, r.rev+1
			list = append(list, r)
		}
		if err := saveRecords(c.ctx(), tx, c.acct, t, list); err != nil {
			return err
		}
		defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		if err := unindex(c.ctx(), tx, c.acct, t, keys(found), keys(defs)); err != nil {
			return err
		}
		return unlinkAll(c.ctx(), tx, c.acct, keys(found), now)
	})
}

// find finds one live record's id by a property that the caller may see.
func (c *call) find(q querier, t *objectType, defs definitions, property, value string) (int64, error) {
	if err := c.maySearch(t, defs, property); err != nil {
		return 0, err
	}
	return lookupOne(c.ctx(), q, c.acct, t, defs, property, value)
}

// maySearch refuses to find records by values that the caller may not see: whether
// something is found would tell them.
func (c *call) maySearch(t *objectType, defs definitions, property string) error {
	if p := defs[property]; p != nil && !c.maySee(t, p) {
		return c.require([]string{sensitiveScope(t, p.Sensitivity, false)})
	}
	return nil
}
