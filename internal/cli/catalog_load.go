package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) catalogLoad() *cobra.Command {
	cmd := &cobra.Command{
		Use: "load FILE… --upstream ID", Short: "Put OpenAPI documents in force as an upstream's catalog", Args: atLeast("FILE"),
		Long: `Puts OpenAPI documents in force as an upstream's catalog, as its next version, all
of them at once. It tells what opens, what closes, and which keys gain or lose
operations; on a terminal it asks first where that is any. Scopes that are new
are on no key until someone puts them there.

"postern catalog check" reads documents without a server.`,
		Example: examples("postern catalog load crm.yaml --upstream crm", "postern catalog load *.yaml --upstream xero --scopes any --dry-run",
			"postern catalog load billing.json --upstream billing --overlay billing.overlay.yaml --yes"),
		RunE: a.remote(loadCatalog),
	}
	f := cmd.Flags()
	f.String("upstream", "", "the upstream that the documents describe")
	f.String("overlay", "", "your own file, which stands above the documents")
	f.String("scopes", "", "any: the scopes inside one security requirement are alternatives; all: all are needed")
	f.String("base-path", "", "what stands for the paths of all servers that the documents name")
	f.Bool("all", false, "show everything that was found, not just the first of each sort")
	asks(cmd)
	_ = cmd.RegisterFlagCompletionFunc("upstream", a.completeUpstreamFlag)
	_ = cmd.RegisterFlagCompletionFunc("scopes", cobra.FixedCompletions([]string{"any", "all"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// maxDocuments is how much is read of all files together; the server takes no more.
const maxDocuments = 100 << 20

func loadCatalog(c *call) error {
	in, err := c.documents()
	if err != nil {
		return err
	}
	load := func(dry bool) (api.CatalogLoaded, error) {
		in.DryRun = dry
		return waiting(c, "Reading "+screen.Count(len(in.Documents), "document")+"…", func() (api.CatalogLoaded, error) {
			return c.LoadCatalog(c.ctx, c.str("upstream"), in)
		})
	}
	if c.canAsk() && !c.on("yes") && !c.on("dry-run") {
		would, err := load(true)
		if err != nil {
			return err
		}
		if opens, touched := becomesPublic(would.Diff), len(would.Keys); opens+touched > 0 {
			c.tellLoaded(would)
			ok, err := c.sure(act{Verb: "load", Object: "this as the catalog of " + quoted(c.str("upstream")), ID: c.str("upstream"),
				Then: screen.Count(touched, "key") + " gain or lose operations, and " + screen.Count(opens, "operation") + " will need no credential."})
			if !ok || err != nil {
				return err
			}
		}
	}
	out, err := load(c.on("dry-run"))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.tellLoaded(out)
	return nil
}

func becomesPublic(d api.CatalogDiff) (n int) {
	for _, o := range d.Operations {
		if o.BecomesPublic {
			n++
		}
	}
	return n
}

// documents are the files that the command line names.
func (c *call) documents() (in api.CatalogLoad, err error) {
	in = api.CatalogLoad{ScopeRule: c.str("scopes"), BasePath: c.str("base-path")}
	switch {
	case c.str("upstream") == "":
		return in, usagef("Which upstream do the documents describe? Say --upstream ID.")
	case in.ScopeRule != "" && in.ScopeRule != "any" && in.ScopeRule != "all":
		return in, usagef("--scopes is any or all.")
	}
	left := int64(maxDocuments)
	for _, path := range c.args {
		doc, err := c.document(path, &left)
		if err != nil {
			return in, err
		}
		in.Documents = append(in.Documents, doc)
	}
	if path := c.str("overlay"); path != "" {
		doc, err := c.document(path, &left)
		if err != nil {
			return in, err
		}
		in.Overlay = &doc
	}
	return in, nil
}

// document reads a file, or with - the standard input, taking its size from what is left.
func (c *call) document(path string, left *int64) (doc api.Document, err error) {
	doc.Name = filepath.Base(path)
	r := c.app.Stdin
	if path == "-" {
		doc.Name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return doc, notFound("The document %s can't be read: %v.", path, errors.Unwrap(err))
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, *left+1))
	switch {
	case err != nil:
		return doc, notFound("%s can't be read: %v.", path, errors.Unwrap(err))
	case int64(len(b)) > *left:
		return doc, usagef("The documents have more than %d MB together.", maxDocuments>>20)
	case len(b) == 0:
		return doc, usagef("The document %s is empty.", path)
	}
	*left -= int64(len(b))
	doc.Text = string(b)
	return doc, nil
}
