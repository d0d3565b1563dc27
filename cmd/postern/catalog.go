package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/cli/screen"
)

// documents are the flags with which OpenAPI documents are read.
type documents struct {
	overlay, scopes, base string
}

func (d *documents) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&d.overlay, "overlay", "", "YAML file with what you add to the documents and overrule")
	f.StringVar(&d.scopes, "scopes", "all", `what several scopes in one requirement mean: "all" of them (the standard), or "any"`)
	f.StringVar(&d.base, "base-path", "", `path that stands for those of the documents' servers; "/" for none`)
}

func (d *documents) read(cmd *cobra.Command, files []string) (*catalog.Catalog, *catalog.Report, error) {
	opts := catalog.Options{Upstream: "check", BasePath: d.base}
	switch d.scopes {
	case "all":
	case "any":
		opts.ScopesAny = true
	default:
		return nil, nil, cli.Usage(fmt.Errorf(`--scopes is "all" or "any", not %q`, d.scopes))
	}
	if d.overlay != "" {
		src, err := readSource(d.overlay)
		if err != nil {
			return nil, nil, err
		}
		if opts.Overlay, err = catalog.ParseOverlay(cmd.Context(), src); err != nil {
			return nil, nil, unsound(err)
		}
	}
	var sources []catalog.Source
	for _, f := range files {
		src, err := readSource(f)
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, src)
	}
	cat, report, err := catalog.Parse(cmd.Context(), sources, opts)
	return cat, report, unsound(err)
}

// unsound ends a command as one that found something wrong with a document, where that is what err says.
func unsound(err error) error {
	if errors.Is(err, postern.CodeInvalid) || errors.Is(err, postern.CodeTooLarge) {
		return cli.Fail("conflict", err)
	}
	return err
}

func catalogCheckCommand() *cobra.Command {
	var docs documents
	var strict, operations bool
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Read OpenAPI documents and say what they open",
		Long: "Read the OpenAPI documents of one upstream, and print its operations and scopes, and what is\n" +
			"uncovered, in conflict, undeclared or unused. No server is needed, and nothing is changed.\n\n" +
			"The exit status is 6 where something would be unsafe: templates that can't be told apart, or\n" +
			"places that access depends on and that can't be understood. With --strict it is 6 too where an\n" +
			"operation is denied to everyone, or a scope is used and declared nowhere.",
		Example: "  postern catalog check openapi.yaml\n  postern catalog check --scopes any xero_*.yaml --operations",
		Args:    cli.AtLeast("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cat, report, err := docs.read(cmd, args)
			if err != nil {
				return err
			}
			if cli.JSON(cmd) {
				err = cli.PrintJSON(cmd, checkJSON(cat, report))
			} else {
				printReport(cmd.OutOrStdout(), cat, report, operations)
			}
			if err == nil && (report.Unsafe() || strict && !report.Clean()) {
				return cli.Exit(6)
			}
			return err
		},
	}
	docs.flags(c)
	c.Flags().BoolVar(&strict, "strict", false, "fail too where an operation is denied to everyone or a scope is undeclared")
	c.Flags().BoolVar(&operations, "operations", false, "list every operation with its scopes")
	return c
}

func catalogDiffCommand() *cobra.Command {
	var docs documents
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what differs between two versions of a document",
		Long: "Compare two versions of an OpenAPI document: which operations are new, gone or different, and\n" +
			"which scopes open or close them. For the keys that it would touch on a server, use\n" +
			"\"postern catalog load --dry-run\".",
		Example: "  postern catalog diff openapi-2026-03.yaml openapi-2026-09.yaml",
		Args:    cli.Exactly("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, _, err := docs.read(cmd, args[:1])
			if err != nil {
				return err
			}
			after, _, err := docs.read(cmd, args[1:])
			if err != nil {
				return err
			}
			d := catalog.Compare(before, after)
			if cli.JSON(cmd) {
				return cli.PrintJSON(cmd, diffJSON(d))
			}
			printDiff(cmd.OutOrStdout(), d)
			return nil
		},
	}
	docs.flags(c)
	return c
}

