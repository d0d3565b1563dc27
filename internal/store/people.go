package store

import (
	"context"
	"time"

	"postern.dev/postern"
)

// MemberWays is how a member comes in, and what they have made.
type MemberWays struct {
	Password, TOTP bool
	Passkeys       int64
	Identities     int64
	PersonalKeys   int64 // that aren't ended
	Keys           int64 // live service keys that they made
	Flagged        int64 // of those, the ones that wait for a review
	InvitedUntil   time.Time
	// Joined is true for who has or had a way in: an invitation that was accepted.
	Joined bool
}

// MemberWays tells of each live member of an account, or of the one that is named.
func (q *queries) MemberWays(ctx context.Context, a postern.AccountID, one postern.MemberID) (map[postern.MemberID]MemberWays, error) {
	rows, err := q.db.QueryContext(ctx, `select m.id,
		(select count(*) from passwords p where p.member_id = m.id),
		(select count(*) from totps t where t.member_id = m.id),
		(select count(*) from passkeys p where p.member_id = m.id),
		(select count(*) from identities i where i.member_id = m.id),
		(select count(*) from personal_keys p where p.account_id = m.account_id and p.member_id = m.id),
		(select count(*) from credentials c where c.member_id = m.id and c.revoked_at = 0 and c.deleted_at = 0),
		(select count(*) from service_keys k where k.account_id = m.account_id and k.made_by = m.id and k.ended_at = 0),
		(select count(*) from service_keys k where k.account_id = m.account_id and k.made_by = m.id and k.ended_at = 0 and k.flagged_at <> 0),
		(select count(*) from signins s where s.member_id = m.id and s.result = 'ok'),
		(select coalesce(max(s.expires_at), 0) from single_use s where s.member_id = m.id and s.purpose = 'invite' and s.used_at = 0)
		from members m where m.account_id = $1 and m.removed_at = 0 and ($2 = '' or m.id = $2) order by m.id`, a, one)
	out := map[postern.MemberID]MemberWays{}
	_, err = collect(rows, err, func(s scanner) (struct{}, error) {
		var id postern.MemberID
		var w MemberWays
		var password, totp, ever, signins, until int64
		err := s.Scan(&id, &password, &totp, &w.Passkeys, &w.Identities, &ever, &w.PersonalKeys, &w.Keys, &w.Flagged, &signins, &until)
		w.Password, w.TOTP, w.InvitedUntil = password > 0, totp > 0, fromMicros(until)
		w.Joined = password+totp+w.Passkeys+w.Identities+ever+signins > 0
		out[id] = w
		return struct{}{}, err
	})
	return out, err
}
