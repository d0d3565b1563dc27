package backup_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"postern.dev/postern"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// readAll checks a whole backup, as verifying does.
func readAll(data []byte, ids *backup.Identities, p *postern.Pepper) error {
	r, _, err := ids.Open(bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.ReadAll(nil, nil); err != nil {
		return err
	}
	return r.Authentic(p)
}

func unpack(t testing.TB, data []byte) []string {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

// means says whether the compression reads the same from both: its frame header has
// bits that decoders pass over (RFC 8878, section 3.1.1.1.1), which is no damage.
func means(a, b []byte) bool {
	z, err := zstd.NewReader(nil)
	if err != nil {
		return false
	}
	defer z.Close()
	x, errX := z.DecodeAll(a, nil)
	y, errY := z.DecodeAll(b, nil)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func pack(t testing.TB, lines []string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll([]byte(strings.Join(lines, "")), nil)
}

// A backup that is cut off, has a changed byte, or lines that were changed, left
// out, doubled or moved is refused, and says so.
func TestDamage(t *testing.T) {
	w := newWorld(t, store.Place{Data: t.TempDir()})
	w.key("one", "deals.read")
	w.key("two", "deals.read", "contacts.read")
	data := w.backup()
	none := &backup.Identities{}
	if err := readAll(data, none, w.pepper); err != nil {
		t.Fatal(err)
	}
	refused := 0
	check := func(what string, bad []byte) {
		t.Helper()
		refused++
		if err := readAll(bad, none, w.pepper); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s = %v, want it refused as damaged", what, err)
		}
	}
	step := max(1, len(data)/200)
	for n := 0; n < len(data); n += step {
		check("cut off", data[:n])
		bad := bytes.Clone(data)
		bad[n] ^= 0x10
		if !means(bad, data) {
			check("a changed byte", bad)
		}
	}
	lines := unpack(t, data)
	for i := 1; i < len(lines)-1; i++ {
		without := append(append([]string{}, lines[:i]...), lines[i+1:]...)
		check("a line left out: "+lines[i], pack(t, without))
		double := append(append([]string{}, lines[:i+1]...), lines[i:]...)
		check("a line doubled: "+lines[i], pack(t, double))
		if lines[i] != lines[i-1] {
			swapped := append([]string{}, lines...)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			check("lines swapped: "+lines[i], pack(t, swapped))
		}
	}
	check("something after the end", pack(t, append(append([]string{}, lines...), "\n", "x\n")))
	check("not a backup", []byte("nothing of the kind"))
	check("nothing", nil)
	other, err := postern.ParsePepper(postern.NewPepper())
	w.must(err)
	if err := readAll(data, none, other); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("another pepper = %v", err)
	}
	t.Logf("%d damaged backups: all refused", refused+1)
}

// What is encrypted opens for its recipient alone, and shows nothing.
func TestEncryption(t *testing.T) {
	w := newWorld(t, store.Place{Data: t.TempDir()})
	w.key("a-name-to-look-for", "deals.read")
	mine, err := age.GenerateX25519Identity()
	w.must(err)
	theirs, err := age.GenerateX25519Identity()
	w.must(err)
	keys, err := backup.ParseRecipients("# mine\n" + mine.Recipient().String() + "\n")
	w.must(err)
	for _, to := range []*backup.Recipients{{Keys: keys}, {Passphrase: "correct horse battery"}} {
		var b bytes.Buffer
		_, err := backup.Make(t.Context(), &b, to, backup.Options{From: w.at, Parts: parts(), Pepper: w.pepper, Brand: "pst"})
		w.must(err)
		if bytes.Contains(b.Bytes(), []byte("look-for")) || !bytes.HasPrefix(b.Bytes(), []byte("age-encryption.org/")) {
			t.Error("the backup isn't encrypted")
		}
		right := &backup.Identities{Keys: []age.Identity{mine}, Passphrase: to.Passphrase}
		if err := readAll(b.Bytes(), right, w.pepper); err != nil {
			t.Error(err)
		}
		for _, wrong := range []*backup.Identities{{}, {Keys: []age.Identity{theirs}}, {Passphrase: "wrong"}} {
			if readAll(b.Bytes(), wrong, w.pepper) == nil {
				t.Error("the backup opens for who is no recipient")
			}
		}
		if err := readAll(b.Bytes()[:b.Len()-20], right, w.pepper); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("cut off = %v", err)
		}
	}
	for _, to := range []*backup.Recipients{{}, {Keys: keys, Plain: true}, {Keys: keys, Passphrase: "x"}, {Passphrase: "x", Plain: true}} {
		if _, err := to.Encrypt(io.Discard); err == nil {
			t.Errorf("%+v was accepted", to)
		}
	}
}

