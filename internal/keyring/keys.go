package keyring

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// NewKey is what a new service key shall be.
type NewKey struct {
	Name        string
	Description string
	TeamID      postern.TeamID
	Scopes      []postern.Scope // none means none: the key may then call what needs no scope
	Networks    []netip.Prefix
	NotBefore   time.Time
	ExpiresAt   time.Time
	Rate        postern.Rate
	// Canary is a key that nobody should ever use: every call with it is told of.
	Canary bool
	// Idempotency is the caller's Idempotency-Key; empty for none.
	Idempotency string
}

// Made is a key, and the secret that a change gave it. The secret is zero where
// it was shown before: a repeated request never mints a second one unseen.
type Made struct {
	Key    postern.ServiceKey
	Secret postern.Secret
	Seq    int64 // the change's feed number, for its receipt; 0 where nothing changed
	// WatchEnded says that what was being tried on the key ended with the change.
	WatchEnded bool
}

// CreateKey makes a service key and its first secret. The member must hold every scope.
func (kr *Keyring) CreateKey(ctx context.Context, by postern.Actor, in NewKey) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, "service_key.create", "", func(c *change) (err error) {
		made, err = c.createKey(in)
		return err
	})
	return made, err
}

func (c *change) createKey(in NewKey) (made Made, err error) {
	m, err := c.member(postern.PermKeysWrite)
	if err != nil {
		return made, err
	}
	done, again, err := c.idempotent(in.Idempotency, "service_key.create", in)
	if err != nil {
		return made, err
	}
	if again != nil {
		rec, err := c.Key(c.ctx, c.by.AccountID, postern.KeyID(again.Object))
		return Made{Key: rec.Key}, err
	}
	known, err := c.kr.known(c.ctx, c)
	if err != nil {
		return made, err
	}
	rec, err := c.draft(in, known)
	if err != nil {
		return made, err
	}
	if err := contain(m, rec.Row.Scopes, known, "make this key"); err != nil {
		return made, err
	}
	if err := c.obey(rec, nil, known); err != nil {
		return made, err
	}
	if n, err := c.CountKeys(c.ctx, c.by.AccountID); err != nil {
		return made, err
	} else if n >= postern.MaxKeysPerAccount {
		return made, postern.Errorf(postern.CodeTooLarge, "The account has %d service keys, which is the most. Delete some that have ended.", n)
	}
	secret := c.newSecret(rec, 1)
	rec.Row.Seal(c.kr.cfg.Pepper)
	if err := c.InsertKey(c.ctx, rec); err != nil {
		return made, err
	}
	if err := done(string(rec.Row.Key), 1); err != nil {
		return made, err
	}
	if err := c.feed(postern.ChangeCredential, c.by.AccountID, string(rec.Row.Key)); err != nil {
		return made, err
	}
	err = c.audit("service_key.create", string(rec.Row.Key), rec.Key.Name, diff(nil, keyFacts(&rec.Key)))
	return Made{Key: rec.Key, Secret: secret}, err
}

// draft checks what a new key shall be and makes its record, still without a secret.
func (c *change) draft(in NewKey, known *scopeSet) (*store.KeyRecord, error) {
	name, err := text("name", in.Name, postern.MaxNameLen, true)
	if err != nil {
		return nil, err
	}
	about, err := text("description", in.Description, postern.MaxDescriptionLen, false)
	if err != nil {
		return nil, err
	}
	scopes, err := checkScopes(in.Scopes, nil, known)
	if err != nil {
		return nil, err
	}
	nets, err := checkNetworks(in.Networks)
	if err != nil {
		return nil, err
	}
	if err := c.checkLife(in.NotBefore, in.ExpiresAt); err != nil {
		return nil, err
	}
	if err := checkRate(in.Rate); err != nil {
		return nil, err
	}
	if in.TeamID != "" {
		if _, err := c.Team(c.ctx, c.by.AccountID, in.TeamID); err != nil {
			return nil, err
		}
	}
	rec := &store.KeyRecord{}
	rec.Row = postern.CredentialRow{Key: postern.NewKeyID(), AccountID: c.by.AccountID, Kind: postern.KindServiceKey, Scopes: scopes,
		Networks: nets, NotBefore: whole(in.NotBefore), ExpiresAt: whole(in.ExpiresAt), Rate: in.Rate, Canary: in.Canary, Revision: 1}
	rec.Key = postern.ServiceKey{Name: name, Description: about, TeamID: in.TeamID, MadeBy: c.by.MemberID, CreatedAt: c.now, UpdatedAt: c.now}
	return rec, nil
}

// nextGeneration is one above those of all secrets that the key had, voided ones too.
func nextGeneration(rec *store.KeyRecord) int64 {
	return max(rec.Row.Current.Generation, rec.Row.Previous.Generation) + 1
}

// newSecret gives a record a new current secret of a generation.
func (c *change) newSecret(rec *store.KeyRecord, gen int64) postern.Secret {
	s := postern.NewSecret(c.kr.cfg.Brand, postern.SecretServiceKey, rec.Row.Key)
	hash, pepper := c.kr.cfg.Pepper.Hash(s)
	rec.Row.Current = postern.SecretHash{Hash: hash, Pepper: pepper, Generation: gen, LastFour: s.LastFour()}
	rec.Key.Current = postern.SecretInfo{MadeAt: c.now, MadeBy: c.by.MemberID}
	return s
}

