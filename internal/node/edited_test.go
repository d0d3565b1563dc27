package node_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

var (
	edits    = flag.Int("edits", 300, "direct edits of credential rows on each engine; 10000 is the long form")
	editSeed = flag.Uint64("editseed", 1, "their seed")
)

// TestEditedCredentials edits the rows of credentials past Postern in ways that a
// row can take, starts a node on them, and asks for everything that any secret
// could do. No edit opens anything, and each is noticed.
func TestEditedCredentials(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		e := newEditor(t, storetest.Open(t, target))
		began := time.Now()
		for n := 0; n < *edits && !t.Failed(); {
			if e.edit(n) {
				n++
			}
		}
		t.Logf("-editseed %d: %d edits in %s, %d refused by the database: %v; %d more left what a row means as it was; %d decisions", *editSeed, *edits, time.Since(began).Round(time.Millisecond), e.refused, e.kinds, e.same, e.asked)
	})
}

type editor struct {
	t       *testing.T
	db      *store.DB
	rnd     *rand.Rand
	pepper  *postern.Pepper
	columns []string
	keys    []postern.KeyID
	rows    map[postern.KeyID][]any // as they were written
	secrets []postern.Secret
	before  map[string]postern.Decision
	kinds   map[string]int

	refused, same, asked int
}

const (
	editedA = postern.AccountID("acc_edited0000000a")
	editedB = postern.AccountID("acc_edited0000000b")
)

