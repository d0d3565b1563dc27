package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// objectType is a kind of record. Everything that handlers know of contacts or
// deals stands in one of these; types of an account's own are read from its schemas.
type objectType struct {
	ID           string // "0-3", and "2-…" for an account's own
	Name, Plural string // "deal", "deals"
	Label        string // "Deal"
	Labels       string // "Deals"
	Group        string // the property group of its own properties
	Read, Write  []string
	Schema       string   // the middle of crm.schemas.….read
	SchemaWrite  []string // further scopes that may change its definitions
	Created      string   // the property that says when a record was made
	Modified     string   // and when it was last changed
	Defaults     []string // what a read returns when it names no properties
	Search       []string // what a search's query looks at
	Display      []string // what makes a record's title
	Required     []string // what must be set on create
	OneOf        []string // of these, at least one must be set on create
	Pipeline     string   // the property that holds the pipeline, and the one that holds the stage
	Stage        string
	History      int // how many values of a property are kept; 0 means 20
	Custom       bool
	Mergeable    bool // two records may become one
	properties   []*property
	byName       map[string]*property
}

func (t *objectType) upper() string { return strings.ToUpper(t.Name) }

// associationKey is the type's name among a record's associations.
func (t *objectType) associationKey(portal int64) string {
	if t.Custom {
		return t.qualified(portal)
	}
	return strings.ReplaceAll(t.Plural, "_", " ")
}

// qualified is the name of a custom type that no other account has.
func (t *objectType) qualified(portal int64) string { return fmt.Sprintf("p%d_%s", portal, t.Name) }

func (t *objectType) historyLen() int {
	if t.History > 0 {
		return t.History
	}
	return 20
}

// standard finds the types that every account has, by plural, singular and type id.
var standard = func() map[string]*objectType {
	m := map[string]*objectType{}
	for i := range standardTypes {
		t := &standardTypes[i]
		t.complete(propertyRows[t.Plural])
		for _, name := range []string{t.ID, t.Name, t.Plural} {
			m[name] = t
		}
	}
	return m
}()

// complete fills in what follows from the rest of a type's row.
func (t *objectType) complete(rows []propertyRow) {
	if t.Created == "" {
		t.Created = "hs_createdate"
	}
	if t.Modified == "" {
		t.Modified = "hs_lastmodifieddate"
	}
	if t.Defaults == nil {
		t.Defaults = []string{"hs_createdate", "hs_lastmodifieddate", "hs_object_id"}
	}
	if t.Label == "" {
		t.Label = labelOf(t.Name)
	}
	if t.Labels == "" {
		t.Labels = labelOf(t.Plural)
	}
	if t.Group == "" {
		t.Group = strings.ReplaceAll(t.Name, "_", "") + "information"
	}
	if t.Schema == "" {
		t.Schema = t.Plural
	}
	t.byName = map[string]*property{}
	for _, row := range append(slices.Clone(systemRows), rows...) {
		p := row.property(t.Group)
		if _, ok := t.byName[p.Name]; ok {
			panic("crm: property " + p.Name + " of " + t.Plural + " is listed twice")
		}
		t.byName[p.Name] = p
		t.properties = append(t.properties, p)
	}
}

// labelOf makes a label of a name: "line_items" is "Line items".
func labelOf(name string) string {
	s := strings.ReplaceAll(strings.ToLower(name), "_", " ")
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// scopes are those of which any lets a caller do this to the type's records.
func (t *objectType) scopes(write bool) []string {
	if write {
		return t.Write
	}
	return t.Read
}

// schemaScopes are those of which any lets a caller read or change definitions.
func (t *objectType) schemaScopes(write bool) []string {
	if write {
		return append([]string{"crm.schemas." + t.Schema + ".write"}, t.SchemaWrite...)
	}
	out := []string{"crm.schemas." + t.Schema + ".read", "crm.schemas." + t.Schema + ".write"}
	for _, s := range slices.Concat(t.Read, t.Write) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func unknownType(name string) *fault {
	return newFault(http.StatusBadRequest, "", "Unable to infer object type from: %s", name)
}

// typeOf finds the type that a path or a body means: by its plural or singular
// name or its type id, in any case; an account's own also as p_name or p4242_name.
func (s *Service) typeOf(ctx context.Context, q querier, acct, portal int64, name string) (*objectType, error) {
	low := strings.ToLower(name)
	if t, ok := standard[low]; ok {
		return t, nil
	}
	bare := strings.TrimPrefix(strings.TrimPrefix(low, fmt.Sprintf("p%d_", portal)), "p_")
	var id, def string
	err := q.QueryRowContext(ctx, `
		select type_id, def from crm_schemas
		where acct = $1 and (type_id = $2 or name = $3) and archived_at is null`, acct, low, bare).Scan(&id, &def)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, unknownType(name)
	}
	if err != nil {
		return nil, fmt.Errorf("crm: type %q: %w", name, err)
	}
	var d schemaDef
	if err := json.Unmarshal([]byte(def), &d); err != nil {
		return nil, fmt.Errorf("crm: schema %s: %w", id, err)
	}
	return d.objectType(id), nil
}
