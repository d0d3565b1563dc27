package rotation_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
)

// member invites somebody to a role, who joins at once.
func (w *world) member(email string, role postern.RoleID) postern.Actor {
	w.t.Helper()
	inv, err := w.InviteMember(w.t.Context(), w.super, keyring.NewMember{Email: email, Name: email, RoleID: role})
	w.must(err)
	return postern.Actor{AccountID: w.super.AccountID, MemberID: inv.Member.ID}
}

func (w *world) made(by postern.Actor, name string) postern.KeyID {
	w.t.Helper()
	made, err := w.CreateKey(w.t.Context(), by, keyring.NewKey{Name: name})
	w.must(err)
	return made.Key.ID
}

func (w *world) rotate(by postern.Actor, id postern.KeyID, grace time.Duration) {
	w.t.Helper()
	_, err := w.RotateKey(w.t.Context(), by, id, keyring.Rotation{Grace: grace})
	w.must(err)
}

// states are how a campaign's keys stand: "nightly waiting, …".
func (w *world) states(id string) string {
	w.t.Helper()
	c, err := rotation.CampaignOf(w.t.Context(), w.Keyring, w.log, w.super, id, w.now())
	w.must(err)
	var out []string
	for _, k := range c.Keys {
		text := k.Name + " " + string(k.State)
		if k.Still > 0 {
			text += " (" + strings.Join(k.Callers, ", ") + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func (w *world) wantStates(what, id, want string) {
	w.t.Helper()
	if got := w.states(id); got != want {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// campaigner is a job that tells, and gives what its members were told since the last ask.
func (w *world) campaigner() (step func(), told func(m postern.Actor) []string) {
	n := notify.New(notify.Config{DB: w.db, Activity: w.log, Now: w.now})
	job := rotation.NewJob(rotation.Config{DB: w.db, Activity: w.log, Keyring: w.Keyring, Now: w.now, Tell: func(ctx context.Context, m rotation.News) error {
		return n.RotateMany(ctx, m.Account, m.To, m.Dedupe, m.Subject, m.Words, m.Link)
	}})
	seen := map[string]bool{}
	return func() { w.t.Helper(); w.pass(time.Minute); w.must(job.IfDue(w.t.Context())) }, func(m postern.Actor) (out []string) {
		w.t.Helper()
		list, err := w.db.Notifications(w.t.Context(), m.MemberID, true, store.Cursor{}, 50)
		w.must(err)
		for _, x := range list {
			if !seen[x.ID] {
				seen[x.ID] = true
				out = append(out, x.Subject+" | "+x.Words)
			}
		}
		return out
	}
}

// TestCampaignFromStartToReport: two people rotate by a date, one of them late; each
// is told of their own keys, at each step once.
func TestCampaignFromStartToReport(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		kim, lee := w.member("kim@example.org", postern.RoleKeyManager), w.member("lee@example.org", postern.RoleKeyManager)
		a, b, c := w.made(kim, "nightly"), w.made(kim, "forms"), w.made(lee, "reports")
		w.pass(100 * day)
		young := w.made(lee, "young")
		w.rotate(lee, c, day) // is being rotated already
		deadline := w.now().Add(10 * day)
		choice := keyring.CampaignChoice{OlderThan: 90 * day}
		camp, err := w.StartCampaign(t.Context(), w.super, keyring.NewCampaign{Name: "By Friday", Words: "Ask Ada.", Deadline: deadline, Choice: choice, Idempotency: "x1"})
		w.must(err)
		again, err := w.StartCampaign(t.Context(), w.super, keyring.NewCampaign{Name: "By Friday", Words: "Ask Ada.", Deadline: deadline, Choice: choice, Idempotency: "x1"})
		if err != nil || again.ID != camp.ID {
			t.Errorf("the same request again = %v, %v", again.ID, err)
		}
		w.wantStates("at first", camp.ID, "forms waiting; nightly waiting")
		step, told := w.campaigner()
		step()
		if got := told(kim); len(got) != 1 || !strings.HasPrefix(got[0], "By Friday: rotate 2 keys | Please rotate by ") || !strings.HasSuffix(got[0], " forms, nightly. Ask Ada.") {
			t.Errorf("kim is told %q", got)
		}
		if got := told(lee); got != nil {
			t.Errorf("lee, who has no key in it, is told %q", got)
		}
		for range 3 {
			step()
		}
		if got := told(kim); got != nil {
			t.Errorf("kim is told again: %q", got)
		}
		w.call(a, 1, "203.0.113.7", "sync/1")
		w.rotate(kim, a, 7*day)
		w.pass(time.Minute)
		w.call(a, 1, "203.0.113.7", "sync/1")
		w.wantStates("one is rotated, and its caller isn't", camp.ID, "forms waiting; nightly rotating (sync/1 at 203.0.113.7)")
		w.pass(3*day + time.Hour) // seven days before the deadline
		step()
		if got := told(kim); len(got) != 1 || !strings.HasPrefix(got[0], "By Friday: 2 keys left to rotate | ") {
			t.Errorf("kim is reminded %q", got)
		}
		_, err = w.FinishRotation(t.Context(), kim, a, 0)
		w.must(err)
		w.wantStates("one is done", camp.ID, "forms waiting; nightly done")
		w.pass(8 * day) // past the deadline: of the reminders between only the last goes out
		step()
		if got := told(kim); len(got) != 1 || !strings.HasPrefix(got[0], "By Friday: 1 key overdue | ") {
			t.Errorf("kim is told %q", got)
		}
		if got := told(w.super); len(got) != 1 || !strings.Contains(got[0], "overdue") {
			t.Errorf("who started it is told %q", got)
		}
		w.wantStates("past the deadline", camp.ID, "forms overdue; nightly done")
		w.rotate(kim, b, 0)
		w.wantStates("rotated at last", camp.ID, "forms done; nightly done")
		step()
		if got := told(w.super); len(got) != 1 || !strings.HasPrefix(got[0], "By Friday: all keys are done | ") {
			t.Errorf("at the end who started it is told %q", got)
		}
		s, err := w.Campaign(t.Context(), w.super, camp.ID)
		w.must(err)
		if s.ClosedAt.IsZero() || s.ClosedBy != "" {
			t.Errorf("when all is done it is closed at %v by %q", s.ClosedAt, s.ClosedBy)
		}
		var report bytes.Buffer
		w.must(rotation.WriteCampaign(&report, rotation.Standing(s, w.now())))
		rows, err := csv.NewReader(&report).ReadAll()
		if err != nil || len(rows) != 3 || rows[1][0] != "forms" || rows[1][2] != "done" || rows[1][6] != "kim@example.org" || rows[2][1] != string(a) {
			t.Errorf("report = %q, %v", rows, err)
		}
		_ = young
	})
}

// TestCampaignChoice: what is matched, and why some of it can't be rotated.
func TestCampaignChoice(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		kim := w.member("kim@example.org", postern.RoleKeyManager)
		w.made(kim, "alpha-one")
		ended, turning, paused := w.made(kim, "alpha-ended"), w.made(kim, "alpha-turning"), w.made(kim, "alpha-paused")
		w.rotate(kim, turning, day)
		_, err := w.RevokeKey(ctx, w.super, ended, "")
		w.must(err)
		yes := true
		_, err = w.EditKey(ctx, w.super, paused, keyring.KeyEdit{Paused: &yes})
		w.must(err)
		w.made(w.super, "beta")
		look := func(ch keyring.CampaignChoice) string {
			t.Helper()
			list, err := w.ChooseCampaign(ctx, w.super, ch)
			w.must(err)
			var out []string
			for _, c := range list {
				text := c.Key.Name
				if c.Why != "" {
					text += " - " + c.Why
				}
				out = append(out, text)
			}
			return strings.Join(out, "; ")
		}
		const turns = "alpha-turning - It is being rotated already: both secrets work until 5 March at 05:06 UTC."
		for _, tt := range []struct {
			ch   keyring.CampaignChoice
			want string
		}{
			{keyring.CampaignChoice{MadeBy: kim.MemberID}, "alpha-paused; " + turns + "; alpha-one"},
			{keyring.CampaignChoice{Name: "BETA"}, "beta"},
			{keyring.CampaignChoice{MadeBy: kim.MemberID, Name: "beta"}, ""},
			{keyring.CampaignChoice{IDs: []postern.KeyID{ended}}, "alpha-ended - It has ended."},
			{keyring.CampaignChoice{Scope: "deals.read"}, ""},
			{keyring.CampaignChoice{All: true}, "beta; alpha-paused; " + turns + "; alpha-one"},
			{keyring.CampaignChoice{OlderThan: time.Hour}, ""},
		} {
			got := strings.Split(look(tt.ch), "; ")
			want := strings.Split(tt.want, "; ")
			if len(got) != len(want) {
				t.Errorf("%+v: %q, want %q", tt.ch, got, want)
				continue
			}
			for _, x := range want {
				if !strings.Contains(strings.Join(got, "; "), x) {
					t.Errorf("%+v: %q lacks %q", tt.ch, got, x)
				}
			}
		}
		for _, bad := range []keyring.NewCampaign{
			{Name: "x", Deadline: w.now().Add(day)},
			{Name: "x", Deadline: w.now(), Choice: keyring.CampaignChoice{All: true}},
			{Name: "x", Deadline: w.now().AddDate(2, 0, 0), Choice: keyring.CampaignChoice{All: true}},
			{Name: "", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{All: true}},
			{Name: "x", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{IDs: []postern.KeyID{ended}}},
			{Name: "x", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{Name: "nothing has this"}},
			{Name: "x", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{IDs: make([]postern.KeyID, 501)}},
		} {
			if c, err := w.StartCampaign(ctx, w.super, bad); err == nil {
				t.Errorf("%+v was started: %+v", bad, c)
			}
		}
		viewer := w.member("vi@example.org", postern.RoleViewer)
		in := keyring.NewCampaign{Name: "x", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{All: true}}
		if _, err := w.StartCampaign(ctx, viewer, in); !errors.Is(err, postern.CodeForbidden) {
			t.Errorf("a viewer starts one: %v", err)
		}
		camp, err := w.StartCampaign(ctx, w.super, in)
		w.must(err)
		if _, err := w.CloseCampaign(ctx, viewer, camp.ID, ""); !errors.Is(err, postern.CodeForbidden) {
			t.Errorf("a viewer closes one: %v", err)
		}
		other, inv, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Beta", AdminEmail: "bo@example.org", AdminName: "Bo"})
		w.must(err)
		bo := postern.Actor{AccountID: other.ID, MemberID: inv.Member.ID}
		if _, err := w.Campaign(ctx, bo, camp.ID); !errors.Is(err, postern.CodeNotFound) {
			t.Errorf("another account reads it: %v", err)
		}
		if _, err := w.CloseCampaign(ctx, bo, camp.ID, ""); !errors.Is(err, postern.CodeNotFound) {
			t.Errorf("another account closes it: %v", err)
		}
		if list, err := w.ChooseCampaign(ctx, bo, keyring.CampaignChoice{IDs: []postern.KeyID{paused}}); err != nil || len(list) != 0 {
			t.Errorf("another account chooses %+v, %v", list, err)
		}
	})
}

// TestCampaignAndTheKeyItself: a cancelled rotation waits again, and a key that ends is done with.
func TestCampaignAndTheKeyItself(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		a, b := w.made(w.super, "a-key"), w.made(w.super, "b-key")
		camp, err := w.StartCampaign(ctx, w.super, keyring.NewCampaign{Name: "x", Deadline: w.now().Add(30 * day), Choice: keyring.CampaignChoice{All: true}})
		w.must(err)
		w.rotate(w.super, a, day)
		w.wantStates("rotated", camp.ID, "b-key waiting; a-key rotating")
		_, err = w.CancelRotation(ctx, w.super, a, 0)
		w.must(err)
		w.wantStates("cancelled", camp.ID, "a-key waiting; b-key waiting")
		w.rotate(w.super, a, day)
		w.pass(2 * day)
		w.wantStates("its grace period is over", camp.ID, "b-key waiting; a-key done")
		w.rotate(w.super, a, day)
		w.wantStates("rotated once more", camp.ID, "b-key waiting; a-key done")
		_, err = w.DeleteKey(ctx, w.super, b, 0)
		w.must(err)
		w.wantStates("deleted", camp.ID, "a-key done; b-key ended")
	})
}

