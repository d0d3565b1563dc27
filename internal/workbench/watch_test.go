package workbench_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/workbench"
)

// board is an account whose old credentials are watched, with a clock that stands
// still unless it is put forward.
type board struct {
	*keyring.Keyring
	t       *testing.T
	db      *store.DB
	log     *activity.Log
	at      time.Time
	super   postern.Actor
	watcher *workbench.Watcher
	news    []string // told, each once for its dedupe
	known   map[string]bool
}

func (b *board) now() time.Time { return b.at }

func (b *board) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

const day = 24 * time.Hour

func boards(t *testing.T, test func(t *testing.T, b *board)) {
	storetest.Targets(t, func(t *testing.T, target string) {
		b := &board{t: t, db: storetest.Open(t, target), at: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), known: map[string]bool{}}
		file := target
		if !strings.Contains(target, "://") {
			file += ".activity"
		}
		var err error
		b.log, err = activity.Open(t.Context(), activity.Config{Target: file, Now: b.now})
		b.must(err)
		t.Cleanup(func() { b.log.Close() })
		b.Keyring = keyring.New(keyring.Config{DB: b.db, Pepper: storetest.Pepper(t), Now: b.now})
		done, err := b.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
		b.must(err)
		b.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
		b.watcher = workbench.NewWatcher(workbench.WatchConfig{DB: b.db, Activity: b.log, Keyring: b.Keyring, Now: b.now, Tell: func(_ context.Context, n workbench.News) error {
			if !b.known[n.Dedupe] {
				b.known[n.Dedupe] = true
				b.news = append(b.news, n.Subject)
			}
			return nil
		}})
		test(t, b)
	})
}

// imports brings in an API key, and gives its ID.
func (b *board) imports(name string, sunset time.Time) postern.KeyID {
	b.t.Helper()
	out, err := b.ImportLegacy(b.t.Context(), b.super, keyring.LegacyBatch{Import: "imp_1", Items: []keyring.LegacyItem{{Line: 1, Kind: postern.KindLegacyAPIKey, Name: name,
		SHA256: sha256.Sum256([]byte(name)), Strength: postern.StrengthGood, SunsetAt: sunset}}})
	b.must(err)
	if out[0].Outcome != keyring.LegacyImported {
		b.t.Fatalf("%s: %+v", name, out[0])
	}
	return out[0].ID
}

// refused records a call that a brownout refused, and tells the watcher as a node does.
func (b *board) refused(key postern.KeyID, ip string) {
	b.t.Helper()
	e := postern.Event{At: postern.ToMicros(b.at), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "sync/1", Status: 403, IP: netip.MustParseAddr(ip)}
	e.Decision = postern.Decision{Reason: postern.ReasonBrownout, Kind: postern.KindLegacyAPIKey, Known: true, Account: b.super.AccountID}
	copy(e.Decision.Key[:], key)
	b.log.Record(&e)
	b.must(b.log.Flush(b.t.Context()))
	b.watcher.Seen([]activity.Seen{{Account: b.super.AccountID, Key: key, Reason: postern.ReasonBrownout}})
	b.must(b.watcher.Look(b.t.Context()))
}

// settle puts the clock forward, lets the watcher do what is due, and gives what was told.
func (b *board) settle(d time.Duration) string {
	b.t.Helper()
	b.at, b.news = b.at.Add(d), nil
	b.must(b.watcher.Settle(b.t.Context()))
	b.must(b.watcher.Settle(b.t.Context()))
	return strings.Join(b.news, "; ")
}

func (b *board) item(id string) store.MigrationItem {
	b.t.Helper()
	i, err := b.Migration(b.t.Context(), b.super, id)
	b.must(err)
	return i
}

