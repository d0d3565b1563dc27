package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// Session is a member's stay in the console. The text that the browser holds is
// never kept, only its hash.
type Session struct {
	ID        string
	Hash      postern.SecretHash
	AccountID postern.AccountID
	MemberID  postern.MemberID
	Method    string // how the member came in: "password+totp"
	IP        string
	UserAgent string
	CreatedAt time.Time
	SeenAt    time.Time // of the latest request, to within a minute
	ProvedAt  time.Time // when the member last proved who they are
	ExpiresAt time.Time // at the latest
	Altered   bool      // changed by other means than Postern: it is nobody's
}

func (x *Session) values() []any {
	return []any{x.ID, x.Hash.Hash[:], int64(x.Hash.Pepper), x.AccountID, x.MemberID, x.Method, x.IP, x.UserAgent,
		micros(x.CreatedAt), micros(x.SeenAt), micros(x.ProvedAt), micros(x.ExpiresAt)}
}

func (q *queries) scanSession(s scanner) (x Session, err error) {
	var hash []byte
	var pepper, created, seen, proved, expires int64
	var m mark
	err = s.Scan(append([]any{&x.ID, &hash, &pepper, &x.AccountID, &x.MemberID, &x.Method, &x.IP, &x.UserAgent, &created, &seen, &proved, &expires}, m.targets()...)...)
	if err != nil {
		return x, err
	}
	x.Altered = q.seals.broken(sessionsTable, []any{x.ID, hash, pepper, x.AccountID, x.MemberID, x.Method, x.IP, x.UserAgent, created, seen, proved, expires}, m)
	copy(x.Hash.Hash[:], hash)
	x.Hash.Pepper = uint8(pepper)
	x.CreatedAt, x.SeenAt, x.ProvedAt, x.ExpiresAt = fromMicros(created), fromMicros(seen), fromMicros(proved), fromMicros(expires)
	return x, nil
}

func (q *queries) session(ctx context.Context, id string) (Session, error) {
	return one(q.db.QueryRowContext(ctx, "select "+sessionsTable.list("")+" from sessions where id = $1", id), q.scanSession, "session")
}

// updateSession changes a session; an altered one isn't there.
func (tx *Tx) updateSession(ctx context.Context, id string, change func(x *Session)) error {
	x, err := tx.session(ctx, id)
	if err != nil {
		return err
	}
	if x.Altered {
		return postern.Errorf(postern.CodeNotFound, "There is no such session.")
	}
	change(&x)
	return tx.execOne(ctx, "session", sessionsTable.update(), tx.seals.seal(sessionsTable, x.values())...)
}

// SessionByHash reads a session by the hash of its text.
func (q *queries) SessionByHash(ctx context.Context, hash [32]byte) (Session, error) {
	return one(q.db.QueryRowContext(ctx, "select "+sessionsTable.list("")+" from sessions where hash = $1", hash[:]), q.scanSession, "session")
}

// Sessions reads a member's sessions, newest first.
func (q *queries) Sessions(ctx context.Context, m postern.MemberID) ([]Session, error) {
	rows, err := q.db.QueryContext(ctx, "select "+sessionsTable.list("")+" from sessions where member_id = $1 order by created_at desc, id desc limit 200", m)
	return collect(rows, err, q.scanSession)
}

// InsertSession writes a new session, and forgets some that are over.
func (tx *Tx) InsertSession(ctx context.Context, x *Session) error {
	err := tx.exec(ctx, "forget old sessions", `delete from sessions where id in (
		select id from sessions where expires_at <= $1 order by expires_at, id limit 50)`, micros(x.CreatedAt))
	if err != nil {
		return err
	}
	return tx.exec(ctx, "insert session", sessionsTable.insert(), tx.seals.seal(sessionsTable, x.values())...)
}

// TouchSession notes that a session was seen.
func (tx *Tx) TouchSession(ctx context.Context, id string, at time.Time) error {
	return tx.updateSession(ctx, id, func(x *Session) {
		if x.SeenAt.Before(at) {
			x.SeenAt = at
		}
	})
}

// RenewSession gives a session another text, and notes that its member proved who they are.
func (tx *Tx) RenewSession(ctx context.Context, id string, hash postern.SecretHash, at time.Time) error {
	return tx.updateSession(ctx, id, func(x *Session) { x.Hash, x.ProvedAt, x.SeenAt = hash, at, at })
}

// TurnSession gives a session another text, and leaves when its member proved who they are.
func (tx *Tx) TurnSession(ctx context.Context, id string, hash postern.SecretHash, at time.Time) error {
	return tx.updateSession(ctx, id, func(x *Session) { x.Hash, x.SeenAt = hash, at })
}