// TestCampaignWithoutItsMaker: where whoever made a key is gone, or could not be shown
// its secret, those who could be are asked.
func TestCampaignWithoutItsMaker(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		kim, vi := w.member("kim@example.org", postern.RoleKeyManager), w.member("vi@example.org", postern.RoleKeyManager)
		w.made(kim, "orphan")
		role := postern.RoleID(postern.RoleViewer)
		_, err := w.EditMember(ctx, w.super, kim.MemberID, keyring.MemberEdit{RoleID: &role})
		w.must(err)
		list, err := w.ChooseCampaign(ctx, w.super, keyring.CampaignChoice{All: true})
		if err != nil || len(list) != 1 || list[0].Maker || len(list[0].Keepers) != 2 {
			t.Fatalf("chosen = %+v, %v; want the other two who may rotate it", list, err)
		}
		_, err = w.StartCampaign(ctx, w.super, keyring.NewCampaign{Name: "x", Deadline: w.now().Add(2 * day), Choice: keyring.CampaignChoice{All: true}})
		w.must(err)
		step, told := w.campaigner()
		step()
		if a, b, c := told(w.super), told(vi), told(kim); len(a) != 1 || len(b) != 1 || c != nil || !strings.Contains(a[0], "rotate 1 key |") {
			t.Errorf("told: %q, %q; and who can't rotate it: %q", a, b, c)
		}
	})
}

