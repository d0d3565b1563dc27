package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) keysScopes() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scopes KEY", Short: "Show or change a service key's scopes", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Shows a service key's scopes, or changes them. You must hold each scope that you
add. Its secrets stay as they are, and a change is in force at once.`,
		Example: examples("postern keys scopes nightly-deals-sync", "postern keys scopes nightly-deals-sync --add crm.objects.contacts.read",
			"postern keys scopes nightly-deals-sync --remove crm.objects.deals.write --yes",
			"postern keys scopes nightly-deals-sync --set a.read,b.read"),
		RunE: a.remote(keyScopes),
	}
	f := cmd.Flags()
	f.StringSlice("add", nil, "add this scope; may be repeated")
	f.StringSlice("remove", nil, "take this scope away; may be repeated")
	f.StringSlice("set", nil, "let the key have these scopes and no others; empty: none")
	asks(cmd)
	for _, name := range []string{"add", "remove", "set"} {
		_ = cmd.RegisterFlagCompletionFunc(name, a.completeScopes)
	}
	return cmd
}

// staleTries is how often a change of scopes is worked out anew when someone else changed the key meanwhile.
const staleTries = 3

func keyScopes(c *call) error {
	if c.given("set") && (c.given("add") || c.given("remove")) {
		return usagef("--set can't stand beside --add and --remove.")
	}
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	if !c.given("set") && !c.given("add") && !c.given("remove") {
		if c.JSON {
			return c.WriteJSON(screen.List(k.Scopes))
		}
		for _, s := range k.Scopes {
			c.Printf("%s\n", screen.Clean(s))
		}
		if len(k.Scopes) == 0 {
			c.Notef("%s has no scopes.", theKey(k))
		}
		return nil
	}
	return c.changeScopes(k)
}

func (c *call) changeScopes(k api.ServiceKey) error {
	want, added, removed, err := c.wanted(k)
	if err != nil {
		return err
	}
	if len(removed) > 0 {
		ok, err := c.sure(act{Verb: "take " + screen.Count(len(removed), "scope") + " from", Object: theKey(k), ID: k.ID, Name: k.Name,
			Then: "Its calls that need " + short(and(removed)) + " are refused from then on." + c.inUse(k)})
		if !ok || err != nil {
			return err
		}
	} else if c.on("dry-run") {
		_, err := c.sure(act{Verb: "add " + screen.Count(len(added), "scope") + " to", Object: theKey(k), ID: k.ID, Name: k.Name})
		return err
	}
	out, err := c.EditServiceKey(c.ctx, k.ID, api.EditServiceKey{Scopes: &want}, client.IfRevision(k.Revision))
	// Only what adds and takes away can be worked out anew; --set meant what it saw.
	for try := 1; stale(err) && !c.given("set") && try < staleTries; try++ {
		if k, err = c.ServiceKey(c.ctx, k.ID); err != nil {
			return err
		}
		if want, added, removed, err = c.wanted(k); err != nil {
			return err
		}
		out, err = c.EditServiceKey(c.ctx, k.ID, api.EditServiceKey{Scopes: &want}, client.IfRevision(k.Revision))
	}
	if err != nil {
		return err
	}
	if len(added)+len(removed) == 0 {
		return c.changed(out, "The key "+quoted(k.Name)+" has these scopes already: nothing was changed.", inForce)
	}
	lines := []string{"The key " + quoted(k.Name) + " has " + screen.Count(len(out.Scopes), "scope") + " now."}
	for _, s := range added {
		lines = append(lines, "  + "+screen.Clean(s))
	}
	for _, s := range removed {
		lines = append(lines, "  - "+screen.Clean(s))
	}
	return c.changed(out, strings.Join(lines, "\n"), inForce)
}

// wanted is the scopes that the flags ask for, and how they differ from what the key has.
func (c *call) wanted(k api.ServiceKey) (want, added, removed []string, err error) {
	add, remove := c.list("add"), c.list("remove")
	for _, s := range remove {
		if slices.Contains(add, s) {
			return nil, nil, nil, usagef("%s can't be added and taken away at once.", short(s))
		}
		if !slices.Contains(k.Scopes, s) {
			return nil, nil, nil, notFound("The key %s doesn't have the scope %s.", quoted(k.Name), short(s))
		}
	}
	want = []string{} // not nil: no scopes are asked for in so many words
	if c.given("set") {
		want = append(want, c.list("set")...)
	} else {
		want = slices.DeleteFunc(append(append(want, k.Scopes...), add...), func(s string) bool { return slices.Contains(remove, s) })
	}
	slices.Sort(want)
	want = slices.Compact(want)
	for _, s := range want {
		if !slices.Contains(k.Scopes, s) {
			added = append(added, s)
		}
	}
	for _, s := range k.Scopes {
		if !slices.Contains(want, s) {
			removed = append(removed, s)
		}
	}
	return want, added, removed, nil
}
