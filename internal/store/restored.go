package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern.dev/postern"
)

// settingRestored says how the present life of the database began.
const settingRestored = "restored"

// Birth is where a life of the database began that a restore gave it.
type Birth struct {
	Epoch int64 `json:"epoch"`
	Feed  int64 `json:"feed"`
	Audit int64 `json:"audit"`
	At    int64 `json:"at"`
}

// Restored is the latest restore; the zero Birth where there was none.
func (q *queries) Restored(ctx context.Context) (b Birth, err error) {
	text, err := q.Setting(ctx, settingRestored)
	if err != nil {
		return b, err
	}
	return b, fromJSON(text, &b)
}

// BeginLife gives the database another epoch, by which nodes know that the feed is
// another one, and lets the feed go on after every number that one of them may have seen.
func (tx *Tx) BeginLife(ctx context.Context, epoch, feed int64, at time.Time) error {
	if err := tx.exec(ctx, "set the epoch", "update heads set n = $1 where name = 'epoch'", epoch); err != nil {
		return err
	}
	if err := tx.exec(ctx, "set the feed's head", "update heads set n = $1 where name = 'feed' and n < $1", feed); err != nil {
		return err
	}
	now, _, err := tx.FeedHead(ctx)
	if err != nil {
		return err
	}
	head, err := tx.AuditHead(ctx)
	if err != nil {
		return err
	}
	return tx.SetSetting(ctx, settingRestored, asJSON(Birth{epoch, now, head.Entries, micros(at)}))
}

// EndPassing ends what nobody may come back with after a restore: sessions, links
// that work once, what was typed in forms, and who decides.
func (tx *Tx) EndPassing(ctx context.Context, at time.Time) error {
	for _, t := range passing {
		if err := tx.exec(ctx, "empty "+t, "delete from "+t); err != nil {
			return err
		}
	}
	return tx.exec(ctx, "void links", "update single_use set used_at = $1, mac = $2 where used_at = 0", micros(at), []byte{})
}

// LiveOfKind are the credentials of a kind that aren't ended.
func (q *queries) LiveOfKind(ctx context.Context, kind postern.Kind) ([]postern.KeyID, error) {
	rows, err := q.db.QueryContext(ctx, "select key_id from credentials where kind = $1 and revoked_at = 0 and deleted_at = 0 order by key_id", kind.String())
	return collect(rows, err, func(s scanner) (id postern.KeyID, err error) { return id, s.Scan(&id) })
}

// ShowEnded brings what is shown of a credential in line with its end.
func (tx *Tx) ShowEnded(ctx context.Context, r *postern.CredentialRow, why string) error {
	ended := r.RevokedAt
	if ended.IsZero() {
		ended = r.DeletedAt
	}
	err := tx.exec(ctx, "end service key", `update service_keys set ended_at = case when ended_at = 0 then $2 else ended_at end,
		deleted_at = case when deleted_at = 0 then $3 else deleted_at end, revoked_why = case when revoked_why = '' then $4 else revoked_why end
		where key_id = $1`, r.Key, micros(ended), micros(r.DeletedAt), why)
	if err != nil {
		return err
	}
	return tx.exec(ctx, "end legacy credential", `update legacy_credentials set ended_at = case when ended_at = 0 then $2 else ended_at end,
		ended_why = case when ended_why = '' then $3 else ended_why end where key_id = $1`, r.Key, micros(ended), why)
}

// Live counts the credentials that work at a time, or will once it is theirs.
func (d *DB) Live(ctx context.Context, now time.Time) (int64, error) {
	return d.liveCredentials(ctx, now)
}

// Sync writes all that SQLite still keeps beside its file into it, so that the file alone is the database.
func (d *DB) Sync(ctx context.Context) error {
	if d.Engine != SQLite {
		return nil
	}
	return truncateLog(ctx, d.w)
}

func truncateLog(ctx context.Context, db *sql.DB) error {
	var busy, log, moved int
	err := db.QueryRowContext(ctx, "pragma wal_checkpoint(truncate)").Scan(&busy, &log, &moved)
	if err == nil && busy != 0 {
		err = errors.New("somebody reads it")
	}
	if err != nil {
		return fmt.Errorf("store: write the log into the file: %w", err)
	}
	return nil
}

// Finish takes away that something is being done to the whole database.
func (tx *Tx) Finish(ctx context.Context) error {
	return tx.exec(ctx, "finish", "delete from settings where name = $1", settingUnfinished)
}
