package cli

import (
	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

func (a *app) completion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion SHELL", Short: "Write the script that completes commands in a shell", Args: exactly("SHELL"),
		Long: `Writes a script that lets a shell complete commands, flags, and the names of keys,
scopes, members and upstreams, which it asks the server for. SHELL is bash, zsh,
fish or powershell.`,
		Example: examples(`source <(postern completion bash)   # also at the end of ~/.bashrc`,
			`postern completion zsh > "${fpath[1]}/_postern"`,
			`postern completion fish > ~/.config/fish/completions/postern.fish`),
		ValidArgsFunction: first(cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usagef("There is no completion for %q. SHELL is bash, zsh, fish or powershell.", screen.Cut(screen.Clean(args[0]), 40))
		},
	}
}