// The pepper isn't in a backup, nor is a session's hash, and nothing that opens anything.
func TestHoldsNoSecret(t *testing.T) {
	w := newWorld(t, store.Place{Data: t.TempDir()})
	_, secret := w.key("one", "deals.read")
	_, err := w.db.Write(t.Context(), func(tx *store.Tx) error {
		return tx.InsertSession(t.Context(), &store.Session{ID: "ses_lookforme", Hash: postern.SecretHash{Hash: [32]byte{1}, Pepper: 1}, AccountID: w.super.AccountID, MemberID: w.super.MemberID,
			CreatedAt: w.now(), ExpiresAt: w.now().AddDate(1, 0, 0)})
	})
	w.must(err)
	text := strings.Join(unpack(t, w.backup()), "")
	for _, no := range []string{secret.Reveal(), strings.Split(secret.Reveal(), "_")[3], "cG9zdGVycG9zdGVy", "ses_lookforme"} {
		if strings.Contains(text, no) {
			t.Errorf("the backup holds %q", no)
		}
	}
}

// Another pepper, another server's journal, a journal that was changed, a place
// that isn't empty: refused, and nothing is left behind.
func TestRefusals(t *testing.T) {
	engines(t, func(t *testing.T, to store.Place) {
		w := newWorld(t, store.Place{Data: t.TempDir()})
		id, _ := w.key("one", "deals.read")
		data := w.backup()
		_, err := w.RevokeKey(t.Context(), w.super, id, "")
		w.must(err)
		w.halt()
		text, err := os.ReadFile(w.journal)
		w.must(err)
		file := func(text string) string {
			path := filepath.Join(t.TempDir(), "journal")
			w.must(os.WriteFile(path, []byte(text), 0o600))
			return path
		}
		lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
		other := newWorld(t, store.Place{Data: t.TempDir()})
		other.halt()
		pepper, err := postern.ParsePepper(postern.NewPepper())
		w.must(err)
		for what, change := range map[string]func(o *backup.RestoreOptions){
			"another pepper":           func(o *backup.RestoreOptions) { o.Pepper = pepper },
			"another server's journal": func(o *backup.RestoreOptions) { o.Journals = []string{other.journal} },
			"a journal with a changed line": func(o *backup.RestoreOptions) {
				o.Journals = []string{file(strings.Replace(string(text), `"revoked":`, `"paused":`, 1))}
			},
			"a journal without a line": func(o *backup.RestoreOptions) {
				o.Journals = []string{file(strings.Join(append(lines[:1:1], lines[2:]...), ""))}
			},
			"a journal from before the backup":      func(o *backup.RestoreOptions) { o.Journals = []string{file(lines[0])} },
			"an empty journal":                      func(o *backup.RestoreOptions) { o.Journals = []string{file("")} },
			"a journal that isn't there":            func(o *backup.RestoreOptions) { o.Journals = []string{filepath.Join(t.TempDir(), "none")} },
			"a count that isn't right":              func(o *backup.RestoreOptions) { o.Journals, o.AcceptLost = nil, 1 },
			"a backup that is cut off near the end": func(o *backup.RestoreOptions) { o.AcceptAudit = true },
		} {
			in := data
			if strings.HasPrefix(what, "a backup that is cut") {
				all := unpack(t, data)
				in = pack(t, all[:len(all)-1])
			}
			_, err := restore(t, in, func(o *backup.RestoreOptions) {
				o.To, o.Journals = to, []string{w.journal}
				change(o)
			})
			if err == nil {
				t.Errorf("%s was accepted", what)
			}
			isEmpty(t, what, to)
		}
		if _, err := restore(t, data, func(o *backup.RestoreOptions) { o.To, o.Journals, o.DryRun = to, []string{w.journal}, true }); err != nil {
			t.Errorf("a dry run = %v", err)
		}
		isEmpty(t, "a dry run", to)
		_, err = restore(t, data, func(o *backup.RestoreOptions) { o.To, o.Journals = to, []string{w.journal} })
		w.must(err)
		if _, err := restore(t, data, func(o *backup.RestoreOptions) { o.To, o.Journals = to, []string{w.journal} }); !errors.Is(err, postern.CodeConflict) {
			t.Errorf("a restore over data = %v, want a conflict", err)
		}
		if u := using(t, w.restored(to), w.pepper, id, w.secrets[id][0], w.now()); u.works {
			t.Error("the revoked key works")
		}
	})
}

