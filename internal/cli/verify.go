package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) verify() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "Ask whether a secret may do something", Args: exactly(),
		Long: `Asks whether a secret is valid and, with --method and --path or --scope, whether
it may do that. The secret is read from --secret-file, the standard input, or a
question on a terminal. The exit status is 0 where it may, and 3 where it may not.

It counts as a use of the key, and is seen in activity.`,
		Example: examples("postern verify --secret-file nightly.secret", "postern verify --method GET --path /crm/v3/objects/deals < nightly.secret",
			"postern verify --scope crm.objects.deals.read --ip 203.0.113.7 < nightly.secret"),
		RunE: a.verifyRun,
	}
	f := cmd.Flags()
	f.String("secret-file", "", "read the secret from this file; -: the standard input")
	f.String("method", "", "the method of the call")
	f.String("path", "", "the path of the call, as the gateway gets it")
	f.String("host", "", "the host of the call, where that tells APIs apart")
	f.String("upstream", "", "the API that the call is for; the path is then that within it")
	f.StringSlice("scope", nil, "a scope that the call needs, instead of method and path; may be repeated")
	f.String("ip", "", "the caller's address; a key with networks is refused without it")
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	_ = cmd.RegisterFlagCompletionFunc("upstream", a.completeUpstreamFlag)
	plurals(cmd)
	return cmd
}

// verifyRun needs a server, and no credential: whoever has a secret may ask about it.
func (a *app) verifyRun(cmd *cobra.Command, args []string) error {
	s, err := a.server(cmd)
	if err != nil && s.url == "" {
		return err
	}
	ctx, stop := a.limit(cmd)
	defer stop()
	c := &call{Screen: a.Screen(cmd), app: a, ctx: ctx, cmd: cmd, args: args}
	in := api.VerifyRequest{Method: strings.ToUpper(c.str("method")), Path: c.str("path"), Host: c.str("host"), Upstream: c.str("upstream"),
		Scopes: c.list("scope"), RemoteIP: c.str("ip"), UserAgent: "postern-cli/" + a.Version}
	switch {
	case in.Path != "" && in.Method == "":
		in.Method = "GET"
	case in.Method != "" && in.Path == "":
		return usagef("--method needs --path beside it.")
	}
	if in.Method != "" && len(in.Scopes) > 0 {
		return usagef("Say --method and --path, or --scope.")
	}
	if in.Secret, err = a.askSecret(ctx, c.str("secret-file"), "Secret to verify:"); err != nil {
		return err
	}
	out, err := c.ask(s, in)
	if err != nil {
		return err
	}
	if c.JSON {
		err = c.WriteJSON(out)
	} else {
		c.tellDecision(out)
	}
	if err == nil && !out.Allowed {
		return exit(ExitDenied, nil)
	}
	return err
}

// ask asks as who is signed in, who may be told more; where they may not, as anyone.
func (c *call) ask(s server, in api.VerifyRequest) (api.VerifyAnswer, error) {
	return waiting(c, "Verifying…", func() (out api.VerifyAnswer, err error) {
		if c.Client, err = c.app.connect(s); err != nil {
			return out, err
		}
		out, err = c.Verify(c.ctx, in)
		if s.secret != "" && (client.IsCode(err, "unauthenticated") || client.IsCode(err, "forbidden") || client.IsCode(err, "insufficient_scope")) {
			s.secret = ""
			if c.Client, err = c.app.connect(s); err == nil {
				out, err = c.Verify(c.ctx, in)
			}
		}
		return out, err
	})
}

func (c *call) tellDecision(v api.VerifyAnswer) {
	word, tone := "Allowed", screen.Good
	if !v.Allowed {
		word, tone = "Refused", screen.Bad
	}
	line := word + "."
	if v.Reason != "" && !v.Allowed {
		line = word + " (" + screen.Clean(v.Reason) + ")."
	}
	c.Printf("%s\n", c.Paint(tone, line))
	if v.Detail != "" {
		c.Text(screen.Clean(v.Detail))
	}
	field := func(label string, lines ...string) screen.Field {
		if len(lines) == 1 && lines[0] == "" {
			lines = nil
		}
		return screen.Field{Label: label, Lines: lines}
	}
	op := strings.TrimSpace(v.Upstream + " " + v.Operation)
	which := v.Which
	if which == "previous" {
		which = "the one before: this key is being rotated"
	}
	c.Details(field("Key", v.KeyID), field("Kind", strings.ReplaceAll(v.Kind, "_", " ")), field("Account", v.AccountID), field("Operation", op),
		field("Missing", v.MissingScopes...), field("Secret", which), field("Scopes", v.Scopes...))
}
