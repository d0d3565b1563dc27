package crm

import (
	"slices"
	"strings"
)

// scopeInfo is what people are told of a scope.
type scopeInfo struct {
	Name, Group, Words string
	Write              bool
	Sensitive          bool
	Implicit           bool
}

// sensitiveTypes are the types that may have properties with sensitive values,
// which take scopes of their own.
var sensitiveTypes = []string{"contacts", "companies", "deals", "tickets", "custom"}

// namedScopes are the scopes whose meaning doesn't follow from their name.
var namedScopes = []scopeInfo{
	{Name: scopeOAuth, Group: "Account", Words: "Read the account's details and daily usage", Implicit: true},
	{Name: "crm.objects.owners.read", Group: "Owners", Words: "Read the people that records belong to"},
	{Name: "crm.objects.contacts.read", Group: "Contacts", Words: "Read contacts, and the notes, tasks, calls, meetings, emails and messages with them"},
	{Name: "crm.objects.contacts.write", Group: "Contacts", Words: "Create, change and archive contacts, and what is logged with them", Write: true},
	{Name: "crm.objects.line_items.read", Group: "Line items", Words: "Read line items, discounts, fees and taxes"},
	{Name: "crm.objects.line_items.write", Group: "Line items", Words: "Create, change and archive line items, discounts, fees and taxes", Write: true},
	{Name: "crm.pipelines.orders.write", Group: "Orders", Words: "Change the pipelines of orders", Write: true},
	{Name: "tickets", Group: "Tickets", Words: "Read, create, change and archive tickets, and change their properties and pipelines", Write: true},
	{Name: "e-commerce", Group: "Commerce", Words: "Read, create, change and archive products, line items and quotes", Write: true},
	{Name: "sales-email-read", Group: "Emails", Words: "Read and log emails with contacts", Write: true},
	{Name: "crm.objects.custom.read", Group: "Custom objects", Words: "Read the records of the account's own types of object"},
	{Name: "crm.objects.custom.write", Group: "Custom objects", Words: "Create, change and archive the records of the account's own types of object", Write: true},
	{Name: "crm.schemas.custom.read", Group: "Custom objects", Words: "Read the account's own types of object"},
	{Name: "crm.schemas.custom.write", Group: "Custom objects", Words: "Create, change and remove the account's own types of object", Write: true},
}

// scopeTable lists every scope that any operation or value asks for, by name.
func scopeTable() []scopeInfo {
	out := slices.Clone(namedScopes)
	add := func(s scopeInfo) {
		if !slices.ContainsFunc(out, func(o scopeInfo) bool { return o.Name == s.Name }) {
			out = append(out, s)
		}
	}
	for i := range standardTypes {
		t := &standardTypes[i]
		plural := strings.ToLower(t.Labels)
		for _, name := range t.Read {
			add(scopeInfo{Name: name, Group: t.Labels, Words: "Read " + plural})
		}
		for _, name := range t.Write {
			add(scopeInfo{Name: name, Group: t.Labels, Words: "Create, change and archive " + plural, Write: true})
		}
		add(scopeInfo{Name: "crm.schemas." + t.Schema + ".read", Group: t.Labels, Words: "Read the properties and pipelines of " + plural})
		add(scopeInfo{Name: "crm.schemas." + t.Schema + ".write", Group: t.Labels, Words: "Change the properties and pipelines of " + plural, Write: true})
	}
	for _, name := range sensitiveTypes {
		t := &objectType{Plural: name, Schema: name, Labels: "Custom objects"}
		if s := standard[name]; s != nil {
			t = s
		}
		for level, word := range map[string]string{sensitive: "sensitive", highlySensitive: "highly sensitive"} {
			plural := strings.ToLower(t.Labels)
			if name == "tickets" {
				add(scopeInfo{Name: sensitiveScope(t, level, true), Group: t.Labels, Words: "Read and change " + word + " values of " + plural, Write: true, Sensitive: true})
				continue
			}
			add(scopeInfo{Name: sensitiveScope(t, level, false), Group: t.Labels, Words: "Read " + word + " values of " + plural, Sensitive: true})
			add(scopeInfo{Name: sensitiveScope(t, level, true), Group: t.Labels, Words: "Change " + word + " values of " + plural, Write: true, Sensitive: true})
		}
	}
	slices.SortFunc(out, func(a, b scopeInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// alternatives are the scopes of which any opens a route to some type. A scope that
// only changes things opens the reading of definitions too, which the paths of the
// types say; here it is left out, since a gateway bounds how many alternatives an
// operation has.
func (n need) alternatives() []string {
	if n.of == nothing {
		if len(n.scopes) == 0 {
			return []string{scopeOAuth}
		}
		return n.scopes
	}
	var out []string
	for i := range standardTypes {
		out = append(out, n.generic(&standardTypes[i])...)
	}
	out = append(out, n.generic(&customScopes)...)
	slices.Sort(out)
	return slices.Compact(out)
}

func (n need) generic(t *objectType) []string {
	if n.of == defined && !n.write {
		return append([]string{"crm.schemas." + t.Schema + ".read"}, t.Read...)
	}
	return n.alternativesFor(t)
}

// alternativesFor are the scopes of which any opens a route to one type.
func (n need) alternativesFor(t *objectType) []string {
	if n.of == defined {
		return t.schemaScopes(n.write)
	}
	return t.scopes(n.write)
}