// checkScopes sorts scopes and refuses what can't be granted; those that the key has already may stay.
func checkScopes(scopes, have []postern.Scope, known *scopeSet) ([]postern.Scope, error) {
	if len(scopes) > postern.MaxScopesPerKey {
		return nil, postern.Invalidf("scopes", "A key can have at most %d scopes; these are %d.", postern.MaxScopesPerKey, len(scopes))
	}
	out := postern.SortScopes(slices.Clone(scopes))
	for _, s := range out {
		if slices.Contains(have, s) {
			continue
		}
		if err := known.grantable(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func checkNetworks(in []netip.Prefix) ([]netip.Prefix, error) {
	if len(in) > postern.MaxNetworks {
		return nil, postern.Invalidf("networks", "An IP list can have at most %d entries; these are %d.", postern.MaxNetworks, len(in))
	}
	var out []netip.Prefix
	for _, n := range in {
		if !n.IsValid() {
			return nil, postern.Invalidf("networks", "An entry is no network; write 203.0.113.0/24 or 2001:db8::/32.")
		}
		if a := n.Addr(); a.Is4In6() {
			if n.Bits() < 96 {
				return nil, postern.Invalidf("networks", "%s reaches beyond the IPv4 addresses; write it as IPv4.", n)
			}
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		out = append(out, n.Masked())
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out), nil
}

// whole cuts a time to what both engines keep of it.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func (c *change) checkLife(from, to time.Time) error {
	if !to.IsZero() && !to.After(c.now) {
		return postern.Invalidf("expiresAt", "The expiry is in the past.")
	}
	if !to.IsZero() && !to.After(from) {
		return postern.Invalidf("expiresAt", "The key would expire before it starts.")
	}
	far := c.now.AddDate(100, 0, 0)
	if from.After(far) || to.After(far) {
		return postern.Invalidf("expiresAt", "More than a hundred years is too far; leave it out for no expiry.")
	}
	return nil
}

func checkRate(r postern.Rate) error {
	if r == (postern.Rate{}) {
		return nil
	}
	if r.Calls < 1 || r.Calls > 1_000_000 || r.Per < time.Second || r.Per > time.Hour || r.Per%time.Second != 0 {
		return postern.Invalidf("rateLimit", "A rate limit is 1 to 1,000,000 calls in a whole number of seconds from 1 to 3,600.")
	}
	return nil
}

// keyFacts is what the audit log keeps of a key: what it may do and for how long, never a secret.
func keyFacts(k *postern.ServiceKey) map[string]any {
	m := map[string]any{"name": k.Name, "scopes": k.Scopes, "generation": k.Current.Generation, "secretEndsIn": k.Current.LastFour}
	if k.Description != "" {
		m["description"] = k.Description
	}
	if k.Canary {
		m["canary"] = true
	}
	if len(k.Networks) > 0 {
		m["networks"] = k.Networks
	}
	if w := k.Watch; w != nil {
		tried := map[string]any{"since": w.Since}
		if w.Scopes != nil {
			tried["scopes"] = *w.Scopes
		}
		if w.Networks != nil {
			tried["networks"] = *w.Networks
		}
		m["watch"] = tried
	}
	if k.Rate.Calls > 0 {
		m["rateLimit"] = map[string]any{"calls": k.Rate.Calls, "seconds": int64(k.Rate.Per / time.Second)}
	}
	if k.TeamID != "" {
		m["teamId"] = k.TeamID
	}
	for name, t := range map[string]time.Time{"notBefore": k.NotBefore, "expiresAt": k.ExpiresAt, "pausedAt": k.PausedAt, "revokedAt": k.RevokedAt, "deletedAt": k.DeletedAt} {
		if !t.IsZero() {
			m[name] = t
		}
	}
	if k.Previous.Generation != 0 {
		m["previous"] = map[string]any{"generation": k.Previous.Generation, "secretEndsIn": k.Previous.LastFour, "endsAt": k.Previous.EndsAt}
	}
	return m
}

// changedFacts keeps of two sets of facts what differs.
func changedFacts(before, after map[string]any) func(*postern.AuditEntry) {
	b, a := map[string]any{}, map[string]any{}
	for k, v := range before {
		if w, ok := after[k]; !ok || !sameJSON(v, w) {
			b[k] = v
		}
	}
	for k, v := range after {
		if w, ok := before[k]; !ok || !sameJSON(v, w) {
			a[k] = v
		}
	}
	return diff(b, a)
}

// Key reads a service key.
func (kr *Keyring) Key(ctx context.Context, by postern.Actor, id postern.KeyID) (postern.ServiceKey, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return postern.ServiceKey{}, err
	}
	rec, err := kr.db.Key(ctx, by.AccountID, id)
	return rec.Key, err
}

// KeyNamed reads the live service key of a name.
func (kr *Keyring) KeyNamed(ctx context.Context, by postern.Actor, name string) (postern.ServiceKey, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return postern.ServiceKey{}, err
	}
	rec, err := kr.db.KeyNamed(ctx, by.AccountID, name)
	return rec.Key, err
}

// Keys reads up to n service keys, newest first, from after a cursor.
func (kr *Keyring) Keys(ctx context.Context, by postern.Actor, f store.KeyFilter, after store.Cursor, n int) ([]postern.ServiceKey, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	recs, err := kr.db.KeysPage(ctx, by.AccountID, f, kr.now(), after, n)
	out := make([]postern.ServiceKey, len(recs))
	for i := range recs {
		out[i] = recs[i].Key
	}
	return out, err
}
