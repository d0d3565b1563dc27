package crm

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"strings"
)

// Owner is a person or a queue that records belong to.
type Owner struct {
	ID        int64
	UserID    int64 // 0: the ID
	Email     string
	FirstName string
	LastName  string
	Teams     []Team
	Archived  bool
}

// Team is a group of owners.
type Team struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Primary bool   `json:"primary"`
}

type ownerReply struct {
	ID                      string     `json:"id"`
	Email                   string     `json:"email"`
	Type                    string     `json:"type"`
	FirstName               string     `json:"firstName"`
	LastName                string     `json:"lastName"`
	UserID                  *int64     `json:"userId,omitempty"`
	UserIDIncludingInactive int64      `json:"userIdIncludingInactive"`
	CreatedAt               timestamp  `json:"createdAt"`
	UpdatedAt               timestamp  `json:"updatedAt"`
	Archived                bool       `json:"archived"`
	ArchivedAt              *timestamp `json:"archivedAt,omitempty"`
	Teams                   []Team     `json:"teams,omitempty"`
}

const ownerColumns = `id, user_id, email, first_name, last_name, teams, created_at, updated_at, archived_at`

func scanOwner(r *sql.Rows) (*ownerReply, error) {
	o := &ownerReply{Type: "PERSON"}
	var id int64
	var teams []byte
	var archived sql.NullInt64
	if err := r.Scan(&id, &o.UserIDIncludingInactive, &o.Email, &o.FirstName, &o.LastName, &teams, &o.CreatedAt, &o.UpdatedAt, &archived); err != nil {
		return nil, err
	}
	o.ID, o.Archived, o.ArchivedAt = formatID(id), archived.Valid, optionalTime(archived)
	if !o.Archived {
		o.UserID = &o.UserIDIncludingInactive
	}
	return o, json.Unmarshal(teams, &o.Teams)
}

func listOwners(c *call) (int, any, error) {
	archived, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	limit, err := c.int("limit", 100, 1, 500)
	if err != nil {
		return 0, nil, err
	}
	after, err := c.after()
	if err != nil {
		return 0, nil, err
	}
	a := args{c.acct, after}
	where := ""
	if email := c.query().Get("email"); email != "" {
		where = ` and email = ` + a.add(strings.ToLower(strings.TrimSpace(email)))
	}
	rows, err := c.s.db.Read().QueryContext(c.ctx(), `select `+ownerColumns+` from crm_owners
		where acct = $1 and id >= $2 and `+archivedIs(archived)+where+` order by id limit `+a.add(int64(limit+1)), a...)
	list, err := collect(rows, err, scanOwner)
	if err != nil {
		return 0, nil, err
	}
	p := all(list)
	if len(list) > limit {
		p = all(list[:limit])
		p.Paging = c.next(list[limit].ID)
	}
	return http.StatusOK, p, nil
}

func readOwner(c *call) (int, any, error) {
	archived, err := c.flag("archived")
	if err != nil {
		return 0, nil, err
	}
	column := "id"
	switch by := c.query().Get("idProperty"); by {
	case "", "id":
	case "userId":
		column = "user_id"
	default:
		return 0, nil, invalid("idProperty must be id or userId, and is %q.", by)
	}
	id, _ := recordID(c.params["ownerId"])
	rows, err := c.s.db.Read().QueryContext(c.ctx(), `select `+ownerColumns+` from crm_owners
		where acct = $1 and `+column+` = $2 and `+archivedIs(archived)+` order by id limit 1`, c.acct, id)
	list, err := collect(rows, err, scanOwner)
	if err != nil {
		return 0, nil, err
	}
	if len(list) == 0 {
		return 0, nil, notFound("There is no owner %q.", c.params["ownerId"]).with("ownerId", c.params["ownerId"])
	}
	return http.StatusOK, list[0], nil
}

// ownerIDs are the ids of the owners that a record may be given to.
func ownerIDs(ctx context.Context, q querier, acct int64) (map[string]bool, error) {
	rows, err := q.QueryContext(ctx, `select id from crm_owners where acct = $1 and archived_at is null`, acct)
	list, err := collect(rows, err, scanOne[int64])
	out := make(map[string]bool, len(list))
	for _, id := range list {
		out[formatID(id)] = true
	}
	return out, err
}

// saveOwner adds an owner to an account, or changes the one that has its ID. Owners
// come from outside the API, which only reads them.
func saveOwner(ctx context.Context, tx *sql.Tx, acct int64, o *Owner, created, now int64) error {
	if o.UserID == 0 {
		o.UserID = o.ID
	}
	if o.Teams == nil {
		o.Teams = []Team{}
	}
	teams, err := json.Marshal(o.Teams)
	if err != nil {
		return err
	}
	var archived any
	if o.Archived {
		archived = now
	}
	_, err = tx.ExecContext(ctx, `
		insert into crm_owners (acct, id, user_id, email, first_name, last_name, teams, created_at, updated_at, archived_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (acct, id) do update set user_id = excluded.user_id, email = excluded.email, first_name = excluded.first_name,
			last_name = excluded.last_name, teams = excluded.teams, updated_at = excluded.updated_at, archived_at = excluded.archived_at`,
		acct, o.ID, o.UserID, strings.ToLower(o.Email), o.FirstName, o.LastName, string(teams), created, now, archived)
	return err
}
