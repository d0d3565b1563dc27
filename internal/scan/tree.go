package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
)

// Options bound a scan. The zero value of each has a default.
type Options struct {
	Brand       string
	MaxFile     int64 // the largest file that is read: 1 GiB
	MaxUnpacked int64 // the most that a file unpacks to: 1 GiB
	Workers     int   // how many files are read at once: as many as there are processors
}

func (o Options) fill() Options {
	if o.Brand == "" {
		o.Brand = postern.DefaultBrand
	}
	if o.MaxFile <= 0 {
		o.MaxFile = 1 << 30
	}
	if o.MaxUnpacked <= 0 {
		o.MaxUnpacked = 1 << 30
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// Commit is where a secret first came into a repository.
type Commit struct {
	ID     string
	Author string
	Email  string
	At     time.Time
}

// Finding is a secret and where it is.
type Finding struct {
	Path   string // of the file, as it was named
	Inside string // of the member of an archive, with ! between archives
	Place
	Commit *Commit // where it was found in a repository's history
}

// Skip is something that was not read, or not to its end.
type Skip struct{ Path, Why string }

// maxFindings and maxSkips bound what a scan remembers.
const (
	maxFindings = 10_000
	maxSkips    = 1_000
)

// Result is what a scan found.
type Result struct {
	Findings []Finding
	More     int // findings beyond those
	Files    int
	Objects  int // of repositories
	Bytes    int64
	Skipped  []Skip // left out on purpose: too large, too deep
	Failed   []Skip // could not be read
	Lost     int    // of both, beyond those that are listed
}

// Scanner scans files, streams and repositories, and gathers what it finds.
type Scanner struct {
	opts   Options
	finder *Finder
	mu     sync.Mutex
	out    Result
}

// New makes a Scanner.
func New(opts Options) *Scanner {
	opts = opts.fill()
	return &Scanner{opts: opts, finder: NewFinder(opts.Brand)}
}

// Result is everything so far, in the order of paths.
func (s *Scanner) Result() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.out.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Inside, b.Inside), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.commitID(), b.commitID()))
	})
	byPath := func(a, b Skip) int { return cmp.Compare(a.Path, b.Path) }
	slices.SortFunc(s.out.Skipped, byPath)
	slices.SortFunc(s.out.Failed, byPath)
	return s.out
}

func (f *Finding) commitID() string {
	if f.Commit == nil {
		return ""
	}
	return f.Commit.ID
}

func (s *Scanner) found(f Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.out.Findings) == maxFindings {
		s.out.More++
		return
	}
	s.out.Findings = append(s.out.Findings, f)
}

func (s *Scanner) note(list *[]Skip, path, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(*list) == maxSkips {
		s.out.Lost++
		return
	}
	*list = append(*list, Skip{path, why})
}

func (s *Scanner) skipped(path, why string) { s.note(&s.out.Skipped, path, why) }

func (s *Scanner) failed(path string, err error) {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	s.note(&s.out.Failed, path, err.Error())
}

func (s *Scanner) count(files int, n int64) {
	s.mu.Lock()
	s.out.Files += files
	s.out.Bytes += n
	s.mu.Unlock()
}

// Tree scans a file, or all files below a folder. Symbolic links aren't followed,
// but for the path itself; what git keeps in its own form is left to History.
func (s *Scanner) Tree(ctx context.Context, root string) error {
	if real, err := filepath.EvalSymlinks(root); err != nil {
		return err
	} else if info, err := os.Stat(real); err != nil {
		return err
	} else if !info.IsDir() {
		s.file(root)
		return nil
	}
	paths := make(chan string, 256)
	var wg sync.WaitGroup
	for range s.opts.Workers {
		wg.Go(func() {
			for p := range paths {
				s.file(p)
			}
		})
	}
	// A root that is a link is walked by its own name, so that what is told is how it was asked for.
	err := filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.failed(path, err)
			return nil
		case d.IsDir():
			if gitObjects(path) {
				return filepath.SkipDir
			}
		case d.Type().IsRegular():
			paths <- filepath.Clean(path)
		}
		return nil
	})
	close(paths)
	wg.Wait()
	return err
}

// gitObjects reports whether a folder holds the packed objects of a repository.
func gitObjects(path string) bool {
	if filepath.Base(path) != "objects" {
		return false
	}
	for _, beside := range []string{"HEAD", "refs"} {
		if _, err := os.Lstat(filepath.Join(filepath.Dir(path), beside)); err != nil {
			return false
		}
	}
	return true
}

// file scans one file.
func (s *Scanner) file(path string) {
	f, err := os.Open(path)
	if err != nil {
		s.failed(path, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		s.failed(path, err)
	case !info.Mode().IsRegular():
		s.skipped(path, "it isn't a file")
	case info.Size() > s.opts.MaxFile:
		s.skipped(path, fmt.Sprintf("it is larger than %d MiB", s.opts.MaxFile>>20))
	default:
		s.open(f, info.Size(), path)
	}
}

func (s *Scanner) open(f *os.File, size int64, path string) {
	// An archive is searched as it is too: what isn't packed, and what stands behind it, shows there.
	var raw []Finding
	packed := false
	read, err := s.finder.stream(f, func(head []byte) { packed = archive(head) }, func(p Place) { raw = append(raw, Finding{Path: path, Place: p}) })
	s.count(1, read)
	inside := map[string]bool{}
	if err == nil && packed {
		s.unpack(f, size, path, inside)
	}
	for _, r := range raw {
		if !inside[r.Secret.Reveal()] {
			s.found(r)
		}
	}
	if err != nil {
		s.failed(path, err)
	}
}

// unpack scans what an archive holds, and notes in inside which secrets it found.
// What can't be unpacked was read as it is.
func (s *Scanner) unpack(f *os.File, size int64, path string, inside map[string]bool) {
	u := &unpacker{finder: s.finder, left: s.opts.MaxUnpacked,
		yield: func(member string, p Place) {
			inside[p.Secret.Reveal()] = true
			s.found(Finding{Path: path, Inside: cmp.Or(member, "(unpacked)"), Place: p})
		},
		skip: func(member, why string) { s.skipped(within(path, member), why) }}
	var err error
	var magic [4]byte
	if _, err = f.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "PK\x03\x04" {
		err = u.zip(f, size, "", 0)
	} else if err == nil {
		err = u.stream(io.NewSectionReader(f, 0, size), "", 0)
	}
	s.count(0, u.read)
	switch {
	case errors.Is(err, errEnough):
		s.skipped(path, fmt.Sprintf("it unpacks to more than %d MiB", s.opts.MaxUnpacked>>20))
	case err != nil:
		s.skipped(path, "it can't be unpacked: "+err.Error())
	}
}

// Reader scans a stream under a name.
func (s *Scanner) Reader(r io.Reader, name string) error {
	n, err := s.finder.Stream(r, func(p Place) { s.found(Finding{Path: name, Place: p}) })
	s.count(1, n)
	return err
}
