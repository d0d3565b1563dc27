package keyring_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

func legacyItem(i int, scopes ...postern.Scope) keyring.LegacyItem {
	return keyring.LegacyItem{Line: i, Kind: postern.KindLegacyPrivateApp, Name: fmt.Sprintf("app %d", i), Scopes: scopes,
		SHA256: sha256.Sum256(fmt.Appendf(nil, "token %d", i)), Fingerprint: fmt.Sprintf("fp_%016x", i), Strength: postern.StrengthUnknown}
}

func (w *world) importLegacy(by postern.Actor, items ...keyring.LegacyItem) []keyring.LegacyResult {
	w.t.Helper()
	id, err := w.BeginLegacyImport(w.t.Context(), by)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.ImportLegacy(w.t.Context(), by, keyring.LegacyBatch{Import: id, Items: items})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func outcomes(rs []keyring.LegacyResult) string {
	var out []string
	for _, r := range rs {
		out = append(out, string(r.Outcome))
	}
	return strings.Join(out, " ")
}

// facts is everything that the records hold, in short.
func (w *world) facts() (out string) {
	w.t.Helper()
	for _, table := range []string{"credentials", "legacy_credentials", "feed", "audit_entries", "heads"} {
		var n int64
		q := "select count(*) from " + table
		if table == "heads" {
			q = "select sum(n) from heads where name <> 'writer'"
		}
		if err := w.db.Read().QueryRow(q).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		out += fmt.Sprintf("%s %d; ", table, n)
	}
	return out
}

func TestImportLegacy(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		weak := legacyItem(3)
		weak.Strength = postern.StrengthWeak
		bad := legacyItem(4, "no.such.scope")
		key := legacyItem(5)
		key.Kind = postern.KindLegacyAPIKey
		items := []keyring.LegacyItem{legacyItem(1, "deals.read"), legacyItem(1, "deals.read"), weak, bad, key}
		before := w.facts()
		dry, err := w.ImportLegacy(t.Context(), w.super, keyring.LegacyBatch{Import: "imp_x", Items: items, DryRun: true})
		if err != nil || w.facts() != before {
			t.Fatalf("a dry run = %v, and left %s, want %s", err, w.facts(), before)
		}
		got := w.importLegacy(w.super, items...)
		const want = "imported duplicate refused refused imported"
		if outcomes(got) != want || outcomes(dry) != want {
			t.Errorf("import = %s, dry run = %s, want %s", outcomes(got), outcomes(dry), want)
		}
		if !strings.Contains(got[2].Reason, "must have an end") || !strings.Contains(got[3].Reason, "no.such.scope") {
			t.Errorf("reasons = %q, %q", got[2].Reason, got[3].Reason)
		}
		after := w.facts()
		again := w.importLegacy(w.super, items...)
		if outcomes(again) != "duplicate duplicate refused refused duplicate" || again[0].ID != got[0].ID || w.facts() != after {
			t.Errorf("again = %s, and left %s, want %s", outcomes(again), w.facts(), after)
		}
		l, err := w.Legacy(t.Context(), w.super, got[4].ID)
		if err != nil || !l.AllScopes || l.Kind != postern.KindLegacyAPIKey || l.State(w.now) != postern.LegacyActive {
			t.Errorf("the API key = %+v, %v", l, err)
		}
		found, err := w.LegacyByFingerprint(t.Context(), w.super, items[0].Fingerprint)
		if err != nil || len(found) != 1 || found[0].ID != got[0].ID {
			t.Errorf("by fingerprint = %+v, %v", found, err)
		}
		row, err := w.db.Credential(t.Context(), got[0].ID)
		digest, _ := w.pepper.LegacyDigest(w.pepper.Latest(), items[0].SHA256)
		if err != nil || !row.Sealed(w.pepper) || row.Current.Hash != digest {
			t.Errorf("the row = %+v, %v", row, err)
		}
	})
}

