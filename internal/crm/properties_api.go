package crm

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// propertyCall resolves the type of a call about definitions and checks the scope.
func (c *call) propertyCall(write bool) (*objectType, error) { return c.pipelineCall(write) }

func listProperties(c *call) (int, any, error) {
	t, err := c.propertyCall(false)
	if err != nil {
		return 0, nil, err
	}
	archived, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	var list []*property
	if archived {
		list, err = storedProperties(c.ctx(), q, c.acct, t, true)
	} else {
		var defs definitions
		defs, err = definitionsOf(c.ctx(), q, c.acct, t)
		list = defs.sorted()
	}
	if err != nil {
		return 0, nil, err
	}
	level := c.query().Get("dataSensitivity")
	if level == "" {
		level = notSensitive
	}
	only := c.list("properties")
	out := []propertyReply{}
	for _, p := range list {
		if p.Sensitivity == level && (len(only) == 0 || slices.Contains(only, p.Name)) {
			out = append(out, p.reply())
		}
	}
	return http.StatusOK, all(out), nil
}

func noProperty(name string) *fault {
	return notFound("There is no property %q.", name).with("propertyName", name)
}

func readProperty(c *call) (int, any, error) {
	t, err := c.propertyCall(false)
	if err != nil {
		return 0, nil, err
	}
	archived, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	p, err := c.property(c.s.db.Read(), t, c.params["propertyName"], archived)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, p.reply(), nil
}

func (c *call) property(q querier, t *objectType, name string, archived bool) (*property, error) {
	if !archived {
		defs, err := definitionsOf(c.ctx(), q, c.acct, t)
		if err != nil {
			return nil, err
		}
		if p := defs[name]; p != nil {
			return p, nil
		}
		return nil, noProperty(name)
	}
	list, err := storedProperties(c.ctx(), q, c.acct, t, true)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(p *property) bool { return p.Name == name }); i >= 0 {
		return list[i], nil
	}
	return nil, noProperty(name)
}

func createProperty(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in propertyInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var p *property
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		var f *fault
		var err error
		if p, f, err = c.makeProperty(tx, t, in); err != nil {
			return err
		}
		if f != nil {
			return f
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, p.reply(), nil
}

// makeProperty checks and stores a new definition. The fault is the caller's.
func (c *call) makeProperty(tx *sql.Tx, t *objectType, in propertyInput) (*property, *fault, error) {
	defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
	if err != nil {
		return nil, nil, err
	}
	p, f := in.property()
	if f != nil {
		return nil, f, nil
	}
	if defs[p.Name] != nil {
		return nil, newFault(http.StatusConflict, catExists, "A property named '%s' already exists.", p.Name).
			sub("Properties.PROPERTY_WITH_NAME_EXISTS").with("name", p.Name), nil
	}
	groups, err := groupsOf(c.ctx(), tx, c.acct, t)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(groups, func(g groupReply) bool { return g.Name == p.GroupName }) {
		return nil, invalid("There is no property group %q of %s.", p.GroupName, t.Plural).with("groupName", p.GroupName), nil
	}
	if p.Sensitivity != notSensitive && !slices.Contains(sensitiveTypes, t.Schema) {
		return nil, invalid("%s can't have sensitive properties.", t.Labels).with("propertyName", "dataSensitivity"), nil
	}
	if f := roomFor(defs, p); f != nil {
		return nil, f, nil
	}
	// The name may have been another property's once: its values must not come back as this one's.
	if err := c.forgetValues(tx, t, p.Name); err != nil {
		return nil, nil, err
	}
	p.createdAt = micros(c.s.now())
	p.updatedAt = p.createdAt
	return p, nil, saveProperty(c, tx, t, p)
}

// The bounds of the definitions of one type.
const (
	maxCustomProperties = 1000
	maxUniqueProperties = 10
)

func roomFor(defs definitions, p *property) *fault {
	own, unique := 0, 0
	for _, d := range defs {
		if !d.HubspotDefined {
			own++
			if d.HasUniqueValue {
				unique++
			}
		}
	}
	switch {
	case own >= maxCustomProperties:
		return invalid("A type of object has at most %d properties of the account's own.", maxCustomProperties)
	case p.HasUniqueValue && unique >= maxUniqueProperties:
		return invalid("A type of object has at most %d properties with unique values.", maxUniqueProperties)
	}
	return nil
}

func saveProperty(c *call, tx *sql.Tx, t *objectType, p *property) error {
	def, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var archived any
	if p.archivedAt != 0 {
		archived = p.archivedAt
	}
	_, err = tx.ExecContext(c.ctx(), `
		insert into crm_properties (acct, type_id, name, def, created_at, updated_at, archived_at) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (acct, type_id, name) do update set def = excluded.def, created_at = excluded.created_at,
			updated_at = excluded.updated_at, archived_at = excluded.archived_at`,
		c.acct, t.ID, p.Name, string(def), p.createdAt, p.updatedAt, archived)
	if err != nil {
		return fmt.Errorf("crm: save property %s: %w", p.Name, err)
	}
	return nil
}

func changeProperty(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in propertyInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var out propertyReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		old, err := c.property(tx, t, c.params["propertyName"], false)
		if err != nil {
			return err
		}
		p, f := in.change(old)
		if f != nil {
			return f
		}
		if p.GroupName != old.GroupName {
			groups, err := groupsOf(c.ctx(), tx, c.acct, t)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(groups, func(g groupReply) bool { return g.Name == p.GroupName }) {
				return invalid("There is no property group %q of %s.", p.GroupName, t.Plural).with("groupName", p.GroupName)
			}
		}
		p.updatedAt = micros(c.s.now())
		out = p.reply()
		return saveProperty(c, tx, t, p)
	})
	return http.StatusOK, out, err
}