// TestCampaignsAreBounded: a key is in one campaign under way, and there are so many of those.
func TestCampaignsAreBounded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		start := func(ids ...postern.KeyID) (store.Campaign, error) {
			return w.StartCampaign(ctx, w.super, keyring.NewCampaign{Name: "Spring", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{IDs: ids}})
		}
		var keys []postern.KeyID
		for i := range keyring.MaxOpenCampaigns + 1 {
			keys = append(keys, w.made(w.super, fmt.Sprintf("key %d", i)))
		}
		first, err := start(keys[0])
		w.must(err)
		list, err := w.ChooseCampaign(ctx, w.super, keyring.CampaignChoice{IDs: keys[:2]})
		w.must(err)
		for _, c := range list {
			want := ""
			if c.Key.ID == keys[0] {
				want = `The campaign "Spring", which is under way, has it already.`
			}
			if c.Why != want {
				t.Errorf("%s: %q, want %q", c.Key.ID, c.Why, want)
			}
		}
		if _, err := start(keys[0]); !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("a second campaign of the same key: %v", err)
		}
		for _, id := range keys[1:keyring.MaxOpenCampaigns] {
			_, err := start(id)
			w.must(err)
		}
		last := keys[keyring.MaxOpenCampaigns]
		if _, err := start(last); !errors.Is(err, postern.CodeConflict) {
			t.Errorf("a campaign too many: %v", err)
		}
		_, err = w.CloseCampaign(ctx, w.super, first.ID, "")
		w.must(err)
		_, err = start(last, keys[0])
		w.must(err)
		open, all, err := w.db.CountCampaigns(ctx, w.super.AccountID)
		if err != nil || open != keyring.MaxOpenCampaigns || all != keyring.MaxOpenCampaigns+1 {
			t.Errorf("%d under way of %d, %v", open, all, err)
		}
	})
}

