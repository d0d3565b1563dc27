package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store/storetest"
)

// What can become of the journal of revocations while real servers write it. Never
// does it keep a key from being revoked; always do health, the metrics and the doctor
// say that it isn't written; and it holds what it missed as soon as it can be written.
func TestJournalFaults(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is needed: install it, or run ./scripts/test, which does")
	}
	j := newJournalist(t, place{data: t.TempDir()})
	s := j.serve(j.place)
	monday := j.backup()
	dead := []string{j.revoke(s)}
	for _, f := range []struct{ name, inject string }{
		{"a full disk", "pwrite64:error=ENOSPC"},
		{"a sync that fails", "fsync,fdatasync:error=EIO"},
		{"a file system that became read-only", "pwrite64,ftruncate,openat:error=EROFS"},
	} {
		heal := inject(t, strace, s.cmd.Process.Pid, f.inject, j.path)
		began := time.Now()
		dead = append(dead, j.revoke(s))
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: a revocation took %s", f.name, took)
		}
		j.says(s, f.name, false)
		if code, out := j.doctor(s); code == 0 || !strings.Contains(out, "journal of revocations is not written") {
			t.Errorf("%s: doctor = %d\n%s", f.name, code, out)
		}
		heal()
		j.says(s, f.name+" is over", true)
		dead = append(dead, j.revoke(s))
		j.says(s, f.name+" is over", true)
	}
	j.staysDead(monday, dead, 0)

	// What a kill leaves of a line is taken off, and nobody was told of it.
	s.kill()
	j.appendTo(`{"p":1,"what":"credential","id":"ha`)
	s = j.serve(j.place)
	dead = append(dead, j.revoke(s))
	j.says(s, "after a torn line", true)
	j.staysDead(monday, dead, 0)

	// A line that was altered breaks it: nothing is added, and the restore refuses.
	s.kill()
	whole, err := os.ReadFile(j.path)
	j.must(err)
	altered := bytes.Replace(whole, []byte(`"revoked":`), []byte(`"revoked":1`), 1)
	j.must(os.WriteFile(j.path, altered, 0o600))
	s = j.serve(j.place)
	j.revoke(s)
	j.says(s, "an altered line", false)
	if code, out := j.doctor(s); code != 2 || !strings.Contains(out, "broken at line") || !strings.Contains(out, "name another file") {
		t.Errorf("an altered line: doctor = %d\n%s", code, out)
	}
	if now, err := os.ReadFile(j.path); err != nil || !bytes.Equal(now, altered) {
		t.Error("a broken journal was written to")
	}
	if out := j.restore(monday, 1); !strings.Contains(out, "broken at line") {
		t.Errorf("a restore with it says\n%s", out)
	}

	// Another server's file is not written to either.
	s.kill()
	j.must(os.WriteFile(j.path, whole, 0o600))
	other := newJournalist(t, place{data: t.TempDir()})
	other.path = j.path
	o := other.serve(other.place)
	other.says(o, "another server's journal", false)
	if code, out := other.doctor(o); code != 2 || !strings.Contains(out, "not written under this pepper") {
		t.Errorf("another server's journal: doctor = %d\n%s", code, out)
	}
	o.kill()
	j.staysDead(monday, dead, 0)
}

// Two nodes with one journal: the second writes nothing and says so; once the first
// is gone it goes on where that one ended.
func TestJournalOfTwoNodes(t *testing.T) {
	p := place{data: t.TempDir(), database: strings.ReplaceAll(storetest.Postgres(t), "pool_max_conns=4", "pool_max_conns=8")}
	j := newJournalist(t, p)
	a := j.serve(p)
	monday := j.backup()
	dead := []string{j.revoke(a)}
	b := j.serve(place{data: j.twin(), database: p.database})
	j.says(a, "the first", true)
	j.says(b, "the second", false)
	if out := b.output(); !strings.Contains(out, "another server writes this journal") {
		t.Errorf("the second says\n%s", out)
	}
	dead = append(dead, j.revoke(b))
	j.says(a, "the first", true)
	a.kill()
	j.says(b, "the second, alone", true)
	dead = append(dead, j.revoke(b))
	j.staysDead(monday, dead, 0)
}

