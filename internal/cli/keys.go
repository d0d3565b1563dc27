package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) keys() *cobra.Command {
	cmd := group("keys", "Make, watch, rotate and end service keys", `A service key is an account's credential for one integration: a name, scopes,
and a life. It is named here by its name or its id; the id is the third part of
its secrets (pst_sk_ID_…).`)
	cmd.AddCommand(a.keysCreate(), a.keysList(), a.keysShow(), a.keysRename(), a.keysEdit(), a.keysScopes(),
		a.keysAdvice(), a.keysWhatIf(), a.keysNarrow(), a.keysWatch(), a.keysEnforce(), a.keysUndo(),
		a.keysPause(), a.keysResume(), a.keysRotate(), a.keysRotateMany(), a.keysRotation(), a.keysExtend(), a.keysFinish(), a.keysCancel(), a.keysRevoke(), a.keysDelete())
	return cmd
}

func (a *app) keysList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List service keys, the newest first", Args: exactly(),
		Long: "Lists the account's service keys, ended ones too, the newest first.",
		Example: examples("postern keys list", "postern keys list --scope crm.objects.deals.read --unused 90d",
			"postern keys list --state active --json | jq -r '.items[].name'"),
		RunE: a.remote(listKeys),
	}
	f := cmd.Flags()
	f.String("name", "", "only keys whose name has this in it")
	f.String("scope", "", "only keys that hold this scope")
	f.String("state", "", "only keys in this state: active, rotating, scheduled, paused, expired or ended")
	f.String("made-by", "", "only keys that this member made (a member's id)")
	f.Bool("flagged", false, "only keys that someone should look at")
	f.String("unused", "", "only keys that were not used for so long, or never: 90d")
	f.String("used", "", "only keys that were used in the last: 24h")
	f.Int("limit", 0, "at most so many; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(keyStates, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var keyStates = []string{api.StateActive, api.StateRotating, api.StateScheduled, api.StatePaused, api.StateExpired, api.StateEnded}

func listKeys(c *call) error {
	unused, err := c.since("unused", c.str("unused"))
	if err != nil {
		return err
	}
	used, err := c.since("used", c.str("used"))
	if err != nil {
		return err
	}
	if state := c.str("state"); state != "" && !slices.Contains(keyStates, state) {
		return usagef("--state can't be %q. It is one of: %s.", short(state), strings.Join(keyStates, ", "))
	}
	limit := c.number("limit")
	q := client.KeyQuery{Name: c.str("name"), Scope: c.str("scope"), State: c.str("state"), MadeBy: c.str("made-by"),
		Flagged: c.on("flagged"), UsedSince: used, UnusedSince: unused, Paging: client.Paging{Limit: pageLimit(limit)}}
	keys, more, err := collect(c, "keys", limit, c.EachServiceKey(c.ctx, q))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(screen.List(keys))
	}
	if len(keys) == 0 {
		if c.filtered() {
			c.Notef("No such keys.")
			return nil
		}
		c.Notef("No keys. Make one with: postern keys create NAME --scope SCOPE")
		return nil
	}
	c.Table(keysTable(c.Screen, keys))
	if more {
		c.Notef("There are more keys; these are the first %d.", limit)
	}
	return nil
}

// filtered reports whether flags of the command itself stand on the command line.
func (c *call) filtered() (yes bool) {
	c.cmd.Flags().Visit(func(f *pflag.Flag) { yes = yes || c.cmd.Root().PersistentFlags().Lookup(f.Name) == nil })
	return yes
}

func keysTable(s *screen.Screen, keys []api.ServiceKey) *screen.Table {
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "ID"}, {Title: "STATE"},
		{Title: "SCOPES", Right: true, Drop: 3}, {Title: "LAST USED", Drop: 1}, {Title: "EXPIRES", Drop: 2}}}
	for _, k := range keys {
		used, expires := "never", "never"
		if k.LastUsed != nil {
			used = s.Short(k.LastUsed.At)
		}
		if !k.ExpiresAt.IsZero() {
			expires = s.Short(k.ExpiresAt)
		}
		t.Row(k.Name, k.ID, stateCell(k), strconv.Itoa(len(k.Scopes)), used, expires)
	}
	return t
}

// stateCell says what state a key is in, and whether someone should look at it.
func stateCell(k api.ServiceKey) screen.Cell {
	tone := map[string]screen.Tone{api.StateActive: screen.Good, api.StateRotating: screen.Caution, api.StateScheduled: screen.Caution,
		api.StatePaused: screen.Caution, api.StateExpired: screen.Bad, api.StateEnded: screen.Faint}[k.State]
	if k.Canary {
		return screen.Cell{Text: k.State + ", canary", Tone: tone}
	}
	if k.Flagged != nil {
		return screen.Cell{Text: k.State + ", review", Tone: screen.Caution}
	}
	return screen.Cell{Text: k.State, Tone: tone}
}
