package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// sealed is a database with rows in each sealed table, of which nothing refers to
// the one that is edited.
type sealed struct {
	a, b      postern.Account
	ann, ben  postern.Member // ben has a way in of each kind
	role      postern.Role
	link      postern.KeyID
	hash      postern.SecretHash
	passkeyID string
}

func newSealed(t *testing.T, db *store.DB) *sealed {
	x := &sealed{a: account(t, db, "A"), b: account(t, db, "B"), link: postern.NewKeyID(), hash: postern.SecretHash{Hash: [32]byte{1, 2, 3}, Pepper: 1}, passkeyID: "pk"}
	viewer, _ := postern.BuiltinRole(postern.RoleViewer)
	x.ann = postern.Member{ID: "mem_ann", AccountID: x.a.ID, Email: "ann@example.org", Name: "Ann", Role: viewer, CreatedAt: t0}
	x.ben = postern.Member{ID: "mem_ben", AccountID: x.a.ID, Email: "ben@example.org", Name: "Ben", Role: viewer, CreatedAt: t0}
	x.role = postern.Role{ID: "rol_1", AccountID: x.a.ID, Name: "Role", Permissions: []postern.Permission{postern.PermKeysRead}, Grants: postern.Grants{"deals.*"}}
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, err := range []error{
			tx.InsertMember(ctx, &x.ann), tx.InsertMember(ctx, &x.ben), tx.InsertRole(ctx, &x.role, t0),
			tx.InsertSingleUse(ctx, &store.SingleUse{ID: x.link, Purpose: "invite", AccountID: x.a.ID, MemberID: x.ben.ID, Hash: x.hash, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}),
			tx.InsertSession(ctx, &store.Session{ID: "ses_1", Hash: x.hash, AccountID: x.a.ID, MemberID: x.ben.ID, Method: "password", CreatedAt: t0, SeenAt: t0, ProvedAt: t0, ExpiresAt: t0.Add(time.Hour)}),
			tx.PutPassword(ctx, x.ben.ID, store.Password{Hash: "$argon2id$x", Length: 20, ChangedAt: t0}),
			tx.PutTOTP(ctx, x.ben.ID, store.TOTP{Secret: []byte{1, 2, 3}, Pepper: 1, LastStep: 7, CreatedAt: t0}),
			tx.InsertPasskey(ctx, &store.Passkey{ID: x.passkeyID, MemberID: x.ben.ID, Name: "Laptop", Body: "{}", CreatedAt: t0}),
			tx.PutIdentity(ctx, &store.Identity{Issuer: "https://idp", Subject: "ben", AccountID: x.a.ID, MemberID: x.ben.ID, CreatedAt: t0}),
			tx.PutUpstream(ctx, &postern.Upstream{ID: "api", URL: "http://127.0.0.1:1", Prefix: "/api", CatalogVersion: 1, CreatedAt: t0}),
			tx.InsertCatalog(ctx, &store.CatalogVersion{Upstream: "api", Title: "API", Body: `{"format":1,"title":"API"}`, LoadedBy: x.ann.ID, LoadedAt: t0}),
			tx.PutPolicy(ctx, &postern.Policy{AccountID: x.a.ID, RequireExpiry: true, RemindExpiry: []int{7}, ChangedBy: x.ann.ID, ChangedAt: t0}),
			tx.PutRotation(ctx, &postern.RotationPlan{Key: "k1", AccountID: x.a.ID, Generation: 1, Ends: postern.EndHold, BeganAt: t0, Deadline: t0, Latest: t0, Idle: time.Hour}),
			tx.PutCampaign(ctx, &store.Campaign{ID: "cmp_1", AccountID: x.a.ID, Name: "By Friday", MadeBy: x.ann.ID, Deadline: t0.Add(time.Hour), CreatedAt: t0}),
			tx.PutMigration(ctx, &store.MigrationItem{ID: "mig_1", AccountID: x.a.ID, Key: "k1", Fingerprint: "fp_1", NewKey: "k2", Name: "old", ArchivedBy: x.ann.ID, CreatedAt: t0}),
			tx.InsertCampaignKeys(ctx, []store.CampaignKey{{Campaign: "cmp_1", Key: "k1", AccountID: x.a.ID, Name: "nightly", Generation: 1}}),
			tx.PutRecoveryCodes(ctx, x.ben.ID, []postern.SecretHash{x.hash}, t0),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	return x
}

// sound counts the rows of a table that the store reads as its own.
func (x *sealed) sound(t *testing.T, db *store.DB, table string) (n int) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		if err != nil && postern.CodeOf(err) != postern.CodeNotFound {
			t.Fatalf("%s: %v", table, err)
		}
	}
	count := func(good bool) {
		if good {
			n++
		}
	}
	switch table {
	case "accounts":
		all, err := db.Accounts(ctx)
		check(err)
		for _, a := range all {
			if a.Altered && (a.Operator || a.SuspendedAt.IsZero()) {
				t.Errorf("an altered account is %+v, want one that is suspended and operates nothing", a)
			}
			count(!a.Altered)
		}
	case "roles":
		for _, a := range []postern.AccountID{x.a.ID, x.b.ID} {
			all, err := db.Roles(ctx, a)
			check(err)
			for _, r := range all {
				if r.Altered && (r.Permissions != nil || r.Grants != nil) {
					t.Errorf("an altered role holds %v and %v", r.Permissions, r.Grants)
				}
				count(!r.Altered)
			}
		}
	case "members":
		all, err := db.Members(ctx, "", true)
		check(err)
		for _, m := range all {
			if m.Altered && (m.Can(postern.PermKeysRead) || len(m.Holds()) > 0 || len(m.Role.Permissions) > 0) {
				t.Errorf("an altered member holds %v, with the permissions %v", m.Holds(), m.Role.Permissions)
			}
			count(!m.Altered)
		}
	case "single_use":
		for _, id := range []postern.KeyID{x.link, x.link + "x"} {
			u, err := db.SingleUse(ctx, id)
			check(err)
			count(err == nil && !u.Altered && u.UsedAt.IsZero())
		}
	case "policies":
		for _, a := range []postern.AccountID{x.a.ID, x.b.ID} {
			p, err := db.Policy(ctx, a)
			check(err)
			if p.Altered && (p.RequireExpiry || p.RemindExpiry != nil) {
				t.Errorf("an altered policy is %+v", p)
			}
			if p.Altered && (p.Leaks.Do != postern.LeakRevoke || !p.Leaks.FindersEnd || p.Tripwires.Canary != postern.TripPause || p.Tripwires.Retired != postern.TripNotify) {
				t.Errorf("an altered policy defends with %+v and %+v, want the strictest", p.Leaks, p.Tripwires)
			}
			count(!p.Altered && p.Revision > 0)
		}
	case "rotations":
		all, err := db.Rotations(ctx, "")
		check(err)
		for _, p := range all {
			count(!p.Altered)
		}
	case "migration_items":
		all, err := db.MigrationItems(ctx, "", false, "", 9)
		check(err)
		for _, i := range all {
			if i.Altered && (i.NewKey != "" || i.ArchivedBy != "" || i.Name != "") {
				t.Errorf("an altered item is %+v", i)
			}
			count(!i.Altered)
		}
	case "campaigns", "campaign_keys":
		for _, a := range []postern.AccountID{x.a.ID, x.b.ID} {
			for _, id := range []string{"cmp_1", "cmp_1x"} {
				if table == "campaigns" {
					c, err := db.Campaign(ctx, a, id)
					check(err)
					count(err == nil && !c.Altered)
					continue
				}
				keys, err := db.CampaignKeys(ctx, a, id)
				check(err)
				for _, k := range keys {
					count(!k.Altered)
				}
			}
		}
	case "upstreams":
		all, err := db.Upstreams(ctx)
		check(err)
		for _, u := range all {
			if u.Altered && (u.URL != "" || u.CatalogVersion != 0 || u.Options != postern.UpstreamOptions{}) {
				t.Errorf("an altered upstream goes to %q by version %d with %+v", u.URL, u.CatalogVersion, u.Options)
			}
			count(!u.Altered)
		}
	case "catalogs":
		for _, id := range []postern.UpstreamID{"api", "apix"} {
			for version := int64(1); version < 3; version++ {
				c, err := db.Catalog(ctx, id, version)
				check(err)
				if c.Altered && (strings.Contains(c.Body, "API") || c.Digest != "") {
					t.Errorf("an altered catalog is %s, %q", c.Body, c.Digest)
				}
				count(err == nil && !c.Altered)
			}
		}
	default:
		for _, m := range []postern.MemberID{x.ann.ID, x.ben.ID} {
			switch table {
			case "sessions":
				all, err := db.Sessions(ctx, m)
				check(err)
				for _, s := range all {
					count(!s.Altered)
				}
			case "passwords":
				p, err := db.Password(ctx, m)
				check(err)
				count(p.Hash != "")
			case "totps":
				p, err := db.TOTP(ctx, m)
				check(err)
				count(!p.Altered && len(p.Secret) > 0)
			case "passkeys":
				all, err := db.Passkeys(ctx, m)
				check(err)
				for _, p := range all {
					count(!p.Altered)
				}
			case "identities":
				all, err := db.Identities(ctx, m)
				check(err)
				for _, i := range all {
					count(!i.Altered)
				}
			default:
				t.Fatalf("no test reads the rows of %s", table)
			}
		}
	}
	return n
}

