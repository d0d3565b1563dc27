package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
	"postern.dev/postern/internal/scan"
)

func (a *app) scan() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scan PATH…", Short: "Find secrets in files and git history", Args: cobra.ArbitraryArgs,
		Long: `Finds Postern's secrets, of every type and with a right checksum, in files,
folders, archives (zip, gzip, tar) and, where a path is the top of a git
repository, in everything that its branches and tags reach. - is the standard
input. Symbolic links are not followed. Nothing of a secret is shown but its
prefix and key ID, and nothing is sent anywhere, unless you ask for it:

  --check   asks the server what each secret can do, by presenting it
  --report  also tells those who look after it that it was found
  --revoke  also ends it, where its account lets finders do that

They ask the server of your login, or the one that --server names, and send it
nothing but the secrets, without your own key. Say --brand where the server has
its own.

The exit status is 0 where nothing was found, 8 where something was, 9 where one
of it works or could again (with --check), and 7 where nothing was found and not
everything could be read.`,
		Example: examples("postern scan .", "postern scan --check ~/src backup.tgz", "git diff --cached | postern scan -",
			"postern scan --format sarif . > postern.sarif", "postern scan --rules gitleaks > postern.toml"),
		RunE: a.scanRun,
	}
	f := cmd.Flags()
	f.String("brand", postern.DefaultBrand, "the first part of the secrets")
	f.Bool("no-history", false, "leave out the history of git repositories")
	f.Int("max-size", 1024, "leave out files larger than so many MiB, and what unpacks to more")
	f.Bool("check", false, "ask the server which of them work")
	f.Bool("report", false, "report what works to the server")
	f.Bool("revoke", false, "end what works at the server, for good")
	f.String("url", "", "where it was found, for a report")
	f.String("server", "", "the server to ask, instead of that of the saved login")
	f.String("format", "", "text, json or sarif")
	f.String("rules", "", "write the rules for another tool instead: gitleaks, github or regex")
	asks(cmd)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json", "sarif"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("rules", cobra.FixedCompletions(scan.RuleForms(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) scanRun(cmd *cobra.Command, args []string) error {
	c := &call{Screen: a.Screen(cmd), app: a, ctx: cmd.Context(), cmd: cmd, args: args}
	brand := c.str("brand")
	if !postern.ValidBrand(brand) {
		return usagef("--brand is 2 to 16 lower-case letters and digits, a letter first.")
	}
	if form := c.str("rules"); form != "" {
		text, ok := scan.Rules(form, brand)
		if !ok {
			return usagef("--rules is %s.", strings.Join(scan.RuleForms(), ", "))
		}
		c.Printf("%s", text)
		return nil
	}
	format := c.str("format")
	switch format {
	case "":
		if format = "text"; c.JSON {
			format = "json"
		}
	case "text", "json", "sarif":
	default:
		return usagef("--format is text, json or sarif.")
	}
	if len(args) == 0 {
		return missing(cmd, "PATH")
	}
	if c.number("max-size") < 1 {
		return usagef("--max-size is 1 or more.")
	}
	var asker *client.Client
	if c.on("check") || c.on("report") || c.on("revoke") {
		var err error
		if asker, err = c.asker(); err != nil {
			return err
		}
	}
	r, err := waiting(c, "Scanning…", func() (scan.Result, error) { return c.scan(brand) })
	if err != nil {
		return err
	}
	states, err := c.askAll(asker, &r)
	if err != nil {
		return err
	}
	if err := c.tellScan(format, &r, states); err != nil {
		return err
	}
	return scanStatus(&r, states)
}

