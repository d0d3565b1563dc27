package store_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var tamperings = flag.Int("audit.tamperings", 150, "random tamperings of the audit store on each engine")

// secondVerifier is the one that is written from the documentation alone.
const secondVerifier = "../../docs/examples/audit/verify.mjs"

// tamperer alters a log within a transaction that is taken back.
type tamperer struct {
	t    testing.TB
	ctx  context.Context
	tx   *sql.Tx
	rnd  *rand.Rand
	size int64 // entries
	seal int64 // entries that the newest checkpoint is over
	last int64 // its number
}

func (p *tamperer) exec(query string, args ...any) {
	p.t.Helper()
	res, err := p.tx.ExecContext(p.ctx, query, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		p.t.Fatalf("%s (%v) altered nothing: %v", query, args, err)
	}
}

func (p *tamperer) text(query string, args ...any) (s string) {
	p.t.Helper()
	if err := p.tx.QueryRowContext(p.ctx, query, args...).Scan(&s); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	return s
}

// entry picks one of the entries.
func (p *tamperer) entry() int64 { return 1 + p.rnd.Int64N(p.size) }

// sealed picks one that a checkpoint is over.
func (p *tamperer) sealed() int64 { return 1 + p.rnd.Int64N(p.seal) }

func pick[T any](p *tamperer, list ...T) T { return list[p.rnd.IntN(len(list))] }

// changed gives a text with one byte changed.
func (p *tamperer) changed(s string) string {
	b := []byte(s)
	for {
		i := p.rnd.IntN(len(b))
		if c := byte('!' + p.rnd.IntN(90)); b[i] < 0x80 && c != b[i] {
			b[i] = c
			return string(b)
		}
	}
}

// bytes gives 32 bytes that nobody hashed.
func (p *tamperer) bytes() []byte {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(p.rnd.IntN(256))
	}
	return b
}

// rewrite stores all entries anew, as fn alters them, with columns and hashes that
// fit: what somebody can do who has the database and not the key.
func (p *tamperer) rewrite(fn func(e *postern.AuditEntry) (keep bool)) (size int64) {
	p.t.Helper()
	rows, err := p.tx.QueryContext(p.ctx, "select body from audit_entries order by seq")
	if err != nil {
		p.t.Fatal(err)
	}
	var list []postern.AuditEntry
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			p.t.Fatal(err)
		}
		e, err := auditlog.Decode(body)
		if err != nil {
			p.t.Fatal(err)
		}
		if fn(&e) {
			e.Seq = int64(len(list)) + 1
			list = append(list, e)
		}
	}
	rows.Close()
	p.exec("delete from audit_entries")
	p.exec("delete from audit_hashes")
	var tree auditlog.Tree
	var entries, hashes []any
	for i := range list {
		body := auditlog.Encode(&list[i])
		r, _ := auditlog.RowOf(body)
		entries = append(entries, r.Seq, r.At, r.Account, r.Actor, r.Action, r.Object, r.Result, r.Text)
		for j, h := range tree.Add(auditlog.LeafHash(body)) {
			hashes = append(hashes, tlog.StoredHashIndex(0, int64(i))+int64(j), append([]byte(nil), h[:]...))
		}
	}
	if err := errors.Join(insertMany(p.tx, "audit_entries (seq, at, account_id, actor, action, object, result, body)", 8, entries),
		insertMany(p.tx, "audit_hashes (n, hash)", 2, hashes)); err != nil {
		p.t.Fatal(err)
	}
	p.exec("update heads set n = $1 where name = 'audit'", len(list))
	return int64(len(list))
}

// forget takes away the checkpoints over more than a number of entries, so that
// nothing here tells of them.
func (p *tamperer) forget(size int64) {
	p.exec("delete from audit_checkpoints where size > $1", size)
	p.exec("update heads set n = (select coalesce(max(number), 0) from audit_checkpoints) where name = 'audit_checkpoints'")
}

