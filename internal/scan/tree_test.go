package scan_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern/internal/scan"
)

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func zipped(t *testing.T, name string, b []byte) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func tarred(t *testing.T, name string, b []byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(b))}); err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func told(r scan.Result, dir string) (out []string) {
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s|%s|%d|%s", strings.TrimPrefix(f.Path, dir+"/"), f.Inside, f.Line, f.Secret.LastFour()))
	}
	return out
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	var s []string
	for i := range 8 {
		s = append(s, newSecret(i))
	}
	write(t, filepath.Join(dir, "a.env"), []byte("A=1\nB="+s[0]+"\n"))
	write(t, filepath.Join(dir, "deep/er/b.bin"), append([]byte{0, 1, 2, 0xff}, s[1]...))
	write(t, filepath.Join(dir, "c.zip"), zipped(t, "in/c.txt", []byte("x\n"+s[2])))
	write(t, filepath.Join(dir, "d.tgz"), gzipped(tarred(t, "d.txt", []byte(s[3]))))
	write(t, filepath.Join(dir, "e.tar"), tarred(t, "e.jar", zipped(t, "f.gz", gzipped([]byte("\n\n"+s[4])))))
	write(t, filepath.Join(dir, "g.log.gz"), gzipped([]byte(s[5])))
	write(t, filepath.Join(dir, "half.zip"), zipped(t, "x", []byte(s[6]))[:60])
	write(t, filepath.Join(dir, ".git/config"), []byte("url = https://u:"+s[7]+"@example.org/"))
	write(t, filepath.Join(dir, ".git/HEAD"), []byte("ref: refs/heads/main\n"))
	write(t, filepath.Join(dir, ".git/refs/heads/main"), nil)
	write(t, filepath.Join(dir, ".git/objects/12/34"), []byte(s[0]))
	write(t, filepath.Join(dir, "large"), []byte(strings.Repeat(s[0], 2<<20/75)))
	if err := os.Symlink(filepath.Join(dir, "a.env"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	sc := scan.New(scan.Options{MaxFile: 1 << 20})
	if err := sc.Tree(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	r := sc.Result()
	last := func(i int) string { return s[i][len(s[i])-4:] }
	want := []string{".git/config||1|" + last(7), "a.env||2|" + last(0), "c.zip|in/c.txt|2|" + last(2), "d.tgz|d.txt|1|" + last(3),
		"deep/er/b.bin||1|" + last(1), "e.tar|e.jar!f.gz|3|" + last(4), "g.log.gz|(unpacked)|1|" + last(5)}
	if got := told(r, dir); !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var skipped []string
	for _, k := range r.Skipped {
		skipped = append(skipped, strings.TrimPrefix(k.Path, dir+"/"))
	}
	if !slices.Equal(skipped, []string{"half.zip", "large"}) || len(r.Failed) != 0 {
		t.Errorf("skipped %v and failed %v, want the broken archive and what is too large", r.Skipped, r.Failed)
	}
}

// A small archive that unpacks to much is read up to the bound, and that is said.
func TestTreeBounds(t *testing.T) {
	dir := t.TempDir()
	bomb := gzipped(append(make([]byte, 8<<20), newSecret(0)...))
	write(t, filepath.Join(dir, "bomb.gz"), bomb)
	deep := []byte(newSecret(1))
	for range 6 {
		deep = gzipped(deep)
	}
	write(t, filepath.Join(dir, "deep.gz"), deep)
	sc := scan.New(scan.Options{MaxUnpacked: 1 << 20})
	if err := sc.Tree(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	r := sc.Result()
	if len(r.Findings) != 0 || len(r.Skipped) != 2 || !strings.Contains(r.Skipped[0].Why, "unpacks to more than 1 MiB") || !strings.Contains(r.Skipped[1].Why, "4 deep") {
		t.Errorf("found %v, skipped %v", told(r, dir), r.Skipped)
	}
	if r.Bytes > int64(len(bomb)+len(deep))+1<<20 {
		t.Errorf("read %d bytes, want at most the bound", r.Bytes)
	}
	if err := sc.Tree(t.Context(), filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("a path that isn't there: %v", err)
	}
}

func run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ann Example", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string { return run(t, dir, args...) }
	var s []string
	for i := range 5 {
		s = append(s, newSecret(i))
	}
	git("init", "-q", "-b", "main")
	write(t, filepath.Join(dir, "README"), []byte("hello\n"))
	git("add", ".")
	git("commit", "-q", "-m", "start")
	// Came in, moved, and was taken out: it is still in the history.
	write(t, filepath.Join(dir, "conf\n:odd/app.env"), []byte("K="+s[0]+"\n"))
	git("add", ".")
	git("commit", "-q", "-m", "configure")
	came := git("rev-parse", "HEAD")
	git("mv", "conf\n:odd/app.env", "moved.env")
	git("commit", "-q", "-m", "move")
	git("rm", "-q", "moved.env")
	git("commit", "-q", "-m", "remove")
	git("gc", "-q") // packed from here on
	git("checkout", "-q", "-b", "side", "HEAD~1")
	write(t, filepath.Join(dir, "side.txt"), []byte("\n\n"+s[1]))
	git("add", ".")
	git("commit", "-q", "-m", "side")
	side := git("rev-parse", "HEAD")
	git("checkout", "-q", "main")
	git("commit", "-q", "--allow-empty", "-m", "the key is "+s[2])
	said := git("rev-parse", "HEAD")
	git("tag", "-a", "v1", "-m", "released with "+s[3])
	// Reached by no reference: not in the history.
	loose := exec.Command("git", "-C", dir, "hash-object", "-w", "--stdin")
	loose.Stdin = strings.NewReader(s[4])
	if err := loose.Run(); err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(t.TempDir(), "bare.git")
	git("clone", "-q", "--bare", ".", bare)
	for _, at := range []string{dir, bare} {
		sc := scan.New(scan.Options{Workers: 3})
		if err := sc.History(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			s[0]: at + ":conf\n:odd/app.env|1|" + came, s[1]: at + ":side.txt|3|" + side, s[2]: at + ":(commit message)|", s[3]: at + ":(tag ",
		}
		for _, f := range sc.Result().Findings {
			line := f.Path + "|"
			if f.Commit != nil {
				line += fmt.Sprintf("%d|%s", f.Line, f.Commit.ID)
				if f.Commit.Author != "Ann Example" || f.Commit.Email != "ann@example.org" || time.Since(f.Commit.At) > time.Hour {
					t.Errorf("commit %+v", f.Commit)
				}
				if f.Secret.Reveal() == s[2] && f.Commit.ID != said {
					t.Errorf("the message is of %s, want %s", f.Commit.ID, said)
				}
			}
			w, ok := want[f.Secret.Reveal()]
			if !ok || !strings.HasPrefix(line, w) {
				t.Errorf("found %q, want %q", line, w)
			}
			delete(want, f.Secret.Reveal())
		}
		if len(want) > 0 {
			t.Errorf("in %s did not find %q", at, want)
		}
	}
	if err := scan.New(scan.Options{}).History(t.Context(), t.TempDir()); err != scan.ErrNoRepository {
		t.Errorf("no repository: %v", err)
	}
	if scan.IsRepository(t.Context(), filepath.Join(dir, ".git", "refs")) || scan.IsRepository(t.Context(), "/") {
		t.Error("a folder is taken for a repository")
	}
}

// What a repository configures is never run.
func TestHistoryRunsNothing(t *testing.T) {
	dir, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	run(t, dir, "init", "-q")
	write(t, filepath.Join(dir, "f"), []byte(newSecret(0)))
	run(t, dir, "add", ".")
	run(t, dir, "commit", "-q", "-m", "one")
	evil := filepath.Join(dir, "evil")
	write(t, evil, []byte("#!/bin/sh\ntouch "+ran+"\n"))
	os.Chmod(evil, 0o755)
	for _, name := range []string{"core.fsmonitor", "core.pager", "gpg.program", "diff.external", "core.sshCommand", "core.alternateRefsCommand"} {
		run(t, dir, "config", name, evil)
	}
	run(t, dir, "config", "log.showSignature", "true")
	os.Remove(ran) // setting up may have run it
	sc := scan.New(scan.Options{})
	if err := sc.History(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if n := len(sc.Result().Findings); n != 1 {
		t.Errorf("found %d, want 1", n)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program that the repository names was run")
	}
}

// goSource is a large tree of texts that is there wherever Go is.
func goSource(b *testing.B) string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src")
}

// BenchmarkTree compares a scan with a bare read of the same files by as many workers.
func BenchmarkTree(b *testing.B) {
	root := goSource(b)
	read := func() (n int64) {
		paths := make(chan string, 256)
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				buf := make([]byte, 256<<10)
				var mine int64
				for p := range paths {
					f, err := os.Open(p)
					if err != nil {
						continue
					}
					f.Stat()
					for {
						n, err := f.Read(buf)
						mine += int64(n)
						if err == io.EOF || err != nil {
							break
						}
					}
					f.Close()
				}
				mu.Lock()
				n += mine
				mu.Unlock()
			})
		}
		filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				paths <- p
			}
			return nil
		})
		close(paths)
		wg.Wait()
		return n
	}
	read()
	var bare, scanned time.Duration
	var size int64
	for b.Loop() {
		at := time.Now()
		size = read()
		bare += time.Since(at)
		at = time.Now()
		sc := scan.New(scan.Options{})
		if err := sc.Tree(context.Background(), root); err != nil {
			b.Fatal(err)
		}
		scanned += time.Since(at)
	}
	mb := float64(size) * float64(b.N) / 1e6
	b.ReportMetric(mb/scanned.Seconds(), "MB/s")
	b.ReportMetric(mb/bare.Seconds(), "bareMB/s")
	b.ReportMetric(bare.Seconds()/scanned.Seconds(), "ofBare")
}

// BenchmarkFinder compares the search of one large text with a search for the brand alone.
func BenchmarkFinder(b *testing.B) {
	src, err := os.ReadFile(filepath.Join(goSource(b), "net", "http", "server.go"))
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat(src, 50)
	f := scan.NewFinder("pst")
	var bare, found time.Duration
	for b.Loop() {
		at := time.Now()
		if bytes.Count(text, []byte("pst_")) != 0 {
			b.Fatal("the text holds the brand")
		}
		bare += time.Since(at)
		at = time.Now()
		if _, err := f.Stream(bytes.NewReader(text), func(scan.Place) { b.Fatal("found something") }); err != nil {
			b.Fatal(err)
		}
		found += time.Since(at)
	}
	mb := float64(len(text)) * float64(b.N) / 1e6
	b.ReportMetric(mb/found.Seconds(), "MB/s")
	b.ReportMetric(mb/bare.Seconds(), "bareMB/s")
	b.ReportMetric(bare.Seconds()/found.Seconds(), "ofBare")
}
