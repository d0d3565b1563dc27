package workbench_test

import (
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

var planned = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func days(n int) time.Time { return planned.AddDate(0, 0, -n) }

// moved is an item on which all is done but for the end: quiet for so many days.
func movedFacts(quiet int) *workbench.Facts {
	return &workbench.Facts{Now: planned, SeenDays: 60,
		Item:   store.MigrationItem{ID: "mig_1", Key: "old", Name: "web-forms", Path: "service_key", ScopesAt: days(30), Scopes: []postern.Scope{"a"}, NewKey: "new", SignedAt: days(1)},
		Legacy: &postern.LegacyCredential{ID: "old", Name: "web-forms", CreatedAt: days(60)}, New: &postern.ServiceKey{ID: "new", Name: "n"},
		NewFirst: days(20), NewLast: days(0), Seen: workbench.Item{Calls: 500, First: days(60), Last: days(quiet)},
		Moves: []workbench.Move{{IP: "203.0.113.7", UserAgent: "a/1", State: workbench.Moved}}}
}

func TestGateWaitsForEachCondition(t *testing.T) {
	if g := workbench.Stand(movedFacts(7)).Gate; !g.Open {
		t.Fatalf("a gate of which all holds is shut: %+v", g.Conditions)
	}
	for _, tt := range []struct {
		waits  string
		change func(f *workbench.Facts)
	}{
		{"quiet", func(f *workbench.Facts) { f.Seen.Last = days(6) }},
		{"quiet", func(f *workbench.Facts) { f.Legacy.CreatedAt = days(3) }}, // before that nobody watched
		{"quiet", func(f *workbench.Facts) {
			f.Seen.Rhythm.Kind, f.Moves[0].State = "monthly", workbench.Quiet // silence says nothing yet
		}},
		{"callers", func(f *workbench.Facts) { f.Moves[0].State = workbench.OnOld }},
		{"callers", func(f *workbench.Facts) { f.Moves[0].State = workbench.OnBoth }},
		{"replacement", func(f *workbench.Facts) { f.NewFirst = time.Time{} }},
		{"path", func(f *workbench.Facts) { f.Item.Path, f.Item.NewKey = "", "" }},
		{"imported", func(f *workbench.Facts) { f.Legacy = nil }},
		{"sign_off", func(f *workbench.Facts) { f.Item.SignedAt = time.Time{} }},
	} {
		f := movedFacts(7)
		tt.change(f)
		v := workbench.Stand(f)
		var waits []string
		for _, c := range v.Gate.Conditions {
			if !c.Met {
				waits = append(waits, c.ID)
			}
		}
		if v.Gate.Open || len(waits) != 1 || waits[0] != tt.waits {
			t.Errorf("the gate waits for %v, want %s", waits, tt.waits)
		}
		if v.Next == "Switch it off." || v.Next == "" {
			t.Errorf("waiting for %s, next = %q", tt.waits, v.Next)
		}
	}
	f := movedFacts(7)
	f.Seen.Rhythm.Kind = "monthly"
	if g := workbench.Stand(f).Gate; !g.Open {
		t.Errorf("a monthly job whose callers all moved waits for %d days", g.Days)
	}
}

func TestStagesFollowFromFacts(t *testing.T) {
	for _, tt := range []struct {
		want   workbench.Stage
		done   int
		change func(f *workbench.Facts)
	}{
		{workbench.Found, 1, func(f *workbench.Facts) { f.Item = store.MigrationItem{Key: "old"}; f.NewFirst = time.Time{} }},
		{workbench.PathChosen, 2, func(f *workbench.Facts) {
			f.Item.NewKey, f.Item.ScopesAt, f.NewFirst, f.New, f.Seen.Last = "", time.Time{}, time.Time{}, nil, days(1)
		}},
		{workbench.ScopesMapped, 3, func(f *workbench.Facts) { f.NewFirst, f.Seen.Last = time.Time{}, days(1) }},
		{workbench.BothRunning, 4, func(f *workbench.Facts) { f.Seen.Last = days(2) }},
		{workbench.BothRunning, 5, func(*workbench.Facts) {}},
		{workbench.SwitchedOff, 5, func(f *workbench.Facts) { f.Item.ArchivedAt, f.Item.UndoUntil = days(1), days(-2) }},
		{workbench.SwitchedOff, 6, func(f *workbench.Facts) { f.Item.ArchivedAt, f.Item.EndedAt = days(4), days(1) }},
	} {
		f := movedFacts(7)
		tt.change(f)
		v := workbench.Stand(f)
		done := 0
		for _, c := range v.Checks {
			if c.State == "done" {
				done++
			}
		}
		if v.Stage != tt.want || done != tt.done || len(v.Checks) != 6 {
			t.Errorf("stage %s with %d of %d done, want %s with %d of 6: %+v", v.Stage, done, len(v.Checks), tt.want, tt.done, v.Checks)
		}
		if v.Next == "" {
			t.Errorf("%s has nothing to do next", v.Stage)
		}
	}
}

func TestRampGrowsFromDayToDay(t *testing.T) {
	list := workbench.Ramp(planned, 7)
	var was time.Duration
	for i, w := range list {
		d := w.Until.Sub(w.From)
		if d < was || !w.From.Equal(planned.AddDate(0, 0, i)) {
			t.Errorf("day %d: %v from %v", i+1, d, w.From)
		}
		was = d
	}
	if len(list) != 7 || was != 4*time.Hour {
		t.Errorf("Ramp = %d brownouts, the last of %v", len(list), was)
	}
}
