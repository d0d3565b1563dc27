package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) advice() *cobra.Command {
	cmd := &cobra.Command{
		Use: "advice", Short: "See what could be better about your keys", Args: exactly(),
		Long: `Shows the account's score and what to do about it, most points first: access that
no call needed, keys that never end or that nobody uses, and more. "postern keys
advice KEY" tells all about one key, and makes the fix.`,
		Example: examples("postern advice", "postern advice --json | jq '.items[] | select(.kind == \"unused_scopes\")'"),
		RunE:    a.remote(accountAdvice),
	}
	cmd.Flags().Bool("all", false, "show what was put aside too")
	return cmd
}

func accountAdvice(c *call) error {
	out, err := waiting(c, "Looking at the keys…", func() (api.AccountAdvice, error) { return c.Advice(c.ctx) })
	// Each answer takes a bounded time; what it read is remembered by the next.
	for tries := 0; err == nil && !out.Complete && tries < 20; tries++ {
		out, err = waiting(c, fmt.Sprintf("Looked at %d of %d keys…", out.Keys, out.AllKeys), func() (api.AccountAdvice, error) { return c.Advice(c.ctx) })
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.Printf("Score %s of 100, over %s.\n", strconv.FormatFloat(out.Score, 'f', 1, 64), screen.Count(out.Keys, "key"))
	t := &screen.Table{Columns: []screen.Column{{Title: "KEY", Min: 14}, {Title: "WHAT", Min: 24}, {Title: "FIX", Min: 20, Drop: 1}, {Title: "POINTS", Right: true}, {Title: "KIND", Drop: 2}}}
	aside := 0
	for _, x := range out.Items {
		if !x.DismissedAt.IsZero() && !c.on("all") {
			aside++
			continue
		}
		t.Row(x.KeyName, x.Title, x.FixWords, strconv.Itoa(x.Points), x.Kind)
	}
	if t.Len() > 0 {
		c.Printf("\n")
		c.Table(t)
	} else {
		c.Notef("There is nothing to do.")
	}
	if aside > 0 {
		c.Notef("%d more were put aside. Show them with --all.", aside)
	}
	if out.Waiting > 0 {
		c.Notes("Of " + screen.Count(out.Waiting, "key") + " there are under 14 days of history: nothing is said yet of what they don't need.")
	}
	if !out.Complete {
		c.Notef("Only %d of %d keys were looked at so far. Ask again.", out.Keys, out.AllKeys)
	}
	return nil
}

var adviceKinds = []string{"idle_key", "unused_scopes", "write_never_used", "narrower_scope", "no_expiry", "no_ip_list", "old_secret", "maker_rights", "no_current_holder"}

func (a *app) keysAdvice() *cobra.Command {
	cmd := &cobra.Command{
		Use: "advice KEY", Short: "See which scopes a service key needs, and what could go", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Shows which scopes a service key's calls of the last 90 days needed, and what
could be better about the key. --apply makes a fix; "postern keys undo" takes it
back within ten minutes. --dismiss puts advice aside, --take-up takes it up again.`,
		Example: examples("postern keys advice nightly-deals-sync", "postern keys advice nightly-deals-sync --apply unused_scopes --yes",
			"postern keys undo nightly-deals-sync"),
		RunE: a.remote(keyAdvice),
	}
	f := cmd.Flags()
	f.String("apply", "", "make the fix of this kind of advice")
	f.String("dismiss", "", "put this kind of advice aside")
	f.String("take-up", "", "take up again what was put aside")
	for _, name := range []string{"apply", "dismiss", "take-up"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(adviceKinds, cobra.ShellCompDirectiveNoFileComp))
	}
	asks(cmd)
	return cmd
}

func keyAdvice(c *call) error {
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	for _, flag := range []string{"dismiss", "take-up"} {
		if kind := c.str(flag); kind != "" {
			if err := c.DismissAdvice(c.ctx, k.ID, kind, flag == "take-up"); err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(map[string]string{"id": k.ID, "kind": kind})
			}
			c.Printf("%s\n", map[string]string{"dismiss": "Put aside.", "take-up": "Taken up again."}[flag])
			return nil
		}
	}
	out, err := waiting(c, "Looking at the calls…", func() (api.KeyAdvice, error) { return c.KeyAdvice(c.ctx, k.ID) })
	if err != nil {
		return err
	}
	if kind := c.str("apply"); kind != "" {
		return c.applyAdvice(k, out, kind)
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.tellAdvice(out)
	return nil
}

func (c *call) applyAdvice(k api.ServiceKey, all api.KeyAdvice, kind string) error {
	for _, x := range all.Items {
		if x.Kind != kind {
			continue
		}
		ok, err := c.sure(act{Verb: "change", Object: theKey(k), ID: k.ID, Name: k.Name, Then: x.FixWords + " " + x.Evidence})
		if !ok || err != nil {
			return err
		}
		out, err := waiting(c, "Changing the key…", func() (api.ChangedKey, error) {
			return c.ApplyAdvice(c.ctx, k.ID, kind, client.IfRevision(all.Revision))
		})
		if err != nil {
			return err
		}
		return c.changed(out, "Done. Take it back within 10 minutes with:\n  postern keys undo "+idOr(k.Name, k.ID), inForce)
	}
	return notFound("There is no advice %s on %s.", quoted(kind), theKey(k))
}

var scopeStates = map[string]string{"in_use": "in use", "unused": "never used", "too_new": "new: wait", "unknown": "too early to say", "replace": "a narrower one would do", "not_counted": "not counted"}

func (c *call) tellAdvice(out api.KeyAdvice) {
	c.Printf("Score %d of 100. %s calls of the last %s were looked at.\n", out.Score, screen.Number(out.Calls), screen.Count(out.Days, "day"))
	if out.Wait {
		c.Printf("We have watched for %s. Wait until 14 for a fair picture.\n", screen.Count(out.Days, "day"))
	}
	if len(out.Scopes) > 0 {
		t := &screen.Table{Columns: []screen.Column{{Title: "SCOPE", Min: 20}, {Title: "STATE"}, {Title: "CALLS", Right: true, Drop: 2}, {Title: "LAST NEEDED", Drop: 1}}}
		for _, s := range out.Scopes {
			state, last := scopeStates[s.State], "never"
			if s.State == "idle" {
				state = "idle " + screen.Count(s.IdleDays, "day")
			}
			if !s.Last.IsZero() {
				last = c.Short(s.Last)
			}
			t.Row(s.Scope, state, screen.Number(s.Calls), last)
		}
		c.Printf("\n")
		c.Table(t)
	}
	for _, x := range out.Items {
		aside := ""
		if !x.DismissedAt.IsZero() {
			aside = " (put aside " + c.Short(x.DismissedAt) + ")"
		}
		c.Printf("\n%s%s: %s, %s\n", screen.Clean(x.Title), aside, x.Kind, screen.Count(x.Points, "point"))
		for _, line := range []string{x.Evidence, x.FixWords} {
			for _, l := range screen.Wrap(screen.Clean(line), helpWidth-2) {
				c.Printf("  %s\n", l)
			}
		}
	}
	if out.Watch != nil {
		c.Printf("\nA narrowing is being tried since %s. See: postern keys watch %s\n", c.Short(out.Watch.Since), idOr(out.KeyName, out.KeyID))
	}
	if !out.Undo.IsZero() {
		c.Notef("The latest narrowing can be taken back until %s.", c.Exact(out.Undo))
	}
}

func (a *app) catalogWhatIf() *cobra.Command {
	cmd := &cobra.Command{
		Use: "what-if FILE… --upstream ID", Short: "Ask which calls a new catalog would refuse", Args: atLeast("FILE"),
		Long: `Judges the calls that the account's keys made by OpenAPI documents that are not in
force yet, and tells which of them would be refused. Nothing is changed.`,
		Example: examples("postern catalog what-if crm.yaml --upstream crm", "postern catalog what-if crm.yaml --upstream crm --days 30 --json"),
		RunE: a.remote(func(c *call) error {
			in, err := c.documents()
			if err != nil {
				return err
			}
			return c.tellReplay("", func(after int64) (api.Replay, error) {
				return c.CatalogWhatIf(c.ctx, c.str("upstream"), api.CatalogWhatIf{CatalogLoad: in, ReplaySpan: c.replaySpan(after)})
			})
		}),
	}
	f := cmd.Flags()
	f.String("upstream", "", "the upstream that the documents describe")
	f.String("overlay", "", "your own file, which stands above the documents")
	f.String("scopes", "", "any: the scopes inside one security requirement are alternatives; all: all are needed")
	f.String("base-path", "", "what stands for the paths of all servers that the documents name")
	f.Int("days", 7, "how many days of calls to judge, at most 90")
	_ = cmd.RegisterFlagCompletionFunc("upstream", a.completeUpstreamFlag)
	_ = cmd.RegisterFlagCompletionFunc("scopes", cobra.FixedCompletions([]string{"any", "all"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (c *call) replaySpan(after int64) api.ReplaySpan {
	return api.ReplaySpan{Days: c.number("days"), After: after, Wait: "5s"}
}

// tellReplay asks until all calls are judged, tells how far it is, and then what would fail.
func (c *call) tellReplay(key string, ask func(after int64) (api.Replay, error)) error {
	spin := c.Spin("Judging the calls…")
	out, err := client.WholeReplay(ask, func(r api.Replay) {
		spin.Say("Judged " + screen.Number(r.Looked) + " calls, until " + c.Short(r.Reached) + "…")
	})
	spin.Stop()
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.Printf("%s of %s calls would fail.\n", screen.Number(out.Fails), screen.Number(out.Looked))
	if len(out.Items) > 0 {
		t := &screen.Table{Columns: []screen.Column{{Title: "CALLS", Right: true}, {Title: "OPERATION", Min: 20}, {Title: "WHY", Min: 18}, {Title: "FROM", Drop: 1}, {Title: "CLIENT", Drop: 3}, {Title: "LAST", Drop: 2}}}
		if key == "" {
			t.Columns = append(t.Columns, screen.Column{Title: "KEY", Drop: 4})
		}
		for _, f := range out.Items {
			why := f.Reason
			if len(f.MissingScopes) > 0 {
				why = "needs " + strings.Join(f.MissingScopes, ", ")
			}
			row := []any{screen.Number(f.Calls), strings.TrimSpace(f.Method + " " + f.Operation), why, f.IP, f.UserAgent, c.Short(f.Last)}
			if key == "" {
				row = append(row, f.KeyID)
			}
			t.Row(row...)
		}
		c.Printf("\n")
		c.Table(t)
	}
	for _, x := range []struct {
		n    int64
		text string
	}{{out.Others, "%s more would fail, of more callers than are told apart."}, {out.Already, "%s are refused already as things are now."},
		{out.Refused, "%s were refused when they were made."}, {out.Unjudged, "Of %s the record says too little to tell."}} {
		if x.n > 0 {
			c.Notef(x.text, screen.Number(x.n))
		}
	}
	return nil
}
