package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// upstreamRoutes are the APIs behind the server, for whoever runs it.
func (c *Console) upstreamRoutes() []route {
	write := []postern.Permission{postern.PermCatalogWrite}
	return []route{
		{Pattern: "GET /settings/upstreams", Serve: c.listUpstreams, Need: write},
		{Pattern: "GET /settings/upstreams/new", Serve: c.showNewUpstream, Need: write},
		{Pattern: "POST /settings/upstreams", Serve: c.createUpstream, Need: write, Fresh: true},
		{Pattern: "GET /settings/upstreams/{id}", Serve: c.showUpstream, Need: write},
		{Pattern: "POST /settings/upstreams/{id}", Serve: c.editUpstream, Need: write, Fresh: true},
		{Pattern: "GET /settings/upstreams/{id}/remove", Serve: c.askRemoveUpstream, Need: write},
		{Pattern: "POST /settings/upstreams/{id}/remove", Serve: c.removeUpstream, Need: write, Fresh: true},
	}
}

var integrationsTrail = []crumb{{Name: "Settings"}, {"Integrations", "/settings/integrations"}}

func upstreamsTrail() []crumb {
	return append(integrationsTrail[:2:2], crumb{"Connected APIs", "/settings/upstreams"})
}

type upstreamsView struct {
	Common
	Rows []postern.Upstream
}

