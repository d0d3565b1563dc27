package console

import (
	"cmp"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// secretRow is a secret that a key has or had.
type secretRow struct {
	Gen    int64
	Last4  string
	Name   string
	Kind   string // of its pill
	State  string
	MadeAt time.Time
	Age    string
	EndsAt time.Time
	By     string
	Use    activity.Use
}

func (c *Console) keySecrets(v *visit, view *keyView) error {
	uses, err := c.cfg.Activity.Uses(v.r.Context(), v.by.AccountID, view.K.ID)
	if err != nil {
		return err
	}
	names, err := c.memberNames(v)
	if err != nil {
		return err
	}
	k := &view.K
	add := func(i postern.SecretInfo, name, kind, state string) {
		if i.Generation == 0 {
			return
		}
		r := secretRow{Gen: i.Generation, Last4: i.LastFour, Name: name, Kind: kind, State: state, MadeAt: i.MadeAt, EndsAt: i.EndsAt, By: names[i.MadeBy]}
		if !i.MadeAt.IsZero() {
			r.Age = ageWords(v.now.Sub(i.MadeAt))
		}
		view.Secrets = append(view.Secrets, r)
	}
	switch {
	case !view.Live:
		add(k.Current, "Last secret", "", "Ended")
		add(k.Previous, "Earlier secret", "", "Ended")
	case view.Rotating:
		add(k.Current, "New secret", "ok", "In force")
		add(k.Previous, "Old secret", "warn", "Ends "+inWords(k.Previous.EndsAt, v.now))
	default:
		add(k.Current, "Secret", "ok", "In force")
		name := "Old secret"
		if k.Previous.Generation > k.Current.Generation {
			name = "Taken back"
		}
		add(k.Previous, name, "", "Ended")
	}
	for _, u := range uses {
		i := slices.IndexFunc(view.Secrets, func(r secretRow) bool { return r.Gen == u.Generation })
		if i < 0 {
			i = len(view.Secrets)
			view.Secrets = append(view.Secrets, secretRow{Gen: u.Generation, Name: "Earlier secret", State: "Ended"})
		}
		view.Secrets[i].Use = u
	}
	slices.SortStableFunc(view.Secrets, func(a, b secretRow) int { return cmp.Compare(b.Gen, a.Gen) })
	return nil
}

// memberNames are the members of the account, those who left too.
func (c *Console) memberNames(v *visit) (map[postern.MemberID]string, error) {
	list, err := c.cfg.DB.Members(v.r.Context(), v.by.AccountID, true)
	if err != nil {
		return nil, err
	}
	out := make(map[postern.MemberID]string, len(list))
	for i := range list {
		out[list[i].ID] = nameOf(&list[i])
	}
	return out, nil
}
