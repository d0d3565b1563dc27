package rotation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// A spool has a name, since a node has another at each start and the spool of the
// one before. A copy of a data directory, as in the image of a machine, takes the name
// along, and two nodes would then speak for each other's calls. So the file also says
// which processes used it last: a name that is in the hands of any other is given up.

// spoolName is the file in a data directory that names its spool.
const spoolName = "spool-name"

// spoolFile is what it says.
type spoolFile struct {
	name  string
	nodes []string // the process that uses it, the one before, and whose mark it has
}

func (f *spoolFile) used(node string) bool { return slices.Contains(f.nodes, node) }

// open reads the file, once, and adds this process; where there is none it makes one.
func (m *Marker) open() error {
	if m.spool.name != "" {
		return nil
	}
	lines, err := readSpoolFile(m.cfg.Data)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return m.rename()
	}
	nodes := []string{m.cfg.Node}
	for _, n := range lines[1:] {
		if n != m.cfg.Node && len(nodes) < 3 {
			nodes = append(nodes, n)
		}
	}
	return m.write(spoolFile{lines[0], nodes})
}

func readSpoolFile(dir string) (lines []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, spoolName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("rotation: the name of the spool: %w", err)
	}
	return strings.Fields(string(text)), nil
}

// SpoolOf is the name of a data directory's spool; empty where it has none.
func SpoolOf(dir string) (string, error) {
	lines, err := readSpoolFile(dir)
	if len(lines) == 0 {
		return "", err
	}
	return lines[0], err
}

// keep leaves no other processes in the file.
func (m *Marker) keep(nodes ...string) error {
	if slices.Equal(m.spool.nodes, nodes) {
		return nil
	}
	return m.write(spoolFile{m.spool.name, nodes})
}

// rename gives the spool a name that nobody has.
func (m *Marker) rename() error {
	return m.write(spoolFile{strings.ToLower(postern.RandomText(16)), []string{m.cfg.Node}})
}

func (m *Marker) write(f spoolFile) error {
	text := f.name + "\n" + strings.Join(f.nodes, "\n") + "\n"
	if err := store.ReplaceFile(filepath.Join(m.cfg.Data, spoolName), []byte(text)); err != nil {
		return fmt.Errorf("rotation: the name of the spool: %w", err)
	}
	m.spool = f
	return nil
}
