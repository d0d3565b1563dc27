package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrNoRepository says that a folder isn't the top of a git repository.
var ErrNoRepository = errors.New("not a git repository")

// git prepares a command that reads a repository and runs nothing that the
// repository names: no hooks, no filters, no helper, no fetching of what is missing.
func git(ctx context.Context, dir string, args ...string) *exec.Cmd {
	safe := []string{"-C", dir, "--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "log.showSignature=false"}
	cmd := exec.CommandContext(ctx, "git", append(safe, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	return cmd
}

// IsRepository reports whether a folder is the top of a repository, with a work tree or bare.
func IsRepository(ctx context.Context, dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
		return git(ctx, dir, "rev-parse", "--git-dir").Run() == nil
	}
	out, err := git(ctx, dir, "rev-parse", "--is-bare-repository", "--git-dir").Output()
	return err == nil && string(out) == "true\n.\n"
}

// object is something of a repository in which a secret was found.
type object struct {
	kind   string
	places []Place
}

// History scans every object that a reference of a repository reaches: files of
// all commits, packed or not, and the messages of commits and tags. Each finding
// names the first commit that had it.
func (s *Scanner) History(ctx context.Context, dir string) error {
	if !IsRepository(ctx, dir) {
		return ErrNoRepository
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	batches := make(chan []byte, s.opts.Workers)
	found := map[string]*object{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range s.opts.Workers {
		wg.Go(func() {
			err := s.objects(ctx, dir, batches, func(id string, o *object) {
				mu.Lock()
				found[id] = o
				mu.Unlock()
			})
			if err != nil {
				stop(err)
			}
		})
	}
	err := list(ctx, dir, batches)
	close(batches)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return s.trace(ctx, dir, found)
}

// list names every object that a reference reaches, many at a time.
func list(ctx context.Context, dir string, batches chan<- []byte) error {
	cmd := git(ctx, dir, "rev-list", "--objects", "--no-object-names", "--all", "HEAD")
	if git(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD").Run() != nil {
		cmd = git(ctx, dir, "rev-list", "--objects", "--no-object-names", "--all")
	}
	return lines(cmd, func(r *bufio.Reader) error {
		for {
			batch := make([]byte, 0, 32<<10)
			var err error
			for len(batch) < 31<<10 && err == nil {
				var line []byte
				line, err = r.ReadSlice('\n')
				batch = append(batch, line...)
			}
			if len(batch) > 0 {
				select {
				case batches <- batch:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// lines runs a command and hands its output to read.
func lines(cmd *exec.Cmd, read func(*bufio.Reader) error) error {
	var said bytes.Buffer
	cmd.Stderr = &limited{w: &said, left: 2000}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = read(bufio.NewReaderSize(out, 64<<10))
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("git: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	_, err := l.w.Write(p[:n])
	return len(p), err
}

// objects reads objects as they are named, and scans them.
func (s *Scanner) objects(ctx context.Context, dir string, batches <-chan []byte, yield func(string, *object)) error {
	cmd := git(ctx, dir, "cat-file", "--batch", "--buffer")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		defer in.Close()
		for {
			select {
			case b, ok := <-batches:
				if !ok {
					return
				}
				if _, err := in.Write(b); err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines(cmd, func(r *bufio.Reader) error {
		for {
			head, err := r.ReadString('\n')
			if errors.Is(err, io.EOF) && head == "" {
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.object(r, head, yield); err != nil {
				return err
			}
		}
	})
}

// object scans one object of the output of cat-file: "<id> <kind> <size>", the bytes, a line break.
func (s *Scanner) object(r *bufio.Reader, head string, yield func(string, *object)) error {
	f := strings.Fields(head)
	if len(f) != 3 {
		s.skipped(strings.TrimSpace(head), "the repository doesn't have it")
		return nil
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git: %q isn't understood", head)
	}
	body := io.LimitReader(r, size)
	if f[1] != "tree" && size <= s.opts.MaxFile {
		o := &object{kind: f[1]}
		n, err := s.finder.Stream(body, func(p Place) { o.places = append(o.places, p) })
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.out.Objects++
		s.out.Bytes += n
		s.mu.Unlock()
		if len(o.places) > 0 {
			yield(f[0], o)
		}
	} else if f[1] != "tree" {
		s.skipped("object "+f[0], fmt.Sprintf("it is larger than %d MiB", s.opts.MaxFile>>20))
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	_, err = r.Discard(1)
	return err
}

// trace tells of each object where it first came in: the commit that was made
// before all others that have it.
func (s *Scanner) trace(ctx context.Context, dir string, found map[string]*object) error {
	if len(found) == 0 {
		return nil
	}
	all := git(ctx, dir, "rev-list", "--topo-order", "--all", "HEAD")
	if git(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD").Run() != nil {
		all = git(ctx, dir, "rev-list", "--topo-order", "--all")
	}
	pipe, err := all.StdoutPipe()
	if err != nil {
		return err
	}
	if err := all.Start(); err != nil {
		return err
	}
	first := map[string]Finding{}
	cmd := git(ctx, dir, "diff-tree", "--stdin", "--root", "-r", "-m", "--no-renames", "--always", "--raw", "-z", "--no-abbrev", "--format=%x01%H%x02%an%x02%ae%x02%cI")
	cmd.Stdin = pipe
	err = lines(cmd, func(r *bufio.Reader) error { return firsts(r, found, first) })
	if err != nil {
		_ = all.Process.Kill()
	}
	if waited := all.Wait(); err == nil && waited != nil {
		err = fmt.Errorf("git: list commits: %w", waited)
	}
	if err != nil {
		return err
	}
	for id, o := range found {
		f, ok := first[id]
		if !ok {
			f.Path = "(" + o.kind + " " + id + ")" // a tag, or what a tag names
		}
		for _, p := range o.places {
			f.Place = p
			f.Path = dir + ":" + strings.TrimPrefix(f.Path, dir+":")
			s.found(f)
		}
	}
	return nil
}

// firsts reads the changes of commits, newest first, so that what is noted last is
// the oldest. Parts end with a zero byte: a commit's line, then for each change its
// line and its path.
func firsts(r *bufio.Reader, found map[string]*object, first map[string]Finding) error {
	var at *Commit
	note := func(id, path string) {
		if found[id] != nil {
			first[id] = Finding{Path: path, Commit: at}
		}
	}
	blob := ""
	for {
		part, err := r.ReadString(0)
		if errors.Is(err, io.EOF) && part == "" {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		part = strings.TrimSuffix(part, "\x00")
		if blob != "" {
			note(blob, part) // a path, whatever it looks like
			blob = ""
			continue
		}
		switch part = strings.TrimLeft(part, "\n"); {
		case strings.HasPrefix(part, "\x01"):
			f := strings.SplitN(part[1:], "\x02", 4)
			if len(f) != 4 {
				return errors.New("git: a commit isn't understood")
			}
			when, _ := time.Parse(time.RFC3339, strings.TrimSpace(f[3]))
			at = &Commit{ID: f[0], Author: f[1], Email: f[2], At: when}
			note(f[0], "(commit message)")
		case strings.HasPrefix(part, ":"):
			if f := strings.Fields(part); len(f) == 5 {
				blob = f[3]
			}
		}
	}
}
