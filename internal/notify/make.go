package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	settingKeys  = "notify_keys_at"    // when the latest look at all keys began that came to its end
	settingBegun = "notify_keys_begun" // when the latest one began
	settingAudit = "notify_audit_seq"

	mostTold     = 20  // admins who are told where nobody looks after a key
	atOnce       = 200 // notifications in one transaction
	eventsAtOnce = 500
	lateStart    = 24 * time.Hour // how far back a first start looks for events
)

// draft is something to tell, before it is known whom.
type draft struct {
	account postern.AccountID
	kind    string
	subject string
	words   string
	link    string
	dedupe  string
	to      []reader
	but     postern.MemberID // who did it, and needs not be told
}

// reader is somebody who is told, and why they are.
type reader struct {
	id  postern.MemberID
	why string
}

// KeysIfDue looks at all keys, unless some node did in the last hour. The hour counts
// once the work is done: where a node ends or fails before, another one begins anew,
// and what was told already isn't told again.
func (n *Notifier) KeysIfDue(ctx context.Context) error {
	now, due := n.cfg.Now(), false
	_, err := n.db.Write(ctx, func(tx *store.Tx) error {
		due = true
		for name, pause := range map[string]time.Duration{settingKeys: everyKeys, settingBegun: keysTime} {
			text, err := tx.Setting(ctx, name)
			if err != nil {
				return err
			}
			last, _ := strconv.ParseInt(text, 10, 64)
			due = due && store.Due(postern.Micros(last).Time(), now, pause)
		}
		if !due {
			return nil
		}
		return n.note(ctx, tx, settingBegun, now)
	})
	if err != nil || !due {
		return err
	}
	if err := n.Keys(ctx); err != nil {
		return err
	}
	_, err = n.db.Write(ctx, func(tx *store.Tx) error { return n.note(ctx, tx, settingKeys, now) })
	return err
}

func (n *Notifier) note(ctx context.Context, tx *store.Tx, name string, at time.Time) error {
	return tx.SetSetting(ctx, name, strconv.FormatInt(int64(postern.ToMicros(at)), 10))
}

// Keys looks at all keys of all accounts, and tells what is due.
func (n *Notifier) Keys(ctx context.Context) error {
	accounts, err := n.db.Accounts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range accounts {
		if a.SuspendedAt.IsZero() && !a.Altered {
			errs = append(errs, n.keysOf(ctx, a.ID))
		}
	}
	before := n.cfg.Now().Add(-store.NotificationsKept)
	_, err = n.db.Write(ctx, func(tx *store.Tx) error { return tx.ForgetNotifications(ctx, before, 1000) })
	return errors.Join(append(errs, err)...)
}

