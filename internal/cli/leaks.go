package cli

import (
	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

func (a *app) leaks() *cobra.Command {
	cmd := &cobra.Command{
		Use: "leaks", Short: "List secrets that were found in the open", Args: exactly(),
		Long: `Lists which secrets of the account were found, where, and whether they still work,
the newest first: by GitHub's secret scanning, or by someone who presented one.
Rotate what still works, and say that it was exposed: postern keys rotate KEY --now`,
		Example: examples("postern leaks", "postern leaks --key 4fQ2mZ8xT0aB6cD1", "postern leaks --json"),
		RunE:    a.remote(listLeaks),
	}
	cmd.Flags().String("key", "", "only those of this key (its ID)")
	cmd.Flags().Int("limit", 50, "at most so many; 0: all")
	return cmd
}

func listLeaks(c *call) error {
	list, _, err := collect(c, "reports", c.number("limit"), c.EachLeak(c.ctx, c.str("key")))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(screen.List(list))
	}
	if len(list) == 0 {
		c.Notef("No secret was found, as far as anyone has said.")
		return nil
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "WHEN"}, {Title: "KEY", Min: 10}, {Title: "ENDS IN"}, {Title: "NOW"}, {Title: "BY"}, {Title: "WHERE", Min: 12}}}
	for _, l := range list {
		now := screen.Cell{Text: "ended", Tone: screen.Good}
		if l.Live {
			now = screen.Cell{Text: "still works", Tone: screen.Bad}
		}
		name := l.Name
		if name == "" {
			name = l.KeyID
		}
		t.Row(c.Exact(l.At), name, "…"+l.LastFour, now, l.Source, l.URL)
	}
	c.Table(t)
	return nil
}
