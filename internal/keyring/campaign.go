package keyring

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// The actions of campaigns in the audit log.
const (
	actCampaignStart  = "campaign.start"
	actCampaignRemind = "campaign.remind"
	actCampaignClose  = "campaign.close"
)

// Bounds of a campaign.
const (
	MaxCampaignKeys  = 500
	MaxOpenCampaigns = 20  // of an account
	MaxCampaigns     = 500 // that are kept, of an account
	minCampaign      = time.Hour
	maxKeepers       = 20 // members who are told of one key
)

// CampaignChoice says which keys a campaign is about: those that are named, or all
// that each of the others matches.
type CampaignChoice struct {
	IDs       []postern.KeyID
	MadeBy    postern.MemberID
	Name      string // a part of the name
	Scope     postern.Scope
	OlderThan time.Duration // since the key has its secret
	All       bool          // every key; needed where nothing else is said
}

// words is how the keys were chosen, for those who ask later.
func (ch *CampaignChoice) words() string {
	var out []string
	if ch.IDs != nil {
		out = append(out, fmt.Sprintf("%d named", len(ch.IDs)))
	}
	if ch.MadeBy != "" {
		out = append(out, "made by "+string(ch.MadeBy))
	}
	if ch.Name != "" {
		out = append(out, fmt.Sprintf("name has %q", ch.Name))
	}
	if ch.Scope != "" {
		out = append(out, "holds "+string(ch.Scope))
	}
	if ch.OlderThan > 0 {
		out = append(out, "secret older than "+spanWords(ch.OlderThan))
	}
	if len(out) == 0 {
		return "all keys"
	}
	return strings.Join(out, ", ")
}

func (ch *CampaignChoice) check() error {
	switch {
	case len(ch.IDs) > MaxCampaignKeys:
		return tooManyKeys(len(ch.IDs))
	case ch.OlderThan < 0 || ch.OlderThan > 100*365*24*time.Hour:
		return postern.Invalidf("olderThan", "Give an age such as 90 days.")
	case ch.IDs == nil && ch.MadeBy == "" && ch.Name == "" && ch.Scope == "" && ch.OlderThan == 0 && !ch.All:
		return postern.Invalidf("choose", "Say which keys: by who made them, a part of the name, a scope, the age of the secret, their IDs, or all.")
	}
	return nil
}

func tooManyKeys(n int) error {
	return postern.Errorf(postern.CodeTooLarge, "That is more than %d keys (%d). Choose fewer, and start a second campaign for the rest.", MaxCampaignKeys, n)
}

// CampaignCandidate is a key that was chosen, or why it can't be rotated.
type CampaignCandidate struct {
	Key     postern.ServiceKey
	Keepers []postern.Member // who is asked to rotate it
	Maker   bool             // that is who made it
	Why     string           // why it can't be rotated; empty where it can
	Note    string           // what to know before that
}

// campaignReader is what choosing reads: a transaction, or the database for a dry run.
type campaignReader interface {
	memberReader
	catalogReader
	KeysPage(context.Context, postern.AccountID, store.KeyFilter, time.Time, store.Cursor, int) ([]store.KeyRecord, error)
	Members(context.Context, postern.AccountID, bool) ([]postern.Member, error)
	Policy(context.Context, postern.AccountID) (postern.Policy, error)
	CampaignedKeys(context.Context, postern.AccountID) (map[postern.KeyID]string, error)
}

// ChooseCampaign lists the keys that a choice matches, newest first: the dry run of a campaign.
func (kr *Keyring) ChooseCampaign(ctx context.Context, by postern.Actor, ch CampaignChoice) ([]CampaignCandidate, error) {
	if err := kr.reader(ctx, by, postern.PermKeysWrite); err != nil {
		return nil, err
	}
	return kr.candidates(ctx, kr.db, by.AccountID, ch)
}

