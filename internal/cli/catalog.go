package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) catalog() *cobra.Command {
	cmd := group("catalog", "Load OpenAPI documents, and see what they open", `A catalog says which operations an upstream has and which scopes open them. It is
read from OpenAPI 3.0 and 3.1 documents, and kept in versions.`)
	cmd.AddCommand(a.catalogLoad(), a.catalogWhatIf(), a.catalogShow(), a.catalogVersions())
	return cmd
}

func (a *app) catalogShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show UPSTREAM", Short: "List an upstream's operations and what they ask for", Args: exactly("UPSTREAM"), ValidArgsFunction: a.completeUpstreams,
		Example: examples("postern catalog show crm", "postern catalog show crm --search deals", "postern catalog show crm --version 3 --json"),
		RunE:    a.remote(showCatalog),
	}
	cmd.Flags().Int("version", 0, "this version; 0: the one in force")
	cmd.Flags().String("search", "", "only operations with this in their name, path or scopes")
	return cmd
}

func showCatalog(c *call) error {
	cat, err := waiting(c, "Reading the catalog…", func() (api.Catalog, error) {
		return c.Catalog(c.ctx, c.args[0], int64(c.number("version")))
	})
	if err != nil {
		return err
	}
	if search := strings.ToLower(c.str("search")); search != "" {
		found := []api.Operation{}
		for _, o := range cat.Operations {
			if strings.Contains(strings.ToLower(o.Name+" "+o.Path+" "+opensText(o)), search) {
				found = append(found, o)
			}
		}
		cat.Operations = found
	}
	if c.JSON {
		return c.WriteJSON(cat)
	}
	title := strings.TrimSpace(cat.Title + " " + cat.APIVersion)
	if title != "" {
		title = ": " + title
	}
	c.Printf("%s, version %d%s\n", screen.Clean(cat.Upstream), cat.Version, screen.Clean(title))
	t := &screen.Table{Columns: []screen.Column{{Title: "METHOD"}, {Title: "PATH", Min: 42, Middle: true}, {Title: "OPENED BY", Min: 22}, {Title: "NAME", Min: 10, Drop: 1}}}
	for _, o := range cat.Operations {
		t.Row(o.Method, o.Path, opensCell(o), o.Name)
	}
	c.Table(t)
	c.Notef("%s, %s.", screen.Count(len(cat.Operations), "operation"), screen.Count(len(cat.Scopes), "scope"))
	return nil
}

// opensText says what an operation asks for: any of all of.
func opensText(o api.Operation) string {
	switch {
	case o.Denied:
		return "closed by the overlay"
	case o.Public:
		return "public"
	case o.Uncovered:
		return "no scope: denied"
	}
	var ways []string
	for _, w := range o.AnyOf {
		if len(w.AllOf) == 0 {
			ways = append(ways, "any credential")
			continue
		}
		ways = append(ways, strings.Join(w.AllOf, " + "))
	}
	if len(ways) == 0 {
		return "nothing: denied"
	}
	return strings.Join(ways, " or ")
}

func opensCell(o api.Operation) screen.Cell {
	tone := screen.Plain
	if o.Denied || o.Uncovered || o.Public {
		tone = screen.Caution
	}
	return screen.Cell{Text: opensText(o), Tone: tone}
}

func (a *app) catalogVersions() *cobra.Command {
	return &cobra.Command{
		Use: "versions UPSTREAM", Short: "List the versions of an upstream's catalog", Args: exactly("UPSTREAM"), ValidArgsFunction: a.completeUpstreams,
		Example: examples("postern catalog versions crm"),
		RunE: a.remote(func(c *call) error {
			list, err := waiting(c, "Reading versions…", func() ([]api.CatalogVersion, error) { return c.CatalogVersions(c.ctx, c.args[0]) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(list))
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "VERSION", Right: true}, {Title: "LOADED"}, {Title: "BY", Min: 12, Drop: 2}, {Title: "TITLE", Min: 10}, {Title: "SHA-256", Min: 12, Drop: 1}, {}}}
			names := c.memberNames()
			for _, v := range list {
				var force screen.Cell
				if v.InForce {
					force = screen.Cell{Text: "in force", Tone: screen.Good}
				}
				t.Row(strconv.FormatInt(v.Version, 10), c.Short(v.LoadedAt), orID(names, v.LoadedBy), v.Title, v.Digest, force)
			}
			c.Table(t)
			return nil
		}),
	}
}
