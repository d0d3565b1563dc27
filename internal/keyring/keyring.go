// Package keyring makes every change of accounts, members, roles, keys and
// catalogs. A change is one method that reads afresh, asks the rule, writes,
// audits and takes its feed number in one transaction, and then tells whoever
// decides. A change without its audit entry can't exist.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// Config is what a Keyring needs.
type Config struct {
	DB     *store.DB
	Pepper *postern.Pepper
	Brand  string           // the first part of secrets
	Now    func() time.Time // UTC, whole microseconds
	// Applied is told the feed number of each change after its commit, before the
	// change's answer leaves, so that this process decides by it at once. May be nil.
	Applied func(ctx context.Context, seq int64)
	// Builtin are the catalogs that are compiled in: Postern's own API.
	Builtin []*catalog.Catalog
	// DefaultRate is the burst limit of a key that has none of its own.
	DefaultRate postern.Rate
	// DailyLimit is the most calls a day of a new account that is given none of its own; 0 is none.
	DailyLimit int64
	Logger     *slog.Logger
}

// Keyring makes changes. Its methods may be called at once from many goroutines.
type Keyring struct {
	cfg    Config
	db     *store.DB
	scopes scopeCache
}

// WithClock is a Keyring on the same records that takes the time from elsewhere: for a
// demonstration whose keys were made in the past.
func (kr *Keyring) WithClock(now func() time.Time) *Keyring {
	cfg := kr.cfg
	cfg.Now = now
	return New(cfg)
}

