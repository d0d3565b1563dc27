package keyring_test

import (
	"errors"
	"strconv"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// A name is what people tell things apart by: it can be seen, all of it.
func TestNamesCanBeSeen(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		k := w.key(w.super, "sync")
		bo := w.member("bo@example.org", postern.RoleViewer)
		role, err := w.CreateRole(ctx, w.super, keyring.RoleInput{Name: "Readers"})
		if err != nil {
			t.Fatal(err)
		}
		doors := map[string]func(name string) error{
			"make a key": func(name string) error {
				_, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: name})
				return err
			},
			"rename a key": func(name string) error {
				_, err := w.EditKey(ctx, w.super, k.Key.ID, keyring.KeyEdit{Name: &name})
				return err
			},
			"make a personal key": func(name string) error {
				_, err := w.CreatePersonalKey(ctx, w.super, keyring.NewPersonalKey{Name: name})
				return err
			},
			"invite a member": func(name string) error {
				_, err := w.InviteMember(ctx, w.super, keyring.NewMember{Email: postern.NewID("a") + "@example.org", Name: name, RoleID: postern.RoleViewer})
				return err
			},
			"rename a member": func(name string) error {
				_, err := w.EditMember(ctx, w.super, bo.MemberID, keyring.MemberEdit{Name: &name})
				return err
			},
			"make a role": func(name string) error {
				_, err := w.CreateRole(ctx, w.super, keyring.RoleInput{Name: name})
				return err
			},
			"rename a role": func(name string) error {
				_, err := w.EditRole(ctx, w.super, role.ID, keyring.RoleInput{Name: name})
				return err
			},
			"make an account": func(name string) error {
				_, _, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: name, AdminEmail: postern.NewID("a") + "@example.org", AdminName: "Ada"})
				return err
			},
			"rename an account": func(name string) error {
				_, err := w.EditAccount(ctx, w.super, w.super.AccountID, keyring.AccountEdit{Name: &name})
				return err
			},
			"name an upstream": func(name string) error {
				_, err := w.PutUpstream(ctx, w.super, postern.Upstream{ID: "api", Name: name + " ", URL: "http://127.0.0.1:1"})
				return err
			},
		}
		for what, do := range doors {
			for _, name := range []string{
				"\u200b", "\u200b\u200c\u200d\u2060\ufeff", "\u00ad", "\u2800", "\u3164", "\uffa0", "\u115f\u1160", "\u0301", "\ufe0f", "\U000e0041", // nothing to see
				"sy\u200bnc", "sync\u2060", "s\u00adync", "sync\ufeff.", "sync\U000e0041", // more than can be seen
				"\u202ecnys", "a\u2066b", "a\u200fb", "a\u061cb", "a\x00b", "a\x1b[31m", "a\u0085b", // what changes what is seen
				"two\nlines", "two\u2028lines", "two\u2029lines",
			} {
				wantCode(t, what+" as "+strconv.QuoteToASCII(name), do(name), postern.CodeInvalid)
			}
			for _, name := range []string{"sync", "Ünïcødé", "夜間同期", "می\u200cخواهم", "क्\u200dष", "👩\u200d💻 builds", "#1", "e\u0301te\u0301"} {
				if err := do(name); err != nil && !errors.Is(err, postern.CodeConflict) { // taken, so it is a name
					t.Errorf("%s as %s = %v", what, strconv.QuoteToASCII(name), err)
				}
			}
		}
	})
}
