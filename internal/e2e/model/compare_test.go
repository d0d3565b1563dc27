package model_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/store"
)

// agree compares what the model says of a change with how it ended.
func (w *world) agree(what string, r model.Refusal, err error) error {
	w.changes++
	w.tally(r.None())
	if r.None() {
		w.codes["done"]++
		if err != nil {
			return fmt.Errorf("%s = %w; the model permits it", what, err)
		}
		return nil
	}
	w.refused++
	if err == nil {
		return fmt.Errorf("%s was done; the model refuses it with %v", what, r.Codes)
	}
	code := string(postern.CodeOf(err))
	w.codes[code]++
	if !slices.Contains(r.Codes, code) {
		return fmt.Errorf("%s = %s (%w); the model says %v", what, code, err, r.Codes)
	}
	var e *postern.Error
	if code == model.Insufficient && r.Missing != nil && errors.As(err, &e) && !slices.Equal(names(e.Scopes), r.Missing) {
		return fmt.Errorf("%s names the scopes %v as missing; the model says %v", what, e.Scopes, r.Missing)
	}
	return nil
}

func names[T ~string](in []T) (out []string) {
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

func scopes(in []string) (out []postern.Scope) {
	for _, s := range in {
		out = append(out, postern.Scope(s))
	}
	return out
}

// difference collects what is not alike.
type difference struct{ list []string }

func differ[T any](d *difference, what string, got, want T, same func(T, T) bool) {
	if !same(got, want) {
		d.list = append(d.list, fmt.Sprintf("%s is %v, want %v", what, got, want))
	}
}

func equal[T comparable](a, b T) bool { return a == b }

func (d *difference) err(what string) error {
	if len(d.list) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %q", what, d.list)
}

// likeKey compares all that can be read of a key.
func (w *world) likeKey(k *model.Key, got *postern.ServiceKey) error {
	var d difference
	sameTime := time.Time.Equal
	differ(&d, "id", got.ID, w.keys[k], equal)
	differ(&d, "account", got.AccountID, w.accounts[k.Account], equal)
	differ(&d, "name", got.Name, k.Name, equal)
	differ(&d, "description", got.Description, k.Description, equal)
	differ(&d, "scopes", names(got.Scopes), k.Scopes, slices.Equal)
	differ(&d, "networks", got.Networks, k.Networks, model.SameNetworks)
	differ(&d, "not before", got.NotBefore, k.NotBefore, sameTime)
	differ(&d, "expiry", got.ExpiresAt, k.ExpiresAt, sameTime)
	differ(&d, "paused at", got.PausedAt, k.PausedAt, sameTime)
	differ(&d, "revoked at", got.RevokedAt, k.RevokedAt, sameTime)
	differ(&d, "revoked why", got.RevokedWhy, k.RevokedWhy, equal)
	differ(&d, "flagged at", got.FlaggedAt, k.FlaggedAt, sameTime)
	differ(&d, "created at", got.CreatedAt, k.MadeAt, sameTime)
	differ(&d, "maker", got.MadeBy, w.members[k.MadeBy], equal)
	differ(&d, "rate", model.Rate{Calls: got.Rate.Calls, Per: got.Rate.Per}, k.Rate, equal)
	differ(&d, "state", string(got.State(w.clock.now)), w.m.State(k), equal)
	differ(&d, "rotating", got.Rotating(w.clock.now), w.m.Rotating(k), equal)
	differ(&d, "revision", got.Revision, k.Revision, equal)
	differ(&d, "current generation", got.Current.Generation, k.Current.Generation, equal)
	differ(&d, "last four", got.Current.LastFour, w.secrets[k.Current].LastFour(), equal)
	if w.m.Rotating(k) {
		differ(&d, "previous generation", got.Previous.Generation, k.Previous.Generation, equal)
		differ(&d, "previous last four", got.Previous.LastFour, w.secrets[k.Previous].LastFour(), equal)
		differ(&d, "deadline", got.Previous.EndsAt, k.PreviousUntil, sameTime)
	}
	return d.err("key " + k.Name)
}

// tally counts how an operation of the present kind ended.
func (w *world) tally(done bool) {
	k := w.kinds[w.kind]
	k.asked++
	if done {
		k.done++
	}
	w.kinds[w.kind] = k
}

// readBack compares everything of every account.
func (w *world) readBack() error {
	for _, a := range w.m.Accounts {
		for _, read := range []func(*model.Account) error{w.readKeys, w.readMembers, w.readRoles, w.readPersonal} {
			if err := read(a); err != nil {
				return err
			}
		}
	}
	w.readings++
	return nil
}

func (w *world) readKeys(a *model.Account) error {
	got := map[postern.KeyID]*postern.ServiceKey{}
	var after store.Cursor
	for {
		page, err := w.kr.Keys(w.t.Context(), w.system(a), store.KeyFilter{}, after, 100)
		if err != nil {
			return err
		}
		for i := range page {
			got[page[i].ID] = &page[i]
			after = store.Cursor{At: page[i].CreatedAt.UnixMicro(), ID: string(page[i].ID)}
		}
		if len(page) < 100 {
			break
		}
	}
	listed := 0
	for _, k := range a.Keys {
		if k.Deleted {
			continue
		}
		listed++
		if got[w.keys[k]] == nil {
			return fmt.Errorf("key %s is not listed", k.Name)
		}
		if err := w.likeKey(k, got[w.keys[k]]); err != nil {
			return err
		}
	}
	if listed != len(got) {
		return fmt.Errorf("%d keys are listed, want %d", len(got), listed)
	}
	return nil
}

func (w *world) readMembers(a *model.Account) error {
	list, err := w.kr.Members(w.t.Context(), w.system(a))
	if err != nil {
		return err
	}
	got := map[postern.MemberID]*postern.Member{}
	for i := range list {
		if list[i].RemovedAt.IsZero() {
			got[list[i].ID] = &list[i]
		}
	}
	live := 0
	for _, m := range a.Members {
		if m.Removed {
			continue
		}
		live++
		if got[w.members[m]] == nil {
			return fmt.Errorf("member %s is not listed", m.Email)
		}
		if err := w.likeMember(m, got[w.members[m]]); err != nil {
			return err
		}
	}
	if live != len(got) {
		return fmt.Errorf("%d members are listed, want %d", len(got), live)
	}
	return nil
}

func (w *world) likeMember(m *model.Member, got *postern.Member) error {
	var d difference
	differ(&d, "email", got.Email, m.Email, equal)
	differ(&d, "name", got.Name, m.Name, equal)
	differ(&d, "role", got.Role.ID, w.roles[m.Role], equal)
	differ(&d, "permissions", names(got.Role.Permissions), m.Role.Permissions, sameSet)
	differ(&d, "narrowed", got.Scopes != nil, m.Narrowed, equal)
	differ(&d, "scopes", got.Scopes, m.Scopes, sameSet)
	differ(&d, "revision", got.Revision, m.Revision, equal)
	return d.err("member " + m.Email)
}

func (w *world) readRoles(a *model.Account) error {
	list, err := w.kr.Roles(w.t.Context(), w.system(a))
	if err != nil {
		return err
	}
	want := len(model.BuiltIn)
	for _, role := range a.Roles {
		if role.Gone {
			continue
		}
		want++
		i := slices.IndexFunc(list, func(r postern.Role) bool { return r.ID == w.roles[role] })
		if i < 0 {
			return fmt.Errorf("role %s is not listed", role.Name)
		}
		var d difference
		differ(&d, "name", list[i].Name, role.Name, equal)
		differ(&d, "permissions", names(list[i].Permissions), role.Permissions, sameSet)
		differ(&d, "grants", list[i].Grants, role.Grants, sameSet)
		differ(&d, "revision", list[i].Revision, role.Revision, equal)
		if err := d.err("role " + role.Name); err != nil {
			return err
		}
	}
	if len(list) != want {
		return fmt.Errorf("%d roles are listed, want %d", len(list), want)
	}
	return nil
}

func (w *world) readPersonal(a *model.Account) error {
	for _, m := range a.Members {
		if m.Removed || a.Suspended {
			continue
		}
		list, err := w.kr.PersonalKeys(w.t.Context(), w.actor(model.Actor{Account: a, Member: m}))
		if err != nil {
			return err
		}
		var got, want []string
		for _, p := range list {
			got = append(got, string(p.Key))
		}
		for _, p := range a.Personal {
			if p.Member == m && !p.Ended {
				want = append(want, string(w.personal[p]))
			}
		}
		if !sameSet(got, want) {
			return fmt.Errorf("%s has the personal keys %v, want %v", m.Email, got, want)
		}
	}
	return nil
}

func sameSet[S ~[]string, R ~[]string](a S, b R) bool {
	x, y := slices.Clone([]string(a)), slices.Clone([]string(b))
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}
