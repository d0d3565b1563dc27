package cli

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) migrateUpload() *cobra.Command {
	return &cobra.Command{
		Use: "upload FILE", Short: "Upload what an inventory of access logs found", Args: exactly("FILE"),
		Long: `Uploads what "postern migrate inventory --json" printed: - reads the standard input. Old
credentials are found again by their fingerprints; no secret is in the file.`,
		Example: examples("postern migrate inventory --openapi crm.yaml access.log --json > found.json", "postern migrate upload found.json"),
		RunE: a.remote(func(c *call) error {
			in, err := readInventory(c)
			if err != nil {
				return err
			}
			out, err := c.UploadInventory(c.ctx, in)
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(out)
			}
			c.Printf("Uploaded %s; %d of them imported before.\n", screen.Count(out.Items, "old credential"), out.Matched)
			return nil
		}),
	}
}

// maxInventory is the largest file that is read.
const maxInventory = 16 << 20

func readInventory(c *call) (in api.UploadInventory, err error) {
	var r io.Reader = c.cmd.InOrStdin()
	if c.args[0] != "-" {
		f, err := os.Open(c.args[0])
		if err != nil {
			return in, usagef("The file can't be read: %v", err)
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxInventory+1))
	if err != nil || len(data) > maxInventory {
		return in, usagef("The file can't be read, or has more than %d MB.", maxInventory>>20)
	}
	var items []api.InventoryItem
	if err := json.Unmarshal(data, &items); err != nil {
		return in, usagef("This is no inventory: make one with: postern migrate inventory FILE --json")
	}
	for _, i := range items {
		if i.Fingerprint == "" {
			c.Notef("Left out %q: the log only names it, and so nobody can tell which credential it is.", i.Name)
			continue
		}
		in.Items = append(in.Items, i)
	}
	return in, nil
}

func (a *app) migrateNames() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scope-names [NAME]", Short: "See or set what old names of scopes stand for", Args: atMost("NAME"),
		Long: `Old apps hold broad scopes, such as contacts. This says which scopes of today each stands
for. Only the server's operator can change it.`,
		Example: examples("postern migrate scope-names", "postern migrate scope-names contacts --scope 'crm.objects.contacts.*'", "postern migrate scope-names contacts --reset"),
		RunE:    a.remote(scopeNames),
	}
	cmd.Flags().StringSlice("scope", nil, "a scope or a pattern; again for more")
	cmd.Flags().Bool("reset", false, "take back what was said of it")
	return cmd
}

func scopeNames(c *call) error {
	switch {
	case len(c.args) == 1 && c.on("reset"):
		if err := c.ResetLegacyScope(c.ctx, c.args[0]); err != nil {
			return err
		}
	case len(c.args) == 1 && c.given("scope"):
		if _, err := c.SetLegacyScope(c.ctx, c.args[0], c.list("scope")); err != nil {
			return err
		}
	case len(c.args) == 1 || c.given("scope") || c.on("reset"):
		return usagef("Name one, and say what it stands for: postern migrate scope-names NAME --scope SCOPE")
	}
	out, err := c.LegacyScopes(c.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME"}, {Title: "STANDS FOR", Min: 30}, {Title: "SET BY", Drop: 1}}}
	for _, n := range out.Items {
		t.Row(n.Name, strings.Join(n.Scopes, ", "), map[bool]string{true: "Postern", false: "operator"}[n.Builtin])
	}
	c.Table(t)
	return nil
}
