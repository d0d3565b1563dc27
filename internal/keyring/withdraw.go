package keyring

import (
	"context"

	"postern.dev/postern"
)

// WithdrawInvitation voids the invitation of a member. Who never came in is no
// member any more; who was invited anew stays one. It gives back which it was.
func (kr *Keyring) WithdrawInvitation(ctx context.Context, by postern.Actor, id postern.MemberID) (removed bool, err error) {
	_, err = kr.change(ctx, by, "member.withdraw", string(id), func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		who, err := c.liveMember(by.AccountID, id)
		if err != nil {
			return err
		}
		if err := outranks(m, who.Role, who.Scopes, "withdraw this invitation"); err != nil {
			return err
		}
		all, err := c.MemberWays(c.ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		ways := all[id]
		if !c.now.Before(ways.InvitedUntil) && ways.Joined {
			return postern.Errorf(postern.CodeConflict, "There is no invitation to withdraw: it was accepted, has run out, or was withdrawn.")
		}
		if err := c.VoidSingleUse(c.ctx, purposeInvite, id, c.now); err != nil {
			return err
		}
		if removed = !ways.Joined; !removed {
			return c.audit("member.withdraw", string(id), who.Email)
		}
		if superAdmin(who) {
			if err := c.otherSuperAdmin(by.AccountID, id); err != nil {
				return err
			}
		}
		was := memberFacts(who)
		who.RemovedAt = c.now
		if err := c.UpdateMember(c.ctx, who); err != nil {
			return err
		}
		if err := c.feed(postern.ChangeMember, by.AccountID, string(id)); err != nil {
			return err
		}
		return c.audit("member.withdraw", string(id), who.Email, diff(was, nil))
	})
	return removed, err
}

// Brand is the first part of every secret.
func (kr *Keyring) Brand() string { return kr.cfg.Brand }
