package crm

import (
	"context"
	"database/sql"
	"net/http"
	"slices"
)

// groupReply is a heading under which properties are shown.
type groupReply struct {
	Name         string `json:"name"`
	Label        string `json:"label"`
	DisplayOrder int64  `json:"displayOrder"`
	Archived     bool   `json:"archived"`
}

type groupInput struct {
	Name         string   `json:"name"`
	Label        *string  `json:"label"`
	DisplayOrder *integer `json:"displayOrder"`
}

// groupsOf gives the groups of a type: its own one, and those of the account.
func groupsOf(ctx context.Context, q querier, acct int64, t *objectType) ([]groupReply, error) {
	rows, err := q.QueryContext(ctx, `
		select name, label, display_order from crm_property_groups
		where acct = $1 and type_id = $2 and archived_at is null order by display_order, name`, acct, t.ID)
	list, err := collect(rows, err, func(r *sql.Rows) (g groupReply, err error) {
		err = r.Scan(&g.Name, &g.Label, &g.DisplayOrder)
		return g, err
	})
	if !slices.ContainsFunc(list, func(g groupReply) bool { return g.Name == t.Group }) {
		list = append([]groupReply{{Name: t.Group, Label: t.Label + " information"}}, list...)
	}
	return list, err
}

func listGroups(c *call) (int, any, error) {
	t, err := c.propertyCall(false)
	if err != nil {
		return 0, nil, err
	}
	list, err := groupsOf(c.ctx(), c.s.db.Read(), c.acct, t)
	return http.StatusOK, all(list), err
}

// group reads the group that the path names.
func (c *call) group(q querier, t *objectType) (groupReply, error) {
	name := c.params["groupName"]
	list, err := groupsOf(c.ctx(), q, c.acct, t)
	if err != nil {
		return groupReply{}, err
	}
	if i := slices.IndexFunc(list, func(g groupReply) bool { return g.Name == name }); i >= 0 {
		return list[i], nil
	}
	return groupReply{}, notFound("There is no property group %q.", name).with("groupName", name)
}

func readGroup(c *call) (int, any, error) {
	t, err := c.propertyCall(false)
	if err != nil {
		return 0, nil, err
	}
	g, err := c.group(c.s.db.Read(), t)
	return http.StatusOK, g, err
}

func createGroup(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in groupInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if !propertyName.MatchString(in.Name) || in.Label == nil || *in.Label == "" {
		return 0, nil, invalid("A property group needs a label, and a name that begins with a letter and holds only lower-case letters, digits and underscores.")
	}
	g := groupReply{Name: in.Name, DisplayOrder: -1}
	g.apply(in)
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		list, err := groupsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(list, func(o groupReply) bool { return o.Name == g.Name }) {
			return newFault(http.StatusConflict, catExists, "A property group named '%s' already exists.", g.Name).
				sub("PropertyGroupError.GROUP_WITH_NAME_EXISTS").with("name", g.Name)
		}
		return saveGroup(c, tx, t, g, nil)
	})
	return http.StatusCreated, g, err
}

func (g *groupReply) apply(in groupInput) {
	assign(&g.Label, in.Label)
	if in.DisplayOrder != nil && in.DisplayOrder.set {
		g.DisplayOrder = in.DisplayOrder.n
	}
}

func saveGroup(c *call, tx *sql.Tx, t *objectType, g groupReply, archivedAt any) error {
	_, err := tx.ExecContext(c.ctx(), `
		insert into crm_property_groups (acct, type_id, name, label, display_order, archived_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (acct, type_id, name) do update set label = excluded.label, display_order = excluded.display_order, archived_at = excluded.archived_at`,
		c.acct, t.ID, g.Name, g.Label, g.DisplayOrder, archivedAt)
	return err
}

func changeGroup(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	var in groupInput
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	var g groupReply
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		var err error
		if g, err = c.group(tx, t); err != nil {
			return err
		}
		g.apply(in)
		return saveGroup(c, tx, t, g, nil)
	})
	return http.StatusOK, g, err
}

func archiveGroup(c *call) (int, any, error) {
	t, err := c.propertyCall(true)
	if err != nil {
		return 0, nil, err
	}
	err = c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		g, err := c.group(tx, t)
		if err != nil {
			return err
		}
		defs, err := definitionsOf(c.ctx(), tx, c.acct, t)
		if err != nil {
			return err
		}
		if inUse(defs, g.Name) || g.Name == t.Group {
			return invalid("The property group %q has active properties.", g.Name).sub("PropertyGroupError.GROUP_WITH_ACTIVE_PROPERTIES").with("groupName", g.Name)
		}
		return saveGroup(c, tx, t, g, micros(c.s.now()))
	})
	return http.StatusNoContent, nil, err
}
