package keyring_test

import (
	"context"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// An invitation that was withdrawn lets nobody in; who came in before stays.
func TestWithdrawInvitation(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		invite := func(email string) keyring.Invited {
			inv, err := w.InviteMember(ctx, w.super, keyring.NewMember{Email: email, Name: "Kim", RoleID: postern.RoleViewer})
			if err != nil {
				t.Fatal(err)
			}
			return inv
		}
		kim := invite("kim@example.org")
		if removed, err := w.WithdrawInvitation(ctx, w.super, kim.Member.ID); err != nil || !removed {
			t.Fatalf("WithdrawInvitation = %v, %v", removed, err)
		}
		_, err := w.AcceptInvitation(ctx, kim.Invitation.Reveal(), postern.Actor{IP: "192.0.2.9"})
		wantCode(t, "accepting what was withdrawn", err, postern.CodeUnauthenticated)
		_, err = w.Member(ctx, w.super, kim.Member.ID)
		wantCode(t, "reading who never came", err, postern.CodeNotFound)

		lee := invite("lee@example.org")
		if _, err := w.AcceptInvitation(ctx, lee.Invitation.Reveal(), postern.Actor{IP: "192.0.2.9"}); err != nil {
			t.Fatal(err)
		}
		_, err = w.WithdrawInvitation(ctx, w.super, lee.Member.ID)
		wantCode(t, "withdrawing what was accepted", err, postern.CodeConflict)
		again, err := w.ReinviteMember(ctx, w.super, lee.Member.ID)
		if err != nil {
			t.Fatal(err)
		}
		if removed, err := w.WithdrawInvitation(ctx, w.super, lee.Member.ID); err != nil || removed {
			t.Fatalf("withdrawing a second invitation = %v, %v", removed, err)
		}
		_, err = w.AcceptInvitation(ctx, again.Invitation.Reveal(), postern.Actor{IP: "192.0.2.9"})
		wantCode(t, "accepting the second one", err, postern.CodeUnauthenticated)
		if _, err := w.Member(ctx, w.super, lee.Member.ID); err != nil {
			t.Errorf("who came in is gone: %v", err)
		}
		_, err = w.WithdrawInvitation(ctx, w.member("vi@example.org", postern.RoleViewer), lee.Member.ID)
		wantCode(t, "a viewer who withdraws", err, postern.CodeForbidden)
	})
}
