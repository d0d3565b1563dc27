package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) policy() *cobra.Command {
	cmd := group("policy", "See and set what the account asks of its keys", `The security policy says how long keys may live, when their people are reminded,
and what is watched for: the tripwires.`)
	cmd.AddCommand(&cobra.Command{
		Use: "show", Short: "Show the security policy", Args: exactly(),
		Example: examples("postern policy show", "postern policy show --json"),
		RunE: a.remote(func(c *call) error {
			p, err := waiting(c, "Reading the policy…", func() (api.Policy, error) { return c.Policy(c.ctx) })
			if err != nil {
				return err
			}
			return c.showPolicy(p)
		}),
	}, a.policySet())
	return cmd
}

func (a *app) policySet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set", Short: "Change the security policy", Args: exactly(),
		Long: `Changes what the account asks of its keys; what you leave out stays. Keys that
are there go on working. A tripwire is off, or does notify or pause: pause stops
the key too, until somebody resumes it.`,
		Example: examples("postern policy set --require-expiry --longest-life 365", "postern policy set --tripwire canary=pause --tripwire refusals=off",
			"postern policy set --remind-expiry 30,7,1 --idle-after 0"),
		RunE: a.remote(setPolicy),
	}
	f := cmd.Flags()
	f.Bool("require-expiry", false, "every key has an end; --require-expiry=false takes it back")
	f.Int("longest-life", 0, "how many days ahead an end can be at most; 0: no limit")
	f.Bool("write-networks", false, "keys that can change something need an IP list")
	f.StringSlice("remind-expiry", nil, "days before its end at which a key's people are told, with commas; none: never")
	f.Int("remind-age", 0, "how many days old a secret may be before its people are told; 0: never")
	f.Int("idle-after", 0, "after how many days without a call a key counts as unused; 0: never")
	f.String("on-leak", "", "what happens when a secret is found in the open: notify, pause or revoke")
	f.Bool("finders-end", false, "whoever presents a whole secret can end it; --finders-end=false takes it back")
	f.StringSlice("tripwire", nil, "what a tripwire does, such as canary=pause; may be repeated")
	f.Int("far-minutes", 0, "how close together calls from two networks are at once")
	f.Int("far-fleet", 0, "from how many networks on a key is a fleet, of which nothing is told")
	f.Int("far-learn-hours", 0, "for how long a new key's networks are only learned")
	f.Int("refused-calls", 0, "how many refused calls are a burst")
	f.Int("refused-minutes", 0, "in how many minutes")
	f.Int("refused-percent", 0, "and how many in 100 of the calls in that time")
	return cmd
}

func setPolicy(c *call) error {
	in := api.EditPolicy{RequireExpiry: flagged(c, "require-expiry", c.on), LongestLife: flagged(c, "longest-life", c.number), WriteNetworks: flagged(c, "write-networks", c.on),
		RemindAge: flagged(c, "remind-age", c.number), IdleAfter: flagged(c, "idle-after", c.number)}
	if c.given("remind-expiry") {
		days := []int{}
		for _, text := range c.list("remind-expiry") {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil && text != "none" {
				return usagef("--remind-expiry can't be %q. Write days with commas between them: 30,7,1.", short(text))
			}
			if err == nil {
				days = append(days, n)
			}
		}
		slices.SortFunc(days, func(a, b int) int { return b - a })
		days = slices.Compact(days)
		in.RemindExpiry = &days
	}
	t := api.EditTripwires{FarMinutes: flagged(c, "far-minutes", c.number), FarFleet: flagged(c, "far-fleet", c.number), FarLearnHours: flagged(c, "far-learn-hours", c.number),
		RefusedCalls: flagged(c, "refused-calls", c.number), RefusedMinutes: flagged(c, "refused-minutes", c.number), RefusedPercent: flagged(c, "refused-percent", c.number)}
	for _, text := range c.list("tripwire") {
		name, does, _ := strings.Cut(text, "=")
		to := map[string]**string{"retired-secret": &t.RetiredSecret, "far-networks": &t.FarNetworks, "canary": &t.Canary, "refusals": &t.Refusals}[strings.ReplaceAll(name, "_", "-")]
		if to == nil || !slices.Contains([]string{"off", "notify", "pause"}, does) {
			return usagef("--tripwire can't be %q. It is one of retired-secret, far-networks, canary and refusals, then = and off, notify or pause.", short(text))
		}
		*to = &does
	}
	if t != (api.EditTripwires{}) {
		in.Tripwires = &t
	}
	leaks := api.EditLeakPolicy{Do: flagged(c, "on-leak", c.str), FindersEnd: flagged(c, "finders-end", c.on)}
	if leaks.Do != nil && !slices.Contains([]string{"notify", "pause", "revoke"}, *leaks.Do) {
		return usagef("--on-leak can't be %q. It is notify, pause or revoke.", short(*leaks.Do))
	}
	if leaks != (api.EditLeakPolicy{}) {
		in.Leaks = &leaks
	}
	if in == (api.EditPolicy{}) {
		return usagef("Say what to change: postern policy set --help lists it.")
	}
	was, err := c.Policy(c.ctx)
	if err != nil {
		return err
	}
	p, err := waiting(c, "Saving the policy…", func() (api.Policy, error) { return c.EditPolicy(c.ctx, in, client.IfRevision(was.Revision)) })
	if err != nil {
		return err
	}
	if !c.JSON {
		c.Printf("The security policy is saved. New and changed keys follow it from now on.\n")
	}
	return c.showPolicy(p)
}