func (kr *Keyring) candidates(ctx context.Context, q campaignReader, a postern.AccountID, ch CampaignChoice) (out []CampaignCandidate, err error) {
	if err := ch.check(); err != nil {
		return nil, err
	}
	now := kr.now()
	who, err := kr.keepers(ctx, q, a)
	if err != nil {
		return nil, err
	}
	p, err := q.Policy(ctx, a)
	if err != nil {
		return nil, err
	}
	taken, err := q.CampaignedKeys(ctx, a)
	if err != nil {
		return nil, err
	}
	f := store.KeyFilter{IDs: ch.IDs, MadeBy: ch.MadeBy, Name: ch.Name, Scope: ch.Scope}
	var after store.Cursor
	for {
		const page = 500
		recs, err := q.KeysPage(ctx, a, f, now, after, page)
		if err != nil {
			return nil, err
		}
		for i := range recs {
			rec := &recs[i]
			// What has ended needs no new secret; of keys that were named it is said.
			if rec.Key.Ended() && ch.IDs == nil || ch.OlderThan > 0 && now.Sub(rec.Key.Current.MadeAt) < ch.OlderThan {
				continue
			}
			c := CampaignCandidate{Key: rec.Key}
			c.Keepers, c.Maker = who.of(&rec.Key)
			c.Why = kr.unrotatable(rec, len(c.Keepers) > 0, now)
			if name, ok := taken[rec.Key.ID]; ok && c.Why == "" {
				c.Why = fmt.Sprintf("The campaign %q, which is under way, has it already.", name)
			}
			if b := p.Limits(&rec.Key, who.known.writes(rec.Key.Scopes), now); c.Why == "" && len(b) > 0 {
				c.Note = "It is not as the security policy asks: " + b[0].Words + " Change that first."
			}
			if out = append(out, c); len(out) > 4*MaxCampaignKeys {
				return nil, tooManyKeys(len(out))
			}
		}
		if len(recs) < page {
			return out, nil
		}
		last := &recs[len(recs)-1].Key
		after = store.Cursor{At: int64(postern.ToMicros(last.CreatedAt)), ID: string(last.ID)}
	}
}

// unrotatable is why a key can't be rotated, or empty.
func (kr *Keyring) unrotatable(rec *store.KeyRecord, kept bool, now time.Time) string {
	switch k := &rec.Key; {
	case k.Ended():
		return "It has ended."
	case !rec.Row.Sealed(kr.cfg.Pepper):
		return "Its record was altered outside of Postern and gives no access. End it."
	case k.State(now) == postern.StateExpired:
		return "It has expired. Give it a later expiry first."
	case k.Rotating(now):
		return "It is being rotated already: both secrets work until " + k.Previous.EndsAt.UTC().Format("2 January at 15:04 MST") + "."
	case k.Canary:
		return "It is a canary, which nobody uses."
	case !kept:
		return "Nobody holds all of its scopes and may change keys, so nobody could be shown its new secret."
	}
	return ""
}

// keepers tells who can rotate the keys of an account.
type keepers struct {
	known *scopeSet
	may   []postern.Member
}

func (kr *Keyring) keepers(ctx context.Context, q campaignReader, a postern.AccountID) (*keepers, error) {
	known, err := kr.known(ctx, q)
	if err != nil {
		return nil, err
	}
	all, err := q.Members(ctx, a, false)
	all = slices.DeleteFunc(all, func(m postern.Member) bool { return !m.Can(postern.PermKeysWrite) })
	return &keepers{known, all}, err
}

// of are those who can rotate a key: whoever made it, or else others who could be shown its secret.
func (p *keepers) of(k *postern.ServiceKey) (out []postern.Member, maker bool) {
	for i := range p.may {
		m := &p.may[i]
		if len(postern.MayGrant(m, k.Scopes, p.known.sensitive)) > 0 {
			continue
		}
		if m.ID == k.MadeBy {
			return []postern.Member{*m}, true
		}
		if len(out) < maxKeepers {
			out = append(out, *m)
		}
	}
	return out, false
}

// NewCampaign is what a new campaign shall be.
type NewCampaign struct {
	Name     string
	Words    string // to those who look after the keys
	Deadline time.Time
	Choice   CampaignChoice
	// Idempotency is the caller's Idempotency-Key; empty for none.
	Idempotency string
}