func printReport(w io.Writer, cat *catalog.Catalog, r *catalog.Report, operations bool) {
	for _, d := range r.Documents {
		hang(w, "", "  ", fmt.Sprintf("%s: %s %s (OpenAPI %s), %s", d.Name, d.Title, d.Version, d.OpenAPI, cli.Count(d.Operations, "operation")))
	}
	fmt.Fprintf(w, "\n%s, %d of them public; %s\n", cli.Count(r.Operations, "operation"), r.Public, cli.Count(r.Scopes, "scope"))
	if operations {
		fmt.Fprintln(w)
		for _, op := range cat.Operations {
			fmt.Fprintf(w, "%-7s %s\n", op.Method, cli.Clean(op.Path))
			hang(w, "        ", "        ", needs(&op))
		}
	}
	section(w, "Refused, since these templates can't be told apart", r.Conflicts)
	section(w, "Not understood, and so closed", r.Problems)
	section(w, "Uncovered: they name no scope, and are denied", r.Uncovered)
	section(w, "Denied to everyone: no kind of credential can use them", r.Unsatisfiable)
	section(w, "Scopes that are used and declared nowhere", r.Undeclared)
	section(w, "Scopes that are declared and open nothing", r.Unused)
	section(w, "Worth a look", r.Warnings)
	switch {
	case r.Unsafe():
		fmt.Fprintln(w, "\nNot safe to load as it is.")
	case r.Clean():
		fmt.Fprintln(w, "\nSafe to load; every operation is covered.")
	default:
		fmt.Fprintln(w, "\nSafe to load: what is not covered is denied. An overlay file can cover it.")
	}
}

// shown is how many findings of one sort are printed; --json has them all.
const shown = 20

func section(w io.Writer, title string, list []catalog.Finding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w)
	hang(w, "", "", fmt.Sprintf("%s (%d):", title, len(list)))
	for i, f := range list {
		if i == shown {
			fmt.Fprintf(w, "  … and %d more; --json lists them all\n", len(list)-shown)
			break
		}
		hang(w, "  ", "    ", f.String())
	}
}

// hang writes a text in lines of 80 columns, those after the first further in.
func hang(w io.Writer, first, more, text string) {
	for i, line := range screen.Wrap(cli.Clean(text), 80-len(more)) {
		if i > 0 {
			first = more
		}
		fmt.Fprintf(w, "%s%s\n", first, line)
	}
}

// needs says in a line what an operation asks of a credential.
func needs(op *catalog.Operation) string {
	switch {
	case op.Public:
		return "public"
	case op.Denied:
		return "denied by the overlay"
	case op.Uncovered:
		return "uncovered: denied"
	}
	text := ""
	for i, way := range op.Ways {
		if i > 0 {
			text += ", or "
		}
		for j, s := range way.Scopes {
			if j > 0 {
				text += " and "
			}
			text += string(s)
		}
		if way.Kinds == 0 {
			text += " (no kind of credential can)"
		}
	}
	return cli.Clean(text)
}

func printDiff(w io.Writer, d *catalog.Diff) {
	if len(d.Operations) == 0 && len(d.Scopes) == 0 {
		fmt.Fprintln(w, "Nothing differs.")
		return
	}
	for i := range d.Operations {
		c := &d.Operations[i]
		fmt.Fprintf(w, "%-7s %-6s %s\n", changeWord(c.Before == nil, c.After == nil), c.Op().Method, cli.Clean(c.Op().Path))
		if c.BecomesPublic {
			tellOpening(w, "needs no credential now")
		}
		tellOpening(w, "opened by", c.Opens...)
		tellOpening(w, "no longer opened by", c.Closes...)
	}
	for _, s := range d.Scopes {
		switch {
		case s.Before == nil:
			fmt.Fprintf(w, "new scope %s (no key gets it by itself)\n", s.After.Name)
		case s.After == nil:
			fmt.Fprintf(w, "gone scope %s\n", s.Before.Name)
		default:
			fmt.Fprintf(w, "changed scope %s\n", s.After.Name)
		}
	}
}

// tellOpening says which scopes open or close an operation, in lines that fit.
func tellOpening(w io.Writer, what string, scopes ...postern.Scope) {
	if len(scopes) == 0 && !strings.HasPrefix(what, "needs") {
		return
	}
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	for _, line := range screen.Wrap(cli.Clean(what+" "+strings.Join(words, ", ")), 80-15) {
		fmt.Fprintf(w, "%15s%s\n", "", line)
	}
}

// changeWord is what happened to an operation or a scope.
func changeWord(isNew, isGone bool) string {
	switch {
	case isNew:
		return "new"
	case isGone:
		return "gone"
	}
	return "changed"
}