// edited is another value that a column can have.
func (x *sealed) edited(column string, v any) any {
	switch column {
	case "account_id":
		return string(x.b.ID)
	case "member_id":
		return string(x.ann.ID)
	case "operator":
		return 1 - v.(int64)
	}
	switch v := v.(type) {
	case nil:
		return `["**"]`
	case int64:
		return v + 1
	case []byte:
		out := slices.Clone(v)
		out[len(out)-1]++
		return out
	case string:
		return v + "x"
	}
	panic(fmt.Sprintf("%s is a %T", column, v))
}

func raw(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	if err := db.Pool.Write(t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// where names the row of each table that is edited.
var where = map[string]string{
	"accounts": "name = 'C'", "roles": "id like 'rol_1%'", "members": "email like 'cat@%'", "single_use": "id like '%'", "sessions": "id like 'ses_1%'",
	"passwords": "length >= 20", "totps": "last_step >= 7", "passkeys": "id like 'pk%'", "identities": "subject like 'ben%'",
	"upstreams": "id like 'api%'", "catalogs": "upstream_id like 'api%'",
	"policies": "revision > 0", "rotations": "generation > 0", "campaigns": "name like 'By%'", "campaign_keys": "key_id like 'k1%'", "migration_items": "created_at > 0",
}

// TestEveryEditOfASealedRowIsFound edits each column of each sealed table, as the
// database itself lists them: a column that is added and not sealed fails here.
func TestEveryEditOfASealedRowIsFound(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		db := storetest.Open(t, target)
		x := newSealed(t, db)
		account(t, db, "C")
		viewer, _ := postern.BuiltinRole(postern.RoleViewer)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertMember(ctx, &postern.Member{ID: "mem_cat", AccountID: x.a.ID, Email: "cat@example.org", Name: "Cat", Role: viewer, CreatedAt: t0})
		})
		tried := 0
		for _, table := range store.SealedTables() {
			all := x.sound(t, db, table)
			if all == 0 {
				t.Fatalf("%s: no row is sound before any edit", table)
			}
			rows, err := db.Read().QueryContext(t.Context(), "select * from "+table+" where "+where[table])
			if err != nil {
				t.Fatal(err)
			}
			columns, _ := rows.Columns()
			values, targets := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				targets[i] = &values[i]
			}
			if !rows.Next() {
				t.Fatalf("%s: nothing to edit", table)
			}
			if err := rows.Scan(targets...); err != nil {
				t.Fatal(err)
			}
			if rows.Next() {
				t.Fatalf("%s: the edit would hit more than one row", table)
			}
			rows.Close()
			for i, c := range columns {
				to := x.edited(c, values[i])
				cond := strings.Replace(where[table], "name = 'C'", "name like 'C%'", 1)
				raw(t, db, "update "+table+" set "+c+" = $1 where "+cond, to)
				if n := x.sound(t, db, table); n != all-1 {
					t.Errorf("%s.%s = %v: %d rows are sound, want %d", table, c, to, n, all-1)
				}
				raw(t, db, "update "+table+" set "+c+" = $1 where "+cond, values[i])
				if n := x.sound(t, db, table); n != all {
					t.Fatalf("%s.%s put back: %d rows are sound, want %d", table, c, n, all)
				}
				tried++
			}
		}
		t.Logf("%d columns edited", tried)
		// An edit is found by whoever opens the database later.
		raw(t, db, "update members set role_id = 'super_admin' where id = 'mem_cat'")
		again := storetest.Open(t, target)
		if m, err := again.Member(t.Context(), "mem_cat"); err != nil || !m.Altered || m.Can(postern.PermMembersWrite) {
			t.Errorf("after a restart: %+v, %v", m, err)
		}
		if m, err := again.Member(t.Context(), "mem_ann"); err != nil || m.Altered || !m.Can(postern.PermKeysRead) {
			t.Errorf("an untouched member after a restart: %+v, %v", m, err)
		}
		if again.AlteredRows() != 1 {
			t.Errorf("AlteredRows = %d, want 1", again.AlteredRows())
		}
	})
}

