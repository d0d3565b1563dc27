package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// whoami is the JSON of login and whoami.
type whoami struct {
	Profile string `json:"profile,omitempty"`
	Server  string `json:"server"`
	api.Me
}

func (a *app) whoami() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show who you are, where, and what you may do", Args: exactly(),
		Example: examples("postern whoami", "postern whoami --profile staging --json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.server(cmd)
			if err != nil {
				return err
			}
			return a.remote(func(c *call) error { return showMe(c, s) })(cmd, args)
		},
	}
}

func showMe(c *call, s server) error {
	me, err := waiting(c, "Asking the server…", func() (api.Me, error) { return c.Me(c.ctx) })
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(whoami{s.profile, s.url, me})
	}
	key := me.Key.Name + ", …" + me.Key.LastFour
	if !me.Key.ExpiresAt.IsZero() {
		key += ", works until " + c.Time(me.Key.ExpiresAt)
	}
	c.Printf("%s  %s\n", c.Paint(screen.Strong, screen.Clean(me.Member.Name)), screen.Clean(me.Member.Email))
	c.Details(
		screen.Field{Label: "Account", Lines: []string{me.Account.Name + " (" + me.Account.ID + ")"}},
		screen.Field{Label: "Role", Lines: []string{me.Member.RoleName}},
		screen.Field{Label: "Server", Lines: []string{s.url}},
		screen.Field{Label: "Profile", Lines: orNone(some(s.profile), "none: set by variables")},
		screen.Field{Label: "Key", Lines: []string{key}},
		screen.Field{Label: "May", Lines: orNone(me.Permissions, "nothing")},
		screen.Field{Label: "Grants", Lines: orNone(me.Member.Scopes, "no scopes")},
	)
	return nil
}

// some is a line, or none where it is empty.
func some(line string) []string {
	if line == "" {
		return nil
	}
	return []string{line}
}

func (a *app) logout() *cobra.Command {
	cmd := &cobra.Command{
		Use: "logout", Short: "Forget a saved login", Args: exactly(),
		Long:    "Forgets a saved login: the current one, or that of --profile. With --revoke the\nserver ends its personal access key too.",
		Example: examples("postern logout", "postern logout --profile staging --revoke"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := a.limit(cmd)
			defer stop()
			return logout(&call{Screen: a.Screen(cmd), app: a, ctx: ctx, cmd: cmd})
		},
	}
	cmd.Flags().Bool("revoke", false, "end the personal access key on the server too")
	return cmd
}

func logout(c *call) error {
	saved, err := c.app.readConfig()
	if err != nil {
		return err
	}
	name := c.app.profileName(c.str("profile"), saved)
	p, ok := saved.Profiles[name]
	if !ok {
		return notFound("There is no saved login %s.", quoted(name))
	}
	if c.on("revoke") {
		if c.Client, err = c.app.connect(p.server()); err != nil {
			return err
		}
		// A key that the server refuses already is what was asked for.
		if err := c.RevokePersonalKey(c.ctx, p.KeyID); err != nil && !client.IsCode(err, "unauthenticated") && !client.IsCode(err, "not_found") {
			return err
		}
	}
	delete(saved.Profiles, name)
	if saved.Current == name {
		saved.Current = ""
		if left := slices.Sorted(maps.Keys(saved.Profiles)); len(left) > 0 {
			saved.Current = left[0]
		}
	}
	if err := c.app.writeConfig(saved); err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(map[string]any{"profile": name, "revoked": c.on("revoke"), "current": saved.Current})
	}
	if c.on("revoke") {
		c.Printf("The key of %s is revoked, and forgotten here.\n", quoted(name))
	} else {
		c.Text(fmt.Sprintf("Forgot the login %s. Its key works on: end it with \"postern personal-keys revoke\".", quoted(name)))
	}
	if saved.Current != "" {
		c.Printf("The current login is %s now.\n", quoted(saved.Current))
	}
	return nil
}
