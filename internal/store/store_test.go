package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 891000, time.UTC)

func write(t *testing.T, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) int64 {
	t.Helper()
	seq, err := db.Write(t.Context(), func(tx *store.Tx) error { return fn(t.Context(), tx) })
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func account(t *testing.T, db *store.DB, name string) postern.Account {
	t.Helper()
	a := postern.Account{ID: postern.AccountID(postern.NewID("acc")), Name: name, TimeZone: "UTC", CreatedAt: t0}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertAccount(ctx, &a) })
	return a
}

func key(a postern.AccountID, name string, at time.Time) *store.KeyRecord {
	r := &store.KeyRecord{}
	r.Row = postern.CredentialRow{Key: postern.NewKeyID(), AccountID: a, Kind: postern.KindServiceKey,
		Scopes: []postern.Scope{"a.read", "b_c.read"}, Revision: 1,
		Current: postern.SecretHash{Hash: [32]byte{1}, Pepper: 1, Generation: 1, LastFour: "aB3x"}}
	r.Key = postern.ServiceKey{Name: name, CreatedAt: at, UpdatedAt: at}
	r.Key.Current.MadeAt = at
	return r
}

func TestFoldersMakeTheSameTables(t *testing.T) {
	lite := storetest.Open(t, storetest.SQLite(t))
	pg := storetest.Open(t, storetest.Postgres(t))
	want := columns(t, lite.Read(), `select m.name || '.' || p.name || ' ' || p."notnull" from sqlite_schema m, pragma_table_info(m.name) p
		where m.type = 'table' and m.name not like 'sqlite_%' and m.name <> 'schema_migrations'`)
	got := columns(t, pg.Read(), `select table_name || '.' || column_name || ' ' || case is_nullable when 'NO' then 1 else 0 end
		from information_schema.columns where table_schema = current_schema() and table_name not in ('schema_migrations', 'goose_lock')`)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tables and columns differ (-sqlite +postgres):\n%s", d)
	}
}

func columns(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

func TestNewerSchemaIsRefused(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		db := storetest.Open(t, target)
		if err := db.Pool.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec("insert into schema_migrations (version_id, is_applied) values (9999, " + map[store.Engine]string{store.SQLite: "1", store.Postgres: "true"}[db.Engine] + ")")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, err := store.OpenDB(t.Context(), target, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err == nil || !strings.Contains(err.Error(), "newer binary") {
			t.Errorf("open = %v, want a refusal that names a newer binary", err)
		}
	})
}

func TestFeedIsGaplessAndOrdered(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		const writers, each = 4, 10
		errs := make(chan error, writers)
		for range writers {
			go func() {
				for range each {
					_, err := db.Write(t.Context(), func(tx *store.Tx) error {
						_, err := tx.AppendFeed(t.Context(), postern.Change{At: t0, Kind: postern.ChangeCredential, ID: "k"})
						return err
					})
					if err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		feed, err := db.Feed(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range feed {
			if c.Seq != int64(i+1) {
				t.Fatalf("feed[%d].Seq = %d, want %d", i, c.Seq, i+1)
			}
		}
		if head, _, _ := db.FeedHead(t.Context()); head != writers*each || len(feed) != writers*each {
			t.Errorf("head %d, %d entries; want %d", head, len(feed), writers*each)
		}
	})
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		boom := errors.New("boom")
		_, err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.InsertAudit(t.Context(), postern.AuditEntry{At: t0, Action: "x", Result: "ok"}); err != nil {
				return err
			}
			if _, err := tx.AppendFeed(t.Context(), postern.Change{At: t0}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("Write = %v, want boom", err)
		}
		if head, _, _ := db.FeedHead(t.Context()); head != 0 {
			t.Errorf("feed head %d after a failed write, want 0", head)
		}
		if v, err := db.VerifyAudit(t.Context(), auditlog.Options{}); err != nil || v.Entries != 0 || !v.Sound {
			t.Errorf("audit %+v, %v after a failed write; want empty", v, err)
		}
	})
}

