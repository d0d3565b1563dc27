package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) roles() *cobra.Command {
	cmd := group("roles", "List roles, and make your own", `A role says what its members may do in Postern, and which scopes they may put on
keys. Five are built in; accounts add their own.`)
	cmd.AddCommand(a.rolesList(), a.rolesShow(), a.rolesCreate(), a.rolesChange(), a.rolesDelete())
	return cmd
}

func (a *app) rolesList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the roles that a member can have", Args: exactly(),
		Example: examples("postern members roles list"),
		RunE: a.remote(func(c *call) error {
			roles, err := waiting(c, "Reading roles…", func() ([]api.Role, error) { return c.Roles(c.ctx) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(roles))
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "ID"}, {Title: "NAME", Min: 8}, {Title: "PERMISSIONS", Right: true}, {Title: "GRANTS", Min: 6}, {Title: "ABOUT", Min: 12, Drop: 1}}}
			for _, r := range roles {
				t.Row(r.ID, r.Name, strconv.Itoa(len(r.Permissions)), strings.Join(orNone(r.Scopes, "none"), " "), r.Description)
			}
			c.Table(t)
			return nil
		}),
	}
}

func (a *app) rolesShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ROLE", Short: "Show a role", Args: exactly("ROLE"), ValidArgsFunction: first(a.completeRoles),
		Example: examples("postern members roles show key_manager"),
		RunE: a.remote(func(c *call) error {
			r, err := c.role(c.args[0])
			if err != nil {
				return err
			}
			return c.showRole(r)
		}),
	}
}

func (c *call) showRole(r api.Role) error {
	if c.JSON {
		return c.WriteJSON(r)
	}
	c.Printf("%s  %s\n", c.Paint(screen.Strong, screen.Clean(r.Name)), screen.Clean(r.ID))
	c.Details(screen.Field{Label: "About", Lines: describe(r.Description)}, screen.Field{Label: "May", Lines: orNone(r.Permissions, "nothing")},
		screen.Field{Label: "Grants", Lines: orNone(r.Scopes, "no scopes")})
	return nil
}

// roleFlags are what create and change have in common.
func roleFlags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.String("description", "", "what the role is for")
	f.StringSlice("permission", nil, "what its members may do in Postern (postern.keys.read); may be repeated")
	f.StringSlice("scope", nil, "what they hold and so may grant (crm.objects.*); may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	plurals(cmd)
}

func (a *app) rolesCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Add a role to the account", Args: exactly("NAME"),
		Long: "Adds a role to the account. You can give no power that you don't have. The\npermissions are Postern's own scopes; \"postern members roles show super_admin\"\nlists all of them.",
		Example: examples("postern members roles create 'Deal desk' --scope 'crm.objects.deals.*' \\",
			"    --permission postern.keys.read --permission postern.keys.write"),
		RunE: a.remote(func(c *call) error {
			r, err := c.CreateRole(c.ctx, api.NewRole{Name: c.args[0], Description: c.str("description"),
				Permissions: append([]string{}, c.list("permission")...), Scopes: c.list("scope")})
			if err != nil {
				return err
			}
			return c.showRole(r)
		}),
	}
	roleFlags(cmd, a)
	return cmd
}

func (a *app) rolesChange() *cobra.Command {
	cmd := &cobra.Command{
		Use: "change ROLE", Short: "Change a role that the account added", Args: exactly("ROLE"), ValidArgsFunction: first(a.completeRoles),
		Long:    "Changes a role. What isn't given stays; a list that is given stands for all of it.",
		Example: examples("postern members roles change rol_8a2f --scope 'crm.objects.*'"),
		RunE: a.remote(func(c *call) error {
			var in api.EditRole
			for name, field := range map[string]**string{"name": &in.Name, "description": &in.Description} {
				if text := c.str(name); c.given(name) {
					*field = &text
				}
			}
			for name, field := range map[string]**[]string{"permission": &in.Permissions, "scope": &in.Scopes} {
				if list := append([]string{}, c.list(name)...); c.given(name) {
					*field = &list
				}
			}
			if in == (api.EditRole{}) {
				return usagef("There is nothing to change. See %q.", c.cmd.CommandPath()+" --help")
			}
			r, err := c.role(c.args[0])
			if err != nil {
				return err
			}
			out, err := c.EditRole(c.ctx, r.ID, in, client.IfRevision(r.Revision))
			if err != nil {
				return err
			}
			return c.showRole(out)
		}),
	}
	cmd.Flags().String("name", "", "its name")
	roleFlags(cmd, a)
	return cmd
}

func (a *app) rolesDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete ROLE", Short: "Remove a role that nobody has", Args: exactly("ROLE"), ValidArgsFunction: first(a.completeRoles),
		Example: examples("postern members roles delete rol_8a2f"),
		RunE: a.remote(func(c *call) error {
			r, err := c.role(c.args[0])
			if err != nil {
				return err
			}
			ok, err := c.sure(act{Verb: "delete", Object: "the role " + quoted(r.Name), ID: r.ID, Name: r.Name, Then: "Nobody can be given it from then on."})
			if !ok || err != nil {
				return err
			}
			if err := c.DeleteRole(c.ctx, r.ID); err != nil {
				return err
			}
			return c.removed("the role "+quoted(r.Name), r.ID)
		}),
	}
	asks(cmd)
	return cmd
}

// role finds the role that a person means by an id or a name.
func (c *call) role(ref string) (api.Role, error) {
	roles, err := c.Roles(c.ctx)
	if err != nil {
		return api.Role{}, err
	}
	var named []api.Role
	for _, r := range roles {
		if r.ID == ref {
			return r, nil
		}
		if strings.EqualFold(r.Name, ref) {
			named = append(named, r)
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return api.Role{}, notFound(`There is no role %s. See "postern members roles list".`, quoted(ref))
	}
	return api.Role{}, usagef("%d roles are called %s. Name one by its id.", len(named), quoted(ref))
}
