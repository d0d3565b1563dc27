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
	nodes []string // the process that uses it, and the one before
}

func (f *spoolFile) used(node string) bool { return slices.Contains(f.nodes, node) }

// open reads the file, once, and adds this process; where there is none it makes one.
func (m *Marker) open() error {
	if m.spool.name != "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(m.cfg.Data, spoolName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotation: the name of the spool: %w", err)
	}
	lines := strings.Fields(string(text))
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
