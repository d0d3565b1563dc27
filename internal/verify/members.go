package verify

import (
	"slices"
	"sync"

	"postern.dev/postern"
)

// members holds what the makers of personal access keys may do. What such a key
// may do is worked out anew at each use: what its member may do then, and the
// key's patterns cover.
type members struct {
	mu   sync.RWMutex
	ids  map[postern.MemberID]uint32
	list []memberFacts // by number; 0 stands for no member
}

type memberFacts struct {
	id       postern.MemberID
	account  postern.AccountID
	role     postern.RoleID
	revision int64
	known    bool
	removed  postern.Micros // 0 while they are a member
	may      []postern.ScopeID
}

func newMembers() *members {
	return &members{ids: map[postern.MemberID]uint32{}, list: make([]memberFacts, 1)}
}

// number gives a member's number, a new one where they have none.
func (m *members) number(id postern.MemberID) uint32 {
	if id == "" {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.numberLocked(id)
}

func (m *members) numberLocked(id postern.MemberID) uint32 {
	n, ok := m.ids[id]
	if !ok {
		n = uint32(len(m.list))
		m.list = append(m.list, memberFacts{id: id})
		m.ids[id] = n
	}
	return n
}

// at gives what is known of a member.
func (m *members) at(n uint32) memberFacts {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.list[n]
}

// put notes what is known of a member. A removal is kept whatever comes later.
func (m *members) put(f memberFacts, anew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := &m.list[m.numberLocked(f.id)]
	// A change of the role leaves the member's own revision as it was.
	if f.known && old.revision > f.revision && !anew {
		return
	}
	if !f.known {
		// Nothing in an altered record is true for certain, its revision included.
		f.revision = old.revision
	}
	if old.removed != 0 {
		f.removed = old.removed
	}
	*old = f
}

// gone tells that there is no such member any more.
func (m *members) gone(id postern.MemberID, now postern.Micros) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, ok := m.ids[id]; ok && m.list[n].removed == 0 {
		m.list[n].removed = now
	}
}

// keep counts every member as removed who is not there any more.
func (m *members) keep(there map[postern.MemberID]bool, now postern.Micros) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.list {
		if f := &m.list[i]; f.known && f.removed == 0 && !there[f.id] {
			f.removed = now
		}
	}
}

// ofRole lists the members who have a role.
func (m *members) ofRole(role postern.RoleID) (out []postern.MemberID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range m.list {
		if m.list[i].role == role {
			out = append(out, m.list[i].id)
		}
	}
	return out
}

// memberFacts works out what deciding needs of a member.
func (v *Verifier) memberFacts(m *postern.Member) memberFacts {
	if m.Altered {
		return memberFacts{id: m.ID, role: m.Role.ID} // one of whom nothing is known has no key
	}
	return memberFacts{id: m.ID, account: m.AccountID, role: m.Role.ID, revision: m.Revision, known: true,
		removed: postern.ToMicros(m.RemovedAt), may: v.permissions(m.Can)}
}

// permissions gives the numbers of the permissions that a condition holds for, sorted.
func (v *Verifier) permissions(cond func(postern.Permission) bool) (out []postern.ScopeID) {
	for _, p := range postern.Permissions() {
		if cond(p) {
			// They were the first to be given numbers, so there is room.
			out = append(out, v.scopes.find(p))
		}
	}
	slices.Sort(out)
	return out
}

// maxPermissions is room for every permission, so that what a personal access
// key may do needs no allocation.
const maxPermissions = 32

// both gives what two sorted lists share, appended to out.
func both(out, a, b []postern.ScopeID) []postern.ScopeID {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return out
}
