package store

import (
	"context"
	"time"
)

// Draft is what someone typed in a form of several steps, for one session.
type Draft struct {
	Session, ID string
	Body        string
	ChangedAt   time.Time
	ExpiresAt   time.Time
}

// PutDraft keeps a draft in the place of the one before. It forgets some that are
// over, and of the session the oldest beyond most.
func (tx *Tx) PutDraft(ctx context.Context, d Draft, most int) error {
	err := tx.exec(ctx, "forget old drafts", `delete from drafts where (session_id, id) in (
		select session_id, id from drafts where expires_at <= $1 order by expires_at, session_id, id limit 50)`, micros(d.ChangedAt))
	if err != nil {
		return err
	}
	if err := tx.exec(ctx, "put draft", `insert into drafts (session_id, id, body, changed_at, expires_at) values ($1, $2, $3, $4, $5)
		on conflict (session_id, id) do update set body = excluded.body, changed_at = excluded.changed_at, expires_at = excluded.expires_at`,
		d.Session, d.ID, d.Body, micros(d.ChangedAt), micros(d.ExpiresAt)); err != nil {
		return err
	}
	// The one that was just kept stays, whatever the clock says.
	return tx.exec(ctx, "bound drafts", `delete from drafts where session_id = $1 and id in (
		select id from drafts where session_id = $1 and id <> $2 order by changed_at desc, id limit 1000 offset $3)`, d.Session, d.ID, most-1)
}

// Draft reads what a session keeps under an id, unless it is over.
func (q *queries) Draft(ctx context.Context, session, id string, now time.Time) (string, error) {
	return one(q.db.QueryRowContext(ctx, "select body from drafts where session_id = $1 and id = $2 and expires_at > $3", session, id, micros(now)),
		func(s scanner) (body string, err error) { return body, s.Scan(&body) }, "draft")
}