// TestAlteredCampaignKeys: a row that was altered in the database doesn't count as done.
func TestAlteredCampaignKeys(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		step, _ := w.campaigner()
		a, b := w.made(w.super, "nightly"), w.made(w.super, "forms")
		camp, err := w.StartCampaign(ctx, w.super, keyring.NewCampaign{Name: "Spring", Deadline: w.now().Add(day), Choice: keyring.CampaignChoice{All: true}})
		w.must(err)
		w.rotate(w.super, b, 0)
		for _, by := range []struct{ query, states string }{
			{"update campaign_keys set generation = 0 where key_id = '" + string(a) + "'", "nightly waiting; forms done"},
			{"delete from campaign_keys where key_id = '" + string(a) + "'", "forms done"},
			{"delete from campaign_keys", ""},
		} {
			w.must(w.db.Pool.Write(ctx, func(tx *sql.Tx) error { _, err := tx.ExecContext(ctx, by.query); return err }))
			step()
			w.wantStates(by.query, camp.ID, by.states)
			s, err := w.Campaign(ctx, w.super, camp.ID)
			w.must(err)
			if !s.ClosedAt.IsZero() {
				t.Errorf("%s: the job closed it", by.query)
			}
			if c := rotation.Standing(s, w.now()); c.All() != 2 || c.Lost() != 2-len(c.Keys) || c.Left() == 0 {
				t.Errorf("%s: %d keys, %d of them lost and %d left", by.query, c.All(), c.Lost(), c.Left())
			}
		}
	})
}
