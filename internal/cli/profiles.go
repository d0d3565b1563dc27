package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

func (a *app) profiles() *cobra.Command {
	cmd := &cobra.Command{
		Use: "profiles", Short: "List saved logins, or choose one",
		Long:    "Lists the logins that are saved here. Without a command it lists them.",
		Example: examples("postern profiles", "postern profiles use staging"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.listProfiles(a.Screen(cmd)) },
	}
	bare(cmd, cmd.RunE)
	cmd.AddCommand(&cobra.Command{
		Use: "use PROFILE", Short: "Make a saved login the current one", Args: exactly("PROFILE"), ValidArgsFunction: a.completeProfiles,
		Example: examples("postern profiles use staging"),
		RunE: func(cmd *cobra.Command, args []string) error {
			saved, err := a.readConfig()
			if err != nil {
				return err
			}
			p, ok := saved.Profiles[args[0]]
			if !ok {
				return notFound("There is no saved login %s. See %q.", quoted(args[0]), "postern profiles")
			}
			saved.Current = args[0]
			if err := a.writeConfig(saved); err != nil {
				return err
			}
			s := a.Screen(cmd)
			if s.JSON {
				return s.WriteJSON(profileLine{args[0], p.Server, p.Account, p.Member, true})
			}
			s.Printf("Commands go to %s now, as %s.\n", screen.Clean(p.Server), screen.Clean(p.Member))
			return nil
		},
	})
	return cmd
}

// profileLine is the JSON of a saved login.
type profileLine struct {
	Name    string `json:"name"`
	Server  string `json:"server"`
	Account string `json:"account,omitempty"`
	Member  string `json:"member,omitempty"`
	Current bool   `json:"current"`
}

func (a *app) listProfiles(s *screen.Screen) error {
	saved, err := a.readConfig()
	if err != nil {
		return err
	}
	var lines []profileLine
	for _, name := range slices.Sorted(maps.Keys(saved.Profiles)) {
		p := saved.Profiles[name]
		lines = append(lines, profileLine{name, p.Server, p.Account, p.Member, name == saved.Current})
	}
	if s.JSON {
		return s.WriteJSON(screen.List(lines))
	}
	if len(lines) == 0 {
		s.Notef("No saved logins. Sign in with: postern login URL")
		return nil
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "PROFILE", Min: 8}, {Title: "SERVER", Min: 28}, {Title: "ACCOUNT", Min: 8, Drop: 1}, {Title: "MEMBER", Min: 10}, {}}}
	for _, l := range lines {
		current := ""
		if l.Current {
			current = "current"
		}
		t.Row(l.Name, l.Server, l.Account, l.Member, current)
	}
	s.Table(t)
	return nil
}
