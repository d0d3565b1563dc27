package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

// errDeclined says that a question was answered with no.
var errDeclined = errorf("Nothing was changed.")

// act is something that takes something away, and is asked about before it is done.
type act struct {
	Verb   string `json:"would"` // "revoke"
	Object string `json:"-"`     // `the key "nightly"`, cleaned
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Then   string `json:"-"` // what follows from it, in a sentence
	typed  bool   // whether the name must be typed
}

// asks gives a command the flags of what is asked about.
func asks(cmd *cobra.Command) {
	cmd.Flags().BoolP("yes", "y", false, "don't ask; needed where there is no terminal")
	cmd.Flags().Bool("dry-run", false, "say what would be done, and don't")
}

// sure reports whether an act shall be done: it was confirmed. For a dry run it
// says what would be done.
func (c *call) sure(t act) (bool, error) {
	if c.on("dry-run") {
		if c.JSON {
			return false, c.WriteJSON(struct {
				DryRun bool `json:"dryRun"`
				act
			}{true, t})
		}
		c.Text(fmt.Sprintf("This would %s %s. %s Nothing was changed.", t.Verb, t.Object, t.Then))
		return false, nil
	}
	if c.on("yes") {
		return true, nil
	}
	if !c.app.IsTerminal(c.app.Stdin) || !c.ErrTerminal {
		return false, usagef("To %s %s needs a confirmation, and there is no terminal to ask on. Add --yes, or --dry-run to see what it would do.", t.Verb, t.Object)
	}
	for _, line := range screen.Wrap(t.Then, min(c.Width, 80)) {
		fmt.Fprintln(c.Err, line)
	}
	if t.typed {
		fmt.Fprintf(c.Err, "Type %s to %s it: ", screen.Clean(t.Name), t.Verb)
	} else {
		fmt.Fprintf(c.Err, "%s %s? [y/N] ", strings.ToUpper(t.Verb[:1])+t.Verb[1:], t.Object)
	}
	line, err := c.app.readLine(c.ctx)
	if err != nil {
		if errors.Is(err, errDeclined) {
			return false, exit(ExitStopped, errDeclined)
		}
		fmt.Fprintln(c.Err) // what is said next is no answer
		return false, err
	}
	yes := strings.EqualFold(line, "y") || strings.EqualFold(line, "yes")
	if t.typed {
		yes = line == t.Name || line == screen.Clean(t.Name) || line == t.ID
	}
	if !yes {
		return false, exit(ExitStopped, errDeclined)
	}
	return true, nil
}