// journalist is a server's keeper, who has its journal.
type journalist struct {
	t     *testing.T
	place place
	admin string
	path  string
	n     int
	keys  []string // not revoked yet
}

func newJournalist(t *testing.T, p place) *journalist {
	return &journalist{t: t, place: p, admin: p.setup(t), path: filepath.Join(t.TempDir(), "journal")}
}

func (j *journalist) must(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

// serve starts a server on the journal; the first makes keys that are there for any backup.
func (j *journalist) serve(p place) *server {
	j.t.Helper()
	s := start(j.t, p.data, p.args("serve", "--crm", "--lease", "5s", "--journal", j.path)...)
	if j.keys == nil {
		for i := range 14 {
			var made api.ChangedKey
			s.as(j.admin).must(j.t, http.StatusCreated, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: fmt.Sprint("key ", i), Scopes: []string{"crm.objects.deals.read"}})
			j.keys = append(j.keys, made.ID)
		}
	}
	return s
}

// twin is the data directory of another node on the same database.
func (j *journalist) twin() string {
	dir := j.t.TempDir()
	text, err := os.ReadFile(filepath.Join(j.place.data, "pepper"))
	j.must(err)
	j.must(os.WriteFile(filepath.Join(dir, "pepper"), text, 0o600))
	return dir
}

// revoke revokes the next key.
func (j *journalist) revoke(s *server) (id string) {
	j.t.Helper()
	id, j.keys = j.keys[0], j.keys[1:]
	s.as(j.admin).must(j.t, http.StatusOK, nil, "POST", "/v1/service-keys/"+id+"/revoke", nil)
	return id
}

// says waits until health and the metrics say of a server that the journal is written, or isn't.
func (j *journalist) says(s *server, when string, written bool) {
	j.t.Helper()
	await(j.t, when+": health and metrics to say how the journal is", func() bool {
		var h api.Health
		s.as("").must(j.t, http.StatusOK, &h, "GET", "/readyz", nil)
		told := slices.ContainsFunc(h.Warnings, func(w string) bool { return strings.Contains(w, "journal of revocations is not written") })
		_, text, err := s.as("").do("GET", "/metrics", nil)
		return err == nil && told != written && strings.Contains(string(text), map[bool]string{true: "\npostern_journal_failing 0", false: "\npostern_journal_failing 1"}[written])
	})
}

func (j *journalist) run(args ...string) (code int, out string) {
	cmd := exec.CommandContext(j.t.Context(), binary, args...)
	text, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), strings.Join(strings.Fields(string(text)), " ")
}

var port = regexp.MustCompile(`//([^/]+)`)

func (j *journalist) doctor(s *server) (code int, out string) {
	return j.run(j.place.args("doctor", "--data", j.place.data, "--journal", j.path, "--listen", port.FindStringSubmatch(s.API)[1])...)
}

func (j *journalist) backup() (path string) {
	j.t.Helper()
	j.n++
	path = filepath.Join(j.t.TempDir(), "backup")
	if code, out := j.run(j.place.args("backup", "--data", j.place.data, "--out", path, "--unencrypted")...); code != 0 {
		j.t.Fatalf("backup: %s", out)
	}
	return path
}

// restore restores a backup with the journal into a new directory, and expects how that ends.
func (j *journalist) restore(backup string, want int) (out string) {
	j.t.Helper()
	dir := j.twin()
	code, out := j.run("restore", backup, "--data", dir, "--journal", j.path, "--json")
	if code != want {
		j.t.Fatalf("restore = %d: %s", code, out)
	}
	return out
}

// staysDead restores a backup, and expects that the journal ends exactly some keys.
func (j *journalist) staysDead(backup string, dead []string, want int) {
	j.t.Helper()
	out := j.restore(backup, want)
	var done struct {
		Journal  struct{ Covered bool }
		Replayed struct{ Ended int }
	}
	j.must(json.Unmarshal([]byte(out[strings.IndexByte(out, '{'):]), &done))
	if !done.Journal.Covered || done.Replayed.Ended != len(dead) {
		j.t.Errorf("restored %+v, want %d keys ended", done, len(dead))
	}
}

func (j *journalist) appendTo(text string) {
	j.t.Helper()
	f, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
	j.must(err)
	_, err = f.WriteString(text)
	j.must(err)
	j.must(f.Close())
}
