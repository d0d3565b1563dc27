package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) personalKeys() *cobra.Command {
	cmd := group("personal-keys", "Your own keys for this CLI and the API", `A personal access key lets you, and programs of yours, use the management API and
these commands. It may never do more than you may yourself at that moment.`)
	cmd.AddCommand(a.personalList(), a.personalCreate(), a.personalRevoke())
	return cmd
}

func (a *app) personalList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your personal access keys", Args: exactly(),
		Example: examples("postern personal-keys list"),
		RunE: a.remote(func(c *call) error {
			list, err := waiting(c, "Reading keys…", func() ([]api.PersonalKey, error) { return c.PersonalKeys(c.ctx) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(list))
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 12}, {Title: "ID"}, {Title: "ENDS IN"}, {Title: "LAST USED"}, {Title: "EXPIRES"}, {}}}
			for _, k := range list {
				used, expires, this := "never", "never", ""
				if k.LastUsed != nil {
					used = c.Short(k.LastUsed.At)
				}
				if !k.ExpiresAt.IsZero() {
					expires = c.Short(k.ExpiresAt)
				}
				if k.Presented {
					this = "in use here"
				}
				t.Row(k.Name, k.ID, "…"+k.LastFour, used, expires, this)
			}
			c.Table(t)
			return nil
		}),
	}
}

func (a *app) personalCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a personal access key and show it, once", Args: exactly("NAME"),
		Long: "Makes a personal access key for you. With --scope it may do less than you: name\nPostern's own scopes, such as postern.keys.read.",
		Example: examples("postern personal-keys create laptop --expires 90d",
			"postern personal-keys create ci --scope postern.keys.read --secret-out ci.key"),
		RunE: a.remote(createPersonal),
	}
	f := cmd.Flags()
	f.StringSlice("scope", nil, "narrow what it may do to this; may be repeated")
	f.String("expires", "", "when it ends: a span (90d), a day or a time; unless given as the server's rule says")
	f.String("secret-out", "", "write it to this new file, and don't show it")
	plurals(cmd)
	return cmd
}

func createPersonal(c *call) error {
	in := api.NewPersonalKey{Name: c.args[0], Scopes: c.list("scope")}
	if text := c.str("expires"); text != "" && text != "never" {
		var err error
		if in.ExpiresAt, err = c.when("expires", text); err != nil {
			return err
		}
	}
	file, err := newSecretFile(c.str("secret-out"))
	if err != nil {
		return err
	}
	k, err := waiting(c, "Making the key…", func() (api.MadePersonalKey, error) { return c.CreatePersonalKey(c.ctx, in) })
	if err != nil {
		file.drop()
		return err
	}
	secret, name := k.Secret, ""
	var keepErr error
	if file != nil {
		if keepErr = file.keep(secret); keepErr == nil {
			k.Secret, name = "", file.f.Name()
		}
	}
	if c.JSON {
		if err := c.WriteJSON(struct {
			api.MadePersonalKey
			SecretFile string `json:"secretFile,omitempty"`
		}{k, name}); err != nil {
			return err
		}
		return keepErr
	}
	c.Printf("Made the personal access key %s (%s).\n", quoted(k.Name), screen.Clean(k.ID))
	if name != "" {
		c.tellSecret("", name)
		return nil
	}
	c.Printf("\n%s\n\n", c.Paint(screen.Strong, screen.Clean(secret)))
	c.Text("It is shown this once. Whoever has it can do what you may: keep it to yourself.")
	return keepErr
}

func (a *app) personalRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke KEY", Short: "End a personal access key", Args: exactly("KEY"),
		Long:    "Ends a personal access key of yours, named by its id or its name.",
		Example: examples("postern personal-keys revoke laptop", "postern personal-keys revoke 4fQ2mZ8xT0aB6cD1 --yes"),
		RunE: a.remote(func(c *call) error {
			k, err := c.personalKey(c.args[0])
			if err != nil {
				return err
			}
			then := "What uses it is refused from then on."
			if k.Presented {
				then = "It is the key that you are signed in with: you will have to sign in again."
			}
			ok, err := c.sure(act{Verb: "revoke", Object: "the personal access key " + quoted(k.Name), ID: k.ID, Name: k.Name, Then: then})
			if !ok || err != nil {
				return err
			}
			if err := c.RevokePersonalKey(c.ctx, k.ID); err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(map[string]any{"id": k.ID, "revoked": true})
			}
			c.Printf("Revoked the personal access key %s.\n", quoted(k.Name))
			return nil
		}),
	}
	asks(cmd)
	return cmd
}

func (c *call) personalKey(ref string) (api.PersonalKey, error) {
	if looksSecret(ref) {
		return api.PersonalKey{}, tooMany(c.cmd, ref)
	}
	list, err := c.PersonalKeys(c.ctx)
	if err != nil {
		return api.PersonalKey{}, err
	}
	if i := slices.IndexFunc(list, func(k api.PersonalKey) bool { return k.ID == ref }); i >= 0 {
		return list[i], nil
	}
	list = slices.DeleteFunc(list, func(k api.PersonalKey) bool { return k.Name != ref })
	switch len(list) {
	case 1:
		return list[0], nil
	case 0:
		return api.PersonalKey{}, notFound(`There is no personal access key %s. See "postern personal-keys list".`, quoted(ref))
	}
	var ids []string
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	return api.PersonalKey{}, usagef("%d personal access keys are called %s. Name one by its id: %s.", len(list), quoted(ref), strings.Join(ids, ", "))
}
