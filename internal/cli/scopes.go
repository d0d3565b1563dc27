package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) scopes() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scopes", Short: "List the scopes that a key can hold", Args: exactly(),
		Long: `Lists the scopes that the catalogs declare, what each lets someone do, and how
many operations it opens. Those that you hold no power to put on a key say so.`,
		Example: examples("postern scopes", "postern scopes --search deals --grantable", "postern scopes --upstream crm --json"),
		RunE:    a.remote(listScopes),
	}
	f := cmd.Flags()
	f.String("search", "", "only scopes with this in their name, group or words")
	f.String("upstream", "", "only scopes of this upstream")
	f.String("group", "", "only scopes of this group")
	f.Bool("grantable", false, "only scopes that you may put on a key")
	_ = cmd.RegisterFlagCompletionFunc("upstream", a.completeUpstreamFlag)
	return cmd
}

func listScopes(c *call) error {
	q := client.ScopeQuery{Q: c.str("search"), Upstream: c.str("upstream"), Group: c.str("group"), Paging: client.Paging{Limit: 200}}
	if grantable := c.on("grantable"); c.given("grantable") {
		q.Grantable = &grantable
	}
	scopes, _, err := collect(c, "scopes", 0, c.EachScope(c.ctx, q))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(screen.List(scopes))
	}
	if len(scopes) == 0 {
		c.Notef("No such scopes. They come from an OpenAPI document: postern catalog load FILE --upstream ID")
		return nil
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "SCOPE", Min: 30, Whole: true}, {Title: "ACCESS"}, {Title: "OPENS", Right: true, Drop: 2}, {Title: "NOTE", Drop: 1}, {Title: "WHAT IT LETS SOMEONE DO", Min: 12, Drop: 3}}}
	for _, s := range scopes {
		t.Row(s.Name, s.Access, strconv.Itoa(len(s.Opens)), scopeNote(s), s.Words)
	}
	c.Table(t)
	return nil
}

// scopeNote says what is special about a scope.
func scopeNote(s api.Scope) screen.Cell {
	switch {
	case !s.Grantable:
		return screen.Cell{Text: "not yours", Tone: screen.Faint}
	case s.Sensitive:
		return screen.Cell{Text: "sensitive", Tone: screen.Caution}
	}
	return screen.Cell{}
}
