package cli

import (
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) nodes() *cobra.Command {
	return &cobra.Command{
		Use: "nodes", Short: "List the nodes that share the database", Args: exactly(),
		Long: `Lists the nodes of this server: the processes that share its database. A node
decides while its lease runs, and renews it all the time. One that is gone answers
every call with 503, or is no more; it stays on the list for an hour. Only those who
operate the server see the list.`,
		Example: examples("postern nodes", "postern nodes --json"),
		RunE: a.remote(func(c *call) error {
			list, err := waiting(c, "Reading nodes…", func() ([]api.Node, error) { return c.Nodes(c.ctx) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(list))
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "NODE", Min: 10}, {Title: "STATE"}, {Title: "LAG", Right: true}, {Title: "LIMITS"}, {Title: "LEASE UNTIL"}, {Title: "CLOCK", Right: true, Drop: 2}, {Title: "VERSION", Drop: 1}, {Title: "ADDRESS", Drop: 3}, {Title: "STARTED", Drop: 4}}}
			for _, n := range list {
				t.Row(nodeName(n), nodeState(n), screen.Number(n.Lag), c.nodeLimits(n), c.Exact(n.LeaseUntil), clockOffset(n), n.Version, n.Address, c.Short(n.StartedAt))
			}
			c.Table(t)
			return nil
		}),
	}
}

func nodeName(n api.Node) string {
	if n.Name != "" {
		return n.Name
	}
	return n.ID
}

func nodeState(n api.Node) screen.Cell {
	text := string(n.State)
	if n.Leads {
		text += ", leads"
	}
	switch n.State {
	case api.NodeDecides:
		return screen.Cell{Text: text, Tone: screen.Good}
	case api.NodeBehind:
		return screen.Cell{Text: text, Tone: screen.Caution}
	}
	return screen.Cell{Text: text, Tone: screen.Bad}
}

// nodeLimits is how a node holds limits; while Redis is away, since when too.
func (c *call) nodeLimits(n api.Node) screen.Cell {
	cell := screen.Cell{Text: string(n.Limits)}
	if n.Limits != api.LimitsTogether && !n.LimitsSince.IsZero() {
		cell.Text += ", " + c.Short(n.LimitsSince)
		cell.Tone = screen.Caution
	}
	return cell
}

// clockOffset is how far a node's clock is from the database's.
func clockOffset(n api.Node) screen.Cell {
	off := -time.Duration(n.ClockOffsetMs) * time.Millisecond
	cell := screen.Cell{Text: off.String()}
	if off.Abs() > 5*time.Second {
		cell.Tone = screen.Bad
	}
	if off > 0 {
		cell.Text = "+" + cell.Text
	}
	return cell
}
