package journal

import (
	"context"
	"errors"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// How a thing goes now, as a line. Reading it later than its change is no harm:
// what counts is how it went last.

func (f *Follower) lineOf(ctx context.Context, c *postern.Change) (*Line, error) {
	l := &Line{Feed: c.Seq, At: int64(postern.ToMicros(c.At)), ID: c.ID}
	var err error
	switch c.Kind {
	case postern.ChangeCredential:
		l.What = CredentialLine
		l.Credential, err = f.credential(ctx, c)
		if l.Credential == nil {
			return nil, err
		}
	case postern.ChangeAccount:
		l.What, l.Account = AccountLine, &Account{}
		a, err := f.cfg.DB.Account(ctx, postern.AccountID(c.ID))
		if err != nil && !errors.Is(err, postern.CodeNotFound) {
			return nil, err
		}
		l.Account.Suspended = int64(postern.ToMicros(a.SuspendedAt))
		if err != nil || a.Altered {
			l.Account.Suspended = l.At
		}
		p, err := f.cfg.DB.Policy(ctx, postern.AccountID(c.ID))
		if err != nil {
			return nil, err
		}
		l.Account.Policy = p.Revision
	case postern.ChangeMember:
		l.What = MemberLine
		l.Member, err = f.member(ctx, c)
	case postern.ChangeRole:
		l.What = RoleLine
		l.Role, err = f.role(ctx, c)
	case postern.ChangeCatalog:
		l.What, l.Catalog = CatalogLine, &Catalog{Gone: true}
		ups, err := f.cfg.DB.Upstreams(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range ups {
			if string(u.ID) == c.ID {
				l.Catalog = &Catalog{Version: u.CatalogVersion, Settings: SettingsOf(&u)}
			}
		}
	default:
		return nil, nil // of a newer version: nothing that this one could take away
	}
	return l, err
}

// credential is nil for one that was only just made: no backup from before it holds it.
func (f *Follower) credential(ctx context.Context, c *postern.Change) (*Credential, error) {
	r, err := f.cfg.DB.Credential(ctx, postern.KeyID(c.ID))
	if errors.Is(err, postern.CodeNotFound) {
		return &Credential{Account: c.AccountID, Gone: true}, nil
	}
	if err != nil || r.Revision == 1 && r.Sealed(f.cfg.Pepper) {
		return nil, err
	}
	at := func(m postern.Micros) int64 { return int64(m) }
	out := &Credential{Account: r.AccountID, Gone: !r.Sealed(f.cfg.Pepper),
		Revoked: at(postern.ToMicros(r.RevokedAt)), Deleted: at(postern.ToMicros(r.DeletedAt)), Paused: at(postern.ToMicros(r.PausedAt)),
		NotBefore: at(postern.ToMicros(r.NotBefore)), Expires: at(postern.ToMicros(r.ExpiresAt)), Calls: r.Rate.Calls, Per: r.Rate.Per.Microseconds(),
		Current: r.Current.Generation, Previous: r.Previous.Generation, Until: at(postern.ToMicros(r.PreviousUntil)), Ended: r.PreviousEnded}
	if out.Gone || out.Revoked > 0 || out.Deleted > 0 {
		return out, nil // nothing else matters any more
	}
	out.AllScopes, out.Scopes, out.Networks = r.AllScopes, r.Scopes, r.Networks
	if r.Retiring != nil {
		out.Sunset, out.Windows = at(postern.ToMicros(r.Retiring.SunsetAt)), r.Retiring.Brownouts
	}
	return out, nil
}

func (f *Follower) member(ctx context.Context, c *postern.Change) (*Member, error) {
	m, err := f.cfg.DB.Member(ctx, postern.MemberID(c.ID))
	if errors.Is(err, postern.CodeNotFound) {
		return &Member{Removed: int64(postern.ToMicros(c.At))}, nil
	}
	if err != nil {
		return nil, err
	}
	out := &Member{Removed: int64(postern.ToMicros(m.RemovedAt)), Role: m.Role.ID, Own: m.Scopes != nil, Scopes: m.Scopes, Permissions: m.Role.Permissions, Grants: m.Role.Grants}
	if m.Altered && out.Removed == 0 {
		out.Removed = int64(postern.ToMicros(c.At))
	}
	return out, nil
}

func (f *Follower) role(ctx context.Context, c *postern.Change) (*Role, error) {
	r, err := f.cfg.DB.Role(ctx, c.AccountID, postern.RoleID(c.ID))
	if err != nil && !errors.Is(err, postern.CodeNotFound) {
		return nil, err
	}
	if err != nil || r.Altered {
		return &Role{Account: c.AccountID, Gone: true}, nil
	}
	return &Role{Account: c.AccountID, Permissions: r.Permissions, Grants: r.Grants}, nil
}

// waysLines are the ways in of members that the audit log tells of, where they
// are others than were written last. They are no business of the feed.
func (f *Follower) waysLines(ctx context.Context, after, until int64) (out []Line, err error) {
	seen := map[string]bool{}
	for after < until {
		rows, err := f.cfg.DB.AuditRows(ctx, "", after, until, page)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		for i := range rows {
			after = rows[i].Seq
			id := rows[i].Object
			if !strings.HasPrefix(id, "mem_") || seen[id] {
				continue
			}
			seen[id] = true
			ways, err := f.cfg.DB.WaysIn(ctx, postern.MemberID(id))
			if err != nil {
				return nil, err
			}
			w := waysOf(&ways)
			if text := asText(w); f.ways[id] != text {
				f.ways[id] = text
				out = append(out, Line{What: WaysLine, Audit: rows[i].Seq, At: rows[i].At, ID: id, Ways: w})
			}
		}
	}
	return out, nil
}

func waysOf(w *store.WaysIn) *Ways {
	out := &Ways{Password: int64(postern.ToMicros(w.Password)), TOTP: int64(postern.ToMicros(w.TOTP)), Passkeys: w.Passkeys, Codes: w.Codes}
	for _, i := range w.Identities {
		out.Identities = append(out.Identities, i.Digest)
	}
	return out
}
