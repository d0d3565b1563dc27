package crm

import (
	"database/sql"
	"net/http"
)

// The older association calls name kinds, and know none of the account's labels
// but by their names.

func listLinksV3(c *call) (int, any, error) {
	list, next, err := c.linksOf()
	return http.StatusOK, page{Results: namedLinks(list), Paging: next}, err
}

func batchReadLinksV3(c *call) (int, any, error) {
	return c.readLinks(func(id int64, list []target, next *paging) any {
		return struct {
			From   recordRef   `json:"from"`
			To     []namedLink `json:"to"`
			Paging *paging     `json:"paging,omitempty"`
		}{recordRef{formatID(id)}, namedLinks(list), next}
	})
}

func batchCreateLinksV3(c *call) (int, any, error) {
	return createLinks(c, http.StatusCreated, byName, func(_ *linker, r *linkRow) []any {
		return []any{struct {
			From recordRef `json:"from"`
			To   recordRef `json:"to"`
			Type string    `json:"type"`
		}{recordRef{formatID(r.from)}, recordRef{formatID(r.to)}, string(r.in.Type)}}
	})
}

func batchUnlinkV3(c *call) (int, any, error) {
	err := linkBatch(c, byName, func(l *linker, rows []*linkRow) error { return l.unlink(linksOfRows(rows)) })
	return http.StatusNoContent, nil, err
}

// kindNames lists the kinds of a pair by name.
func kindNames(c *call) (int, any, error) {
	from, to, err := c.pair("fromObjectType", "toObjectType", false)
	if err != nil {
		return 0, nil, err
	}
	ks, err := kindsOf(c.ctx(), c.s.db.Read(), c.acct, from, to)
	if err != nil {
		return 0, nil, err
	}
	type row struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	var out []row
	for _, k := range ks {
		out = append(out, row{formatID(k.id), k.name})
	}
	return http.StatusOK, all(out), nil
}

// namedKind finds the kind that the path of an older call names.
func (c *call) namedKind(l *linker) (*kind, error) {
	if k := l.kinds.named(c.params["associationType"]); k != nil {
		return k, nil
	}
	return nil, invalid("%q is not a type of association from %s to %s.", c.params["associationType"], l.from.Plural, l.to.Plural)
}

// linkV3 associates two records and answers the first, with its associations.
func linkV3(c *call) (int, any, error) {
	p, err := c.onePair()
	if err != nil {
		return 0, nil, err
	}
	var out *recordReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		l, err := newLinker(c.ctx(), tx, c.acct, p.from, p.to, micros(c.s.now()))
		if err != nil {
			return err
		}
		k, err := c.namedKind(l)
		if err != nil {
			return err
		}
		if err := p.exist(c, tx); err != nil {
			return err
		}
		if err := l.link([]link{{p.fromID, p.toID, k}}); err != nil {
			return err
		}
		defs, err := definitionsOf(c.ctx(), tx, c.acct, p.from)
		if err != nil {
			return err
		}
		found, err := recordsByID(c.ctx(), tx, c.acct, p.from, []int64{p.fromID}, false)
		if err != nil {
			return err
		}
		list, err := c.replies(tx, p.from, defs, []*record{found[p.fromID]}, want{associations: []*objectType{p.to}})
		if err == nil {
			out = list[0]
		}
		return err
	})
	return http.StatusOK, out, err
}

func unlinkV3(c *call) (int, any, error) {
	p, err := c.onePair()
	if err != nil {
		return 0, nil, err
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		l, err := newLinker(c.ctx(), tx, c.acct, p.from, p.to, micros(c.s.now()))
		if err != nil {
			return err
		}
		k, err := c.namedKind(l)
		if err != nil {
			return err
		}
		return l.unlink([]link{{p.fromID, p.toID, k}})
	})
	return http.StatusNoContent, nil, err
}
