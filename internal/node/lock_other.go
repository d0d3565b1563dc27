//go:build !unix

package node

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockDir takes a data directory for this process alone: here a file that can't
// be made twice, and that a crash leaves behind.
func lockDir(dir string) (release func(), err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("another postern seems to use %s; if none does, delete %s", dir, path)
	}
	return func() { f.Close(); os.Remove(path) }, nil
}

// inodeOf is unknown here.
func inodeOf(string) string { return "" }
