package console

import (
	"net/http"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// settingsRoutes are the account's settings, the list of integrations, and the
// other accounts of the server.
func (c *Console) settingsRoutes() []route {
	all := []postern.Permission{postern.PermAccountsWrite}
	return append(c.nodeRoutes(), []route{
		{Pattern: "GET /settings/integrations", Serve: c.showIntegrations, Need: []postern.Permission{postern.PermCatalogRead}},
		{Pattern: "GET /settings/account", Serve: c.showAccount, Need: []postern.Permission{postern.PermAccountRead}},
		{Pattern: "POST /settings/account", Serve: c.editAccount, Need: []postern.Permission{postern.PermAccountWrite}},
		{Pattern: "GET /settings/accounts", Serve: c.listAccounts, Need: all},
		{Pattern: "GET /settings/accounts/new", Serve: c.showNewAccount, Need: all},
		{Pattern: "POST /settings/accounts", Serve: c.createAccount, Need: all, Fresh: true, Repeats: true},
		{Pattern: "GET /settings/accounts/{id}", Serve: c.showOtherAccount, Need: all},
		{Pattern: "POST /settings/accounts/{id}", Serve: c.editOtherAccount, Need: all, Fresh: true},
		{Pattern: "POST /settings/accounts/{id}/suspend", Serve: c.suspendAccount(true), Need: all, Fresh: true},
		{Pattern: "POST /settings/accounts/{id}/resume", Serve: c.suspendAccount(false), Need: all, Fresh: true},
	}...)
}

// operators refuses members of accounts that don't run the server.
func (v *visit) operators() error {
	if v.account().Operator {
		return nil
	}
	return postern.Errorf(postern.CodeForbidden, "Only the account that runs this server can do this. Ask whoever runs it.")
}

var settingsTrail = []crumb{{Name: "Settings"}}

// integrationsView is everything that uses the account's data, or is used.
type integrationsView struct {
	Common
	Keys     int
	SeesKeys bool
	APIs     []apiRow
	Operator bool // the reader may connect APIs
	Gateway  string
}

// apiRow is a connected API.
type apiRow struct {
	U       postern.Upstream
	Name    string
	Base    string // where it is called
	Cover   *coverage
	Scopes  []grantBox
	NoCalls bool // no catalog: every call is refused
}

func (c *Console) showIntegrations(v *visit) error {
	ctx := v.r.Context()
	ups, err := c.kr.Upstreams(ctx, v.by)
	if err != nil {
		return err
	}
	b, err := c.scopeBook(ctx)
	if err != nil {
		return err
	}
	view := &integrationsView{Common: v.common("Integrations", "/settings/integrations", settingsTrail...), SeesKeys: v.can(postern.PermKeysRead), Gateway: c.cfg.GatewayURL,
		Operator: v.account().Operator && v.can(postern.PermCatalogWrite)}
	if view.SeesKeys {
		s, err := c.snapshot(ctx, v.by.AccountID)
		if err != nil {
			return err
		}
		for _, k := range s.keys {
			if st := k.State(v.now); st != postern.StateEnded && st != postern.StateExpired {
				view.Keys++
			}
		}
	}
	for i := range ups {
		row := apiRow{U: ups[i], Name: upstreamName(&ups[i]), Base: baseOf(&ups[i], c.cfg.GatewayURL), NoCalls: ups[i].CatalogVersion == 0}
		if !ups[i].Options.StripPrefix {
			row.Base += ups[i].Prefix
		}
		if !row.NoCalls {
			if row.Cover, err = c.coverageOf(v, ups[i].ID, ups[i].CatalogVersion); err != nil {
				return err
			}
		}
		for _, r := range b.rows {
			if b.ups[r.Up].ID != ups[i].ID {
				continue
			}
			for _, s := range r.scopes() {
				row.Scopes = append(row.Scopes, grantBox{Name: string(s.Name), Words: s.Words, Sensitive: s.Sensitive})
			}
		}
		view.APIs = append(view.APIs, row)
	}
	return v.render("settings-integrations", view)
}

func upstreamName(u *postern.Upstream) string {
	if u.Name != "" {
		return u.Name
	}
	return string(u.ID)
}

// accountView is the account, or another one of the server.
type accountView struct {
	Common
	F         *form
	A         postern.Account
	Brand     string
	May       bool // change name and time zone
	Operator  bool // change the limit, and suspend
	Accounts  bool // there is a list of accounts for the reader
	Suspended time.Time
	Now       string // what time it is in the account
}

func (c *Console) accountPage(v *visit, a *postern.Account, f *form) *accountView {
	p := &accountView{Common: v.common("Account", "/settings/account", settingsTrail...), F: f, A: *a, Brand: c.kr.Brand(), May: v.can(postern.PermAccountWrite), Suspended: a.SuspendedAt}
	p.Operator = v.account().Operator && v.can(postern.PermAccountsWrite)
	p.Accounts = p.Operator
	if f == nil {
		p.F = newForm("name", a.Name, "timeZone", a.TimeZone, "dailyLimit", strconv.FormatInt(a.DailyLimit, 10))
	}
	p.Error = !p.F.OK()
	if loc, err := time.LoadLocation(a.TimeZone); err == nil {
		p.Now = v.now.In(loc).Format("15:04")
	}
	return p
}

func (c *Console) showAccount(v *visit) error {
	a, err := c.kr.Account(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	return v.render("settings-account", c.accountPage(v, &a, nil))
}

// accountEdit reads what shall change of an account.
func accountEdit(f *form, limit bool) (in keyring.AccountEdit) {
	var sent struct {
		Name       string `form:"name"`
		TimeZone   string `form:"timeZone"`
		DailyLimit int64  `form:"dailyLimit"`
	}
	f.decode(&sent)
	if sent.Name == "" {
		f.Wrong("name", "Give the account a name, such as your company’s.")
	}
	in.Name, in.TimeZone = &sent.Name, &sent.TimeZone
	if limit && f.Values.Has("dailyLimit") {
		in.DailyLimit = &sent.DailyLimit
	}
	return in
}

func (c *Console) editAccount(v *visit) error {
	f := v.sent()
	a, err := c.kr.Account(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	page := c.accountPage(v, &a, f)
	in := accountEdit(f, page.Operator)
	if f.OK() {
		if in.DailyLimit != nil && *in.DailyLimit == a.DailyLimit {
			in.DailyLimit = nil
		}
		_, err := c.kr.EditAccount(v.r.Context(), v.by, a.ID, in)
		if err == nil {
			return v.done("/settings/account", "The account is saved.")
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	page.Error = true
	return v.show(http.StatusUnprocessableEntity, "settings-account", page)
}

type accountsView struct {
	Common
	Rows []postern.Account
}

var accountsTrail = []crumb{{Name: "Settings"}, {"Account", "/settings/account"}}

func (c *Console) listAccounts(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	rows, err := c.kr.Accounts(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	return v.render("accounts", &accountsView{Common: v.common("Accounts on this server", "/settings/account", accountsTrail...), Rows: rows})
}

type newAccountView struct {
	Common
	F *form
}

func (c *Console) newAccountPage(v *visit, f *form) *newAccountView {
	p := &newAccountView{Common: v.common("Add an account", "/settings/account", append(accountsTrail[:2:2], crumb{"Accounts on this server", "/settings/accounts"})...), F: f}
	p.Error = !f.OK()
	return p
}

func (c *Console) showNewAccount(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	return v.render("accounts-new", c.newAccountPage(v, newForm("timeZone", v.account().TimeZone, "dailyLimit", "0")))
}

func (c *Console) createAccount(v *visit) error {
	if v.again {
		return v.warn("/settings/accounts", "The account was made, and the link for its first admin was shown once.")
	}
	if err := v.operators(); err != nil {
		return err
	}
	f := v.sent()
	edit := accountEdit(f, true)
	in := keyring.NewAccount{Name: *edit.Name, TimeZone: *edit.TimeZone, AdminEmail: f.Get("email"), AdminName: f.Get("person")}
	if edit.DailyLimit != nil {
		in.DailyLimit = *edit.DailyLimit
	}
	if in.AdminEmail == "" {
		f.Wrong("email", "Give the e-mail address of its first admin.")
	}
	if in.AdminName == "" {
		f.Wrong("person", "Give the name of its first admin.")
	}
	if f.OK() {
		a, inv, err := c.kr.CreateAccount(v.r.Context(), v.by, in)
		if err == nil {
			return c.showInvitation(v, &inv, a.Name, "/settings/accounts")
		}
		if err := f.take(err); err != nil {
			return err
		}
		for i := range f.Errors {
			if f.Errors[i].Field == "account" {
				f.Errors[i].Field = "name"
			}
		}
	}
	return v.show(http.StatusUnprocessableEntity, "accounts-new", c.newAccountPage(v, f))
}

// otherAccount reads the account that the address names.
func (c *Console) otherAccount(v *visit) (a postern.Account, err error) {
	if err := v.operators(); err != nil {
		return a, err
	}
	all, err := c.kr.Accounts(v.r.Context(), v.by)
	for _, a := range all {
		if string(a.ID) == v.path("id") {
			return a, nil
		}
	}
	if err == nil {
		err = errNoPage
	}
	return a, err
}

func (c *Console) otherAccountPage(v *visit, a *postern.Account, f *form) *accountView {
	p := c.accountPage(v, a, f)
	p.Title = a.Name
	p.Trail = append(accountsTrail[:2:2], crumb{"Accounts on this server", "/settings/accounts"})
	return p
}

func (c *Console) showOtherAccount(v *visit) error {
	a, err := c.otherAccount(v)
	if err != nil {
		return err
	}
	return v.render("accounts-one", c.otherAccountPage(v, &a, nil))
}

func (c *Console) editOtherAccount(v *visit) error {
	a, err := c.otherAccount(v)
	if err != nil {
		return err
	}
	f := v.sent()
	in := accountEdit(f, true)
	if f.OK() {
		is, err := c.kr.EditAccount(v.r.Context(), v.by, a.ID, in)
		if err == nil {
			return v.done("/settings/accounts", is.Name+" is saved.")
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	return v.show(http.StatusUnprocessableEntity, "accounts-one", c.otherAccountPage(v, &a, f))
}

func (c *Console) suspendAccount(suspend bool) func(*visit) error {
	return func(v *visit) error {
		a, err := c.otherAccount(v)
		if err != nil {
			return err
		}
		if _, err := c.kr.EditAccount(v.r.Context(), v.by, a.ID, keyring.AccountEdit{Suspended: &suspend}); err != nil {
			return err
		}
		if suspend {
			return v.done("/settings/accounts", a.Name+" is suspended. Every call with its keys is refused.")
		}
		return v.done("/settings/accounts", a.Name+" works again, with the same keys.")
	}
}
