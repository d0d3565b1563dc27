package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// Completion asks the server each time and keeps nothing; where it can't, it says nothing.
const (
	completeWithin = 2 * time.Second
	completeMost   = 100
)

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completing gives a function that completes with what a server knows.
func (a *app) completing(find func(ctx context.Context, c *client.Client, start string) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		const quiet = cobra.ShellCompDirectiveNoFileComp
		if a.Getenv("POSTERN_SECRET_FILE") == "-" {
			return nil, quiet // the standard input isn't for us
		}
		server, err := a.server(cmd)
		if err != nil {
			return nil, quiet
		}
		cl, err := a.connect(server)
		if err != nil {
			return nil, quiet
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, stop := context.WithTimeout(parent, completeWithin)
		defer stop()
		words, err := find(ctx, cl, start)
		if err != nil {
			return nil, quiet
		}
		return words, quiet
	}
}

// first completes the first argument only.
func first(f completion) completion {
	return func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, start)
	}
}

// word is a completion and what is said beside it.
func word(name, about string) string {
	if about = screen.Clean(about); about == "" {
		return name
	}
	return name + "\t" + about
}

// completeKeys completes the name of a service key, as the first argument.
func (a *app) completeKeys(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	return first(a.completeKeyFlag)(cmd, args, start)
}

func (a *app) completeKeyFlag(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	return a.completing(func(ctx context.Context, c *client.Client, start string) (words []string, err error) {
		page, err := c.ServiceKeys(ctx, client.KeyQuery{Name: start, Paging: client.Paging{Limit: completeMost}})
		for _, k := range page.Items {
			// A name that the shell or the terminal could misread is completed as its id.
			if name := idOr(k.Name, k.ID); strings.HasPrefix(name, start) {
				words = append(words, word(name, k.State+", "+screen.Count(len(k.Scopes), "scope")))
			}
		}
		return words, err
	})(cmd, args, start)
}

// completeScopes completes the name of a scope, also after a comma.
func (a *app) completeScopes(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	before := ""
	if i := strings.LastIndexByte(start, ','); i >= 0 {
		before, start = start[:i+1], start[i+1:]
	}
	return a.completing(func(ctx context.Context, c *client.Client, start string) (words []string, err error) {
		page, err := c.Scopes(ctx, client.ScopeQuery{Q: start, Paging: client.Paging{Limit: completeMost}})
		for _, s := range page.Items {
			if strings.HasPrefix(s.Name, start) && shellWord(s.Name) == s.Name {
				words = append(words, word(before+s.Name, s.Words))
			}
		}
		return words, err
	})(cmd, args, start)
}

// completeUpstreams completes the id of an upstream, as the first argument.
func (a *app) completeUpstreams(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	return first(a.completeUpstreamFlag)(cmd, args, start)
}

func (a *app) completeUpstreamFlag(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	return a.completing(func(ctx context.Context, c *client.Client, start string) (words []string, err error) {
		list, err := c.Upstreams(ctx)
		for _, u := range list {
			if strings.HasPrefix(u.ID, start) && shellWord(u.ID) == u.ID {
				words = append(words, word(u.ID, u.Name))
			}
		}
		return words, err
	})(cmd, args, start)
}

// completeMembers completes a member's e-mail address, as the first argument.
func (a *app) completeMembers(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	return first(a.completing(func(ctx context.Context, c *client.Client, start string) (words []string, err error) {
		list, err := c.Members(ctx)
		for _, m := range list {
			if name := idOr(m.Email, m.ID); strings.HasPrefix(name, start) {
				words = append(words, word(name, m.Name))
			}
		}
		return words, err
	}))(cmd, args, start)
}

// completeRoles completes the id of a role.
func (a *app) completeRoles(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
	return a.completing(func(ctx context.Context, c *client.Client, start string) (words []string, err error) {
		list, err := c.Roles(ctx)
		for _, r := range list {
			if strings.HasPrefix(r.ID, start) && shellWord(r.ID) == r.ID {
				words = append(words, word(r.ID, r.Name))
			}
		}
		return words, err
	})(cmd, args, start)
}

// completeProfiles completes the name of a saved login.
func (a *app) completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := a.readConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(c.Profiles)), cobra.ShellCompDirectiveNoFileComp
}
