package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"postern.dev/postern"
)

// Verify decides whether a secret may do what it is presented for. It is the
// only way in. A denial is a decision; an error means that none could be made,
// and every door then denies with 503.
func (v *Verifier) Verify(ctx context.Context, req *Request) (d postern.Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			v.log.Error("a verification failed", "request_id", req.RequestID, "panic", fmt.Sprint(p))
			d, err = postern.Decision{Reason: postern.ReasonUnavailable}, errors.New("verify: a verification failed")
		}
	}()
	now, latest, alive := v.decidingAt(v.clock.Now())
	d.At = now
	if alive {
		v.judge(ctx, req, now, latest, &d)
	} else {
		d.Reason = postern.ReasonUnavailable
	}
	d.Allowed = d.Reason == postern.ReasonAllowed || d.Reason == postern.ReasonPublic
	v.count(&d)
	return d, nil
}

// judge takes the steps of a verification in their order.
func (v *Verifier) judge(ctx context.Context, req *Request, now, latest postern.Micros, d *postern.Decision) {
	f := found{latest: latest}
	d.Reason = v.recognize(ctx, req, now, d, &f)
	if d.Reason == postern.ReasonAllowed {
		d.Reason = v.admit(req, now, d, &f)
	}
	if d.Reason == postern.ReasonAllowed {
		v.permit(req, d, &f)
		if f.watch != nil && d.Reason == postern.ReasonAllowed {
			v.tryNarrower(req, d, &f)
		}
		return
	}
	// Whatever is wrong with the credential, a public operation needs none.
	if req.Method != "" {
		if op, _ := v.routes.Load().match(req); op != nil && op.Need.Public {
			d.Reason, d.Operation, d.RetryAt = postern.ReasonPublic, &op.Operation, 0
		}
	}
}

// recognize finds the credential whose whole true secret was presented, and
// judges whether it works now. Only then d is filled in, but for the key ID and
// kind that anyone can read in the text.
func (v *Verifier) recognize(ctx context.Context, req *Request, now postern.Micros, d *postern.Decision, f *found) postern.Reason {
	text := req.Secret.Reveal()
	if text == "" {
		return postern.ReasonNoCredential
	}
	var presented postern.Presented
	if p, err := postern.ParseSecret(v.brand, text); err == nil {
		if p.Kind == 0 || req.Imported {
			// A refresh token, a session: well-formed, and never a bearer. Nor is one of
			// ours anything but a bearer.
			return postern.ReasonMalformed
		}
		d.Key, d.Kind = p.Key, p.Kind
		if !v.index.find(&p.Key, f) && !v.ask(ctx, &p.Key, f) {
			// Compared all the same, so that time doesn't tell that there is no such key.
			f.cred = v.nobody
		}
		v.hashers.present(&f.cred, text, &presented)
	} else {
		digest, reason := v.findImported(ctx, text, f)
		if reason != postern.ReasonAllowed {
			return reason
		}
		d.Key, d.Kind = f.cred.Key, f.cred.Kind
		presented = postern.Presented{AsCurrent: digest, AsPrevious: digest}
	}
	acct := v.accounts.at(f.cred.Account)
	facts := acct.facts.Load()
	reason, which := postern.Recognize(&f.cred, &presented, facts == nil || facts.suspended, now)
	if which == postern.WhichNone {
		return reason
	}
	if reason == postern.ReasonAllowed && f.latest != now {
		if late, _ := postern.Recognize(&f.cred, &presented, facts == nil || facts.suspended, f.latest); late != reason {
			reason = postern.ReasonUnavailable // it may be over by now
		}
	}
	d.Known, d.Which, d.Kind = true, which, f.cred.Kind
	d.Account, d.ScopeSet = acct.id, f.cred.Scopes
	if facts != nil {
		d.AccountNo = facts.number
	}
	d.Gen = f.cred.Generation
	if which == postern.WhichPrevious {
		d.Gen = f.cred.PreviousGen
	}
	switch reason {
	case postern.ReasonRevoked:
		d.Since = f.cred.NotBefore
	case postern.ReasonRetired:
		d.Since = f.cred.PreviousUntil
	case postern.ReasonExpired:
		d.Since = f.cred.ExpiresAt
	}
	if f.cred.Kind == postern.KindPersonal {
		return v.recognizeMember(d, f, reason)
	}
	if reason == postern.ReasonAllowed && f.brownouts != nil {
		if until, within := postern.Brownout(f.brownouts, now); within {
			d.RetryAt = until
			return postern.ReasonBrownout
		}
	}
	return reason
}