// StartCampaign starts a campaign of the keys that its choice matches and that can
// be rotated. It gives nobody a right: each key is rotated as ever.
//
// The keys are chosen before the transaction, which looks again at those alone: it holds
// up others for no longer than that takes, however many keys the account has.
func (kr *Keyring) StartCampaign(ctx context.Context, by postern.Actor, in NewCampaign) (out store.Campaign, err error) {
	var chosen []CampaignCandidate
	_, failed := kr.readMember(ctx, kr.db, by, postern.PermKeysWrite)
	if failed == nil {
		chosen, failed = kr.candidates(ctx, kr.db, by.AccountID, in.Choice)
	}
	_, err = kr.changeAlone(ctx, by, actCampaignStart, "", func(c *change) error {
		out = store.Campaign{}
		if _, err := c.member(postern.PermKeysWrite); err != nil {
			return err
		}
		done, again, err := c.idempotent(in.Idempotency, actCampaignStart, in)
		if err != nil {
			return err
		}
		if again != nil {
			out, err = c.Campaign(ctx, by.AccountID, again.Object)
			return err
		}
		if err := c.roomForCampaign(); err != nil {
			return err
		}
		next, err := c.newCampaign(in)
		if err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
		keys, facts, err := c.campaignKeys(next, chosen)
		if err != nil {
			return err
		}
		next.KeyCount = int64(len(keys))
		if err := c.PutCampaign(ctx, next); err != nil {
			return err
		}
		if err := c.InsertCampaignKeys(ctx, keys); err != nil {
			return err
		}
		out = *next
		if err := done(next.ID, 0); err != nil {
			return err
		}
		return c.audit(actCampaignStart, next.ID, next.Name, diff(nil, facts))
	})
	return out, err
}

// roomForCampaign checks that the account may start one more.
func (c *change) roomForCampaign() error {
	open, all, err := c.CountCampaigns(c.ctx, c.by.AccountID)
	switch {
	case err != nil:
		return err
	case open >= MaxOpenCampaigns:
		return postern.Errorf(postern.CodeConflict, "%d campaigns are under way, which is the most. Close one, and start this one then.", open)
	case all >= MaxCampaigns:
		return postern.Errorf(postern.CodeConflict, "The account has %d campaigns, and no more are kept. Rotate these keys one by one.", all)
	}
	return nil
}

func (c *change) newCampaign(in NewCampaign) (*store.Campaign, error) {
	name, err := text("name", in.Name, postern.MaxNameLen, true)
	if err != nil {
		return nil, err
	}
	words, err := text("words", in.Words, postern.MaxDescriptionLen, false)
	if err != nil {
		return nil, err
	}
	if in.Deadline.Sub(c.now) < minCampaign || in.Deadline.After(c.now.AddDate(1, 0, 0)) {
		return nil, postern.Invalidf("deadline", "The deadline is from an hour to a year from now.")
	}
	return &store.Campaign{ID: postern.NewID("cmp"), AccountID: c.by.AccountID, Name: name, Words: words, ChosenBy: in.Choice.words(), MadeBy: c.by.MemberID,
		Deadline: whole(in.Deadline), CreatedAt: c.now}, nil
}

// campaignKeys are those of the chosen keys that can be rotated, as the transaction sees them.
func (c *change) campaignKeys(of *store.Campaign, chosen []CampaignCandidate) (keys []store.CampaignKey, facts map[string]any, err error) {
	ids := []postern.KeyID{}
	for i := range chosen {
		if chosen[i].Why == "" {
			ids = append(ids, chosen[i].Key.ID)
		}
	}
	var list []CampaignCandidate
	if len(ids) > 0 && len(ids) <= MaxCampaignKeys {
		if list, err = c.kr.candidates(c.ctx, c, c.by.AccountID, CampaignChoice{IDs: ids}); err != nil {
			return nil, nil, err
		}
	}
	took := []string{}
	for i := range list {
		if k := &list[i].Key; list[i].Why == "" {
			keys = append(keys, store.CampaignKey{Campaign: of.ID, Key: k.ID, AccountID: of.AccountID, Name: k.Name, Generation: k.Current.Generation})
			took = append(took, string(k.ID))
		}
	}
	switch {
	case len(ids) > MaxCampaignKeys:
		return nil, nil, tooManyKeys(len(ids))
	case len(keys) == 0:
		return nil, nil, postern.Errorf(postern.CodeInvalid, "None of these keys can be rotated. The dry run says why.")
	}
	facts = map[string]any{"deadline": of.Deadline, "chosenBy": of.ChosenBy, "keys": took, "leftOut": len(chosen) - len(keys)}
	if of.Words != "" {
		facts["words"] = of.Words
	}
	return keys, facts, nil
}

