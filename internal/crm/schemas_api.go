package crm

import (
	"context"
	"database/sql"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// schemaInput is what a client sends to make or change a type of its own.
type schemaInput struct {
	Name             string          `json:"name"`
	Labels           *labelPair      `json:"labels"`
	Description      *string         `json:"description"`
	ClearDescription bool            `json:"clearDescription"`
	Primary          *string         `json:"primaryDisplayProperty"`
	Secondary        *[]string       `json:"secondaryDisplayProperties"`
	Searchable       *[]string       `json:"searchableProperties"`
	Required         *[]string       `json:"requiredProperties"`
	Associated       []string        `json:"associatedObjects"`
	Properties       []propertyInput `json:"properties"`
}

// maxSearchable is how many properties a query looks at.
const maxSearchable = 20

var schemaName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,99}$`)

func listSchemas(c *call) (int, any, error) {
	archived, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	list, err := schemasOf(c.ctx(), q, c.acct, archived)
	if err != nil {
		return 0, nil, err
	}
	out := []schemaReply{}
	for _, s := range list {
		defs, err := definitionsOf(c.ctx(), q, c.acct, s.def.objectType(s.id))
		if err != nil {
			return 0, nil, err
		}
		out = append(out, c.showSchema(s, defs))
	}
	return http.StatusOK, all(out), nil
}

func readSchema(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	defs, err := definitionsOf(c.ctx(), q, c.acct, t)
	if err != nil {
		return 0, nil, err
	}
	if !t.Custom {
		return http.StatusOK, c.showStandard(t, defs), nil
	}
	s, err := c.schemaOf(q, t)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.showSchema(s, defs), nil
}

// schemaOf reads the schema of a type of the account's own.
func (c *call) schemaOf(q querier, t *objectType) (*schema, error) {
	list, err := schemasOf(c.ctx(), q, c.acct, false)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(s *schema) bool { return s.id == t.ID }); i >= 0 {
		return list[i], nil
	}
	return nil, invalid("%q is a standard type of object and can't be changed.", t.Plural)
}

func createSchema(c *call) (int, any, error) {
	var in schemaInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	in.Name = strings.ToLower(in.Name)
	if !schemaName.MatchString(in.Name) || in.Labels == nil || in.Labels.Singular == "" || in.Labels.Plural == "" || in.Primary == nil || in.Required == nil || len(in.Properties) == 0 {
		return 0, nil, invalid("A type of object needs name (letters, digits and underscores, a letter first), labels, primaryDisplayProperty, requiredProperties and properties.")
	}
	if _, ok := standard[in.Name]; ok {
		return 0, nil, invalid("%q is the name of a standard type of object.", in.Name)
	}
	var out schemaReply
	err := c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		var taken int
		if err := tx.QueryRowContext(c.ctx(), `select count(*) from crm_schemas where acct = $1 and name = $2`, c.acct, in.Name).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return newFault(http.StatusConflict, catExists, "A type of object named '%s' already exists.", in.Name).with("name", in.Name)
		}
		first, err := takeKinds(c.ctx(), tx, c.acct, 1)
		if err != nil {
			return err
		}
		now := micros(c.s.now())
		s := &schema{id: "2-" + formatID(first), created: now, updated: now, def: schemaDef{Name: in.Name, Singular: in.Labels.Singular, Plural: in.Labels.Plural}}
		s.def.apply(in)
		if err := saveSchema(c.ctx(), tx, c.acct, s); err != nil {
			return err
		}
		t := s.def.objectType(s.id)
		if err := c.linkSchema(tx, s, t, in.Associated); err != nil {
			return err
		}
		for _, p := range in.Properties {
			if p.GroupName == nil {
				p.GroupName = &t.Group
			}
			_, f, err := c.makeProperty(tx, t, p)
			if err != nil {
				return err
			}
			if f != nil {
				return f
			}
		}
		defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		if f := s.def.check(defs); f != nil {
			return f
		}
		out = c.showSchema(s, defs)
		return saveSchema(c.ctx(), tx, c.acct, s)
	})
	return http.StatusCreated, out, err
}

// apply takes over what the input says of the type itself.
func (d *schemaDef) apply(in schemaInput) {
	if in.Labels != nil {
		if in.Labels.Singular != "" {
			d.Singular = in.Labels.Singular
		}
		if in.Labels.Plural != "" {
			d.Plural = in.Labels.Plural
		}
	}
	assign(&d.Description, in.Description)
	if in.ClearDescription {
		d.Description = ""
	}
	assign(&d.Primary, in.Primary)
	assign(&d.Secondary, in.Secondary)
	assign(&d.Searchable, in.Searchable)
	assign(&d.Required, in.Required)
}

// check refuses a type that names properties which it hasn't got.
func (d *schemaDef) check(defs definitions) *fault {
	if len(d.Searchable) > maxSearchable {
		return invalid("A type of object has at most %d searchable properties.", maxSearchable)
	}
	for _, n := range slices.Concat([]string{d.Primary}, d.Secondary, d.Searchable, d.Required) {
		if defs[n] == nil {
			return invalid("%q is not one of the properties of the type.", n).with("propertyName", n)
		}
	}
	return nil
}

// linkSchema gives a new type its default associations with every other type, and
// notes those that it was asked to have.
func (c *call) linkSchema(tx *sql.Tx, s *schema, t *objectType, asked []string) error {
	var others []*objectType
	for i := range standardTypes {
		others = append(others, &standardTypes[i])
	}
	own, err := schemasOf(c.ctx(), tx, c.acct, false)
	if err != nil {
		return err
	}
	for _, o := range own {
		if o.id != s.id {
			others = append(others, o.def.objectType(o.id))
		}
	}
	wanted := map[string]bool{}
	for _, name := range asked {
		o, err := c.s.typeOf(c.ctx(), tx, c.acct, c.who.number, name)
		if err != nil {
			return err
		}
		wanted[o.ID] = true
	}
	first, err := takeKinds(c.ctx(), tx, c.acct, 2*len(others)+1)
	if err != nil {
		return err
	}
	list := []*kind{{category: hubspotDefined, id: first, inverse: first, from: t.ID, to: t.ID, name: pairName(t, t)}}
	for i, o := range others {
		there, back := first+1+int64(2*i), first+2+int64(2*i)
		list = append(list, &kind{category: hubspotDefined, id: there, inverse: back, from: t.ID, to: o.ID, name: pairName(t, o)},
			&kind{category: hubspotDefined, id: back, inverse: there, from: o.ID, to: t.ID, name: pairName(o, t)})
		if wanted[o.ID] {
			s.def.Associated = append(s.def.Associated, o.ID)
			s.def.Links = append(s.def.Links, linkName{there, t.ID, o.ID, pairName(t, o)}, linkName{back, o.ID, t.ID, pairName(o, t)})
		}
	}
	return insertKinds(c.ctx(), tx, c.acct, list)
}

func changeSchema(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err != nil {
		return 0, nil, err
	}
	var in schemaInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var out schemaReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		s, err := c.schemaOf(tx, t)
		if err != nil {
			return err
		}
		defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		s.def.apply(in)
		s.updated = micros(c.s.now())
		if f := s.def.check(defs); f != nil {
			return f
		}
		out = c.showSchema(s, nil)
		return saveSchema(c.ctx(), tx, c.acct, s)
	})
	return http.StatusOK, out, err
}

// archiveSchema ends a type that has no live records; with archived=true its
// definition goes for good, and its name is free again.
func archiveSchema(c *call) (int, any, error) {
	forGood, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		s, err := c.endingSchema(tx, forGood)
		if err != nil {
			return err
		}
		var live int64
		if err := tx.QueryRowContext(c.ctx(), `select count(*) from crm_records where acct = $1 and type_id = $2 and archived_at is null`, c.acct, s.id).Scan(&live); err != nil {
			return err
		}
		if live > 0 {
			return invalid("The type %q still has %d records.", s.def.Name, live)
		}
		if forGood {
			return dropSchema(c.ctx(), tx, c.acct, s.id)
		}
		s.archived = micros(c.s.now())
		return saveSchema(c.ctx(), tx, c.acct, s)
	})
	return http.StatusNoContent, nil, err
}

// endingSchema finds the schema that the path names, an archived one too where it is to go for good.
func (c *call) endingSchema(tx *sql.Tx, forGood bool) (*schema, error) {
	t, err := c.s.typeOf(c.ctx(), tx, c.acct, c.who.number, c.params["objectType"])
	if err == nil {
		return c.schemaOf(tx, t)
	}
	if forGood {
		list, lerr := schemasOf(c.ctx(), tx, c.acct, true)
		if lerr != nil {
			return nil, lerr
		}
		name := strings.ToLower(c.params["objectType"])
		for _, s := range list {
			if s.id == name || s.def.Name == name || s.def.objectType(s.id).qualified(c.who.number) == name {
				return s, nil
			}
		}
	}
	return nil, err
}

// dropSchema removes a type with everything that only it had.
func dropSchema(ctx context.Context, tx *sql.Tx, acct int64, id string) error {
	if _, err := tx.ExecContext(ctx, `delete from crm_history where acct = $1 and record_id in (select id from crm_records where acct = $1 and type_id = $2)`, acct, id); err != nil {
		return err
	}
	for _, table := range []string{"crm_records", "crm_values", "crm_properties", "crm_property_groups", "crm_schemas"} {
		if _, err := tx.ExecContext(ctx, `delete from `+table+` where acct = $1 and type_id = $2`, acct, id); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `delete from crm_association_kinds where acct = $1 and (from_type = $2 or to_type = $2)`, acct, id)
	return err
}
