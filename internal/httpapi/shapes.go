package httpapi

import (
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/store"
)

// keyJSON is a service key as the API shows it, in the state that it is in now.
func (s *server) keyJSON(k *postern.ServiceKey) api.ServiceKey {
	now := s.now()
	out := api.ServiceKey{ID: string(k.ID), Name: k.Name, Description: k.Description, TeamID: string(k.TeamID), State: string(k.State(now)),
		Scopes: list[string](k.Scopes), Networks: make([]string, len(k.Networks)), NotBefore: k.NotBefore, ExpiresAt: k.ExpiresAt,
		PausedAt: k.PausedAt, MadeBy: string(k.MadeBy), CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, Revision: k.Revision,
		LastUsed: useJSON(k.LastUsed), Secrets: secretsJSON(k, now), Canary: k.Canary}
	for i, n := range k.Networks {
		out.Networks[i] = n.String()
	}
	if k.Rate.Calls > 0 {
		out.RateLimit = &api.RateLimit{Calls: k.Rate.Calls, Seconds: int64(k.Rate.Per / time.Second)}
	}
	if out.Watch = watchJSON(k.Watch); k.Undo.Open(k.Revision, now) {
		out.UndoUntil = k.Undo.Until
	}
	if !k.FlaggedAt.IsZero() {
		out.Flagged = &api.Flagged{At: k.FlaggedAt, Why: k.FlaggedWhy}
	}
	if ended := k.RevokedAt; k.Ended() {
		if ended.IsZero() {
			ended = k.DeletedAt
		}
		out.Revoked = &api.Revoked{At: ended, Reason: k.RevokedWhy}
	}
	return out
}

// secretsJSON are the secrets of a key, the newest first.
func secretsJSON(k *postern.ServiceKey, now time.Time) []api.Secret {
	state := k.State(now)
	live := state == postern.StateActive || state == postern.StateRotating
	out := []api.Secret{secretJSON(&k.Current)}
	out[0].Current, out[0].Works = true, live
	out[0].EndsAt = time.Time{} // it ends with its key
	if k.Previous.Generation != 0 {
		prev := secretJSON(&k.Previous)
		prev.Works = live && k.Rotating(now)
		out = append(out, prev)
	}
	return out
}

func secretJSON(i *postern.SecretInfo) api.Secret {
	return api.Secret{Generation: i.Generation, LastFour: i.LastFour, MadeAt: i.MadeAt, MadeBy: string(i.MadeBy), EndsAt: i.EndsAt}
}

func useJSON(u postern.LastUse) *api.LastUse {
	if u.At.IsZero() {
		return nil
	}
	return &api.LastUse{At: u.At, IP: u.IP, UserAgent: u.UserAgent, Operation: u.Operation, Generation: u.Generation}
}

func memberJSON(m *postern.Member) api.Member {
	return api.Member{ID: string(m.ID), Email: m.Email, Name: m.Name, RoleID: string(m.Role.ID), RoleName: m.Role.Name,
		Scopes: list[string](m.Holds()), OwnScopes: m.Scopes != nil, CreatedAt: m.CreatedAt, Revision: m.Revision}
}

func roleJSON(r *postern.Role) api.Role {
	_, builtin := postern.BuiltinRole(r.ID)
	return api.Role{ID: string(r.ID), Name: r.Name, Description: r.Words, Builtin: builtin, Permissions: list[string](r.Permissions),
		Scopes: list[string](r.Grants), Revision: r.Revision}
}

func personalJSON(k *store.PersonalKey, use postern.LastUse, presented postern.KeyID) api.PersonalKey {
	return api.PersonalKey{ID: string(k.Key), Name: k.Name, Scopes: list[string](k.Scopes), LastFour: k.Current.LastFour,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsed: useJSON(use), Presented: k.Key == presented}
}

func accountJSON(a *postern.Account) api.Account {
	return api.Account{ID: string(a.ID), Number: a.Number, Name: a.Name, TimeZone: a.TimeZone, Operator: a.Operator,
		SuspendedAt: a.SuspendedAt, DailyLimit: a.DailyLimit, CreatedAt: a.CreatedAt, Revision: a.Revision}
}
