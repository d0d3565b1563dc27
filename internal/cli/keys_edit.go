package cli

import (
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
)

func (a *app) keysRename() *cobra.Command {
	return &cobra.Command{
		Use: "rename KEY NAME", Short: "Give a service key another name", Args: exactly("KEY", "NAME"), ValidArgsFunction: a.completeKeys,
		Long:    "Gives a service key another name. Its id and its secrets stay as they are.",
		Example: examples("postern keys rename nightly-deals-sync hourly-deals-sync"),
		RunE: a.remote(func(c *call) error {
			if looksSecret(c.args[1]) {
				return tooMany(c.cmd, c.args[1])
			}
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			return c.edit(k, api.EditServiceKey{Name: &c.args[1]}, "Renamed "+theKey(k)+" to "+quoted(c.args[1])+".")
		}),
	}
}

func (a *app) keysEdit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "edit KEY", Short: "Change a service key's description, life, networks, rate limit", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Changes a service key. What isn't given stays as it is. --network says all
networks anew. For the scopes see "postern keys scopes".`,
		Example: examples("postern keys edit nightly-deals-sync --expires 90d", "postern keys edit nightly-deals-sync --expires never --anywhere",
			"postern keys edit nightly-deals-sync --rate 100/10s --network 203.0.113.0/24"),
		RunE: a.remote(editKey),
	}
	f := cmd.Flags()
	keyLimitFlags(f)
	f.Bool("anywhere", false, "let it be used from everywhere")
	f.Bool("reviewed", false, "take away the flag that someone should look at it")
	f.Lookup("rate").Usage += ", or default"
	f.Lookup("team").Usage += ", or none"
	f.Lookup("not-before").Usage += ", or now"
	plurals(cmd)
	return cmd
}

func editKey(c *call) error {
	in, err := c.editOf()
	if err != nil {
		return err
	}
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	return c.edit(k, in, "Changed "+theKey(k)+".")
}

// editOf is the change that the flags ask for.
func (c *call) editOf() (in api.EditServiceKey, err error) {
	changes := 0
	given := func(flag string) (string, bool) {
		if !c.given(flag) {
			return "", false
		}
		changes++
		return c.str(flag), true
	}
	if text, ok := given("description"); ok {
		in.Description = &text
	}
	if text, ok := given("team"); ok {
		in.TeamID = api.Set(text)
		if text == "none" || text == "" {
			in.TeamID = api.None[string]()
		}
	}
	if text, ok := given("expires"); ok {
		if in.ExpiresAt, err = c.timeOr("expires", text, "never"); err != nil {
			return in, err
		}
	}
	if text, ok := given("not-before"); ok {
		if in.NotBefore, err = c.timeOr("not-before", text, "now"); err != nil {
			return in, err
		}
	}
	if text, ok := given("rate"); ok {
		in.RateLimit = api.None[api.RateLimit]()
		if text != "default" {
			rate, err := parseRate(text)
			if err != nil {
				return in, err
			}
			in.RateLimit = api.Set(rate)
		}
	}
	switch nets := c.list("network"); {
	case c.on("anywhere") && len(nets) > 0:
		return in, usagef("--anywhere and --network can't stand together.")
	case c.on("anywhere"):
		changes++
		in.Networks = &[]string{}
	case len(nets) > 0:
		changes++
		in.Networks = &nets
	case c.given("network"):
		return in, usagef("--network is empty. To let the key be used from everywhere, say --anywhere.")
	}
	if c.on("reviewed") {
		changes++
		in.Reviewed = true
	}
	if changes == 0 {
		return in, usagef("There is nothing to change. See %q.", c.cmd.CommandPath()+" --help")
	}
	return in, nil
}

// timeOr reads a time, or the word that stands for none.
func (c *call) timeOr(flag, text, none string) (out api.Optional[time.Time], err error) {
	if text == none {
		return api.None[time.Time](), nil
	}
	t, err := c.when(flag, text)
	return api.Set(t), err
}

// edit changes a key and tells what became of it.
func (c *call) edit(k api.ServiceKey, in api.EditServiceKey, done string) error {
	out, err := waiting(c, "Changing the key…", func() (api.ChangedKey, error) { return c.EditServiceKey(c.ctx, k.ID, in) })
	if err != nil {
		return err
	}
	return c.changed(out, done, inForce)
}

// changed tells what became of a key.
func (c *call) changed(k api.ChangedKey, done, receipt string) error {
	if c.JSON {
		return c.WriteJSON(k)
	}
	c.Printf("%s\n", done)
	if k.WatchEnded {
		c.Printf("What was being tried on it ended, since the key is another by now. To try it again: postern keys narrow %s --watch\n", k.Name)
	}
	c.tellReceipt(k.Receipt, receipt)
	return nil
}
