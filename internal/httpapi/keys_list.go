package httpapi

import (
	"context"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/store"
)

// Paging is which page of a list is asked for.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"1400" doc:"The nextCursor of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (p *Paging) n() int {
	if p.Limit == 0 {
		return defaultPage
	}
	return p.Limit
}

type listKeysInput struct {
	Name        string    `query:"name" maxLength:"400" doc:"A part of the name, whatever its case."`
	Scope       string    `query:"scope" maxLength:"200"`
	State       string    `query:"state" enum:"active,rotating,scheduled,paused,expired,ended"`
	MadeBy      string    `query:"madeBy" maxLength:"64" doc:"A member's id."`
	Flagged     bool      `query:"flagged" doc:"Only keys that someone should look at."`
	UsedSince   time.Time `query:"usedSince" doc:"Only keys with an allowed call since then."`
	UnusedSince time.Time `query:"unusedSince" doc:"Only keys without one, never used ones too."`
	Paging
}

type keysOutput struct{ Body api.Page[api.ServiceKey] }

func (s *server) listKeys(ctx context.Context, in *listKeysInput) (*keysOutput, error) {
	at, err := readCursor(listKeys, in.Cursor, 2)
	if err != nil {
		return nil, err
	}
	var after store.Cursor
	if at != nil {
		if after.At, err = strconv.ParseInt(at[0], 10, 64); err != nil {
			return nil, errCursor
		}
		after.ID = at[1]
	}
	f := store.KeyFilter{Name: in.Name, Scope: postern.Scope(in.Scope), State: postern.State(in.State), MadeBy: postern.MemberID(in.MadeBy), Flagged: in.Flagged}
	keep, err := s.byUse(ctx, in, &f)
	if err != nil {
		return nil, err
	}
	keys, more, err := s.keysPage(ctx, f, after, in.n(), keep)
	if err != nil {
		return nil, err
	}
	out := &keysOutput{api.Page[api.ServiceKey]{Items: make([]api.ServiceKey, len(keys))}}
	if more != (store.Cursor{}) {
		out.Body.NextCursor = writeCursor(listKeys, strconv.FormatInt(more.At, 10), more.ID)
	}
	return out, s.withLastUse(ctx, keys, out.Body.Items)
}

// lookPages is how many pages are looked through for keys that only activity can tell apart.
const lookPages = 10

// keysPage reads a page of the keys that keep lets through, and where the next begins.
func (s *server) keysPage(ctx context.Context, f store.KeyFilter, after store.Cursor, n int, keep func(postern.KeyID) bool) (page []postern.ServiceKey, more store.Cursor, err error) {
	for range lookPages {
		got, err := s.kr.Keys(ctx, by(ctx), f, after, n+1)
		if err != nil {
			return nil, more, err
		}
		rest := len(got) > n
		for i := range got[:min(n, len(got))] {
			after = store.Cursor{At: int64(postern.ToMicros(got[i].CreatedAt)), ID: string(got[i].ID)}
			if keep == nil || keep(got[i].ID) {
				page = append(page, got[i])
			}
			if len(page) == n && (rest || i < len(got)-1) {
				return page, after, nil
			}
		}
		if !rest {
			return page, store.Cursor{}, nil
		}
	}
	return page, after, nil
}

// manyKeys is how many keys a question to the records may name.
const manyKeys = 500

// byUse turns what is asked of a key's use into what the records can answer, or,
// where too many keys are concerned, into what must be asked of each.
func (s *server) byUse(ctx context.Context, in *listKeysInput, f *store.KeyFilter) (keep func(postern.KeyID) bool, err error) {
	used := func(since time.Time) (ids []postern.KeyID, err error) {
		for {
			last := postern.KeyID("")
			if len(ids) > 0 {
				last = ids[len(ids)-1]
			}
			page, err := s.activity.UsedSince(ctx, by(ctx).AccountID, since, last, manyKeys)
			if err != nil {
				return nil, err
			}
			if ids = append(ids, page...); len(page) < manyKeys {
				return ids, nil
			}
		}
	}
	var with, without map[postern.KeyID]bool
	if !in.UsedSince.IsZero() {
		ids, err := used(in.UsedSince)
		if err != nil {
			return nil, err
		}
		if len(ids) <= manyKeys {
			f.IDs = append([]postern.KeyID{}, ids...)
		} else {
			with = setOf(ids)
		}
	}
	if !in.UnusedSince.IsZero() {
		ids, err := used(in.UnusedSince)
		if err != nil {
			return nil, err
		}
		if len(ids) <= manyKeys {
			f.NotIDs = ids
		} else {
			without = setOf(ids)
		}
	}
	if with == nil && without == nil {
		return nil, nil
	}
	return func(id postern.KeyID) bool { return (with == nil || with[id]) && !without[id] }, nil
}

func setOf(ids []postern.KeyID) map[postern.KeyID]bool {
	m := make(map[postern.KeyID]bool, len(ids))
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// withLastUse fills in what the keys of a page look like, with their last use.
func (s *server) withLastUse(ctx context.Context, keys []postern.ServiceKey, out []api.ServiceKey) error {
	ids := make([]postern.KeyID, len(keys))
	for i := range keys {
		ids[i] = keys[i].ID
	}
	uses, err := s.activity.LastUsed(ctx, by(ctx).AccountID, ids)
	if err != nil {
		return err
	}
	for i := range keys {
		keys[i].LastUsed = uses[keys[i].ID]
		out[i] = s.keyJSON(&keys[i])
	}
	return nil
}

// addUses fills in how each secret of one key was used.
func (s *server) addUses(ctx context.Context, k *postern.ServiceKey, out *api.ServiceKey) error {
	uses, err := s.activity.Uses(ctx, k.AccountID, k.ID)
	if err != nil {
		return err
	}
	for i := range uses {
		use := useJSON(uses[i].LastUse())
		if out.LastUsed == nil || use.At.After(out.LastUsed.At) {
			out.LastUsed = use
		}
		for j := range out.Secrets {
			if sec := &out.Secrets[j]; sec.Generation == uses[i].Generation {
				sec.LastUsed, sec.Calls = use, uses[i].Calls
			}
		}
	}
	return nil
}
