package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// touchEvery is how far a session's latest request may be from what is kept of it.
const touchEvery = time.Minute

// Session is a member's stay in the console.
type Session struct {
	store.Session
	Member  postern.Member
	Account postern.Account
}

// Actor is the member as the audit log will know them.
func (x *Session) Actor(from postern.Actor) postern.Actor {
	from.AccountID, from.MemberID = x.AccountID, x.Member.ID
	return from
}

// errSession is the one answer to every session that isn't.
var errSession = postern.Errorf(postern.CodeUnauthenticated, "You are signed out. Sign in again.")

// ErrSuspended tells a member of a suspended account why they can't come in.
var ErrSuspended = postern.Errorf(postern.CodeForbidden, "This account is suspended. Ask whoever operates this server.")

// errAltered tells a member whose record gives nothing why they can't come in.
var errAltered = postern.Errorf(postern.CodeForbidden, "Your member record or your role was altered outside of Postern and gives nothing. Tell whoever operates this server.")

// Session finds the session of a text that a browser sent, as it is now, and
// notes that its member is there.
func (s *Service) Session(ctx context.Context, text string) (*Session, error) {
	x, err := s.Look(ctx, text)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if now.Sub(x.SeenAt) >= touchEvery {
		x.SeenAt = now
		if err := s.change(ctx, func(tx *store.Tx) error { return tx.TouchSession(ctx, x.ID, now) }); err != nil {
			// Reading goes on while the database takes no writes; the session then ends sooner.
			s.cfg.Log.WarnContext(ctx, "could not note that a session was seen", "err", err)
		}
	}
	return x, nil
}

// Look is Session for what a page asks by itself: that says nothing of whether
// anybody sits before it, so the session lasts no longer for it.
func (s *Service) Look(ctx context.Context, text string) (*Session, error) {
	if len(text) != sessionLen {
		return nil, errSession
	}
	x, err := s.findSession(ctx, text)
	if errors.Is(err, postern.CodeNotFound) {
		return nil, errSession
	}
	if err != nil {
		return nil, err
	}
	found := &Session{Session: x}
	if x.Altered || s.Left(found) <= 0 {
		return nil, errSession
	}
	found.Member, found.Account, err = s.live(ctx, x.MemberID)
	if errors.Is(err, postern.CodeNotFound) {
		return nil, errSession
	}
	if err != nil {
		return nil, err
	}
	if !found.Account.SuspendedAt.IsZero() {
		return nil, ErrSuspended
	}
	return found, nil
}

// Left is how long a session lasts if nobody does anything.
func (s *Service) Left(x *Session) time.Duration {
	now := s.now()
	return min(x.SeenAt.Add(s.cfg.Idle).Sub(now), x.ExpiresAt.Sub(now))
}

// findSession looks a text up under every live pepper, the latest first.
func (s *Service) findSession(ctx context.Context, text string) (x store.Session, err error) {
	latest := s.cfg.Pepper.Latest()
	x, err = s.db.SessionByHash(ctx, s.hash(latest, "session", text))
	for _, v := range s.cfg.Pepper.Versions() {
		if v != latest && errors.Is(err, postern.CodeNotFound) {
			x, err = s.db.SessionByHash(ctx, s.hash(v, "session", text))
		}
	}
	return x, err
}

// hash is what is kept of a text that only a browser or a person holds.
func (s *Service) hash(version uint8, purpose, text string) (out [32]byte) {
	k, _ := s.cfg.Pepper.Derive(version, "signin "+purpose)
	m := hmac.New(sha256.New, k[:])
	m.Write([]byte(text))
	m.Sum(out[:0])
	return out
}

func (s *Service) secretHash(purpose, text string) postern.SecretHash {
	v := s.cfg.Pepper.Latest()
	return postern.SecretHash{Hash: s.hash(v, purpose, text), Pepper: v}
}

const sessionLen = 43 // 256 bits in base64url

func newText() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Signed is somebody who has just come in: the text goes to their browser, once.
type Signed struct {
	Text    string
	Session Session
	Device  string // the mark of a device that came in, for its next sign-in
}

// begin makes a session within a transaction, and notes how the member came in.
func (s *Service) begin(ctx context.Context, tx *store.Tx, m *postern.Member, method string, from postern.Actor) (out Signed, err error) {
	if m.Altered {
		return out, errAltered
	}
	now := s.now()
	out.Text = newText()
	out.Session = Session{Member: *m, Session: store.Session{ID: postern.NewID("ses"), Hash: s.secretHash("session", out.Text), AccountID: m.AccountID,
		MemberID: m.ID, Method: method, IP: from.IP, UserAgent: clip(from.UserAgent, 300), CreatedAt: now, SeenAt: now, ProvedAt: now, ExpiresAt: now.Add(s.cfg.Absolute)}}
	if out.Session.Account, err = tx.Account(ctx, m.AccountID); err != nil {
		return out, err
	}
	if !out.Session.Account.SuspendedAt.IsZero() {
		return out, ErrSuspended
	}
	if err := tx.InsertSession(ctx, &out.Session.Session); err != nil {
		return out, err
	}
	out.Device = s.deviceMark(m.ID)
	if err := s.record(ctx, tx, m, method, "", from); err != nil {
		return out, err
	}
	return out, s.audit(ctx, tx, from, "signin", m, after(map[string]any{"method": method}))
}

