package rotation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
)

// KeyState is how far a key of a campaign has come.
type KeyState string

// The states of a key.
const (
	KeyWaits    KeyState = "waiting"  // it has the secret that is to be replaced
	KeyRotating KeyState = "rotating" // it has a new one, and the old one works still
	KeyDone     KeyState = "done"     // the old one has ended
	KeyOverdue  KeyState = "overdue"  // the old one works, and the deadline is over
	KeyEnded    KeyState = "ended"    // the key itself has ended
)

// Left reports whether there is something to do still.
func (s KeyState) Left() bool { return s == KeyWaits || s == KeyRotating || s == KeyOverdue }

// CampaignKey is how a key of a campaign stands.
type CampaignKey struct {
	ID        postern.KeyID
	Name      string
	State     KeyState
	Keepers   []postern.Member
	Maker     bool // the one keeper is who made it
	Rotating  bool // both secrets work
	RotatedAt time.Time
	RotatedBy postern.MemberID
	OldEndsAt time.Time
	Callers   []string // that still use the old secret
	Still     int
}

// Campaign is how a rotation of many keys stands.
type Campaign struct {
	keyring.CampaignState
	Keys   []CampaignKey // what is left to do first
	Counts map[KeyState]int
	Now    time.Time
}

// Left is how many keys are left to do. Nobody knows of those that are lost, so they
// are left, until a person closes the campaign.
func (c *Campaign) Left() int {
	return c.Counts[KeyWaits] + c.Counts[KeyRotating] + c.Counts[KeyOverdue] + c.Lost()
}

// All is how many keys it was started with.
func (c *Campaign) All() int { return max(len(c.Keys), int(c.KeyCount)) }

// Lost is how many of its keys are not on record any more: somebody removed them by other means than Postern.
func (c *Campaign) Lost() int { return c.All() - len(c.Keys) }

// Done is how many keys are done, or have ended.
func (c *Campaign) Done() int { return c.All() - c.Left() }

// Overdue is how many keys are overdue.
func (c *Campaign) Overdue() int { return c.Counts[KeyOverdue] }

// MoreCallers is how many callers still use the old secret beside the first ones.
func (k *CampaignKey) MoreCallers() int { return k.Still - len(k.Callers) }

// MoreKeepers is how many look after a key beside the first two.
func (k *CampaignKey) MoreKeepers() int { return max(0, len(k.Keepers)-2) }

// Standing works out how the keys of a campaign stand, but for who calls: pure.
func Standing(s *keyring.CampaignState, now time.Time) *Campaign {
	c := &Campaign{CampaignState: *s, Counts: map[KeyState]int{}, Now: now}
	at := now
	if !s.ClosedAt.IsZero() {
		at = s.ClosedAt
	}
	for i := range s.Keys {
		chosen := &s.Keys[i]
		k := CampaignKey{ID: chosen.Key, Name: chosen.Name, State: KeyEnded, Keepers: s.Keepers[chosen.Key]}
		rec, ok := s.Records[k.ID]
		switch {
		case chosen.Altered:
			// Nobody knows which secret was to be replaced: it is left, until a person closes the campaign.
			if k.State = KeyWaits; !at.Before(s.Deadline) {
				k.State = KeyOverdue
			}
		case ok:
			k.Name = rec.Key.Name
			k.Maker = len(k.Keepers) == 1 && k.Keepers[0].ID == rec.Key.MadeBy
			k.stand(&rec.Key, chosen.Generation, at, s.Deadline)
		}
		c.Counts[k.State]++
		c.Keys = append(c.Keys, k)
	}
	rank := map[KeyState]int{KeyOverdue: 0, KeyWaits: 1, KeyRotating: 2, KeyDone: 3, KeyEnded: 4}
	slices.SortStableFunc(c.Keys, func(a, b CampaignKey) int { return cmp.Compare(rank[a.State], rank[b.State]) })
	return c
}

// stand works out how far a key has come; generation is that of the secret that is to be replaced.
func (k *CampaignKey) stand(key *postern.ServiceKey, generation int64, now, deadline time.Time) {
	if key.Ended() || key.State(now) == postern.StateExpired {
		return
	}
	k.State = KeyWaits
	if key.Current.Generation > generation {
		k.RotatedAt, k.RotatedBy = key.Current.MadeAt, key.Current.MadeBy
		k.State = KeyDone
		// A secret between the two would have ended the first when it came.
		if key.Previous.Generation == generation {
			k.OldEndsAt = key.Previous.EndsAt
			if key.Rotating(now) {
				k.State, k.Rotating = KeyRotating, true
			}
		}
	}
	if k.State != KeyDone && !now.Before(deadline) {
		k.State = KeyOverdue
	}
}

// callers finds out who still uses the old secrets of a campaign's keys.
func (c *Campaign) callers(ctx context.Context, log *activity.Log) error {
	for i := range c.Keys {
		k := &c.Keys[i]
		if !k.Rotating {
			continue
		}
		rec := c.Records[k.ID]
		v, err := Of(ctx, log, &rec.Key, nil, c.Now)
		if err != nil {
			return err
		}
		k.Still = v.Still
		for _, caller := range v.Callers {
			if caller.State.Still() && len(k.Callers) < 3 {
				k.Callers = append(k.Callers, callerName(&caller))
			}
		}
	}
	return nil
}

func callerName(c *Caller) string {
	switch {
	case c.UserAgent == "" && c.IP == "":
		return "callers that are not told apart"
	case c.UserAgent == "":
		return c.IP
	}
	return c.UserAgent + " at " + c.IP
}

// For how long the callers of a campaign's keys are looked up.
const (
	pageTime   = 2 * time.Second
	reportTime = 30 * time.Second
)

// CampaignOf reads how a campaign stands, with who still uses old secrets.
func CampaignOf(ctx context.Context, kr *keyring.Keyring, log *activity.Log, by postern.Actor, id string, now time.Time) (*Campaign, error) {
	return campaignWithin(ctx, pageTime, kr, log, by, id, now)
}

// CampaignReport is CampaignOf with more time, for a report.
func CampaignReport(ctx context.Context, kr *keyring.Keyring, log *activity.Log, by postern.Actor, id string, now time.Time) (*Campaign, error) {
	return campaignWithin(ctx, reportTime, kr, log, by, id, now)
}

func campaignWithin(ctx context.Context, within time.Duration, kr *keyring.Keyring, log *activity.Log, by postern.Actor, id string, now time.Time) (*Campaign, error) {
	s, err := kr.Campaign(ctx, by, id)
	if err != nil {
		return nil, err
	}
	c := Standing(s, now)
	if err := kr.MayReadActivity(ctx, by); err != nil {
		return c, nil // who calls is for those who may see calls
	}
	timed, stop := context.WithTimeout(ctx, within)
	defer stop()
	if err := c.callers(timed, log); err != nil {
		if timed.Err() != nil && ctx.Err() == nil {
			err = postern.Errorf(postern.CodeUnavailable, "Finding out who still uses the old secrets takes more than %d seconds. Try again later, or look at the keys one by one.", int(within.Seconds()))
		}
		return nil, err
	}
	return c, nil
}
