package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// narrowFlags say what a key shall be, for commands that narrow it or ask what that would do.
func (a *app) narrowFlags(cmd *cobra.Command, f *pflag.FlagSet) {
	f.StringSlice("remove", nil, "without this scope; may be repeated")
	f.StringSlice("scope", nil, "with these scopes and no others; empty: none")
	f.StringSlice("network", nil, "only from here (203.0.113.7, 2001:db8::/32); may be repeated")
	f.String("expires", "", "with an earlier end: a span (90d), a day or a time (2027-01-31)")
	for _, name := range []string{"remove", "scope"} {
		_ = cmd.RegisterFlagCompletionFunc(name, a.completeScopes)
	}
}

// narrowed is what the flags ask of a key.
func (c *call) narrowed(k api.ServiceKey) (in api.Narrow, err error) {
	switch {
	case c.given("scope") && c.given("remove"):
		return in, usagef("--scope and --remove can't stand together.")
	case c.given("scope"):
		scopes := append([]string{}, c.list("scope")...)
		in.Scopes = &scopes
	case c.given("remove"):
		remove := c.list("remove")
		for _, s := range remove {
			if !slices.Contains(k.Scopes, s) {
				return in, notFound("The key %s doesn't have the scope %s.", quoted(k.Name), short(s))
			}
		}
		scopes := slices.DeleteFunc(append([]string{}, k.Scopes...), func(s string) bool { return slices.Contains(remove, s) })
		in.Scopes = &scopes
	}
	if c.given("network") {
		nets := c.list("network")
		if len(nets) == 0 {
			return in, usagef("--network is empty. To let the key be used from everywhere, see \"postern keys edit --help\".")
		}
		in.Networks = &nets
	}
	if c.given("expires") {
		if in.ExpiresAt, err = c.when("expires", c.str("expires")); err != nil {
			return in, err
		}
	}
	if in.Scopes == nil && in.Networks == nil && in.ExpiresAt.IsZero() {
		return in, usagef("Say what to take away: --remove, --scope, --network or --expires. See %q.", c.cmd.CommandPath()+" --help")
	}
	return in, nil
}

func (a *app) keysWhatIf() *cobra.Command {
	cmd := &cobra.Command{
		Use: "what-if KEY", Short: "Ask which calls a narrower service key would refuse", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Judges the calls that were made with a key by other scopes, networks or another
end, and tells which of them would be refused. Nothing is changed. Calls are
judged as if they came again: those of the last 7 days in the next 7.`,
		Example: examples("postern keys what-if nightly-deals-sync --remove crm.objects.deals.write",
			"postern keys what-if nightly-deals-sync --network 203.0.113.0/24 --days 30"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			in, err := c.narrowed(k)
			if err != nil {
				return err
			}
			ask := api.WhatIf{Scopes: in.Scopes, Networks: in.Networks}
			if !in.ExpiresAt.IsZero() {
				ask.ExpiresAt = api.Set(in.ExpiresAt)
			}
			until := time.Now().UTC().Truncate(time.Microsecond)
			return c.tellReplay(k.ID, func(after int64) (api.Replay, error) {
				ask.ReplaySpan = c.replaySpan(after)
				ask.Until = until
				return c.WhatIf(c.ctx, k.ID, ask)
			})
		}),
	}
	a.narrowFlags(cmd, cmd.Flags())
	cmd.Flags().Int("days", 7, "how many days of calls to judge, at most 90")
	return cmd
}

func (a *app) keysNarrow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "narrow KEY", Short: "Take something away from a service key, or try that first", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Takes scopes, networks or life away from a service key. It can be taken back
within ten minutes with "postern keys undo".

With --watch nothing is refused yet: what would be is recorded, and "postern keys
watch" shows it. "postern keys enforce" then makes it count.`,
		Example: examples("postern keys narrow nightly-deals-sync --remove crm.objects.deals.write --watch",
			"postern keys watch nightly-deals-sync", "postern keys enforce nightly-deals-sync", "postern keys undo nightly-deals-sync"),
		RunE: a.remote(narrowKey),
	}
	a.narrowFlags(cmd, cmd.Flags())
	cmd.Flags().Bool("watch", false, "only try it: refuse nothing, and record what would be refused")
	asks(cmd)
	return cmd
}

