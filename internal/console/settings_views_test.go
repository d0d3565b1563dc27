package console

import (
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// settingsViews are the pages of members, roles, settings, catalogs and the help
// for choosing, with full data and with none.
func settingsViews(c func() Common) map[string][]view {
	f := func() *form {
		f := newForm("name", polyglot, "email", polyglot, "role", polyglot, "holds", "own", "patterns", polyglot, "url", polyglot, "timeZone", polyglot)
		f.Wrong("name", "%s", polyglot)
		f.Wrong("role", "%s", polyglot)
		f.Wrong("permissions", "%s", polyglot)
		f.Wrong("", "%s", polyglot)
		return f
	}
	grants := grantsPart{Chosen: []grantBox{{Name: polyglot, Words: polyglot, Sensitive: true, Ticked: true}}, Groups: []grantGroup{{polyglot, []grantBox{{Name: polyglot, Words: polyglot, Locked: true}}}}, Patterns: polyglot, Error: polyglot}
	rights := &rights{F: f(), Own: true, Grants: grants, Roles: []roleChoice{{ID: polyglot, Name: polyglot, Words: polyglot, Holds: polyglot, Chosen: true}, {ID: "x", Name: polyglot, Lacks: polyglot}}}
	m := postern.Member{ID: "mem_1", Name: polyglot, Email: polyglot, Role: postern.Role{ID: "rol_1", Name: polyglot}, CreatedAt: t0, Altered: true}
	row := memberRow{M: m, Name: polyglot, Holds: polyglot, Own: true, Last: t0, Factor: pill{"warn", polyglot}, Pending: true, Invited: true, Until: t0, Ways: store.MemberWays{Keys: 3, Flagged: 1, PersonalKeys: 1}}
	member := func() *memberView {
		return &memberView{Common: c(), memberRow: row, F: f(), Rights: rights, Conflict: true, May: true, Why: "", HoldsAll: []string{polyglot, "b", "c", "d"}, More: 2,
			Keys: []madeKey{{ID: "0123456789abcdef", Name: polyglot, Made: t0, Flagged: polyglot, LastFour: "aB3x"}, {ID: "x", Name: "y", Made: t0}}}
	}
	may := member()
	may.Pending, may.Invited, may.LastOne, may.Why, may.May = false, false, true, polyglot, false
	account := postern.Account{ID: "acc_1", Name: polyglot, Number: 7, TimeZone: polyglot, SuspendedAt: t0, DailyLimit: 9, CreatedAt: t0}
	cover := &coverage{Title: polyglot, Version: polyglot, Operations: 10, Open: 4, Public: 1, Uncovered: 3, Denied: 2, Scopes: 5, Sensitive: 1, Documents: []string{polyglot, "b"}}
	diff := &catalogDiff{New: 1, Gone: 1, Changed: 1, Lines: []diffLine{{"ok", "New", polyglot, polyglot, polyglot, polyglot, false}, {"bad", "Gone", "GET", "/x", "", "a", true}}, More: 3, NewScopes: []string{polyglot, "b"}, GoneScopes: []string{polyglot}, MoreScopes: 1}
	perm := permLine{Name: polyglot, Words: polyglot, Says: polyglot, Has: []bool{true, false}, Ticked: true}
	up := postern.Upstream{ID: "crm", Name: polyglot, URL: polyglot, Host: polyglot, Prefix: polyglot, CatalogVersion: 2}
	answer := answerFor{Heading: polyglot, Text: polyglot, Good: []string{polyglot}, Bad: []string{polyglot}, Later: polyglot, Need: polyglot, Also: polyglot, AlsoTo: "/keys"}
	choice := goal{ID: "sync", Icon: "db", Name: polyglot, Examples: polyglot, Chosen: true, Answer: answer}
	return map[string][]view{
		"members":         {&membersView{}, &membersView{Common: c(), Tabs: peopleTabs("/settings/members"), Q: polyglot, Rows: []memberRow{row, {Name: "B", Here: true}}, NoSecond: 2, Pager: pager{"2 members", "/a", "/b"}}},
		"members-invite":  {&inviteView{F: newForm()}, &inviteView{Common: c(), F: f(), Rights: rights}},
		"members-invited": {&invitedView{}, &invitedView{Common: c(), Name: polyglot, Email: polyglot, Role: polyglot, Link: polyglot, Mail: polyglot, Until: t0, Back: "/settings/members"}},
		"members-one":     {&memberView{F: newForm()}, member(), may},
		"members-remove":  {&memberView{F: newForm()}, member(), may},
		"roles":           {&rolesView{}, &rolesView{Common: c(), Tabs: peopleTabs("/settings/roles"), Perms: []permLine{perm}, Roles: []roleRow{{Role: postern.Role{ID: "r", Name: polyglot, Words: polyglot, Altered: true}, Holds: polyglot, Members: 2, Own: true, May: true}, {Role: postern.Role{Name: "B"}, Why: polyglot}}}},
		"roles-one":       {&roleView{F: newForm()}, &roleView{Common: c(), F: f(), ID: "rol_1", Name: polyglot, Conflict: true, Members: 2, Perms: []permLine{perm, {Locked: true}}, Grants: grants}},
		"roles-delete":    {&roleView{}, &roleView{Common: c(), ID: "rol_1", Name: polyglot, Members: 3}},
		"settings-integrations": {&integrationsView{}, &integrationsView{Common: c(), Keys: 3, SeesKeys: true, Operator: true, APIs: []apiRow{{U: up, Name: polyglot, Base: polyglot, Cover: cover,
			Scopes: []grantBox{{Name: polyglot, Words: polyglot, Sensitive: true}}}, {U: up, Name: "B", NoCalls: true}}}},
		"settings-account": {&accountView{F: newForm()}, &accountView{Common: c(), F: f(), A: account, Brand: "pst", May: true, Operator: true, Accounts: true, Suspended: t0, Now: "09:00"}},
		"accounts":         {&accountsView{}, &accountsView{Common: c(), Rows: []postern.Account{account, {ID: "b", Name: "B", Operator: true, Altered: true}}}},
		"nodes": {&nodesView{}, &nodesView{Common: c(), Lease: true, Rows: []nodeRow{{ID: "a", Name: polyglot, Version: polyglot, Address: polyglot, State: pill{"bad", "Gone"}, Leads: true, Here: true, Lag: 12, Confirmed: 3,
			Started: t0, Until: t0, Clock: "3s ahead", ClockWrong: true}, {ID: "b", Name: "b", State: pill{"ok", "Decides"}, Clock: "Right"}}}},
		"accounts-new": {&newAccountView{F: newForm()}, &newAccountView{Common: c(), F: f()}},
		"accounts-one": {&accountView{F: newForm()}, &accountView{Common: c(), F: f(), A: account, Suspended: t0.Add(-time.Hour)}},
		"catalog":      {&catalogsView{}, &catalogsView{Common: c(), Operator: true, Rows: []catalogRow{{ID: "crm", Name: polyglot, Version: 2, Cover: cover}, {ID: "b", Name: "B"}}}},
		"catalog-one": {&catalogView{}, &catalogView{Common: c(), ID: "crm", Name: polyglot, Force: 2, Version: 1, Cover: cover, Missing: []opLine{{"GET", polyglot, polyglot}}, More: 3, Diff: diff, Before: 1, Operator: true,
			Versions: []versionRow{{Version: 2, Title: polyglot, At: t0, By: polyglot, Force: true, Current: true, Link: "/settings/catalog/crm?version=2"}}}},
		"catalog-load": {&loadView{F: newForm()}, &loadView{Common: c(), F: f(), ID: "crm", Name: polyglot, Rules: []option{{Value: "", Label: "All"}}}},
		"catalog-check": {&loadCheckView{}, &loadCheckView{Common: c(), ID: "crm", Name: polyglot, Report: &catalog.Report{}, Cover: cover, Diff: diff, Sealed: "x", Next: 3, KeysMore: 2,
			Findings: []findingsPart{{"bad", polyglot, []string{polyglot}, 3}}, Keys: []touchedRow{{ID: "0123456789abcdef", Name: polyglot, Account: polyglot, Gains: 1, Loses: 2}, {ID: "x", Name: polyglot}}}},
		"upstreams":        {&upstreamsView{}, &upstreamsView{Common: c(), Rows: []postern.Upstream{up, {ID: "b"}}}},
		"upstreams-one":    {&upstreamView{F: newForm()}, &upstreamView{Common: c(), F: f(), Conflict: &savedElsewhere{keyConflict{Who: polyglot, At: t0}, "/audit"}, ID: "crm", Name: polyglot, Built: true, Version: 2, Errors: []option{{Value: "problem", Label: "Plain"}}, Options: []upstreamOption{{Name: "x", Words: polyglot, Says: polyglot, Ticked: true}}}},
		"upstreams-remove": {&upstreamView{}, &upstreamView{Common: c(), ID: "crm", Name: polyglot, Keys: 2}},
		"choose":           {&chooseView{}, &chooseView{Common: c(), Goals: []goal{choice}, Chosen: &choice, Kinds: []string{polyglot}, Rows: []chooseRow{{polyglot, []string{polyglot}}}}, &chooseView{Common: c(), Goals: []goal{choice}}},
	}
}
