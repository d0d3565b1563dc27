package verify

import (
	"slices"
	"strings"
	"sync"

	"postern.dev/postern"
)

// MaxScopes is the most scope names that one index can hold.
const MaxScopes = 65_535

// scopes gives each scope name a number, once and for ever, so that a set of
// scopes is a list of small numbers. Number 0 stands for no scope.
type scopes struct {
	mu    sync.RWMutex
	ids   map[postern.Scope]postern.ScopeID
	names []postern.Scope
}

func newScopes() *scopes {
	return &scopes{ids: map[postern.Scope]postern.ScopeID{}, names: make([]postern.Scope, 1)}
}

// id gives a scope's number, a new one where it has none.
func (s *scopes) id(name postern.Scope) (postern.ScopeID, error) {
	if id := s.find(name); id != 0 {
		return id, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := s.ids[name]; id != 0 {
		return id, nil
	}
	if len(s.names) > MaxScopes {
		return 0, postern.Errorf(postern.CodeTooLarge, "There are more than %d scope names; %q has no room.", MaxScopes, name)
	}
	id := postern.ScopeID(len(s.names))
	// The text may be a part of a much longer one, which it must not keep alive.
	name = postern.Scope(strings.Clone(string(name)))
	s.names = append(s.names, name)
	s.ids[name] = id
	return id, nil
}

// find gives a scope's number, or 0.
func (s *scopes) find(name postern.Scope) postern.ScopeID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ids[name]
}

// name is the scope that a number stands for.
func (s *scopes) name(id postern.ScopeID) postern.Scope {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.names[id]
}

// set gives the sorted numbers of scopes; err tells of names that have no room,
// which are left out: who holds less is permitted less.
func (s *scopes) set(names []postern.Scope) (ids []postern.ScopeID, err error) {
	ids = make([]postern.ScopeID, 0, len(names))
	for _, name := range names {
		id, e := s.id(name)
		if e != nil {
			err = e
			continue
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

func (s *scopes) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.names) - 1
}
