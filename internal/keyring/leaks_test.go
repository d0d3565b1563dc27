package keyring_test

import (
	"fmt"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// leak reports the secret of a generation of a key, as found at a place.
func (w *world) leak(id postern.KeyID, generation int64, url string, end bool) keyring.LeakDone {
	w.t.Helper()
	done, err := w.TakeLeak(w.t.Context(), postern.Actor{IP: "198.51.100.7"}, keyring.Leak{Account: w.super.AccountID, Key: id, Generation: generation,
		Source: postern.LeakFromFinder, URL: url, End: end})
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

func (w *world) leakEntries() []postern.AuditEntry {
	w.t.Helper()
	all, err := w.Audit(w.t.Context(), w.super, store.AuditFilter{}, 0, 200)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []postern.AuditEntry
	for _, e := range all {
		if strings.HasSuffix(e.Action, ".leak") {
			out = append(out, e)
		}
	}
	return out
}

func (w *world) reload(id postern.KeyID) *postern.ServiceKey {
	w.t.Helper()
	k, err := w.Key(w.t.Context(), w.super, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return &k
}

func TestLeakFollowsThePolicy(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			do    postern.LeakAction
			state postern.State
		}{{postern.LeakNotify, postern.StateActive}, {postern.LeakPause, postern.StatePaused}, {postern.LeakRevoke, postern.StateEnded}} {
			w.policy(func(p *postern.Policy) { p.Leaks.Do = c.do })
			k := w.key(w.super, "key-"+string(c.do), "deals.read").Key
			before := len(w.leakEntries())
			done := w.leak(k.ID, 1, "https://example.org/"+string(c.do), false)
			if !done.Live || !done.New || done.Did != c.do || done.Kept || (done.Seq != 0) != (c.do != postern.LeakNotify) {
				t.Errorf("%s: %+v", c.do, done)
			}
			if s := w.reload(k.ID).State(w.now); s != c.state {
				t.Errorf("%s: the key is %s, want %s", c.do, s, c.state)
			}
			// Told again, from the same place: nothing more happens.
			if again := w.leak(k.ID, 1, "https://example.org/"+string(c.do), false); again.New || again.Seq != 0 {
				t.Errorf("%s again: %+v", c.do, again)
			}
			entries := w.leakEntries()
			if len(entries) != before+1 {
				t.Fatalf("%s: %d entries, want one more than %d", c.do, len(entries), before)
			}
			if e := entries[0]; e.Object != string(k.ID) || e.Actor.System != "leaks" || e.Actor.IP != "198.51.100.7" || !strings.Contains(fmt.Sprint(e.After), "https://example.org/") {
				t.Errorf("entry %+v", e)
			}
		}
	})
}

// A key that rotates loses only the secret that was found, where that is the old one.
func TestLeakOfAnOldSecret(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.key(w.super, "rotating", "deals.read").Key
		if _, err := w.RotateKey(t.Context(), w.super, k.ID, keyring.Rotation{Grace: day}); err != nil {
			t.Fatal(err)
		}
		if done := w.leak(k.ID, 1, "", true); done.Did != postern.LeakRevoke || done.Seq == 0 {
			t.Fatalf("ending the old secret: %+v", done)
		}
		if got := w.reload(k.ID); got.State(w.now) != postern.StateActive || got.Current.Generation != 2 {
			t.Errorf("the key is %s with generation %d, want it active with the new secret", got.State(w.now), got.Current.Generation)
		}
		if done := w.leak(k.ID, 1, "elsewhere", true); done.Live || done.New || done.Seq != 0 {
			t.Errorf("a dead secret: %+v, want nothing done", done)
		}
		if done := w.leak(k.ID, 7, "", true); done.Live {
			t.Errorf("a secret that never was: %+v", done)
		}
		if done := w.leak(k.ID, 2, "", true); !done.Live || w.reload(k.ID).State(w.now) != postern.StateEnded {
			t.Errorf("ending the new one: %+v", done)
		}
	})
}

