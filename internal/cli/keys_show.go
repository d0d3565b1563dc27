package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) keysShow() *cobra.Command {
	return &cobra.Command{
		Use: "show KEY", Short: "Show a service key", Args: exactly("KEY"), ValidArgsFunction: a.completeKeys,
		Long:    "Shows all about a service key but its secrets, which nobody can show again.",
		Example: examples("postern keys show nightly-deals-sync", "postern keys show nightly-deals-sync --json"),
		RunE: a.remote(func(c *call) error {
			k, err := c.key(c.args[0])
			if err != nil {
				return err
			}
			// A list tells less than the key itself: not the calls of each secret.
			if k, err = c.ServiceKey(c.ctx, k.ID); err != nil {
				return err
			}
			return c.showKey(k)
		}),
	}
}

func (c *call) showKey(k api.ServiceKey) error {
	if c.JSON {
		return c.WriteJSON(k)
	}
	state := stateCell(k)
	c.Printf("%s  %s\n", c.Paint(screen.Strong, screen.Clean(k.Name)), c.Paint(state.Tone, state.Text))
	c.Details(keyFields(c.Screen, k, c.memberNames())...)
	return nil
}

func keyFields(s *screen.Screen, k api.ServiceKey, names map[string]string) []screen.Field {
	one := func(label, text string) screen.Field {
		if text == "" {
			return screen.Field{}
		}
		return screen.Field{Label: label, Lines: []string{text}}
	}
	rate := "the server's default"
	if k.RateLimit != nil {
		rate = screen.Count(int(k.RateLimit.Calls), "call") + " in " + screen.Count(int(k.RateLimit.Seconds), "second")
	}
	expires := "never"
	if !k.ExpiresAt.IsZero() {
		expires = s.Time(k.ExpiresAt)
	}
	fields := []screen.Field{{Label: "About", Lines: describe(k.Description)}, one("ID", k.ID), one("Team", k.TeamID)}
	if k.Canary {
		fields = append(fields, one("Canary", "nobody should use it: every call with it is told of"))
	}
	if k.Flagged != nil {
		fields = append(fields, screen.Field{Label: "Review", Lines: []string{k.Flagged.Why + " Since " + s.Time(k.Flagged.At)}, Tone: screen.Caution})
	}
	if k.Revoked != nil {
		fields = append(fields, one("Ended", strings.TrimSpace(s.Time(k.Revoked.At)+". "+k.Revoked.Reason)))
	}
	if !k.PausedAt.IsZero() {
		fields = append(fields, one("Paused", "since "+s.Time(k.PausedAt)))
	}
	fields = append(fields, screen.Field{Label: "Scopes", Lines: orNone(k.Scopes, "none")},
		screen.Field{Label: "Secrets", Lines: secretLines(s, k.Secrets)},
		screen.Field{Label: "Networks", Lines: orNone(k.Networks, "anywhere")}, one("Rate limit", rate))
	if !k.NotBefore.IsZero() {
		fields = append(fields, one("Works from", s.Time(k.NotBefore)))
	}
	made := s.Time(k.CreatedAt)
	if k.MadeBy != "" {
		made += " by " + orID(names, k.MadeBy)
	}
	return append(fields, one("Expires", expires), screen.Field{Label: "Last used", Lines: useLines(s, k.LastUsed)},
		one("Made", made), one("Changed", s.Time(k.UpdatedAt)))
}

// describe is a description's lines, or none.
func describe(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return screen.CleanLines(text)
}

func useLines(s *screen.Screen, u *api.LastUse) []string {
	if u == nil {
		return []string{"never"}
	}
	lines := []string{s.Time(u.At)}
	if u.IP != "" {
		lines[0] += " from " + u.IP
	}
	if u.Operation != "" {
		lines = append(lines, u.Operation)
	}
	if u.UserAgent != "" {
		lines = append(lines, screen.Cut(screen.Clean(u.UserAgent), 60))
	}
	return lines
}

// secretLines tell the secrets of a key apart, by their last four characters.
func secretLines(s *screen.Screen, secrets []api.Secret) (lines []string) {
	for _, x := range secrets {
		words := []string{"…" + x.LastFour}
		switch {
		case !x.Works && !x.EndsAt.IsZero():
			words = append(words, "ended "+s.Short(x.EndsAt))
		case !x.Works:
			words = append(words, "doesn't work now")
		case !x.EndsAt.IsZero():
			words = append(words, "works until "+s.Time(x.EndsAt))
		case x.Current:
			words = append(words, "current")
		}
		if !x.MadeAt.IsZero() {
			words = append(words, "made "+s.Short(x.MadeAt))
		}
		if x.LastUsed != nil {
			words = append(words, "used "+s.Short(x.LastUsed.At))
		} else {
			words = append(words, "never used")
		}
		if x.Calls > 0 {
			words = append(words, screen.Count(int(x.Calls), "call"))
		}
		lines = append(lines, strings.Join(words, ", ")+" (no. "+strconv.FormatInt(x.Generation, 10)+")")
	}
	return orNone(lines, "none")
}