// forge signs all checkpoints anew by another key, over what the log is now.
func (p *tamperer) forge(size int64) {
	p.exec("delete from audit_checkpoints")
	p.exec("update heads set n = 0 where name = 'audit_checkpoints'")
	origin := p.text("select value from settings where name = 'audit.origin'")
	s, err := auditlog.NewSigner(origin, [32]byte(p.bytes()))
	if err != nil {
		p.t.Fatal(err)
	}
	var tree auditlog.Tree
	c := auditlog.Checkpoint{Origin: origin, Number: 1, Size: size, At: t0}
	for seq := int64(1); seq <= size; seq++ {
		tree.Add(auditlog.LeafHash(p.text("select body from audit_entries where seq = $1", seq)))
	}
	c.Root = tree.Root()
	note, err := auditlog.Sign(&c, s)
	if err != nil {
		p.t.Fatal(err)
	}
	p.exec("insert into audit_checkpoints (number, size, at, root, note) values (1, $1, $2, $3, $4)", size, int64(postern.ToMicros(t0)), c.Root[:], note)
	p.exec("update heads set n = 1 where name = 'audit_checkpoints'")
	p.exec("update settings set value = $1 where name = 'audit.keys'", s.Key)
}

// tamper alters the log in one random way, and says how. Exact is the first bad
// entry where it must be told; 0 where it can't be.
func (p *tamperer) tamper() (how string, exact int64) {
	switch way := p.rnd.IntN(22); way {
	case 0, 1, 2:
		k, column := p.entry(), pick(p, "account_id", "actor", "action", "object", "result")
		p.exec("update audit_entries set "+column+" = $1 where seq = $2", p.changed(p.text("select "+column+" from audit_entries where seq = $1", k)), k)
		return fmt.Sprint("edit ", column, " of ", k), k
	case 3:
		k := p.entry()
		p.exec("update audit_entries set at = at + $1 where seq = $2", pick(p, -1, 1, 86_400_000_000), k)
		return fmt.Sprint("edit at of ", k), k
	case 4, 5:
		k := p.entry()
		p.exec("update audit_entries set body = $1 where seq = $2", p.changed(p.text("select body from audit_entries where seq = $1", k)), k)
		return fmt.Sprint("edit text of ", k), k
	case 6:
		k := p.entry()
		p.exec("delete from audit_entries where seq = $1", k)
		return fmt.Sprint("delete ", k), k
	case 7:
		i := 1 + p.rnd.Int64N(p.size-1)
		j := i + 1 + p.rnd.Int64N(p.size-i)
		for _, move := range [][2]int64{{i, -1}, {j, i}, {-1, j}} {
			p.exec("update audit_entries set seq = $1 where seq = $2", move[1], move[0])
		}
		return fmt.Sprint("swap ", i, " and ", j), i
	case 8:
		k := p.entry()
		p.exec("delete from audit_entries where seq >= $1", k)
		return fmt.Sprint("cut off from ", k), k
	case 9:
		k := p.entry()
		p.exec("delete from audit_entries where seq >= $1", k)
		p.exec("delete from audit_hashes where n >= $1", tlog.StoredHashIndex(0, k-1))
		p.exec("update heads set n = $1 where name = 'audit'", k-1)
		if k > p.seal { // that much was never signed, and nobody can tell; so a checkpoint goes with it
			p.exec("delete from audit_checkpoints where number = $1", p.last)
			k = 0
		}
		return fmt.Sprint("cut off from ", k, " with its hashes and the head"), k
	case 10:
		k := p.sealed()
		p.exec("delete from audit_entries where seq >= $1", k)
		p.exec("delete from audit_hashes where n >= $1", tlog.StoredHashIndex(0, k-1))
		p.exec("update heads set n = $1 where name = 'audit'", k-1)
		p.forget(k - 1)
		return fmt.Sprint("cut off from ", k, " with all that tells of it"), k
	case 11:
		p.exec("update audit_checkpoints set note = $1 where number = $2", p.changed(p.text("select note from audit_checkpoints where number = $1", p.last)), p.last)
		return "edit the newest note", 0
	case 12:
		n := 1 + p.rnd.Int64N(p.last)
		p.exec("update audit_checkpoints set "+pick(p, "at = at + 1", "size = size + 1000", "number = number + 1000")+" where number = $1", n)
		return fmt.Sprint("edit a column of checkpoint ", n), 0
	case 13:
		n := 1 + p.rnd.Int64N(p.last)
		if p.rnd.IntN(2) == 0 {
			p.exec("update audit_checkpoints set root = $1 where number = $2", p.bytes(), n)
			return fmt.Sprint("edit the root of checkpoint ", n), 0
		}
		p.exec("update audit_checkpoints set note = $1 where number = $2", p.changed(p.text("select note from audit_checkpoints where number = $1", n)), n)
		return fmt.Sprint("edit note ", n), 0
	case 14:
		n := 1 + p.rnd.Int64N(p.last)
		p.exec("delete from audit_checkpoints where number = $1", n)
		return fmt.Sprint("delete checkpoint ", n), 0
	case 15:
		n := 1 + p.rnd.Int64N(p.last-1)
		old, next := p.text("select note from audit_checkpoints where number = $1", n), p.text("select note from audit_checkpoints where number = $1", n+1)
		p.exec("update audit_checkpoints set note = $1 where number = $2", next, n)
		if p.rnd.IntN(2) == 0 {
			p.exec("update audit_checkpoints set note = $1 where number = $2", old, n+1)
		}
		return fmt.Sprint("swap the notes of checkpoints ", n, " and ", n+1), 0
	case 16:
		n := p.rnd.Int64N(tlog.StoredHashIndex(0, p.size))
		p.exec("update audit_hashes set hash = $1 where n = $2", p.bytes(), n)
		return fmt.Sprint("edit hash ", n), 0
	case 17:
		n := p.rnd.Int64N(tlog.StoredHashIndex(0, p.size))
		p.exec("delete from audit_hashes where n = $1", n)
		return fmt.Sprint("delete hash ", n), 0
	case 18:
		n := pick(p, p.size+1, p.size+5, 0, -3)
		p.exec(fmt.Sprintf("insert into audit_entries select %d, at, account_id, actor, action, object, result, body from audit_entries where seq = $1", n), p.entry())
		return fmt.Sprint("add entry ", n), 0
	case 19:
		p.exec("update heads set n = n + $1 where name = $2", pick(p, -3, -1, 1, 40), pick(p, "audit", "audit_checkpoints"))
		return "edit a head", 0
	case 20:
		k := p.sealed()
		drop := p.rnd.IntN(2) == 0
		size := p.rewrite(func(e *postern.AuditEntry) bool {
			if e.Seq == k {
				e.Object = "another"
			}
			return e.Seq != k || !drop
		})
		how = fmt.Sprintf("rewrite %d (drop: %v) and all hashes", k, drop)
		switch p.rnd.IntN(3) {
		case 0:
			p.forget(k - 1)
			how += ", forget the checkpoints since"
		case 1:
			p.forge(size)
			how += ", sign it by another key"
		}
		return how, 0
	default:
		p.exec("update settings set value = value || 'x' where name = 'audit.origin'")
		return "rename the log", 0
	}
}

