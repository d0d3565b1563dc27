package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) members() *cobra.Command {
	cmd := group("members", "Invite people, and say what they may do", `A member is a person in your account. Their role says what they may do in
Postern and which scopes they may put on keys. A member is named here by e-mail
address or id.`)
	cmd.AddCommand(a.membersList(), a.membersShow(), a.membersInvite(), a.membersReinvite(), a.membersChange(), a.membersRemove(), a.roles())
	return cmd
}

func (a *app) membersList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the account's members", Args: exactly(),
		Example: examples("postern members list", "postern members list --json"),
		RunE: a.remote(func(c *call) error {
			members, err := waiting(c, "Reading members…", func() ([]api.Member, error) { return c.Members(c.ctx) })
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(screen.List(members))
			}
			t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 10}, {Title: "E-MAIL", Min: 16}, {Title: "ROLE", Min: 8}, {Title: "SCOPES", Min: 8, Drop: 2}, {Title: "SINCE", Drop: 1}}}
			for _, m := range members {
				t.Row(m.Name, m.Email, m.RoleName, strings.Join(orNone(m.Scopes, "none"), " "), c.Short(m.CreatedAt))
			}
			c.Table(t)
			return nil
		}),
	}
}

func (a *app) membersShow() *cobra.Command {
	return &cobra.Command{
		Use: "show MEMBER", Short: "Show a member", Args: exactly("MEMBER"), ValidArgsFunction: a.completeMembers,
		Example: examples("postern members show ana@example.org"),
		RunE: a.remote(func(c *call) error {
			m, err := c.member(c.args[0])
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(m)
			}
			held := "Role's scopes"
			if m.OwnScopes {
				held = "Own scopes"
			}
			c.Printf("%s  %s\n", c.Paint(screen.Strong, screen.Clean(m.Name)), screen.Clean(m.Email))
			c.Details(screen.Field{Label: "ID", Lines: []string{m.ID}}, screen.Field{Label: "Role", Lines: []string{m.RoleName + " (" + m.RoleID + ")"}},
				screen.Field{Label: held, Lines: orNone(m.Scopes, "none")}, screen.Field{Label: "Since", Lines: []string{c.Time(m.CreatedAt)}})
			return nil
		}),
	}
}

func (a *app) membersInvite() *cobra.Command {
	cmd := &cobra.Command{
		Use: "invite EMAIL", Short: "Invite someone to the account", Args: exactly("EMAIL"),
		Long: `Invites someone. The invitation is shown this once: hand it to them by a way that
only they can read. It works once, and for a limited time. You can give no power
that you don't have.`,
		Example: examples("postern members invite ana@example.org --name 'Ana Roth' --role key_manager",
			"postern members invite bo@example.org --name Bo --role developer --scope 'crm.objects.*'"),
		RunE: a.remote(inviteMember),
	}
	f := cmd.Flags()
	f.String("name", "", "their name; unless given the part of the address before @")
	f.String("role", "viewer", "their role (a role's id)")
	f.StringSlice("scope", nil, "what they hold instead of the role's scopes; may be repeated")
	f.String("secret-out", "", "write the invitation to this new file, and don't show it")
	_ = cmd.RegisterFlagCompletionFunc("role", a.completeRoles)
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	plurals(cmd)
	return cmd
}

func inviteMember(c *call) error {
	in := api.NewMember{Email: c.args[0], Name: c.str("name"), RoleID: c.str("role")}
	if in.Name == "" {
		in.Name, _, _ = strings.Cut(in.Email, "@")
	}
	if scopes := c.list("scope"); c.given("scope") {
		in.Scopes = &scopes
	}
	return c.invitation(func() (api.Invited, error) { return c.InviteMember(c.ctx, in) })
}

func (a *app) membersReinvite() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reinvite MEMBER", Short: "Make a new invitation; those before are void", Args: exactly("MEMBER"), ValidArgsFunction: a.completeMembers,
		Long:    "Makes a new invitation for a member who lost theirs, or their keys. The\ninvitations before it are void.",
		Example: examples("postern members reinvite ana@example.org"),
		RunE: a.remote(func(c *call) error {
			m, err := c.member(c.args[0])
			if err != nil {
				return err
			}
			return c.invitation(func() (api.Invited, error) { return c.ReinviteMember(c.ctx, m.ID) })
		}),
	}
	cmd.Flags().String("secret-out", "", "write the invitation to this new file, and don't show it")
	return cmd
}

// madeInvitation is the JSON of an invitation.
type madeInvitation struct {
	api.Invited
	SecretFile string `json:"secretFile,omitempty"`
}

// invitation makes an invitation and shows or keeps it.
func (c *call) invitation(make func() (api.Invited, error)) error {
	file, err := newSecretFile(c.str("secret-out"))
	if err != nil {
		return err
	}
	in, err := waiting(c, "Making the invitation…", make)
	if err != nil {
		file.drop()
		return err
	}
	return c.showInvitation(in, file)
}

