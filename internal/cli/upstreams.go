package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) upstreams() *cobra.Command {
	cmd := group("upstreams", "Say which APIs are behind Postern", `An upstream is an API behind Postern: where it is, which calls go to it, and how
refused callers are answered. Only those who operate the server change them.`)
	cmd.AddCommand(a.upstreamsList(), a.upstreamsShow(), a.upstreamsSet(), a.upstreamsDelete())
	return cmd
}

func (a *app) upstreamsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the APIs behind Postern", Args: exactly(),
		Example: examples("postern upstreams list"),
		RunE: a.remote(func(c *call) error {
			list, err := waiting(c, "Reading upstreams…", func() ([]api.Upstream, error) { return c.Upstreams(c.ctx) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(list))
			}
			if len(list) == 0 {
				c.Notef("No upstreams. Add one with: postern upstreams set ID --url URL")
				return nil
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "ID", Min: 8}, {Title: "HOST", Min: 8, Drop: 1}, {Title: "PREFIX", Min: 6}, {Title: "GOES TO", Min: 14}, {Title: "CATALOG"}}}
			for _, u := range list {
				catalog := screen.Cell{Text: "none", Tone: screen.Caution}
				if u.CatalogVersion > 0 {
					catalog = screen.Cell{Text: "version " + strconv.FormatInt(u.CatalogVersion, 10)}
				}
				t.Row(u.ID, orAny(u.Host), orAny(u.Prefix), u.URL, catalog)
			}
			c.Table(t)
			return nil
		}),
	}
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

func (a *app) upstreamsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show UPSTREAM", Short: "Show an upstream's settings", Args: exactly("UPSTREAM"), ValidArgsFunction: a.completeUpstreams,
		Example: examples("postern upstreams show crm"),
		RunE: a.remote(func(c *call) error {
			u, _, err := c.upstream(c.args[0])
			if err != nil {
				return err
			}
			if u == nil {
				return notFound("There is no upstream %s.", quoted(c.args[0]))
			}
			return c.showUpstream(*u)
		}),
	}
}

// upstream finds an upstream by its id; nil where there is none.
func (c *call) upstream(id string) (*api.Upstream, []api.Upstream, error) {
	list, err := c.Upstreams(c.ctx)
	for i := range list {
		if list[i].ID == id {
			return &list[i], list, err
		}
	}
	return nil, list, err
}

func (c *call) showUpstream(u api.Upstream) error {
	if c.JSON {
		return c.WriteJSON(u)
	}
	c.Printf("%s  %s\n", c.Paint(screen.Strong, screen.Clean(u.ID)), screen.Clean(u.Name))
	fields := []screen.Field{{Label: "Goes to", Lines: []string{u.URL}}, {Label: "Host", Lines: []string{orAny(u.Host)}},
		{Label: "Prefix", Lines: []string{orAny(u.Prefix)}}}
	if u.Errors != "" {
		fields = append(fields, screen.Field{Label: "Errors", Lines: []string{u.Errors}})
	}
	if u.Timeout != "" {
		fields = append(fields, screen.Field{Label: "Timeout", Lines: []string{u.Timeout}})
	}
	var on []string
	for _, s := range upstreamSwitches(&u.UpstreamSettings) {
		if *s.field {
			on = append(on, s.flag)
		}
	}
	catalog := "none: every call is refused"
	if u.CatalogVersion > 0 {
		catalog = "version " + strconv.FormatInt(u.CatalogVersion, 10)
	}
	c.Details(append(fields, screen.Field{Label: "Settings", Lines: on}, screen.Field{Label: "Catalog", Lines: []string{catalog}})...)
	return nil
}

// upstreamSwitch is a setting that is on or off.
type upstreamSwitch struct {
	flag, usage string
	field       *bool
}

