package cli

import (
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
)

// inUseFor is how recent a key's last use is for its name to be asked for when it shall end.
const inUseFor = 7 * 24 * time.Hour

func (c *call) usedLately(k api.ServiceKey) bool {
	return k.LastUsed != nil && c.Now().Sub(k.LastUsed.At) < inUseFor
}

// inUse says that a key is in use, where it is.
func (c *call) inUse(k api.ServiceKey) string {
	if !c.usedLately(k) {
		return ""
	}
	return " It was used " + c.Relative(k.LastUsed.At) + "."
}

func (a *app) keysRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke KEY", Short: "End a service key for good", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Ends a service key for good: its secrets are refused from then on, and nothing
brings them back. The answer says where that is in force, or by when. The key
stays listed as ended, and its name is free again.`,
		Example: examples("postern keys revoke nightly-deals-sync", `postern keys revoke nightly-deals-sync --reason "leaked in a log" --yes --wait`),
		RunE: a.remote(func(c *call) error {
			return c.endKey("revoke", "Its secrets are refused from then on, for good.", "Revoked ", func(id string) (api.ChangedKey, error) {
				return c.RevokeServiceKey(c.ctx, id, c.str("reason"))
			})
		}),
	}
	cmd.Flags().String("reason", "", "why, for the audit log")
	cmd.Flags().Bool("wait", false, "wait until it is refused everywhere")
	asks(cmd)
	return cmd
}

func (a *app) keysDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete KEY", Short: "End a service key and take it off the lists", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Revokes a service key if it isn't yet, and takes it off the lists. What it did
stays in activity and in the audit log.`,
		Example: examples("postern keys delete nightly-deals-sync", "postern keys delete 4fQ2mZ8xT0aB6cD1 --yes"),
		RunE: a.remote(func(c *call) error {
			return c.endKey("delete", "Its secrets are refused from then on, for good, and it is listed no longer.", "Deleted ", func(id string) (api.ChangedKey, error) {
				return c.DeleteServiceKey(c.ctx, id)
			})
		}),
	}
	cmd.Flags().Bool("wait", false, "wait until it is refused everywhere")
	asks(cmd)
	return cmd
}

func (c *call) endKey(verb, then, done string, end func(id string) (api.ChangedKey, error)) error {
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	ok, err := c.sure(act{Verb: verb, Object: theKey(k), ID: k.ID, Name: k.Name, Then: then + c.inUse(k), typed: c.usedLately(k)})
	if !ok || err != nil {
		return err
	}
	out, err := waiting(c, "Ending the key…", func() (api.ChangedKey, error) { return end(k.ID) })
	if err != nil {
		return err
	}
	out.Receipt = c.awaitReceipt(k.ID, out.Receipt)
	if verb == "revoke" && k.Revoked != nil {
		return c.changed(out, "The key "+quoted(k.Name)+" ("+k.ID+") was revoked already, "+c.Relative(k.Revoked.At)+".", refused)
	}
	return c.changed(out, done+theKey(k)+" ("+k.ID+").", refused)
}
