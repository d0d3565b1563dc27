package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/store"
)

// Replayed says what a journal did to what was restored. It only takes away: what
// was given after the backup is lost with everything else after it.
type Replayed struct {
	Lines     int                  `json:"lines"`
	NotHere   int                  `json:"notHere"`   // of things that the backup doesn't hold
	Unchanged int                  `json:"unchanged"` // that went no less far
	Ended     int                  `json:"ended"`     // credentials
	Narrowed  int                  `json:"narrowed"`  // credentials, in any way
	Members   int                  `json:"members"`
	Roles     int                  `json:"roles"`
	Accounts  int                  `json:"accounts"`
	WaysIn    int                  `json:"waysIn"` // members who lost a way in
	NoSecret  []postern.KeyID      `json:"noSecret,omitempty"`
	Catalogs  []postern.UpstreamID `json:"catalogs,omitempty"` // that were loaded after the backup: load them again
	// Upstreams were removed after the backup, and so again, or had their settings
	// changed; Policies of accounts were changed. What they were last isn't known.
	Upstreams []postern.UpstreamID `json:"upstreams,omitempty"`
	Policies  []postern.AccountID  `json:"policies,omitempty"`
}

// why is what entries and keys say.
const why = "Replayed from the journal of revocations after a restore."

// replayer plays a journal in one transaction.
type replayer struct {
	*store.Tx
	ctx    context.Context
	pepper *postern.Pepper
	now    time.Time
	done   Replayed
	roles  map[postern.RoleID]*journal.Role   // as they were last
	shared map[[2]postern.RoleID]postern.Role // what two have in common
}

