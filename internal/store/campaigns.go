package store

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
)

// Campaign is a rotation of many keys by a date.
type Campaign struct {
	ID        string
	AccountID postern.AccountID
	Name      string
	Words     string // to those who look after the keys
	ChosenBy  string // how its keys were chosen, in words
	MadeBy    postern.MemberID
	Deadline  time.Time
	CreatedAt time.Time
	ClosedAt  time.Time // zero while it is under way
	ClosedBy  postern.MemberID
	Told      int64 // how many of its reminders are out
	KeyCount  int64 // how many keys it was started with: rows of theirs that are missing were removed by other means
	Revision  int64
	Altered   bool // changed by other means than Postern
}

// CampaignKey is a key of a campaign, and the secret of it that is to be replaced.
type CampaignKey struct {
	Campaign   string
	Key        postern.KeyID
	AccountID  postern.AccountID
	Name       string // as it was when it was chosen
	Generation int64
	Altered    bool
}

var (
	campaignsTable    = newSealed("campaigns", 1, "id account_id name words chosen_by made_by deadline created_at closed_at closed_by told key_count revision")
	campaignKeysTable = newSealed("campaign_keys", 2, "campaign_id key_id account_id name generation")
)

func campaignValues(c *Campaign) []any {
	return []any{c.ID, c.AccountID, c.Name, c.Words, c.ChosenBy, c.MadeBy, micros(c.Deadline), micros(c.CreatedAt), micros(c.ClosedAt), c.ClosedBy, c.Told, c.KeyCount, c.Revision}
}

func (q *queries) scanCampaign(s scanner) (c Campaign, err error) {
	var deadline, created, closed int64
	var m mark
	if err = s.Scan(append([]any{&c.ID, &c.AccountID, &c.Name, &c.Words, &c.ChosenBy, &c.MadeBy, &deadline, &created, &closed, &c.ClosedBy, &c.Told, &c.KeyCount, &c.Revision}, m.targets()...)...); err != nil {
		return c, err
	}
	c.Deadline, c.CreatedAt, c.ClosedAt = fromMicros(deadline), fromMicros(created), fromMicros(closed)
	c.Altered = q.seals.broken(campaignsTable, campaignValues(&c), m)
	return c, nil
}

// Campaign reads a campaign of an account.
func (q *queries) Campaign(ctx context.Context, a postern.AccountID, id string) (Campaign, error) {
	return one(q.db.QueryRowContext(ctx, "select "+campaignsTable.list("")+" from campaigns where account_id = $1 and id = $2", a, id), q.scanCampaign, "campaign")
}

// Campaigns are up to n campaigns of an account, newest first, from after a cursor.
func (q *queries) Campaigns(ctx context.Context, a postern.AccountID, after Cursor, n int) ([]Campaign, error) {
	rows, err := q.db.QueryContext(ctx, "select "+campaignsTable.list("")+` from campaigns where account_id = $1
		and ($2 = '' or (created_at, id) < ($3, $2)) order by created_at desc, id desc limit $4`, a, after.ID, after.At, n)
	return collect(rows, err, q.scanCampaign)
}

// OpenCampaigns are up to n campaigns of all accounts that are under way, in the order of their IDs, from after one.
func (q *queries) OpenCampaigns(ctx context.Context, after string, n int) ([]Campaign, error) {
	rows, err := q.db.QueryContext(ctx, "select "+campaignsTable.list("")+" from campaigns where closed_at = 0 and id > $1 order by id limit $2", after, n)
	return collect(rows, err, q.scanCampaign)
}

// CountCampaigns counts the campaigns of an account: those under way, and all.
func (q *queries) CountCampaigns(ctx context.Context, a postern.AccountID) (open, all int, err error) {
	err = q.db.QueryRowContext(ctx, "select coalesce(sum(case when closed_at = 0 then 1 else 0 end), 0), count(*) from campaigns where account_id = $1", a).Scan(&open, &all)
	return open, all, err
}

// CampaignedKeys are the keys of an account that campaigns under way are about, each
// with the name of its campaign.
func (q *queries) CampaignedKeys(ctx context.Context, a postern.AccountID) (map[postern.KeyID]string, error) {
	rows, err := q.db.QueryContext(ctx, `select k.key_id, c.name from campaigns c join campaign_keys k on k.campaign_id = c.id and k.account_id = c.account_id
		where c.account_id = $1 and c.closed_at = 0`, a)
	type pair struct {
		id   postern.KeyID
		name string
	}
	list, err := collect(rows, err, func(s scanner) (p pair, err error) { err = s.Scan(&p.id, &p.name); return p, err })
	out := make(map[postern.KeyID]string, len(list))
	for _, p := range list {
		out[p.id] = p.name
	}
	return out, err
}

// PutCampaign writes a campaign: a new one at revision 1, or the change of one that is there.
func (tx *Tx) PutCampaign(ctx context.Context, c *Campaign) error {
	if c.Altered {
		return errAltered("campaign", "Start a new one.")
	}
	c.Revision++
	return tx.exec(ctx, "put campaign", campaignsTable.put(), tx.seals.seal(campaignsTable, campaignValues(c))...)
}

// InsertCampaignKeys writes the keys of a new campaign.
func (tx *Tx) InsertCampaignKeys(ctx context.Context, list []CampaignKey) error {
	for _, k := range list {
		values := tx.seals.seal(campaignKeysTable, []any{k.Campaign, k.Key, k.AccountID, k.Name, k.Generation})
		if err := tx.exec(ctx, "insert campaign key", campaignKeysTable.insert(), values...); err != nil {
			return err
		}
	}
	return nil
}

// CampaignKeys are the keys of a campaign, in the order of their names.
func (q *queries) CampaignKeys(ctx context.Context, a postern.AccountID, id string) ([]CampaignKey, error) {
	rows, err := q.db.QueryContext(ctx, "select "+campaignKeysTable.list("")+" from campaign_keys where account_id = $1 and campaign_id = $2 order by name, key_id", a, id)
	return collect(rows, err, func(s scanner) (k CampaignKey, err error) {
		var m mark
		if err = s.Scan(append([]any{&k.Campaign, &k.Key, &k.AccountID, &k.Name, &k.Generation}, m.targets()...)...); err != nil {
			return k, err
		}
		k.Altered = q.seals.broken(campaignKeysTable, []any{k.Campaign, k.Key, k.AccountID, k.Name, k.Generation}, m)
		return k, nil
	})
}

// KeysAnyState reads service keys of an account by their IDs, deleted ones too.
func (q *queries) KeysAnyState(ctx context.Context, a postern.AccountID, ids []postern.KeyID) (map[postern.KeyID]KeyRecord, error) {
	out := make(map[postern.KeyID]KeyRecord, len(ids))
	for len(ids) > 0 {
		part := ids[:min(len(ids), 500)]
		ids = ids[len(part):]
		args := []any{a}
		in := inList(part, func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)) })
		rows, err := q.db.QueryContext(ctx, "select "+keyColumns+keyFrom+"where k.account_id = $1 and k.key_id in "+in, args...)
		list, err := collect(rows, err, scanKey)
		if err != nil {
			return nil, err
		}
		for i := range list {
			out[list[i].Key.ID] = list[i]
		}
	}
	return out, nil
}
