package activity

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// maxKeys is the most keys that one question may name.
const maxKeys = 500

const useColumns = `key_id, generation, first_at, at, ip, user_agent, upstream, operation, calls`

// Use is when and from where one secret of a key was used: allowed calls only,
// since a refused call is no use.
type Use struct {
	Key        postern.KeyID
	Generation int64
	FirstAt    time.Time
	LastAt     time.Time
	IP         string // of the latest call, as all that follows
	UserAgent  string
	Upstream   postern.UpstreamID
	Operation  string
	Calls      int64 // since the key was made
}

// LastUse is the latest of it, as a key shows it.
func (u *Use) LastUse() postern.LastUse {
	return postern.LastUse{At: u.LastAt, IP: u.IP, UserAgent: u.UserAgent, Operation: u.Operation, Generation: u.Generation}
}

func scanUse(rows *sql.Rows, u *Use) error {
	var first, at int64
	err := rows.Scan(&u.Key, &u.Generation, &first, &at, &u.IP, &u.UserAgent, &u.Upstream, &u.Operation, &u.Calls)
	u.FirstAt, u.LastAt = postern.Micros(first).Time(), postern.Micros(at).Time()
	return err
}

// LastUsed tells when each of some keys of an account was last used. A key that
// never was is not in the map.
func (l *Log) LastUsed(ctx context.Context, account postern.AccountID, keys []postern.KeyID) (map[postern.KeyID]postern.LastUse, error) {
	out := make(map[postern.KeyID]postern.LastUse, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), maxKeys)
		w := keysWhere(account, keys[:n])
		uses, err := collect(ctx, l, scanUse, `select `+useColumns+` from activity_uses where `+w.text.String()+
			` order by key_id, generation`, w.args...)
		if err != nil {
			return nil, fmt.Errorf("activity: last used: %w", err)
		}
		for i := range uses {
			if u := &uses[i]; u.LastAt.After(out[u.Key].At) {
				out[u.Key] = u.LastUse()
			}
		}
		keys = keys[n:]
	}
	return out, nil
}

// keysWhere is the condition for rows of some keys of an account.
func keysWhere(account postern.AccountID, keys []postern.KeyID) *where {
	var w where
	w.and("account_id = ?", string(account))
	var in strings.Builder
	for i, k := range keys {
		if i > 0 {
			in.WriteString(", ")
		}
		w.args = append(w.args, string(k))
		in.WriteString("$" + strconv.Itoa(len(w.args)))
	}
	w.and("key_id in (" + in.String() + ")")
	return &w
}

// Uses tells when each secret of a key was last used, the newest secret first.
func (l *Log) Uses(ctx context.Context, account postern.AccountID, key postern.KeyID) ([]Use, error) {
	out, err := collect(ctx, l, scanUse, `
		select `+useColumns+` from activity_uses where account_id = $1 and key_id = $2
		order by generation desc limit 1000`, string(account), string(key))
	if err != nil {
		return nil, fmt.Errorf("activity: uses of %s: %w", key, err)
	}
	return out, nil
}

// RecentlyUsed returns up to n keys of an account by their latest use, newest
// first, from after a cursor: the time and key of the page's last. Keys that
// were never used are not among them.
func (l *Log) RecentlyUsed(ctx context.Context, account postern.AccountID, afterAt time.Time, after postern.KeyID, n int) ([]Use, error) {
	n = max(1, min(n, maxKeys))
	at := microsEnd(afterAt)
	out, err := collect(ctx, l, scanUse, `
		select `+useColumns+` from activity_uses u
		where account_id = $1 and (at, key_id) < ($2, $3) and not exists (
			select 1 from activity_uses v where v.account_id = u.account_id and v.key_id = u.key_id
			and (v.at, v.generation) > (u.at, u.generation))
		order by at desc, key_id desc limit $4`, string(account), at, string(after), n)
	if err != nil {
		return nil, fmt.Errorf("activity: recently used: %w", err)
	}
	return out, nil
}

// UsedSince returns up to n keys of an account that were used at a time or
// later, in the order of their IDs, from after one of them.
func (l *Log) UsedSince(ctx context.Context, account postern.AccountID, since time.Time, after postern.KeyID, n int) ([]postern.KeyID, error) {
	return l.keysBy(ctx, account, ">=", since, after, n)
}

// UnusedSince returns up to n keys of an account that were used once, but not at
// a time or later, in the order of their IDs, from after one of them. Keys that
// were never used are unused as well, and unknown here.
func (l *Log) UnusedSince(ctx context.Context, account postern.AccountID, since time.Time, after postern.KeyID, n int) ([]postern.KeyID, error) {
	return l.keysBy(ctx, account, "<", since, after, n)
}

func (l *Log) keysBy(ctx context.Context, account postern.AccountID, op string, since time.Time, after postern.KeyID, n int) ([]postern.KeyID, error) {
	out, err := collect(ctx, l, func(rows *sql.Rows, k *postern.KeyID) error { return rows.Scan(k) }, `
		select key_id from activity_uses where account_id = $1 and key_id > $2
		group by key_id having max(at) `+op+` $3 order by key_id limit $4`,
		string(account), string(after), micros(since), max(1, min(n, maxKeys)))
	if err != nil {
		return nil, fmt.Errorf("activity: keys by last use: %w", err)
	}
	return out, nil
}
