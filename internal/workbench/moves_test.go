package workbench

import (
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/activity"
)

func TestProgramsWithoutVersions(t *testing.T) {
	for agent, want := range map[string]string{
		"": "", "Acme-Sync/1.4.2": "acme-sync", "acme-sync/2.0 (linux; x86)": "acme-sync (linux; x86)",
		"python-requests/2.31.0": "python-requests", "Mozilla/5.0 (X11) App/12.1": "mozilla (x11) app",
		"nightly export": "nightly export", "team/sync": "team/sync", "  odd   spaces/3 ": "odd spaces",
	} {
		if got := program(agent); got != want {
			t.Errorf("program(%q) = %q, want %q", agent, got, want)
		}
	}
}

// TestTwoToolsAtOneAddress: that one moved says nothing of the other.
func TestTwoToolsAtOneAddress(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const ip = "203.0.113.7"
	used := func(agent string, first, last time.Duration) activity.Caller {
		return activity.Caller{IP: ip, UserAgent: agent, FirstAt: ago(first), LastAt: ago(last), Calls: 5}
	}
	crowd := func(last time.Duration) activity.Caller {
		return activity.Caller{FirstAt: ago(20 * aDay), LastAt: ago(last), Calls: 5}
	}
	for _, tt := range []struct {
		name       string
		old, fresh []activity.Caller
		want       string
	}{
		{"one of two moved, the other called this morning",
			[]activity.Caller{used("sync/1", 20*aDay, 3*aDay), used("export/1", 20*aDay, time.Hour)},
			[]activity.Caller{used("sync/2", 3*aDay, 0)}, "export/1 old, sync/2 moved"},
		{"one of two moved, the other has been silent since before",
			[]activity.Caller{used("sync/1", 20*aDay, 3*aDay), used("export/1", 20*aDay, 4*aDay)},
			[]activity.Caller{used("sync/1", 3*aDay, 0)}, "export/1 old, sync/1 moved"},
		{"and for as long as the gate asks",
			[]activity.Caller{used("sync/1", 20*aDay, 9*aDay), used("export/1", 20*aDay, 10*aDay)},
			[]activity.Caller{used("sync/1", 9*aDay, 0)}, "export/1 quiet, sync/1 moved"},
		{"the tool that began is one that nobody knew",
			[]activity.Caller{used("sync/1", 20*aDay, 3*aDay), used("export/1", 20*aDay, time.Hour)},
			[]activity.Caller{used("rewritten/1", 2*aDay, 0)}, "export/1 old, sync/1 unsure, rewritten/1 moved"},
		{"two tools of one name: one moved, one calls on",
			[]activity.Caller{used("curl/8.4", 20*aDay, time.Hour)}, []activity.Caller{used("curl/8.5", 3*aDay, 2*time.Hour)}, "curl/8.4 both"},
		{"two tools of one name: the other is rare",
			[]activity.Caller{used("curl/8.4", 20*aDay, 2*aDay)}, []activity.Caller{used("curl/8.5", 4*aDay, 0)}, "curl/8.5 unsure"},
		{"and silent for as long as the gate asks",
			[]activity.Caller{used("curl/8.4", 20*aDay, 8*aDay)}, []activity.Caller{used("curl/8.5", 10*aDay, 0)}, "curl/8.5 moved"},
		{"its processes restarted one after the other",
			[]activity.Caller{used("sync/1", 20*aDay, 2*aDay)}, []activity.Caller{used("sync/1", 2*aDay+20*time.Minute, 0)}, "sync/1 moved"},
		{"what is refused with the new one has not moved",
			[]activity.Caller{used("sync/1", 20*aDay, 2*aDay)}, []activity.Caller{{IP: ip, UserAgent: "sync/1", FirstAt: ago(aDay), LastAt: now, Calls: 3, Refused: 3}}, "sync/1 old"},
		{"callers that nobody tells apart", []activity.Caller{crowd(2 * aDay)}, []activity.Caller{crowd(0)}, " old"},
		{"and that are silent", []activity.Caller{crowd(8 * aDay)}, []activity.Caller{crowd(0)}, " quiet"},
	} {
		var got []string
		for _, m := range moves(tt.old, tt.fresh, 7*aDay, now) {
			got = append(got, m.UserAgent+" "+string(m.State))
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

func TestGateSaysWhatIsNotCertain(t *testing.T) {
	met, words := callersWords([]Move{{State: Moved}, {State: Unsure}, {State: Quiet}})
	if !met || !strings.Contains(words, "1 caller went quiet and was not seen") || !strings.Contains(words, "1 caller may have moved") || strings.Contains(words, "Every") {
		t.Errorf("callersWords = %v, %q", met, words)
	}
	if met, words := callersWords([]Move{{State: Unsure}, {State: OnOld}}); met || words != "1 caller still uses the old token." {
		t.Errorf("callersWords = %v, %q", met, words)
	}
	if met, words := callersWords([]Move{{State: Moved}}); !met || words != "Every caller has moved." {
		t.Errorf("callersWords = %v, %q", met, words)
	}
}
