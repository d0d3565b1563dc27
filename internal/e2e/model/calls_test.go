package model_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/verify"
)

var pathPool = []string{
	"/deals", "/deals/", "/deals/17", "/deals/search", "/deals/bulk/notes", "/deals/9/notes", "/deals/bulk/files", "/contacts",
	"/contacts/17", "/health", "/me", "/status", "/money", "/nowhere", "/deals/1/2/3", "/Deals",
}

// present chooses a secret: one that works or did, or something else.
func (w *world) present(r *rand.Rand) (model.Call, postern.Secret) {
	a := w.m.Accounts[r.IntN(2)]
	k := w.aKey(r, a)
	switch x := r.Float64(); {
	case x < 0.02:
		return model.Call{Instead: model.NoCredential}, postern.Secret{}
	case x < 0.04:
		return model.Call{Instead: model.Malformed}, postern.SecretOf(pick(r, []string{"x", "pst_sk_", "Bearer x", strings.Repeat("a", 4000)}))
	case x < 0.06:
		return model.Call{Instead: model.UnknownKey}, postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, "0000000000000000")
	case x < 0.08 && k != nil: // the right key ID
		return model.Call{Instead: model.UnknownKey}, postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, w.keys[k])
	case x < 0.10 && k != nil: // mistyped
		return model.Call{Instead: model.Malformed}, mistyped(r, w.secrets[k.Current])
	case x < 0.25 || k == nil:
		p := pick(r, a.Personal[max(0, len(a.Personal)-30):])
		return model.Call{Secret: p.Secret}, w.secrets[p.Secret]
	case x < 0.75:
		return model.Call{Secret: k.Current}, w.secrets[k.Current]
	}
	s := pick(r, k.Secrets[max(0, len(k.Secrets)-3):])
	return model.Call{Secret: s}, w.secrets[s]
}

func mistyped(r *rand.Rand, s postern.Secret) postern.Secret {
	b := []byte(s.Reveal())
	i := len(b) - 1 - r.IntN(48)
	if b[i] == 'x' {
		b[i] = 'y'
	} else {
		b[i] = 'x'
	}
	return postern.SecretOf(string(b))
}

// call makes a random call: half the time the first of a few that the model allows.
func (w *world) call(r *rand.Rand) error {
	c, secret := w.present(r)
	tries := 1
	if chance(r, 0.5) {
		tries = 12
	}
	req := verify.Request{}
	for range tries {
		c.Own, c.Method, c.Path, c.Scopes, c.IP = false, "", "", nil, netip.Addr{}
		req = w.request(r, &c)
		if w.m.Decide(c).Allowed {
			break
		}
	}
	req.Secret = secret
	w.note("%s calls %s %s %v from %s", w.secretName(c), c.Method, c.Path, c.Scopes, c.IP)
	return w.likeDecision(c, &req)
}

// request chooses what a call is for and where it comes from.
func (w *world) request(r *rand.Rand, c *model.Call) verify.Request {
	req := verify.Request{Door: postern.DoorVerify}
	switch x := r.Float64(); {
	case x < 0.05: // only whether it is valid
	case x < 0.2:
		c.Scopes = pick(r, [][]string{some(r, scopePool, 0.2), some(r, model.Permissions, 0.1)})
		c.Scopes = slices.DeleteFunc(c.Scopes, func(s string) bool { return s == "oauth" })
		req.Scopes = scopes(c.Scopes)
	case x < 0.6 && c.Secret != nil && c.Secret.Personal != nil:
		op := pick(r, ownCatalog.Operations)
		c.Own, c.Method, c.Path = true, op.Method, strings.ReplaceAll(op.Path, "{id}", "17")
		req.Upstream = "postern"
	default:
		c.Method, c.Path = pick(r, []string{"GET", "GET", "POST", "DELETE", "HEAD"}), pick(r, pathPool)
		req.Upstream = "api"
		if chance(r, 0.2) {
			req.Upstream, req.Host = "", "api.example.org"
		}
	}
	if address := pick(r, addressPool); address != "" {
		c.IP = netip.MustParseAddr(address)
	}
	req.Method, req.Path, req.RemoteIP = c.Method, c.Path, c.IP
	return req
}

