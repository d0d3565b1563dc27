package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// marker is a file in the data directory while files are put in their places.
const marker = "restore.unfinished"

// Unfinished reports whether a restore into a directory was stopped while it put files in their places.
func Unfinished(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, marker))
	return err == nil
}

// freeFiles refuses a directory that holds a database; what a restore left of one goes.
func (r *restore) freeFiles(dir string) error {
	if r.o.To.Database != "" {
		return nil
	}
	again := Unfinished(dir)
	for _, p := range slices.Backward(r.o.Parts) {
		for _, name := range []string{p.File, p.File + "-wal", p.File + "-shm"} {
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !again || r.o.DryRun {
				return postern.Errorf(postern.CodeConflict, "There is a database in %s already (%s). A backup is restored into an empty directory only.", dir, name)
			}
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
		}
	}
	return nil
}

// place moves the files into their places, the records last: without them there is no database.
func (r *restore) place(stage, dir string) error {
	mark := filepath.Join(dir, marker)
	if err := store.ReplaceFile(mark, []byte("A restore was stopped here. Run it again.\n")); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, p := range slices.Backward(r.o.Parts) {
		path := filepath.Join(stage, p.File)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(syncFile(path), os.Rename(path, filepath.Join(dir, p.File))); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	if err := errors.Join(SyncDir(dir), os.Remove(mark), SyncDir(dir)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
