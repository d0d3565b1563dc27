package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) login() *cobra.Command {
	cmd := &cobra.Command{
		Use: "login URL", Short: "Sign in to a server with a personal access key", Args: atMost("URL"),
		Long: `Signs in to a server: checks your personal access key, and saves it for the other
commands in a file that only you can read. The key is asked for on a terminal,
and read from --secret-file or the standard input elsewhere; never give it as an
argument, where others on this machine could read it.

If you were invited, use the invitation in place of a key: it is used up, and
you get your first key for it.`,
		Example: examples("postern login https://postern.example.org", "postern login https://postern.example.org --secret-file ~/key",
			"postern login https://postern.example.org --invitation", "postern login http://127.0.0.1:8080 --profile local"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := a.limit(cmd)
			defer stop()
			return a.signIn(ctx, &call{Screen: a.Screen(cmd), app: a, ctx: ctx, cmd: cmd, args: args})
		},
	}
	f := cmd.Flags()
	f.String("secret-file", "", "read the personal access key from this file; -: the standard input")
	f.Bool("invitation", false, "ask for an invitation instead of a key")
	f.String("invitation-file", "", "read an invitation from this file; -: the standard input")
	f.Bool("allow-http", false, "send the key over plain HTTP to another machine, where you trust the network")
	return cmd
}

func (a *app) signIn(ctx context.Context, c *call) error {
	p, name, saved, err := c.newLogin()
	if err != nil {
		return err
	}
	invited := c.on("invitation") || c.str("invitation-file") != ""
	if invited {
		p.Secret, err = a.redeem(ctx, c, p)
	} else {
		p.Secret, err = a.askSecret(ctx, c.str("secret-file"), "Personal access key:")
	}
	if err != nil {
		return err
	}
	if kind := secretKind(p.Secret); !invited && kind != "" && kind != "pak" {
		return usagef("That isn't a personal access key, but %s. %s", kindWords(kind), kindHint(kind))
	}
	if invited { // a lost answer below must not lose the key, which is shown only once
		saved.Profiles[name], saved.Current = p, name
		if err := a.writeConfig(saved); err != nil {
			return err
		}
	}
	if c.Client, err = a.connect(p.server()); err != nil {
		return err
	}
	me, err := waiting(c, "Signing in…", func() (api.Me, error) { return c.Me(ctx) })
	if client.IsCode(err, "unauthenticated") {
		return exit(ExitNotPermitted, errorf("The server doesn't take this key: %s", sentence(err.Error())))
	}
	if err != nil {
		return err
	}
	p.KeyID, p.Account, p.Member = me.Key.ID, me.Account.Name, me.Member.Email
	saved.Profiles[name], saved.Current = p, name
	if err := a.writeConfig(saved); err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(whoami{Profile: name, Server: p.Server, Me: me})
	}
	c.Printf("Signed in to %s as %s\n(%s), %s.\n", quoted(me.Account.Name), screen.Clean(me.Member.Name), screen.Clean(me.Member.Email), screen.Clean(me.Member.RoleName))
	if !me.Key.ExpiresAt.IsZero() {
		c.Printf("Your key works until %s.\n", c.Time(me.Key.ExpiresAt))
	}
	return nil
}

// newLogin is the login that the command line asks for, without its secret yet.
func (c *call) newLogin() (p profile, name string, saved config, err error) {
	if saved, err = c.app.readConfig(); err != nil {
		return p, "", saved, err
	}
	name = c.str("profile")
	if name == "" {
		name = c.app.Getenv("POSTERN_PROFILE")
	}
	if name == "" {
		name = defaultProfile
	}
	if err := checkProfileName(name); err != nil {
		return p, name, saved, err
	}
	p = profile{Server: c.app.Getenv("POSTERN_SERVER"), AllowHTTP: c.on("allow-http")}
	if len(c.args) > 0 {
		p.Server = c.args[0]
	}
	if p.Server == "" {
		p.Server = saved.Profiles[name].Server // signing in again
	}
	p.Server = strings.TrimRight(p.Server, "/")
	switch {
	case looksSecret(p.Server):
		return p, name, saved, tooMany(c.cmd, p.Server)
	case p.Server == "":
		return p, name, saved, usagef("The server's address is missing: postern login URL")
	case !strings.Contains(p.Server, "://"):
		return p, name, saved, usagef("The server's address must be a URL, such as https://postern.example.org.")
	}
	_, err = c.app.connect(p.server()) // an address that can't be used is told of before anything is asked
	return p, name, saved, err
}

func (p profile) server() server {
	return server{url: p.Server, secret: p.Secret, allowHTTP: p.AllowHTTP}
}

// redeem uses an invitation up and gives the key that it is worth.
func (a *app) redeem(ctx context.Context, c *call, p profile) (string, error) {
	invitation, err := a.askSecret(ctx, c.str("invitation-file"), "Invitation:")
	if err != nil {
		return "", err
	}
	if kind := secretKind(invitation); kind != "" && kind != "inv" {
		return "", usagef("That isn't an invitation, but %s. %s", kindWords(kind), kindHint(kind))
	}
	cl, err := a.connect(p.server())
	if err != nil {
		return "", err
	}
	joined, err := waiting(c, "Using the invitation…", func() (api.Joined, error) { return cl.AcceptInvitation(ctx, invitation) })
	if client.IsCode(err, "unauthenticated") {
		err = exit(ExitNotPermitted, errorf("%s", sentence(err.Error()))) // signing in again is no help
	}
	return joined.Secret, err
}

// secretKind is the type in a secret's text, or empty where it has none.
func secretKind(s string) string {
	if !looksSecret(s) {
		return ""
	}
	return strings.Split(s, "_")[1]
}

func kindWords(kind string) string {
	switch kind {
	case "pak":
		return "a personal access key"
	case "inv":
		return "an invitation"
	case "boot":
		return "the secret of a set-up link"
	case "sk":
		return "a service key's secret"
	}
	return "another kind of secret"
}

func kindHint(kind string) string {
	switch kind {
	case "pak":
		return "Leave --invitation out."
	case "inv":
		return "Use it with --invitation."
	case "boot":
		return `Use it with "postern setup", or open the link.`
	}
	return `Make a personal access key in the console, or with "postern personal-keys create".`
}
