package console

import (
	"net/netip"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
)

// keyPageViews are the pages of one key, with full data and with none.
func keyPageViews(c func() Common) map[string][]view {
	k := postern.ServiceKey{ID: "0123456789abcdef", Name: strings.Repeat("W", 64) + polyglot, Description: polyglot, Current: postern.SecretInfo{Generation: 2, LastFour: "9f3K", MadeAt: t0.Add(-time.Hour)},
		Previous: postern.SecretInfo{Generation: 1, LastFour: "Wq2v", EndsAt: t0.Add(time.Hour)}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ExpiresAt: t0.Add(time.Hour), RevokedWhy: polyglot, FlaggedWhy: polyglot, Scopes: []postern.Scope{"deals.read"}}
	use := activity.Use{Key: k.ID, FirstAt: t0, LastAt: t0, IP: polyglot, UserAgent: polyglot, Calls: 12}
	bad := func(field string) *form {
		return &form{Values: map[string][]string{field: {polyglot}, "name": {polyglot}, "description": {polyglot}}, Errors: []fieldError{{field, polyglot}, {"", polyglot}}}
	}
	head := func(f *form) keyHead {
		return keyHead{Common: c(), K: k, State: keyState{Kind: "bad", Words: "Failing", Detail: polyglot}, Team: polyglot, F: f, Revision: 3, Live: true, Rotating: true, Use: use, Week: 1234567, InUse: true, Typed: polyglot,
			Conflict: &keyConflict{Who: polyglot, At: t0, Did: polyglot}}
	}
	none := func() keyHead { return keyHead{F: newForm()} }
	row := scopeRow{Name: postern.Scope(polyglot), Words: polyglot, Group: polyglot, Write: true, Sensitive: true, Opens: []string{polyglot}, Kind: "warn", State: "Idle 40 days", Last: t0, Granted: t0,
		Use: activity.ScopeUse{Scope: polyglot, LastAt: t0, IP: polyglot, UserAgent: polyglot, Operation: polyglot, Calls: 3}}
	card := &accessCard{Rows: []scopeRow{row, {Name: "x", Gone: true, Granted: t0}}, Unused: []scopeRow{row}, Lacked: []scopeRow{row}, Watched: 90, Soon: true, Score: 75, Advice: 2}
	callers := []callerRow{{Tool: polyglot, Agent: polyglot, IP: polyglot, Calls: 12345, Refused: 1, First: t0, Last: t0, New: true}, {Calls: 1}}
	call := keyCall{At: t0, Clock: "09:00:00", Method: polyglot, Path: polyglot, Status: 403, Why: polyglot, Scope: polyglot, Took: "12 ms", IP: polyglot, Client: polyglot}
	full := func(at string) *keyView {
		h := head(newForm("name", polyglot))
		h.Dialogs = true
		return &keyView{keyHead: h, At: at, Tabs: tabs{"This key", []tab{{"Overview", "/keys/x", "3", true}}}, Age: "3 days old", AgeWarn: true, InDays: "in 3 days", From: "2 ranges", FromMore: polyglot, Rate: "3 calls in 1 second", Starts: true,
			Calls:  &callsCard{Periods: []tab{{"30 days", "/keys/x", "", true}}, Name: "30 days", Each: "Day", Any: true, Stats: []stat{{"1", polyglot, true}}, Chart: chart{Label: polyglot, Names: []string{polyglot}, Kinds: []string{"b1"}, Bars: []bar{{polyglot, []int64{3}}}}},
			Latest: []keyCall{call}, Callers: callers, More: 3, History: []historyRow{{At: t0, Words: polyglot, Who: polyglot, Detail: polyglot, Refused: true}}, Older: "/keys/x", Access: card,
			Most: []rankRow{{polyglot, polyglot, 3, 100}}, Undo: &undoNote{[]string{polyglot}, t0, polyglot, false}, Secrets: []secretRow{{Gen: 1, Last4: "abcd", Name: polyglot, Kind: "ok", State: polyglot, MadeAt: t0, Age: "3 days", By: polyglot, Use: use}, {}}, Refused: true, Would: true}
	}
	replay := &replayPart{Replay: &advice.Replay{Looked: 12, Fails: 3, Already: 1, Unjudged: 1, Others: 1}, Days: 7, More: 1,
		Rows: []replayRow{{3, polyglot, polyglot, polyglot, polyglot, t0}}}
	watched := &watchPageView{keyHead: head(newForm()), Removed: []string{polyglot}, Added: []string{polyglot}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, By: polyglot, Replay: replay}
	watched.K.Watch = &postern.Watch{Since: t0}
	places := []place{{Tool: polyglot, Agent: polyglot, IP: polyglot, Calls: 99, First: t0.Add(-72 * time.Hour), Last: t0, OldLast: t0, NewFirst: t0, NewLast: t0, Every: time.Hour, New: true, Kind: "warn", State: polyglot}, {}}
	empty := &keyView{keyHead: none(), Calls: &callsCard{}, Access: &accessCard{}}
	stop := func(act string, f *form) *stopView { return &stopView{head(f), act} }
	ask := func(act string) *rotationView {
		return &rotationView{keyHead: head(bad("more")), Act: act, Users: places, Others: 1, Moved: places, Until: t0, Longest: 7}
	}
	return map[string][]view{
		"key":          {&keyView{keyHead: none()}, empty, full(""), full("activity"), full("scopes"), full("secrets"), full("connect"), full("history")},
		"key_whatif":   {&whatIfView{keyHead: none()}, &whatIfView{head(newForm()), "scopes", []nameValue{{"scope", polyglot}}, replay, true}},
		"key_watch":    {&watchPageView{keyHead: none()}, watched},
		"key_rename":   {&renameView{none()}, &renameView{head(bad("name"))}},
		"key_unused":   {&unusedView{keyHead: none()}, &unusedView{head(newForm()), card}, &unusedView{head(newForm()), &accessCard{Wait: true}}},
		"key_stop":     {&stopView{none(), "pause"}, stop("pause", newForm()), stop("resume", newForm()), stop("end", bad("endtyped")), stop("delete", bad("typed"))},
		"key_limits":   {&limitsView{keyHead: none()}, &limitsView{head(bad("networks")), polyglot, callers}},
		"key_scopes":   {&scopesView{keyHead: none()}, &scopesView{head(bad("")), []scopeGroup{{polyglot, []scopeChoice{{row, true, true, true}, {row, false, false, true}, {row, true, false, false}}}}, 1, true}},
		"key_callers":  {&addressesView{keyHead: none()}, &addressesView{head(newForm()), callers, 1}},
		"key_receipt":  {&receiptView{keyHead: none()}, &receiptView{keyHead: head(newForm()), R: receiptWords{Known: true, Confirmed: []string{polyglot}, Awaited: []awaitedRow{{polyglot, t0}}, By: t0}, Heading: polyglot, Reason: polyglot}},
		"rotate":       {&rotateView{keyHead: none()}, &rotateView{keyHead: head(bad("days")), Exposed: true, Ends: t0, Places: places, Hour: 3, Other: true}, &rotateView{keyHead: head(newForm()), Missing: []string{polyglot}}},
		"rotate_made":  {&madeView{keyHead: none()}, &madeView{keyHead: head(newForm()), Secret: "pst_sk_x", MadeAt: t0, Ends: t0, Exposed: true, Places: places, Rows: callers, News: 1, Audit: "/keys/x"}, &madeView{keyHead: head(newForm()), Again: true, MadeAt: t0}},
		"rotate_watch": {&watchView{keyHead: none()}, &watchView{keyHead: head(newForm()), Busy: true, Heading: polyglot, Tone: "ok", Ends: t0, EndsLong: polyglot, New: half{"abcd", 3, t0, true}, Places: places, Left: 1, Quiet: true, Longer: true, Calls: []keyCall{call}, Can: true, Activity: true}},
		"rotate_ask":   {&rotationView{keyHead: none()}, ask("longer"), ask("finish"), ask("cancel")},
	}
}