func (c *call) showInvitation(in api.Invited, file *secretFile) error {
	var keepErr error
	name := ""
	if file != nil {
		if keepErr = file.keep(in.Invitation); keepErr == nil {
			in.Invitation, in.Link, name = "", "", file.f.Name() // the link has the invitation in it
		}
	}
	if c.JSON {
		if err := c.WriteJSON(madeInvitation{in, name}); err != nil {
			return err
		}
		return keepErr
	}
	c.Printf("Invited %s as %s.\n", screen.Clean(in.Member.Email), screen.Clean(in.Member.RoleName))
	c.Printf("The invitation works once, until %s.\n", c.Time(in.ExpiresAt))
	if name != "" {
		c.Printf("It is in %s, which only you can read.\n", screen.Clean(name))
		return nil
	}
	c.Printf("\n%s\n", c.Paint(screen.Strong, screen.Clean(in.Invitation)))
	if in.Link != "" {
		c.Printf("%s\n", screen.Clean(in.Link))
	}
	c.Printf("\n")
	c.Text("It is shown this once. Whoever has it becomes this member: hand it over by a way that only they can read. They open the link, or run:")
	c.Printf("\n  postern login URL --invitation\n")
	return keepErr
}

func (a *app) membersChange() *cobra.Command {
	cmd := &cobra.Command{
		Use: "change MEMBER", Short: "Change a member's name, role or scopes", Args: exactly("MEMBER"), ValidArgsFunction: a.completeMembers,
		Long: `Changes a member. Keys that they made go on working; those that have scopes which
they hold no longer are flagged for review.`,
		Example: examples("postern members change ana@example.org --role viewer", "postern members change ana@example.org --scope 'crm.objects.*'",
			"postern members change ana@example.org --role-scopes"),
		RunE: a.remote(changeMember),
	}
	f := cmd.Flags()
	f.String("name", "", "their name")
	f.String("role", "", "their role (a role's id)")
	f.StringSlice("scope", nil, "what they hold instead of the role's scopes; may be repeated")
	f.Bool("role-scopes", false, "let them hold what their role grants again")
	_ = cmd.RegisterFlagCompletionFunc("role", a.completeRoles)
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	plurals(cmd)
	return cmd
}

func changeMember(c *call) error {
	var in api.EditMember
	name, role := c.str("name"), c.str("role")
	if c.given("name") {
		in.Name = &name
	}
	if c.given("role") {
		in.RoleID = &role
	}
	switch {
	case c.given("scope") && c.on("role-scopes"):
		return usagef("--scope and --role-scopes can't stand together.")
	case c.given("scope"):
		in.Scopes = api.Set(append([]string{}, c.list("scope")...))
	case c.on("role-scopes"):
		in.Scopes = api.None[[]string]()
	case in.Name == nil && in.RoleID == nil:
		return usagef("There is nothing to change. See %q.", c.cmd.CommandPath()+" --help")
	}
	m, err := c.member(c.args[0])
	if err != nil {
		return err
	}
	out, err := c.EditMember(c.ctx, m.ID, in)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.Printf("%s is %s now, and may grant: %s.\n", screen.Clean(out.Email), screen.Clean(out.RoleName), screen.Clean(strings.Join(orNone(out.Scopes, "no scopes"), ", ")))
	return nil
}

func (a *app) membersRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove MEMBER", Short: "End a membership", Args: exactly("MEMBER"), ValidArgsFunction: a.completeMembers,
		Long:    "Ends a membership: their personal access keys stop working. The service keys that\nthey made go on working, and are flagged for review.",
		Example: examples("postern members remove ana@example.org"),
		RunE: a.remote(func(c *call) error {
			m, err := c.member(c.args[0])
			if err != nil {
				return err
			}
			ok, err := c.sure(act{Verb: "remove", Object: "the member " + quoted(m.Email), ID: m.ID, Name: m.Email,
				Then: "Their personal access keys stop working at once; service keys that they made work on."})
			if !ok || err != nil {
				return err
			}
			if err := c.RemoveMember(c.ctx, m.ID); err != nil {
				return err
			}
			return c.removed("the member "+quoted(m.Email), m.ID)
		}),
	}
	asks(cmd)
	return cmd
}

// removed tells that something is gone.
func (c *call) removed(object, id string) error {
	if c.JSON {
		return c.WriteJSON(map[string]any{"id": id, "removed": true})
	}
	c.Printf("Removed %s.\n", object)
	return nil
}

// member finds the member that a person means by an id, an e-mail address or a name.
func (c *call) member(ref string) (api.Member, error) {
	members, err := c.Members(c.ctx)
	if err != nil {
		if client.IsCode(err, "forbidden") || client.IsCode(err, "insufficient_scope") {
			return c.Member(c.ctx, ref) // who may see one needn't see all
		}
		return api.Member{}, err
	}
	is := []func(api.Member) bool{
		func(m api.Member) bool { return m.ID == ref },
		func(m api.Member) bool { return strings.EqualFold(m.Email, ref) },
		func(m api.Member) bool { return m.Name == ref },
	}
	for _, matches := range is {
		var found []api.Member
		var ids []string
		for _, m := range members {
			if matches(m) {
				found, ids = append(found, m), append(ids, m.ID)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return api.Member{}, usagef("%d members are called %s. Name one by its id: %s.", len(ids), quoted(ref), strings.Join(ids, ", "))
		}
	}
	return api.Member{}, notFound(`There is no member %s. See "postern members list".`, quoted(ref))
}
