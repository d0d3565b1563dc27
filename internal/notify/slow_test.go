package notify_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/store"
)

// sender is a mail server of a test.
type sender func(ctx context.Context, m *notify.Message) error

func (s sender) Send(ctx context.Context, m *notify.Message) error { return s(ctx, m) }

func (w *world) with(s sender) *notify.Notifier {
	return notify.New(notify.Config{DB: w.db, Activity: w.log, Mail: s, PublicURL: "https://keys.example.org", Now: w.now})
}

// TestSlowMailServerSendsOnce: a server that takes most of a minute for each of many mails
// gets none twice, though another node looks for mails all the while.
func TestSlowMailServerSendsOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const many = 24
		for i := range many {
			w.key("key-"+string(rune('a'+i)), t0.Add(40*day))
		}
		w.at(t0.Add(11 * day))
		sent := map[string]int{}
		other := w.with(func(_ context.Context, m *notify.Message) error {
			sent[m.ID]++
			return nil
		})
		n := w.with(func(_ context.Context, m *notify.Message) error {
			sent[m.ID]++
			w.at(w.now().Add(50 * time.Second))
			if len(sent) == many/3 {
				w.do(other.SendDue)
			}
			return nil
		})
		w.do(n.Keys, n.SendDue)
		if len(sent) != many {
			t.Errorf("%d mails, want %d", len(sent), many)
		}
		for id, times := range sent {
			if times != 1 {
				t.Errorf("mail %s was sent %d times", id, times)
			}
		}
	})
}

// TestSlowMailServerDelaysNothing: what happens is told while a mail is on its way.
func TestSlowMailServerDelaysNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.key("late", t0.Add(40*day))
		w.at(t0.Add(11 * day))
		w.do(w.notifier().Keys)
		busy := make(chan struct{})
		var once sync.Once
		n := w.with(func(ctx context.Context, _ *notify.Message) error {
			once.Do(func() { close(busy) })
			<-ctx.Done()
			return ctx.Err()
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		<-busy
		inv, err := w.InviteMember(t.Context(), w.super, keyring.NewMember{Email: "nia@example.org", Name: "Nia", RoleID: postern.RoleViewer})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.AcceptInvitation(t.Context(), inv.Invitation.Reveal(), postern.Actor{}); err != nil {
			t.Fatal(err)
		}
		n.Poke()
		told, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
		defer tick.Stop()
		for len(w.told(w.super.MemberID)) < 2 {
			select {
			case <-told:
				t.Fatalf("told %q while a mail is on its way, want that Nia joined", w.told(w.super.MemberID))
			case <-tick.C:
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestKeysAreLookedAtAgainAfterAFailure: the hour counts from a look that came to its end.
func TestKeysAreLookedAtAgainAfterAFailure(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.key("late", t0.Add(40*day))
		w.at(t0.Add(11 * day))
		gone, err := activity.Open(t.Context(), activity.Config{Target: t.TempDir() + "/gone.db", Now: w.now})
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		broken := notify.New(notify.Config{DB: w.db, Activity: gone, Now: w.now})
		if err := broken.KeysIfDue(t.Context()); err == nil {
			t.Fatal("a look without the activity came to its end")
		}
		w.do(w.n.KeysIfDue) // not at once: another node may be at it
		w.want(w.super.MemberID)
		w.at(w.now().Add(10 * time.Minute))
		w.do(w.n.KeysIfDue)
		w.want(w.super.MemberID, "late stops working in 29 days")
		// And then not for an hour.
		if _, err := w.db.Write(t.Context(), func(tx *store.Tx) error {
			return tx.ForgetNotifications(t.Context(), w.now().Add(time.Second), 9)
		}); err != nil {
			t.Fatal(err)
		}
		w.at(w.now().Add(59 * time.Minute))
		w.do(w.n.KeysIfDue)
		w.want(w.super.MemberID)
		w.at(w.now().Add(2 * time.Minute))
		w.do(w.n.KeysIfDue)
		w.want(w.super.MemberID, "late stops working in 29 days")
	})
}