// The JSON of catalog check and catalog diff.
type (
	checkResult struct {
		Safe          bool           `json:"safe"`
		Clean         bool           `json:"clean"`
		Operations    []operationRow `json:"operations"`
		Scopes        []scopeRow     `json:"scopes"`
		Conflicts     []findingRow   `json:"conflicts"`
		Problems      []findingRow   `json:"problems"`
		Uncovered     []findingRow   `json:"uncovered"`
		Unsatisfiable []findingRow   `json:"unsatisfiable"`
		Undeclared    []findingRow   `json:"undeclared"`
		Unused        []findingRow   `json:"unused"`
		Warnings      []findingRow   `json:"warnings"`
	}
	operationRow struct {
		Name      string            `json:"name"`
		Method    string            `json:"method"`
		Path      string            `json:"path"`
		Public    bool              `json:"public,omitempty"`
		Uncovered bool              `json:"uncovered,omitempty"`
		Denied    bool              `json:"denied,omitempty"`
		AnyOf     [][]postern.Scope `json:"anyOf,omitempty"`
	}
	scopeRow struct {
		Name      postern.Scope  `json:"name"`
		Group     string         `json:"group,omitempty"`
		Access    postern.Access `json:"access,omitempty"`
		Sensitive bool           `json:"sensitive,omitempty"`
		Words     string         `json:"words,omitempty"`
	}
	findingRow struct {
		File      string        `json:"file"`
		Line      int           `json:"line,omitempty"`
		Pointer   string        `json:"pointer,omitempty"`
		Operation string        `json:"operation,omitempty"`
		Scope     postern.Scope `json:"scope,omitempty"`
		Text      string        `json:"text"`
	}
	diffRow struct {
		Change string          `json:"change"` // new, gone or changed
		Method string          `json:"method,omitempty"`
		Path   string          `json:"path,omitempty"`
		Scope  postern.Scope   `json:"scope,omitempty"`
		Opens  []postern.Scope `json:"opens,omitempty"`
		Closes []postern.Scope `json:"closes,omitempty"`
		Public bool            `json:"becomesPublic,omitempty"`
	}
)

func checkJSON(cat *catalog.Catalog, r *catalog.Report) checkResult {
	out := checkResult{Safe: !r.Unsafe(), Clean: r.Clean(), Operations: []operationRow{}, Scopes: []scopeRow{}}
	for _, op := range cat.Operations {
		row := operationRow{Name: op.Name, Method: op.Method, Path: op.Path, Public: op.Public, Uncovered: op.Uncovered, Denied: op.Denied}
		for _, w := range op.Ways {
			row.AnyOf = append(row.AnyOf, w.Scopes)
		}
		out.Operations = append(out.Operations, row)
	}
	for _, s := range cat.Scopes {
		out.Scopes = append(out.Scopes, scopeRow{s.Name, s.Group, s.Access, s.Sensitive, s.Words})
	}
	rows := func(list []catalog.Finding) []findingRow {
		out := []findingRow{}
		for _, f := range list {
			out = append(out, findingRow{f.File, f.Line, f.Pointer, f.Operation, f.Scope, f.Text})
		}
		return out
	}
	out.Conflicts, out.Problems, out.Uncovered, out.Unsatisfiable = rows(r.Conflicts), rows(r.Problems), rows(r.Uncovered), rows(r.Unsatisfiable)
	out.Undeclared, out.Unused, out.Warnings = rows(r.Undeclared), rows(r.Unused), rows(r.Warnings)
	return out
}

func diffJSON(d *catalog.Diff) any {
	out := struct {
		Operations []diffRow `json:"operations"`
		Scopes     []diffRow `json:"scopes"`
	}{[]diffRow{}, []diffRow{}}
	for i := range d.Operations {
		c := &d.Operations[i]
		out.Operations = append(out.Operations, diffRow{Change: changeWord(c.Before == nil, c.After == nil), Method: c.Op().Method, Path: c.Op().Path,
			Opens: c.Opens, Closes: c.Closes, Public: c.BecomesPublic})
	}
	for _, s := range d.Scopes {
		name := postern.Scope("")
		if s.After != nil {
			name = s.After.Name
		} else {
			name = s.Before.Name
		}
		out.Scopes = append(out.Scopes, diffRow{Change: changeWord(s.Before == nil, s.After == nil), Scope: name})
	}
	return out
}
