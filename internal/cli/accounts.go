package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) accounts() *cobra.Command {
	cmd := group("accounts", "Add accounts to the server, and suspend them", `An account is a tenant: everything belongs to one, and nothing crosses from one
to another. Only those who operate the server make and suspend accounts.`)
	cmd.AddCommand(a.accountsList(), a.accountsCreate(), a.accountsSuspend(), a.accountsResume())
	return cmd
}

func (a *app) accountsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List all accounts of the server", Args: exactly(),
		Example: examples("postern accounts list"),
		RunE: a.remote(func(c *call) error {
			list, err := waiting(c, "Reading accounts…", func() ([]api.Account, error) { return c.Accounts(c.ctx) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(list))
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 12}, {Title: "ID"}, {Title: "NUMBER", Right: true}, {Title: "STATE"}, {Title: "DAILY LIMIT", Right: true, Drop: 2}, {Title: "SINCE", Drop: 1}}}
			for _, x := range list {
				limit := "none"
				if x.DailyLimit > 0 {
					limit = screen.Number(x.DailyLimit)
				}
				t.Row(x.Name, x.ID, strconv.FormatInt(x.Number, 10), accountState(x), limit, c.Short(x.CreatedAt))
			}
			c.Table(t)
			return nil
		}),
	}
}

func accountState(x api.Account) screen.Cell {
	switch {
	case !x.SuspendedAt.IsZero():
		return screen.Cell{Text: "suspended", Tone: screen.Caution}
	case x.Operator:
		return screen.Cell{Text: "operator", Tone: screen.Good}
	}
	return screen.Cell{Text: "active", Tone: screen.Good}
}

func (a *app) accountsCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Add an account, and invite its first super admin", Args: exactly("NAME"),
		Example: examples("postern accounts create 'Acme Ltd' --admin-email ana@acme.example --admin-name 'Ana Roth'"),
		RunE: a.remote(func(c *call) error {
			in := api.NewAccount{Name: c.args[0], TimeZone: c.str("time-zone"), DailyLimit: int64(c.number("daily-limit")),
				AdminEmail: c.str("admin-email"), AdminName: c.str("admin-name")}
			if in.AdminEmail == "" {
				return usagef("Who shall be its first super admin? Say --admin-email.")
			}
			if in.AdminName == "" {
				in.AdminName, _, _ = strings.Cut(in.AdminEmail, "@")
			}
			file, err := newSecretFile(c.str("secret-out"))
			if err != nil {
				return err
			}
			made, err := waiting(c, "Making the account…", func() (api.MadeAccount, error) { return c.CreateAccount(c.ctx, in) })
			if err != nil {
				file.drop()
				return err
			}
			return c.showAccount(made, file)
		}),
	}
	f := cmd.Flags()
	f.String("admin-email", "", "e-mail address of its first super admin")
	f.String("admin-name", "", "their name; unless given the part of the address before @")
	f.String("time-zone", "", "where its days begin, such as Europe/London; unless given UTC")
	f.Int("daily-limit", 0, "the most calls a day of all its credentials together; 0: the server's default")
	f.String("secret-out", "", "write the invitation to this new file, and don't show it")
	return cmd
}

func (c *call) showAccount(made api.MadeAccount, file *secretFile) error {
	if !c.JSON {
		c.Printf("Made the account %s (%s, number %d).\n", quoted(made.Account.Name), screen.Clean(made.Account.ID), made.Account.Number)
		return c.showInvitation(made.Invited, file)
	}
	var keepErr error
	name := ""
	if file != nil {
		if keepErr = file.keep(made.Invited.Invitation); keepErr == nil {
			made.Invited.Invitation, made.Invited.Link, name = "", "", file.f.Name()
		}
	}
	if err := c.WriteJSON(struct {
		api.MadeAccount
		SecretFile string `json:"secretFile,omitempty"`
	}{made, name}); err != nil {
		return err
	}
	return keepErr
}

func (a *app) accountsSuspend() *cobra.Command {
	cmd := &cobra.Command{
		Use: "suspend ACCOUNT", Short: "Refuse all credentials of an account for a while", Args: exactly("ACCOUNT"),
		Long:    "Refuses all credentials of an account until it is resumed. An account is named by\nits id, its number or its name.",
		Example: examples("postern accounts suspend acc_8a2fQ1xZ0bTn4Lk2"),
		RunE: a.remote(func(c *call) error {
			x, err := c.account(c.args[0])
			if err != nil {
				return err
			}
			ok, err := c.sure(act{Verb: "suspend", Object: "the account " + quoted(x.Name), ID: x.ID, Name: x.Name,
				Then: "All its credentials are refused until it is resumed.", typed: true})
			if !ok || err != nil {
				return err
			}
			return c.suspend(x, true, "Suspended the account ")
		}),
	}
	asks(cmd)
	return cmd
}

func (a *app) accountsResume() *cobra.Command {
	return &cobra.Command{
		Use: "resume ACCOUNT", Short: "Let a suspended account's credentials work again", Args: exactly("ACCOUNT"),
		Example: examples("postern accounts resume acc_8a2fQ1xZ0bTn4Lk2"),
		RunE: a.remote(func(c *call) error {
			x, err := c.account(c.args[0])
			if err != nil {
				return err
			}
			return c.suspend(x, false, "Resumed the account ")
		}),
	}
}

func (c *call) suspend(x api.Account, yes bool, done string) error {
	out, err := c.EditAnyAccount(c.ctx, x.ID, api.EditAccount{Suspended: &yes})
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.Printf("%s%s.\n", done, quoted(out.Name))
	return nil
}

// account finds the account that a person means by an id, a number or a name.
func (c *call) account(ref string) (api.Account, error) {
	list, err := c.Accounts(c.ctx)
	if err != nil {
		return api.Account{}, err
	}
	var named []api.Account
	for _, x := range list {
		if x.ID == ref || strconv.FormatInt(x.Number, 10) == ref {
			return x, nil
		}
		if x.Name == ref {
			named = append(named, x)
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return api.Account{}, notFound(`There is no account %s. See "postern accounts list".`, quoted(ref))
	}
	return api.Account{}, usagef("%d accounts are called %s. Name one by its id.", len(named), quoted(ref))
}
