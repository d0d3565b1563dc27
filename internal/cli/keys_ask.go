package cli

import (
	"errors"
	"strings"

	"charm.land/huh/v2"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// canAsk reports whether there is somebody to ask.
func (c *call) canAsk() bool {
	return !c.JSON && c.app.IsTerminal(c.app.Stdin) && c.ErrTerminal && c.OutTerminal
}

// askKey asks for what the command line left out of a new key.
func (c *call) askKey(in *api.NewServiceKey) error {
	yes := true
	scopes, _, err := collect(c, "scopes", 0, c.EachScope(c.ctx, client.ScopeQuery{Grantable: &yes, Paging: client.Paging{Limit: 200}}))
	if err != nil {
		return err
	}
	expires := ""
	fields := []huh.Field{
		huh.NewInput().Title("Name").Description("What will use the key?").Placeholder("nightly-deals-sync").Value(&in.Name).
			Validate(func(s string) error {
				if strings.TrimSpace(s) == "" {
					return errors.New("a key needs a name")
				}
				return nil
			}),
	}
	if len(in.Scopes) == 0 && len(scopes) > 0 {
		options := make([]huh.Option[string], 0, len(scopes))
		for _, s := range scopes {
			options = append(options, huh.NewOption(scopeLine(s), s.Name))
		}
		fields = append(fields, huh.NewMultiSelect[string]().Title("Scopes").Description("Blank chooses, / searches, enter goes on.").
			Options(options...).Filterable(true).Height(min(len(options)+2, 14)).Value(&in.Scopes))
	}
	if in.ExpiresAt.IsZero() {
		fields = append(fields, huh.NewInput().Title("Expires").Description("90d, 2027-01-31, or nothing for never").Value(&expires).
			Validate(func(s string) error {
				if s = strings.TrimSpace(s); s == "" || s == "never" {
					return nil
				}
				_, err := c.when("expires", s)
				return err
			}))
	}
	accessible := c.app.Getenv("ACCESSIBLE") != "" || c.app.Getenv("TERM") == "dumb"
	form := huh.NewForm(huh.NewGroup(fields...)).WithInput(c.app.Stdin).WithOutput(c.Err).WithAccessible(accessible)
	if err := form.RunWithContext(c.ctx); err != nil {
		if errors.Is(err, huh.ErrUserAborted) {
			return exit(ExitStopped, errDeclined)
		}
		return err
	}
	if expires = strings.TrimSpace(expires); expires != "" && expires != "never" {
		in.ExpiresAt, err = c.when("expires", expires)
	}
	return err
}

func scopeLine(s api.Scope) string {
	line := screen.Clean(s.Name)
	if s.Words != "" {
		line += " · " + screen.Clean(s.Words)
	}
	if s.Sensitive {
		line += " (sensitive)"
	}
	return screen.Cut(line, 72)
}
