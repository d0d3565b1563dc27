package console

import (
	"html/template"

	"postern.dev/postern"
)

// createViews are the pages of making a key, with full data and with none.
func createViews(c func() Common) map[string][]view {
	k := &postern.ServiceKey{ID: "0123456789abcdef", Name: polyglot}
	wait := waitingPart{Key: "0123456789abcdef", Again: "/keys/x/first-call", State: waitRefused, Title: polyglot, Bits: []waitingBit{bitText(polyglot), bitCode(polyglot), bitBold(polyglot), bitName(polyglot)},
		Acts: []waitingAct{{Words: polyglot, Link: "/keys", Post: true, Name: "scope", Value: polyglot, Primary: true}, {Words: polyglot, Link: "/keys"}}, Token: "x"}
	tools := connectPart{KeyName: polyglot, Unknown: true, Nothing: true, Braces: true, Panes: []connectPane{
		{ID: "curl", Name: "curl", Lang: "Shell", Steps: []template.HTML{"Run:"}, Code: polyglot, After: []template.HTML{"Then stop."}, Chosen: true},
		{ID: "postman", Name: "Postman", Steps: []template.HTML{"One", "Two"}, File: "/keys/x/postman.json", FileName: polyglot}}}
	f := func() *form {
		f := newForm("name", polyglot, "use", "bi", "note", polyglot, "expires", "on", "expiresOn", polyglot, "where", "some", "networks", polyglot, "calls", polyglot, "notBefore", polyglot)
		for _, name := range []string{"name", "use", "note", "copy", "scopes", "expires", "expiresOn", "networks", "calls", "notBefore"} {
			f.Wrong(name, "%s", polyglot)
		}
		return f
	}
	row := createRow{bookRow: &bookRow{ID: "1", Name: polyglot, About: polyglot, Sensitive: true, Eps: []int{1, 2}}, R: createBox{Scope: polyglot, On: true}, W: createBox{Scope: polyglot, Locked: true}, Lock: "You hold read only.",
		Endpoint: []createEp{{"GET", polyglot, polyglot}}, More: 3, Open: true, Sel: true, Find: polyglot}
	locked := row
	locked.R, locked.Ask = createBox{}, true
	sum := createSum{Reads: polyglot, Writes: polyglot, Chosen: 2, Opened: 1, Total: 2, Share: 50, Data: polyglot}
	step := func(n int) *createView {
		return &createView{Common: c(), F: f(), Step: n, Carry: []nameValue{{polyglot, polyglot}}, Uses: []createUse{{polyglot, "chart", polyglot, polyglot, true}}, Copied: polyglot,
			Presets: []createPreset{{polyglot, polyglot, polyglot, true, true}}, Groups: []createGroup{{polyglot, 1, []createRow{row, locked}}}, Q: polyglot, Only: true, Chosen: 1, Unseen: []string{polyglot}, Keys: []string{polyglot},
			Sum: sum, UseName: polyglot, Vague: true, Warn: true, Lives: []option{{"on", polyglot, true}}, IP: polyglot, Draft: polyglot, Pers: []option{{"1", polyglot, true}}, More: true, First: polyglot, Last: polyglot, Allows: polyglot, Refuse: polyglot}
	}
	return map[string][]view{
		"create":        {&createView{}, &createView{F: newForm(), Step: 2, None: true}, &createView{F: newForm(), Step: 3}, step(1), step(2), step(3)},
		"create-secret": {&createdView{}, &createdView{Common: c(), Key: k, Secret: polyglot, Waiting: wait, Connect: tools}},
		"create-shown":  {&shownView{}, &shownView{Common: c(), Key: k}},
		"first-call":    {&firstCallView{}, &firstCallView{Common: c(), Key: k, Waiting: wait, Connect: tools}},
	}
}