// tamperedLog is a log with checkpoints here and there, and entries after the newest.
func tamperedLog(t *testing.T, db *store.DB) (a *auditor.Auditor, newest auditlog.StoredCheckpoint, size int64) {
	t.Helper()
	a = auditorOf(t, db)
	write := func(until int64) {
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for ; size < until; size++ {
				e := auditEntry(int(size + 1))
				if err := tx.InsertAudit(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, until := range []int64{1, 7, 8, 20, 33, 40} {
		write(until)
		if err := a.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write(43)
	newest, err := db.AuditCheckpoint(t.Context(), 1<<62)
	if err != nil || newest.Size != 40 || newest.Number != 6 {
		t.Fatalf("newest checkpoint %+v, %v", newest, err)
	}
	return a, newest, size
}

// Every tampering of the audit store is found by both verifiers, and nothing is
// found in a log that was left alone. -audit.tamperings 10000 makes that many.
func TestTamperings(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a, newest, size := tamperedLog(t, db)
		opts := auditlog.Options{Keys: a.Keys(), Kept: []string{newest.Note}}
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		var ours, second time.Duration
		for from := 0; from < *tamperings; from += 500 {
			n := min(500, *tamperings-from)
			dir, said := t.TempDir(), map[string]string{} // file: what was done; "" for nothing
			for i := range n + n/10 {
				file := filepath.Join(dir, fmt.Sprintf("%d.jsonl", i))
				alone := i >= n
				boom := errors.New("take it back")
				err := db.Pool.Write(t.Context(), func(tx *sql.Tx) error {
					p := &tamperer{t, t.Context(), tx, rnd, size, newest.Size, newest.Number}
					how, exact := "", int64(0)
					if !alone {
						how, exact = p.tamper()
					}
					began := time.Now()
					verifyTampered(t, tx, db.Engine, opts, how, exact)
					ours += time.Since(began)
					said[file] = how
					exportTampered(t, tx, db.Engine, opts, how, file)
					return boom
				})
				if !errors.Is(err, boom) {
					t.Fatal(err)
				}
			}
			began := time.Now()
			askSecond(t, dir, a.Keys()[0], newest.Note, said)
			second += time.Since(began)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d tamperings of a log of %d entries, and %d looks at one left alone: this verifier took %s, the second %s", *tamperings, size, *tamperings/10, ours.Round(time.Millisecond), second.Round(time.Millisecond))
	})
}

// verifyTampered holds our verdict of a store against what was done to it.
func verifyTampered(t *testing.T, tx *sql.Tx, e store.Engine, opts auditlog.Options, how string, exact int64) {
	t.Helper()
	log, err := store.AuditLogIn(t.Context(), tx, e)
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	r, err := auditlog.Verify(t.Context(), log, opts)
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	if r.Sound != (how == "") {
		t.Errorf("%q: sound = %v (%+v)", how, r.Sound, r.Faults)
	}
	if exact != 0 && (r.FirstBad > exact || max(r.First().UpTo, r.FirstBad) < exact) {
		t.Errorf("%s: first bad entry %+v, want %d", how, r.First(), exact)
	}
}

// exportTampered exports what is stored, and holds our verdict of the export against it.
func exportTampered(t *testing.T, tx *sql.Tx, e store.Engine, opts auditlog.Options, how, file string) {
	t.Helper()
	log, err := store.AuditLogIn(t.Context(), tx, e)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := auditlog.Export(&out, log); err != nil {
		t.Fatalf("%s: export: %v", how, err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := auditlog.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	r, err := auditlog.Verify(t.Context(), in.Log(), opts)
	if err != nil || r.Sound != (how == "") {
		t.Errorf("%q: the export is sound = %v (%+v, %v)", how, r.Sound, r.Faults, err)
	}
}

// askSecond holds the verdicts of the second verifier against what was done.
func askSecond(t *testing.T, dir, key, kept string, said map[string]string) {
	t.Helper()
	note := filepath.Join(dir, "kept.txt")
	if err := os.WriteFile(note, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{secondVerifier, "--key", key, "--checkpoint", note}
	for file := range said {
		args = append(args, file)
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("the second verifier: %v\n%s", err, out)
	}
	told := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); told++ {
		var v struct {
			File, Error string
			Sound       bool
			Faults      json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("the second verifier says %s", lines.Text())
		}
		if how := said[v.File]; v.Sound != (how == "") || v.Error != "" {
			t.Errorf("%q: the second verifier finds sound = %v %s %s", how, v.Sound, v.Error, v.Faults)
		}
	}
	if told != len(said) {
		t.Errorf("the second verifier told of %d exports of %d", told, len(said))
	}
}