// What someone may import is what they could put on a key; an API key, which may
// do everything, needs someone who holds everything.
func TestImportObeysTheImportersScopes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		lee := w.member("lee@example.org", postern.RoleKeyManager, "deals.*")
		star := w.member("star@example.org", postern.RoleKeyManager) // holds "*", not the sensitive ones
		vic := w.member("vic@example.org", postern.RoleViewer)
		key := legacyItem(9)
		key.Kind = postern.KindLegacyAPIKey
		own := legacyItem(8, postern.PermVerify)
		for _, c := range []struct {
			who  string
			by   postern.Actor
			item keyring.LegacyItem
			want keyring.LegacyOutcome
		}{
			{"lee", lee, legacyItem(1, "deals.read"), keyring.LegacyImported},
			{"lee", lee, legacyItem(2, "deals.read", "contacts.read"), keyring.LegacyRefused},
			{"lee", lee, key, keyring.LegacyRefused},
			{"star", star, legacyItem(3, "contacts.write"), keyring.LegacyImported},
			{"star", star, legacyItem(4, "health.read"), keyring.LegacyRefused},
			{"star", star, key, keyring.LegacyRefused},
			{"super", w.super, own, keyring.LegacyRefused},
			{"super", w.super, key, keyring.LegacyImported},
		} {
			got := w.importLegacy(c.by, c.item)
			if got[0].Outcome != c.want {
				t.Errorf("%s imports %v %v: %+v, want %s", c.who, c.item.Kind, c.item.Scopes, got[0], c.want)
			}
		}
		_, err := w.BeginLegacyImport(t.Context(), vic)
		wantCode(t, "a viewer's import", err, postern.CodeForbidden)
		_, err = w.ImportLegacy(t.Context(), vic, keyring.LegacyBatch{Import: "imp_x", Items: []keyring.LegacyItem{legacyItem(20)}})
		wantCode(t, "a viewer's batch", err, postern.CodeForbidden)
		entries, err := w.db.AuditPage(t.Context(), w.super.AccountID, store.AuditFilter{Result: "refused"}, 0, 50)
		if err != nil || len(entries) < 6 {
			t.Errorf("%d refusals in the audit log (%v), want 6", len(entries), err)
		}

		// What they may not import they may not let work again either.
		id := w.importLegacy(w.super, legacyItem(30, "contacts.read"))[0].ID
		yes, no, far := true, false, w.now.Add(90*time.Hour)
		soon := w.now.Add(time.Hour)
		edit := func(by postern.Actor, in keyring.LegacyEdit) error {
			_, err := w.EditLegacy(t.Context(), by, id, in)
			return err
		}
		if err := edit(lee, keyring.LegacyEdit{Paused: &yes, ExpiresAt: &soon}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "resume", edit(lee, keyring.LegacyEdit{Paused: &no}), postern.CodeInsufficientScope)
		wantCode(t, "a longer life", edit(lee, keyring.LegacyEdit{ExpiresAt: &far}), postern.CodeInsufficientScope)
		if err := edit(w.super, keyring.LegacyEdit{Paused: &no, ExpiresAt: &far}); err != nil {
			t.Error(err)
		}
	})
}

func TestLegacyLife(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		id := w.importLegacy(w.super, legacyItem(1, "deals.read"))[0].ID
		yes, no, note := true, false, "Asked Kim on Monday"
		sunset := w.now.Add(48 * time.Hour)
		state := func(want postern.LegacyState) {
			t.Helper()
			l, err := w.Legacy(t.Context(), w.super, id)
			if err != nil || l.State(w.now) != want {
				t.Errorf("state = %s (%v), want %s", l.State(w.now), err, want)
			}
			for _, s := range []postern.LegacyState{postern.LegacyActive, postern.LegacySunset, postern.LegacyPaused, postern.LegacyEnded} {
				list, err := w.LegacyList(t.Context(), w.super, store.LegacyFilter{State: s}, store.Cursor{}, 10)
				if err != nil || len(list) == 1 != (s == want) {
					t.Errorf("the list of those in state %s has %d (%v)", s, len(list), err)
				}
			}
		}
		edit := func(in keyring.LegacyEdit) keyring.LegacyMade {
			t.Helper()
			m, err := w.EditLegacy(t.Context(), w.super, id, in)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		state(postern.LegacyActive)
		if m := edit(keyring.LegacyEdit{Note: &note, SunsetAt: &sunset}); m.Legacy.Note != note || m.Seq == 0 {
			t.Errorf("edit = %+v", m)
		}
		if m := edit(keyring.LegacyEdit{Note: &note}); m.Seq != 0 {
			t.Errorf("the same edit again = %+v, want no change", m)
		}
		state(postern.LegacySunset)
		edit(keyring.LegacyEdit{Paused: &yes})
		state(postern.LegacyPaused)
		edit(keyring.LegacyEdit{Paused: &no})
		w.now = sunset.Add(time.Hour)
		state(postern.LegacySunset) // a sunset that has passed ends nothing
		if n, err := w.LegacyCounts(t.Context(), w.super); err != nil || n.All != 1 || n.Live != 1 || !n.NextSunset.Equal(sunset) {
			t.Errorf("counts = %+v, %v", n, err)
		}
		if _, err := w.EndLegacy(t.Context(), w.super, id, "moved"); err != nil {
			t.Fatal(err)
		}
		state(postern.LegacyEnded)
		_, err := w.EditLegacy(t.Context(), w.super, id, keyring.LegacyEdit{Paused: &no})
		wantCode(t, "resume what has ended", err, postern.CodeConflict)
		if got := w.importLegacy(w.super, legacyItem(1, "deals.read"))[0]; got.Outcome != keyring.LegacyDuplicate || got.ID != id {
			t.Errorf("import of what has ended = %+v, want a duplicate", got)
		}
		state(postern.LegacyEnded)
	})
}