// EndSession removes a session of a member.
func (tx *Tx) EndSession(ctx context.Context, m postern.MemberID, id string) error {
	return tx.execOne(ctx, "session", "delete from sessions where id = $1 and member_id = $2", id, m)
}

// EndSessions removes all sessions of a member but one.
func (tx *Tx) EndSessions(ctx context.Context, m postern.MemberID, but string) (int64, error) {
	res, err := tx.db.ExecContext(ctx, "delete from sessions where member_id = $1 and id <> $2", m, but)
	if err != nil {
		return 0, fmt.Errorf("store: end sessions: %w", err)
	}
	return res.RowsAffected()
}

// MembersByEmail reads the live members with an address, in any account, by the time they joined.
func (q *queries) MembersByEmail(ctx context.Context, email string) ([]postern.Member, error) {
	rows, err := q.db.QueryContext(ctx, "select "+memberColumns+memberFrom+`
		where m.email = $1 and m.removed_at = 0 order by m.created_at, m.id limit 32`, email)
	return collect(rows, err, q.scanMember)
}

// Password is what is kept of a member's password: its hash as a PHC string, and
// how many characters it has, which says whether it can stand alone.
type Password struct {
	Hash      string
	Length    int64
	ChangedAt time.Time
	Altered   bool // changed by other means than Postern: it fits nothing, and Hash is empty
}

