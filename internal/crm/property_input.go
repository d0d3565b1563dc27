package crm

import (
	"regexp"
	"slices"
	"strings"
)

// propertyInput is what a client sends to make or change a definition. What it
// leaves out stays as it is.
type propertyInput struct {
	Name            string    `json:"name"`
	Label           *string   `json:"label"`
	Type            *string   `json:"type"`
	FieldType       *string   `json:"fieldType"`
	Description     *string   `json:"description"`
	GroupName       *string   `json:"groupName"`
	Options         *[]option `json:"options"`
	DisplayOrder    *integer  `json:"displayOrder"`
	HasUniqueValue  *bool     `json:"hasUniqueValue"`
	Hidden          *bool     `json:"hidden"`
	FormField       *bool     `json:"formField"`
	ExternalOptions *bool     `json:"externalOptions"`
	Referenced      *string   `json:"referencedObjectType"`
	Sensitivity     *string   `json:"dataSensitivity"`
	Formula         *string   `json:"calculationFormula"`
	CurrencyName    *string   `json:"currencyPropertyName"`
	ShowCurrency    *bool     `json:"showCurrencySymbol"`
	NumberHint      *string   `json:"numberDisplayHint"`
	TextHint        *string   `json:"textDisplayHint"`
	DateHint        *string   `json:"dateDisplayHint"`
}

// fieldTypes are the field types that go with each type.
var fieldTypes = map[string][]string{
	"string":       {"text", "textarea", "html", "file", "phonenumber"},
	"number":       {"number"},
	"date":         {"date"},
	"datetime":     {"date"},
	"enumeration":  {"select", "radio", "checkbox", "booleancheckbox"},
	"bool":         {"booleancheckbox"},
	"phone_number": {"phonenumber"},
}

var propertyName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

