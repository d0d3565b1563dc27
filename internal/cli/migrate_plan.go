package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) migrate() *cobra.Command {
	cmd := group("migrate", "Move old credentials to service keys", `Old credentials are API keys that could do everything, and apps whose makers left. Find
out what each does, and what should take its place; run old and new side by side; and
switch the old one off once nobody uses it.`)
	cmd.AddCommand(a.migrateBoard(), a.migrateItem(), a.migratePath(), a.migrateScopes(), a.migrateKey(), a.migrateShadow(), a.migrateBrownout(),
		a.migrateSignOff(), a.migrateEnd("archive", "Switch an old credential off: pause it for 3 days", "switch off", "Its calls are refused. It can be brought back for 3 days.", (*call).archive),
		a.migrateEnd("undo", "Bring an old credential back", "bring back", "It works again, as before.", (*call).undo),
		a.migrateEnd("end", "End an old credential for good", "end", "It never works again.", (*call).endItem),
		a.migrateOwner(), a.migrateReport(), a.migrateUpload(), a.migrateNames())
	cmd.AddCommand(a.migrateCredentials()...)
	return cmd
}

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
		c.Printf("%d still %s full access to the account. Start with those.\n", b.Full, verbFor(b.Full, "has", "have"))
	}
	if !b.StopsAt.IsZero() {
		c.Printf("The first of the old ones stops at %s.\n", c.Time(b.StopsAt))
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
	for _, d := range b.Calendar {
		if d.State != "over" {
			c.Printf("Brownout of %s: %s to %s (%s)\n", screen.Clean(d.Name), c.Exact(d.From), c.Exact(d.Until), d.State)
		}
	}
	return nil
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
		c.Printf("%d. %-5s  %s: %s\n", n+1, mark, screen.Clean(k.Name), screen.Clean(k.Words))
	}
	c.Printf("\nProposed: %s.\n", i.Proposal)
	for _, r := range i.Reasons {
		c.Printf("  %s\n", screen.Clean(r))
	}
	for _, n := range i.Notes {
		c.Printf("  Note: %s\n", screen.Clean(n.Text))
	}
	if m := i.Mapping; m != nil && len(m.Needed)+len(m.Trimmed) > 0 {
		c.Printf("It needs %s: %s\n", screen.Count(len(m.Needed), "scope"), strings.Join(m.Needed, ", "))
		if len(m.Trimmed) > 0 {
			c.Printf("It holds and doesn't need %s.\n", screen.Count(len(m.Trimmed), "scope"))
		}
		if len(m.Unknown) > 0 {
			c.Printf("Nothing translates these old names: %s. See: postern migrate scope-names --help\n", screen.Clean(strings.Join(m.Unknown, ", ")))
		}
	}
	if len(i.Callers) > 0 {
		c.Printf("\n")
		t := &screen.Table{Columns: []screen.Column{{Title: "CALLER", Min: 12}, {Title: "CLIENT", Min: 12}, {Title: "NOW"}, {Title: "OLD", Right: true}, {Title: "NEW", Right: true}, {Title: "LAST ON OLD", Drop: 1}}}
		for _, r := range i.Callers {
			tone := screen.Good
			if r.State == "old" || r.State == "both" {
				tone = screen.Bad
			}
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
	c.Printf("%s Next: %s\n", done, screen.Clean(i.Next))
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
		c.Printf("%s to %s\n", c.Exact(b.From), c.Exact(b.Until))
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

func (a *app) migrateOwner() *cobra.Command {
	return &cobra.Command{
		Use: "owner ITEM MEMBER", Short: "Say who looks after the move of an old credential", Args: exactly("ITEM", "MEMBER"),
		Long:    "Names the member, by their ID, who looks after the move; reminders go to them.",
		Example: examples("postern migrate owner web-forms mem_01J"),
		RunE: a.remote(func(c *call) error {
			i, err := c.item(c.args[0])
			if err != nil {
				return err
			}
			out, err := c.ChooseOwner(c.ctx, i.ID, api.ChooseOwner{MemberID: c.args[1]})
			if err != nil {
				return err
			}
			return c.tellNext(out, "They get its reminders.")
		}),
	}
}

func (a *app) migrateReport() *cobra.Command {
	return &cobra.Command{
		Use: "report", Short: "Write the report of the whole migration as CSV", Args: exactly(),
		Example: examples("postern migrate report > migration.csv"),
		RunE:    a.remote(func(c *call) error { return c.MigrationReport(c.ctx, c.Out) }),
	}
}

func (a *app) migrateUpload() *cobra.Command {
	return &cobra.Command{
		Use: "upload FILE", Short: "Upload what an inventory of access logs found", Args: exactly("FILE"),
		Long: `Uploads what "postern migrate inventory --json" printed: - reads the standard input. Old
credentials are found again by their fingerprints; no secret is in the file.`,
		Example: examples("postern migrate inventory --openapi crm.yaml access.log --json > found.json", "postern migrate upload found.json"),
		RunE: a.remote(func(c *call) error {
			in, err := readInventory(c)
			if err != nil {
				return err
			}
			out, err := c.UploadInventory(c.ctx, in)
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(out)
			}
			c.Printf("Uploaded %s; %d of them imported before.\n", screen.Count(out.Items, "old credential"), out.Matched)
			return nil
		}),
	}
}

// maxInventory is the largest file that is read.
const maxInventory = 16 << 20

func readInventory(c *call) (in api.UploadInventory, err error) {
	var r io.Reader = c.cmd.InOrStdin()
	if c.args[0] != "-" {
		f, err := os.Open(c.args[0])
		if err != nil {
			return in, usagef("The file can't be read: %v", err)
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxInventory+1))
	if err != nil || len(data) > maxInventory {
		return in, usagef("The file can't be read, or has more than %d MB.", maxInventory>>20)
	}
	var items []api.InventoryItem
	if err := json.Unmarshal(data, &items); err != nil {
		return in, usagef("This is no inventory: make one with: postern migrate inventory FILE --json")
	}
	for _, i := range items {
		if i.Fingerprint == "" {
			c.Notef("Left out %q: the log only names it, and so nobody can tell which credential it is.", i.Name)
			continue
		}
		in.Items = append(in.Items, i)
	}
	return in, nil
}

func (a *app) migrateNames() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scope-names [NAME]", Short: "See or set what old names of scopes stand for", Args: atMost("NAME"),
		Long: `Old apps hold broad scopes, such as contacts. This says which scopes of today each stands
for. Only the server's operator can change it.`,
		Example: examples("postern migrate scope-names", "postern migrate scope-names contacts --scope 'crm.objects.contacts.*'", "postern migrate scope-names contacts --reset"),
		RunE:    a.remote(scopeNames),
	}
	cmd.Flags().StringSlice("scope", nil, "a scope or a pattern; again for more")
	cmd.Flags().Bool("reset", false, "take back what was said of it")
	return cmd
}

func scopeNames(c *call) error {
	switch {
	case len(c.args) == 1 && c.on("reset"):
		if err := c.ResetLegacyScope(c.ctx, c.args[0]); err != nil {
			return err
		}
	case len(c.args) == 1 && c.given("scope"):
		if _, err := c.SetLegacyScope(c.ctx, c.args[0], c.list("scope")); err != nil {
			return err
		}
	case len(c.args) == 1 || c.given("scope") || c.on("reset"):
		return usagef("Name one, and say what it stands for: postern migrate scope-names NAME --scope SCOPE")
	}
	out, err := c.LegacyScopes(c.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME"}, {Title: "STANDS FOR", Min: 30}, {Title: "SET BY", Drop: 1}}}
	for _, n := range out.Items {
		t.Row(n.Name, strings.Join(n.Scopes, ", "), map[bool]string{true: "Postern", false: "operator"}[n.Builtin])
	}
	c.Table(t)
	return nil
}