func TestFindersEndOnlyWhatTheyMay(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy(func(p *postern.Policy) { p.Leaks = postern.LeakPolicy{Do: postern.LeakNotify} })
		k := w.key(w.super, "kept", "deals.read").Key
		if done := w.leak(k.ID, 1, "", true); !done.Kept || done.Did != postern.LeakNotify || !done.New || w.reload(k.ID).State(w.now) != postern.StateActive {
			t.Errorf("%+v, want the key kept and the report taken", done)
		}
		other := w.leakEntries()
		if _, err := w.TakeLeak(t.Context(), postern.Actor{}, keyring.Leak{Account: "acc_0000000000000000", Key: k.ID, Generation: 1, End: true}); err != nil {
			t.Fatal(err)
		}
		if len(w.leakEntries()) != len(other) {
			t.Error("a report under another account was taken")
		}
	})
}

func TestLeakOfAPersonalKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		made, err := w.CreatePersonalKey(t.Context(), w.super, keyring.NewPersonalKey{Name: "laptop"})
		if err != nil {
			t.Fatal(err)
		}
		if done := w.leak(made.Key.Key, 1, "", false); !done.Live || done.Did != postern.LeakNotify {
			t.Errorf("%+v", done)
		}
		w.policy(func(p *postern.Policy) { p.Leaks.Do = postern.LeakPause })
		if done := w.leak(made.Key.Key, 1, "https://example.org/x", false); done.Did != postern.LeakRevoke || done.Seq == 0 {
			t.Errorf("with the policy pause: %+v, want it ended", done)
		}
		if e := w.leakEntries(); len(e) != 2 || e[0].Action != "personal_key.leak" || e[0].Name != "laptop" {
			t.Errorf("entries %+v", e)
		}
	})
}

// An imported credential is paused or ended as its kind is, and its list says so.
func TestLeakOfAnImportedCredential(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		for i, c := range []struct {
			do    postern.LeakAction
			state postern.LegacyState
		}{{postern.LeakNotify, postern.LegacyActive}, {postern.LeakPause, postern.LegacyPaused}, {postern.LeakRevoke, postern.LegacyEnded}} {
			w.policy(func(p *postern.Policy) { p.Leaks.Do = c.do })
			id := w.importLegacy(w.super, legacyItem(i+1, "deals.read"))[0].ID
			row, err := w.db.Credential(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			done := w.leak(id, row.Current.Generation, "", false)
			if !done.Live || done.Did != c.do || (done.Seq != 0) != (c.do != postern.LeakNotify) {
				t.Errorf("%s: %+v", c.do, done)
			}
			l, err := w.Legacy(t.Context(), w.super, id)
			if err != nil || l.State(w.now) != c.state || (l.EndedWhy != "") != (c.do == postern.LeakRevoke) {
				t.Errorf("%s: it is %s (%q), %v; want %s", c.do, l.State(w.now), l.EndedWhy, err, c.state)
			}
			if e := w.leakEntries()[0]; e.Action != "legacy_credential.leak" || e.Object != string(id) || e.Name != l.Name || e.After["leak"] == nil {
				t.Errorf("%s: entry %+v", c.do, e)
			}
			if list, err := w.Leaks(t.Context(), w.super, id, store.Cursor{}, 10); err != nil || len(list) != 1 || list[0].Name != l.Name || list[0].Live != (c.do != postern.LeakRevoke) {
				t.Errorf("%s: reports %+v, %v", c.do, list, err)
			}
		}
	})
}