// isEmpty checks that a failed restore left nothing.
func isEmpty(t *testing.T, what string, at store.Place) {
	t.Helper()
	if at.Database == "" {
		left, err := os.ReadDir(at.Data)
		if err != nil || len(left) > 0 {
			t.Errorf("%s left %v (%v)", what, left, err)
		}
		return
	}
	l, err := store.OpenLoader(t.Context(), at, store.Records(), store.LatestRecords(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	empty, err := l.Empty(t.Context())
	mark, err2 := l.Unfinished(t.Context())
	if !empty || mark != "" || err != nil || err2 != nil {
		t.Errorf("%s left rows (%v), or %q: %v %v", what, !empty, mark, err, err2)
	}
}

// A restore that was killed leaves a database on which it can only be begun again.
func TestKilledRestoreBeginsAgain(t *testing.T) {
	w := newWorld(t, store.Place{Data: t.TempDir()})
	w.key("one", "deals.read")
	data := w.backup()
	w.halt()
	to := store.Place{Database: storetest.Postgres(t)}
	l, err := store.OpenLoader(t.Context(), to, store.Records(), store.LatestRecords(), nil)
	w.must(err)
	w.must(l.Clear(t.Context(), "restore"))
	w.must(l.Insert(t.Context(), "accounts", l.Table("accounts").Names(), accountRow(t, w)))
	w.must(l.Close())
	if _, err := restore(t, data, func(o *backup.RestoreOptions) { o.To, o.Journals = to, []string{w.journal} }); err != nil {
		t.Fatal(err)
	}
	if mark, err := w.restored(to).Unfinished(t.Context()); mark != "" || err != nil {
		t.Errorf("it says still %q, %v", mark, err)
	}
}

func accountRow(t *testing.T, w *world) [][]any {
	snap, err := store.OpenSnapshot(t.Context(), w.at, parts())
	w.must(err)
	defer snap.Close()
	p := &snap.Parts[0]
	for i := range p.Tables {
		if p.Tables[i].Name == "accounts" {
			rows, err := p.RowsAfter(t.Context(), &p.Tables[i], nil, 10)
			w.must(err)
			return rows
		}
	}
	return nil
}

const fullDisk = "POSTERN_TEST_FULL_DISK"

// A full disk while restoring leaves nothing. The disk is a limit on files of a
// process of its own, at several sizes.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(fullDisk); dir != "" {
		restoreWithLittleRoom(t, dir)
		return
	}
	w := newWorld(t, store.Place{Data: t.TempDir()})
	for _, n := range []string{"a", "b", "c", "d"} {
		w.key(n, "deals.read")
	}
	data := w.backup()
	w.halt()
	dir := t.TempDir()
	w.must(os.WriteFile(filepath.Join(dir, "backup"), data, 0o600))
	text, err := os.ReadFile(w.journal)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(dir, "journal"), text, 0o600))
	failed := 0
	for _, room := range []string{"40000", "200000", "400000", "100000000"} {
		to := filepath.Join(dir, "to")
		w.must(os.Mkdir(to, 0o700))
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$")
		cmd.Env = append(os.Environ(), fullDisk+"="+dir, "ROOM="+room)
		out, err := cmd.CombinedOutput()
		left, _ := os.ReadDir(to)
		switch {
		case err != nil && len(left) > 0:
			t.Errorf("room for %s: left %v\n%s", room, left, out)
		case err != nil:
			failed++
		case !exists(filepath.Join(to, "postern.db")):
			t.Errorf("room for %s: no database\n%s", room, out)
		}
		w.must(os.RemoveAll(to))
	}
	if failed < 2 || failed == 4 {
		t.Errorf("%d of 4 restores met the full disk", failed)
	}
}