func (w *world) secretName(c model.Call) string {
	switch s := c.Secret; {
	case s == nil:
		return c.Instead
	case s.Key != nil:
		return fmt.Sprintf("secret %d of %s", s.Generation, keyName(s.Key))
	default:
		return "personal key " + s.Personal.Name + " of " + s.Personal.Member.Email
	}
}

// likeDecision compares a decision with what the model says.
func (w *world) likeDecision(c model.Call, req *verify.Request) error {
	w.verifications++
	want := w.m.Decide(c)
	d, err := w.v.Verify(w.t.Context(), req)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	w.tally(d.Allowed)
	if d.Allowed {
		w.allowed++
	}
	w.m.Count(c)
	w.reasons[d.Reason.String()]++
	if d.Allowed != want.Allowed || !slices.Contains(want.Reasons, d.Reason.String()) {
		return fmt.Errorf("decision = allowed %t (%s), want %t (%v)", d.Allowed, d.Reason, want.Allowed, want.Reasons)
	}
	var diff difference
	if d.Reason == postern.ReasonInsufficientScope {
		missing := names(w.v.MissingScopes(req, &d))
		if !slices.ContainsFunc(want.Missing, func(m []string) bool { return sameSet(m, missing) }) {
			return fmt.Errorf("missing scopes = %v, want one of %v", missing, want.Missing)
		}
	}
	if d.Reason == postern.ReasonAllowed && c.Secret != nil && want.Which != "" {
		account := c.Secret.Key
		which := map[postern.Which]string{postern.WhichCurrent: "current", postern.WhichPrevious: "previous"}[d.Which]
		differ(&diff, "which", which, want.Which, equal)
		differ(&diff, "generation", int64(d.Gen), c.Secret.Generation, equal)
		if account != nil {
			differ(&diff, "key", d.KeyID(), w.keys[c.Secret.Key], equal)
			differ(&diff, "account", d.Account, w.accounts[c.Secret.Key.Account], equal)
			differ(&diff, "kind", d.Kind, postern.KindServiceKey, equal)
		} else {
			p := c.Secret.Personal
			differ(&diff, "key", d.KeyID(), w.personal[p], equal)
			differ(&diff, "account", d.Account, w.accounts[p.Member.Account], equal)
			differ(&diff, "member", d.Member, w.members[p.Member], equal)
			differ(&diff, "kind", d.Kind, postern.KindPersonal, equal)
		}
	}
	if d.Allowed && want.Operation != nil {
		if d.Operation == nil {
			return fmt.Errorf("the decision names no operation, want %s", want.Operation.Name)
		}
		differ(&diff, "operation", d.Operation.Name, want.Operation.Name, equal)
	}
	return diff.err("decision")
}

// wait lets time pass: often to just before, at, or after the moment at which
// something ends.
func (w *world) wait(r *rand.Rand) error {
	to := w.clock.now.Add(pick(r, spanPool[:4]))
	if chance(r, 0.1) {
		to = w.clock.now.Add(day)
	}
	if ends := w.deadlines(); len(ends) > 0 && chance(r, 0.6) {
		slices.SortFunc(ends, time.Time.Compare)
		to = ends[r.IntN(min(3, len(ends)))].Add(time.Duration(r.IntN(3)-1) * time.Microsecond)
	}
	if to.Before(w.clock.now) {
		return nil
	}
	w.clock.now, w.m.Now = to, to
	w.note("the time is %s", to)
	if !w.clock.now.Before(w.leaseEnd) {
		if err := w.lapsed(); err != nil {
			return err
		}
		w.renew()
	}
	return nil
}

// lapsed checks that a node without a lease gives no answer at all.
func (w *world) lapsed() error {
	a := w.m.Accounts[0]
	secret := w.secrets[a.Personal[0].Secret]
	d, err := w.v.Verify(w.t.Context(), &verify.Request{Secret: secret, Door: postern.DoorVerify})
	if d.Allowed || err == nil && d.Reason != postern.ReasonUnavailable {
		return fmt.Errorf("decision without a lease = allowed %t (%s), %w", d.Allowed, d.Reason, err)
	}
	return nil
}

// restart replaces the verifier by one that reads everything anew.
func (w *world) restart(*rand.Rand) error {
	w.note("the verifier starts anew")
	w.startVerifier()
	return nil
}
