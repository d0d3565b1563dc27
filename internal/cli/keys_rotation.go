package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

// watchEvery is how often a rotation that is watched is asked about.
const watchEvery = 2 * time.Second

func (a *app) keysRotation() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotation KEY", Short: "See who still uses the old secret of a key", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Shows how the change of a key's secret stands: calls with the old and the new
secret, and each caller, those that still use the old one first. A caller is an
address and a program. --watch goes on until nobody uses the old secret any
more, the rotation ends, or you stop it with Ctrl-C; with --json it writes one
object a line.`,
		Example: examples("postern keys rotation nightly-deals-sync", "postern keys rotation nightly-deals-sync --watch",
			`postern keys rotation nightly-deals-sync --json | jq -r '.callers[] | select(.state == "old") | .ip'`),
		RunE: a.remote(showRotation),
	}
	cmd.Flags().BoolP("watch", "w", false, "go on until nobody uses the old secret")
	return cmd
}

func showRotation(c *call) error {
	k, err := c.key(c.args[0])
	if err != nil {
		return err
	}
	last := ""
	for {
		r, err := c.Rotation(c.ctx, k.ID)
		if err != nil {
			return err
		}
		if now := rotationSum(r); now != last {
			if last != "" && !c.JSON {
				c.Printf("\n")
			}
			if err := c.tellHow(k, r); err != nil {
				return err
			}
			last = now
		}
		if !c.on("watch") || !r.Rotating || r.Still == 0 && r.Moved > 0 {
			return nil
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// rotationSum is what a change of is worth showing.
func rotationSum(r api.Rotation) string {
	parts := []string{strconv.FormatBool(r.Rotating), strconv.FormatBool(r.Asks), r.EndsAt.String(), r.Deadline.String()}
	for _, x := range r.Callers {
		parts = append(parts, x.IP, x.UserAgent, x.State)
	}
	return strings.Join(parts, "\n")
}

// tellHow shows how a rotation stands.
func (c *call) tellHow(k api.ServiceKey, r api.Rotation) error {
	if c.JSON {
		if c.on("watch") {
			return c.WriteLine(r)
		}
		return c.WriteJSON(r)
	}
	switch {
	case !r.Rotating:
		c.Text(fmt.Sprintf("%s isn't being rotated: the secret …%s doesn't work any more.", theKey(k), short(r.Old.LastFour)))
	case r.Asks:
		c.Text(fmt.Sprintf("The old secret of %s is still used, and waits for your word: it works until %s at the latest.", theKey(k), c.Time(r.EndsAt)))
		c.Printf("Let it go on:  postern keys extend %[1]s\nEnd it:        postern keys finish %[1]s\n", idOr(k.Name, k.ID))
	case r.Ends == api.EndsHold:
		c.Text(fmt.Sprintf("Both secrets work. On %s you are asked if the old one is still used; it ends on %s at the latest.", c.Time(r.Deadline), c.Time(r.EndsAt)))
	case r.Ends == api.EndsWhenIdle:
		c.Text(fmt.Sprintf("Both secrets work until %s, or until the old one was silent for %s.", c.Time(r.EndsAt), spanText(r.Idle)))
	default:
		c.Text(fmt.Sprintf("Both secrets work until %s.", c.Time(r.EndsAt)))
	}
	c.Details(secretField(c.Screen, "New", r.New), secretField(c.Screen, "Old", r.Old),
		screen.Field{Label: "Callers", Lines: []string{strconv.Itoa(r.Still) + " on the old secret, " + strconv.Itoa(r.Moved) + " on the new one"}})
	if len(r.Callers) == 0 {
		return nil
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "STATE"}, {Title: "ADDRESS", Min: 12}, {Title: "PROGRAM", Min: 12}, {Title: "OLD", Right: true, Drop: 1},
		{Title: "NEW", Right: true, Drop: 2}, {Title: "OLD LAST USED"}}}
	tones := map[string]screen.Tone{"old": screen.Bad, "both": screen.Caution, "moved": screen.Good, "quiet": screen.Faint}
	for _, x := range r.Callers {
		last := ""
		if !x.OldLastAt.IsZero() {
			last = c.Relative(x.OldLastAt)
		}
		t.Row(screen.Cell{Text: x.State, Tone: tones[x.State]}, orDash(x.IP), orDash(x.UserAgent), screen.Number(x.OldCalls), screen.Number(x.NewCalls), last)
	}
	c.Printf("\n")
	c.Table(t)
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// spanText is a span as people write it: 24h0m0s is 24h.
func spanText(s string) string {
	s = strings.TrimSuffix(s, "0s")
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

func secretField(s *screen.Screen, label string, x api.RotationSecret) screen.Field {
	words := "…" + x.LastFour + ", " + screen.Count(int(x.Calls), "call") + " since the change, never used"
	if !x.UsedAt.IsZero() {
		words = strings.TrimSuffix(words, "never used") + "last used " + s.Relative(x.UsedAt)
	}
	return screen.Field{Label: label, Lines: []string{words}}
}

func (a *app) keysExtend() *cobra.Command {
	cmd := &cobra.Command{
		Use: "extend KEY", Short: "Let the old secret of a key work for longer", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long: `Puts off the end of a rotation: once, by at most 7 days, and never past the end
of the key. Where the old secret is held, as often as needed, up to its latest
end. You must hold the key's scopes.`,
		Example: examples("postern keys extend nightly-deals-sync --more 2d"),
		RunE: a.remote(func(c *call) error {
			more, ok := parseSpan(c.str("more"))
			if !ok || more <= 0 {
				return usagef("--more can't be %q. Write a span, such as 24h or 2d.", short(c.str("more")))
			}
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			out, err := waiting(c, "Extending the rotation…", func() (api.ChangedKey, error) {
				return c.ExtendRotation(c.ctx, k.ID, api.Extend{More: more.String()})
			})
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(out)
			}
			return c.toldExtension(out)
		}),
	}
	cmd.Flags().String("more", "1d", "how much longer: up to 7d")
	return cmd
}

// toldExtension says until when the old secret works now.
func (c *call) toldExtension(k api.ChangedKey) error {
	r, err := c.Rotation(c.ctx, k.ID)
	switch e, ok := errors.AsType[*postern.Error](err); {
	case err == nil && r.Ends == api.EndsHold:
		c.Text(fmt.Sprintf("The old secret of %s goes on; you are asked again on %s if it is still used.", theKey(k.ServiceKey), c.Time(r.Deadline)))
		return nil
	case ok && e.Code != postern.CodeForbidden:
		return err
	}
	for _, x := range k.Secrets {
		if !x.Current {
			c.Printf("The old secret of %s now works until %s.\n", theKey(k.ServiceKey), c.Time(x.EndsAt))
		}
	}
	return nil
}
