package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
)

func setupCommand() *cobra.Command {
	var cfg Config
	var in keyring.SetupInput
	var file, out string
	c := &cobra.Command{
		Use:   "setup",
		Short: "Make the first account and its super admin",
		Long: "Make the first account of a server and its super admin, and show the super admin's\n" +
			"personal access key, once. The server must not be running on the same data.",
		Example: "  postern setup --data /var/lib/postern --account Acme --name Ada \\\n      --email ada@example.org",
		Args:    cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.settings(cmd, file); err != nil {
				return err
			}
			for _, f := range [][2]string{{"account", in.AccountName}, {"email", in.Email}, {"name", in.Name}} {
				if f[1] == "" {
					return cli.Usage(fmt.Errorf("--%s is missing; see %q", f[0], "postern setup --help"))
				}
			}
			keep, err := cli.NewSecretFile(out)
			if err != nil {
				return err
			}
			n, err := node.Open(cmd.Context(), cfg.bare())
			if err != nil {
				keep.Drop()
				return err
			}
			done, err := n.Keyring.Setup(cmd.Context(), in)
			closeErr := n.Close()
			if err != nil {
				keep.Drop()
				return errors.Join(err, closeErr)
			}
			result := struct {
				AccountID     string `json:"accountId"`
				AccountNumber int64  `json:"accountNumber"`
				MemberID      string `json:"memberId"`
				Secret        string `json:"secret,omitempty"`
				SecretFile    string `json:"secretFile,omitempty"`
			}{string(done.Account.ID), done.Account.Number, string(done.Member.ID), done.Secret.Reveal(), out}
			if out != "" {
				if err := keep.Keep(done.Secret.Reveal()); err != nil {
					return err
				}
				result.Secret = ""
			}
			if cli.JSON(cmd) {
				return errors.Join(cli.PrintJSON(cmd, result), closeErr)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "The account %q is ready (number %d).\nIts super admin is %s.\n\n", done.Account.Name, done.Account.Number, cli.Clean(done.Member.Email))
			if out != "" {
				fmt.Fprintf(w, "The personal access key is in %s.\n", out)
			} else {
				fmt.Fprintf(w, "Personal access key, shown only now:\n\n  %s\n", done.Secret.Reveal())
			}
			fmt.Fprintf(w, "\nNext: start the server on the same data, with \"postern serve\" and the same\nsettings. Then sign in: postern login URL\n")
			return closeErr
		},
	}
	f := c.Flags()
	f.StringVar(&file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	f.StringVar(&in.AccountName, "account", "", "name of the account (required)")
	f.StringVar(&in.Email, "email", "", "e-mail address of its super admin (required)")
	f.StringVar(&in.Name, "name", "", "name of its super admin (required)")
	f.StringVar(&in.TimeZone, "time-zone", "UTC", "the account's time zone, such as Europe/London")
	f.StringVar(&out, "secret-out", "", "new file to write the personal access key to, instead of showing it")
	cfg.flags(f, "data", "database", "pepper-path", "brand", "log-level", "log-format")
	return c
}

// bare is a node that is opened for one change and never runs.
func (c *Config) bare() node.Config {
	return node.Config{Data: c.Data, Database: c.Database, Pepper: c.Pepper, PepperPath: c.pepperPath(), Brand: c.Brand, Log: c.logger()}
}
