package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) migrateBrownout() *cobra.Command {
	cmd := &cobra.Command{
		Use: "brownout ITEM", Short: "Schedule short refusals, or end them at once", Args: exactly("ITEM"),
		Long: `Refuses the calls of an old credential for a short while each day, so that whoever still
uses it finds out: 1 minute on the first day, then 5 and 15 minutes, 1 hour and 4 hours.
Where too many calls or callers are refused, all brownouts of it end by themselves.`,
		Example: examples("postern migrate brownout web-forms --from 2026-12-01T10:00:00Z --days 5", "postern migrate brownout web-forms --from 1h --max-calls 20", "postern migrate brownout web-forms --stop"),
		RunE:    a.remote(brownout),
	}
	f := cmd.Flags()
	f.String("from", "", "when the first begins: 1h, 2026-12-01T10:00:00Z")
	f.Int("days", 5, "how many days, one brownout a day")
	f.Int("max-calls", 100, "so many refused calls in a brownout end all of them")
	f.Int("max-callers", 3, "so many refused callers do")
	f.Bool("stop", false, "end them at once")
	asks(cmd)
	return cmd
}

func brownout(c *call) error {
	i, err := c.item(c.args[0])
	if err != nil {
		return err
	}
	if c.on("stop") {
		out, err := c.StopBrownouts(c.ctx, i.ID, "")
		if err != nil {
			return err
		}
		return c.tellNext(out.MigrationItem, "No call is refused for a brownout any more.")
	}
	if c.str("from") == "" {
		return usagef("Say when the first one begins: --from 1h, or --stop to end those that are scheduled.")
	}
	at, err := c.when("from", c.str("from"))
	if err != nil {
		return err
	}
	ok, err := c.sure(act{Verb: "refuse for a while", Object: "the calls of " + quoted(i.Name), ID: i.ID, Name: i.Name,
		Then: fmt.Sprintf("It made %s calls in 7 days. Those within a brownout are refused.", screen.Number(i.CallsWeek))})
	if !ok || err != nil {
		return err
	}
	out, err := c.ScheduleBrownouts(c.ctx, i.ID, api.Brownouts{From: at, Days: c.number("days"), MaxCalls: int64(c.number("max-calls")), MaxCallers: int64(c.number("max-callers"))})
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	for _, b := range out.Brownouts {
		c.Printf("%s, for %s\n", c.Exact(b.From), lasts(b.Until.Sub(b.From)))
	}
	return nil
}

func (a *app) migrateSignOff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "signoff ITEM", Short: "Say that an old credential can go", Args: exactly("ITEM"),
		Example: examples(`postern migrate signoff web-forms --note "The last caller was a test."`),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			out, err := c.SignOffMigration(c.ctx, i.ID, c.str("note"))
			if err != nil {
				return err
			}
			return c.tellNext(out, "Signed off.")
		}),
	}
	cmd.Flags().String("note", "", "why, for those who ask later")
	return cmd
}

func (c *call) archive(id string) (api.MigrationChanged, error) { return c.ArchiveMigration(c.ctx, id) }
func (c *call) undo(id string) (api.MigrationChanged, error)    { return c.UndoMigration(c.ctx, id) }
func (c *call) endItem(id string) (api.MigrationChanged, error) { return c.EndMigration(c.ctx, id) }

func (a *app) migrateEnd(use, short, verb, then string, do func(*call, string) (api.MigrationChanged, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " ITEM", Short: short, Args: exactly("ITEM"), Example: examples("postern migrate " + use + " web-forms"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			ok, err := c.sure(act{Verb: verb, Object: quoted(i.Name), ID: i.ID, Name: i.Name, Then: then})
			if !ok || err != nil {
				return err
			}
			out, err := do(c, i.ID)
			if err != nil {
				return err
			}
			return c.tellNext(out.MigrationItem, then)
		}),
	}
	asks(cmd)
	return cmd
}
