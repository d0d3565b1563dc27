package cli

import (
	"github.com/spf13/cobra"

	"postern.dev/postern/api"
)

func (a *app) keysPause() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pause KEY", Short: "Stop a service key until it is resumed", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long:    "Stops a service key for a while: its calls are refused until it is resumed.",
		Example: examples("postern keys pause nightly-deals-sync", "postern keys resume nightly-deals-sync"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			ok, err := c.sure(act{Verb: "pause", Object: theKey(k), ID: k.ID, Name: k.Name,
				Then: "Its calls are refused until it is resumed." + c.inUse(k)})
			if !ok || err != nil {
				return err
			}
			out, err := waiting(c, "Pausing the key…", func() (api.ChangedKey, error) { return c.PauseServiceKey(c.ctx, k.ID) })
			if err != nil {
				return err
			}
			return c.changed(out, "Paused "+theKey(k)+". Let it work again with: postern keys resume "+idOr(k.Name, k.ID), refused)
		}),
	}
	asks(cmd)
	return cmd
}

func (a *app) keysResume() *cobra.Command {
	return &cobra.Command{
		Use: "resume KEY", Short: "Let a paused service key work again", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Example: examples("postern keys resume nightly-deals-sync"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			out, err := waiting(c, "Resuming the key…", func() (api.ChangedKey, error) { return c.ResumeServiceKey(c.ctx, k.ID) })
			if err != nil {
				return err
			}
			return c.changed(out, "The key "+quoted(k.Name)+" works again.", inForce)
		}),
	}
}
