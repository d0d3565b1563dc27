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
	return map[string][]view{
		"first-call": {&firstCallView{}, &firstCallView{Common: c(), Key: k, Waiting: wait, Connect: tools}},
	}
}