// TestBrownoutEndsByItsBudget: of calls, and of callers; what it meets below that is named.
func TestBrownoutEndsByItsBudget(t *testing.T) {
	boards(t, func(t *testing.T, b *board) {
		for n, budget := range []store.MigrationBudget{{Calls: 3, Callers: 50}, {Calls: 2000, Callers: 3}} {
			key := b.imports(fmt.Sprintf("old-%d", n), time.Time{})
			window := []postern.Window{{From: b.at, Until: b.at.Add(time.Hour)}, {From: b.at.Add(day), Until: b.at.Add(25 * time.Hour)}}
			i, _, err := b.SetBrownouts(t.Context(), b.super, string(key), window, budget)
			b.must(err)
			b.at, b.news = b.at.Add(time.Minute), nil
			for call := range 2 {
				b.refused(key, fmt.Sprintf("203.0.113.%d", call))
			}
			if i := b.item(i.ID); !i.StoppedAt.IsZero() || len(i.Forgotten) != 2 || i.Forgotten[0] != "sync at 203.0.113.0" || len(b.news) != 1 || !strings.HasPrefix(b.news[0], "sync at 203.0.113.0 still uses") {
				t.Errorf("%+v, below the budget: stopped %v, forgotten %q, told %q", budget, i.StoppedAt, i.Forgotten, b.news)
			}
			b.refused(key, "203.0.113.9")
			rec, err := b.db.Legacy(t.Context(), b.super.AccountID, key)
			b.must(err)
			if i := b.item(i.ID); !i.StoppedAt.Equal(b.at) || len(rec.Legacy.Brownouts) != 0 || !strings.Contains(i.StoppedWhy, "3 calls of 3 callers were refused") || len(b.news) != 2 || b.news[1] != fmt.Sprintf("The brownouts of old-%d were stopped", n) {
				t.Errorf("%+v, at the budget: stopped %v, %d left, %q; told %q", budget, i.StoppedAt, len(rec.Legacy.Brownouts), i.StoppedWhy, b.news)
			}
			b.refused(key, "203.0.113.10") // it was on its way as they were stopped
			if len(b.news) != 2 {
				t.Errorf("told again: %q", b.news)
			}
		}
		key := b.imports("old-wide", time.Time{})
		for _, budget := range []store.MigrationBudget{{Calls: 2001, Callers: 1}, {Calls: 1, Callers: 51}, {Calls: 0, Callers: 1}} {
			if _, _, err := b.SetBrownouts(t.Context(), b.super, string(key), []postern.Window{{From: b.at, Until: b.at.Add(time.Hour)}}, budget); err == nil {
				t.Errorf("the budget %+v, which would never end one, is taken", budget)
			}
		}
	})
}

func TestBrownoutIsToldOfBefore(t *testing.T) {
	boards(t, func(t *testing.T, b *board) {
		key := b.imports("old", time.Time{})
		_, _, err := b.SetBrownouts(t.Context(), b.super, string(key), workbench.Ramp(b.at.Add(2*day), 2), workbench.DefaultBudget)
		b.must(err)
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, ""}, {day - time.Minute, ""}, {time.Minute, "A brownout of old begins on 24 November at 09:00 UTC"}, {time.Hour, ""},
			{23 * time.Hour, "A brownout of old begins on 25 November at 09:00 UTC"}, {2 * day, ""},
		} {
			if got := b.settle(step.after); got != step.want {
				t.Errorf("at %s: told %q, want %q", b.at, got, step.want)
			}
		}
	})
}

// TestWhatWaitsIsRemindedOf: from two weeks on, once a week, until something is decided.
func TestWhatWaitsIsRemindedOf(t *testing.T) {
	boards(t, func(t *testing.T, b *board) {
		key := b.imports("old", time.Time{})
		decide := func() {
			_, err := b.EditMigration(t.Context(), b.super, string(key), "migration.path", func(i *store.MigrationItem) error {
				i.Path, i.PathAt = "service_key", b.at
				return nil
			})
			b.must(err)
		}
		decide()
		const waits = "old still waits to be moved"
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{13 * day, ""}, {day, waits}, {day, ""}, {6 * day, waits}, {7 * day, waits}} {
			if got := b.settle(step.after); got != step.want {
				t.Errorf("at %s: told %q, want %q", b.at, got, step.want)
			}
		}
		decide()
		if got := b.settle(day); got != "" {
			t.Errorf("after a decision: told %q", got)
		}
	})
}