// scan reads everything that the command line names.
func (c *call) scan(brand string) (scan.Result, error) {
	most := int64(c.number("max-size")) << 20
	s := scan.New(scan.Options{Brand: brand, MaxFile: most, MaxUnpacked: most})
	for _, path := range c.args {
		if path == "-" {
			if err := s.Reader(c.app.Stdin, "(standard input)"); err != nil {
				return scan.Result{}, fmt.Errorf("read the standard input: %w", err)
			}
			continue
		}
		if err := s.Tree(c.ctx, path); errors.Is(err, os.ErrNotExist) {
			return scan.Result{}, exit(ExitNotFound, errorf("There is no %s.", quoted(postern.HideSecrets(path))))
		} else if err != nil {
			return scan.Result{}, err
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() && !c.on("no-history") && scan.IsRepository(c.ctx, path) {
			if err := s.History(c.ctx, path); err != nil {
				return scan.Result{}, fmt.Errorf("read the history of %s: %w", screen.Clean(path), err)
			}
		}
	}
	return s.Result(), nil
}

// asker is a client that presents found secrets, and nothing else: no key of one's own goes along.
func (c *call) asker() (*client.Client, error) {
	s := server{url: strings.TrimRight(c.str("server"), "/"), allowHTTP: truth(c.app.Getenv("POSTERN_ALLOW_HTTP"))}
	if s.url == "" {
		known, err := c.app.server(c.cmd)
		if err != nil && known.url == "" {
			return nil, exit(ExitNotPermitted, errorf("There is no server to ask. Name it with --server, or sign in with: postern login URL"))
		}
		s = server{url: known.url, allowHTTP: known.allowHTTP}
	}
	return c.app.connect(s)
}

// askAll asks what each secret that was found can do, once, and does what is asked for.
func (c *call) askAll(cl *client.Client, r *scan.Result) (map[string]api.FoundAnswer, error) {
	if cl == nil {
		return nil, nil
	}
	states := map[string]api.FoundAnswer{}
	for _, f := range r.Findings {
		text := f.Secret.Reveal()
		if _, known := states[text]; known {
			continue
		}
		a, err := c.present(cl.CheckFound, text)
		if err != nil {
			return nil, err
		}
		states[text] = a
	}
	do, verb := cl.ReportFound, "report"
	if c.on("revoke") {
		do, verb = cl.RevokeFound, "revoke"
	}
	n := count(states, works)
	switch {
	case n == 0 || !c.on("report") && !c.on("revoke"):
		return states, nil
	case c.on("dry-run"):
		c.Notef("This would %s %s. Nothing was changed.", verb, screen.Count(n, "secret"))
		return states, nil
	case c.on("revoke"):
		ok, err := c.sure(act{Verb: verb, Object: screen.Count(n, "secret"), Then: "They never work again: what uses them fails at once, and their people are told."})
		if err != nil || !ok {
			return states, err
		}
	}
	for text, was := range states {
		if !works(was) {
			continue
		}
		a, err := c.present(do, text)
		if err != nil {
			return nil, err
		}
		states[text] = a
	}
	return states, nil
}

func works(a api.FoundAnswer) bool { return a.State == api.FoundLive || a.State == api.FoundDormant }

func count(states map[string]api.FoundAnswer, is func(api.FoundAnswer) bool) (n int) {
	for _, a := range states {
		if is(a) {
			n++
		}
	}
	return n
}

// presentTries is how often a server that limits us is asked again, a second apart.
const presentTries = 30

// present sends one secret, and waits where the server asks for that.
func (c *call) present(do func(context.Context, api.FoundSecret) (api.FoundAnswer, error), text string) (api.FoundAnswer, error) {
	for try := 0; ; try++ {
		ctx, stop := c.app.limit(c.cmd)
		a, err := do(ctx, api.FoundSecret{Secret: text, URL: c.str("url")})
		stop()
		if !client.IsCode(err, "rate_limited") || try == presentTries {
			return a, err
		}
		select {
		case <-c.ctx.Done():
			return a, c.ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// scanStatus is how the command ends.
func scanStatus(r *scan.Result, states map[string]api.FoundAnswer) error {
	switch {
	case count(states, works) > 0:
		return exit(ExitLive, nil)
	case len(r.Findings) > 0:
		return exit(ExitFound, nil)
	case len(r.Failed) > 0:
		return exit(ExitUnavailable, errorf("Nothing was found, and not everything could be read."))
	}
	return nil
}