func (c *Console) listUpstreams(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	ups, err := c.kr.Upstreams(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	return v.render("upstreams", &upstreamsView{Common: v.common("Connected APIs", "/settings/integrations", integrationsTrail...), Rows: ups})
}

// upstreamView is the form of one API.
type upstreamView struct {
	Common
	F       *form
	ID      string // empty: a new one
	Name    string
	Built   bool // compiled in: its address is not for changing
	Version int64
	Errors  []option
	Options []upstreamOption
	Keys    int // of this account, that hold a scope of it
	// Conflict is a change that someone else made since the form was shown.
	Conflict *savedElsewhere
}

// savedElsewhere says who changed something meanwhile, and where their change is shown.
type savedElsewhere struct {
	keyConflict
	Link string
}

// savedElsewhere finds who changed an API last; show is its page.
func (c *Console) savedElsewhere(v *visit, id postern.UpstreamID, show string) (*savedElsewhere, error) {
	k, err := c.conflict(v, postern.KeyID(id))
	if err != nil {
		return nil, err
	}
	if v.can(postern.PermAuditRead) && c.known["GET /audit"] {
		show = link("/audit", "object", string(id))
	}
	return &savedElsewhere{*k, show}, nil
}

// upstreamOption is a switch of an API.
type upstreamOption struct {
	Name, Words, Says string
	Ticked            bool
	at                func(*postern.UpstreamOptions) *bool
}

// upstreamSwitches are the options that are on or off.
var upstreamSwitches = []upstreamOption{
	{Name: "stripPrefix", Words: "Its own paths begin after the prefix", Says: "/crm/deals is called as /deals.", at: func(o *postern.UpstreamOptions) *bool { return &o.StripPrefix }},
	{Name: "keepCredential", Words: "Pass the caller’s credential on", Says: "It is removed otherwise. Only for an API that you run yourself.", at: func(o *postern.UpstreamOptions) *bool { return &o.KeepCredential }},
	{Name: "preflight", Words: "Let CORS preflight requests through", Says: "For browsers that call it from other sites; they carry no credential.", at: func(o *postern.UpstreamOptions) *bool { return &o.Preflight }},
	{Name: "collapseLeadingSlash", Words: "Take // at the start of a path for /", Says: "Some clients write it when they join a base and a path.", at: func(o *postern.UpstreamOptions) *bool { return &o.CollapseLeadingSlash }},
	{Name: "allowSemicolon", Words: "Allow ; in paths", Says: "It is refused otherwise, as servers read it differently.", at: func(o *postern.UpstreamOptions) *bool { return &o.AllowSemicolon }},
	{Name: "trailers", Words: "Pass trailers, both ways", at: func(o *postern.UpstreamOptions) *bool { return &o.Trailers }},
	{Name: "upgrades", Words: "Allow connections to be upgraded", Says: "To WebSocket and the like.", at: func(o *postern.UpstreamOptions) *bool { return &o.Upgrades }},
	{Name: "insecureSkipTLSVerify", Words: "Do not check its TLS certificate", Says: "For a lab only: anyone between could read and change the calls.", at: func(o *postern.UpstreamOptions) *bool { return &o.InsecureSkipTLSVerify }},
}

// upstreamForm is the form of an API as it is.
func upstreamForm(u *postern.Upstream) *form {
	f := newForm("id", string(u.ID), "name", u.Name, "url", u.URL, "host", u.Host, "prefix", u.Prefix, "revision", strconv.FormatInt(u.Revision, 10), "errors", u.Options.Errors, "timeout", "")
	if u.Options.Timeout > 0 {
		f.Values.Set("timeout", strconv.FormatFloat(u.Options.Timeout.Seconds(), 'f', -1, 64))
	}
	for _, o := range upstreamSwitches {
		if *o.at(&u.Options) {
			f.Values.Add("option", o.Name)
		}
	}
	return f
}

// upstreamOf reads an API from a form.
func upstreamOf(f *form) postern.Upstream {
	u := postern.Upstream{ID: postern.UpstreamID(f.Get("id")), Name: f.Get("name"), URL: f.Get("url"), Host: f.Get("host"), Prefix: f.Get("prefix")}
	u.Options.Errors = f.Get("errors")
	if t := f.Get("timeout"); t != "" {
		s, err := strconv.ParseFloat(t, 64)
		if err != nil || s < 0 || s > 3600 {
			f.Wrong("timeout", "Give seconds from 0 to 3600, or leave it empty for 30.")
		} else {
			u.Options.Timeout = time.Duration(s * float64(time.Second))
		}
	}
	for _, o := range upstreamSwitches {
		*o.at(&u.Options) = f.Has("option", o.Name)
	}
	return u
}

func (c *Console) upstreamPage(v *visit, f *form, is *postern.Upstream) *upstreamView {
	p := &upstreamView{F: f, Errors: []option{{Value: postern.ErrorsProblem, Label: "Plain (RFC 9457)"}, {Value: postern.ErrorsHubSpot, Label: "As HubSpot does, for its clients"}}}
	if is == nil {
		p.Common = v.common("Connect an API", "/settings/integrations", upstreamsTrail()...)
	} else {
		p.ID, p.Name, p.Built, p.Version = string(is.ID), upstreamName(is), strings.HasPrefix(is.URL, keyring.BuiltinURL), is.CatalogVersion
		p.Common = v.common(p.Name, "/settings/integrations", upstreamsTrail()...)
	}
	p.Error = !f.OK()
	for _, o := range upstreamSwitches {
		o.Ticked = f.Has("option", o.Name)
		p.Options = append(p.Options, o)
	}
	return p
}

// upstream reads the API that the address names.
func (c *Console) upstream(v *visit) (u postern.Upstream, err error) {
	ups, err := c.kr.Upstreams(v.r.Context(), v.by)
	for _, u := range ups {
		if string(u.ID) == v.path("id") {
			return u, nil
		}
	}
	if err == nil {
		err = errNoPage
	}
	return u, err
}

func (c *Console) showNewUpstream(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	return v.render("upstreams-one", c.upstreamPage(v, newForm("errors", postern.ErrorsProblem), nil))
}

func (c *Console) showUpstream(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	return v.render("upstreams-one", c.upstreamPage(v, upstreamForm(&u), &u))
}

func (c *Console) createUpstream(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	f := v.sent()
	u := upstreamOf(f)
	u.Revision = keyring.OnlyNew
	if u.ID == "" {
		f.Wrong("id", "Give it a short id, such as crm.")
	}
	if u.URL == "" {
		f.Wrong("url", "Give the address where it answers.")
	}
	if f.OK() {
		is, err := c.kr.PutUpstream(v.r.Context(), v.by, u)
		if err == nil {
			return v.done("/settings/catalog/"+string(is.ID), upstreamName(&is)+" is connected. Load its OpenAPI document next: until then every call to it is refused.")
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	return v.show(http.StatusUnprocessableEntity, "upstreams-one", c.upstreamPage(v, f, nil))
}

func (c *Console) editUpstream(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	was, err := c.upstream(v)
	if err != nil {
		return err
	}
	f := v.sent()
	u := upstreamOf(f)
	u.ID, u.Revision = was.ID, revisionOf(f)
	if strings.HasPrefix(was.URL, keyring.BuiltinURL) {
		u.URL = was.URL
	} else if strings.HasPrefix(u.URL, keyring.BuiltinURL) {
		f.Wrong("url", "Give the address where it answers, with http:// or https://.")
	}
	if f.OK() {
		is, err := c.kr.PutUpstream(v.r.Context(), v.by, u)
		if err == nil {
			return v.done("/settings/upstreams", upstreamName(&is)+" is saved. It holds for calls from now on.")
		}
		if errors.Is(err, postern.CodePrecondition) {
			// Saving again puts this form in the place of what it is now.
			f.Values.Set("revision", strconv.FormatInt(was.Revision, 10))
			page := c.upstreamPage(v, f, &was)
			if page.Conflict, err = c.savedElsewhere(v, was.ID, "/settings/upstreams/"+page.ID); err != nil {
				return err
			}
			return v.show(http.StatusConflict, "upstreams-one", page)
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	return v.show(http.StatusUnprocessableEntity, "upstreams-one", c.upstreamPage(v, f, &was))
}

func (c *Console) askRemoveUpstream(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	p := c.upstreamPage(v, newForm(), &u)
	p.Title = "Remove " + p.Name
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	s, err := c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return err
	}
	for _, k := range s.keys {
		for _, sc := range k.Scopes {
			if i := b.scopes[sc]; i != nil && i.Upstream == u.ID && k.State(v.now) != postern.StateEnded {
				p.Keys++
				break
			}
		}
	}
	return v.render("upstreams-remove", p)
}

func (c *Console) removeUpstream(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	if err := c.kr.DeleteUpstream(v.r.Context(), v.by, u.ID); err != nil {
		return err
	}
	return v.done("/settings/upstreams", upstreamName(&u)+" is removed. Calls to it are refused.")
}
