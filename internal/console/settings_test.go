package console

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// upload sends a form with a file in each of some fields.
func (b *browser) upload(path string, files map[string]string, pairs ...string) *page {
	b.w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for field, text := range files {
		part := must(m.CreateFormFile(field, field+".yaml"))(b.w.t)
		must(io.WriteString(part, text))(b.w.t)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := m.WriteField(pairs[i], pairs[i+1]); err != nil {
			b.w.t.Fatal(err)
		}
	}
	if err := m.WriteField(formToken, b.token()); err != nil {
		b.w.t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		b.w.t.Fatal(err)
	}
	req := must(http.NewRequest("POST", b.w.url+path, &body))(b.w.t)
	req.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(req)
}

// otherAccount makes an account that doesn't run the server, and gives its super admin.
func (w *world) otherAccount(name string) postern.Actor {
	w.t.Helper()
	a, inv, err := w.kr.CreateAccount(context.Background(), w.super, keyring.NewAccount{Name: name, AdminEmail: "admin@other.example", AdminName: "Otto"})
	if err != nil {
		w.t.Fatal(err)
	}
	return postern.Actor{AccountID: a.ID, MemberID: inv.Member.ID, IP: "192.0.2.3"}
}

func TestIntegrations(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		must(w.kr.PutUpstream(context.Background(), w.super, postern.Upstream{ID: "bare", Name: "Bare <i>", URL: "http://127.0.0.1:8", Prefix: "/bare"}))(t)
		b := w.login()
		b.get("/settings/integrations").want(200, "Connected APIs", "https://api.example.com", "5 endpoints, 5 scopes", "Read deals", "Bare <i>", "Every call is refused until its OpenAPI document is loaded.", "0 keys work now", "Manage").never("<i>")
		b.get("/settings/integrations/service-keys").to("/keys")
		b.get("/settings/catalog").want(200, "100% of the endpoints can be called.", "No catalog")
		w.login(w.member("vi@example.com", "Vi", postern.RoleViewer)).get("/settings/integrations").want(200, "Connected APIs").not("Manage")
	})
}

func TestAccountSettings(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/settings/account").want(200, "Larkspur Outdoor", "UTC", "pst_", "Active", "Yes: its admins connect APIs")
		b.post("/settings/account", "name", "", "timeZone", "UTC").want(422, "Give the account a name")
		b.post("/settings/account", "name", "Larkspur", "timeZone", "Mars/Base").want(422, "is no time zone", `value="Mars/Base"`)
		b.post("/settings/account", "name", "Larkspur", "timeZone", "UTC", "dailyLimit", "many").want(422, "Give a whole number.")
		b.post("/settings/account", "name", "Larkspur", "timeZone", "Europe/London", "dailyLimit", "9,000").to("/settings/account")
		b.get("/settings/account").want(200, "Larkspur", "Europe/London", "9,000 calls a day", "09:00")
		v := w.login(w.member("vi@example.com", "Vi", postern.RoleViewer))
		v.get("/settings/account").want(200, "Larkspur").not("Save</button>")
		v.post("/settings/account", "name", "Mine").want(403)

		o := w.login(w.otherAccount("Other"))
		o.get("/settings/account").want(200, "Whoever runs this server sets it.").not("f-dailyLimit")
		o.post("/settings/account", "name", "Others", "timeZone", "UTC", "dailyLimit", "1").to("/settings/account") // the limit is not theirs to set
		o.get("/settings/account").want(200, "Others", "Daily limitNone")
	})
}

func TestAccounts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.post("/settings/accounts", "name", "Second", "timeZone", "UTC").want(422, "e-mail address of its first admin", "name of its first admin")
		p := b.post("/settings/accounts", "name", "Second", "timeZone", "UTC", "dailyLimit", "0", "email", "ann@second.example", "person", "Ann").want(200, "Copy the link now", "Join Second on Postern")
		w.stranger().get("/join/"+joinLink.FindStringSubmatch(p.body)[1]).want(200, "Second")
		page := b.get("/settings/accounts").want(200, "Second", "Runs this server")
		id := ""
		for _, a := range must(w.db.Accounts(context.Background()))(t) {
			if a.Name == "Second" {
				id = string(a.ID)
			}
		}
		path := "/settings/accounts/" + id
		if !strings.Contains(page.body, path) {
			t.Error("the list has no link to the account")
		}
		b.get(path).want(200, "Suspend the account")
		b.post(path, "name", "Second two", "timeZone", "UTC", "dailyLimit", "77").to("/settings/accounts")
		b.post(path + "/suspend").to("/settings/accounts")
		b.get(path).want(200, "This account is suspended.", "Second two", `value="77"`)
		b.post(path + "/resume").to("/settings/accounts")
		b.get("/settings/accounts").want(200, "Second two works again").not("Suspended")
		b.post("/settings/accounts/"+string(w.account)+"/suspend").want(409, "can't be suspended")
		b.get("/settings/accounts/acc_none").want(404)

		o := w.login(w.otherAccount("Third"))
		for _, path := range []string{"/settings/accounts", "/settings/accounts/new", path, "/settings/upstreams", "/settings/upstreams/new", "/settings/upstreams/crm", "/settings/catalog/crm/load"} {
			o.get(path).want(403, "Only the account that runs this server")
		}
		for _, path := range []string{"/settings/accounts", path, path + "/suspend", "/settings/upstreams", "/settings/upstreams/crm", "/settings/upstreams/crm/remove", "/settings/catalog/crm/check", "/settings/catalog/crm/load"} {
			o.post(path, "name", "x").want(403, "Only the account that runs this server")
		}
		o.get("/settings/catalog/crm").want(200, "5 endpoints", "Whoever runs this server").not("Load a document", "Maya")
	})
}