// recognizeMember judges the member whose personal access key it is: one who was
// removed, or was never heard of, has no key.
func (v *Verifier) recognizeMember(d *postern.Decision, f *found, reason postern.Reason) postern.Reason {
	m := v.members.at(f.cred.Subject)
	d.Member = m.id
	if reason == postern.ReasonAllowed && (!m.known || m.removed != 0 || m.account != d.Account) {
		d.Since = m.removed
		return postern.ReasonRevoked
	}
	return reason
}

// admit judges where the call comes from, and the limits.
func (v *Verifier) admit(req *Request, now postern.Micros, d *postern.Decision, f *found) postern.Reason {
	if !inNetworks(f.networks, req.RemoteIP) {
		return postern.ReasonAddressNotAllowed
	}
	limit := v.burst
	if f.cred.RateCalls != 0 {
		limit = burst{int64(f.cred.RateCalls), int64(f.cred.RatePer) * 1e9}
	}
	if limit.limited() {
		if reason := v.takeBurst(limit, now, d, f); reason != postern.ReasonAllowed {
			return reason
		}
	}
	acct := v.accounts.at(f.cred.Account)
	// Recognized, so they are there, unless the account went this moment.
	if facts := acct.facts.Load(); facts != nil {
		if ok, retry := acct.take(facts, now, &d.Limit); !ok {
			d.RetryAt = retry
			return postern.ReasonDailyLimit
		}
	}
	return postern.ReasonAllowed
}

// permit judges whether a recognized and admitted credential may do what is asked.
func (v *Verifier) permit(req *Request, d *postern.Decision, f *found) {
	var room [maxPermissions]postern.ScopeID
	held := v.effective(f, room[:0])
	all := f.cred.Flags&postern.FlagAllScopes != 0
	if req.Method == "" {
		v.permitScopes(req, d, all, held)
		return
	}
	op, reason := v.routes.Load().match(req)
	if op == nil {
		d.Reason = reason
		return
	}
	d.Operation = &op.Operation
	v.decide(d, all, held, &op.Need)
	if d.Reason == postern.ReasonAllowed {
		if way := postern.Way(d.Kind, all, held, &op.Need); way != nil {
			d.Used = way.Names
		}
	}
}

// permitScopes judges by the scopes that were asked for instead of an operation.
func (v *Verifier) permitScopes(req *Request, d *postern.Decision, all bool, held []postern.ScopeID) {
	var room [64]postern.ScopeID
	ids, unheard := room[:0], false
	for _, s := range req.Scopes {
		id := v.scopes.find(s)
		if id == 0 {
			unheard = true
			continue
		}
		ids = append(ids, id)
		// Whoever holds every scope holds those of the APIs, and none of Postern's own.
		all = all && !strings.HasPrefix(string(s), postern.OwnScopes)
	}
	ways := [1]postern.AllOf{{Scopes: ids, Kinds: postern.AllKinds}}
	v.decide(d, all, held, &postern.Need{Any: ways[:]})
	if unheard && d.Reason == postern.ReasonAllowed {
		// Not even whoever holds every scope holds one that there isn't.
		d.Reason = postern.ReasonInsufficientScope
	}
	if d.Reason == postern.ReasonAllowed {
		d.Used = sortedScopes(req.Scopes)
	}
}

func (v *Verifier) decide(d *postern.Decision, all bool, held []postern.ScopeID, need *postern.Need) {
	var room [len(d.Missing)]postern.ScopeID
	reason, missing := postern.Permit(d.Kind, all, held, need, room[:0])
	d.Reason = reason
	d.NMissing = uint8(copy(d.Missing[:], missing))
}