func restoreWithLittleRoom(t *testing.T, dir string) {
	var room uint64
	for _, c := range os.Getenv("ROOM") {
		room = room*10 + uint64(c-'0')
	}
	data, err := os.ReadFile(filepath.Join(dir, "backup"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: room, Max: room}); err != nil {
		t.Fatal(err)
	}
	_, err = restore(t, data, func(o *backup.RestoreOptions) {
		o.To, o.Journals = store.Place{Data: filepath.Join(dir, "to")}, []string{filepath.Join(dir, "journal")}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A file is written whole, and never over another.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	boom := errors.New("boom")
	write := func(text string, err error) error {
		return backup.WriteFile(path, func(w io.Writer) error {
			_, _ = io.WriteString(w, text)
			return err
		})
	}
	if err := write("half", boom); !errors.Is(err, boom) {
		t.Errorf("a failed write = %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if err := write("whole", nil); err != nil {
		t.Error(err)
	}
	if err := write("other", nil); err == nil {
		t.Error("a file was overwritten")
	}
	text, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if left, _ := os.ReadDir(dir); string(text) != "whole" || err != nil || len(left) != 1 || info.Mode().Perm() != 0o600 {
		t.Errorf("there is %q (%v), %v, %v", text, err, left, info.Mode())
	}
}

// Whatever is read as a backup is refused or read, without more memory than it may take.
func FuzzReader(f *testing.F) {
	w := newWorld(f, store.Place{Data: f.TempDir()})
	w.key("one", "deals.read")
	data := w.backup()
	w.halt()
	lines := unpack(f, data)
	f.Add([]byte(strings.Join(lines, "")), true)
	f.Add([]byte(strings.Join(lines[:3], "")), true)
	f.Add(data, false)
	f.Add([]byte(`{"postern":"backup","format":1,"parts":[{"name":"records","tables":["a"]}]}`+"\n"+`{"table":"a","part":"records","columns":[{"name":"x","type":"text"}],"key":["x"]}`+"\n"+`[{"b64":"/w=="}]`+"\n"), true)
	f.Fuzz(func(t *testing.T, in []byte, packed bool) {
		if packed {
			in = pack(t, []string{string(in)})
		}
		r, _, err := (&backup.Identities{}).Open(bytes.NewReader(in))
		if err != nil {
			return
		}
		defer r.Close()
		rows := 0
		_, err = r.ReadAll(func(_ string, tb *store.Table, row []any) error {
			if rows++; len(row) != len(tb.Columns) {
				t.Errorf("a row of %d values for %d columns", len(row), len(tb.Columns))
			}
			return nil
		}, nil)
		if err == nil && int64(rows) != r.Trailer.Rows {
			t.Errorf("%d rows were read and %d counted", rows, r.Trailer.Rows)
		}
	})
}
