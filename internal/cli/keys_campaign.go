package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) keysRotateMany() *cobra.Command {
	cmd := group("rotate-many", "Have many keys rotated by a date", `Asks for many keys to be rotated by a date: whoever looks after a key is told, and
reminded as the date comes. Each person rotates their own keys and is shown the new
secrets; or you rotate all that you may with "run", into one file.`)
	cmd.AddCommand(a.campaignStart(), a.campaignList(), a.campaignShow(), a.campaignRun(), a.campaignClose(), a.campaignReport())
	return cmd
}

func (a *app) campaignStart() *cobra.Command {
	cmd := &cobra.Command{
		Use: "start NAME [KEY…]", Short: "Choose keys and a date, and tell their people", Args: atLeast("NAME"), ValidArgsFunction: a.completeKeys,
		Long: `Chooses keys by their names or ids, or by what each flag says; with several flags,
those that all of them match. --dry-run lists them, with why some can't be rotated.`,
		Example: examples(`postern keys rotate-many start "Quarterly" --older 90d --by 2026-12-04 --dry-run`,
			`postern keys rotate-many start "Kim leaves" --made-by mem_01J --by 14d --words "Ask Ada."`,
			`postern keys rotate-many start "Two of them" --by 7d nightly-deals-sync web-forms`),
		RunE: a.remote(startCampaign),
	}
	f := cmd.Flags()
	f.String("by", "", "the date: 14d, 2026-12-04")
	f.String("words", "", "what their people are told besides")
	f.String("made-by", "", "keys that this member made (a member's id)")
	f.String("name", "", "keys whose name has this in it")
	f.String("scope", "", "keys that hold this scope")
	f.String("older", "", "keys that have had their secret for so long: 90d")
	f.Bool("all", false, "every key")
	f.BoolP("yes", "y", false, "don't ask; needed where there is no terminal")
	f.Bool("dry-run", false, "list the keys, and change nothing")
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	return cmd
}

func startCampaign(c *call) error {
	in := api.NewCampaign{Name: c.args[0], Words: c.str("words"), Choose: api.CampaignChoice{MadeBy: c.str("made-by"), Name: c.str("name"), Scope: c.str("scope"), All: c.on("all")}}
	var err error
	if in.Choose.OlderThan, err = c.spanFlag("older"); err != nil {
		return err
	}
	for _, ref := range c.args[1:] {
		k, err := c.key(ref)
		if err != nil {
			return err
		}
		in.Choose.KeyIDs = append(in.Choose.KeyIDs, k.ID)
	}
	if c.str("by") == "" && !c.on("dry-run") {
		return usagef("Say by when: --by 14d, or --by 2026-12-04.")
	}
	if c.str("by") != "" {
		if in.Deadline, err = c.when("by", c.str("by")); err != nil {
			return err
		}
	}
	found, err := c.ChooseCampaign(c.ctx, in.Choose)
	if err != nil {
		return err
	}
	if c.on("dry-run") && c.JSON {
		return c.WriteJSON(found)
	}
	if c.on("dry-run") || !c.on("yes") && !c.JSON {
		c.tellCandidates(found)
	}
	if c.on("dry-run") {
		c.Printf("%s would be asked for. Nothing was changed.\n", screen.Count(found.Chosen, "key"))
		return nil
	}
	ok, err := c.sure(act{Verb: "ask for the rotation of", Object: screen.Count(found.Chosen, "key"), Name: in.Name, Then: "Those who look after them are told, and reminded until " + c.Exact(in.Deadline) + "."})
	if !ok || err != nil {
		return err
	}
	out, _, err := once(c.ctx, func(key client.RequestOption) (api.Campaign, error) { return c.StartCampaign(c.ctx, in, key) })
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.Printf("Started %s (%s).\n", quoted(out.Name), out.ID)
	c.Printf("%s to be rotated by %s.\n", screen.Count(out.All, "key"), c.Exact(out.Deadline))
	return nil
}

func (c *call) tellCandidates(found api.CampaignCandidates) {
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "SECRET SINCE"}, {Title: "LOOKED AFTER BY", Min: 12}, {Title: "LEFT OUT, OR FIRST", Min: 20}, {Title: "ID", Drop: 1}}}
	for _, k := range found.Items {
		cell := screen.Cell{Text: k.Note, Tone: screen.Caution}
		if k.Why != "" {
			cell = screen.Cell{Text: "Left out: " + k.Why, Tone: screen.Faint}
		}
		t.Row(k.Name, c.Short(k.SecretMadeAt), people(k.LookedAfterBy), cell, k.ID)
	}
	c.Table(t)
}

// people are the first of some people by name, and how many more there are.
func people(list []api.Person) string {
	names := []string{}
	for _, p := range list[:min(len(list), 2)] {
		names = append(names, p.Name)
	}
	out := strings.Join(names, ", ")
	if more := len(list) - 2; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}