func (r *replayer) play(lines []journal.Line) error {
	r.done.Lines = len(lines)
	r.roles, r.shared = map[postern.RoleID]*journal.Role{}, map[[2]postern.RoleID]postern.Role{}
	for i := range lines {
		if lines[i].Role != nil {
			r.roles[postern.RoleID(lines[i].ID)] = lines[i].Role
		}
	}
	// Roles come first: how far a member goes is measured by them.
	for _, pass := range []func(l *journal.Line) bool{
		func(l *journal.Line) bool { return l.What == journal.RoleLine },
		func(l *journal.Line) bool { return l.What != journal.RoleLine },
	} {
		for i := range lines {
			if !pass(&lines[i]) {
				continue
			}
			err := r.one(&lines[i])
			if errors.Is(err, postern.CodeNotFound) {
				r.done.NotHere++
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replayer) one(l *journal.Line) error {
	switch {
	case l.Credential != nil:
		return r.credential(postern.KeyID(l.ID), l.Credential, l.At)
	case l.Account != nil:
		return r.account(postern.AccountID(l.ID), l.Account)
	case l.Member != nil:
		return r.member(postern.MemberID(l.ID), l.Member)
	case l.Role != nil:
		return r.role(postern.RoleID(l.ID), l.Role)
	case l.Ways != nil:
		return r.ways(postern.MemberID(l.ID), l.Ways)
	case l.Catalog != nil:
		return r.catalog(postern.UpstreamID(l.ID), l.Catalog)
	}
	return nil
}

// note writes an entry of what was taken away.
func (r *replayer) note(a postern.AccountID, action, object string, after map[string]any) error {
	by := postern.Actor{AccountID: a, System: "restore"}
	e := by.Entry(r.now, action, object)
	e.Reason, e.After = why, after
	return r.InsertAudit(r.ctx, e)
}

func (r *replayer) credential(id postern.KeyID, c *journal.Credential, at int64) error {
	row, err := r.Credential(r.ctx, id)
	if err != nil {
		return err
	}
	if !row.RevokedAt.IsZero() && (c.Deleted == 0 || !row.DeletedAt.IsZero()) {
		r.done.Unchanged++
		return nil
	}
	fit := row.Sealed(r.pepper)
	if c.Gone || c.Revoked > 0 || c.Deleted > 0 {
		return r.end(&row, fit, micros(first(c.Revoked, c.Deleted, at)), micros(c.Deleted))
	}
	was := row
	lost := narrow(&row, c, r.pepper.Latest(), r.now)
	if same(r.pepper, was, row) {
		r.done.Unchanged++
		return nil
	}
	row.Watch, row.Undo = nil, nil
	if err := r.save(&row, fit); err != nil {
		return err
	}
	if lost {
		r.done.NoSecret = append(r.done.NoSecret, id)
	}
	if err := r.DropRotation(r.ctx, id); err != nil {
		return err
	}
	r.done.Narrowed++
	return r.note(row.AccountID, "backup.replay.narrow", string(id), map[string]any{"scopes": row.Scopes, "secretLost": lost})
}

func (r *replayer) end(row *postern.CredentialRow, fit bool, revoked, deleted time.Time) error {
	if row.RevokedAt.IsZero() {
		row.RevokedAt = revoked
	}
	if row.DeletedAt.IsZero() {
		row.DeletedAt = deleted
	}
	if err := r.save(row, fit); err != nil {
		return err
	}
	if err := r.ShowEnded(r.ctx, row, why); err != nil {
		return err
	}
	if err := r.DropRotation(r.ctx, row.Key); err != nil {
		return err
	}
	r.done.Ended++
	return r.note(row.AccountID, "backup.replay.revoke", string(row.Key), nil)
}

// save writes a row. It is sealed anew where it fitted its seal: one that was
// altered gives nothing, and shall not come to.
func (r *replayer) save(row *postern.CredentialRow, fit bool) error {
	row.Revision++
	if fit {
		row.Seal(r.pepper)
	}
	return r.UpdateCredential(r.ctx, row)
}

func micros(n int64) time.Time { return postern.Micros(n).Time() }

func first(list ...int64) int64 {
	for _, n := range list {
		if n > 0 {
			return n
		}
	}
	return 1
}

// narrow makes of a credential as it was what the journal leaves of it. lost says
// that its current secret was made after the backup, and so isn't known any more.
func narrow(row *postern.CredentialRow, c *journal.Credential, pepper uint8, now time.Time) (lost bool) {
	if c.Paused > 0 && row.PausedAt.IsZero() {
		row.PausedAt = micros(c.Paused)
	}
	if e := micros(c.Expires); c.Expires > 0 && (row.ExpiresAt.IsZero() || e.Before(row.ExpiresAt)) {
		row.ExpiresAt = e
	}
	if n := micros(c.NotBefore); n.After(row.NotBefore) {
		row.NotBefore = n
	}
	if rate := (postern.Rate{Calls: c.Calls, Per: time.Duration(c.Per) * time.Microsecond}); rate != row.Rate && slower(rate, row.Rate) {
		row.Rate = rate
	}
	narrowScopes(row, c)
	var none bool
	if row.Networks, none = narrowNetworks(row.Networks, c.Networks); none && row.PausedAt.IsZero() {
		// No list of networks means none at all, so only a pause says that.
		row.PausedAt = now
	}
	if row.Retiring != nil {
		retire(row, c)
	}
	return narrowSecrets(row, c, pepper, now)
}

// same reports whether two rows give the same: everything that they do is under the seal.
func same(p *postern.Pepper, a, b postern.CredentialRow) bool {
	a.Seal(p)
	b.Seal(p)
	return a.MAC == b.MAC
}

// slower reports whether a limit of calls lets fewer through than another; no limit lets all through.
func slower(a, b postern.Rate) bool {
	switch {
	case a.Calls == 0:
		return false
	case b.Calls == 0:
		return true
	}
	return float64(a.Calls)*float64(b.Per) < float64(b.Calls)*float64(a.Per)
}

func narrowScopes(row *postern.CredentialRow, c *journal.Credential) {
	switch {
	case c.AllScopes:
	case row.AllScopes:
		row.AllScopes, row.Scopes = false, c.Scopes
	default:
		row.Scopes = both(row.Scopes, c.Scopes)
	}
}

// both is what two lists of patterns have in common: each pattern of one that the other covers.
func both[T ~string](a, b []T) []T {
	out := []T{}
	keep := func(from, in []T) {
		g := make(postern.Grants, len(in))
		for i, s := range in {
			g[i] = string(s)
		}
		for _, s := range from {
			if g.CoversGrants(postern.Grants{string(s)}) && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	keep(a, b)
	keep(b, a)
	return out
}

// narrowNetworks is where two lists of networks meet; an empty list is everywhere.
// none says that they don't.
func narrowNetworks(a, b []netip.Prefix) (out []netip.Prefix, none bool) {
	if len(b) == 0 {
		return a, false
	}
	if len(a) == 0 {
		return b, false
	}
	within := func(x netip.Prefix, list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(y netip.Prefix) bool { return y.Bits() <= x.Bits() && y.Contains(x.Addr()) })
	}
	for _, x := range a {
		if within(x, b) {
			out = append(out, x)
		}
	}
	for _, x := range b {
		if within(x, a) && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		return a, true
	}
	return out, false
}

func retire(row *postern.CredentialRow, c *journal.Credential) {
	r := *row.Retiring
	if s := micros(c.Sunset); c.Sunset > 0 && (r.SunsetAt.IsZero() || s.Before(r.SunsetAt)) {
		r.SunsetAt = s
	}
	r.Brownouts = slices.Clone(r.Brownouts)
	for _, w := range c.Windows {
		if !slices.Contains(r.Brownouts, w) && len(r.Brownouts) < postern.MaxBrownouts {
			r.Brownouts = append(r.Brownouts, w)
		}
	}
	row.Retiring = &r
}

// narrowSecrets leaves of the secrets those that still counted, for as long as they did.
func narrowSecrets(row *postern.CredentialRow, c *journal.Credential, pepper uint8, now time.Time) (lost bool) {
	cur, prev, until, ended := row.Current, row.Previous, row.PreviousUntil, row.PreviousEnded
	if cur.Generation == c.Current {
		// The previous secret is the same, or was replaced by nothing: only its end may have come nearer.
		if prev.Generation != 0 && prev.Generation != c.Previous {
			row.PreviousUntil, row.PreviousEnded = sooner(until, now), true
		} else if prev.Generation != 0 {
			row.PreviousUntil, row.PreviousEnded = sooner(until, micros(c.Until)), ended || c.Ended
		}
		return false
	}
	if prev.Generation != 0 && prev.Generation == c.Current {
		// A rotation was cancelled: its old secret counts again, and the new one is over.
		row.Current, row.Previous = prev, cur
		row.PreviousUntil, row.PreviousEnded = sooner(until, now), true
		return false
	}
	row.Current = unknown(c.Current, pepper)
	switch {
	case cur.Generation == c.Previous:
		row.Previous, row.PreviousUntil, row.PreviousEnded = cur, micros(c.Until), c.Ended
	case prev.Generation != 0 && prev.Generation == c.Previous:
		// Cancelled, and rotated anew: what was the old secret is the old one again.
		row.PreviousUntil, row.PreviousEnded = micros(c.Until), c.Ended
	default:
		row.PreviousUntil, row.PreviousEnded = sooner(until, now), prev.Generation != 0 || ended
	}
	if row.Retiring != nil {
		r := *row.Retiring
		r.Find, r.Hash = "", "" // of the secret that is over
		row.Retiring = &r
	}
	return true
}

func sooner(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// unknown stands for a secret that nobody has any more.
func unknown(generation int64, pepper uint8) postern.SecretHash {
	h := postern.SecretHash{Pepper: pepper, Generation: generation, LastFour: "????"}
	_, _ = rand.Read(h.Hash[:])
	return h
}
