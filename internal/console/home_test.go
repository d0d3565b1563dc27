package console

import (
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func homeViews(c func() Common) map[string][]view {
	step := homeStep{Name: polyglot, Text: polyglot, Now: true, Does: action{polyglot, "/keys", "plus", true}, Other: action{polyglot, "/choose", "", false}, Wait: true}
	return map[string][]view{
		"home": {&homeView{}, &homeView{Common: c(), Steps: []homeStep{{Name: "One", Done: true}, step, {Name: polyglot}}, Left: 2},
			&homeView{Common: c(), Keys: true, Log: true, Deciding: 9, Decisions: []decision{{true, "alert", polyglot, "is refused", "Look", "/keys"}}, AllKeys: "/keys", Checked: t0,
				Calls:   &callsChart{Chart: chart{Label: polyglot, Bars: []bar{{polyglot, []int64{1}}}}, Totals: activity.Totals{Refused: 3}, Points: []chartPoint{{t0, polyglot, 1, 2}}},
				Changes: []auditRow{{Who: polyglot, Words: polyglot, Target: polyglot, Link: "/audit/1"}}}},
	}
}

// TestFirstSteps: home leads through three steps until the first key made its first
// call, and then shows what there is to know.
func TestDocsLink(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/").want(200, `<a href="/docs/">`, "Documentation")
		w.console.cfg.Docs = ""
		b.get("/").want(200).not("Documentation")
	})
}

func TestFirstSteps(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/").want(200, "Set up in 3 steps", "Done: Connect an API", "Step 2: Create your first key", "2 steps to go").not("Calls in 7 days", "Waiting for the first call")
		b.get("/steps").want(200, `{"done":1}`)
		keys := w.fixture()
		if w.now().Before(keys["brand-new"].CreatedAt) {
			t.Fatal("the clock")
		}
		b.get("/").want(200, "Latest changes", "Maya Okafor", "Calls in 7 days", "3 keys need a decision").not("Set up in 3 steps")
		b.get("/steps").want(200, `{"done":4}`)
		nia := w.member("nia@example.com", "Nia Park", postern.RoleViewer)
		w.login(nia).get("/").want(200, "Calls in 7 days").not("Latest changes", "Create key")
	})
}

// TestFirstStepsCanBeHidden: whoever puts them away sees the blocks instead.
func TestFirstStepsCanBeHidden(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/").want(200, "Hide these steps")
		b.post("/steps/hide").to("/")
		b.get("/").want(200, "Nothing needs a decision", "Latest changes").not("Set up in 3 steps")
		w.later(time.Hour)
		w.login().get("/").want(200, "Set up in 3 steps")
	})
}
