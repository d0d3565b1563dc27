package console

import (
	"context"
	"testing"
	"time"

	"postern.dev/postern/internal/keyring"
)

// An end is named by its last day, in the reader's zone, wherever it is said.
func TestLastDay(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		end  time.Time
		zone *time.Location
		want string
	}{
		{time.Date(2027, 11, 23, 0, 0, 0, 0, time.UTC), time.UTC, "2027-11-22"},
		{time.Date(2027, 11, 23, 0, 0, 0, 0, berlin), berlin, "2027-11-22"},
		{time.Date(2027, 11, 23, 0, 0, 0, 0, berlin), time.UTC, "2027-11-22"},
		{time.Date(2027, 11, 23, 0, 0, 0, 0, time.UTC), berlin, "2027-11-23"},
		{time.Date(2027, 11, 23, 14, 30, 0, 0, time.UTC), time.UTC, "2027-11-23"},
		{time.Time{}, time.UTC, ""},
	} {
		if got := lastDay(c.end, c.zone); got != c.want {
			t.Errorf("%v in %v: %q, want %q", c.end, c.zone, got, c.want)
		}
	}
}

func TestEndIsSaidAlike(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, now := w.login(), w.now()
		end := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC).AddDate(0, 3, 1)
		k := w.newKey("ends-then", "deals.read").Key.ID
		must(w.kr.EditKey(context.Background(), w.super, k, keyring.KeyEdit{ExpiresAt: &end}))(t)
		day := end.AddDate(0, 0, -1)
		b.get("/keys/"+string(k)).want(200, ">"+day.Format("2 Jan 2006")+"<")
		b.get("/keys/"+string(k)+"/limits").want(200, `value="`+day.Format(time.DateOnly)+`"`)
		b.get("/keys/" + string(k)).not(">" + end.Format("2 Jan 2006") + "<")
	})
}

func TestToCome(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		7*day - time.Minute:           "in 7 days",
		7*day - 13*time.Hour:          "in 6 days",
		3*time.Hour - time.Minute:     "in 3 h",
		30*time.Minute - time.Second:  "in 30 min",
		20*time.Second + 1:            "in 20 seconds",
		-7*day + time.Minute:          "6 days ago",
		-3*time.Hour + 20*time.Minute: "2 h ago",
	} {
		if got := ago(now.Add(d), now, time.UTC); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{7*day - time.Minute: "in 7 days", 20*time.Hour - time.Second: "in 20 h", time.Second: "in 1 min"} {
		if got := inWords(now.Add(d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