// Password reads a member's password; the zero Password where they have none.
func (q *queries) Password(ctx context.Context, m postern.MemberID) (p Password, err error) {
	var at int64
	var k mark
	err = q.db.QueryRowContext(ctx, "select hash, length, changed_at, mac, mac_pepper from passwords where member_id = $1", m).
		Scan(append([]any{&p.Hash, &p.Length, &at}, k.targets()...)...)
	if err == sql.ErrNoRows {
		return Password{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("store: read password: %w", err)
	}
	if q.seals.broken(passwordsTable, []any{m, p.Hash, p.Length, at}, k) {
		return Password{Altered: true}, nil
	}
	p.ChangedAt = fromMicros(at)
	return p, nil
}

// PutPassword writes a member's password.
func (tx *Tx) PutPassword(ctx context.Context, m postern.MemberID, p Password) error {
	return tx.exec(ctx, "put password", passwordsTable.put(), tx.seals.seal(passwordsTable, []any{m, p.Hash, p.Length, micros(p.ChangedAt)})...)
}

// RehashPassword replaces a hash by a stronger one of the same password.
func (tx *Tx) RehashPassword(ctx context.Context, m postern.MemberID, old, hash string) error {
	p, err := tx.Password(ctx, m)
	if err != nil || p.Altered || p.Hash != old {
		return err
	}
	p.Hash = hash
	return tx.PutPassword(ctx, m, p)
}

// DeletePassword removes a member's password.
func (tx *Tx) DeletePassword(ctx context.Context, m postern.MemberID) error {
	return tx.exec(ctx, "delete password", "delete from passwords where member_id = $1", m)
}

// SigninRecord is one time that somebody signed in as a member, or tried to.
type SigninRecord struct {
	ID        string
	AccountID postern.AccountID
	MemberID  postern.MemberID
	At        time.Time
	Method    string
	Result    string // "ok" or "refused"
	Reason    string
	IP        string
	UserAgent string
}

// SigninsKept is how long sign-ins are listed; their audit entries stay.
const SigninsKept = 400 * 24 * time.Hour

// InsertSignin writes a sign-in, and forgets some that are too old.
func (tx *Tx) InsertSignin(ctx context.Context, r *SigninRecord) error {
	err := tx.exec(ctx, "forget old sign-ins", `delete from signins where id in (
		select id from signins where at <= $1 order by at, id limit 50)`, micros(r.At.Add(-SigninsKept)))
	if err != nil {
		return err
	}
	return tx.exec(ctx, "insert sign-in", `insert into signins (id, account_id, member_id, at, method, result, reason, ip, user_agent)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, r.ID, r.AccountID, r.MemberID, micros(r.At), r.Method, r.Result, r.Reason, r.IP, r.UserAgent)
}

// Signins gives up to n of a member's sign-ins, newest first, from after a cursor.
func (q *queries) Signins(ctx context.Context, m postern.MemberID, after Cursor, n int) ([]SigninRecord, error) {
	if after.At == 0 {
		after.At = 1 << 62
	}
	rows, err := q.db.QueryContext(ctx, `select id, account_id, member_id, at, method, result, reason, ip, user_agent from signins
		where member_id = $1 and (at, id) < ($2, $3) order by at desc, id desc limit $4`, m, after.At, after.ID, n)
	return collect(rows, err, func(s scanner) (r SigninRecord, err error) {
		var at int64
		err = s.Scan(&r.ID, &r.AccountID, &r.MemberID, &at, &r.Method, &r.Result, &r.Reason, &r.IP, &r.UserAgent)
		r.At = fromMicros(at)
		return r, err
	})
}

// LastSignins tells when each member of an account last signed in.
func (q *queries) LastSignins(ctx context.Context, a postern.AccountID) (map[postern.MemberID]time.Time, error) {
	rows, err := q.db.QueryContext(ctx, `select s.member_id, max(s.at) from signins s join members m on m.id = s.member_id
		where m.account_id = $1 and s.result = 'ok' group by s.member_id order by s.member_id`, a)
	out := map[postern.MemberID]time.Time{}
	_, err = collect(rows, err, func(s scanner) (struct{}, error) {
		var m postern.MemberID
		var at int64
		err := s.Scan(&m, &at)
		out[m] = fromMicros(at)
		return struct{}{}, err
	})
	return out, err
}

// Guard counts the failures in a row of one device, or of all strangers
// together (an empty device), to prove that they are a member.
type Guard struct {
	Failures int64
	FailedAt time.Time
	RetryAt  time.Time // no attempt is looked at before
}

// Guard reads a guard; the zero Guard where nothing failed.
func (q *queries) Guard(ctx context.Context, m postern.MemberID, device string) (g Guard, err error) {
	var failed, retry int64
	err = q.db.QueryRowContext(ctx, "select failures, failed_at, retry_at from signin_guards where member_id = $1 and device = $2", m, device).
		Scan(&g.Failures, &failed, &retry)
	if err == sql.ErrNoRows {
		return Guard{}, nil
	}
	if err != nil {
		return g, fmt.Errorf("store: read guard: %w", err)
	}
	g.FailedAt, g.RetryAt = fromMicros(failed), fromMicros(retry)
	return g, nil
}

// PutGuard writes a guard.
func (tx *Tx) PutGuard(ctx context.Context, m postern.MemberID, device string, g Guard) error {
	return tx.exec(ctx, "put guard", `insert into signin_guards (member_id, device, failures, failed_at, retry_at) values ($1, $2, $3, $4, $5)
		on conflict (member_id, device) do update set failures = excluded.failures, failed_at = excluded.failed_at, retry_at = excluded.retry_at`,
		m, device, g.Failures, micros(g.FailedAt), micros(g.RetryAt))
}

// DeleteGuard forgets the failures of a device, and those of strangers where all is true.
func (tx *Tx) DeleteGuard(ctx context.Context, m postern.MemberID, device string, all bool) error {
	return tx.exec(ctx, "delete guard", "delete from signin_guards where member_id = $1 and (device = $2 or $3 = 1)", m, device, bit(all))
}

// SpendFlow notes that a flow was completed; CodeConflict if it was before. It
// forgets some that could not be replayed any more.
func (tx *Tx) SpendFlow(ctx context.Context, id string, now, expires time.Time) error {
	err := tx.exec(ctx, "forget old flows", `delete from spent_flows where id in (
		select id from spent_flows where expires_at <= $1 order by expires_at, id limit 50)`, micros(now))
	if err != nil {
		return err
	}
	var had int
	if err := tx.db.QueryRowContext(ctx, "select count(*) from spent_flows where id = $1", id).Scan(&had); err != nil {
		return fmt.Errorf("store: read flow: %w", err)
	}
	if had > 0 {
		return postern.Errorf(postern.CodeConflict, "This step was completed already. Start again.")
	}
	return tx.exec(ctx, "spend flow", "insert into spent_flows (id, expires_at) values ($1, $2)", id, micros(expires))
}

// Preferences reads what a member chose for themselves.
func (q *queries) Preferences(ctx context.Context, m postern.MemberID) (map[string]string, error) {
	rows, err := q.db.QueryContext(ctx, "select name, value from preferences where member_id = $1 order by name", m)
	out := map[string]string{}
	_, err = collect(rows, err, func(s scanner) (struct{}, error) {
		var n, v string
		err := s.Scan(&n, &v)
		out[n] = v
		return struct{}{}, err
	})
	return out, err
}

// PutPreference writes one of them.
func (tx *Tx) PutPreference(ctx context.Context, m postern.MemberID, name, value string) error {
	return tx.exec(ctx, "put preference", `insert into preferences (member_id, name, value) values ($1, $2, $3)
		on conflict (member_id, name) do update set value = excluded.value`, m, name, value)
}
