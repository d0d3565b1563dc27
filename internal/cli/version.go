package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show which version this is", Args: exactly(),
		Example: examples("postern version", "postern version --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := a.Screen(cmd)
			if s.JSON {
				return s.WriteJSON(map[string]string{"version": a.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			s.Printf("postern %s (%s, %s/%s)\n", screen.Clean(a.Version), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