func (a *app) campaignList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List them, the newest first", Args: exactly(),
		Example: examples("postern keys rotate-many list"),
		RunE: a.remote(func(c *call) error {
			page, err := c.Campaigns(c.ctx, client.Paging{Limit: 200})
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(page.Items))
			}
			if len(page.Items) == 0 {
				c.Notes("There are none. Start one with: postern keys rotate-many start NAME --older 90d --by 14d")
				return nil
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "DONE"}, {Title: "OVERDUE", Right: true}, {Title: "BY"}, {Title: "STATE"}, {Title: "ID", Drop: 1}}}
			for _, x := range page.Items {
				t.Row(x.Name, fmt.Sprintf("%d of %d", x.All-x.Left, x.All), screen.Number(int64(x.Counts.Overdue)), c.Short(x.Deadline), map[bool]string{true: "open", false: "closed"}[x.ClosedAt.IsZero()], x.ID)
			}
			c.Table(t)
			return nil
		}),
	}
}

// campaign finds a campaign by its ID or its name; of several of one name the one that is open.
func (c *call) campaign(ref string) (api.Campaign, error) {
	if strings.HasPrefix(ref, "cmp_") {
		return c.Campaign(c.ctx, ref)
	}
	page, err := c.Campaigns(c.ctx, client.Paging{Limit: 200})
	if err != nil {
		return api.Campaign{}, err
	}
	found := ""
	for _, x := range page.Items {
		if x.Name == ref && (found == "" || x.ClosedAt.IsZero()) {
			found = x.ID
		}
	}
	if found == "" {
		return api.Campaign{}, notFound(`There is no rotation of many named %s. See: postern keys rotate-many list`, quoted(ref))
	}
	return c.Campaign(c.ctx, found)
}

func (a *app) campaignShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CAMPAIGN", Short: "See how its keys stand, and who still uses old secrets", Args: exactly("CAMPAIGN"),
		Example: examples("postern keys rotate-many show Quarterly"),
		RunE: a.remote(func(c *call) error {
			x, err := c.campaign(c.args[0])
			if err != nil {
				return err
			}
			return c.tellCampaign(x)
		}),
	}
}

func (c *call) tellCampaign(x api.Campaign) error {
	if c.JSON {
		return c.WriteJSON(x)
	}
	c.Printf("%s (%s)\n", c.Paint(screen.Strong, screen.Clean(x.Name)), x.ID)
	c.Printf("%d of %d done, by %s.\n", x.All-x.Left, x.All, c.Exact(x.Deadline))
	if x.Counts.Overdue > 0 {
		c.Printf("%s overdue.\n", screen.Count(x.Counts.Overdue, "key"))
	}
	if x.Lost > 0 {
		c.Printf("Removed from its record outside of Postern: %s. Start a new campaign.\n", screen.Count(x.Lost, "key"))
	}
	if !x.ClosedAt.IsZero() {
		c.Printf("Closed at %s.\n", c.Exact(x.ClosedAt))
	}
	c.Printf("\n")
	tones := map[string]screen.Tone{"waiting": screen.Caution, "rotating": screen.Caution, "overdue": screen.Bad, "done": screen.Good, "ended": screen.Faint}
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "STATE"}, {Title: "ON THE OLD SECRET", Min: 12}, {Title: "LOOKED AFTER BY", Min: 12, Drop: 1}, {Title: "ID", Drop: 2}}}
	for _, k := range x.Keys {
		on := strings.Join(k.Callers, ", ")
		if more := k.Still - len(k.Callers); more > 0 {
			on += fmt.Sprintf(" and %d more", more)
		}
		t.Row(k.Name, screen.Cell{Text: k.State, Tone: tones[k.State]}, on, people(k.LookedAfterBy), k.ID)
	}
	c.Table(t)
	return nil
}

func (a *app) campaignClose() *cobra.Command {
	cmd := &cobra.Command{
		Use: "close CAMPAIGN", Short: "End it: nobody is reminded any more", Args: exactly("CAMPAIGN"),
		Example: examples(`postern keys rotate-many close Quarterly --why "The rest is retired next week."`),
		RunE: a.remote(func(c *call) error {
			x, err := c.campaign(c.args[0])
			if err != nil {
				return err
			}
			if x, err = c.CloseCampaign(c.ctx, x.ID, c.str("why")); err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(x)
			}
			c.Printf("Closed %s: %d of %d done.\n", quoted(x.Name), x.All-x.Left, x.All)
			return nil
		}),
	}
	cmd.Flags().String("why", "", "why, for those who ask later")
	return cmd
}

func (a *app) campaignReport() *cobra.Command {
	return &cobra.Command{
		Use: "report CAMPAIGN", Short: "Write how its keys stand as CSV", Args: exactly("CAMPAIGN"),
		Example: examples("postern keys rotate-many report Quarterly > rotated.csv"),
		RunE: a.remote(func(c *call) error {
			x, err := c.campaign(c.args[0])
			if err != nil {
				return err
			}
			return c.CampaignReport(c.ctx, x.ID, c.Out)
		}),
	}
}

