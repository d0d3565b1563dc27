package keyring

import (
	"context"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Policy reads what the actor's account asks of its keys.
func (kr *Keyring) Policy(ctx context.Context, by postern.Actor) (postern.Policy, error) {
	if err := kr.reader(ctx, by, postern.PermAccountRead); err != nil {
		return postern.Policy{}, err
	}
	return kr.db.Policy(ctx, by.AccountID)
}

// SetPolicy sets what the account asks of its keys, as a whole. p.Revision is the
// one that its editor saw. Keys that are there go on working; the policy is asked
// when one is made or widened.
func (kr *Keyring) SetPolicy(ctx context.Context, by postern.Actor, p postern.Policy) (out postern.Policy, err error) {
	_, err = kr.change(ctx, by, "policy.update", string(by.AccountID), func(c *change) error {
		m, err := c.member(postern.PermAccountWrite)
		if err != nil {
			return err
		}
		was, err := c.Policy(c.ctx, by.AccountID)
		if err != nil {
			return err
		}
		if p.Tripwires == (postern.Tripwires{}) {
			p.Tripwires = was.Tripwires // an editor that knows nothing of them
		}
		if p.Leaks == (postern.LeakPolicy{}) {
			p.Leaks = was.Leaks
		}
		if err := p.Valid(); err != nil {
			return err
		}
		if was.Revision != p.Revision {
			return postern.Errorf(postern.CodePrecondition, "The policy was changed by someone else in the meantime. Look at their change before saving yours.")
		}
		out = p
		out.AccountID, out.ChangedAt, out.ChangedBy, out.Altered = by.AccountID, c.now, m.ID, false
		if !was.Altered && was.Revision > 0 && sameJSON(policyFacts(&was), policyFacts(&out)) {
			out = was
			return nil
		}
		if err := c.PutPolicy(c.ctx, &out); err != nil {
			return err
		}
		// Decisions don't go by it; who keeps what was taken away does.
		if err := c.feed(postern.ChangeAccount, by.AccountID, string(by.AccountID)); err != nil {
			return err
		}
		how := changedFacts(policyFacts(&was), policyFacts(&out))
		if was.Altered {
			how = diff(map[string]any{"altered": true}, policyFacts(&out))
		}
		return c.audit("policy.update", string(by.AccountID), "Security policy", how)
	})
	return out, err
}

func policyFacts(p *postern.Policy) map[string]any {
	return map[string]any{"requireExpiry": p.RequireExpiry, "longestLife": p.LongestLife, "writeNetworks": p.WriteNetworks,
		"remindExpiry": p.RemindExpiry, "remindAge": p.RemindAge, "idleAfter": p.IdleAfter, "tripwires": p.Tripwires.Facts(), "leaks": p.Leaks.Facts()}
}

// writes reports whether one of some scopes can change something. What no catalog
// declares may: doubt is denial.
func (s *scopeSet) writes(scopes []postern.Scope) bool {
	return slices.ContainsFunc(scopes, func(name postern.Scope) bool {
		i, ok := s.byName[name]
		return !ok || i.Access == postern.AccessWrite
	})
}

// obey refuses a key that its account's policy doesn't allow. Where a key is
// changed, was is what it was: a breach that it had already may stay, so that
// the rest of an old key can still be changed.
func (c *change) obey(is *store.KeyRecord, was *postern.ServiceKey, known *scopeSet) error {
	p, err := c.policy()
	if err != nil {
		return err
	}
	k := is.Key
	k.Scopes, k.Networks, k.ExpiresAt = is.Row.Scopes, is.Row.Networks, is.Row.ExpiresAt
	for _, b := range p.Limits(&k, known.writes(k.Scopes), c.now) {
		if was != nil && had(p.Limits(was, known.writes(was.Scopes), c.now), b.Rule) && !worse(was, &k, b.Rule) {
			continue
		}
		return refusal(&p, b)
	}
	return nil
}

// obeyed refuses to give a key that breaks the policy a further life, and says what can be done instead.
func (c *change) obeyed(k *postern.ServiceKey, known *scopeSet, instead string) error {
	p, err := c.policy()
	if err != nil {
		return err
	}
	for _, b := range p.Limits(k, known.writes(k.Scopes), c.now) {
		e := refusal(&p, b)
		e.Message = "This key is not as the account's security policy asks: " + strings.ToLower(b.Words[:1]) + b.Words[1:] + " Change that first, or " + instead + "."
		return e
	}
	return nil
}

func (c *change) policy() (postern.Policy, error) {
	p, err := c.Policy(c.ctx, c.by.AccountID)
	if err == nil && p.Altered {
		err = postern.Errorf(postern.CodeConflict, "The account's security policy was altered outside of Postern. An admin must save it anew before keys can be made or widened.")
	}
	return p, err
}

func had(all []postern.Breach, r postern.PolicyRule) bool {
	return slices.ContainsFunc(all, func(b postern.Breach) bool { return b.Rule == r })
}

// worse reports whether a change goes further in what a key broke already.
func worse(was, is *postern.ServiceKey, r postern.PolicyRule) bool {
	switch r {
	case postern.RuleLife:
		return is.ExpiresAt.After(was.ExpiresAt)
	case postern.RuleNetworks:
		return slices.ContainsFunc(is.Scopes, func(s postern.Scope) bool { return !slices.Contains(was.Scopes, s) })
	}
	return false
}

// refusal is a breach as an error that names the field and says what to do.
func refusal(p *postern.Policy, b postern.Breach) *postern.Error {
	switch b.Rule {
	case postern.RuleExpiry:
		if p.LongestLife > 0 {
			return postern.Invalidf(b.Field, "The account's security policy asks every key for an end, at most %d days ahead. Give the key one.", p.LongestLife)
		}
		return postern.Invalidf(b.Field, "The account's security policy asks every key for an end. Give the key one.")
	case postern.RuleLife:
		return postern.Invalidf(b.Field, "The account's security policy allows an end at most %d days ahead. Choose an earlier one.", p.LongestLife)
	}
	return postern.Invalidf(b.Field, "The account's security policy asks keys that can change records for an IP list. Say from where the key is used, or take its write scopes away.")
}

// Flagged is a key that isn't as a policy asks.
type Flagged struct {
	Key      postern.ServiceKey
	Breaches []postern.Breach
}

// Flagged tells which live keys of the account a policy would flag now, by name:
// the one in force, or one that is only proposed. used tells when keys were last used.
func (kr *Keyring) Flagged(ctx context.Context, by postern.Actor, p postern.Policy, used func(postern.KeyID) postern.LastUse) (out []Flagged, err error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	known, err := kr.known(ctx, kr.db)
	if err != nil {
		return nil, err
	}
	err = kr.db.EachKey(ctx, by.AccountID, kr.now(), func(rec *store.KeyRecord) error {
		if found := p.Breaches(&rec.Key, known.writes(rec.Key.Scopes), used(rec.Key.ID).At, kr.now()); len(found) > 0 {
			out = append(out, Flagged{rec.Key, found})
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Flagged) int { return strings.Compare(a.Key.Name, b.Key.Name) })
	return out, err
}
