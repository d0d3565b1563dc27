package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// How secret a property's values are. All but the first take scopes of their own.
const (
	notSensitive    = "non_sensitive"
	sensitive       = "sensitive"
	highlySensitive = "highly_sensitive"
)

// option is one of the values that an enumeration may have.
type option struct {
	Label        string `json:"label"`
	Value        string `json:"value"`
	Description  string `json:"description"`
	DisplayOrder int    `json:"displayOrder"`
	Hidden       bool   `json:"hidden"`
}

// property is the definition of a property, in the form that is stored. What goes
// over the wire is propertyReply.
type property struct {
	Name            string   `json:"name"`
	Label           string   `json:"label"`
	Type            string   `json:"type"`
	FieldType       string   `json:"fieldType"`
	Description     string   `json:"description"`
	GroupName       string   `json:"groupName"`
	Options         []option `json:"options"`
	DisplayOrder    int      `json:"displayOrder"`
	Calculated      bool     `json:"calculated"`
	ExternalOptions bool     `json:"externalOptions"`
	HasUniqueValue  bool     `json:"hasUniqueValue"`
	Hidden          bool     `json:"hidden"`
	HubspotDefined  bool     `json:"hubspotDefined"`
	FormField       bool     `json:"formField"`
	Sensitivity     string   `json:"dataSensitivity"`
	Referenced      string   `json:"referencedObjectType,omitempty"`
	CurrencyName    string   `json:"currencyPropertyName,omitempty"`
	ShowCurrency    bool     `json:"showCurrencySymbol,omitempty"`
	NumberHint      string   `json:"numberDisplayHint,omitempty"`
	TextHint        string   `json:"textDisplayHint,omitempty"`
	DateHint        string   `json:"dateDisplayHint,omitempty"`

	readOnly   bool // its value is the server's to set
	createdAt  int64
	updatedAt  int64
	archivedAt int64 // 0 while it is in use
}

type modification struct {
	Archivable         bool `json:"archivable"`
	ReadOnlyDefinition bool `json:"readOnlyDefinition"`
	ReadOnlyValue      bool `json:"readOnlyValue"`
	ReadOnlyOptions    bool `json:"readOnlyOptions"`
}

// propertyReply is a definition as clients get it.
type propertyReply struct {
	property
	Modification modification `json:"modificationMetadata"`
	CreatedAt    timestamp    `json:"createdAt"`
	UpdatedAt    timestamp    `json:"updatedAt"`
	Archived     bool         `json:"archived"`
	ArchivedAt   *timestamp   `json:"archivedAt,omitempty"`
}

func (p *property) reply() propertyReply {
	r := propertyReply{property: *p, CreatedAt: timestamp(p.createdAt), UpdatedAt: timestamp(p.updatedAt)}
	r.Modification = modification{Archivable: !p.HubspotDefined, ReadOnlyDefinition: p.HubspotDefined && p.readOnly, ReadOnlyValue: p.readOnly,
		ReadOnlyOptions: p.HubspotDefined && (p.readOnly || p.ExternalOptions || p.Type == "bool")}
	if p.archivedAt != 0 {
		at := timestamp(p.archivedAt)
		r.Archived, r.ArchivedAt = true, &at
	}
	return r
}

// multi reports whether a value is a list of options, joined by semicolons.
func (p *property) multi() bool { return p.Type == "enumeration" && p.FieldType == "checkbox" }

// owner reports whether a value is the id of an owner.
func (p *property) owner() bool { return p.Referenced == "OWNER" }

// numeric reports whether values are compared by number (dates by their time).
func (p *property) numeric() bool {
	return p.Type == "number" || p.Type == "date" || p.Type == "datetime"
}

// definitions are the properties of one type in one account.
type definitions map[string]*property

// definitionsOf gives the properties in use: the standard ones, with what the
// account changed about them, and its own.
func definitionsOf(ctx context.Context, q querier, acct int64, t *objectType) (definitions, error) {
	list, err := storedProperties(ctx, q, acct, t, false)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return t.byName, nil
	}
	defs := maps.Clone(definitions(t.byName))
	for _, p := range list {
		defs[p.Name] = p
	}
	return defs, nil
}

// storedProperties gives the definitions that the account added or changed.
func storedProperties(ctx context.Context, q querier, acct int64, t *objectType, archived bool) ([]*property, error) {
	cond := "is null"
	if archived {
		cond = "is not null"
	}
	rows, err := q.QueryContext(ctx, `
		select name, def, created_at, updated_at, coalesce(archived_at, 0) from crm_properties
		where acct = $1 and type_id = $2 and archived_at `+cond+` order by name`, acct, t.ID)
	list, err := collect(rows, err, func(r *sql.Rows) (*property, error) {
		var name, def string
		var created, updated, archivedAt int64
		if err := r.Scan(&name, &def, &created, &updated, &archivedAt); err != nil {
			return nil, err
		}
		p, err := decodeProperty(t, def)
		if err != nil {
			return nil, fmt.Errorf("property %s: %w", name, err)
		}
		p.createdAt, p.updatedAt, p.archivedAt = created, updated, archivedAt
		return p, nil
	})
	if err != nil {
		return nil, fmt.Errorf("crm: properties of %s: %w", t.ID, err)
	}
	return list, nil
}

// sorted gives the definitions in the order of their names.
func (d definitions) sorted() []*property {
	return slices.SortedFunc(maps.Values(d), func(a, b *property) int { return strings.Compare(a.Name, b.Name) })
}

func decodeProperty(t *objectType, def string) (*property, error) {
	p := &property{}
	if err := json.Unmarshal([]byte(def), p); err != nil {
		return nil, err
	}
	// Whether a standard value may be written is the table's to say, not the row's.
	if std, ok := t.byName[p.Name]; ok && p.HubspotDefined {
		p.readOnly = std.readOnly
	}
	return p, nil
}