// flagged is the value of a flag that was given, or nil.
func flagged[T any](c *call, name string, read func(string) T) *T {
	if !c.given(name) {
		return nil
	}
	v := read(name)
	return &v
}

func (c *call) showPolicy(p api.Policy) error {
	if c.JSON {
		return c.WriteJSON(p)
	}
	if p.Altered {
		c.Notef("The policy's record was altered outside of Postern. Keys can't be made or widened until it is saved anew.")
	}
	one := func(label, text string) screen.Field { return screen.Field{Label: label, Lines: []string{text}} }
	days := func(n int, none string) string {
		if n == 0 {
			return none
		}
		return screen.Count(n, "day")
	}
	yes := func(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }
	remind := make([]string, len(p.RemindExpiry))
	for i, n := range p.RemindExpiry {
		remind[i] = strconv.Itoa(n)
	}
	t := p.Tripwires
	c.Details(one("Every key has an end", yes(p.RequireExpiry)), one("Longest life", days(p.LongestLife, "no limit")), one("IP list for keys that write", yes(p.WriteNetworks)),
		one("Reminders before an end", orDash(strings.Join(remind, ", "))), one("A secret is old after", days(p.RemindAge, "never")), one("A key is unused after", days(p.IdleAfter, "never")),
		one("Retired secret", t.RetiredSecret), one("Far networks", t.FarNetworks+": within "+screen.Count(t.FarMinutes, "minute")+", fewer than "+strconv.Itoa(t.FarFleet)+" networks, after "+screen.Count(t.FarLearnHours, "hour")),
		one("A found secret", p.Leaks.Do+map[bool]string{true: "; finders can end it", false: "; finders can't end it"}[p.Leaks.FindersEnd]),
		one("Canary", t.Canary), one("Refusals", t.Refusals+": "+strconv.Itoa(t.RefusedCalls)+" in "+screen.Count(t.RefusedMinutes, "minute")+", "+strconv.Itoa(t.RefusedPercent)+"% of the calls"))
	return nil
}

func (a *app) tripwires() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tripwires", Short: "See which tripwires were touched", Args: exactly(),
		Long: `Shows what was seen that a key's people should know, the newest first: a secret
that has ended is presented, one secret is used from two far networks at once, a
canary is used, a burst of calls is refused. "postern policy set --tripwire"
says what happens then.`,
		Example: examples("postern tripwires", "postern tripwires --key nightly-deals-sync --json"),
		RunE: a.remote(func(c *call) error {
			q := client.TripQuery{}
			if name := c.str("key"); name != "" {
				k, err := c.key(name)
				if err != nil {
					return err
				}
				q.Key = k.ID
			}
			limit := c.number("limit")
			q.Paging = client.Paging{Limit: pageLimit(limit)}
			list, _, err := collect(c, "tripwires", limit, c.EachTrip(c.ctx, q))
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(list))
			}
			if len(list) == 0 {
				c.Notef("No tripwire was touched.")
				return nil
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "TIME"}, {Title: "KEY", Min: 12}, {Title: "TRIPWIRE"}, {Title: "PAUSED", Drop: 1}, {Title: "WHAT WAS SEEN", Min: 24}}}
			for _, x := range list {
				paused := ""
				if x.Paused {
					paused = "paused"
				}
				t.Row(c.Short(x.At), x.KeyName, screen.Cell{Text: strings.ReplaceAll(x.Kind, "_", " "), Tone: screen.Bad}, paused, x.Words)
			}
			c.Table(t)
			return nil
		}),
	}
	f := cmd.Flags()
	f.String("key", "", "only those of this key")
	f.Int("limit", 50, "at most so many; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("key", a.completeKeyFlag)
	return cmd
}
