package cli

import (
	"github.com/spf13/cobra"

	"postern.dev/postern/api"
)

func (a *app) migrateMoved() *cobra.Command {
	cmd := &cobra.Command{
		Use: "moved ITEM", Short: "Say where an old credential moved", Args: exactly("ITEM"),
		Long: "Names the service key that takes over where it is there already, or says in words where\n" +
			"an app or another system took over. Without either, what was said is taken back.",
		Example: examples("postern migrate moved web-forms --key forms-sync", `postern migrate moved crm-cards --note "The app Larkspur cards, since May"`),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			in := api.MovedTo{Note: c.str("note")}
			if name := c.str("key"); name != "" {
				k, err := c.key(name)
				if err != nil {
					return err
				}
				in.KeyID = k.ID
			}
			out, err := c.MovedMigration(c.ctx, i.ID, in)
			if err != nil {
				return err
			}
			return c.tellNext(out, "Noted.")
		}),
	}
	cmd.Flags().String("key", "", "the service key that takes over")
	cmd.Flags().String("note", "", "where it moved, in words")
	return cmd
}
