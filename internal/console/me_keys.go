package console

import (
	"net/http"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// meKeysRoutes are a member's personal access keys: for the command line and the API.
func (c *Console) meKeysRoutes() []route {
	return []route{
		{Pattern: "GET /me/keys", Serve: c.listPersonal},
		{Pattern: "GET /me/keys/new", Fresh: true, Serve: c.showNewPersonal},
		{Pattern: "POST /me/keys", Fresh: true, Serve: c.createPersonal},
		{Pattern: "POST /me/keys/{id}/revoke", Serve: c.revokePersonal},
	}
}

type personalView struct {
	Common
	Keys []personalRow
}

type personalRow struct {
	ID, Name, Last4  string
	May              string
	Created, Expires time.Time
	Used             time.Time
	Kind, State      string
	Live             bool
}

func (c *Console) listPersonal(v *visit) error {
	keys, err := c.kr.PersonalKeys(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	page := &personalView{Common: v.common("Your personal keys", "/me/keys")}
	ids := make([]postern.KeyID, len(keys))
	for i, k := range keys {
		ids[i] = k.Key
	}
	leaked, err := c.leakedPersonal(v, ids)
	if err != nil {
		return err
	}
	for _, k := range keys {
		row := personalRow{ID: string(k.Key), Name: k.Name, Last4: k.Current.LastFour, May: mayWords(k.Scopes), Created: k.CreatedAt,
			Expires: k.ExpiresAt, Kind: "ok", State: "Active", Live: true}
		switch {
		case !k.RevokedAt.IsZero():
			row.Kind, row.State, row.Live = "", "Ended", false
		case !k.ExpiresAt.IsZero() && !v.now.Before(k.ExpiresAt):
			row.Kind, row.State, row.Live = "", "Expired", false
		case leaked[k.Key].Live:
			row.Kind, row.State = "bad", "Found in the open: end it"
		case !k.ExpiresAt.IsZero() && k.ExpiresAt.Sub(v.now) < 7*24*time.Hour:
			row.Kind, row.State = "warn", "Expires in "+count(daysLeft(v.now, k.ExpiresAt), "day", "days")
		}
		page.Keys = append(page.Keys, row)
	}
	return v.render("me_keys", page)
}

// mayWords says what a personal key may do.
func mayWords(scopes []postern.Scope) string {
	var out []string
	for _, s := range scopes {
		if s == "postern.*" {
			return "All that you may do"
		}
		if w := permissionWords[s][0]; w != "" {
			out = append(out, w)
		} else {
			out = append(out, string(s))
		}
	}
	return strings.Join(out, ", ")
}

type newPersonalView struct {
	Common
	F     *form
	Perms []permRow
	Lives []option
}

type permRow struct {
	Name, Words string
	Ticked      bool
}

func (c *Console) newPersonalPage(v *visit, f *form) *newPersonalView {
	p := &newPersonalView{Common: v.common("New personal key", "/me/keys", crumb{"Your personal keys", "/me/keys"}), F: f,
		Lives: []option{{Value: "7", Label: "7 days"}, {Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"}, {Value: "365", Label: "1 year"}}}
	for _, perm := range postern.Permissions() {
		if v.can(perm) {
			p.Perms = append(p.Perms, permRow{Name: string(perm), Words: permissionWords[perm][0], Ticked: f.Has("scope", string(perm))})
		}
	}
	return p
}

// AllTicked reports whether the key shall do all that its member may.
func (p *newPersonalView) AllTicked() bool { return !p.F.Has("reach", "some") }

func (c *Console) showNewPersonal(v *visit) error {
	return v.render("me_key_new", c.newPersonalPage(v, newForm("days", "30")))
}

type madePersonalView struct {
	Common
	Name, Secret, Server string
	Expires              time.Time
}

func (c *Console) createPersonal(v *visit) error {
	v.showsSecret()
	f := v.sent()
	in := keyring.NewPersonalKey{Name: f.Get("name")}
	life := map[string]int{"7": 7, "30": 30, "90": 90, "365": 365}[f.Get("days")]
	if life == 0 {
		f.Wrong("days", "Choose how long it lives.")
	}
	in.ExpiresAt = v.now.AddDate(0, 0, life)
	if f.Has("reach", "some") {
		for _, s := range f.Values["scope"] {
			in.Scopes = append(in.Scopes, postern.Scope(s))
		}
		if len(in.Scopes) == 0 {
			f.Wrong("reach", "Tick at least one thing that the key may do.")
		}
	}
	if in.Name == "" {
		f.Wrong("name", "Give it a name, such as the machine that it is for.")
	}
	if f.OK() {
		made, err := c.kr.CreatePersonalKey(v.r.Context(), v.by, in)
		if err == nil {
			server := c.cfg.PublicURL
			if server == "" {
				server = "http://" + v.r.Host
			}
			return v.render("me_key_made", &madePersonalView{Common: v.common("Personal key made", "/me/keys", crumb{"Your personal keys", "/me/keys"}),
				Name: made.Key.Name, Secret: made.Secret.Reveal(), Server: server, Expires: made.Key.ExpiresAt})
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	page := c.newPersonalPage(v, f)
	page.Error = true
	return v.show(http.StatusUnprocessableEntity, "me_key_new", page)
}

func (c *Console) revokePersonal(v *visit) error {
	if err := c.kr.RevokePersonalKey(v.r.Context(), v.by, postern.KeyID(v.path("id"))); err != nil {
		return err
	}
	return v.done("/me/keys", "The key is ended. It is refused from now on.")
}
