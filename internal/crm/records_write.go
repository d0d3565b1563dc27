package crm

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// writeInput is what a client sends to make or change one record.
type writeInput struct {
	ID           scalar            `json:"id"`
	IDProperty   string            `json:"idProperty"`
	Properties   map[string]scalar `json:"properties"`
	Associations []struct {
		To struct {
			ID scalar `json:"id"`
		} `json:"to"`
		Types []kindRef `json:"types"`
	} `json:"associations"`
	TraceID string `json:"objectWriteTraceId"`
}

// mayWrite refuses the write of sensitive values without the scope for them.
func (c *call) mayWrite(t *objectType, defs definitions, values map[string]scalar) error {
	for n := range values {
		if p := defs[n]; p != nil && p.Sensitivity != "" && p.Sensitivity != notSensitive {
			if err := c.require([]string{sensitiveScope(t, p.Sensitivity, true)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// newDraft begins a record.
func (w *writer) newDraft(in writeInput) *draft {
	return &draft{in: in, isNew: true, rec: &record{created: w.now, updated: w.now, props: map[string]string{}}}
}

// oldDraft begins a change of a record.
func oldDraft(in writeInput, r *record) *draft { return &draft{in: in, rec: r} }

// prepare checks drafts and fills in what follows. What is wrong with one stands in it.
func (w *writer) prepare(list []*draft) error {
	for _, d := range list {
		if err := w.c.mayWrite(w.typ, w.defs, d.in.Properties); err != nil {
			return err
		}
		before := make(map[string]string, len(d.rec.props))
		for k, v := range d.rec.props {
			before[k] = v
		}
		d.changed, d.bad = w.accept(w.c, d.rec, d.in.Properties)
		if len(d.bad) > 0 {
			continue
		}
		changed, bad := w.place(d.rec, d.isNew, d.changed)
		d.changed, d.bad = append(d.changed, changed...), bad
		if d.isNew && len(d.bad) == 0 {
			d.fault = w.lacking(d.rec)
		}
		if len(d.changed) > 0 || d.isNew {
			w.derive(d, before)
		}
	}
	if err := w.copyProducts(list); err != nil {
		return err
	}
	if err := w.unique(list); err != nil {
		return err
	}
	return w.resolveLinks(list)
}

// lacking tells which properties a new record needs and hasn't got.
func (w *writer) lacking(r *record) *fault {
	var missing []string
	for _, n := range w.typ.Required {
		if r.props[n] == "" {
			missing = append(missing, n)
		}
	}
	if len(w.typ.OneOf) > 0 && !slices.ContainsFunc(w.typ.OneOf, func(n string) bool { return r.props[n] != "" }) {
		missing = append(missing, w.typ.OneOf...)
	}
	if len(missing) == 0 {
		return nil
	}
	return invalid("Error creating %s. Some required properties were not set.", w.typ.upper()).with("properties", missing...)
}

// copyProducts gives new line items the values of their product, as far as they have none.
func (w *writer) copyProducts(list []*draft) error {
	if w.typ.Plural != "line_items" {
		return nil
	}
	var ids []int64
	for _, d := range list {
		if id, ok := recordID(d.rec.props["hs_product_id"]); ok && d.isNew {
			ids = append(ids, id)
		}
	}
	products, err := recordsByID(w.c.ctx(), w.tx, w.c.acct, standard["products"], ids, false)
	if err != nil {
		return err
	}
	for _, d := range list {
		id, _ := recordID(d.rec.props["hs_product_id"])
		p := products[id]
		if p == nil || !d.isNew {
			continue
		}
		for _, n := range []string{"name", "description", "price", "hs_sku", "tax", "recurringbillingfrequency"} {
			if d.rec.props[n] == "" && d.rec.set(n, p.props[n]) {
				d.changed = append(d.changed, n)
			}
		}
		d.changed = append(d.changed, w.deriveLineItem(d.rec, nil, true)...)
	}
	return nil
}

// unique refuses values that another record has, where they must be unique.
func (w *writer) unique(list []*draft) error {
	for _, p := range w.defs.sorted() {
		if !p.HasUniqueValue {
			continue
		}
		if err := w.uniqueProperty(list, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) uniqueProperty(list []*draft, p *property) error {
	var values []string
	claimed := map[string]*draft{}
	for _, d := range list {
		v := d.rec.props[p.Name]
		if v == "" || d.failed() != nil || !slices.Contains(d.changed, p.Name) {
			continue
		}
		word := wordOf(p, v)
		if claimed[word] != nil {
			d.fault = w.taken(p, v, 0)
			continue
		}
		claimed[word] = d
		values = append(values, v)
	}
	found, err := lookup(w.c.ctx(), w.tx, w.c.acct, w.typ, w.defs, p.Name, values)
	if err != nil {
		return err
	}
	for _, d := range claimed {
		v := d.rec.props[p.Name]
		if id, ok := found[v]; ok && (d.isNew || id != d.rec.id) {
			d.fault = w.taken(p, v, id)
		}
	}
	return nil
}

// taken is the refusal of a value that another record has; id is 0 where that is one of the same call.
func (w *writer) taken(p *property, v string, id int64) *fault {
	switch {
	case w.typ.Plural == "contacts" && p.Name == "email" && id != 0:
		// Clients take the id out of this sentence.
		return newFault(http.StatusConflict, catConflict, "Contact already exists. Existing ID: %d", id)
	case id == 0:
		return newFault(http.StatusConflict, catConflict, "Duplicate values found in batch input: %s %q is given to more than one record.", p.Name, v)
	}
	return badValues([]valueError{{p.Name, "CONFLICTING_UNIQUE_VALUE", fmt.Sprintf("The value %q can't be set for %s: record %d already has that value.", v, p.Name, id)}})
}

// resolveLinks finds the records and kinds that new records are to be associated with.
func (w *writer) resolveLinks(list []*draft) error {
	// Which type a record belongs to follows from the kind of association: its id is
	// of one ordered pair of types.
	need := map[string]map[int64]bool{}
	types := map[string]*objectType{}
	byRef := map[kindRef]*kind{}
	for _, d := range list {
		for _, a := range d.in.Associations {
			id, ok := recordID(string(a.To.ID))
			if !ok || len(a.Types) == 0 {
				d.fault = invalid("An association needs the id of a record in to.id and at least one of types.")
				break
			}
			dl := draftLink{id: id}
			for _, ref := range a.Types {
				k, seen := byRef[ref]
				if !seen {
					var err error
					if k, err = w.kindByRef(ref); err != nil {
						return err
					}
					byRef[ref] = k
				}
				if k == nil || dl.to != nil && dl.to.ID != k.to {
					d.fault = invalid("%s %d is not a type of association from %s to that record.", ref.Category, ref.ID.n, w.typ.Plural)
					break
				}
				if types[k.to] == nil {
					t, err := w.c.s.typeOf(w.c.ctx(), w.tx, w.c.acct, w.c.who.number, k.to)
					if err != nil {
						return err
					}
					if err := w.c.requireAll(true, t); err != nil {
						return err
					}
					types[k.to] = t
				}
				dl.to = types[k.to]
				dl.kinds = append(dl.kinds, k)
			}
			if d.fault != nil {
				break
			}
			if need[dl.to.ID] == nil {
				need[dl.to.ID] = map[int64]bool{}
			}
			need[dl.to.ID][id] = true
			d.links = append(d.links, dl)
		}
	}
	for _, typeID := range sortedKeys(need) {
		have, err := existing(w.c.ctx(), w.tx, w.c.acct, types[typeID], keys(need[typeID]))
		if err != nil {
			return err
		}
		for _, d := range list {
			for _, l := range d.links {
				if l.to.ID == typeID && !have[l.id] {
					d.fault = invalid("%s %d does not exist, so nothing can be associated with it.", l.to.Label, l.id).with("id", formatID(l.id))
				}
			}
		}
	}
	return nil
}

// kindByRef finds a kind that leads away from the writer's type, or nil.
func (w *writer) kindByRef(ref kindRef) (*kind, error) {
	if strings.ToUpper(ref.Category) != userDefined {
		for pair, ks := range standardKinds {
			if pair[0] == w.typ.ID {
				if k := kinds(ks).find(ref); k != nil {
					return k, nil
				}
			}
		}
	}
	rows, err := w.tx.QueryContext(w.c.ctx(), `
		select category, kind, inverse, from_type, to_type, name, label from crm_association_kinds
		where acct = $1 and from_type = $2 and kind = $3 order by category, to_type`, w.c.acct, w.typ.ID, ref.ID.n)
	list, err := collect(rows, err, scanKind)
	return kinds(list).find(ref), err
}

func scanKind(r *sql.Rows) (*kind, error) {
	k := &kind{}
	return k, r.Scan(&k.category, &k.id, &k.inverse, &k.from, &k.to, &k.name, &k.label)
}