// record adds to the member's list of sign-ins; why is empty for one that succeeded.
func (s *Service) record(ctx context.Context, tx *store.Tx, m *postern.Member, method, why string, from postern.Actor) error {
	r := store.SigninRecord{ID: postern.NewID("sgn"), AccountID: m.AccountID, MemberID: m.ID, At: s.now(), Method: method,
		Result: "ok", Reason: why, IP: from.IP, UserAgent: clip(from.UserAgent, 300)}
	if why != "" {
		r.Result = "refused"
	}
	return tx.InsertSignin(ctx, &r)
}

func clip(s string, n int) string {
	s = postern.HideSecrets(s)
	if len(s) > n {
		s = s[:n]
	}
	// PostgreSQL refuses texts that aren't UTF-8, and a cut may fall within a letter.
	return strings.ToValidUTF8(s, "")
}

// SignOut ends a session.
func (s *Service) SignOut(ctx context.Context, x *Session, from postern.Actor) error {
	return s.change(ctx, func(tx *store.Tx) error {
		if err := tx.EndSession(ctx, x.MemberID, x.ID); err != nil && !errors.Is(err, postern.CodeNotFound) {
			return err
		}
		return s.audit(ctx, tx, from, "signout", &x.Member)
	})
}

// EndSession ends one of the member's sessions, on this device or another.
func (s *Service) EndSession(ctx context.Context, x *Session, id string, from postern.Actor) error {
	return s.change(ctx, func(tx *store.Tx) error {
		if err := tx.EndSession(ctx, x.MemberID, id); err != nil {
			return err
		}
		return s.audit(ctx, tx, from, "session.end", &x.Member, after(map[string]any{"session": id}))
	})
}

// EndOtherSessions signs the member out everywhere but here.
func (s *Service) EndOtherSessions(ctx context.Context, x *Session, from postern.Actor) (n int64, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		if n, err = tx.EndSessions(ctx, x.MemberID, x.ID); err != nil {
			return err
		}
		return s.audit(ctx, tx, from, "session.end_others", &x.Member, after(map[string]any{"sessions": n}))
	})
	return n, err
}

// Sessions lists the member's sessions that are alive, newest first.
func (s *Service) Sessions(ctx context.Context, m postern.MemberID) ([]store.Session, error) {
	all, err := s.db.Sessions(ctx, m)
	now, out := s.now(), all[:0]
	for _, x := range all {
		if !x.Altered && now.Before(x.ExpiresAt) && now.Sub(x.SeenAt) < s.cfg.Idle {
			out = append(out, x)
		}
	}
	return out, err
}

// History lists the member's sign-ins, newest first, from after a cursor.
func (s *Service) History(ctx context.Context, m postern.MemberID, after store.Cursor, n int) ([]store.SigninRecord, error) {
	return s.db.Signins(ctx, m, after, n)
}

// LastSignins tells when each member of an account last signed in.
func (s *Service) LastSignins(ctx context.Context, a postern.AccountID) (map[postern.MemberID]time.Time, error) {
	return s.db.LastSignins(ctx, a)
}

// IsFresh reports whether the member proved who they are recently enough for what is risky.
func (s *Service) IsFresh(x *Session) bool { return s.now().Sub(x.ProvedAt) < s.cfg.Fresh }

// renew gives a session a new text after its member proved who they are again:
// whoever had copied the old one has nothing.
func (s *Service) renew(ctx context.Context, tx *store.Tx, x *Session, method string, from postern.Actor) (Signed, error) {
	out := Signed{Text: newText(), Session: *x, Device: s.deviceMark(x.MemberID)}
	now := s.now()
	out.Session.Hash = s.secretHash("session", out.Text)
	out.Session.ProvedAt, out.Session.SeenAt = now, now
	if err := tx.RenewSession(ctx, x.ID, out.Session.Hash, now); err != nil {
		return out, err
	}
	return out, s.audit(ctx, tx, from, "signin.confirm", &x.Member, after(map[string]any{"method": method}))
}

// turned ends a change of a member's ways in: they are signed out everywhere else,
// and this session gets a new text, so that whoever came in by the old way, or had
// copied the text, is out. It proves nothing: a proof from before gets no younger.
func (s *Service) turned(ctx context.Context, tx *store.Tx, x *Session, action string, from postern.Actor, with ...func(*postern.AuditEntry)) (Signed, error) {
	n, err := tx.EndSessions(ctx, x.MemberID, x.ID)
	if err != nil {
		return Signed{}, err
	}
	out := Signed{Text: newText(), Session: *x, Device: s.deviceMark(x.MemberID)}
	out.Session.Hash, out.Session.SeenAt = s.secretHash("session", out.Text), s.now()
	if err := tx.TurnSession(ctx, x.ID, out.Session.Hash, out.Session.SeenAt); err != nil {
		return out, err
	}
	return out, s.audit(ctx, tx, from, action, &x.Member, append(with, func(e *postern.AuditEntry) {
		facts := map[string]any{"sessionsEnded": n}
		maps.Copy(facts, e.After)
		e.After = facts
	})...)
}
