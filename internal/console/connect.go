package console

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern.dev/postern"
)

// connectRoutes are the files that tools take in to be connected.
func (c *Console) connectRoutes() []route {
	return []route{
		{Pattern: "GET /keys/{id}/postman.json", Serve: c.postmanFile, Need: []postern.Permission{postern.PermKeysRead}},
	}
}

// connectPart shows how a tool is connected with a key, without its secret: the
// template "connect". Its tabs are radio buttons, which need no script.
type connectPart struct {
	KeyName string
	Unknown bool // the address of the gateway isn't configured
	Nothing bool // the key opens no endpoint
	Braces  bool // the example's path has a part to be filled in
	Panes   []connectPane
}

// connectPane is one tool or language.
type connectPane struct {
	ID, Name string
	Steps    []template.HTML
	Code     string
	Lang     string // what the code is in
	File     string // a link to download
	FileName string
	After    []template.HTML // steps after the code
	Chosen   bool
}

// toolFirst says which tab comes first for what a key is made for.
var toolFirst = map[string][]string{
	"bi":     {"powerbi", "tableau", "looker"},
	"wh":     {"airbyte", "python", "curl"},
	"sheet":  {"excel", "sheets", "looker", "curl"},
	"script": {"python", "node", "go", "curl"},
	"svc":    {"curl", "node", "python", "go"},
}

// toolPane finds a tool's tab by what calls: a name as toolName gives it.
var toolPane = map[string]string{"Power BI": "powerbi", "Tableau": "tableau", "Looker Studio": "looker", "Airbyte": "airbyte", "Postman": "postman", "curl": "curl",
	"Python script": "python", "Node service": "node", "Go program": "go"}

// connect says how tools are connected with a key. first is what it is for ("bi",
// "wh", "sheet", "script", "svc") or what calls with it ("Power BI"); its tab comes first.
func (c *Console) connect(ctx context.Context, k *postern.ServiceKey, first string) (connectPart, error) {
	b, err := c.scopeBook(ctx)
	if err != nil {
		return connectPart{}, err
	}
	op := b.example(k.Scopes)
	p := connectPart{KeyName: k.Name, Unknown: c.cfg.GatewayURL == "", Nothing: op == nil}
	base, path, hubspot := c.cfg.GatewayURL, "/", false
	switch {
	case op != nil:
		base, path, hubspot = b.ups[op.Up].Base, op.Path, b.ups[op.Up].HubSpot
	case len(b.ups) > 0 && b.ups[0].Base != "":
		base = b.ups[0].Base
	}
	base = cmp.Or(base, "https://gateway.example")
	p.Braces = strings.Contains(path, "{")
	p.Panes = panes(base, path, hubspot)
	for i := range p.Panes {
		if p.Panes[i].ID == "postman" {
			p.Panes[i].File, p.Panes[i].FileName = "/keys/"+string(k.ID)+"/postman.json", k.Name+".postman_collection.json"
		}
	}
	lead := toolFirst[first]
	if id := toolPane[first]; id != "" {
		lead = []string{id}
	}
	rank := func(p connectPane) int {
		if i := slices.Index(lead, p.ID); i >= 0 {
			return i
		}
		return len(lead)
	}
	slices.SortStableFunc(p.Panes, func(x, y connectPane) int { return cmp.Compare(rank(x), rank(y)) })
	p.Panes[0].Chosen = true
	return p, nil
}

// example is the operation that a first call is best made to: one that reads, needs
// nothing filled in, and is about what the key is for. Nil where scopes open none.
func (b *scopeBook) example(held []postern.Scope) *bookOp {
	var about []string
	for _, s := range held {
		if r := b.byScope[s]; r != nil && r.Read != nil && slices.Contains(held, r.Read.Name) {
			about = append(about, strings.ToLower(strings.ReplaceAll(r.first().Group, " ", "_")))
		}
	}
	score := func(o *bookOp) int {
		n := len(o.Path)
		if o.Public {
			n += 100_000
		}
		if o.Method != http.MethodGet {
			n += 20_000
		}
		if strings.Contains(o.Path, "{") {
			n += 10_000
		}
		if !slices.ContainsFunc(about, func(w string) bool { return strings.HasSuffix(o.Path, "/"+w) }) {
			n += 1_000
		}
		return n
	}
	var best *bookOp
	for i := range b.ops {
		if o := &b.ops[i]; o.opens(held) && (best == nil || score(o) < score(best)) {
			best = o
		}
	}
	return best
}

