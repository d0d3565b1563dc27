package cli

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

func (a *app) keysRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate KEY", Short: "Give a service key a new secret", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Gives a service key a new secret, and shows it this once. The secret before works
on for a grace period, so that the integration can change over without a failed
call; "keys finish" ends it early, "keys cancel" voids the new secret instead.
--now ends the secret before at once: for one that leaked.

--ends when-idle ends it early, once it was silent for --idle and the new one is
used. --ends hold asks you, rather than breaking a caller, where it is still used
at the end of the grace period; it then works on until you decide, and for
--hold after the start at the most.`,
		Example: examples("postern keys rotate nightly-deals-sync", "postern keys rotate nightly-deals-sync --grace 24h --secret-out new.secret",
			"postern keys rotate nightly-deals-sync --ends hold --idle 2d", "postern keys rotate nightly-deals-sync --now --yes"),
		RunE: a.remote(rotateKey),
	}
	f := cmd.Flags()
	f.String("grace", "7d", "how long the secret before works on: up to 30d")
	f.String("ends", "", "how it ends: at-deadline, when-idle or hold; unless given at-deadline")
	f.String("idle", "", "for how long the secret before must be silent to count as unused; unless given 24h")
	f.String("hold", "", "how long it works at most where it is held; unless given 30d")
	f.Bool("now", false, "end the secret before at once")
	f.Bool("replace", false, "start again where a rotation is pending: its new secret is void")
	f.String("secret-out", "", "write the secret to this new file, and don't show it")
	asks(cmd)
	return cmd
}

func rotateKey(c *call) error {
	grace, ok := parseSpan(c.str("grace"))
	switch {
	case !ok:
		return usagef("--grace can't be %q. Write a span, such as 24h or 7d.", short(c.str("grace")))
	case c.on("now") && c.given("grace") && grace > 0:
		return usagef("--now and --grace can't stand together.")
	case c.on("now"):
		grace = 0
	}
	if ends := c.str("ends"); !slices.Contains([]string{"", "at-deadline", "when-idle", "hold"}, strings.ReplaceAll(ends, "_", "-")) {
		return usagef("--ends can't be %q. It is at-deadline, when-idle or hold.", short(ends))
	}
	idle, err := c.spanFlag("idle")
	if err != nil {
		return err
	}
	hold, err := c.spanFlag("hold")
	if err != nil {
		return err
	}
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	if then := c.rotateThen(k, grace); then != "" || c.on("dry-run") {
		if ok, err := c.sure(act{Verb: "rotate", Object: theKey(k), ID: k.ID, Name: k.Name, Then: then}); !ok || err != nil {
			return err
		}
	}
	file, err := newSecretFile(c.str("secret-out"))
	if err != nil {
		return err
	}
	in := api.Rotate{Grace: grace.String(), Replace: c.on("replace"), Ends: strings.ReplaceAll(c.str("ends"), "-", "_"), Idle: idle, Hold: hold}
	out, err := waiting(c, "Rotating the key…", func() (api.ChangedKey, error) {
		k, _, err := once(c.ctx, func(key client.RequestOption) (api.ChangedKey, error) {
			return c.RotateServiceKey(c.ctx, k.ID, in, key)
		})
		return k, err
	})
	if err != nil {
		file.drop()
		return err
	}
	return c.showMade(out, file, func() { c.Printf("Rotated %s.\n", theKey(k)) }, func() { c.tellRotation(out) })
}

// rotateThen says what a rotation takes away at once; empty where that is nothing.
func (c *call) rotateThen(k api.ServiceKey, grace time.Duration) (then string) {
	if grace == 0 {
		then = "Its secret stops working at once: calls with it are refused until the integration has the new one." + c.inUse(k)
	}
	if k.State == api.StateRotating && c.on("replace") {
		then = "The new secret of the rotation that is pending stops working at once. " + then
	}
	return then
}

// spanFlag is a flag that is a span, as the server reads it; empty where it wasn't given.
func (c *call) spanFlag(name string) (string, error) {
	text := c.str(name)
	d, ok := parseSpan(text)
	switch {
	case text == "":
		return "", nil
	case !ok:
		return "", usagef("--%s can't be %q. Write a span, such as 24h or 7d.", name, short(text))
	}
	return d.String(), nil
}

// tellRotation says how long which secret works.
func (c *call) tellRotation(k api.ChangedKey) {
	for _, x := range k.Secrets {
		if !x.Current && x.Works && !x.EndsAt.IsZero() {
			c.Text(c.endWords(x.EndsAt))
			c.Printf("When the integration has the new one: postern keys finish %s\n", idOr(k.Name, k.ID))
			return
		}
	}
	c.Printf("The secret before doesn't work any more.\n")
	c.tellReceipt(k.Receipt, refused)
}

// endWords says how the rotation that was asked for ends, by end at the latest.
func (c *call) endWords(end time.Time) string {
	switch strings.ReplaceAll(c.str("ends"), "_", "-") {
	case "hold":
		return "Both secrets work. After " + c.str("grace") + " you are asked if the old one is still used; it ends on " + c.Time(end) + " at the latest."
	case "when-idle":
		return "Both secrets work until " + c.Time(end) + ", or until the new one is used and the old one was silent for " + cmp.Or(c.str("idle"), "24h") + "."
	}
	return "Both secrets work until " + c.Time(end) + "."
}

func (a *app) keysFinish() *cobra.Command {
	return a.endRotation(&cobra.Command{
		Use: "finish KEY", Short: "End a rotation: the secret before stops working",
		Long:    "Ends the rotation of a service key early: the secret before stops working now.",
		Example: examples("postern keys finish nightly-deals-sync"),
	}, "finish the rotation of", false)
}

func (a *app) keysCancel() *cobra.Command {
	return a.endRotation(&cobra.Command{
		Use: "cancel KEY", Short: "Take a rotation back: the new secret stops working",
		Long:    "Takes the rotation of a service key back: the new secret stops working now, and\nthe one before stays.",
		Example: examples("postern keys cancel nightly-deals-sync"),
	}, "cancel the rotation of", true)
}

func (a *app) endRotation(cmd *cobra.Command, verb string, cancel bool) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = exactly("KEY"), a.completeKeys
	cmd.RunE = a.remote(func(c *call) error {
		k, err := c.key(c.args[0])
		if err != nil {
			return err
		}
		loses := ending(k, cancel)
		ok, err := c.sure(act{Verb: verb, Object: theKey(k), ID: k.ID, Name: k.Name,
			Then: "The secret " + c.secretName(loses) + " stops working at once."})
		if !ok || err != nil {
			return err
		}
		out, err := waiting(c, "Ending the rotation…", func() (api.ChangedKey, error) {
			if cancel {
				return c.CancelRotation(c.ctx, k.ID)
			}
			return c.FinishRotation(c.ctx, k.ID)
		})
		if err != nil {
			return err
		}
		return c.changed(out, "The secret "+c.secretName(loses)+" of "+theKey(k)+" doesn't work any more.", refused)
	})
	asks(cmd)
	return cmd
}

// ending is the secret that stops working when a rotation ends.
func ending(k api.ServiceKey, cancel bool) api.Secret {
	for _, x := range k.Secrets {
		if x.Current == cancel {
			return x
		}
	}
	return api.Secret{Current: cancel}
}

// secretName is a secret in a sentence, and when it was used last.
func (c *call) secretName(x api.Secret) string {
	name := "before"
	if x.Current {
		name = "that is new"
	}
	if x.LastFour != "" {
		name = "…" + short(x.LastFour)
	}
	if x.LastUsed != nil {
		name += " (used " + c.Relative(x.LastUsed.At) + ")"
	}
	return name
}
