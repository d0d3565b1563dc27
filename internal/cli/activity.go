package cli

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) activity() *cobra.Command {
	cmd := &cobra.Command{
		Use: "activity", Short: "See what credentials do, also live", Args: exactly(),
		Long: `Shows calls with the account's credentials, allowed and refused ones, the newest
first. --follow shows them as they happen, until Ctrl-C; with --json it writes
one object a line.

Calls to Postern's own API, such as those of this program, are left out unless
you ask for them with --own or --door api.`,
		Example: examples("postern activity --follow", "postern activity --key nightly-deals-sync --refused --since 24h",
			"postern activity --follow --json | jq -c 'select(.status >= 500)'"),
		RunE: a.remote(activity),
	}
	f := cmd.Flags()
	f.BoolP("follow", "f", false, "show calls as they happen")
	f.Int("limit", 50, "at most so many; 0: all")
	a.activityFilters(cmd)
	bare(cmd, cmd.RunE)
	cmd.AddCommand(a.activityExport())
	return cmd
}

// activityFilters are the flags that narrow activity.
func (a *app) activityFilters(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("key", "", "only calls with this key")
	f.Int("generation", 0, "only calls with this secret of the key, counting from 1")
	f.String("upstream", "", "only calls to this upstream")
	f.String("operation", "", "only calls of this operation")
	f.String("method", "", "only calls with this method")
	f.String("path", "", "only calls whose path begins so")
	f.String("status", "", "only calls that were answered so: 404, or 4xx")
	f.String("reason", "", "only calls that were decided so: revoked, insufficient_scope, …")
	f.Bool("allowed", false, "only calls that were allowed")
	f.Bool("refused", false, "only calls that were refused")
	f.Bool("would-refuse", false, "only allowed calls that a change which is being tried would refuse")
	f.String("door", "", "only calls that came in here: gateway, verify, authorize, api")
	f.Bool("own", false, "show calls to Postern's own API too")
	f.String("ip", "", "only calls from this address")
	f.String("user-agent", "", "only calls whose User-Agent has this in it")
	f.String("request", "", "only the call with this request id")
	f.String("scope", "", "only calls that needed this scope: that it let through, or that lacked it")
	f.String("since", "", "only calls since: a span (24h), a day or a time")
	f.String("until", "", "only calls before: a span ago, a day or a time")
	_ = cmd.RegisterFlagCompletionFunc("key", a.completeKeyFlag)
	_ = cmd.RegisterFlagCompletionFunc("upstream", a.completeUpstreamFlag)
	_ = cmd.RegisterFlagCompletionFunc("door", cobra.FixedCompletions([]string{"gateway", "verify", "authorize", "api"}, cobra.ShellCompDirectiveNoFileComp))
}

func activity(c *call) error {
	q, err := c.activityQuery()
	if err != nil {
		return err
	}
	names := &keyNames{call: c, known: map[string]string{}}
	if c.on("follow") {
		return c.follow(q, names)
	}
	limit := c.number("limit")
	q.Paging = client.Paging{Limit: pageLimit(limit)}
	calls, _, err := collect(c, "activity", limit, c.EachCall(c.ctx, q))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(screen.List(calls))
	}
	if len(calls) == 0 {
		c.Notef("No calls.")
		return nil
	}
	c.Table(callsTable(c.Screen, calls, names.of))
	return nil
}

// follow shows calls until the person stops it.
func (c *call) follow(q client.ActivityQuery, names *keyNames) error {
	if c.given("until") || c.given("limit") {
		return usagef("--follow goes on until you stop it: leave --until and --limit out.")
	}
	c.Notef("Following activity; stop with Ctrl-C.")
	for call, err := range c.Follow(c.ctx, q) {
		if err != nil {
			return err
		}
		if !c.JSON {
			c.Printf("%s\n", callLine(c.Screen, call, names.of(call)))
		} else if err := c.WriteLine(call); err != nil {
			return err
		}
	}
	return nil
}

// activityQuery is what the flags ask for.
func (c *call) activityQuery() (q client.ActivityQuery, err error) {
	q = client.ActivityQuery{Generation: int64(c.number("generation")), Upstream: c.str("upstream"), Operation: c.str("operation"),
		Method: strings.ToUpper(c.str("method")), Reason: c.str("reason"), Door: c.str("door"), IP: c.str("ip"),
		UserAgent: c.str("user-agent"), PathPrefix: c.str("path"), RequestID: c.str("request"), Scope: c.str("scope"),
		WouldRefuse: c.on("would-refuse")}
	if q.Door == "" && !c.on("own") {
		q.NotDoor = postern.DoorAPI
	}
	yes := true
	no := false
	switch {
	case c.on("allowed") && c.on("refused"):
		return q, usagef("--allowed and --refused can't stand together.")
	case c.on("allowed"):
		q.Allowed = &yes
	case c.on("refused"):
		q.Allowed = &no
	}
	if text := c.str("status"); text != "" {
		class, isClass := strings.CutSuffix(strings.ToLower(text), "xx")
		n, err := strconv.Atoi(class)
		switch {
		case err == nil && isClass && n >= 1 && n <= 5:
			q.StatusClass = n
		case err == nil && !isClass && n >= 100 && n <= 599:
			q.Status = n
		default:
			return q, usagef("--status can't be %q. Write a status such as 404, or a class such as 4xx.", short(text))
		}
	}
	if q.Since, err = c.since("since", c.str("since")); err != nil {
		return q, err
	}
	if q.Until, err = c.since("until", c.str("until")); err != nil {
		return q, err
	}
	if ref := c.str("key"); ref != "" {
		k, err := c.key(ref)
		if err != nil {
			return q, err
		}
		q.Key = k.ID
	}
	return q, nil
}

// keyNames remembers what keys are called.
type keyNames struct {
	call  *call
	known map[string]string
}

// maxNames is how many keys are asked for; others are shown by their ids.
const maxNames = 200

// of is what people call the credential of a call.
func (n *keyNames) of(a api.Call) string {
	switch {
	case a.Kind == "personal_access_key":
		return "personal key"
	case a.KeyID == "":
		return "-"
	case a.Kind != "" && a.Kind != "service_key":
		return a.KeyID
	}
	name, ok := n.known[a.KeyID]
	if !ok {
		name = a.KeyID
		if len(n.known) < maxNames {
			k, err := n.call.ServiceKey(n.call.ctx, a.KeyID)
			if err == nil {
				name = k.Name
			} else if _, told := errors.AsType[*client.Error](err); !told {
				return name // the server may be back for the next one
			}
		}
		n.known[a.KeyID] = name
	}
	return name
}