// quoted is a text as a string of Python, JavaScript and Go.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be written
	return strings.TrimSuffix(b.String(), "\n")
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func mQuoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// panes are all tools, for an example call.
func panes(base, path string, hubspot bool) []connectPane {
	at := base + path
	code := func(s string) string { return "<code>" + template.HTMLEscapeString(s) + "</code>" }
	h := func(format string, args ...any) template.HTML { return template.HTML(fmt.Sprintf(format, args...)) }
	query := "let\n    Source = Json.Document(Web.Contents(" + mQuoted(base) + ", [\n        RelativePath = " + mQuoted(strings.TrimPrefix(path, "/")) +
		",\n        Headers = [Authorization = \"Bearer \" & POSTERN_KEY]\n    ]))\nin\n    Source"
	out := []connectPane{
		{ID: "powerbi", Name: "Power BI", Lang: "Power Query M", Steps: []template.HTML{
			h("In Power BI choose <b>Transform data</b>, then <b>Manage parameters</b>, then <b>New</b>. Name it %s, type <b>Text</b>, and paste the secret as its current value.", code("POSTERN_KEY")),
			h("Choose <b>New source</b>, then <b>Blank query</b>, then <b>Advanced editor</b>, and put this in:"),
		}, Code: query,
			After: []template.HTML{h("When Power BI asks how to sign in, choose <b>Anonymous</b>. Do not choose “Web API”: it puts the key in the address, where it gets logged.")}},
		{ID: "excel", Name: "Excel", Lang: "Power Query M", Steps: []template.HTML{
			h("In Excel choose <b>Data</b>, <b>Get data</b>, <b>Launch Power Query editor</b>. There choose <b>Manage parameters</b>, then <b>New</b>. Name it %s, type <b>Text</b>, and paste the secret as its current value.", code("POSTERN_KEY")),
			h("Choose <b>New source</b>, then <b>Other sources</b>, then <b>Blank query</b>. Open the <b>Advanced editor</b> and put this in:"),
		}, Code: query, After: []template.HTML{h("When Excel asks how to sign in, choose <b>Anonymous</b>. The workbook then holds the secret: clear the parameter before you share the file.")}},
		{ID: "sheets", Name: "Google Sheets", Lang: "Apps Script", Steps: []template.HTML{
			h("In the sheet choose <b>Extensions</b>, then <b>Apps Script</b>. Under <b>Project settings</b> add a script property %s with the secret as its value.", code("POSTERN_KEY")),
			h("Put this in the editor and run it:"),
		}, Code: "function readFromPostern() {\n  const key = PropertiesService.getScriptProperties().getProperty('POSTERN_KEY');\n  const r = UrlFetchApp.fetch(" + quoted(at) +
			", {\n    headers: { Authorization: 'Bearer ' + key },\n  });\n  const data = JSON.parse(r.getContentText());\n  const list = Array.isArray(data) ? data : data.results || [data];\n" +
			"  const rows = list.map((one) => one.properties || one);\n  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];\n  const cell = (value) => {\n    if (value == null) return '';\n" +
			"    const text = typeof value === 'object' ? JSON.stringify(value) : value;\n    return typeof text === 'string' && /^[=+@\\-\\t]/.test(text) ? \"'\" + text : text;\n  };\n" +
			"  const table = [names, ...rows.map((row) => names.map((name) => cell(row[name])))];\n  if (!names.length) return;\n" +
			"  SpreadsheetApp.getActiveSheet().getRange(1, 1, table.length, names.length).setValues(table);\n}",
			After: []template.HTML{h("It fills the sheet that is open, from its first cell. Everyone who may edit the sheet can read its script properties.")}},
		{ID: "tableau", Name: "Tableau", Steps: []template.HTML{
			h("Open your REST connector and choose <b>Bearer token</b> as the sign-in method."),
			h("Paste the secret into the token field."),
			h("Use %s as the base address, and %s as the first path to read.", code(base), code(path)),
		}},
		{ID: "looker", Name: "Looker Studio", Steps: []template.HTML{
			h("Pick your JSON or REST connector, give it the address %s, and open its <b>Headers</b> section.", code(at)),
			h("Add %s with the value %s, one space, then the secret.", code("Authorization"), code("Bearer")),
			h("Turn off “share credentials with viewers”."),
		}},
		{ID: "airbyte", Name: "Airbyte", Steps: []template.HTML{
			h("Open the connector builder and set <b>API base URL</b> to %s.", code(base)),
			h("Set <b>Authentication method</b> to <b>Bearer</b>, and paste the secret into <b>API key</b>. Airbyte stores it as a secret."),
			h("Add a stream with the path %s and press <b>Test</b>.", code(path)),
		}},
		{ID: "postman", Name: "Postman", Steps: []template.HTML{
			h("Download the file below. It holds every endpoint that this key opens, and an empty variable %s.", code("POSTERN_KEY")),
			h("In Postman choose <b>Import</b> and drop the file in."),
			h("Paste the secret into the <b>current value</b> of %s. Leave “initial value” empty: that one is shared with your team.", code("POSTERN_KEY")),
		}},
		{ID: "curl", Name: "curl", Lang: "Shell", Steps: []template.HTML{h("Put the secret into the variable %s, then run:", code("POSTERN_KEY"))},
			Code: "curl --globoff --fail-with-body " + shellQuoted(at) + " \\\n  --header \"Authorization: Bearer $POSTERN_KEY\""},
		{ID: "python", Name: "Python", Lang: "Python", Steps: []template.HTML{h("With the package %s, and the secret in the variable %s:", code("requests"), code("POSTERN_KEY"))},
			Code: "import os\nimport requests\n\nr = requests.get(\n    " + quoted(at) + ",\n    headers={\"Authorization\": f\"Bearer {os.environ['POSTERN_KEY']}\"},\n    timeout=30,\n)\nr.raise_for_status()\nprint(r.json())"},
		{ID: "node", Name: "Node", Lang: "JavaScript", Steps: []template.HTML{h("In a module of Node 18 or later, with the secret in the variable %s:", code("POSTERN_KEY"))},
			Code: "const r = await fetch(" + quoted(at) + ", {\n  headers: { Authorization: `Bearer ${process.env.POSTERN_KEY}` },\n});\nif (!r.ok) throw new Error(`${r.status} ${await r.text()}`);\nconsole.log(await r.json());"},
	}
	if hubspot {
		out = append(out, connectPane{ID: "hubspot", Name: "HubSpot client", Lang: "JavaScript", Steps: []template.HTML{
			h("HubSpot’s own client for Node works unchanged. Give it this server’s address:")},
			Code: "import { Client } from \"@hubspot/api-client\";\n\nconst client = new Client({\n  accessToken: process.env.POSTERN_KEY,\n  basePath: " + quoted(base) +
				",\n});\nconst r = await client.apiRequest({ method: \"GET\", path: " + quoted(path) + " });\nconsole.log(await r.json());"})
	}
	return append(out, connectPane{ID: "go", Name: "Go", Lang: "Go", Steps: []template.HTML{h("With the secret in the variable %s:", code("POSTERN_KEY"))},
		Code: "package main\n\nimport (\n\t\"io\"\n\t\"log\"\n\t\"net/http\"\n\t\"os\"\n)\n\nfunc main() {\n\treq, err := http.NewRequest(\"GET\", " + quoted(at) +
			", nil)\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\treq.Header.Set(\"Authorization\", \"Bearer \"+os.Getenv(\"POSTERN_KEY\"))\n\tres, err := http.DefaultClient.Do(req)\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\tdefer res.Body.Close()\n\tif _, err := io.Copy(os.Stdout, res.Body); err != nil {\n\t\tlog.Fatal(err)\n\t}\n}"})
}