// TestAlteredRowsAreNotSealedAnew: no change that Postern makes turns what was
// written into a row into the truth.
func TestAlteredRowsAreNotSealedAnew(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		x := newSealed(t, db)
		for _, c := range []struct {
			table, edit string
			change      func(ctx context.Context, tx *store.Tx) error
		}{
			{"accounts", "update accounts set operator = 1 - operator where name = 'B'", func(ctx context.Context, tx *store.Tx) error {
				a, err := tx.Account(ctx, x.b.ID)
				if err != nil {
					return err
				}
				return tx.UpdateAccount(ctx, &a)
			}},
			{"members", "update members set role_id = 'super_admin' where id = 'mem_ann'", func(ctx context.Context, tx *store.Tx) error {
				m, err := tx.Member(ctx, x.ann.ID)
				if err != nil {
					return err
				}
				m.Name = "Other"
				return tx.UpdateMember(ctx, &m)
			}},
			{"roles", `update roles set grants = '["**"]'`, func(ctx context.Context, tx *store.Tx) error { r := x.role; return tx.UpdateRole(ctx, &r) }},
			{"sessions", "update sessions set member_id = 'mem_ann'", func(ctx context.Context, tx *store.Tx) error {
				return tx.TouchSession(ctx, "ses_1", t0.Add(time.Minute))
			}},
			{"sessions", "update sessions set expires_at = expires_at + 1", func(ctx context.Context, tx *store.Tx) error { return tx.RenewSession(ctx, "ses_1", x.hash, t0) }},
			{"passkeys", "update passkeys set member_id = 'mem_ann'", func(ctx context.Context, tx *store.Tx) error { return tx.UsePasskey(ctx, x.passkeyID, "{}", t0) }},
			{"passkeys", "update passkeys set body = '{ }'", func(ctx context.Context, tx *store.Tx) error {
				return tx.RenamePasskey(ctx, x.ann.ID, x.passkeyID, "x")
			}},
			{"totps", "update totps set member_id = 'mem_ann'", func(ctx context.Context, tx *store.Tx) error { return tx.UseTOTP(ctx, x.ann.ID, 9) }},
			{"upstreams", "update upstreams set url = 'http://127.0.0.1:2'", func(ctx context.Context, tx *store.Tx) error {
				u, err := tx.Upstream(ctx, "api")
				if err != nil {
					return err
				}
				return tx.PutUpstream(ctx, &u)
			}},
			{"identities", "update identities set member_id = 'mem_ann'", func(ctx context.Context, tx *store.Tx) error {
				return tx.UseIdentity(ctx, &store.Identity{AccountID: x.a.ID, Issuer: "https://idp", Subject: "ben"}, t0)
			}},
		} {
			before := x.sound(t, db, c.table)
			raw(t, db, c.edit)
			_, err := db.Write(t.Context(), func(tx *store.Tx) error { return c.change(t.Context(), tx) })
			if err == nil {
				t.Errorf("%s: the change was made", c.edit)
			}
			if n := x.sound(t, db, c.table); n > before || n == before && before > 0 && c.edit != "update passkeys set body = '{ }'" && !strings.Contains(c.edit, "expires_at") {
				t.Errorf("%s: %d rows are sound, %d were", c.edit, n, before)
			}
		}
		raw(t, db, "update passwords set member_id = 'mem_ann'")
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.RehashPassword(ctx, x.ann.ID, "$argon2id$x", "$argon2id$y")
		})
		if n := x.sound(t, db, "passwords"); n != 0 {
			t.Errorf("a password that was moved and made stronger counts")
		}
		// Who was altered can be removed, and stays so.
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			m, err := tx.Member(ctx, x.ann.ID)
			if err != nil {
				return err
			}
			m.RemovedAt = t0
			return tx.UpdateMember(ctx, &m)
		})
		raw(t, db, "update members set removed_at = 0 where id = 'mem_ann'")
		if m, err := db.Member(t.Context(), x.ann.ID); err != nil || !m.Altered {
			t.Errorf("a removal that was taken back: %+v, %v", m, err)
		}
	})
}

