package store

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"

	"postern.dev/postern"
)

// A sealed table is one whose rows give someone a power: who is a member and
// with what role, what lets them in, where calls go and what they need. Each row carries a MAC under a key of the
// pepper, over the table's name and every column, so that whoever can write rows
// and has no pepper can neither make one, alter one, nor move one to somebody else.
type sealedTable struct {
	name    string
	keys    int // the first columns are its primary key
	columns []string
}

func newSealed(name string, keys int, columns string) *sealedTable {
	t := &sealedTable{name, keys, strings.Split(columns, " ")}
	allSealed = append(allSealed, t)
	return t
}

// allSealed are the tables that newSealed made.
var allSealed []*sealedTable

var (
	accountsTable   = newSealed("accounts", 1, "id number name time_zone operator suspended_at daily_limit created_at revision")
	rolesTable      = newSealed("roles", 1, "id account_id name words permissions grants created_at revision")
	membersTable    = newSealed("members", 1, "id account_id email name role_id scopes created_at removed_at revision")
	singleUseTable  = newSealed("single_use", 1, "id purpose account_id member_id hash pepper created_at expires_at used_at")
	sessionsTable   = newSealed("sessions", 1, "id hash pepper account_id member_id method ip user_agent created_at seen_at proved_at expires_at")
	passwordsTable  = newSealed("passwords", 1, "member_id hash length changed_at")
	totpsTable      = newSealed("totps", 1, "member_id secret pepper last_step created_at")
	passkeysTable   = newSealed("passkeys", 1, "id member_id name body created_at used_at")
	identitiesTable = newSealed("identities", 3, "account_id issuer subject member_id created_at used_at")
	upstreamsTable  = newSealed("upstreams", 1, "id name url host prefix options catalog_version created_at revision")
	catalogsTable   = newSealed("catalogs", 2, "upstream_id version title digest body loaded_by loaded_at")
	policiesTable   = newSealed("policies", 1, "account_id body changed_by changed_at revision")
	rotationsTable  = newSealed("rotations", 1, "key_id account_id generation ends began_at deadline latest idle asked_at")
)

// SealedTables names the tables whose rows are sealed.
func SealedTables() (out []string) {
	for _, t := range []*sealedTable{accountsTable, rolesTable, membersTable, singleUseTable, sessionsTable, passwordsTable,
		totpsTable, passkeysTable, identitiesTable, upstreamsTable, catalogsTable, policiesTable, rotationsTable, campaignsTable, campaignKeysTable, itemsTable} {
		out = append(out, t.name)
	}
	return out
}

// list names all columns, the seal's too, each after a prefix.
func (t *sealedTable) list(prefix string) string {
	var b strings.Builder
	for _, c := range t.columns {
		b.WriteString(prefix + c + ", ")
	}
	return b.String() + prefix + "mac, " + prefix + "mac_pepper"
}

// insert is the statement that writes a new row.
func (t *sealedTable) insert() string {
	var args strings.Builder
	for i := range len(t.columns) + 2 {
		fmt.Fprintf(&args, ", $%d", i+1)
	}
	return "insert into " + t.name + " (" + t.list("") + ") values (" + args.String()[2:] + ")"
}

// put is insert, or the change of the row that is there.
func (t *sealedTable) put() string {
	var set strings.Builder
	for _, c := range append(t.columns[t.keys:len(t.columns):len(t.columns)], "mac", "mac_pepper") {
		set.WriteString(", " + c + " = excluded." + c)
	}
	return t.insert() + " on conflict (" + strings.Join(t.columns[:t.keys], ", ") + ") do update set " + set.String()[2:]
}

// update is the statement that writes all of a row that is there.
func (t *sealedTable) update() string {
	var set, where strings.Builder
	for i, c := range append(t.columns[:len(t.columns):len(t.columns)], "mac", "mac_pepper") {
		if i < t.keys {
			fmt.Fprintf(&where, " and %s = $%d", c, i+1)
		} else {
			fmt.Fprintf(&set, ", %s = $%d", c, i+1)
		}
	}
	return "update " + t.name + " set " + set.String()[2:] + " where " + where.String()[5:]
}

// seals makes and checks the MACs of rows.
type seals struct {
	pepper  *postern.Pepper
	log     *slog.Logger
	altered atomic.Int64
}

// seal gives the values of a row with its seal after them.
func (s *seals) seal(t *sealedTable, values []any) []any {
	if s.pepper == nil {
		panic("store: a row of " + t.name + " is written without a pepper")
	}
	version := s.pepper.Latest()
	mac, _ := s.pepper.RecordMAC(version, canonical(t, values))
	return append(values[:len(values):len(values)], mac[:], int64(version))
}

// mark is a row's seal as it was read.
type mark struct {
	mac    []byte
	pepper int64
}

func (m *mark) targets() []any { return []any{&m.mac, &m.pepper} }

// broken reports whether a row is not as it was sealed, and raises the alarm then.
func (s *seals) broken(t *sealedTable, values []any, m mark) bool {
	if s.pepper != nil && m.pepper > 0 && m.pepper < 256 {
		want, ok := s.pepper.RecordMAC(uint8(m.pepper), canonical(t, values))
		if ok && len(m.mac) == len(want) {
			diff := byte(0)
			for i := range want {
				diff |= want[i] ^ m.mac[i]
			}
			if diff == 0 {
				return false
			}
		}
	}
	// One such row may be read at every request: each doubling is told.
	if n := s.altered.Add(1); n&(n-1) == 0 {
		s.log.Error("a record's seal is broken: it was changed by other means than Postern, and gives nothing",
			"table", t.name, "record", fmt.Sprint(values[:t.keys]...), "so_far", n)
	}
	return true
}

// AlteredRows is how often a row was read that had been changed by other means than Postern.
func (d *DB) AlteredRows() int64 { return d.seals.altered.Load() }

// canonical is the input of a row's MAC: the table, and each value with its type
// and length before it, so that no two rows have the same bytes.
func canonical(t *sealedTable, values []any) []byte {
	if len(values) != len(t.columns) {
		panic(fmt.Sprintf("store: %d values for the %d columns of %s", len(values), len(t.columns), t.name))
	}
	b := make([]byte, 0, 256)
	add := func(kind byte, v string) {
		b = append(b, kind)
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	add('t', t.name)
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			add('n', "")
		case []byte:
			add('b', string(v))
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
		default:
			add('s', reflect.ValueOf(v).String()) // texts and the types of IDs
		}
	}
	return b
}

// errAltered is the answer to every change of a row whose seal is broken: sealing it anew would
// make true what somebody wrote into it.
func errAltered(what, instead string) error {
	return postern.Errorf(postern.CodeConflict, "The %s's record was altered outside of Postern and gives nothing. %s", what, instead)
}
