package crm

import (
	"database/sql"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Labels are kinds of association that an account makes for a pair of types.

const maxLabels = 50

// listLabels answers the kinds of a pair, the standard ones too.
func listLabels(c *call) (int, any, error) {
	from, to, err := c.pair("fromObjectType", "toObjectType", false)
	if err != nil {
		return 0, nil, err
	}
	ks, err := kindsOf(c.ctx(), c.s.db.Read(), c.acct, from, to)
	if err != nil {
		return 0, nil, err
	}
	var out []kindReply
	for _, k := range ks {
		out = append(out, k.replyWithTypes())
	}
	return http.StatusOK, all(out), nil
}

func (k *kind) replyWithTypes() kindReply {
	r := k.reply()
	r.From, r.To = k.from, k.to
	return r
}

// eitherWrite refuses who may write neither of the two types.
func (c *call) eitherWrite() (from, to *objectType, err error) {
	if from, err = c.typ("fromObjectType"); err != nil {
		return nil, nil, err
	}
	if to, err = c.typ("toObjectType"); err != nil {
		return nil, nil, err
	}
	return from, to, c.require(slices.Concat(from.Write, to.Write))
}

type labelInput struct {
	Name         string  `json:"name"`
	Label        string  `json:"label"`
	InverseLabel string  `json:"inverseLabel"`
	TypeID       integer `json:"associationTypeId"`
}

var labelName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,99}$`)

func createLabel(c *call) (int, any, error) {
	from, to, err := c.eitherWrite()
	if err != nil {
		return 0, nil, err
	}
	var in labelInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if in.Label = strings.TrimSpace(in.Label); in.Label == "" || !labelName.MatchString(in.Name) {
		return 0, nil, invalid("A label needs a label, and a name of letters, digits and underscores that begins with a letter.")
	}
	var out []kindReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		ks, err := kindsOf(c.ctx(), tx, c.acct, from, to)
		if err != nil {
			return err
		}
		own := 0
		for _, k := range ks {
			if k.category == userDefined {
				own++
			}
			if strings.EqualFold(k.name, in.Name) || strings.EqualFold(k.label, in.Label) {
				return newFault(http.StatusConflict, catExists, "A label named %q already exists between %s and %s.", in.Name, from.Plural, to.Plural).with("name", in.Name)
			}
		}
		if own >= maxLabels {
			return invalid("A pair of types has at most %d labels.", maxLabels)
		}
		out, err = c.insertLabel(tx, from, to, in)
		return err
	})
	return http.StatusOK, all(out), err
}

// insertLabel stores a label: one kind for both directions of one type with
// itself, else one for each. The inverse reads the same where none is given.
func (c *call) insertLabel(tx *sql.Tx, from, to *objectType, in labelInput) ([]kindReply, error) {
	paired := in.InverseLabel != "" && in.InverseLabel != in.Label
	n := 2
	if from.ID == to.ID && !paired {
		n = 1
	}
	first, err := takeKinds(c.ctx(), tx, c.acct, n)
	if err != nil {
		return nil, err
	}
	there := &kind{category: userDefined, id: first, inverse: first + int64(n) - 1, from: from.ID, to: to.ID, name: in.Name, label: in.Label}
	list := []*kind{there}
	out := []kindReply{there.replyWithTypes()}
	if n == 2 {
		back := &kind{category: userDefined, id: first + 1, inverse: first, from: to.ID, to: from.ID, name: in.Name + "_inverse", label: in.Label}
		if paired {
			back.label = in.InverseLabel
			out = append(out, back.replyWithTypes())
		}
		list = append(list, back)
	}
	return out, insertKinds(c.ctx(), tx, c.acct, list)
}

// ownKind finds a label of the pair that the account made, and its inverse.
func (c *call) ownKind(tx *sql.Tx, from, to *objectType, id int64) (*kind, error) {
	ks, err := kindsOf(c.ctx(), tx, c.acct, from, to)
	if err != nil {
		return nil, err
	}
	if k := ks.find(kindRef{userDefined, integer{n: id}}); k != nil {
		return k, nil
	}
	return nil, notFound("There is no label %d of this account between %s and %s.", id, from.Plural, to.Plural).with("associationTypeId", strconv.FormatInt(id, 10))
}

func updateLabel(c *call) (int, any, error) {
	from, to, err := c.eitherWrite()
	if err != nil {
		return 0, nil, err
	}
	var in labelInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if in.Label = strings.TrimSpace(in.Label); in.Label == "" {
		return 0, nil, invalid("A label needs a label.")
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		k, err := c.ownKind(tx, from, to, in.TypeID.n)
		if err != nil {
			return err
		}
		set := `update crm_association_kinds set label = $1 where acct = $2 and category = $3 and kind = $4`
		if _, err := tx.ExecContext(c.ctx(), set, in.Label, c.acct, userDefined, k.id); err != nil || in.InverseLabel == "" || k.inverse == k.id {
			return err
		}
		_, err = tx.ExecContext(c.ctx(), set, in.InverseLabel, c.acct, userDefined, k.inverse)
		return err
	})
	return http.StatusNoContent, nil, err
}

// deleteLabel ends a label and takes it off all records.
func deleteLabel(c *call) (int, any, error) {
	from, to, err := c.eitherWrite()
	if err != nil {
		return 0, nil, err
	}
	id, _ := recordID(c.params["associationTypeId"])
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		k, err := c.ownKind(tx, from, to, id)
		if err != nil {
			return err
		}
		for _, table := range []string{"crm_associations", "crm_association_kinds"} {
			_, err := tx.ExecContext(c.ctx(), `delete from `+table+` where acct = $1 and category = $2 and kind in ($3, $4)`, c.acct, userDefined, k.id, k.inverse)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return http.StatusNoContent, nil, err
}