func upstreamSwitches(u *api.UpstreamSettings) []upstreamSwitch {
	return []upstreamSwitch{
		{"strip-prefix", "take the prefix off before a call goes on", &u.StripPrefix},
		{"preflight", "let CORS preflight requests through without a credential", &u.Preflight},
		{"collapse-leading-slash", "take //crm for /crm", &u.CollapseLeadingSlash},
		{"allow-semicolon", "let ; stand in a path", &u.AllowSemicolon},
		{"keep-credential", "send the caller's credential on to the upstream", &u.KeepCredential},
		{"trailers", "let trailers pass, both ways", &u.Trailers},
		{"upgrades", "let connections be upgraded, to WebSocket and the like", &u.Upgrades},
		{"insecure-skip-tls-verify", "don't check the upstream's certificate: in a lab only", &u.InsecureSkipTLSVerify},
	}
}

func upstreamTexts(u *api.UpstreamSettings) []struct {
	flag, usage string
	field       *string
} {
	return []struct {
		flag, usage string
		field       *string
	}{
		{"name", "what people call it", &u.Name},
		{"url", "where calls go: http or https, or builtin:crm", &u.URL},
		{"host", "the host that calls come to; empty: any", &u.Host},
		{"prefix", "the path that calls start with; empty: any", &u.Prefix},
		{"errors", "how refused callers are answered: problem or hubspot", &u.Errors},
		{"answer-timeout", "how long the upstream may take to begin its answer: 30s", &u.Timeout},
	}
}

func (a *app) upstreamsSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set UPSTREAM", Short: "Add an upstream, or change one", Args: exactly("UPSTREAM"), ValidArgsFunction: a.completeUpstreams,
		Long:    "Adds an upstream, or changes one; what isn't given stays as it is. Its calls are\nrefused until it has a catalog: see \"postern catalog load\".",
		Example: examples("postern upstreams set billing --url https://billing.internal --prefix /billing --strip-prefix", "postern upstreams set billing --answer-timeout 60s"),
		RunE:    a.remote(setUpstream),
	}
	var none api.UpstreamSettings
	for _, t := range upstreamTexts(&none) {
		cmd.Flags().String(t.flag, "", t.usage)
	}
	for _, s := range upstreamSwitches(&none) {
		cmd.Flags().Bool(s.flag, false, s.usage)
	}
	return cmd
}

func setUpstream(c *call) error {
	was, _, err := c.upstream(c.args[0])
	if err != nil {
		return err
	}
	var in api.UpstreamSettings
	if was != nil {
		in = was.UpstreamSettings
	} else if !c.given("url") {
		return usagef("There is no upstream %s yet. To add it, say where it is with --url.", quoted(c.args[0]))
	}
	for _, t := range upstreamTexts(&in) {
		if c.given(t.flag) {
			*t.field = c.str(t.flag)
		}
	}
	for _, s := range upstreamSwitches(&in) {
		if c.given(s.flag) {
			*s.field = c.on(s.flag)
		}
	}
	out, err := c.PutUpstream(c.ctx, c.args[0], in)
	if err != nil {
		return err
	}
	if err := c.showUpstream(out); err != nil {
		return err
	}
	if out.CatalogVersion == 0 {
		c.Notef("Load its OpenAPI document with: postern catalog load FILE --upstream %s", idOr(out.ID, out.ID))
	}
	return nil
}

func (a *app) upstreamsDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete UPSTREAM", Short: "Remove an upstream: its calls are refused", Args: exactly("UPSTREAM"), ValidArgsFunction: a.completeUpstreams,
		Example: examples("postern upstreams delete billing"),
		RunE: a.remote(func(c *call) error {
			u, _, err := c.upstream(c.args[0])
			if err != nil {
				return err
			}
			if u == nil {
				return notFound("There is no upstream %s.", quoted(c.args[0]))
			}
			ok, err := c.sure(act{Verb: "delete", Object: "the upstream " + quoted(u.ID), ID: u.ID, Name: u.ID,
				Then: "All calls to " + short(u.URL) + " are refused from then on.", typed: true})
			if !ok || err != nil {
				return err
			}
			if err := c.DeleteUpstream(c.ctx, u.ID); err != nil {
				return err
			}
			return c.removed("the upstream "+quoted(u.ID), u.ID)
		}),
	}
	asks(cmd)
	return cmd
}
