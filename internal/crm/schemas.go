package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
)

// schemaDef is an account's own type of object, as it is stored.
type schemaDef struct {
	Name        string     `json:"name"`
	Singular    string     `json:"singular"`
	Plural      string     `json:"plural"`
	Description string     `json:"description"`
	Primary     string     `json:"primaryDisplayProperty"`
	Secondary   []string   `json:"secondaryDisplayProperties"`
	Searchable  []string   `json:"searchableProperties"`
	Required    []string   `json:"requiredProperties"`
	Associated  []string   `json:"associatedObjects"` // type ids
	Links       []linkName `json:"links"`
}

// linkName is a default association of the type, as the schema shows it.
type linkName struct {
	Kind int64  `json:"kind"`
	From string `json:"from"`
	To   string `json:"to"`
	Name string `json:"name"`
}

// objectType is the type as handlers know it.
func (d schemaDef) objectType(id string) *objectType {
	t := &objectType{ID: id, Name: d.Name, Plural: d.Name, Label: d.Singular, Labels: d.Plural, Group: d.Name + "_information",
		Read: customScopes.Read, Write: customScopes.Write, Schema: customScopes.Schema,
		Search: d.Searchable, Display: []string{d.Primary}, Required: d.Required, Custom: true, Mergeable: true}
	t.complete(nil)
	return t
}

type labelPair struct {
	Singular string `json:"singular"`
	Plural   string `json:"plural"`
}

type schemaLink struct {
	ID                 string    `json:"id"`
	From               string    `json:"fromObjectTypeId"`
	To                 string    `json:"toObjectTypeId"`
	Name               string    `json:"name"`
	Cardinality        string    `json:"cardinality"`
	InverseCardinality string    `json:"inverseCardinality"`
	CreatedAt          timestamp `json:"createdAt"`
	UpdatedAt          timestamp `json:"updatedAt"`
}

// schemaReply is a type as clients get it.
type schemaReply struct {
	ID           string          `json:"id"`
	TypeID       string          `json:"objectTypeId"`
	Qualified    string          `json:"fullyQualifiedName"`
	Name         string          `json:"name"`
	Labels       labelPair       `json:"labels"`
	Description  string          `json:"description,omitempty"`
	Primary      string          `json:"primaryDisplayProperty,omitempty"`
	Secondary    []string        `json:"secondaryDisplayProperties"`
	Searchable   []string        `json:"searchableProperties"`
	Required     []string        `json:"requiredProperties"`
	Archived     bool            `json:"archived"`
	Restorable   bool            `json:"restorable"`
	MetaType     string          `json:"metaType"`
	Sensitive    bool            `json:"allowsSensitiveProperties"`
	CreatedAt    timestamp       `json:"createdAt"`
	UpdatedAt    timestamp       `json:"updatedAt"`
	Properties   []propertyReply `json:"properties,omitempty"`
	Associations []schemaLink    `json:"associations,omitempty"`
}

// schema is a stored type with its times.
type schema struct {
	id               string
	def              schemaDef
	created, updated int64
	archived         int64
}

func schemasOf(ctx context.Context, q querier, acct int64, archived bool) ([]*schema, error) {
	rows, err := q.QueryContext(ctx, `
		select type_id, def, created_at, updated_at, coalesce(archived_at, 0) from crm_schemas
		where acct = $1 and `+archivedIs(archived)+` order by created_at, type_id`, acct)
	list, err := collect(rows, err, func(r *sql.Rows) (*schema, error) {
		s := &schema{}
		var def []byte
		if err := r.Scan(&s.id, &def, &s.created, &s.updated, &s.archived); err != nil {
			return nil, err
		}
		return s, json.Unmarshal(def, &s.def)
	})
	if err != nil {
		return nil, fmt.Errorf("crm: schemas: %w", err)
	}
	return list, nil
}

func saveSchema(ctx context.Context, tx *sql.Tx, acct int64, s *schema) error {
	def, err := json.Marshal(s.def)
	if err != nil {
		return err
	}
	var archived any
	if s.archived != 0 {
		archived = s.archived
	}
	_, err = tx.ExecContext(ctx, `
		insert into crm_schemas (acct, type_id, name, def, created_at, updated_at, archived_at) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (acct, type_id) do update set def = excluded.def, updated_at = excluded.updated_at, archived_at = excluded.archived_at`,
		acct, s.id, s.def.Name, string(def), s.created, s.updated, archived)
	return err
}

// show renders a type of the account's own. Properties and associations are left
// out where defs is nil.
func (c *call) showSchema(s *schema, defs definitions) schemaReply {
	r := schemaReply{ID: s.id, TypeID: s.id, Qualified: fmt.Sprintf("p%d_%s", c.who.number, s.def.Name), Name: s.def.Name,
		Labels: labelPair{s.def.Singular, s.def.Plural}, Description: s.def.Description, Primary: s.def.Primary,
		Secondary: orEmpty(s.def.Secondary), Searchable: orEmpty(s.def.Searchable), Required: orEmpty(s.def.Required),
		Archived: s.archived != 0, Restorable: true, MetaType: "PORTAL_SPECIFIC", CreatedAt: timestamp(s.created), UpdatedAt: timestamp(s.updated)}
	if defs == nil {
		return r
	}
	for _, p := range defs.sorted() {
		r.Properties = append(r.Properties, p.reply())
	}
	for _, l := range s.def.Links {
		r.Associations = append(r.Associations, schemaLink{ID: formatID(l.Kind), From: l.From, To: l.To, Name: l.Name,
			Cardinality: "ONE_TO_MANY", InverseCardinality: "ONE_TO_MANY", CreatedAt: timestamp(s.created), UpdatedAt: timestamp(s.created)})
	}
	return r
}

// showStandard renders a standard type in the same form.
func (c *call) showStandard(t *objectType, defs definitions) schemaReply {
	r := schemaReply{ID: t.ID, TypeID: t.ID, Qualified: t.upper(), Name: t.upper(), Labels: labelPair{t.Label, t.Labels},
		Secondary: []string{}, Searchable: orEmpty(t.Search), Required: orEmpty(t.Required), Restorable: true, MetaType: "HUBSPOT"}
	if len(t.Display) > 0 {
		r.Primary = t.Display[0]
		r.Secondary = orEmpty(t.Display[1:])
	}
	for _, p := range defs.sorted() {
		r.Properties = append(r.Properties, p.reply())
	}
	for i := range standardTypes {
		for _, k := range standardKinds[[2]string{t.ID, standardTypes[i].ID}] {
			if k.id < firstPairKind {
				r.Associations = append(r.Associations, schemaLink{ID: formatID(k.id), From: k.from, To: k.to, Name: k.name, Cardinality: "ONE_TO_MANY", InverseCardinality: "ONE_TO_MANY"})
			}
		}
	}
	return r
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return slices.Clone(list)
}