// TestSunsetsAreChased: before they come, and every week while what has one still works.
func TestSunsetsAreChased(t *testing.T) {
	boards(t, func(t *testing.T, b *board) {
		sunset := b.at.Add(40 * day)
		one := b.imports("one", sunset)
		b.imports("two", sunset.Add(time.Hour))
		lone := b.imports("lone", b.at.Add(200*day))
		before, after := "2 old credentials: the sunset is on 1 January 2027", "2 old credentials still work after the sunset on 1 January 2027"
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, ""}, {10 * day, before}, {day, ""}, {22 * day, before}, {6 * day, before}, {day, after}, {day, ""}, {6 * day, after}, {7 * day, after},
		} {
			if got := b.settle(step.after); got != step.want {
				t.Errorf("at %s: told %q, want %q", b.at, got, step.want)
			}
		}
		yes := true
		_, err := b.EditLegacy(t.Context(), b.super, one, keyring.LegacyEdit{Paused: &yes})
		b.must(err)
		if got := b.settle(7*day + 2*time.Hour); got != "two still works after the sunset on 1 January 2027" {
			t.Errorf("with one paused: told %q", got)
		}
		b.at = sunset.Add(9 * 7 * day)
		if got := b.settle(0); got != "" {
			t.Errorf("after nine weeks: told %q", got)
		}
		_, err = b.EndLegacy(t.Context(), b.super, lone, "")
		b.must(err)
		if got := b.settle(80 * day); got != "" {
			t.Errorf("of one that has ended: told %q", got)
		}
	})
}

// TestArchivedEndsOrIsResumed: it ends by itself after its undo, unless somebody
// resumed it meanwhile; and an undo leaves paused what was paused before.
func TestArchivedEndsOrIsResumed(t *testing.T) {
	boards(t, func(t *testing.T, b *board) {
		ctx, yes, no := t.Context(), true, false
		state := func(key postern.KeyID) postern.LegacyState {
			t.Helper()
			rec, err := b.db.Legacy(ctx, b.super.AccountID, key)
			b.must(err)
			return rec.Legacy.State(b.at)
		}
		gone, back, held := b.imports("gone", time.Time{}), b.imports("back", time.Time{}), b.imports("held", time.Time{})
		_, err := b.EditLegacy(ctx, b.super, held, keyring.LegacyEdit{Paused: &yes})
		b.must(err)
		// Somebody who may only stop credentials.
		role, err := b.CreateRole(ctx, b.super, keyring.RoleInput{Name: "Stops", Permissions: []postern.Permission{postern.PermKeysRead, postern.PermKeysRevoke}})
		b.must(err)
		inv, err := b.InviteMember(ctx, b.super, keyring.NewMember{Email: "kim@example.org", Name: "Kim", RoleID: role.ID})
		b.must(err)
		kim := postern.Actor{AccountID: b.super.AccountID, MemberID: inv.Member.ID}
		for _, key := range []postern.KeyID{gone, back, held} {
			_, _, err := b.ArchiveMigration(ctx, kim, string(key))
			b.must(err)
		}
		_, _, err = b.UndoMigration(ctx, kim, string(held))
		b.must(err)
		if s := state(held); s != postern.LegacyPaused {
			t.Errorf("what was paused before it was switched off is %s after an undo by somebody who may not resume it", s)
		}
		_, err = b.EditLegacy(ctx, b.super, back, keyring.LegacyEdit{Paused: &no})
		b.must(err)
		b.settle(4 * day)
		if s := state(gone); s != postern.LegacyEnded {
			t.Errorf("after its undo it is %s", s)
		}
		if s := state(back); s != postern.LegacyActive {
			t.Errorf("resumed by hand it is %s after four days", s)
		}
		if i := b.item(string(back)); !i.ArchivedAt.IsZero() {
			t.Errorf("resumed by hand, its item is switched off since %s", i.ArchivedAt)
		}
		if _, _, err := b.UndoMigration(ctx, b.super, string(gone)); err == nil {
			t.Error("what has ended is brought back")
		}
	})
}
