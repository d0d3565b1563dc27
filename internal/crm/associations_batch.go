package crm

import (
	"database/sql"
	"net/http"
)

// linkInput is one row of a batch that makes or ends associations.
type linkInput struct {
	From struct {
		ID scalar `json:"id"`
	} `json:"from"`
	To struct {
		ID scalar `json:"id"`
	} `json:"to"`
	Types []kindRef `json:"types"`
	Type  scalar    `json:"type"` // the older form: a name or an id
}

// linkRow is a row that is understood, or why it isn't.
type linkRow struct {
	in       linkInput
	from, to int64
	kinds    []*kind
	err      *batchError
}

// linkBatch reads a batch of rows and finds the kinds they name with pick, and the
// records. fn is given all rows within the transaction.
func linkBatch(c *call, pick func(kinds, linkInput) ([]*kind, *fault), fn func(l *linker, rows []*linkRow) error) error {
	from, to, err := c.pair("fromObjectType", "toObjectType", true)
	if err != nil {
		return err
	}
	var in struct {
		Inputs []linkInput `json:"inputs"`
	}
	if err := c.body(&in); err != nil {
		return err
	}
	if err := sizeOf(len(in.Inputs), maxLinkChanges); err != nil {
		return err
	}
	return c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		l, err := newLinker(c.ctx(), tx, c.acct, from, to, micros(c.s.now()))
		if err != nil {
			return err
		}
		rows := make([]*linkRow, len(in.Inputs))
		fromIDs, toIDs := map[int64]bool{}, map[int64]bool{}
		for i, row := range in.Inputs {
			r := &linkRow{in: row}
			rows[i] = r
			r.from, _ = recordID(string(row.From.ID))
			r.to, _ = recordID(string(row.To.ID))
			fromIDs[r.from], toIDs[r.to] = true, true
			ks, f := pick(l.kinds, row)
			if f == nil && r.from == r.to {
				f = invalid("A record can't be associated with itself.")
			}
			if f != nil {
				item := f.item()
				r.err = &item
			}
			r.kinds = ks
		}
		haveFrom, err := existing(c.ctx(), tx, c.acct, from, keys(fromIDs))
		if err != nil {
			return err
		}
		haveTo, err := existing(c.ctx(), tx, c.acct, to, keys(toIDs))
		if err != nil {
			return err
		}
		for _, r := range rows {
			for _, side := range []struct {
				t  *objectType
				id string
				ok bool
			}{{from, string(r.in.From.ID), haveFrom[r.from]}, {to, string(r.in.To.ID), haveTo[r.to]}} {
				if !side.ok && r.err == nil {
					item := invalid("%s %q is not a valid %s id.", side.t.Label, side.id, side.t.Name).sub("crm.associations.INVALID_IDENTIFIER").with("id", side.id).item()
					r.err = &item
				}
			}
		}
		return fn(l, rows)
	})
}

// byRefs finds the kinds of a row of the newer form.
func byRefs(ks kinds, in linkInput) ([]*kind, *fault) {
	if len(in.Types) == 0 {
		return nil, invalid("A row needs at least one of types.")
	}
	var out []*kind
	for _, ref := range in.Types {
		k := ks.find(ref)
		if k == nil {
			return nil, invalid("%s %d is not a type of association between these objects.", ref.Category, ref.ID.n).with("associationTypeId", formatID(ref.ID.n))
		}
		out = append(out, k)
	}
	return out, nil
}

// byName finds the kind of a row of the older form.
func byName(ks kinds, in linkInput) ([]*kind, *fault) {
	if k := ks.named(string(in.Type)); k != nil {
		return []*kind{k}, nil
	}
	return nil, invalid("%q is not a type of association between these objects.", in.Type).with("type", string(in.Type))
}

func byDefault(ks kinds, _ linkInput) ([]*kind, *fault) { return []*kind{ks.byDefault()}, nil }

// createLinks makes the associations of the rows that hold; reply renders one.
func createLinks(c *call, status int, pick func(kinds, linkInput) ([]*kind, *fault), reply func(*linker, *linkRow) []any) (int, any, error) {
	var results []any
	var errs []batchError
	err := linkBatch(c, pick, func(l *linker, rows []*linkRow) error {
		results, errs = []any{}, nil
		var links []link
		for _, r := range rows {
			if r.err != nil {
				errs = append(errs, *r.err)
				continue
			}
			for _, k := range r.kinds {
				links = append(links, link{r.from, r.to, k})
			}
			results = append(results, reply(l, r)...)
		}
		return l.link(links)
	})
	if err != nil {
		return 0, nil, err
	}
	return c.batchReply(status, results, errs)
}

func batchCreateLinks(c *call) (int, any, error) {
	return createLinks(c, http.StatusCreated, byRefs, func(l *linker, r *linkRow) []any {
		return []any{c.labels(l.from, l.to, r.from, r.to, r.kinds)}
	})
}

func batchLinkDefault(c *call) (int, any, error) {
	return createLinks(c, http.StatusOK, byDefault, func(l *linker, r *linkRow) []any {
		return anys(bothWays(r.from, r.to, l.kinds.byDefault()))
	})
}

// batchUnlinkLabels takes labels off pairs, and leaves the rest.
func batchUnlinkLabels(c *call) (int, any, error) {
	err := linkBatch(c, byRefs, func(l *linker, rows []*linkRow) error { return l.unlink(linksOfRows(rows)) })
	return http.StatusNoContent, nil, err
}

func linksOfRows(rows []*linkRow) (out []link) {
	for _, r := range rows {
		if r.err == nil {
			for _, k := range r.kinds {
				out = append(out, link{r.from, r.to, k})
			}
		}
	}
	return out
}

// batchUnlink ends all that is between records and several others each.
func batchUnlink(c *call) (int, any, error) {
	from, to, err := c.pair("fromObjectType", "toObjectType", true)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Inputs []struct {
			From struct {
				ID scalar `json:"id"`
			} `json:"from"`
			To []struct {
				ID scalar `json:"id"`
			} `json:"to"`
		} `json:"inputs"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var links []link
	for _, row := range in.Inputs {
		f, _ := recordID(string(row.From.ID))
		for _, x := range row.To {
			t, _ := recordID(string(x.ID))
			links = append(links, link{f, t, nil})
		}
	}
	if err := sizeOf(max(len(in.Inputs), len(links)), maxLinkChanges); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, c.unlinkMany(from, to, links)
}
