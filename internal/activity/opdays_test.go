package activity_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func TestOperationDays(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		other := &postern.Operation{Upstream: "crm", Name: "listContacts"}
		day := t0.Truncate(24 * time.Hour)
		for _, c := range []struct {
			at     time.Time
			change []func(*postern.Event)
		}{
			{day.Add(time.Hour), nil},
			{day.Add(90 * time.Minute), nil},
			{day.Add(-2 * time.Hour), nil},
			{day.Add(-40 * 24 * time.Hour), nil},
			{day.Add(-100 * 24 * time.Hour), nil}, // before the time that is asked for
			{day.Add(time.Hour), []func(*postern.Event){func(e *postern.Event) { e.Decision.Operation = other }}},
			{day.Add(2 * time.Hour), []func(*postern.Event){refused(postern.ReasonInsufficientScope)}}, // no use
			{day.Add(time.Hour), []func(*postern.Event){by(keyB, 1)}},
			{day.Add(time.Hour), []func(*postern.Event){of(ajax)}},
			{day.Add(time.Hour), []func(*postern.Event){func(e *postern.Event) { e.Decision.Operation = nil }}},
		} {
			l.Record(call(c.at, c.change...))
		}
		flush(t, l)
		got, err := l.OperationDays(context.Background(), acme, keyA, t0.Add(-90*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		want := []activity.OperationDay{
			{Upstream: "crm", Operation: "listContacts", Day: day, Last: day.Add(time.Hour), Calls: 1},
			{Upstream: "crm", Operation: "listDeals", Day: day, Last: day.Add(time.Hour), Calls: 2},
			{Upstream: "crm", Operation: "listDeals", Day: day.Add(-24 * time.Hour), Last: day.Add(-2 * time.Hour), Calls: 1},
			{Upstream: "crm", Operation: "listDeals", Day: day.Add(-40 * 24 * time.Hour), Last: day.Add(-40 * 24 * time.Hour), Calls: 1},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("days (-want +got):\n%s", d)
		}
		if _, err := l.OperationDays(context.Background(), "", keyA, t0); err == nil {
			t.Error("days of no account were given")
		}
	})
}
