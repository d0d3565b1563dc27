package crm

import (
	"context"
	"database/sql"
	"strings"
)

// Records are also found by a property whose values are unique: an email address,
// or a number that another system gave them.

// lookup finds the ids of live records by the values of a unique property, or by
// their ids where the property is empty or hs_object_id. A value that finds
// nothing is left out.
func lookup(ctx context.Context, q querier, acct int64, t *objectType, defs definitions, property string, values []string) (map[string]int64, error) {
	out := make(map[string]int64, len(values))
	if property == "" || property == "hs_object_id" {
		for _, v := range values {
			if id, ok := recordID(v); ok {
				out[v] = id
			}
		}
		return out, nil
	}
	p := defs[property]
	if p == nil || !p.HasUniqueValue {
		return nil, badRequestDetail("INVALID_ID_PROPERTY", "idProperty", "Property %q of %s is not a property with unique values.", property, t.Plural)
	}
	names := []string{property}
	if t.Plural == "contacts" && property == "email" {
		names = append(names, "hs_additional_emails")
	}
	byWord := map[string][]string{}
	words := make([]string, 0, len(values))
	for _, v := range values {
		w := wordOf(p, strings.TrimSpace(v))
		if byWord[w] == nil {
			words = append(words, w)
		}
		byWord[w] = append(byWord[w], v)
	}
	err := chunks(words, 1000, func(words []string) error {
		a := args{acct, t.ID}
		rows, err := q.QueryContext(ctx, `select word, record_id from crm_values
			where acct = $1 and type_id = $2 and property in `+in(&a, names)+` and word in `+in(&a, words)+`
			order by property desc, record_id desc`, a...)
		type hit struct {
			word string
			id   int64
		}
		hits, err := collect(rows, err, func(r *sql.Rows) (h hit, err error) {
			err = r.Scan(&h.word, &h.id)
			return h, err
		})
		for _, h := range hits {
			for _, v := range byWord[h.word] {
				out[v] = h.id
			}
		}
		return err
	})
	return out, err
}

// lookupOne finds the id of one live record.
func lookupOne(ctx context.Context, q querier, acct int64, t *objectType, defs definitions, property, value string) (int64, error) {
	found, err := lookup(ctx, q, acct, t, defs, property, []string{value})
	if err != nil {
		return 0, err
	}
	if id, ok := found[value]; ok {
		return id, nil
	}
	if property == "" || property == "hs_object_id" {
		return 0, notFound("Object not found.  objectId are usually numeric.")
	}
	return 0, notFound("resource not found")
}