// New makes a Keyring.
func New(cfg Config) *Keyring {
	if cfg.Brand == "" {
		cfg.Brand = postern.DefaultBrand
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keyring{cfg: cfg, db: cfg.DB}
}

func (kr *Keyring) now() time.Time { return kr.cfg.Now() }

// change runs one change in one transaction, tells of it, and notes an attempt
// that the rules refused.
func (kr *Keyring) change(ctx context.Context, by postern.Actor, action, object string, fn func(c *change) error) (seq int64, err error) {
	return kr.changeBy(ctx, kr.db.Write, by, action, object, fn)
}

// changeAlone is change for one that takes long, such as hundreds of new rows.
func (kr *Keyring) changeAlone(ctx context.Context, by postern.Actor, action, object string, fn func(c *change) error) (seq int64, err error) {
	return kr.changeBy(ctx, kr.db.WriteAlone, by, action, object, fn)
}

type writer func(context.Context, func(*store.Tx) error) (int64, error)

func (kr *Keyring) changeBy(ctx context.Context, write writer, by postern.Actor, action, object string, fn func(c *change) error) (seq int64, err error) {
	seq, err = write(ctx, func(tx *store.Tx) error {
		return fn(&change{Tx: tx, kr: kr, ctx: ctx, by: by, now: kr.now()})
	})
	if err != nil {
		kr.NoteRefusal(ctx, by, action, object, err)
		return 0, err
	}
	if seq > 0 && kr.cfg.Applied != nil {
		kr.cfg.Applied(ctx, seq)
	}
	return seq, nil
}

// NoteRefusal writes an audit entry of an attempt that was not permitted. The
// refusal stands whether or not that succeeds. Doors call it for what they
// refuse before the keyring hears of it.
func (kr *Keyring) NoteRefusal(ctx context.Context, by postern.Actor, action, object string, cause error) {
	e, ok := errors.AsType[*postern.Error](cause)
	if !ok || (e.Code != postern.CodeForbidden && e.Code != postern.CodeInsufficientScope) || by.AccountID == "" {
		return
	}
	// Whoever goes away early is noted all the same.
	ctx = context.WithoutCancel(ctx)
	_, err := kr.db.Write(ctx, func(tx *store.Tx) error {
		entry := by.Entry(kr.now(), action, object)
		entry.Result, entry.Reason = "refused", e.Message
		if len(e.Scopes) > 0 {
			entry.After = map[string]any{"missingScopes": e.Scopes}
		}
		return tx.InsertAudit(ctx, entry)
	})
	if err != nil {
		kr.cfg.Logger.ErrorContext(ctx, "could not note a refused attempt", "action", action, "err", err)
	}
}

// change is one change that is being made.
type change struct {
	*store.Tx
	kr  *Keyring
	ctx context.Context
	by  postern.Actor
	now time.Time
}

// feed tells of a change that decisions depend on.
func (c *change) feed(kind postern.ChangeKind, a postern.AccountID, id string) error {
	_, err := c.AppendFeed(c.ctx, postern.Change{At: c.now, Kind: kind, AccountID: a, ID: id})
	return err
}

// audit appends an entry; with may fill in more of it.
func (c *change) audit(action, object, name string, with ...func(*postern.AuditEntry)) error {
	e := c.by.Entry(c.now, action, object)
	e.Name = name
	for _, w := range with {
		w(&e)
	}
	return c.InsertAudit(c.ctx, e)
}

func diff(before, after map[string]any) func(*postern.AuditEntry) {
	return func(e *postern.AuditEntry) { e.Before, e.After = before, after }
}

func because(why string) func(*postern.AuditEntry) {
	return func(e *postern.AuditEntry) { e.Reason = why }
}

// member reads the acting member afresh and checks that they may do something;
// an empty permission asks only for being a member. The system itself, which no
// door can be, may do everything.
func (c *change) member(p postern.Permission) (*postern.Member, error) {
	return c.kr.readMember(c.ctx, c.Tx, c.by, p)
}

type memberReader interface {
	MemberOf(context.Context, postern.AccountID, postern.MemberID) (postern.Member, error)
	Account(context.Context, postern.AccountID) (postern.Account, error)
	PersonalKey(context.Context, postern.AccountID, postern.KeyID) (store.PersonalKey, error)
}

func (kr *Keyring) readMember(ctx context.Context, q memberReader, by postern.Actor, p postern.Permission) (*postern.Member, error) {
	if by.System != "" {
		role, _ := postern.BuiltinRole(postern.RoleSuperAdmin)
		return &postern.Member{AccountID: by.AccountID, Name: "Postern", Role: role}, nil
	}
	if by.MemberID == "" {
		return nil, postern.Errorf(postern.CodeForbidden, "Only a member can do this. Use a personal access key: postern login.")
	}
	m, err := q.MemberOf(ctx, by.AccountID, by.MemberID)
	if errors.Is(err, postern.CodeNotFound) || err == nil && !m.RemovedAt.IsZero() {
		return nil, postern.Errorf(postern.CodeForbidden, "You are not a member of this account.")
	}
	if err != nil {
		return nil, err
	}
	if m.Altered {
		return nil, postern.Errorf(postern.CodeForbidden, "Your member record or your role was altered outside of Postern and gives nothing. Tell whoever operates this server.")
	}
	a, err := q.Account(ctx, by.AccountID)
	if err != nil {
		return nil, err
	}
	if a.Altered {
		return nil, postern.Errorf(postern.CodeForbidden, "This account's record was altered outside of Postern and gives nothing. Tell whoever operates this server.")
	}
	if !a.SuspendedAt.IsZero() {
		return nil, postern.Errorf(postern.CodeForbidden, "This account is suspended. Ask whoever operates this server.")
	}
	who := "Your role, " + m.Role.Name + ","
	if by.KeyID != "" {
		if m.Can(p) {
			who = "The personal access key that you use"
		}
		if err := kr.throughKey(ctx, q, by, &m); err != nil {
			return nil, err
		}
	}
	if p != "" && !m.Can(p) {
		e := postern.Errorf(postern.CodeForbidden, "%s does not include the permission %s. Ask an admin of the account for it.", who, p)
		e.Scopes = []postern.Scope{p}
		return nil, e
	}
	return &m, nil
}

// AlteredRecords is how often a record was read that had been changed by other
// means than Postern, and so gave nothing.
func (kr *Keyring) AlteredRecords() int64 { return kr.db.AlteredRows() }

// reader checks that someone may read something.
func (kr *Keyring) reader(ctx context.Context, by postern.Actor, p postern.Permission) error {
	_, err := kr.readMember(ctx, kr.db, by, p)
	return err
}

// operator reads the acting member afresh, who must be of the operator's account.
func (c *change) operator(p postern.Permission) (*postern.Member, error) {
	m, err := c.member(p)
	if err != nil || c.by.System != "" {
		return m, err
	}
	a, err := c.Account(c.ctx, m.AccountID)
	if err != nil {
		return nil, err
	}
	if !a.Operator {
		return nil, postern.Errorf(postern.CodeForbidden, "Only members of the account that operates this server can do this.")
	}
	return m, nil
}

// contain is containment: whoever would hand out scopes must hold them.
func contain(m *postern.Member, want []postern.Scope, known *scopeSet, doing string) error {
	missing := postern.MayGrant(m, want, known.sensitive)
	if len(missing) == 0 {
		return nil
	}
	e := postern.Errorf(postern.CodeInsufficientScope, "You can't %s: you don't hold %s. You can only give what you hold; ask someone who holds it.",
		doing, joinScopes(missing))
	e.Scopes = missing
	return e
}

func joinScopes(s []postern.Scope) string {
	out := make([]string, 0, len(s))
	for i, sc := range s {
		if i == 10 {
			out = append(out, fmt.Sprintf("and %d more", len(s)-i))
			break
		}
		out = append(out, string(sc))
	}
	return strings.Join(out, ", ")
}

// text checks a line or a paragraph that a person typed.
func text(field, s string, limit int, need bool) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case need && s == "":
		return "", postern.Invalidf(field, "Say a %s.", field)
	case !utf8.ValidString(s):
		return "", postern.Invalidf(field, "This isn't valid UTF-8.")
	case postern.HideSecrets(s) != s:
		return "", postern.Invalidf(field, "There is a secret in this, which many can read. Leave it out, and rotate the key that it belongs to.")
	case utf8.RuneCountInString(s) > limit:
		return "", postern.Invalidf(field, "This has %d characters; at most %d are allowed.", utf8.RuneCountInString(s), limit)
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return "", postern.Invalidf(field, "Control characters are not allowed.")
		}
	}
	if need {
		return s, checkLine(field, s)
	}
	return s, nil
}

// checkLine checks what people tell things apart by: one line, which can be seen,
// and in which nothing hides.
func checkLine(field, s string) error {
	switch {
	case strings.ContainsAny(s, "\n\t\u2028\u2029"):
		return postern.Invalidf(field, "This must be one line.")
	case strings.ContainsFunc(s, hidden):
		return postern.Invalidf(field, "Invisible characters are not allowed.")
	case !strings.ContainsFunc(s, visible):
		return postern.Invalidf(field, "Use at least one letter, digit or sign that can be seen.")
	}
	return nil
}

// hidden reports whether a character leaves no trace on a screen and serves no
// script: not so the joiners, which Persian, Hindi and emoji need.
func hidden(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
}

// visible reports whether a character can be seen by itself. Some letters and one
// sign are blank: fillers, and the braille pattern without dots.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != '\u2800'
}