func assign[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// property makes a new definition.
func (in propertyInput) property() (*property, *fault) {
	p := &property{Name: strings.ToLower(strings.TrimSpace(in.Name)), Options: []option{}, DisplayOrder: -1, Sensitivity: notSensitive}
	in.overlay(p)
	assign(&p.HasUniqueValue, in.HasUniqueValue)
	assign(&p.Sensitivity, in.Sensitivity)
	assign(&p.ExternalOptions, in.ExternalOptions)
	assign(&p.Referenced, in.Referenced)
	var missing []string
	for _, f := range []struct{ name, value string }{{"name", p.Name}, {"label", p.Label}, {"type", p.Type}, {"fieldType", p.FieldType}, {"groupName", p.GroupName}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return nil, invalid("Some required fields were not set: %s.", strings.Join(missing, ", ")).with("properties", missing...)
	}
	if !propertyName.MatchString(p.Name) || p.Name == "groups" || p.Name == "batch" {
		return nil, invalid("%q can't be the name of a property: it must begin with a letter and hold only lower-case letters, digits and underscores, at most 100.", in.Name).with("propertyName", in.Name)
	}
	if in.Formula != nil && *in.Formula != "" {
		return nil, invalid("Calculated properties can't be made through this API.").with("propertyName", "calculationFormula")
	}
	if !slices.Contains([]string{notSensitive, sensitive, highlySensitive}, p.Sensitivity) {
		return nil, invalid("%q is not a data sensitivity.", p.Sensitivity).with("propertyName", "dataSensitivity")
	}
	if p.HasUniqueValue && p.Type != "string" && p.Type != "number" {
		return nil, invalid("Only properties of type string or number can have unique values.").with("propertyName", "hasUniqueValue")
	}
	return p, p.check()
}

// overlay takes over what may be said at any time.
func (in propertyInput) overlay(p *property) {
	assign(&p.Label, in.Label)
	assign(&p.Type, in.Type)
	assign(&p.FieldType, in.FieldType)
	assign(&p.Description, in.Description)
	assign(&p.GroupName, in.GroupName)
	assign(&p.Hidden, in.Hidden)
	assign(&p.FormField, in.FormField)
	assign(&p.CurrencyName, in.CurrencyName)
	assign(&p.ShowCurrency, in.ShowCurrency)
	assign(&p.NumberHint, in.NumberHint)
	assign(&p.TextHint, in.TextHint)
	assign(&p.DateHint, in.DateHint)
	if in.DisplayOrder != nil && in.DisplayOrder.set {
		p.DisplayOrder = int(in.DisplayOrder.n)
	}
	if in.Options != nil {
		p.Options = append([]option{}, *in.Options...)
	}
	if p.Type == "bool" && len(p.Options) == 0 {
		p.Options = []option{{Label: "Yes", Value: "true"}, {Label: "No", Value: "false", DisplayOrder: 1}}
	}
}

// change gives a definition as it is after the input.
func (in propertyInput) change(old *property) (*property, *fault) {
	r := old.reply().Modification
	if r.ReadOnlyDefinition {
		return nil, invalid("The definition of %q can't be changed.", old.Name).with("propertyName", old.Name)
	}
	if in.Options != nil && r.ReadOnlyOptions {
		return nil, invalid("The options of %q can't be changed.", old.Name).with("propertyName", old.Name)
	}
	if in.HasUniqueValue != nil && *in.HasUniqueValue != old.HasUniqueValue {
		return nil, invalid("Whether values of %q are unique can't be changed.", old.Name).with("propertyName", old.Name)
	}
	if in.Formula != nil && *in.Formula != "" {
		return nil, invalid("Calculated properties can't be made through this API.").with("propertyName", "calculationFormula")
	}
	p := *old
	in.overlay(&p)
	if p.Type != old.Type && (old.HubspotDefined || !compatible(old.Type, p.Type)) {
		return nil, invalid("%q can't become a property of type %s.", old.Name, p.Type).with("propertyName", old.Name)
	}
	if old.HubspotDefined {
		for _, o := range old.Options {
			if !slices.ContainsFunc(p.Options, func(n option) bool { return n.Value == o.Value }) {
				return nil, invalid("Options of the standard property %q can be added, not removed.", old.Name).with("propertyName", old.Name)
			}
		}
	}
	return &p, p.check()
}

// compatible reports whether stored values stay what they are under another type.
func compatible(from, to string) bool {
	return to == "string" && (from == "phone_number" || from == "enumeration" || from == "number") || to == "phone_number" && from == "string"
}

// check refuses a definition that contradicts itself.
func (p *property) check() *fault {
	fields, ok := fieldTypes[p.Type]
	if !ok {
		return invalid("%q is not a type of property.", p.Type).with("propertyName", "type")
	}
	if !slices.Contains(fields, p.FieldType) {
		return invalid("The field type %q doesn't go with the type %q.", p.FieldType, p.Type).with("propertyName", "fieldType")
	}
	if p.Type == "enumeration" && len(p.Options) == 0 && !p.ExternalOptions {
		return invalid("An enumeration needs options.").with("propertyName", "options")
	}
	if p.ExternalOptions && !p.HubspotDefined && p.Referenced != "OWNER" {
		return invalid("externalOptions needs the referencedObjectType OWNER.").with("propertyName", "referencedObjectType")
	}
	if p.Type != "enumeration" && p.Type != "bool" && len(p.Options) > 0 {
		return invalid("Only enumerations have options.").with("propertyName", "options")
	}
	seen := map[string]bool{}
	for _, o := range p.Options {
		if o.Value == "" || o.Label == "" || seen[o.Value] || strings.Contains(o.Value, ";") {
			return invalid("Every option needs a label, and a value of its own without a semicolon.").with("propertyName", "options")
		}
		seen[o.Value] = true
	}
	if p.Type == "bool" && (len(seen) != 2 || !seen["true"] || !seen["false"]) {
		return invalid("The options of a bool must be true and false.").with("propertyName", "options")
	}
	return nil
}
