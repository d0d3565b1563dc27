package rotation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// News is something that members are told of a campaign, each once for each Dedupe.
type News struct {
	Account postern.AccountID
	To      []postern.MemberID
	Dedupe  string
	Subject string
	Words   string
	Link    string
}

const day = 24 * time.Hour

// remindersBefore and remindersAfter are when those who look after keys are reminded:
// so long before the deadline, and, of what is overdue, so many times every week after it.
var remindersBefore = []time.Duration{7 * day, 3 * day, day, 0}

const remindersAfter = 8

// reminders are when people are told of a campaign: when it starts, and then as its deadline comes.
func reminders(c *store.Campaign) []time.Time {
	out := []time.Time{c.CreatedAt}
	for _, before := range remindersBefore {
		out = append(out, c.Deadline.Add(-before))
	}
	for week := 1; week <= remindersAfter; week++ {
		out = append(out, c.Deadline.Add(time.Duration(week)*7*day))
	}
	return out
}

// due is how many of a campaign's reminders are due. Those that would have gone out
// before it started count as told.
func due(c *store.Campaign, now time.Time) (n int64) {
	for _, at := range reminders(c) {
		if !at.After(now) {
			n++
		}
	}
	return n
}

// campaigns tells of the campaigns that are under way, and closes those of which all is done.
func (j *Job) campaigns(ctx context.Context) error {
	const page = 50
	var errs []error
	for after := ""; ; {
		list, err := j.cfg.DB.OpenCampaigns(ctx, after, page)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for i := range list {
			if after = list[i].ID; !list[i].Altered {
				errs = append(errs, j.campaign(ctx, &list[i]))
			}
		}
		if len(list) < page {
			return errors.Join(errs...)
		}
	}
}

func (j *Job) campaign(ctx context.Context, c *store.Campaign) error {
	now, by := j.cfg.Now(), postern.Actor{AccountID: c.AccountID, System: "rotation"}
	s, err := j.cfg.Keyring.Campaign(ctx, by, c.ID)
	if err != nil {
		return err
	}
	stands := Standing(s, now)
	if len(stands.Keys) == 0 {
		return nil // deleted outside of Postern: that isn't done, and is for a person to close
	}
	if stands.Left() == 0 {
		return j.closeCampaign(ctx, by, stands)
	}
	n := due(c, now)
	if n <= c.Told {
		return nil
	}
	for _, news := range campaignNews(stands, n) {
		if err := j.cfg.Tell(ctx, news); err != nil {
			return err
		}
	}
	// Only once everybody is told: where that fails, those who were told are not told again.
	if err := j.cfg.Keyring.CampaignReminded(ctx, c.AccountID, c.ID, n); err != nil && !errors.Is(err, postern.CodeConflict) {
		return err
	}
	j.cfg.Log.InfoContext(ctx, "people were told of a rotation of many keys", "campaign", c.ID, "account_id", c.AccountID, "keys_left", stands.Left())
	return nil
}

func (j *Job) closeCampaign(ctx context.Context, by postern.Actor, c *Campaign) error {
	if _, err := j.cfg.Keyring.CloseCampaign(ctx, by, c.ID, "All of its keys are done."); err != nil {
		if errors.Is(err, postern.CodeConflict) {
			return nil // somebody was faster
		}
		return err
	}
	return j.cfg.Tell(ctx, News{Account: c.AccountID, To: []postern.MemberID{c.MadeBy}, Dedupe: "campaign_done:" + c.ID, Subject: c.Name + ": all keys are done",
		Words: fmt.Sprintf("%s rotated or ended. The report has each of them.", counted(len(c.Keys), "key was", "keys were")), Link: "/campaigns/" + c.ID})
}

// campaignNews is what is told when a reminder is due: to each person, of the keys
// that they look after and that are left; once the deadline is over, to whoever
// started it as well.
func campaignNews(c *Campaign, n int64) (out []News) {
	names := map[postern.MemberID][]string{}
	var order []postern.MemberID
	var all []string
	for i := range c.Keys {
		k := &c.Keys[i]
		if !k.State.Left() {
			continue
		}
		all = append(all, k.Name)
		for _, m := range k.Keepers {
			if names[m.ID] == nil {
				order = append(order, m.ID)
			}
			names[m.ID] = append(names[m.ID], k.Name)
		}
	}
	late := !c.Now.Before(c.Deadline)
	if late && names[c.MadeBy] == nil && c.MadeBy != "" {
		order, names[c.MadeBy] = append(order, c.MadeBy), all
	}
	for _, id := range order {
		subject, words := campaignWords(c, names[id], c.Told == 0, late)
		out = append(out, News{Account: c.AccountID, To: []postern.MemberID{id}, Dedupe: fmt.Sprintf("campaign:%s:%d", c.ID, n), Subject: subject, Words: words, Link: "/campaigns/" + c.ID})
	}
	return out
}

func campaignWords(c *Campaign, keys []string, first, late bool) (subject, words string) {
	by := c.Deadline.UTC().Format("2 January 2006 at 15:04 MST")
	what := counted(len(keys), "key", "keys")
	switch {
	case late:
		subject = c.Name + ": " + what + " overdue"
		words = "They were to be rotated by " + by + "."
	case first:
		subject = c.Name + ": rotate " + what
		words = "Please rotate by " + by + ", and give each tool its new secret before the old one ends."
	default:
		subject = c.Name + ": " + what + " left to rotate"
		words = "Their old secrets are to be gone by " + by + "."
	}
	list := strings.Join(keys[:min(len(keys), 5)], ", ")
	if more := len(keys) - 5; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	words += " " + list + "."
	if c.Words != "" {
		words += " " + c.Words
	}
	return subject, words
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
