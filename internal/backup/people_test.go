package backup_test

import (
	"crypto/sha256"
	"fmt"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// people is what chaos knows of those who aren't keys.
type people struct {
	members []postern.MemberID
	roles   []postern.RoleID
	apis    []postern.UpstreamID
}

func (c *chaos) grants() postern.Grants {
	return [...]postern.Grants{{"**"}, {"deals.*"}, {"deals.read"}, {"deals.read", "contacts.read"}, {"contacts.*", "deals.*"}, {}}[c.r.IntN(6)]
}

func (c *chaos) permissions() (out []postern.Permission) {
	for _, p := range postern.Permissions() {
		if c.one(2) {
			out = append(out, p)
		}
	}
	return out
}

func (c *chaos) role() postern.RoleID {
	list := append([]postern.RoleID{postern.RoleDeveloper, postern.RoleViewer, postern.RoleSuperAdmin, postern.RoleDeveloper}, c.roles...)
	return list[c.r.IntN(len(list))]
}

// stepPeople changes a member, a role, a policy, an API, or signs somebody in.
func (c *chaos) stepPeople() {
	ctx, by := c.t.Context(), c.super
	pick := func() postern.MemberID { return c.members[c.r.IntN(len(c.members))] }
	c.n++
	if len(c.members) < 2 || c.one(6) {
		inv, err := c.InviteMember(ctx, by, keyring.NewMember{Email: fmt.Sprintf("m%d@example.org", c.n), Name: "M", RoleID: c.role()})
		if err == nil {
			c.members = append(c.members, inv.Member.ID)
		}
		return
	}
	switch c.r.IntN(11) {
	case 0, 1:
		r := c.role()
		_, _ = c.EditMember(ctx, by, pick(), keyring.MemberEdit{RoleID: &r})
	case 2:
		g := c.grants()
		_, _ = c.EditMember(ctx, by, pick(), keyring.MemberEdit{Scopes: &g})
	case 3:
		var none postern.Grants
		_, _ = c.EditMember(ctx, by, pick(), keyring.MemberEdit{Scopes: &none})
	case 4:
		_ = c.RemoveMember(ctx, by, pick())
	case 5:
		r, err := c.CreateRole(ctx, by, keyring.RoleInput{Name: fmt.Sprintf("Role %d", c.n), Permissions: c.permissions(), Grants: c.grants()})
		if err == nil {
			c.roles = append(c.roles, r.ID)
		}
	case 6, 7:
		if len(c.roles) > 0 {
			_, _ = c.EditRole(ctx, by, c.roles[c.r.IntN(len(c.roles))], keyring.RoleInput{Name: fmt.Sprintf("Role %d", c.n), Permissions: c.permissions(), Grants: c.grants()})
		}
	case 8:
		p, err := c.Policy(ctx, by)
		c.must(err)
		p.RemindAge, p.IdleAfter = 100+c.n, 30+c.r.IntN(3)
		_, _ = c.SetPolicy(ctx, by, p)
	case 9:
		c.stepAPI()
	case 10:
		at := c.now()
		_, err := c.db.Write(ctx, func(tx *store.Tx) error {
			return tx.InsertSession(ctx, &store.Session{ID: fmt.Sprintf("ses_%d", c.n), AccountID: by.AccountID, MemberID: pick(), Method: "password", Hash: postern.SecretHash{Hash: sha256.Sum256([]byte(fmt.Sprint(c.n))), Pepper: 1},
				CreatedAt: at, SeenAt: at, ProvedAt: at, ExpiresAt: at.Add(24 * 365 * time.Hour)})
		})
		c.must(err)
	}
}

func (c *chaos) stepAPI() {
	ctx, by := c.t.Context(), c.super
	if len(c.apis) == 0 || c.one(3) {
		id := postern.UpstreamID(fmt.Sprintf("extra%d", c.n))
		_, err := c.PutUpstream(ctx, by, postern.Upstream{ID: id, URL: "http://127.0.0.1:1", Prefix: "/" + string(id)})
		c.must(err)
		c.apis = append(c.apis, id)
		return
	}
	id := c.apis[c.r.IntN(len(c.apis))]
	if c.one(2) {
		_ = c.DeleteUpstream(ctx, by, id)
		return
	}
	_, _ = c.PutUpstream(ctx, by, postern.Upstream{ID: id, URL: fmt.Sprintf("http://127.0.0.1:%d", 2+c.r.IntN(3)), Prefix: "/" + string(id)})
}

// peopleState is what a database gives to those who aren't keys.
type peopleState struct {
	members  map[postern.MemberID]postern.Member
	policy   postern.Policy
	apis     map[postern.UpstreamID]postern.Upstream
	sessions int
}

func (c *chaos) peopleOf(db *store.DB) peopleState {
	c.t.Helper()
	ctx := c.t.Context()
	out := peopleState{members: map[postern.MemberID]postern.Member{}, apis: map[postern.UpstreamID]postern.Upstream{}}
	for _, id := range c.members {
		if m, err := db.Member(ctx, id); err == nil {
			out.members[id] = m
		}
	}
	var err error
	out.policy, err = db.Policy(ctx, c.super.AccountID)
	c.must(err)
	ups, err := db.Upstreams(ctx)
	c.must(err)
	for _, u := range ups {
		out.apis[u.ID] = u
	}
	c.must(db.Pool.Read().QueryRowContext(ctx, "select count(*) from sessions").Scan(&out.sessions))
	return out
}

// comparePeople holds what is there after a restore against how it was at the backup
// and in the end. It returns how many members there are, and how many of them lost something.
func (c *chaos) comparePeople(was, end, is peopleState, done *backup.Replayed) (n, less int) {
	c.t.Helper()
	if is.sessions != 0 {
		c.t.Errorf("%d sessions came back", is.sessions)
	}
	for id, then := range was.members {
		n++
		last, now := end.members[id], is.members[id]
		if then.RemovedAt.IsZero() && !last.RemovedAt.IsZero() {
			less++
		}
		if !last.RemovedAt.IsZero() && now.RemovedAt.IsZero() {
			c.t.Errorf("member %s was removed and is back: %+v", id, now)
		}
		if then.RemovedAt.IsZero() && last.RemovedAt.IsZero() && !now.RemovedAt.IsZero() {
			c.t.Errorf("member %s is lost", id)
		}
		for _, p := range postern.Permissions() {
			if now.Can(p) && (!then.Can(p) || !last.Can(p)) {
				c.t.Errorf("member %s may %s after the restore: then %+v, end %+v", id, p, then.Role, last.Role)
			}
			if then.Can(p) && last.Can(p) && !now.Can(p) && then.Role.ID == last.Role.ID {
				c.t.Errorf("member %s may no longer %s: then %+v, end %+v, is %+v", id, p, then.Role, last.Role, now.Role)
			}
		}
		for _, g := range now.Holds() {
			if one := (postern.Grants{g}); !then.Holds().CoversGrants(one) || !last.Holds().CoversGrants(one) {
				c.t.Errorf("member %s holds %s after the restore: then %v, end %v", id, g, then.Holds(), last.Holds())
			}
		}
	}
	if was.policy.Revision != end.policy.Revision && len(done.Policies) != 1 {
		c.t.Errorf("the policy changed from revision %d to %d, and the restore names %v", was.policy.Revision, end.policy.Revision, done.Policies)
	}
	named := map[postern.UpstreamID]bool{}
	for _, id := range done.Upstreams {
		named[id] = true
	}
	for id, then := range was.apis {
		last, there := end.apis[id]
		if _, here := is.apis[id]; here && !there {
			c.t.Errorf("the API %s was removed and is back", id)
		}
		if (!there || then.URL != last.URL) && !named[id] {
			c.t.Errorf("the API %s changed, and the restore names %v", id, done.Upstreams)
		}
	}
	return n, less
}