func TestUpstreams(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/settings/upstreams").want(200, "CRM", "http://127.0.0.1:9", "Version 1")
		b.post("/settings/upstreams", "id", "Bad Id", "url", "ftp://x").want(422, "An upstream's id is", `value="ftp://x"`)
		b.post("/settings/upstreams", "id", "", "url", "").want(422, "Give it a short id", "Give the address")
		b.post("/settings/upstreams", "id", "crm", "url", "http://127.0.0.1:7").want(422, "There is an API with this id.")
		b.post("/settings/upstreams", "id", "erp", "url", "https://erp.example.com", "timeout", "-1").want(422, "Give seconds from 0 to 3600")
		b.post("/settings/upstreams", "id", "erp", "url", "https://erp.example.com").want(422, "same host and path prefix")
		b.post("/settings/upstreams", "id", "erp", "name", "ERP", "url", "https://erp.example.com", "prefix", "/erp", "errors", "problem", "timeout", "2.5", "option", "stripPrefix").to("/settings/catalog/erp")
		b.get("/settings/catalog/erp").want(200, "Load its OpenAPI document next", "None is loaded yet")
		b.get("/settings/upstreams/erp").want(200, `value="2.5"`, `value="stripPrefix" checked`, `value="/erp"`)
		b.post("/settings/upstreams/erp", "name", "ERP two", "url", "https://erp.example.org", "prefix", "/erp", "errors", "hubspot").to("/settings/upstreams")
		u := must(w.db.Upstream(context.Background(), "erp"))(t)
		if u.Name != "ERP two" || u.URL != "https://erp.example.org" || u.Options.StripPrefix || u.Options.Errors != "hubspot" || u.Options.Timeout != 0 {
			t.Errorf("the upstream is %+v", u)
		}
		// Two who change it at once: the later one is told, and what they typed is kept.
		rev := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(b.get("/settings/upstreams/erp").body)[1]
		erp := []string{"url", "https://erp.example.net", "prefix", "/erp", "errors", "problem", "name"}
		b.post("/settings/upstreams/erp", append(erp, "ERP two", "revision", rev)...).to("/settings/upstreams")
		late := b.post("/settings/upstreams/erp", append(erp, "ERP mine", "revision", rev)...).want(409, "Maya Okafor changed this", "Look at their change before saving yours.", "Show it", `value="ERP mine"`)
		if is := must(w.db.Upstream(t.Context(), "erp"))(t); is.Name != "ERP two" {
			t.Errorf("the API is named %q after a save that was refused", is.Name)
		}
		b.post("/settings/upstreams/erp", append(erp, "ERP two", "revision", regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(late.body)[1])...).to("/settings/upstreams")
		// Both ask for a fresh proof of who it is.
		stale := b.token()
		w.later(12 * time.Minute)
		b.post("/settings/upstreams/erp", append(erp, "ERP three", "_form", stale)...).want(403, "Confirm that it is you")
		b.post("/settings/upstreams", "id", "late", "url", "https://late.example.net", "_form", b.token()).want(403, "Confirm that it is you")
		b.get("/settings/catalog/erp/load").to("/confirm?next=%2Fsettings%2Fcatalog%2Ferp%2Fload")
		b.post("/settings/catalog/erp/load", "checked", "x").want(403, "Confirm that it is you")
		b = w.login()
		b.post("/settings/upstreams/erp", "url", "builtin:crm", "prefix", "/erp").want(422, "with http:// or https://")
		b.get("/settings/upstreams/none").want(404)
		must(w.kr.CreateKey(context.Background(), w.super, keyring.NewKey{Name: "k", Scopes: []postern.Scope{"deals.read"}}))(t)
		b.get("/settings/upstreams/crm/remove").want(200, "1 key of this account holds a scope of it.")
		b.post("/settings/upstreams/erp/remove").to("/settings/upstreams")
		b.get("/settings/upstreams").want(200, "ERP two is removed.")
		w.login(w.member("dev@example.com", "Dev", postern.RoleDeveloper)).get("/settings/upstreams").want(403, "Manage APIs")
	})
}

