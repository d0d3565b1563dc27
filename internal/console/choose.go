package console

import "postern.dev/postern"

// chooseRoutes are the help for who doesn't know which credential they need.
func (c *Console) chooseRoutes() []route {
	return []route{{Pattern: "GET /choose", Serve: c.showChoose}}
}

// goal is something that people want to do, and what serves it.
type goal struct {
	ID, Icon, Name, Examples string
	Chosen                   bool
	Answer                   answerFor
}

// answerFor is a credential, with what it can do and what it can't.
type answerFor struct {
	Heading, Text string
	Good, Bad     []string
	Button, Link  string // to make one
	Need          string // says who may make one, where the reader may not
	Later         string // says that this isn't in this release, and what to do meanwhile
	Also, AlsoTo  string // a second best that is there today
}

type chooseView struct {
	Common
	Goals  []goal
	Chosen *goal
	Kinds  []string
	Rows   []chooseRow
}

type chooseRow struct {
	Name  string
	Cells []string
}

// goals are what people want to do; what isn't served here is said so.
func (c *Console) goals(v *visit) []goal {
	key := answerFor{Heading: "A service key", Text: "One password for one tool, with only the access you tick. You make it here in about a minute. No terminal, no code project.",
		Good: []string{"Reads and writes data through the API", "Stays when people leave, rotates without an outage"}, Bad: []string{"No webhooks, no screens, not for other companies"},
		Button: "Create a service key", Link: "/keys/new"}
	switch {
	case !c.known["GET /keys/new"]:
		key.Button, key.Link = "See the service keys", "/keys"
	case !v.can(postern.PermKeysWrite):
		key.Button, key.Link, key.Need = "", "", "Your role is "+v.member().Role.Name+". Making keys needs the permission Manage keys: ask an admin."
	}
	apps := func(a answerFor, meanwhile string, second bool) answerFor {
		a.Button, a.Link = "Create an app", "/apps"
		switch {
		case !c.known["GET /apps"]:
			a.Button, a.Link = "", ""
			a.Later = "This release of Postern does not have apps yet. " + meanwhile
			if second && key.Link != "" {
				a.Also, a.AlsoTo = key.Button, key.Link
			}
		case !v.can(postern.PermAppsWrite):
			a.Button, a.Link, a.Need = "", "", "Your role is "+v.member().Role.Name+". Making apps needs the permission Manage apps: ask an admin."
		}
		return a
	}
	react := apps(answerFor{Heading: "An app with webhooks", Text: "We call your address when something changes, sign every message, and try again if your side is down. An app also has its own token for reading data.",
		Good: []string{"Webhooks with a delivery log and replay", "A token of its own for API calls"}, Bad: []string{"You need an address on the internet that can receive calls"}},
		"Until it does, a service key can ask for what is new every few minutes.", true)
	share := apps(answerFor{Heading: "An app with OAuth", Text: "Each company approves the access you ask for and can take it back. You never see their password, and each gets its own token.",
		Good: []string{"Any number of accounts", "Each company sees what you can touch"}, Bad: []string{"Needs a developer to build the sign-in step"}},
		"Until it does, a company that wants to connect makes a service key in its own account and gives it to you by a way that only you can read.", false)
	screen := apps(answerFor{Heading: "An app", Text: "Screens and buttons belong to an app. A service key only moves data.", Good: []string{"Screens, cards and webhooks"}, Bad: []string{"Needs a developer"}},
		"Nothing else can add a screen.", false)
	own := answerFor{Heading: "A personal key", Text: "Tied to you and your access. It ends when you leave, and after 30 days unless you choose otherwise, so never put it in a job that others rely on.",
		Good: []string{"Works with the command line and the management API"}, Bad: []string{"Not for anything that runs without you", "Does not call connected APIs: use a service key with few scopes and an early end for that"}, Button: "Create a personal key", Link: "/me/keys/new"}
	old := answerFor{Heading: "Start in Migration", Text: "We watch what the old token really does, suggest a key or an app, and keep the old one alive until the new one has carried every call for 7 days.",
		Good: []string{"Only data: it becomes a service key", "Webhooks or screens: it becomes an app", "Not sure: we read its calls for 7 days and tell you"}, Button: "Open Migration", Link: "/migration"}
	if !c.known["GET /migration"] {
		old = key
		old.Heading = "A service key in its place"
		old.Text = "Make a service key with only what the old token is used for, put it into the tool, and switch the old token off once every call comes with the new key."
		old.Good = []string{"Only data: it becomes a service key", "You see each call of the new key, so you know when the tool has moved"}
		old.Bad = []string{"Webhooks or screens: keep the old token for now"}
		old.Later = "This release of Postern does not watch old tokens for you yet."
	}
	return []goal{
		{ID: "sync", Icon: "db", Name: "Move data on a schedule", Examples: "Warehouse, report, spreadsheet, nightly script", Answer: key},
		{ID: "react", Icon: "bolt", Name: "React the moment something changes", Examples: "Alerts, instant updates", Answer: react},
		{ID: "share", Icon: "users", Name: "Let other companies connect", Examples: "A product or add-on you publish", Answer: share},
		{ID: "screen", Icon: "app", Name: "Add a screen or button inside the product", Examples: "Cards, pages, panels", Answer: screen},
		{ID: "laptop", Icon: "code", Name: "Try things on my own computer", Examples: "While building or testing", Answer: own},
		{ID: "old", Icon: "archive", Name: "Replace an old token", Examples: "Private app, account-wide API key", Answer: old},
	}
}

func (c *Console) showChoose(v *visit) error {
	view := &chooseView{Common: v.common("Help me choose", "/choose"), Goals: c.goals(v)}
	want := v.query("goal")
	for i := range view.Goals {
		if g := &view.Goals[i]; g.ID == want {
			g.Chosen, view.Chosen = true, g
		}
	}
	if want != "" && view.Chosen == nil {
		return errNoPage
	}
	app, migration := "Not in this release", "Put a service key in its place"
	if c.known["GET /apps"] {
		app = "Yes"
	}
	if c.known["GET /migration"] {
		migration = "Move it first"
	}
	view.Kinds = []string{"Service key", "App token", "App with OAuth", "Personal key", "Old tokens"}
	view.Rows = []chooseRow{
		{"Belongs to", []string{"The account", "The app", "Each company that installs it", "You", "Whoever made it"}},
		{"Reads and writes data", []string{"Yes", "Yes", "Yes", "Only Postern’s own: keys, members, activity", "Yes, often everything"}},
		{"Webhooks", []string{"No", "Yes", "Yes", "No", "Some"}},
		{"Made in this console", []string{"Yes", app, app, "Yes", "No longer"}},
		{"Ends by itself", []string{"When you choose", "When you choose", "1 hour, renews itself", "After 7 days to 1 year, as you choose", "Often never"}},
		{"Changing it safely", []string{"Both secrets work for 7 days", "Both secrets work for 7 days", "Automatic", "Make a new one", migration}},
	}
	return v.render("choose", view)
}