// The parts of a Postman collection, version 2.1.
type (
	postmanFile struct {
		Info     postmanInfo  `json:"info"`
		Auth     postmanAuth  `json:"auth"`
		Variable []postmanVar `json:"variable"`
		Item     []postmanOne `json:"item"`
	}
	postmanInfo struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Schema      string `json:"schema"`
	}
	postmanAuth struct {
		Type   string       `json:"type"`
		Bearer []postmanVar `json:"bearer"`
	}
	postmanVar struct {
		Key   string `json:"key"`
		Value string `json:"value"`
		Type  string `json:"type,omitempty"`
	}
	postmanOne struct {
		Name    string        `json:"name"`
		Item    []postmanOne  `json:"item,omitempty"`
		Request *postmanCalls `json:"request,omitempty"`
	}
	postmanCalls struct {
		Method      string       `json:"method"`
		Header      []postmanVar `json:"header"`
		URL         postmanURL   `json:"url"`
		Description string       `json:"description,omitempty"`
	}
	postmanURL struct {
		Raw      string       `json:"raw"`
		Host     []string     `json:"host"`
		Path     []string     `json:"path"`
		Variable []postmanVar `json:"variable,omitempty"`
	}
)

// postmanOf makes a collection of what scopes open. It holds no secret: its
// variable POSTERN_KEY is empty.
func (b *scopeBook) postmanOf(name string, held []postern.Scope) *postmanFile {
	f := &postmanFile{Info: postmanInfo{Name: name, Schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
		Description: "What the service key " + name + " opens. Paste its secret into the current value of the variable POSTERN_KEY."},
		Auth:     postmanAuth{Type: "bearer", Bearer: []postmanVar{{Key: "token", Value: "{{POSTERN_KEY}}", Type: "string"}}},
		Variable: []postmanVar{{Key: "POSTERN_KEY", Value: "", Type: "string"}}, Item: []postmanOne{}}
	folders := map[int]int{}
	for _, i := range b.openedBy(held) {
		o := &b.ops[i]
		at, ok := folders[o.Up]
		if !ok {
			at = len(f.Item)
			folders[o.Up] = at
			f.Item = append(f.Item, postmanOne{Name: b.ups[o.Up].Name})
			f.Variable = append(f.Variable, postmanVar{Key: "base_" + string(b.ups[o.Up].ID), Value: b.ups[o.Up].Base, Type: "string"})
		}
		host := "{{base_" + string(b.ups[o.Up].ID) + "}}"
		u := postmanURL{Host: []string{host}}
		for part := range strings.SplitSeq(strings.TrimPrefix(o.Path, "/"), "/") {
			if inner, ok := strings.CutPrefix(part, "{"); ok && strings.HasSuffix(inner, "}") {
				inner = strings.TrimSuffix(inner, "}")
				u.Variable = append(u.Variable, postmanVar{Key: inner})
				part = ":" + inner
			}
			u.Path = append(u.Path, part)
		}
		u.Raw = host + "/" + strings.Join(u.Path, "/")
		r := &postmanCalls{Method: o.Method, Header: []postmanVar{}, URL: u, Description: o.Summary}
		if o.Method != http.MethodGet && o.Method != http.MethodDelete {
			r.Header = append(r.Header, postmanVar{Key: "Content-Type", Value: "application/json"})
		}
		f.Item[at].Item = append(f.Item[at].Item, postmanOne{Name: cmp.Or(o.Summary, o.Method+" "+o.Path), Request: r})
	}
	return f
}

// postmanFile answers with the file that Postman imports.
func (c *Console) postmanFile(v *visit) error {
	k, err := c.kr.Key(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return err
	}
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(b.postmanOf(k.Name, k.Scopes), "", " ")
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(k.Name)+".postman_collection.json")
	return v.send(http.StatusOK, body)
}