func TestKeysPageAndStates(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a, other := account(t, db, "A"), account(t, db, "B")
		now := t0.Add(time.Hour)
		// Every combination of the facts that a state follows from.
		var keys []*store.KeyRecord
		for bits := range 32 {
			k := key(a.ID, fmt.Sprintf("key-%02d", bits), t0.Add(time.Duration(bits)*time.Second))
			at := func(b int, tm time.Time) time.Time {
				if bits&b != 0 {
					return tm
				}
				return time.Time{}
			}
			k.Row.RevokedAt = at(1, t0)
			k.Row.ExpiresAt = at(2, now)
			k.Row.PausedAt = at(4, t0)
			k.Row.NotBefore = at(8, now.Add(time.Microsecond))
			if bits&16 != 0 {
				k.Row.Previous = postern.SecretHash{Pepper: 1, Generation: 1}
				k.Row.PreviousUntil = now.Add(time.Microsecond)
			}
			keys = append(keys, k)
		}
		foreign := key(other.ID, "key-00", t0)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, k := range append(keys, foreign) {
				if err := tx.InsertKey(ctx, k); err != nil {
					return err
				}
			}
			return nil
		})
		for _, s := range []postern.State{postern.StateActive, postern.StateRotating, postern.StateScheduled, postern.StatePaused, postern.StateExpired, postern.StateEnded} {
			var want []string
			for i := len(keys) - 1; i >= 0; i-- {
				if keys[i].Key.State(now) == s {
					want = append(want, keys[i].Key.Name)
				}
			}
			var got []string
			var cur store.Cursor
			for {
				page, err := db.KeysPage(t.Context(), a.ID, store.KeyFilter{State: s}, now, cur, 3)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page {
					got = append(got, r.Key.Name)
				}
				if len(page) < 3 {
					break
				}
				last := page[2].Key
				cur = store.Cursor{At: last.CreatedAt.UnixMicro(), ID: string(last.ID)}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("state %s (-State +SQL):\n%s", s, d)
			}
		}
		for _, f := range []struct {
			filter store.KeyFilter
			want   int
		}{
			{store.KeyFilter{}, 32}, {store.KeyFilter{Name: "KEY-0"}, 10}, {store.KeyFilter{Name: "%"}, 0}, {store.KeyFilter{Name: "y_0"}, 0},
			{store.KeyFilter{Scope: "a.read"}, 32}, {store.KeyFilter{Scope: "a.rea"}, 0}, {store.KeyFilter{Scope: "b_c.read"}, 32},
			{store.KeyFilter{Scope: "bxc.read"}, 0}, {store.KeyFilter{IDs: []postern.KeyID{}}, 0}, {store.KeyFilter{IDs: []postern.KeyID{keys[3].Row.Key, foreign.Row.Key}}, 1},
			{store.KeyFilter{NotIDs: []postern.KeyID{keys[3].Row.Key}}, 31},
		} {
			page, err := db.KeysPage(t.Context(), a.ID, f.filter, now, store.Cursor{}, 100)
			if err != nil || len(page) != f.want {
				t.Errorf("KeysPage(%+v) = %d keys, %v; want %d", f.filter, len(page), err, f.want)
			}
		}
		if _, err := db.Key(t.Context(), a.ID, foreign.Row.Key); !errors.Is(err, postern.CodeNotFound) {
			t.Errorf("another account's key = %v, want not found", err)
		}
	})
}

func TestNameIsFreeAgainOnceEnded(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a := account(t, db, "A")
		first, second := key(a.ID, "nightly", t0), key(a.ID, "nightly", t0)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, first) })
		_, err := db.Write(t.Context(), func(tx *store.Tx) error { return tx.InsertKey(t.Context(), second) })
		if !errors.Is(err, postern.CodeConflict) {
			t.Fatalf("second key of one name = %v, want conflict", err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			first.Row.RevokedAt = t0
			return tx.UpdateKey(ctx, first)
		})
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, second) })
	})
}

func TestRowComesBackAsItWasSealed(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		pepper, err := postern.ParsePepper(postern.NewPepper())
		if err != nil {
			t.Fatal(err)
		}
		a := account(t, db, "A")
		k := key(a.ID, "sealed", t0)
		k.Row.Rate = postern.Rate{Calls: 7, Per: 10 * time.Second}
		k.Row.ExpiresAt = t0.Add(time.Hour)
		k.Row.Seal(pepper)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, k) })
		got, err := db.Credential(t.Context(), k.Row.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Sealed(pepper) {
			t.Error("the row's MAC does not fit after a round trip")
		}
		// Each column that decisions depend on, edited behind Postern's back, breaks the seal.
		for _, set := range []string{"scopes = '[\"**\"]'", "expires_at = 0", "all_scopes = 1", "kind = 'legacy_api_key'", "rate_calls = 9",
			"networks = '[\"0.0.0.0/0\"]'", "revision = 2", "current_generation = 9", "current_last_four = 'zzzz'", "previous_until = 5", "not_before = 1",
			"paused_at = 1", "revoked_at = 1", "account_id = account_id || ''", "scopes = 'nonsense'"} {
			err := db.Pool.Write(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.Exec("update credentials set " + set)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := db.Credential(t.Context(), k.Row.Key)
			if err != nil {
				t.Fatal(err)
			}
			if want := set == "account_id = account_id || ''"; got.Sealed(pepper) != want {
				t.Errorf("after %s: sealed = %v, want %v", set, !want, want)
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateKey(ctx, k) })
		}
	})
}

