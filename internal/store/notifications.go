package store

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
)

// Notification is something that one member is told, in the console and by mail.
type Notification struct {
	ID        string
	AccountID postern.AccountID
	MemberID  postern.MemberID
	Audience  string // why this member: "maker", "team", "admins"
	Kind      string // "key_expires"
	Subject   string
	Words     string
	Link      string // a page of the console
	// Dedupe names what is told of: a member is told of it once.
	Dedupe string
	MadeAt time.Time
	ReadAt time.Time
	// MailAt is when it is next tried to send it; zero where nothing is to be sent (any more).
	MailAt    time.Time
	MailTries int64
	MailedAt  time.Time
	MailError string
}

// NotificationsKept is how long notifications are listed.
const NotificationsKept = 400 * 24 * time.Hour

const notificationColumns = "id, account_id, member_id, audience, kind, subject, words, link, dedupe, made_at, read_at, mail_at, mail_tries, mailed_at, mail_error"

func scanNotification(s scanner) (n Notification, err error) {
	var made, read, mail, mailed int64
	err = s.Scan(&n.ID, &n.AccountID, &n.MemberID, &n.Audience, &n.Kind, &n.Subject, &n.Words, &n.Link, &n.Dedupe, &made, &read, &mail, &n.MailTries, &mailed, &n.MailError)
	n.MadeAt, n.ReadAt, n.MailAt, n.MailedAt = fromMicros(made), fromMicros(read), fromMicros(mail), fromMicros(mailed)
	return n, err
}

// InsertNotification writes a notification, unless its member was told of the
// same before, and reports whether it did.
func (tx *Tx) InsertNotification(ctx context.Context, n *Notification) (bool, error) {
	res, err := tx.db.ExecContext(ctx, "insert into notifications ("+notificationColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, 0, 0, '')
		on conflict (member_id, dedupe) do nothing`, n.ID, n.AccountID, n.MemberID, n.Audience, n.Kind,
		postern.HideSecrets(n.Subject), postern.HideSecrets(n.Words), n.Link, n.Dedupe, micros(n.MadeAt), micros(n.MailAt))
	if err != nil {
		return false, fmt.Errorf("store: insert notification: %w", err)
	}
	rows, err := res.RowsAffected()
	return rows == 1, err
}

// Notifications gives up to n of what a member was told, newest first, from after a cursor.
func (q *queries) Notifications(ctx context.Context, m postern.MemberID, unread bool, after Cursor, n int) ([]Notification, error) {
	if after.At == 0 {
		after.At = 1 << 62
	}
	rows, err := q.db.QueryContext(ctx, "select "+notificationColumns+` from notifications
		where member_id = $1 and (made_at, id) < ($2, $3) and ($4 = 0 or read_at = 0) order by made_at desc, id desc limit $5`, m, after.At, after.ID, bit(unread), n)
	return collect(rows, err, scanNotification)
}

// UnreadNotifications is how much of what a member was told they have not read, counted up to 100.
func (q *queries) UnreadNotifications(ctx context.Context, m postern.MemberID) (n int, err error) {
	err = q.db.QueryRowContext(ctx, "select count(*) from (select 1 as x from notifications where member_id = $1 and read_at = 0 limit 100) as unread", m).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("store: count notifications: %w", err)
	}
	return n, nil
}

// ReadNotifications marks what a member was told as read: one of it, or all where id is empty.
func (tx *Tx) ReadNotifications(ctx context.Context, m postern.MemberID, id string, at time.Time) error {
	return tx.exec(ctx, "read notifications", "update notifications set read_at = $3 where member_id = $1 and ($2 = '' or id = $2) and read_at = 0", m, id, micros(at))
}

// ClaimMails takes up to n notifications whose mail is due, and puts off their
// next try, so that no other node takes them meanwhile.
func (tx *Tx) ClaimMails(ctx context.Context, now, next time.Time, n int) ([]Notification, error) {
	rows, err := tx.db.QueryContext(ctx, "select "+notificationColumns+" from notifications where mail_at > 0 and mail_at <= $1 order by mail_at, id limit $2", micros(now), n)
	out, err := collect(rows, err, scanNotification)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].MailTries++
		out[i].MailAt = next
		if err := tx.SetMail(ctx, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SetMail writes how far the mail of a notification is.
func (tx *Tx) SetMail(ctx context.Context, n *Notification) error {
	return tx.execOne(ctx, "notification", "update notifications set mail_at = $2, mail_tries = $3, mailed_at = $4, mail_error = $5 where id = $1",
		n.ID, micros(n.MailAt), n.MailTries, micros(n.MailedAt), postern.HideSecrets(n.MailError))
}

// ForgetNotifications deletes up to n notifications that are too old.
func (tx *Tx) ForgetNotifications(ctx context.Context, before time.Time, n int) error {
	return tx.exec(ctx, "forget notifications", "delete from notifications where id in (select id from notifications where made_at < $1 order by made_at, id limit $2)", micros(before), n)
}

// TeamMembers are the live members of a team.
func (q *queries) TeamMembers(ctx context.Context, a postern.AccountID, t postern.TeamID) ([]postern.MemberID, error) {
	rows, err := q.db.QueryContext(ctx, `select m.id from team_members t join members m on m.id = t.member_id
		where t.team_id = $2 and m.account_id = $1 and m.removed_at = 0 order by m.id`, a, t)
	return collect(rows, err, func(s scanner) (id postern.MemberID, err error) { return id, s.Scan(&id) })
}

// AuditAfter reads up to n entries of all accounts from after one, in their order.
func (q *queries) AuditAfter(ctx context.Context, seq int64, n int) ([]postern.AuditEntry, error) {
	rows, err := q.db.QueryContext(ctx, "select body from audit_entries where seq > $1 order by seq limit $2", seq, n)
	return collect(rows, err, func(s scanner) (e postern.AuditEntry, err error) {
		var body string
		if err := s.Scan(&body); err != nil {
			return e, err
		}
		return auditlog.Decode(body)
	})
}

// AuditSeqAt is the number of the last entry that is older than a time.
func (q *queries) AuditSeqAt(ctx context.Context, before time.Time) (seq int64, err error) {
	err = q.db.QueryRowContext(ctx, "select coalesce(max(seq), 0) from audit_entries where at < $1", micros(before)).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("store: read audit numbers: %w", err)
	}
	return seq, nil
}

// EachKey gives every service key of an account that has not ended, newest first.
func (q *queries) EachKey(ctx context.Context, a postern.AccountID, now time.Time, yield func(*KeyRecord) error) error {
	const page = 500
	var after Cursor
	for {
		recs, err := q.KeysPage(ctx, a, KeyFilter{}, now, after, page)
		if err != nil {
			return err
		}
		for i := range recs {
			if recs[i].Key.Ended() {
				continue
			}
			if err := yield(&recs[i]); err != nil {
				return err
			}
		}
		if len(recs) < page {
			return nil
		}
		last := &recs[len(recs)-1].Key
		after = Cursor{At: micros(last.CreatedAt), ID: string(last.ID)}
	}
}

// KeyPeople reads who a service key belongs to, of deleted keys too.
func (q *queries) KeyPeople(ctx context.Context, a postern.AccountID, id postern.KeyID) (k postern.ServiceKey, err error) {
	return one(q.db.QueryRowContext(ctx, "select key_id, account_id, name, team_id, made_by from service_keys where key_id = $1 and account_id = $2", id, a),
		func(s scanner) (k postern.ServiceKey, err error) {
			return k, s.Scan(&k.ID, &k.AccountID, &k.Name, &k.TeamID, &k.MadeBy)
		}, "service key")
}