func archiveProperty(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		p, err := c.property(tx, t, c.params["propertyName"], false)
		if err != nil {
			return err
		}
		if p.HubspotDefined {
			return invalid("%q is a standard property and can't be archived.", p.Name).with("propertyName", p.Name)
		}
		return c.hideProperty(tx, t, p)
	})
	return http.StatusNoContent, nil, err
}

// hideProperty archives a definition. The values stay with the records, unseen.
func (c *call) hideProperty(tx *sql.Tx, t *objectType, p *property) error {
	gone := *p
	gone.archivedAt = micros(c.s.now())
	if err := saveProperty(c, tx, t, &gone); err != nil {
		return err
	}
	_, err := tx.ExecContext(c.ctx(), `delete from crm_values where acct = $1 and type_id = $2 and property = $3`, c.acct, t.ID, p.Name)
	return err
}

// forgetValues takes the values of an archived property off the records for good.
func (c *call) forgetValues(tx *sql.Tx, t *objectType, name string) error {
	var n int
	err := tx.QueryRowContext(c.ctx(), `select count(*) from crm_properties where acct = $1 and type_id = $2 and name = $3`, c.acct, t.ID, name).Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	rows, err := tx.QueryContext(c.ctx(), `select `+recordColumns+` from crm_records
		where acct = $1 and type_id = $2 and id in (select record_id from crm_history where acct = $1 and property = $3) order by id`, c.acct, t.ID, name)
	list, err := collect(rows, err, scanRecord)
	if err != nil {
		return err
	}
	var ids []int64
	for _, r := range list {
		r.set(name, "")
		ids = append(ids, r.id)
	}
	if err := saveRecords(c.ctx(), tx, c.acct, t, list); err != nil {
		return err
	}
	return chunks(ids, 1000, func(ids []int64) error {
		a := args{c.acct, name}
		_, err := tx.ExecContext(c.ctx(), `delete from crm_history where acct = $1 and property = $2 and record_id in `+in(&a, ids), a...)
		return err
	})
}

type propertyNames struct {
	Inputs []struct {
		Name string `json:"name"`
	} `json:"inputs"`
	Archived    bool   `json:"archived"`
	Sensitivity string `json:"dataSensitivity"`
}

func batchReadProperties(c *call) (int, any, error) {
	t, err := c.propertyCall(false)
	if err != nil {
		return 0, nil, err
	}
	var in propertyNames
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if err := sizeOf(len(in.Inputs), maxBatch); err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	var defs definitions
	if in.Archived {
		list, err := storedProperties(c.ctx(), q, c.acct, t, true)
		if err != nil {
			return 0, nil, err
		}
		defs = definitions{}
		for _, p := range list {
			defs[p.Name] = p
		}
	} else if defs, err = definitionsOf(c.ctx(), q, c.acct, t); err != nil {
		return 0, nil, err
	}
	results := []propertyReply{}
	var errs []batchError
	for _, i := range in.Inputs {
		if p := defs[i.Name]; p != nil && (in.Sensitivity == "" || p.Sensitivity == in.Sensitivity) {
			results = append(results, p.reply())
		} else {
			errs = append(errs, noProperty(i.Name).with("name", i.Name).item())
		}
	}
	return c.batchReply(http.StatusOK, results, errs)
}

func batchCreateProperties(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Inputs []propertyInput `json:"inputs"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if err := sizeOf(len(in.Inputs), maxBatch); err != nil {
		return 0, nil, err
	}
	var results []propertyReply
	var errs []batchError
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		results, errs = []propertyReply{}, nil
		for _, i := range in.Inputs {
			p, f, err := c.makeProperty(tx, t, i)
			if err != nil {
				return err
			}
			if f != nil {
				errs = append(errs, f.item())
				continue
			}
			results = append(results, p.reply())
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return c.batchReply(http.StatusCreated, results, errs)
}

// batchArchiveProperties hides definitions; names that aren't there are no failure.
func batchArchiveProperties(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in propertyNames
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if err := sizeOf(len(in.Inputs), maxBatch); err != nil {
		return 0, nil, err
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		for _, i := range in.Inputs {
			p := defs[i.Name]
			if p == nil {
				continue
			}
			if p.HubspotDefined {
				return invalid("%q is a standard property and can't be archived.", p.Name).with("propertyName", p.Name)
			}
			if err := c.hideProperty(tx, t, p); err != nil {
				return err
			}
		}
		return nil
	})
	return http.StatusNoContent, nil, err
}

// inUse reports whether a group has properties.
func inUse(defs definitions, group string) bool {
	for _, p := range defs {
		if strings.EqualFold(p.GroupName, group) {
			return true
		}
	}
	return false
}