func TestAuditFindsWhatWasAltered(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a := account(t, db, "A")
		for i := range 40 {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				e := postern.Actor{AccountID: a.ID, System: "test"}.Entry(t0.Add(time.Duration(i)*time.Second), "test.act", fmt.Sprint("object-", i))
				e.After = map[string]any{"scopes": []string{"a.read"}, "n": i}
				return tx.InsertAudit(ctx, e)
			})
		}
		sound, err := db.VerifyAudit(t.Context(), auditlog.Options{})
		if err != nil || !sound.Sound || sound.Entries != 40 || sound.Root == "" {
			t.Fatalf("untouched log: %+v, %v", sound, err)
		}
		page, err := db.AuditPage(t.Context(), a.ID, store.AuditFilter{}, 0, 10)
		if err != nil || len(page) != 10 || page[0].Seq != 40 || page[0].Object != "object-39" {
			t.Fatalf("first page: %d entries, %v", len(page), err)
		}
		for _, tamper := range []struct {
			sql  string
			want int64
		}{
			{"update audit_entries set body = replace(body, 'object-6', 'object-x') where seq = 7", 7},
			{"update audit_entries set actor = 'someone', at = at + 1 where seq = 9", 9},
			{"delete from audit_entries where seq = 12", 12},
			{"delete from audit_entries where seq = 40", 40},
			{"update audit_hashes set hash = (select hash from audit_hashes where n = 1) where n = 0", 1},
			{"delete from audit_entries where seq > 35", 36},
		} {
			boom := errors.New("roll back")
			err := db.Pool.Write(t.Context(), func(tx *sql.Tx) error {
				if _, err := tx.Exec(tamper.sql); err != nil {
					return err
				}
				log, err := store.AuditLogIn(t.Context(), tx, db.Engine)
				if err != nil {
					return err
				}
				v, err := auditlog.Verify(t.Context(), log, auditlog.Options{})
				if err != nil {
					return err
				}
				if v.Sound || v.First().Entry != tamper.want {
					t.Errorf("%s: first bad entry %+v, want %d", tamper.sql, v.First(), tamper.want)
				}
				return boom
			})
			if !errors.Is(err, boom) {
				t.Fatal(err)
			}
		}
	})
}

func TestLeases(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		now, err := db.RenewLease(t.Context(), "n1", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.RenewLease(t.Context(), "n1", time.Second); err != nil {
			t.Fatal(err)
		}
		for _, how := range []store.NodeInfo{{Node: "n1", Limits: "together", LimitsAt: t0}, {Node: "n1"}} {
			if _, err := db.RenewLeaseOf(t.Context(), how, time.Second); err != nil {
				t.Fatal(err)
			}
			if ls, _, err := db.Leases(t.Context()); err != nil || len(ls) != 1 || ls[0].Limits != how.Limits || !ls[0].LimitsAt.Equal(how.LimitsAt) {
				t.Errorf("leases %+v, %v; want that limits are held by %q since %v", ls, err, how.Limits, how.LimitsAt)
			}
		}
		for range 5 {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.AppendFeed(ctx, postern.Change{At: t0, Kind: postern.ChangeCatalog})
				return err
			})
		}
		head, _, err := db.FeedHead(t.Context())
		if err != nil || head < 5 {
			t.Fatalf("the feed's head = %d, %v", head, err)
		}
		for _, n := range []int64{5, 3, head + 1} { // the last is of no feed that this store has
			if err := db.ConfirmFeed(t.Context(), "n1", n); err != nil {
				t.Fatal(err)
			}
		}
		ls, at, err := db.Leases(t.Context())
		if err != nil || len(ls) != 1 || ls[0].Confirmed != 5 || ls[0].Until.Before(now.Add(time.Minute)) || at.Before(now) {
			t.Errorf("leases %+v at %v, %v; want one that a shorter renewal did not cut, confirmed 5", ls, at, err)
		}
	})
}