func TestUpgradeLegacy(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		it := legacyItem(1, "deals.read")
		it.Find, it.Hash, it.Slow, it.SHA256, it.Fingerprint = "prefix:abcd", "$2b$04$whatever", "bcrypt", [32]byte{}, ""
		id := w.importLegacy(w.super, it)[0].ID
		sum := sha256.Sum256([]byte("abcd secret"))
		digest, _ := w.pepper.LegacyDigest(w.pepper.Latest(), sum)
		row, _ := w.db.Credential(t.Context(), id)
		if row.Retiring.Hash != it.Hash || row.Current.Hash == digest {
			t.Fatalf("the row before = %+v", row)
		}
		use := keyring.LegacyUse{Key: id, SHA256: sum, Fingerprint: "fp_1", Shown: "…cret", Strength: postern.StrengthWeak}
		for range 2 {
			if err := w.UpgradeLegacy(t.Context(), use); err != nil {
				t.Fatal(err)
			}
		}
		row, _ = w.db.Credential(t.Context(), id)
		l, _ := w.Legacy(t.Context(), w.super, id)
		if row.Retiring.Hash != "" || row.Current.Hash != digest || !row.Sealed(w.pepper) || row.Revision != 2 {
			t.Errorf("the row after = %+v", row)
		}
		if l.Slow != "" || l.Shown != use.Shown || !l.ExpiresAt.Equal(w.now.Add(postern.WeakFor)) || l.Rate != postern.WeakRate {
			t.Errorf("what is shown after = %+v", l)
		}
		if got := w.importLegacy(w.super, it)[0]; got.Outcome != keyring.LegacyDuplicate {
			t.Errorf("the slow hash again = %+v, want a duplicate", got)
		}
		it.Find, it.Hash, it.SHA256 = "", "", sum
		if got := w.importLegacy(w.super, it)[0]; got.Outcome != keyring.LegacyDuplicate {
			t.Errorf("its fast form = %+v, want a duplicate", got)
		}
	})
}

// Whoever can write rows gains nothing: not a scope, not a longer life, not a slow hash of their own.
func TestAlteredLegacyRows(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		id := w.importLegacy(w.super, legacyItem(1, "deals.read"))[0].ID
		for what, set := range map[string]string{"scopes": "all_scopes = 1", "kind": "kind = 'legacy_api_key'",
			"slow hash": `retiring = '{"find":"prefix:aaaa","hash":"$2b$04$x"}'`, "none": "retiring = ''"} {
			was, _ := w.db.Credential(t.Context(), id)
			err := w.db.Pool.Write(t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec("update credentials set " + set); return err })
			row, err2 := w.db.Credential(t.Context(), id)
			if err != nil || err2 != nil || row.Sealed(w.pepper) {
				t.Errorf("%s altered: sealed = %t, %v, %v", what, row.Sealed(w.pepper), err, err2)
			}
			pause := true
			_, err = w.EditLegacy(t.Context(), w.super, id, keyring.LegacyEdit{Paused: &pause})
			wantCode(t, "edit of an altered row ("+what+")", err, postern.CodeConflict)
			if _, err := w.db.Write(t.Context(), func(tx *store.Tx) error { return tx.UpdateCredential(t.Context(), &was) }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPauseOfWhatIsArchived: who pauses a credential that a migration switched off
// means it, and the migration's undo doesn't bring it back.
func TestPauseOfWhatIsArchived(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		yes, no := true, false
		for i, tt := range []struct {
			name   string
			pauses []bool
			paused bool
		}{
			{"nobody paused it", nil, false},
			{"somebody paused it", []bool{yes}, true},
			{"somebody paused it twice", []bool{yes, yes}, true},
			{"somebody resumed it and paused it", []bool{no, yes}, true},
			{"somebody paused it and resumed it", []bool{yes, no}, false},
		} {
			id := w.importLegacy(w.super, legacyItem(10+i, "deals.read"))[0].ID
			if _, _, err := w.ArchiveMigration(t.Context(), w.super, string(id)); err != nil {
				t.Fatal(err)
			}
			for _, p := range tt.pauses {
				w.now = w.now.Add(time.Minute)
				if _, err := w.EditLegacy(t.Context(), w.super, id, keyring.LegacyEdit{Paused: &p}); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := w.UndoMigration(t.Context(), w.super, string(id)); err != nil {
				t.Fatal(err)
			}
			l, err := w.Legacy(t.Context(), w.super, id)
			if err != nil || l.PausedAt.IsZero() == tt.paused {
				t.Errorf("%s: after the undo it is paused at %v (%v), want paused %v", tt.name, l.PausedAt, err, tt.paused)
			}
		}
	})
}

// TestUnknownScopesAreNoSecrets: a refusal doesn't show what may be a secret in the wrong column.
func TestUnknownScopesAreNoSecrets(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		for i, tt := range []struct {
			scope postern.Scope
			shown bool
		}{
			{"sales.email-read_v3", true},
			{"7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2", false},
			{"pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3", false},
			{"postern.7c5d0d3e28f14f1b9d5c", false},
			{"hunter2 is my word", false},
			{"AbCdEfGhIjKlMnOpQrStUv", false},
			{postern.Scope(strings.Repeat("a", 101)), false},
		} {
			got := w.importLegacy(w.super, legacyItem(100+i, tt.scope))[0]
			if got.Outcome != keyring.LegacyRefused || got.Reason == "" || strings.Contains(got.Reason, string(tt.scope)) != tt.shown {
				t.Errorf("%s: %s, %v; want it refused, shown %v", tt.scope, got.Outcome, got.Reason, tt.shown)
			}
		}
	})
}