// Reports are listed with whether the secret lives, and bounded.
func TestLeakReportsAreBounded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.key(w.super, "much", "deals.read").Key
		for i := range postern.MaxLeakReports + 5 {
			if done := w.leak(k.ID, 1, fmt.Sprint("https://example.org/", i), false); done.New != (i < postern.MaxLeakReports) || !done.Live {
				t.Fatalf("report %d: %+v", i, done)
			}
		}
		list, err := w.Leaks(t.Context(), w.super, "", store.Cursor{}, 100)
		if err != nil || len(list) != postern.MaxLeakReports || !list[0].Live || list[0].Name != "much" || list[0].LastFour != k.Current.LastFour {
			t.Fatalf("%d reports, %+v, %v", len(list), list[0], err)
		}
		live, err := w.LiveLeaks(t.Context(), w.super, []postern.KeyID{k.ID, "0000000000000000"})
		if err != nil || len(live) != 1 || live[k.ID].Generation != 1 {
			t.Errorf("live = %v, %v", live, err)
		}
		if _, err := w.RotateKey(t.Context(), w.super, k.ID, keyring.Rotation{}); err != nil {
			t.Fatal(err)
		}
		if live, err = w.LiveLeaks(t.Context(), w.super, []postern.KeyID{k.ID}); err != nil || len(live) != 0 {
			t.Errorf("after the rotation: %v, %v", live, err)
		}
		page, err := w.Leaks(t.Context(), w.super, k.ID, store.Cursor{At: int64(postern.ToMicros(list[4].At)), ID: list[4].ID}, 100)
		if err != nil || len(page) != postern.MaxLeakReports-5 || page[0].ID != list[5].ID || page[0].Live {
			t.Errorf("the second page has %d, %v", len(page), err)
		}
	})
}

// A record that was altered outside of Postern is never sealed anew while it lives:
// otherwise whoever can write rows writes themselves scopes, and then reports their
// own secret as found.
func TestALeakSealsNothingThatWasAltered(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		sealed := func(id postern.KeyID) (postern.CredentialRow, bool) {
			row, err := w.db.Credential(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return row, row.Sealed(w.pepper)
		}
		for _, do := range []postern.LeakAction{postern.LeakNotify, postern.LeakPause, postern.LeakRevoke} {
			w.policy(func(p *postern.Policy) { p.Leaks = postern.LeakPolicy{Do: do, FindersEnd: do == postern.LeakNotify} })
			for _, generation := range []int64{1, 2} {
				for _, end := range []bool{false, true} {
					k := w.key(w.super, fmt.Sprintf("%s-%d-%t", do, generation, end), "deals.read").Key
					if _, err := w.RotateKey(t.Context(), w.super, k.ID, keyring.Rotation{Grace: day}); err != nil {
						t.Fatal(err)
					}
					w.raw("update credentials set scopes = $1 where key_id = $2", `["deals.read","deals.write"]`, k.ID)
					if _, whole := sealed(k.ID); whole {
						t.Fatal("the row counts as whole")
					}
					done := w.leak(k.ID, generation, "", end)
					if row, whole := sealed(k.ID); whole && row.RevokedAt.IsZero() || done.Did == postern.LeakRevoke && row.RevokedAt.IsZero() {
						t.Errorf("%s, generation %d, end %t: %+v, and the record lives on with %v, sealed %t", do, generation, end, done, row.Scopes, whole)
					}
				}
			}
		}
	})
}

// An expired key can be given a later end, and then its found secret works again.
func TestLeakOfAnExpiredKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		made, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "expired", Scopes: []postern.Scope{"deals.read"}, ExpiresAt: w.now.Add(day)})
		if err != nil {
			t.Fatal(err)
		}
		k := made.Key
		w.now = w.now.Add(2 * day)
		if done := w.leak(k.ID, 1, "", false); !done.Live || !done.New {
			t.Errorf("%+v, want the report taken", done)
		}
		if got, err := w.LiveLeaks(t.Context(), w.super, []postern.KeyID{k.ID}); err != nil || len(got) != 1 {
			t.Errorf("live leaks %v, %v; want one", got, err)
		}
		if done := w.leak(k.ID, 1, "", true); done.Did != postern.LeakRevoke || w.reload(k.ID).State(w.now) != postern.StateEnded {
			t.Errorf("%+v, want it ended", done)
		}
	})
}
