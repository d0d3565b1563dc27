package notify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/store"
)

// A found secret is told to those who look after the key and those who run the
// account, once each, and never with a place that anyone may have written.
func TestSecretFound(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		inv, err := w.InviteMember(ctx, w.super, keyring.NewMember{Email: "kim@example.org", Name: "Kim", RoleID: postern.RoleKeyManager})
		if err != nil {
			t.Fatal(err)
		}
		kim := postern.Actor{AccountID: w.super.AccountID, MemberID: inv.Member.ID}
		if _, err := w.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{IP: "192.0.2.9"}); err != nil {
			t.Fatal(err)
		}
		made, err := w.CreateKey(ctx, kim, keyring.NewKey{Name: "stock-levels"})
		if err != nil {
			t.Fatal(err)
		}
		mine := w.key("mine", time.Time{})
		pak, err := w.CreatePersonalKey(ctx, kim, keyring.NewPersonalKey{Name: "laptop"})
		if err != nil {
			t.Fatal(err)
		}
		imp, err := w.BeginLegacyImport(ctx, w.super)
		if err != nil {
			t.Fatal(err)
		}
		old, err := w.ImportLegacy(ctx, w.super, keyring.LegacyBatch{Import: imp, Items: []keyring.LegacyItem{{Kind: postern.KindLegacyPrivateApp, Name: "old-sync",
			SHA256: [32]byte{1}, Strength: postern.StrengthUnknown}}})
		if err != nil || old[0].ID == "" {
			t.Fatal(err, old)
		}
		w.do(w.n.Events)
		row, err := w.db.Credential(ctx, old[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.TakeLeak(ctx, postern.Actor{}, keyring.Leak{Account: w.super.AccountID, Key: old[0].ID, Generation: row.Current.Generation, Source: postern.LeakFromFinder}); err != nil {
			t.Fatal(err)
		}
		report := func(id postern.KeyID, source, url string) {
			if _, err := w.TakeLeak(ctx, postern.Actor{}, keyring.Leak{Account: w.super.AccountID, Key: id, Generation: 1, Source: source, URL: url}); err != nil {
				t.Fatal(err)
			}
		}
		report(made.Key.ID, postern.LeakFromGitHub, "https://github.com/o/r/blob/1/a")
		report(made.Key.ID, postern.LeakFromGitHub, "https://github.com/o/r/blob/1/a")
		report(mine.ID, postern.LeakFromFinder, "https://evil.example/reset")
		report(pak.Key.Key, postern.LeakFromFinder, "")
		w.do(w.n.Events, w.n.Events, w.n.SendDue)
		got := w.titles(t, w.super.MemberID)
		if want := []string{"A secret of laptop was found", "A secret of mine was found", "A secret of old-sync was found", "A secret of stock-levels was found in public code"}; strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("the admin is told %q, want %q", got, want)
		}
		if got := strings.Join(w.titles(t, kim.MemberID), "|"); got != "A secret of laptop was found|A secret of stock-levels was found in public code" {
			t.Errorf("the maker is told %q", got)
		}
		for _, m := range w.out.sent {
			if strings.Contains(m.Text, "evil.example") {
				t.Errorf("a mail holds a place that anyone may have written:\n%s", m.Text)
			}
		}
		list, err := w.db.Notifications(ctx, kim.MemberID, false, store.Cursor{}, 9)
		admin, err2 := w.db.Notifications(ctx, w.super.MemberID, false, store.Cursor{}, 50)
		if n := slices.IndexFunc(admin, func(n store.Notification) bool { return n.Link == "/migration" }); err2 != nil || n < 0 || !strings.HasPrefix(admin[n].Words, "Somebody presented the whole secret. It still works.") {
			t.Errorf("of the imported credential is told %+v, %v", admin, err2)
		}
		i := slices.IndexFunc(list, func(n store.Notification) bool { return n.Link == "/keys/"+string(made.Key.ID) })
		if err != nil || i < 0 || !strings.Contains(list[i].Words, "https://github.com/o/r/blob/1/a") {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// titles are the subjects of a member's notifications of found secrets, sorted.
func (w *world) titles(t *testing.T, m postern.MemberID) (out []string) {
	list, err := w.db.Notifications(t.Context(), m, false, store.Cursor{}, 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if n.Kind == notify.SecretFound {
			out = append(out, n.Subject)
		}
	}
	slices.Sort(out)
	return out
}
