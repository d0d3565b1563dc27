package keyring

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	actLegacyImport  = "legacy_credential.import"
	actLegacyUpdate  = "legacy_credential.update"
	actLegacyEnd     = "legacy_credential.end"
	actLegacyUpgrade = "legacy_credential.upgrade"
)

// LegacyMade is an imported credential after a change of it.
type LegacyMade struct {
	Legacy postern.LegacyCredential
	Seq    int64 // the change's feed number; 0 where nothing changed
}

// LegacyEdit is what shall change of an imported credential. Nil members stay as
// they are; a zero time means none.
type LegacyEdit struct {
	Name      *string
	Note      *string
	SunsetAt  *time.Time
	ExpiresAt *time.Time
	Paused    *bool
	// IfRevision, where not 0, is the revision that the editor saw.
	IfRevision int64
}

// Legacy reads an imported credential.
func (kr *Keyring) Legacy(ctx context.Context, by postern.Actor, id postern.KeyID) (postern.LegacyCredential, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return postern.LegacyCredential{}, err
	}
	rec, err := kr.db.Legacy(ctx, by.AccountID, id)
	return rec.Legacy, err
}

// LegacyList reads up to n imported credentials, newest first, from after a cursor.
func (kr *Keyring) LegacyList(ctx context.Context, by postern.Actor, f store.LegacyFilter, after store.Cursor, n int) ([]postern.LegacyCredential, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	recs, err := kr.db.LegacyPage(ctx, by.AccountID, f, kr.now(), after, n)
	return legacyOf(recs), err
}

func legacyOf(recs []store.LegacyRecord) []postern.LegacyCredential {
	out := make([]postern.LegacyCredential, len(recs))
	for i := range recs {
		out[i] = recs[i].Legacy
	}
	return out
}

// LegacyCounts are figures of an account's imported credentials.
type LegacyCounts struct {
	All, Live  int64     // those that weren't ended are live
	NextSunset time.Time // of the live ones; zero where none is set
}

// LegacyCounts counts the account's imported credentials.
func (kr *Keyring) LegacyCounts(ctx context.Context, by postern.Actor) (n LegacyCounts, err error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return n, err
	}
	n.All, n.Live, n.NextSunset, err = kr.db.LegacyCounts(ctx, by.AccountID)
	return n, err
}

// LegacyByFingerprint finds the account's imported credentials whose secret has a
// fingerprint, as the inventory of an access log gives it.
func (kr *Keyring) LegacyByFingerprint(ctx context.Context, by postern.Actor, fingerprint string) ([]postern.LegacyCredential, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	var fingers []string
	for _, v := range kr.cfg.Pepper.Versions() {
		fingers = append(fingers, kr.finger(v, fingerprint))
	}
	recs, err := kr.db.LegacyByFinger(ctx, by.AccountID, fingers)
	return legacyOf(recs), err
}

// finger is a fingerprint as it is kept: under the pepper, so that a copied
// database doesn't tell whether a guess at a weak secret is right.
func (kr *Keyring) finger(version uint8, fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	key, _ := kr.cfg.Pepper.Derive(version, "legacy fingerprint v1")
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(fingerprint))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// slowMark stands for a secret of which only a slow hash is known: nothing that is
// presented has it, since it is made under a key of its own.
func (kr *Keyring) slowMark(version uint8, find, hash string) (mark [32]byte) {
	key, _ := kr.cfg.Pepper.Derive(version, "legacy slow hash v1")
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(find + "\x00" + hash))
	m.Sum(mark[:0])
	return mark
}

// EditLegacy changes, pauses or resumes an imported credential. Whoever lets it
// work again or for longer must hold what it may do.
func (kr *Keyring) EditLegacy(ctx context.Context, by postern.Actor, id postern.KeyID, in LegacyEdit) (made LegacyMade, err error) {
	made.Seq, err = kr.change(ctx, by, actLegacyUpdate, string(id), func(c *change) error {
		need := postern.PermKeysWrite
		if only := in; in.Paused != nil && *in.Paused {
			only.Paused, only.IfRevision = nil, 0
			if only == (LegacyEdit{}) {
				need = postern.PermKeysRevoke // whoever may only stop credentials may pause one
			}
		}
		m, err := c.member(need)
		if err != nil {
			return err
		}
		rec, err := c.liveLegacy(id, in.IfRevision)
		if err != nil {
			return err
		}
		was := rec.Legacy
		if err := c.applyLegacy(rec, in); err != nil {
			return err
		}
		longer := !was.ExpiresAt.IsZero() && (rec.Row.ExpiresAt.IsZero() || rec.Row.ExpiresAt.After(was.ExpiresAt))
		if longer || !was.PausedAt.IsZero() && rec.Row.PausedAt.IsZero() {
			known, err := kr.known(ctx, c)
			if err != nil {
				return err
			}
			if err := containLegacy(m, was.AllScopes, was.Scopes, known, "let it work again or for longer"); err != nil {
				return err
			}
		}
		if in.Paused != nil {
			if err := c.pauseArchived(id, *in.Paused); err != nil {
				return err
			}
		}
		return c.saveLegacy(rec, &was, actLegacyUpdate, &made)
	})
	return made, err
}

