package journal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// FuzzRead gives the reader damaged journals: it refuses them or reads what was
// written, and believes nothing past the first change to a line.
func FuzzRead(f *testing.F) {
	whole := written(f)
	f.Add([]byte{})
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:len(whole)/2])
	f.Add(whole[bytes.IndexByte(whole, '\n')+1:])
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add(bytes.Replace(whole, []byte(`"feed":`), []byte(`"feed":1`), 1))
	f.Add([]byte("{} AAAAAAAAAAAAAAAAAAAAAA\n"))
	pepper := storetest.Pepper(f)
	path := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := journal.Read(pepper, path)
		if err != nil {
			return
		}
		lines := bytes.LastIndexByte(data, '\n') + 1
		if !bytes.HasPrefix(whole, data[:lines]) || h.Lines != bytes.Count(data, []byte("\n")) || h.Torn != (lines < len(data)) {
			t.Errorf("%d lines were read of what nobody wrote: %q", h.Lines, data)
		}
	})
}

// written is a journal as a follower writes it.
func written(t testing.TB) []byte {
	t.Helper()
	db := storetest.Open(t, storetest.SQLite(t))
	f := &feed{DB: db, t: t, now: t0, path: filepath.Join(t.TempDir(), "journal")}
	f.follow()
	for _, id := range []string{"a", "b", "c"} {
		f.now = t0
		_, err := db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.AppendFeed(t.Context(), postern.Change{At: t0, Kind: postern.ChangeAccount, ID: id})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.follow()
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