func narrowKey(c *call) error {
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	in, err := c.narrowed(k)
	if err != nil {
		return err
	}
	if in.Watch = c.on("watch"); in.Watch && !in.ExpiresAt.IsZero() {
		return usagef("An end can't be tried: --watch takes scopes and networks.")
	}
	what := act{Verb: "narrow", Object: theKey(k), ID: k.ID, Name: k.Name, Then: "What it then lacks is refused from then on." + c.inUse(k)}
	if in.Watch {
		what.Verb, what.Then = "try a narrower", "Nothing is refused; what would be is recorded."
	}
	if !in.Watch || c.on("dry-run") {
		if ok, err := c.sure(what); !ok || err != nil {
			return err
		}
	}
	out, err := waiting(c, "Changing the key…", func() (api.ChangedKey, error) { return c.Narrow(c.ctx, k.ID, in, client.IfRevision(k.Revision)) })
	if err != nil {
		return err
	}
	name := idOr(k.Name, k.ID)
	if in.Watch {
		return c.changed(out, "Trying it. Nothing is refused. See what would be with:\n  postern keys watch "+name, inForce)
	}
	return c.changed(out, "Narrowed "+theKey(k)+".\nTake it back within 10 minutes with:\n  postern keys undo "+name, refused)
}

func (a *app) keysWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch KEY", Short: "See what a narrowing that is being tried would refuse", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Example: examples("postern keys watch nightly-deals-sync", "postern keys watch nightly-deals-sync --end"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			if c.on("end") {
				return c.stepKey(k, "Nothing is tried on the key "+quoted(k.Name)+" any longer.", c.EndWatch)
			}
			if k.Watch != nil && !c.JSON {
				c.Printf("Tried since %s: %s.\n", c.Time(k.Watch.Since), and(tried(k.Watch)))
			}
			return c.tellReplay(k.ID, func(after int64) (api.Replay, error) { return c.Watched(c.ctx, k.ID, after) })
		}),
	}
	cmd.Flags().Bool("end", false, "stop trying; nothing else changes")
	return cmd
}

// tried says what is being tried.
func tried(w *api.Watch) (out []string) {
	if w.Scopes != nil {
		out = append(out, screen.Count(len(*w.Scopes), "scope"))
	}
	if w.Networks != nil {
		out = append(out, screen.Count(len(*w.Networks), "network"))
	}
	return out
}

// stepKey makes a change that needs nothing but its key.
func (c *call) stepKey(k api.ServiceKey, done string, do func(context.Context, string, ...client.RequestOption) (api.ChangedKey, error)) error {
	out, err := waiting(c, "Changing the key…", func() (api.ChangedKey, error) { return do(c.ctx, k.ID, client.IfRevision(k.Revision)) })
	if err != nil {
		return err
	}
	return c.changed(out, done, inForce)
}

func (a *app) keysEnforce() *cobra.Command {
	cmd := &cobra.Command{
		Use: "enforce KEY", Short: "Make what is being tried on a service key count", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long:    `Makes a narrowing count that was tried with "postern keys narrow --watch". It can be taken back within ten minutes with "postern keys undo".`,
		Example: examples("postern keys enforce nightly-deals-sync"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			if ok, err := c.sure(act{Verb: "enforce what is tried on", Object: theKey(k), ID: k.ID, Name: k.Name,
				Then: "What it then lacks is refused from then on." + c.inUse(k)}); !ok || err != nil {
				return err
			}
			return c.stepKey(k, "Enforced. Take it back within 10 minutes with:\n  postern keys undo "+idOr(k.Name, k.ID), c.EnforceWatch)
		}),
	}
	asks(cmd)
	return cmd
}

func (a *app) keysUndo() *cobra.Command {
	return &cobra.Command{
		Use: "undo KEY", Short: "Take back a service key's latest narrowing", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Takes back what was last taken from a service key, exactly, within ten minutes and
as long as nothing else changed it. Whoever took it may; anyone else must hold
what they give back.`,
		Example: examples("postern keys undo nightly-deals-sync"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			return c.stepKey(k, "The key "+quoted(k.Name)+" is as it was.", c.UndoNarrowing)
		}),
	}
}