// A document is checked first: what opens, what closes, whose keys. Then it is loaded as it was checked.
func TestLoadCatalog(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		must(w.kr.CreateKey(context.Background(), w.super, keyring.NewKey{Name: "reports", Scopes: []postern.Scope{"deals.read", "invoices.read"}}))(t)
		b := w.login()
		b.get("/settings/catalog/crm/load").want(200, "OpenAPI document")
		b.upload("/settings/catalog/crm/check", nil).want(422, "Choose the OpenAPI document")
		b.upload("/settings/catalog/crm/check", map[string]string{"documents": "no: [yaml"}).want(422, "One thing to put right")
		doc := strings.Replace(apiDoc, "  /invoices: {get: {operationId: listInvoices, security: [{keys: [invoices.read]}]}}\n",
			"  /quotes: {get: {operationId: listQuotes, security: [{keys: [deals.read]}]}}\n  /stray: {get: {operationId: stray}}\n  /money: {get: {operationId: money, security: [{keys: [money.read]}]}}\n", 1)
		if doc == apiDoc {
			t.Fatal("the document wasn't changed")
		}
		would := b.upload("/settings/catalog/crm/check", map[string]string{"documents": doc}).want(200, "Nothing is changed yet", "reports", "1 endpoint", "GET /quotes", "GET /invoices", "Gone", "New", "money.read", "Endpoints that name no scope", "Load version 2")
		if u := must(w.db.Upstream(context.Background(), "crm"))(t); u.CatalogVersion != 1 {
			t.Fatalf("checking loaded version %d", u.CatalogVersion)
		}
		sealed := regexp.MustCompile(`name="checked" value="([^"]+)"`).FindStringSubmatch(would.body)[1]
		b.post("/settings/catalog/crm/load", "checked", sealed+"x").want(409, "Choose the document again")
		b.post("/settings/catalog/crm/load", "checked", sealed).to("/settings/catalog/crm")
		b.get("/settings/catalog/crm").want(200, "Version 2 of CRM is in force.", "What version 2 changed from 1", "GET /stray", "1 opened by no scope", "Maya Okafor", "In force")
		b.get("/settings/catalog/crm?version=1").want(200, "which is not in force").not("What version 1 changed")
		b.get("/settings/catalog/crm?version=9").want(404)
		b.get("/settings/catalog/crm?version=x").want(404)
		b.get("/settings/catalog/none").want(404)
		// What was checked against another version is checked again.
		b.post("/settings/catalog/crm/load", "checked", sealed).want(409, "Maya Okafor changed this", "Look at their change before saving yours.", "Show it", "What loading would do", "Load version 3")
		overlay := "scopes: {}\nnonsense: true\n"
		b.upload("/settings/catalog/crm/check", map[string]string{"documents": doc, "overlay": overlay}).want(422, "One thing to put right")
		w.login(w.member("vi@example.com", "Vi", postern.RoleViewer)).get("/settings/catalog/crm/load").want(403, "Manage APIs")
	})
}

func TestChoose(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/choose").want(200, "Which credential do I need?", "A service key", "An app with webhooks", "An app with OAuth", "A personal key", "/me/keys/new", "/keys/new")
		b.get("/choose?goal=sync").want(200, "A service key", "Create a service key", `aria-current="true"`).not("An app with webhooks")
		b.get("/choose?goal=laptop").want(200, "A personal key", "Create a personal key")
		b.get("/choose?goal=none").want(404)
		v := w.login(w.member("vi@example.com", "Vi", postern.RoleViewer))
		v.get("/choose?goal=sync").want(200, "Making keys needs the permission Manage keys").not(`href="/keys/new"`)
		// Every link of every answer leads somewhere.
		for _, goal := range []string{"sync", "react", "share", "screen", "laptop", "old"} {
			p := b.get("/choose?goal=" + goal).want(200)
			for _, m := range regexp.MustCompile(`class="btn[^"]*" href="([^"]+)"`).FindAllStringSubmatch(p.body, -1) {
				if got := b.get(m[1]); got.status != 200 && got.status != 303 {
					t.Errorf("the answer to %s leads to %s: %d", goal, m[1], got.status)
				}
			}
			if !w.console.known["GET /apps"] && (goal == "react" || goal == "share" || goal == "screen") {
				p.want(200, "This release of Postern does not have apps yet.")
			}
		}
	})
}
