package keyring

import (
	"context"
	"errors"
	"time"
	_ "time/tzdata" // an account's time zone must be known on any machine

	"postern.dev/postern"
)

// NewAccount is what a new account shall be.
type NewAccount struct {
	Name       string
	TimeZone   string // IANA name; empty is UTC
	DailyLimit int64  // calls a day of all its keys together; 0 is the server's default for new accounts
	Number     int64  // its public number; 0 gives the next
	// AdminEmail and AdminName are its first super admin, who is invited.
	AdminEmail, AdminName string
}

func (c *change) account(in NewAccount, operator bool) (a postern.Account, err error) {
	a = postern.Account{ID: postern.AccountID(postern.NewID("acc")), Number: in.Number, Operator: operator, DailyLimit: in.DailyLimit, CreatedAt: c.now}
	if a.Name, err = text("account", in.Name, postern.MaxNameLen, true); err != nil {
		return a, err
	}
	if a.TimeZone, err = checkZone(in.TimeZone); err != nil {
		return a, err
	}
	if in.DailyLimit < 0 {
		return a, postern.Invalidf("dailyLimit", "A daily limit can't be negative; 0 is the server's default.")
	}
	if a.DailyLimit == 0 {
		a.DailyLimit = c.kr.cfg.DailyLimit
	}
	if err := c.InsertAccount(c.ctx, &a); err != nil {
		return a, err
	}
	if err := c.feed(postern.ChangeAccount, a.ID, string(a.ID)); err != nil {
		return a, err
	}
	e := c.by.Entry(c.now, "account.create", string(a.ID))
	e.AccountID, e.Name, e.After = a.ID, a.Name, accountFacts(&a)
	return a, c.InsertAudit(c.ctx, e)
}

func checkZone(s string) (string, error) {
	if s == "" {
		return "UTC", nil
	}
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return "", postern.Invalidf("timeZone", "%q is no time zone; write one as Europe/London.", s)
	}
	return s, nil
}

func accountFacts(a *postern.Account) map[string]any {
	m := map[string]any{"name": a.Name, "number": a.Number, "timeZone": a.TimeZone, "dailyLimit": a.DailyLimit}
	if !a.SuspendedAt.IsZero() {
		m["suspendedAt"] = a.SuspendedAt
	}
	return m
}

// CreateAccount adds an account to the server and invites its first super admin.
// Only members of the operator's account can.
func (kr *Keyring) CreateAccount(ctx context.Context, by postern.Actor, in NewAccount) (a postern.Account, inv Invited, err error) {
	_, err = kr.change(ctx, by, "account.create", "", func(c *change) error {
		m, err := c.operator(postern.PermAccountsWrite)
		if err != nil {
			return err
		}
		if a, err = c.account(in, false); err != nil {
			return err
		}
		if in.AdminEmail == "" && by.System != "" {
			return nil
		}
		inv, err = c.invite(m, a.ID, NewMember{Email: in.AdminEmail, Name: in.AdminName, RoleID: postern.RoleSuperAdmin})
		return err
	})
	return a, inv, err
}

// Accounts lists all accounts; only members of the operator's account can.
func (kr *Keyring) Accounts(ctx context.Context, by postern.Actor) ([]postern.Account, error) {
	if err := kr.reader(ctx, by, postern.PermAccountsWrite); err != nil {
		return nil, err
	}
	own, err := kr.db.Account(ctx, by.AccountID)
	if err != nil {
		return nil, err
	}
	if !own.Operator {
		return []postern.Account{own}, nil
	}
	return kr.db.Accounts(ctx)
}

// Account reads the actor's own account.
func (kr *Keyring) Account(ctx context.Context, by postern.Actor) (postern.Account, error) {
	return kr.db.Account(ctx, by.AccountID)
}

// AccountEdit is what shall change of an account. Nil members stay as they are.
type AccountEdit struct {
	Name       *string
	TimeZone   *string
	DailyLimit *int64
	Suspended  *bool
}

// EditAccount changes an account: its name and time zone by its own admins; its
// daily limit, and whether it is suspended, by the operator.
func (kr *Keyring) EditAccount(ctx context.Context, by postern.Actor, id postern.AccountID, in AccountEdit) (a postern.Account, err error) {
	_, err = kr.change(ctx, by, "account.update", string(id), func(c *change) error {
		if in.DailyLimit != nil || in.Suspended != nil || id != by.AccountID {
			_, err = c.operator(postern.PermAccountsWrite)
			if errors.Is(err, postern.CodeForbidden) && id != by.AccountID {
				return postern.Errorf(postern.CodeNotFound, "There is no such account.")
			}
		} else {
			_, err = c.member(postern.PermAccountWrite)
		}
		if err != nil {
			return err
		}
		if a, err = c.Account(c.ctx, id); err != nil {
			return err
		}
		if a.Altered {
			return postern.Errorf(postern.CodeConflict, "The account's record was altered outside of Postern and gives nothing. Put it back from a back-up.")
		}
		facts := accountFacts(&a)
		if in.Name != nil {
			if a.Name, err = text("name", *in.Name, postern.MaxNameLen, true); err != nil {
				return err
			}
		}
		if in.TimeZone != nil {
			if a.TimeZone, err = checkZone(*in.TimeZone); err != nil {
				return err
			}
		}
		if in.DailyLimit != nil {
			if a.DailyLimit = *in.DailyLimit; a.DailyLimit < 0 {
				return postern.Invalidf("dailyLimit", "A daily limit can't be negative; 0 is none.")
			}
		}
		if in.Suspended != nil {
			switch {
			case *in.Suspended && a.Operator:
				return postern.Errorf(postern.CodeConflict, "The account that operates the server can't be suspended.")
			case !*in.Suspended:
				a.SuspendedAt = time.Time{}
			case a.SuspendedAt.IsZero():
				a.SuspendedAt = c.now
			}
		}
		if err := c.UpdateAccount(c.ctx, &a); err != nil {
			return err
		}
		if err := c.feed(postern.ChangeAccount, a.ID, string(a.ID)); err != nil {
			return err
		}
		e := c.by.Entry(c.now, "account.update", string(a.ID))
		e.AccountID, e.Name = a.ID, a.Name
		changedFacts(facts, accountFacts(&a))(&e)
		return c.InsertAudit(c.ctx, e)
	})
	return a, err
}
