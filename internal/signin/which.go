package signin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// maxSame is against how many members of one address a password is held at one
// try. Who is a member of more accounts names theirs.
const maxSame = 4

// besideDevice is the guard of failures that came beside a success: no device's id is as short.
const besideDevice = "beside"

// candidate is a member whom a try may be of.
type candidate struct {
	member   *postern.Member
	account  postern.Account
	password store.Password
	device   string // that the try counts under
	waits    error  // why it isn't looked at
	ok       bool
}

// Choice is an account that a password opens.
type Choice struct {
	Number int64
	Name   string
}

// candidates are the members of a try's address: those first who were on this device
// before, then those who have a password.
func (s *Service) candidates(ctx context.Context, try Try) ([]candidate, error) {
	found, err := s.db.MembersByEmail(ctx, try.Email)
	if err != nil {
		return nil, err
	}
	var all []candidate
	for i := range found {
		c := candidate{member: &found[i]}
		if c.member.Altered {
			continue
		}
		if c.account, err = s.db.Account(ctx, c.member.AccountID); err != nil {
			return nil, err
		}
		if try.Account != 0 && c.account.Number != try.Account {
			continue
		}
		if c.password, err = s.db.Password(ctx, c.member.ID); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	rank := func(c candidate) int {
		switch {
		case s.knownDevice(c.member.ID, try.Device) != "":
			return 0
		case c.password.Hash != "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return rank(a) - rank(b) })
	return all[:min(len(all), maxSame)], nil
}

// hold holds a try against every candidate; each is counted before any is looked at.
// It takes as long whether the address has one member or several.
func (s *Service) hold(ctx context.Context, all []candidate, try Try) (err error) {
	free := false
	for i := range all {
		c := &all[i]
		c.device, err = s.attempt(ctx, c.member.ID, try.Device)
		if err != nil && postern.CodeOf(err) != postern.CodeRateLimited {
			return err
		}
		c.waits = err
		free = free || err == nil
	}
	if !free {
		return all[0].waits
	}
	for i := range all {
		c := &all[i]
		hash := c.password.Hash
		if c.waits != nil {
			hash = ""
		}
		ok, weak, err := s.hasher.Matches(ctx, hash, normal(try.Password))
		if err != nil {
			return err
		}
		c.ok = ok
		if ok && weak {
			if err := s.rehash(ctx, c.member.ID, c.password.Hash, try.Password); err != nil {
				s.cfg.Log.WarnContext(ctx, "could not make a password's hash stronger", "err", err)
			}
		}
	}
	return s.hashOn(ctx, try, len(all))
}

// hashOn hashes as often as a try costs on this server, after so many times: in how
// many accounts an address is must not show in the time. Where there is one account,
// that is once.
func (s *Service) hashOn(ctx context.Context, try Try, done int) error {
	all, err := s.db.Accounts(ctx)
	if err != nil {
		return err
	}
	for range min(max(len(all), 1), maxSame) - done {
		if _, _, err := s.hasher.Matches(ctx, "", normal(try.Password)); err != nil {
			return err
		}
	}
	return nil
}

// none answers a password that fits no candidate.
func (s *Service) none(ctx context.Context, all []candidate, from postern.Actor) error {
	var waits error
	for i := range all {
		if all[i].waits != nil {
			waits = all[i].waits
		} else if err := s.failed(ctx, all[i].member, "password", "wrong password", from); err != nil {
			return err
		}
	}
	if waits != nil {
		return waits
	}
	return ErrWrong
}

// right are the candidates whose password it is, the newest password first.
//
// Whoever runs one account can give a member of theirs any address and password, and
// learn by it whether another account's member has the same. So what doesn't fit
// beside one that does is counted too, apart from what strangers do, and a member who
// waits there isn't offered: but the newest password is, and a guesser's always is.
func (s *Service) right(ctx context.Context, all []candidate) ([]*candidate, error) {
	var fit []*candidate
	for i := range all {
		if all[i].ok {
			fit = append(fit, &all[i])
		}
	}
	if len(fit) == 0 {
		return nil, nil
	}
	for i := range all {
		if c := &all[i]; !c.ok && c.waits == nil {
			if err := s.beside(ctx, c.member.ID, c.device); err != nil {
				return nil, err
			}
		}
	}
	slices.SortStableFunc(fit, func(a, b *candidate) int { return b.password.ChangedAt.Compare(a.password.ChangedAt) })
	offered := fit[:1:1]
	for _, c := range fit[1:] {
		g, err := s.db.Guard(ctx, c.member.ID, besideDevice)
		if err != nil {
			return nil, err
		}
		if !s.now().Before(g.RetryAt) {
			offered = append(offered, c)
		}
	}
	open := slices.DeleteFunc(slices.Clone(offered), func(c *candidate) bool { return !c.account.SuspendedAt.IsZero() })
	if len(open) == 0 {
		open = offered[:1] // and is told that it is suspended
	}
	for _, c := range fit {
		if slices.Contains(open, c) {
			continue
		}
		if err := s.uncount(ctx, c.member.ID, c.device); err != nil {
			return nil, err
		}
	}
	return open, nil
}

// beside takes a failure back that was none of the member's own address, and counts
// it apart: the same person has another password elsewhere, or a guesser does.
func (s *Service) beside(ctx context.Context, m postern.MemberID, device string) error {
	if err := s.uncount(ctx, m, device); err != nil {
		return err
	}
	now := s.now()
	return s.change(ctx, func(tx *store.Tx) error {
		g, err := tx.Guard(ctx, m, besideDevice)
		if err != nil {
			return err
		}
		g.Failures = min(g.Failures+1, maxTries)
		g.FailedAt, g.RetryAt = now, now.Add(wait(g.Failures))
		return tx.PutGuard(ctx, m, besideDevice, g)
	})
}

// askWhich has someone say which of the accounts they go into that their password opens.
func (s *Service) askWhich(ctx context.Context, right []*candidate) (out Answer, err error) {
	f := s.newFlow()
	for _, c := range right {
		if err := s.uncount(ctx, c.member.ID, c.device); err != nil {
			return out, err
		}
		f.Members = append(f.Members, c.member.ID)
		out.Choices = append(out.Choices, Choice{Number: c.account.Number, Name: c.account.Name})
	}
	slices.SortFunc(out.Choices, func(a, b Choice) int { return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number)) })
	out.Flow, err = s.sealFlow("which", f)
	return out, err
}

// Choose goes on into one of the accounts that a password opened, by its number.
func (s *Service) Choose(ctx context.Context, flow string, number int64, mark string, from postern.Actor) (out Answer, err error) {
	f, err := s.openFlow("which", flow)
	if err != nil {
		return out, errFlow
	}
	for _, id := range f.Members {
		m, a, err := s.live(ctx, id)
		if err != nil || a.Number != number {
			continue
		}
		if err := s.unchanged(ctx, s.db, m.ID, f); err != nil {
			return out, err
		}
		return s.passwordRight(ctx, &m, s.knownDevice(m.ID, mark), from, func(tx *store.Tx) error {
			if err := s.spend(ctx, tx, f); err != nil {
				return err
			}
			return s.unchanged(ctx, tx, m.ID, f)
		})
	}
	return out, errFlow
}

type passwordReader interface {
	Password(context.Context, postern.MemberID) (store.Password, error)
}

// unchanged checks that the password that a flow began with is the member's still:
// a new one ends what was begun with the old.
func (s *Service) unchanged(ctx context.Context, q passwordReader, m postern.MemberID, f Flow) error {
	p, err := q.Password(ctx, m)
	if err != nil {
		return err
	}
	if p.Hash == "" || p.ChangedAt.After(time.UnixMicro(f.At)) {
		return errFlow
	}
	return nil
}
