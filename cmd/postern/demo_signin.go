package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"postern.dev/postern"
	"postern.dev/postern/internal/node"
)

// printSignin prints a link that signs the demo's super admin in to the console once.
func printSignin(ctx context.Context, w io.Writer, n *node.Node) error {
	all, err := n.DB.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !a.Operator {
			continue
		}
		admins, err := n.DB.RoleMembers(ctx, a.ID, postern.RoleSuperAdmin)
		if err != nil || len(admins) == 0 {
			return err
		}
		link, until, err := n.Signin.Link(ctx, postern.Actor{System: "demo"}, admins[0].ID)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "\nOpen the console as %s (this link works once, until %s):\n\n  %s/signin/link/%s\n",
			admins[0].Name, until.Local().Format("15:04"), n.Config.PublicURL, link.Reveal())
		return err
	}
	return errors.New("the demo has no account")
}