// CloseCampaign ends a campaign: nobody is reminded any more. What was rotated stays so.
func (kr *Keyring) CloseCampaign(ctx context.Context, by postern.Actor, id, why string) (out store.Campaign, err error) {
	return kr.editCampaign(ctx, by, id, actCampaignClose, why, func(c *change, i *store.Campaign) { i.ClosedAt, i.ClosedBy = c.now, by.MemberID })
}

// CampaignReminded notes that so many of a campaign's reminders are out.
func (kr *Keyring) CampaignReminded(ctx context.Context, a postern.AccountID, id string, told int64) error {
	_, err := kr.editCampaign(ctx, postern.Actor{AccountID: a, System: "rotation"}, id, actCampaignRemind, "", func(_ *change, i *store.Campaign) { i.Told = told })
	return err
}

func (kr *Keyring) editCampaign(ctx context.Context, by postern.Actor, id, action, why string, edit func(*change, *store.Campaign)) (out store.Campaign, err error) {
	_, err = kr.change(ctx, by, action, id, func(c *change) error {
		if _, err := c.member(postern.PermKeysWrite); err != nil {
			return err
		}
		i, err := c.Campaign(ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if !i.ClosedAt.IsZero() {
			return postern.Errorf(postern.CodeConflict, "%q is closed already.", i.Name)
		}
		edit(c, &i)
		if err := c.PutCampaign(ctx, &i); err != nil {
			return err
		}
		out = i
		return c.audit(action, id, i.Name, because(why))
	})
	return out, err
}

// Campaigns are up to n campaigns of the account, newest first, from after a cursor.
func (kr *Keyring) Campaigns(ctx context.Context, by postern.Actor, after store.Cursor, n int) ([]store.Campaign, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	return kr.db.Campaigns(ctx, by.AccountID, after, n)
}

// CampaignState is a campaign, and how its keys stand.
type CampaignState struct {
	store.Campaign
	Keys    []store.CampaignKey
	Records map[postern.KeyID]store.KeyRecord // of the keys that are there still
	Keepers map[postern.KeyID][]postern.Member
	Members map[postern.MemberID]postern.Member
}

// Campaign reads a campaign and its keys.
func (kr *Keyring) Campaign(ctx context.Context, by postern.Actor, id string) (*CampaignState, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	c, err := kr.db.Campaign(ctx, by.AccountID, id)
	if err != nil {
		return nil, err
	}
	if c.Altered {
		return nil, postern.Errorf(postern.CodeConflict, "The campaign's record was altered outside of Postern. Start a new one.")
	}
	s := &CampaignState{Campaign: c, Keepers: map[postern.KeyID][]postern.Member{}, Members: map[postern.MemberID]postern.Member{}}
	if s.Keys, err = kr.db.CampaignKeys(ctx, by.AccountID, id); err != nil {
		return nil, err
	}
	ids := make([]postern.KeyID, len(s.Keys))
	for i := range s.Keys {
		ids[i] = s.Keys[i].Key
	}
	if s.Records, err = kr.db.KeysAnyState(ctx, by.AccountID, ids); err != nil {
		return nil, err
	}
	all, err := kr.db.Members(ctx, by.AccountID, true)
	if err != nil {
		return nil, err
	}
	for i := range all {
		s.Members[all[i].ID] = all[i]
	}
	who, err := kr.keepers(ctx, kr.db, by.AccountID)
	if err != nil {
		return nil, err
	}
	for id, rec := range s.Records {
		s.Keepers[id], _ = who.of(&rec.Key)
	}
	return s, nil
}
