package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"postern.dev/postern/internal/store"
)

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node")
	for _, text := range []string{"a longer text\n", "b\n"} {
		if err := store.ReplaceFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want it for the owner alone", info.Mode(), err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v; want the file alone", list, err)
	}
	if err := store.ReplaceFile(filepath.Join(dir, "none", "node"), nil); err == nil {
		t.Error("a file in a directory that isn't there was written")
	}
}
