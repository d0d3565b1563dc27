package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

func (a *app) migrate() *cobra.Command {
	cmd := group("migrate", "Move old credentials to service keys", `Old credentials are API keys that could do everything, and apps whose makers left. Find
out what each does, and what should take its place; run old and new side by side; and
switch the old one off once nobody uses it.

Begin with "import", or with "inventory" and "upload" where you don't have the secrets.
Then, for each item of the "board": owner, path, scopes, key, shadow, brownout, signoff
and archive. "item" says which is next.`)
	cmd.AddCommand(a.migrateBoard(), a.migrateItem(), a.migratePath(), a.migrateScopes(), a.migrateKey(), a.migrateShadow(), a.migrateBrownout(),
		a.migrateSignOff(), a.migrateEnd("archive", "Switch an old credential off: pause it for 3 days", "switch off", "Its calls are refused. It can be brought back for 3 days.", (*call).archive),
		a.migrateEnd("undo", "Bring an old credential back", "bring back", "It works again, as before.", (*call).undo),
		a.migrateEnd("end", "End an old credential for good", "end", "It never works again.", (*call).endItem),
		a.migrateOwner(), a.migrateMoved(), a.migrateReport(), a.migrateUpload(), a.migrateNames())
	cmd.AddCommand(a.migrateCredentials()...)
	return cmd
}

func (a *app) migratePath() *cobra.Command {
	cmd := &cobra.Command{
		Use: "path ITEM service_key|app|retire", Short: "Decide what takes the place of an old credential", Args: exactly("ITEM", "PATH"),
		Example: examples("postern migrate path web-forms service_key", `postern migrate path intern-test retire --why "Nobody knows it."`),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			out, err := c.ChoosePath(c.ctx, i.ID, api.ChoosePath{Path: c.args[1], Why: c.str("why")})
			if err != nil {
				return err
			}
			return c.tellNext(out, "Its path is chosen.")
		}),
	}
	cmd.Flags().String("why", "", "why, for those who ask later")
	return cmd
}

func (c *call) tellNext(i api.MigrationItem, done string) error {
	if c.JSON {
		return c.WriteJSON(i)
	}
	c.Hang("", done+" Next: "+i.Next)
	return nil
}

func (a *app) migrateScopes() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scopes ITEM", Short: "Decide the scopes of the new key", Args: exactly("ITEM"),
		Long:    "Takes the smallest set of scopes that permits all that the old credential did, or those that you name.",
		Example: examples("postern migrate scopes web-forms", "postern migrate scopes web-forms --scope crm.objects.contacts.read"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			in := api.ChooseScopes{}
			if c.given("scope") {
				in.Scopes = c.list("scope")
			}
			out, err := c.ChooseScopes(c.ctx, i.ID, in)
			if err != nil {
				return err
			}
			return c.tellNext(out, "The new key gets "+strings.Join(out.Scopes, ", ")+".")
		}),
	}
	cmd.Flags().StringSlice("scope", nil, "a scope; again for more")
	return cmd
}

func (a *app) migrateKey() *cobra.Command {
	cmd := &cobra.Command{
		Use: "key ITEM", Short: "Make the new key", Args: exactly("ITEM"),
		Long: `Makes the service key with the scopes that were decided. Its secret is shown this once:
on the standard output, or with --secret-out only in a file. The old one works on.`,
		Example: examples("postern migrate key web-forms", "postern migrate key web-forms --name web-forms-2 --secret-out web.secret"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			in := api.MigrationKey{Name: c.str("name"), Networks: c.list("network")}
			if text := c.str("expires"); text != "" {
				if in.ExpiresAt, err = c.when("expires", text); err != nil {
					return err
				}
			}
			file, err := newSecretFile(c.str("secret-out"))
			if err != nil {
				return err
			}
			made, _, err := once(c.ctx, func(key client.RequestOption) (api.MadeMigrationKey, error) {
				return c.MakeMigrationKey(c.ctx, i.ID, in, key)
			})
			if err != nil {
				file.drop()
				return err
			}
			return c.showMade(made.Key, file, func() { c.Printf("Made %s (%s).\n", theKey(made.Key.ServiceKey), made.Key.ID) },
				func() { c.Notef("%s", made.Item.Next) })
		}),
	}
	f := cmd.Flags()
	f.String("name", "", "its name; made of the old one's unless said")
	f.String("expires", "", "when it ends: 90d, 2027-01-31")
	f.StringSlice("network", nil, "where it may be used from; again for more")
	f.String("secret-out", "", "write the secret to this new file, and don't show it")
	return cmd
}

func (a *app) migrateShadow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "shadow ITEM", Short: "Ask which of its calls the new key would refuse", Args: exactly("ITEM"),
		Example: examples("postern migrate shadow web-forms --days 30"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			return c.tellReplay(i.ID, func(after int64) (api.Replay, error) { return c.ShadowMigration(c.ctx, i.ID, c.replaySpan(after)) })
		}),
	}
	cmd.Flags().Int("days", 7, "how many days of calls to judge, at most 90")
	return cmd
}

func (a *app) migrateOwner() *cobra.Command {
	return &cobra.Command{
		Use: "owner ITEM MEMBER", Short: "Say who looks after the move of an old credential", Args: exactly("ITEM", "MEMBER"),
		Long:    "Names the member, by their address or ID, who looks after the move; reminders go to them.",
		Example: examples("postern migrate owner web-forms kim@example.org", "postern migrate owner web-forms mem_01J"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			id := c.args[1]
			if !strings.HasPrefix(id, "mem_") {
				m, err := c.member(id)
				if err != nil {
					return err
				}
				id = m.ID
			}
			out, err := c.ChooseOwner(c.ctx, i.ID, api.ChooseOwner{MemberID: id})
			if err != nil {
				return err
			}
			return c.tellNext(out, "They get its reminders.")
		}),
	}
}