func (n *Notifier) keysOf(ctx context.Context, a postern.AccountID) error {
	now := n.cfg.Now()
	p, err := n.db.Policy(ctx, a)
	if err != nil {
		return err
	}
	uses, err := n.cfg.Activity.AllUses(ctx, a)
	if err != nil {
		return err
	}
	hour, err := n.cfg.Activity.CallsByKey(ctx, a, now.Add(-time.Hour))
	if err != nil {
		return err
	}
	who, err := n.people(ctx, n.db, a)
	if err != nil {
		return err
	}
	out := policyDrafts(&p, who)
	err = n.db.EachKey(ctx, a, now, func(rec *store.KeyRecord) error {
		k := &rec.Key
		ds := keyDrafts(&p, k, uses[k.ID].LastAt, hour[k.ID].Calls, hour[k.ID].Refused, now)
		d, err := n.oldSecret(ctx, k, now)
		if err != nil {
			return err
		}
		if d != nil {
			ds = append(ds, *d)
		}
		for _, d := range ds {
			d.account, d.link = a, "/keys/"+string(k.ID)
			if d.kind == SecretOld || d.kind == RotationEnds {
				d.link += "/rotate"
			}
			if d.to, err = who.of(ctx, k); err != nil {
				return err
			}
			out = append(out, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(out, atOnce) {
		if _, err := n.db.Write(ctx, func(tx *store.Tx) error { return n.tell(ctx, tx, part) }); err != nil {
			return err
		}
	}
	return nil
}

// policyDrafts tells of a policy that was altered: once, until it is saved anew.
func policyDrafts(p *postern.Policy, who *people) []draft {
	if !p.Altered {
		return nil
	}
	return []draft{{account: p.AccountID, kind: PolicyAltered, dedupe: fmt.Sprintf("%s:%s:%d", PolicyAltered, p.AccountID, p.Revision), to: who.who(postern.PermAccountWrite), link: "/settings/security",
		subject: "The security policy was altered",
		words: "Its record was changed by other means than Postern, so nothing of it is believed. Until an admin saves it anew, no key can be made or widened, secrets that are found are ended, " +
			"and a canary that is used is paused. Tell whoever operates this server."}}
}

// keyDrafts is what there is to tell of a key by its record and the sums of its calls: pure.
func keyDrafts(p *postern.Policy, k *postern.ServiceKey, used time.Time, calls, refused int64, now time.Time) (out []draft) {
	add := func(kind, dedupe, subject, format string, args ...any) {
		out = append(out, draft{kind: kind, dedupe: kind + ":" + string(k.ID) + ":" + dedupe, subject: k.Name + " " + subject, words: fmt.Sprintf(format, args...)})
	}
	state := k.State(now)
	if state == postern.StateEnded || state == postern.StateExpired {
		return nil
	}
	if !k.ExpiresAt.IsZero() {
		left := k.ExpiresAt.Sub(now)
		// The nearest reminder that is due; not one that was due before the key was made.
		for _, days := range slices.Backward(p.RemindExpiry) {
			at := k.ExpiresAt.AddDate(0, 0, -days)
			if now.Before(at) || !at.After(k.CreatedAt) {
				continue
			}
			in := int((left + 24*time.Hour - 1) / (24 * time.Hour))
			add(KeyExpires, fmt.Sprintf("%d:%d", postern.ToMicros(k.ExpiresAt), days), "stops working in "+count(in, "day", "days"),
				"It ends on %s. Give it a later end, or make sure that nothing needs it any more.", k.ExpiresAt.UTC().Format("2 January 2006 at 15:04 MST"))
			break
		}
	}
	for _, b := range p.Breaches(k, false, used, now) {
		switch b.Rule {
		case postern.RuleAge:
			add(SecretOld, fmt.Sprintf("%d:%d", k.Current.Generation, p.RemindAge), "has a secret that is "+count(b.Days, "day", "days")+" old",
				"Secrets should be changed after %s. Rotate it: both secrets work for a while, so nothing stops.", count(p.RemindAge, "day", "days"))
		case postern.RuleIdle:
			since := used
			if since.IsZero() {
				since = k.CreatedAt
			}
			add(KeyUnused, strconv.FormatInt(int64(postern.ToMicros(since)), 10), "was not used for "+count(b.Days, "day", "days"),
				"If nothing needs it, pause it: its calls are refused at once, and you can undo that.")
		}
	}
	if calls >= 20 && refused*20 >= calls {
		add(KeyRefused, now.UTC().Format(time.DateOnly), "is refused often", "Of its %d calls in the last hour, %d were refused. Its page says why and what would fix it.", calls, refused)
	}
	return out
}

// oldSecret tells of a rotation that ends within a day while the old secret is in use.
func (n *Notifier) oldSecret(ctx context.Context, k *postern.ServiceKey, now time.Time) (*draft, error) {
	if !k.Rotating(now) || k.Previous.EndsAt.Sub(now) > 24*time.Hour {
		return nil, nil
	}
	since := now.Add(-24 * time.Hour)
	if k.Current.MadeAt.After(since) {
		since = k.Current.MadeAt
	}
	callers, err := n.cfg.Activity.Callers(ctx, k.AccountID, k.ID, k.Previous.Generation, since)
	if err != nil || len(callers) == 0 {
		return nil, err
	}
	c := callers[0]
	name := client(c.UserAgent)
	if name == "" {
		name = "an unnamed client"
	}
	words := fmt.Sprintf("The old secret of %s stops on %s. %s at %s used it last on %s.", k.Name, k.Previous.EndsAt.UTC().Format("2 January at 15:04 MST"),
		name, c.IP, c.LastAt.UTC().Format("2 January at 15:04 MST"))
	if len(callers) > 1 {
		words += fmt.Sprintf(" So did %s.", count(len(callers)-1, "other", "others"))
	}
	return &draft{kind: RotationEnds, dedupe: fmt.Sprintf("%s:%s:%d:%d", RotationEnds, k.ID, k.Previous.Generation, postern.ToMicros(k.Previous.EndsAt)),
		subject: "Still using the old secret: " + name, words: words + " Give it the new secret before then."}, nil
}

// Events reads what happened since the last look, and tells who should know.
func (n *Notifier) Events(ctx context.Context) error {
	for {
		var read int
		_, err := n.db.Write(ctx, func(tx *store.Tx) (err error) {
			read, err = n.events(ctx, tx)
			return err
		})
		if err != nil || read < eventsAtOnce {
			return err
		}
	}
}

// events tells of some entries of the audit log, and notes how far it read, in one transaction.
func (n *Notifier) events(ctx context.Context, tx *store.Tx) (int, error) {
	text, err := tx.Setting(ctx, settingAudit)
	if err != nil {
		return 0, err
	}
	seq, _ := strconv.ParseInt(text, 10, 64)
	if text == "" {
		if seq, err = tx.AuditSeqAt(ctx, n.cfg.Now().Add(-lateStart)); err != nil {
			return 0, err
		}
	}
	list, err := tx.AuditAfter(ctx, seq, eventsAtOnce)
	if err != nil {
		return 0, err
	}
	var out []draft
	for i := range list {
		d, err := n.event(ctx, tx, &list[i])
		if err != nil {
			return 0, err
		}
		if d != nil {
			out = append(out, *d)
		}
		seq = list[i].Seq
	}
	if len(list) == 0 && text != "" {
		return 0, nil
	}
	if err := n.tell(ctx, tx, out); err != nil {
		return 0, err
	}
	return len(list), tx.SetSetting(ctx, settingAudit, strconv.FormatInt(seq, 10))
}

// event is what an entry of the audit log tells somebody, or nil.
func (n *Notifier) event(ctx context.Context, tx *store.Tx, e *postern.AuditEntry) (*draft, error) {
	if e.Result != "ok" || e.AccountID == "" {
		return nil, nil
	}
	d := &draft{account: e.AccountID, dedupe: "audit:" + strconv.FormatInt(e.Seq, 10), but: e.Actor.MemberID}
	var may postern.Permission
	switch e.Action {
	case "member.join":
		d.kind, may, d.link = Joined, postern.PermMembersWrite, "/settings/members/"+e.Object
		d.subject, d.words = e.Name+" joined", "The invitation was accepted. Look over what they may do."
	case "policy.update":
		d.kind, may, d.link = PolicySet, postern.PermAccountWrite, "/settings/security"
		d.subject, d.words = "The security policy changed", n.nameOf(ctx, tx, e)+" changed what the account asks of its keys. The audit log shows before and after."
	case "service_key.leak", "personal_key.leak", "legacy_credential.leak":
		return n.leaked(ctx, tx, e, d)
	case "service_key.revoke", "service_key.delete":
		how := "revoked"
		if e.Action == "service_key.delete" {
			how = "deleted"
		}
		d.kind, d.link = KeyEnded, "/keys/"+e.Object
		d.subject, d.words = e.Name+" was "+how, n.nameOf(ctx, tx, e)+" "+how+" it. Its calls are refused, for good."
		if how == "deleted" {
			d.link = "/keys"
		}
		k, err := tx.KeyPeople(ctx, e.AccountID, postern.KeyID(e.Object))
		if errors.Is(err, postern.CodeNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		who, err := n.people(ctx, tx, e.AccountID)
		if err != nil {
			return nil, err
		}
		d.to, err = who.of(ctx, &k)
		return d, err
	default:
		return n.watched(ctx, tx, e, d)
	}
	who, err := n.people(ctx, tx, e.AccountID)
	if err != nil {
		return nil, err
	}
	d.to = who.who(may)
	return d, nil
}

func (n *Notifier) nameOf(ctx context.Context, tx *store.Tx, e *postern.AuditEntry) string {
	if m, err := tx.MemberOf(ctx, e.AccountID, e.Actor.MemberID); err == nil && m.Name != "" {
		return m.Name
	}
	return "Postern"
}

// tell writes a notification for each reader of some drafts, once.
func (n *Notifier) tell(ctx context.Context, tx *store.Tx, out []draft) error {
	now := n.cfg.Now()
	for _, d := range out {
		for _, r := range d.to {
			if r.id == d.but {
				continue
			}
			row := &store.Notification{ID: postern.NewID("ntf"), AccountID: d.account, MemberID: r.id, Audience: r.why, Kind: d.kind,
				Subject: d.subject, Words: d.words, Link: d.link, Dedupe: d.dedupe, MadeAt: now}
			if n.cfg.Mail != nil {
				row.MailAt = now
			}
			if _, err := tx.InsertNotification(ctx, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// people are an account's members, for telling who should know.
type people struct {
	q     peopleReader
	by    map[postern.MemberID]*postern.Member
	all   []postern.Member
	teams map[postern.TeamID][]postern.MemberID
}

// peopleReader is the database, or the transaction that tells them, which knows more.
type peopleReader interface {
	Members(context.Context, postern.AccountID, bool) ([]postern.Member, error)
	TeamMembers(context.Context, postern.AccountID, postern.TeamID) ([]postern.MemberID, error)
}

func (n *Notifier) people(ctx context.Context, q peopleReader, a postern.AccountID) (*people, error) {
	all, err := q.Members(ctx, a, false)
	p := &people{q: q, by: map[postern.MemberID]*postern.Member{}, all: all, teams: map[postern.TeamID][]postern.MemberID{}}
	for i := range all {
		p.by[all[i].ID] = &all[i]
	}
	return p, err
}

// who are some members who may do something, admins first.
func (p *people) who(may postern.Permission) (out []reader) {
	for i := range p.all {
		if p.all[i].Can(may) && len(out) < mostTold {
			out = append(out, reader{p.all[i].ID, "admins"})
		}
	}
	return out
}

// of are those who look after a key: its team, or whoever made it; where none of
// them is there any more, those who run the account.
func (p *people) of(ctx context.Context, k *postern.ServiceKey) (out []reader, err error) {
	if k.TeamID != "" {
		team, ok := p.teams[k.TeamID]
		if !ok {
			if team, err = p.q.TeamMembers(ctx, k.AccountID, k.TeamID); err != nil {
				return nil, err
			}
			p.teams[k.TeamID] = team
		}
		for _, id := range team {
			if m := p.by[id]; m != nil && m.Can(postern.PermKeysRead) {
				out = append(out, reader{id, "team"})
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if m := p.by[k.MadeBy]; m != nil && m.Can(postern.PermKeysRead) {
		return []reader{{m.ID, "maker"}}, nil
	}
	return p.who(postern.PermAccountWrite), nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
