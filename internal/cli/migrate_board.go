package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) migrateBoard() *cobra.Command {
	cmd := &cobra.Command{
		Use: "board", Short: "See how the move off old credentials stands", Args: exactly(),
		Long: `Shows every old credential with how far it has come and what to do next. Those with
full access or a key in the address come first.`,
		Example: examples("postern migrate board", "postern migrate board --stage both_running", "postern migrate board --json"),
		RunE:    a.remote(showBoard),
	}
	cmd.Flags().String("stage", "", "only found, path_chosen, scopes_mapped, both_running or switched_off")
	return cmd
}

func showBoard(c *call) error {
	b, err := c.Migration(c.ctx)
	if err != nil {
		return err
	}
	if stage := c.str("stage"); stage != "" {
		items := b.Items[:0]
		for _, i := range b.Items {
			if i.Stage == stage {
				items = append(items, i)
			}
		}
		b.Items = items
	}
	if c.JSON {
		return c.WriteJSON(b)
	}
	c.Printf("%d of %d switched off.\n", b.Off, b.All)
	if b.Full > 0 {
		c.Printf("%d still %s full access to the account. Start with %s.\n", b.Full, verbFor(b.Full, "has", "have"), verbFor(b.Full, "that one", "those"))
	}
	if !b.StopsAt.IsZero() {
		c.Printf("The first of them is to stop at %s.\n", c.Time(b.StopsAt))
	}
	if !b.FinishAt.IsZero() {
		c.Printf("At this pace you finish at %s.\n", c.Exact(b.FinishAt))
	}
	if len(b.Items) == 0 {
		c.Notef("There are no old credentials. Import some, or upload an inventory: postern migrate upload FILE")
		return nil
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "STAGE"}, {Title: "NEXT", Min: 20}, {Title: "CALLS/7D", Right: true, Drop: 1}, {Title: "MARKS", Drop: 2}, {Title: "ID", Drop: 3}}}
	for _, i := range b.Items {
		t.Row(i.Name, strings.ReplaceAll(i.Stage, "_", " "), i.Next, screen.Number(i.CallsWeek), strings.Join(marks(i), ", "), i.ID)
	}
	c.Printf("\n")
	c.Table(t)
	c.tellBrownouts(b.Calendar)
	return nil
}

// tellBrownouts lists the brownouts that are not over.
func (c *call) tellBrownouts(list []api.BrownoutDate) {
	t := &screen.Table{Columns: []screen.Column{{Title: "BROWNOUT OF", Min: 14}, {Title: "FROM"}, {Title: "FOR"}, {Title: "STATE"}}}
	for _, d := range list {
		if d.State != "over" {
			t.Row(d.Name, c.Exact(d.From), lasts(d.Until.Sub(d.From)), d.State)
		}
	}
	if t.Len() > 0 {
		c.Printf("\n")
		c.Table(t)
	}
}

// lasts is a length of time without its zeros: 15m, 4h.
func lasts(d time.Duration) string {
	text := d.String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}

func verbFor(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func marks(i api.MigrationItem) (out []string) {
	for _, m := range []struct {
		on   bool
		text string
	}{{i.FullAccess, "full access"}, {i.InAddress, "in the address"}, {i.Weak, "weak"}} {
		if m.on {
			out = append(out, m.text)
		}
	}
	return out
}

// item finds an item by its ID, that of its credential, or its name.
func (c *call) item(ref string) (api.MigrationItem, error) {
	if looksSecret(ref) {
		return api.MigrationItem{}, usagef("That looks like a secret, and a secret is never an argument. Name the item by its name or ID.")
	}
	if strings.HasPrefix(ref, "mig_") || isKeyID(ref) {
		i, err := c.MigrationItem(c.ctx, ref)
		if err == nil || !client.IsCode(err, "not_found") {
			return i, err
		}
	}
	b, err := c.Migration(c.ctx)
	if err != nil {
		return api.MigrationItem{}, err
	}
	found := ""
	for _, i := range b.Items {
		if i.Name == ref {
			if found != "" {
				return i, usagef("Several old credentials are named %q. Name one by its ID; see: postern migrate board", ref)
			}
			found = i.ID
		}
	}
	if found == "" {
		return api.MigrationItem{}, notFound("There is no old credential %q. See them with: postern migrate board", ref)
	}
	return c.MigrationItem(c.ctx, found)
}

func (a *app) migrateItem() *cobra.Command {
	return &cobra.Command{
		Use: "item ITEM", Short: "See one old credential, its checklist and its callers", Args: exactly("ITEM"),
		Example: examples("postern migrate item web-forms", "postern migrate item mig_01J --json"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			return c.tellItem(i)
		}),
	}
}

func (c *call) tellItem(i api.MigrationItem) error {
	if c.JSON {
		return c.WriteJSON(i)
	}
	c.Printf("%s (%s)\n%s\n\n", c.Paint(screen.Strong, screen.Clean(i.Name)), i.ID, screen.Clean(i.Next))
	for n, k := range i.Checks {
		mark := map[string]string{"done": "done", "now": "now", "todo": "to do"}[k.State]
		c.Hang(fmt.Sprintf("%d. %-5s  ", n+1, mark), k.Name+": "+k.Words)
	}
	c.Printf("\nProposed: %s.\n", strings.ReplaceAll(i.Proposal, "_", " "))
	for _, r := range i.Reasons {
		c.Hang("  ", r)
	}
	for _, n := range i.Notes {
		c.Hang("  Note: ", n.Text)
	}
	if m := i.Mapping; m != nil && len(m.Needed)+len(m.Trimmed) > 0 {
		c.Hang("", fmt.Sprintf("It needs %s: %s", screen.Count(len(m.Needed), "scope"), strings.Join(m.Needed, ", ")))
		if len(m.Trimmed) > 0 {
			c.Printf("It holds and doesn't need %s.\n", screen.Count(len(m.Trimmed), "scope"))
		}
		if len(m.Unknown) > 0 {
			c.Hang("", fmt.Sprintf("Nothing translates these old names: %s. See: postern migrate scope-names --help", strings.Join(m.Unknown, ", ")))
		}
	}
	if len(i.Callers) > 0 {
		c.Printf("\n")
		t := &screen.Table{Columns: []screen.Column{{Title: "CALLER", Min: 12}, {Title: "CLIENT", Min: 12}, {Title: "NOW"}, {Title: "OLD", Right: true}, {Title: "NEW", Right: true}, {Title: "LAST ON OLD", Drop: 1}}}
		for _, r := range i.Callers {
			tone := map[string]screen.Tone{"old": screen.Bad, "both": screen.Bad, "unsure": screen.Caution, "quiet": screen.Caution, "moved": screen.Good}[r.State]
			last := ""
			if !r.OldLastAt.IsZero() {
				last = c.Short(r.OldLastAt)
			}
			t.Row(r.IP, r.UserAgent, screen.Cell{Text: r.State, Tone: tone}, screen.Number(r.OldCalls), screen.Number(r.NewCalls), last)
		}
		c.Table(t)
	}
	c.Printf("\n")
	for _, g := range i.Gate.Conditions {
		c.Printf("[%s] %s\n", map[bool]string{true: "x", false: " "}[g.Met], screen.Clean(g.Words))
	}
	return nil
}

func (a *app) migrateReport() *cobra.Command {
	return &cobra.Command{
		Use: "report", Short: "Write the report of the whole migration as CSV", Args: exactly(),
		Example: examples("postern migrate report > migration.csv"),
		RunE:    a.remote(func(c *call) error { return c.MigrationReport(c.ctx, c.Out) }),
	}
}