func newEditor(t *testing.T, db *store.DB) *editor {
	e := &editor{t: t, db: db, rnd: rand.New(rand.NewPCG(*editSeed, 1)), pepper: storetest.Pepper(t), rows: map[postern.KeyID][]any{}, kinds: map[string]int{}}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	_, err := db.Write(t.Context(), func(tx *store.Tx) error {
		for _, id := range []postern.AccountID{editedA, editedB} {
			if err := tx.InsertAccount(t.Context(), &postern.Account{ID: id, Name: string(id), TimeZone: "UTC", CreatedAt: at}); err != nil {
				return err
			}
		}
		for i := range 24 {
			row := e.credential(i, at)
			if err := tx.InsertCredential(t.Context(), &row); err != nil {
				return err
			}
			e.keys = append(e.keys, row.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.read()
	v := e.start()
	if s := v.Stats(); s.Tampered+s.BadRows != 0 || s.Keys != 24 {
		t.Fatalf("before any edit: %d keys, %d tampered, %d bad", s.Keys, s.Tampered, s.BadRows)
	}
	e.before = e.ask(v)
	open := 0
	for _, d := range e.before {
		if d.Allowed {
			open++
		}
	}
	if open < 8 || open > len(e.before)/2 {
		t.Fatalf("%d of %d decisions allow before any edit", open, len(e.before))
	}
	return e
}

// credential makes one of each sort: with few scopes and many, in rotation, ended, paused, not yet or no longer valid.
func (e *editor) credential(i int, at time.Time) postern.CredentialRow {
	id := postern.NewKeyID()
	typ, kind := postern.SecretServiceKey, postern.KindServiceKey
	if i%3 == 2 {
		typ, kind = postern.SecretAppToken, postern.KindAppToken
	}
	hash := func() postern.SecretHash {
		s := postern.NewSecret(postern.DefaultBrand, typ, id)
		e.secrets = append(e.secrets, s)
		h, v := e.pepper.Hash(s)
		return postern.SecretHash{Hash: h, Pepper: v, Generation: 1, LastFour: s.LastFour()}
	}
	row := postern.CredentialRow{Key: id, AccountID: []postern.AccountID{editedA, editedB}[i%2], Kind: kind, Scopes: []postern.Scope{"deals.read"}, Current: hash(), Revision: 3}
	switch i / 2 % 12 {
	case 1:
		row.Scopes = []postern.Scope{"deals.read", "deals.write"}
	case 2:
		row.RevokedAt = at
	case 3:
		row.PausedAt = at
	case 4:
		row.ExpiresAt = at
	case 5:
		row.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	case 6:
		row.Previous, row.PreviousUntil = hash(), time.Now().Add(24*time.Hour).Truncate(time.Microsecond)
	case 7:
		row.Previous, row.PreviousUntil = hash(), at
	case 8:
		row.Previous, row.PreviousUntil, row.PreviousEnded = hash(), time.Now().Add(24*time.Hour).Truncate(time.Microsecond), true
	case 9:
		row.NotBefore = time.Now().Add(24 * time.Hour).Truncate(time.Microsecond)
	case 10:
		row.Scopes = nil
	case 11:
		row.Rate = postern.Rate{Calls: 1000, Per: time.Second}
	}
	row.Seal(e.pepper)
	return row
}

// read keeps all rows as they are.
func (e *editor) read() {
	rows, err := e.db.Read().QueryContext(e.t.Context(), "select * from credentials order by key_id")
	if err != nil {
		e.t.Fatal(err)
	}
	defer rows.Close()
	e.columns, _ = rows.Columns()
	for rows.Next() {
		values, targets := make([]any, len(e.columns)), make([]any, len(e.columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			e.t.Fatal(err)
		}
		e.rows[postern.KeyID(values[slices.Index(e.columns, "key_id")].(string))] = values
	}
}

// leased gives every node its lease without writing it: what is tested is what is read.
type leased struct{ verify.Store }

func (leased) RenewLease(context.Context, string, time.Duration) (time.Time, error) {
	return time.Now(), nil
}

func (e *editor) start() *verify.Verifier {
	e.t.Helper()
	way := func(scope postern.Scope) []catalog.Way {
		return []catalog.Way{{Scopes: []postern.Scope{scope}, Kinds: postern.DataKinds}}
	}
	api := &catalog.Catalog{Upstream: "api", Operations: []catalog.Operation{
		{Operation: postern.Operation{Upstream: "api", Name: "read", Method: "GET", Path: "/deals"}, Ways: way("deals.read")},
		{Operation: postern.Operation{Upstream: "api", Name: "write", Method: "POST", Path: "/deals"}, Ways: way("deals.write")},
	}}
	v, err := verify.New(verify.Config{Store: leased{verifystore.Of(e.db, api)}, Pepper: e.pepper})
	if err != nil {
		e.t.Fatal(err)
	}
	if err := v.Renew(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
	return v
}

// ask asks for every operation with every secret, from two addresses.
func (e *editor) ask(v *verify.Verifier) map[string]postern.Decision {
	out := make(map[string]postern.Decision, 4*len(e.secrets))
	for i, s := range e.secrets {
		for _, method := range []string{"GET", "POST"} {
			for _, from := range []string{"192.0.2.7", "203.0.113.7"} {
				d, err := v.Verify(e.t.Context(), &verify.Request{Secret: s, Method: method, Upstream: "api", Path: "/deals", RemoteIP: netip.MustParseAddr(from)})
				if err != nil {
					e.t.Fatal(err)
				}
				e.asked++
				out[fmt.Sprint(i, method, from)] = d
			}
		}
	}
	return out
}

// edit makes one edit, looks what it opens and whether it is noticed, and takes it
// back. It reports whether it was one that the database takes and that means something.
func (e *editor) edit(n int) (counts bool) {
	i := e.rnd.IntN(len(e.keys))
	j := (i + 1 + e.rnd.IntN(len(e.keys)-1)) % len(e.keys)
	mine, other := e.rows[e.keys[i]], e.rows[e.keys[j]]
	to := slices.Clone(mine)
	what := ""
	at := func(column string) int { return slices.Index(e.columns, column) }
	switch e.rnd.IntN(8) {
	case 0:
		what = "all of another's row but its key ID"
		copy(to, other)
		to[at("key_id")] = mine[at("key_id")]
	case 1:
		what = "another's secret"
		for _, c := range []string{"current_hash", "current_pepper"} {
			to[at(c)] = other[at(c)]
		}
	case 2:
		what = "the life of a live one"
		for _, c := range []string{"not_before", "expires_at", "paused_at", "revoked_at", "previous_until", "previous_ended"} {
			to[at(c)] = other[at(c)]
		}
	case 3:
		what = "a few columns at once"
		for range 2 + e.rnd.IntN(4) {
			c := e.rnd.IntN(len(e.columns))
			to[c] = e.value(e.columns[c], mine[c], other[c])
		}
	default:
		what = "one column"
		c := e.rnd.IntN(len(e.columns))
		to[c] = e.value(e.columns[c], mine[c], other[c])
	}
	// The key ID says whose row it is: to change that is to move the row.
	if slices.EqualFunc(to, mine, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		return false
	}
	if err := e.put(mine, to); err != nil {
		e.refused++
		return false
	}
	counts = true
	e.kinds[what]++
	v := e.start()
	after := e.ask(v)
	for k, d := range after {
		was := e.before[k]
		if d.Allowed && (!was.Allowed || d.Account != was.Account || d.Key != was.Key || d.Kind != was.Kind) {
			e.t.Errorf("edit %d (%s) opens %s: %v of %s, was %v of %s\n%v\n%v", n, what, k, d.Reason, d.Account, was.Reason, was.Account, mine, to)
		}
	}
	s := v.Stats()
	switch marked := to[at("deleted_at")] != mine[at("deleted_at")]; {
	case s.Tampered+s.BadRows > 0 || marked: // a row that is marked as deleted isn't read: it denies like one that isn't there
	case maps.EqualFunc(after, e.before, func(a, b postern.Decision) bool { return a.Reason == b.Reason && a.Account == b.Account }):
		row, err := e.db.Credential(e.t.Context(), postern.KeyID(to[at("key_id")].(string)))
		if err != nil || !row.Sealed(e.pepper) {
			e.t.Errorf("edit %d (%s) isn't noticed: %v", n, what, err)
		}
		e.same++ // what was written means what was there: a blank more in a list
		counts = false
	default:
		e.t.Errorf("edit %d (%s) changes decisions and isn't noticed\n%v\n%v", n, what, mine, to)
	}
	if err := e.put(to, mine); err != nil {
		e.t.Fatal(err)
	}
	return counts
}

// TestAnOlderRow: a whole row as it was before a revocation fits its seal. A node
// that knows better keeps what it knows; one that starts on it can't know.
func TestAnOlderRow(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		e := newEditor(t, db)
		v := e.start()
		live := 0 // the first is a live one
		row, err := db.Credential(t.Context(), e.keys[live])
		if err != nil {
			t.Fatal(err)
		}
		row.RevokedAt, row.Revision = time.Now().Truncate(time.Microsecond), row.Revision+1
		row.Seal(e.pepper)
		change := func(f func(tx *store.Tx) error) {
			t.Helper()
			seq, err := db.Write(t.Context(), func(tx *store.Tx) error {
				if err := f(tx); err != nil {
					return err
				}
				_, err := tx.AppendFeed(t.Context(), postern.Change{At: time.Now(), Kind: postern.ChangeCredential, AccountID: row.AccountID, ID: string(row.Key)})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := v.CatchUp(t.Context(), seq); err != nil {
				t.Fatal(err)
			}
		}
		change(func(tx *store.Tx) error { return tx.UpdateCredential(t.Context(), &row) })
		if d := e.ask(v)["0GET192.0.2.7"]; d.Reason != postern.ReasonRevoked {
			t.Fatalf("after its revocation: %v", d.Reason)
		}
		if err := e.put(e.rows[row.Key], e.rows[row.Key]); err != nil {
			t.Fatal(err)
		}
		change(func(*store.Tx) error { return nil }) // word of it comes to the node
		if d := e.ask(v)["0GET192.0.2.7"]; d.Reason != postern.ReasonRevoked {
			t.Errorf("with the older row put back: %v", d.Reason)
		}
		if s := v.Stats(); s.StaleRows != 1 {
			t.Errorf("%d rows were older than what was known, want 1", s.StaleRows)
		}
	})
}

// put writes a row in the place of another.
func (e *editor) put(from, to []any) error {
	id := slices.Index(e.columns, "key_id")
	var args strings.Builder
	for i := range to {
		fmt.Fprintf(&args, ", $%d", i+1)
	}
	return e.db.Pool.Write(e.t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("delete from credentials where key_id = $1", from[id]); err != nil {
			return err
		}
		_, err := tx.Exec("insert into credentials ("+strings.Join(e.columns, ", ")+") values ("+args.String()[2:]+")", to...)
		return err
	})
}

// value is another value that a column can have: what an attacker would write, or anything.
func (e *editor) value(column string, is, others any) any {
	pick := func(list ...any) any { return list[e.rnd.IntN(len(list))] }
	switch v := is.(type) {
	case int64:
		return pick(v+1, v-1, 1-v, int64(0), int64(1), others, time.Now().Add(time.Hour).UnixMicro(), v^1<<e.rnd.IntN(40))
	case []byte:
		out := slices.Clone(v)
		if len(out) > 0 {
			out[e.rnd.IntN(len(out))] ^= 1 << e.rnd.IntN(8)
		}
		return pick(out, others, []byte{}, append(slices.Clone(v), 1), make([]byte, 32))
	case string:
		switch column {
		case "scopes":
			return pick(`["**"]`, `["deals.read","deals.write"]`, `["deals.write"]`, others, "[", v+" ")
		case "networks":
			return pick("[]", `["0.0.0.0/0"]`, `["203.0.113.0/24"]`, others, "null", "")
		case "kind":
			return pick("legacy_api_key", "personal_access_key", "service_key", "app_token", others, "x")
		case "account_id":
			return pick(string(editedA), string(editedB))
		}
		return pick(v+"x", others, "{}", strings.ToUpper(v), "x")
	}
	e.t.Fatalf("%s is a %T", column, is)
	return nil
}