// TestWhatWasUsedStaysUsed: writing that a link or a recovery code was not used doesn't bring it back.
func TestWhatWasUsedStaysUsed(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		x := newSealed(t, db)
		use := func(ctx context.Context, tx *store.Tx) error {
			return tx.UseRecoveryCode(ctx, x.ben.ID, x.hash.Hash, t0)
		}
		write(t, db, use)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UseUp(ctx, x.link, t0) })
		raw(t, db, "update single_use set used_at = 0")
		raw(t, db, "update recovery_codes set used_at = 0")
		if u, err := db.SingleUse(t.Context(), x.link); err != nil || !u.Altered {
			t.Errorf("the link = %+v, %v; want it altered", u, err)
		}
		if _, err := db.Write(t.Context(), func(tx *store.Tx) error { return use(t.Context(), tx) }); postern.CodeOf(err) != postern.CodeNotFound {
			t.Errorf("the code again = %v, want not found", err)
		}
	})
}

// TestABodyIsNotTakenOutOfACatalog: the seal is over the digest, and a body that isn't of the digest breaks it.
func TestABodyIsNotTakenOutOfACatalog(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		newSealed(t, db)
		for _, body := range []string{"", "{}", `{"format":1,"title":"api"}`} {
			raw(t, db, "update catalogs set body = $1", body)
			if c, err := db.Catalog(t.Context(), "api", 1); err != nil || !c.Altered || c.Body != `{"format":1}` {
				t.Errorf("with the body %q: %+v, %v", body, c, err)
			}
		}
		if all, err := db.CatalogVersions(t.Context(), "api"); err != nil || len(all) != 1 || all[0].Altered || all[0].Body != "" {
			t.Errorf("the versions = %+v, %v", all, err)
		}
		raw(t, db, "update catalogs set digest = $1", strings.Repeat("0", 64))
		if all, err := db.CatalogVersions(t.Context(), "api"); err != nil || len(all) != 1 || !all[0].Altered {
			t.Errorf("the versions with another digest = %+v, %v", all, err)
		}
	})
}

func TestSealBelongsToItsTable(t *testing.T) {
	p := storetest.Pepper(t)
	if !store.SealFits(p, "passkeys", "passkeys", []any{"a", int64(1)}) {
		t.Error("a seal doesn't fit its own row")
	}
	if store.SealFits(p, "passkeys", "passwords", []any{"a", int64(1)}) {
		t.Error("the seal of one table fits another")
	}
}

// TestAnAlteredRowIsLogged: the alarm names the table and the record, and a
// row that is read over and over doesn't fill the log.
func TestAnAlteredRowIsLogged(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		newSealed(t, storetest.Open(t, target))
		var log bytes.Buffer
		db, err := store.OpenDB(t.Context(), target, storetest.Pepper(t), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		raw(t, db, "update members set email = 'x@example.org' where id = 'mem_ann'")
		for range 100 {
			if _, err := db.Member(t.Context(), "mem_ann"); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 7 || !strings.Contains(log.String(), "table=members record=mem_ann") {
			t.Errorf("100 readings of an altered row left %d lines:\n%s", n, log.String())
		}
		if db.AlteredRows() != 100 {
			t.Errorf("AlteredRows = %d, want 100", db.AlteredRows())
		}
	})
}