func (a *app) campaignRun() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run CAMPAIGN --secrets-out FILE", Short: "Rotate all of its keys that wait and that you may", Args: exactly("CAMPAIGN"),
		Long: `Rotates each key that waits, one after the other, and writes each new secret to a new
file that only you can read, as it comes: CSV with name, id, secret and when the
old one ends. The secrets are shown nowhere else. A key whose scopes you don't hold is
left to those who do. Where it breaks off, run it again with another file: keys that
were rotated are left alone.`,
		Example: examples("postern keys rotate-many run Quarterly --secrets-out new-secrets.csv --grace 7d"),
		RunE:    a.remote(runCampaign),
	}
	f := cmd.Flags()
	f.String("secrets-out", "", "the new file for the secrets")
	f.String("grace", "7d", "how long the old secrets work on: up to 30d")
	asks(cmd)
	return cmd
}

func runCampaign(c *call) error {
	grace, ok := parseSpan(c.str("grace"))
	switch {
	case !ok || grace <= 0:
		return usagef("--grace can't be %q. Write a span, such as 24h or 7d.", short(c.str("grace")))
	case c.str("secrets-out") == "":
		return usagef("Name a new file for the secrets: --secrets-out FILE")
	}
	x, err := c.campaign(c.args[0])
	if err != nil {
		return err
	}
	var todo []api.CampaignKey
	for _, k := range x.Keys {
		// One that is overdue may have its new secret already.
		if (k.State == "waiting" || k.State == "overdue") && k.RotatedAt.IsZero() {
			todo = append(todo, k)
		}
	}
	if len(todo) == 0 {
		c.Notef("No key of it waits for its new secret.")
		return nil
	}
	ok, err = c.sure(act{Verb: "rotate", Object: screen.Count(len(todo), "key"), ID: x.ID, Name: x.Name, Then: "Their old secrets work until " + c.Exact(c.Now().Add(grace)) + "."})
	if !ok || err != nil {
		return err
	}
	file, err := newSecretFile(c.str("secrets-out"))
	if err != nil {
		return err
	}
	return c.rotateMany(todo, grace, file)
}

// manyResult is what became of the keys of a run, without their secrets.
type manyResult struct {
	Rotated int        `json:"rotated"`
	Failed  []manyFail `json:"failed"`
	File    string     `json:"file"`
}

type manyFail struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// rotateMany rotates keys one by one; each secret is on the disk before the next is made.
func (c *call) rotateMany(todo []api.CampaignKey, grace time.Duration, file *secretFile) error {
	out := manyResult{Failed: []manyFail{}, File: file.f.Name()}
	table := csv.NewWriter(file.f)
	write := func(row ...string) error {
		err := table.Write(row)
		table.Flush()
		return errors.Join(err, table.Error(), file.f.Sync())
	}
	if err := write("name", "id", "secret", "old_secret_ends_at"); err != nil {
		return err
	}
	spin := c.Spin("Rotating…")
	defer spin.Stop()
	for i, k := range todo {
		spin.Say(fmt.Sprintf("Rotating %d of %d…", i+1, len(todo)))
		made, _, err := once(c.ctx, func(key client.RequestOption) (api.ChangedKey, error) {
			return c.RotateServiceKey(c.ctx, k.ID, api.Rotate{Grace: grace.String()}, key)
		})
		if c.ctx.Err() != nil {
			err = c.ctx.Err()
		}
		if err == nil && made.Secret == "" {
			err = errorf("Its secret was not shown. Rotate it again.")
		}
		if err != nil && made.Secret == "" {
			out.Failed = append(out.Failed, manyFail{k.ID, k.Name, err.Error()})
			if c.ctx.Err() != nil {
				break
			}
			continue
		}
		if err := write(plainCell(k.Name), k.ID, made.Secret, oldEnds(made).UTC().Format(time.RFC3339)); err != nil {
			// Where it can't be kept it is shown, or it would be lost.
			c.Printf("%s\n%s\n", quoted(k.Name), made.Secret)
			return fmt.Errorf("write %s: %w", out.File, err)
		}
		out.Rotated++
	}
	spin.Stop()
	if out.Rotated == 0 {
		file.drop()
		out.File = ""
	} else if err := file.f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", out.File, err)
	}
	return c.tellMany(out)
}

func (c *call) tellMany(out manyResult) error {
	if c.JSON {
		if err := c.WriteJSON(out); err != nil {
			return err
		}
	} else {
		c.Printf("Rotated %s.\n", screen.Count(out.Rotated, "key"))
		if out.File != "" {
			c.Printf("Their new secrets are in %s, and nowhere else.\n", out.File)
		}
		for _, f := range out.Failed {
			c.Text("Not rotated: " + quoted(f.Name) + ": " + f.Why)
		}
	}
	if len(out.Failed) > 0 {
		return exit(ExitConflict, errorf("%s %s not rotated.", screen.Count(len(out.Failed), "key"), verbFor(len(out.Failed), "was", "were")))
	}
	return nil
}

// oldEnds is when the secret before the new one ends.
func oldEnds(k api.ChangedKey) (end time.Time) {
	for _, s := range k.Secrets {
		if !s.Current {
			end = s.EndsAt
		}
	}
	return end
}

// plainCell keeps a cell from being taken for a formula.
func plainCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