func (c *change) applyLegacy(rec *store.LegacyRecord, in LegacyEdit) (err error) {
	l, row := &rec.Legacy, &rec.Row
	if in.Name != nil {
		if l.Name, err = text("name", *in.Name, postern.MaxNameLen, true); err != nil {
			return err
		}
	}
	if in.Note != nil {
		if l.Note, err = text("note", *in.Note, postern.MaxDescriptionLen, false); err != nil {
			return err
		}
	}
	if in.SunsetAt != nil {
		r := *row.Retiring
		r.SunsetAt = whole(*in.SunsetAt)
		if in.SunsetAt.IsZero() {
			r.SunsetAt = time.Time{}
		}
		if err := c.checkSunset(r.SunsetAt); err != nil {
			return err
		}
		row.Retiring = &r
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.Equal(row.ExpiresAt) {
		row.ExpiresAt = time.Time{}
		if !in.ExpiresAt.IsZero() {
			row.ExpiresAt = whole(*in.ExpiresAt)
		}
		if err := c.checkLife(time.Time{}, row.ExpiresAt); err != nil {
			return err
		}
		if row.ExpiresAt.IsZero() && l.Strength == postern.StrengthWeak {
			return postern.Invalidf("expiresAt", "Its secret can be guessed, so it must have an end.")
		}
	}
	if in.Paused != nil {
		switch {
		case !*in.Paused:
			row.PausedAt = time.Time{}
		case row.PausedAt.IsZero():
			row.PausedAt = c.now
		}
	}
	return nil
}

func (c *change) checkSunset(at time.Time) error {
	if !at.IsZero() && (at.After(c.now.AddDate(100, 0, 0)) || at.Before(c.now.AddDate(-20, 0, 0))) {
		return postern.Invalidf("sunsetAt", "The sunset is more than a hundred years away, or more than twenty ago.")
	}
	return nil
}

// EndLegacy ends an imported credential for good. It stays in the list.
func (kr *Keyring) EndLegacy(ctx context.Context, by postern.Actor, id postern.KeyID, why string) (made LegacyMade, err error) {
	made.Seq, err = kr.change(ctx, by, actLegacyEnd, string(id), func(c *change) error {
		if _, err := c.member(postern.PermKeysRevoke); err != nil {
			return err
		}
		why, err := text("reason", why, postern.MaxDescriptionLen, false)
		if err != nil {
			return err
		}
		rec, err := c.Legacy(ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if !rec.Legacy.RevokedAt.IsZero() {
			made.Legacy = rec.Legacy
			return nil
		}
		was := rec.Legacy
		c.endLegacy(&rec, why)
		return c.saveLegacy(&rec, &was, actLegacyEnd, &made, because(why))
	})
	return made, err
}

// endLegacy ends a credential for good.
func (c *change) endLegacy(rec *store.LegacyRecord, why string) {
	rec.Row.RevokedAt, rec.Legacy.EndedWhy = c.now, why
	if rec.Row.Retiring != nil {
		r := *rec.Row.Retiring
		r.Find, r.Hash = "", "" // nobody needs to find it again
		rec.Row.Retiring = &r
	}
}

// liveLegacy reads an imported credential that wasn't ended, at the revision that the caller saw.
func (c *change) liveLegacy(id postern.KeyID, revision int64) (*store.LegacyRecord, error) {
	rec, err := c.Legacy(c.ctx, c.by.AccountID, id)
	switch {
	case err != nil:
		return nil, err
	case revision != 0 && revision != rec.Row.Revision:
		return nil, postern.Errorf(postern.CodePrecondition, "The credential was changed by someone else in the meantime. Read it again, look at their change, and repeat yours.")
	case !rec.Row.RevokedAt.IsZero():
		return nil, postern.Errorf(postern.CodeConflict, "The credential %q was ended, which is final.", rec.Legacy.Name)
	case !rec.Row.Sealed(c.kr.cfg.Pepper) || rec.Row.Retiring == nil:
		return nil, postern.Errorf(postern.CodeConflict, "The credential's record was altered outside of Postern and gives no access. End it.")
	}
	return &rec, nil
}

// saveLegacy seals and writes a changed credential, tells of it and audits it; where nothing changed it does nothing.
func (c *change) saveLegacy(rec *store.LegacyRecord, was *postern.LegacyCredential, action string, made *LegacyMade, with ...func(*postern.AuditEntry)) error {
	before := legacyFacts(was)
	rec.Spread()
	after := legacyFacts(&rec.Legacy)
	if sameJSON(before, after) {
		made.Legacy = *was
		return nil
	}
	rec.Row.Revision++
	rec.Legacy.UpdatedAt = c.now
	rec.Row.Seal(c.kr.cfg.Pepper)
	if err := c.UpdateLegacy(c.ctx, rec); err != nil {
		return err
	}
	if err := c.feed(postern.ChangeCredential, rec.Row.AccountID, string(rec.Row.Key)); err != nil {
		return err
	}
	made.Legacy = rec.Legacy
	return c.audit(action, string(rec.Row.Key), rec.Legacy.Name, append([]func(*postern.AuditEntry){changedFacts(before, after)}, with...)...)
}

// legacyFacts is what the audit log keeps of an imported credential.
func legacyFacts(l *postern.LegacyCredential) map[string]any {
	m := map[string]any{"name": l.Name, "kind": l.Kind.String(), "strength": l.Strength}
	switch {
	case l.AllScopes:
		m["allScopes"] = true
	default:
		m["scopes"] = l.Scopes
	}
	for name, v := range map[string]string{"note": l.Note, "slowHash": l.Slow, "endedWhy": l.EndedWhy} {
		if v != "" {
			m[name] = v
		}
	}
	if len(l.Networks) > 0 {
		m["networks"] = l.Networks
	}
	if len(l.Brownouts) > 0 {
		m["brownouts"] = windowFacts(l.Brownouts)
	}
	if l.Rate.Calls > 0 {
		m["rateLimit"] = map[string]any{"calls": l.Rate.Calls, "seconds": int64(l.Rate.Per / time.Second)}
	}
	for name, t := range map[string]time.Time{"sunsetAt": l.SunsetAt, "expiresAt": l.ExpiresAt, "pausedAt": l.PausedAt, "revokedAt": l.RevokedAt} {
		if !t.IsZero() {
			m[name] = t
		}
	}
	return m
}

// containLegacy is containment for imported credentials. One that holds every
// scope, those of catalogs to come too, needs a member who does.
func containLegacy(m *postern.Member, all bool, scopes []postern.Scope, known *scopeSet, doing string) error {
	if all && !slices.Contains(m.Holds(), postern.GrantAll) {
		e := postern.Errorf(postern.CodeInsufficientScope, "You can't %s: a legacy API key may do everything, and you don't hold every scope (**). Ask someone who does.", doing)
		e.Scopes = []postern.Scope{postern.GrantAll}
		return e
	}
	return contain(m, scopes, known, doing)
}

// LegacyUse is what is learnt when a secret is presented of which only a slow hash was known.
type LegacyUse struct {
	Key         postern.KeyID
	SHA256      [32]byte
	Fingerprint string
	Shown       string
	Strength    postern.Strength
}

// UpgradeLegacy notes the fast form of a secret that was proved by its slow hash.
// A weak one gets an end and a limit, where it has none.
func (kr *Keyring) UpgradeLegacy(ctx context.Context, u LegacyUse) error {
	row, err := kr.db.Credential(ctx, u.Key)
	if err != nil {
		return err
	}
	by := postern.Actor{AccountID: row.AccountID, System: "import"}
	_, err = kr.change(ctx, by, actLegacyUpgrade, string(u.Key), func(c *change) error {
		rec, err := c.liveLegacy(u.Key, 0)
		if err != nil {
			return err
		}
		if rec.Row.Retiring.Hash == "" {
			return nil
		}
		digest, _ := kr.cfg.Pepper.LegacyDigest(kr.cfg.Pepper.Latest(), u.SHA256)
		there, err := c.LegacyByMarks(ctx, [][32]byte{digest})
		if err != nil {
			return err
		}
		if len(there) > 0 {
			return nil // the same secret was imported in its fast form too, which is found first
		}
		was := rec.Legacy
		r := *rec.Row.Retiring
		r.Find, r.Hash = "", ""
		rec.Row.Retiring = &r
		rec.Row.Current.Hash, rec.Row.Current.Pepper = digest, kr.cfg.Pepper.Latest()
		rec.Finger = kr.finger(kr.cfg.Pepper.Latest(), u.Fingerprint)
		l := &rec.Legacy
		l.Slow, l.Strength = "", u.Strength
		if l.Shown == "" {
			l.Shown = u.Shown
		}
		c.boundWeak(&rec.Row, u.Strength)
		var made LegacyMade
		return c.saveLegacy(rec, &was, actLegacyUpgrade, &made)
	})
	return err
}

// boundWeak gives a weak secret the end and the limit that it must have.
func (c *change) boundWeak(row *postern.CredentialRow, s postern.Strength) {
	if s != postern.StrengthWeak {
		return
	}
	if row.ExpiresAt.IsZero() {
		row.ExpiresAt = c.now.Add(postern.WeakFor)
	}
	if row.Rate.Calls == 0 {
		row.Rate = postern.WeakRate
	}
}

// ownScope reports whether a scope is one of Postern's own, which no imported credential has.
func ownScope(s postern.Scope) bool { return strings.HasPrefix(string(s), postern.OwnScopes) }
