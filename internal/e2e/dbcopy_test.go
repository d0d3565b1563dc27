package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store/storetest"
)

var (
	copyKills = flag.Int("copykills", 3, "how often a copy of a database is killed before it may end; 40 is the long form")
	copySeed  = flag.Uint64("copyseed", 1, "the seed of where")
)

// A server is killed while calls wait on its disk, and its database is copied into
// the other engine, by a command that is killed in the middle again and again. Each
// call arrives once, the keys work, and nothing of it is counted twice.
func TestCopyBringsWhatWaits(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is needed: install it, or run ./scripts/test, which does")
	}
	places(t, func(t *testing.T, from place) {
		admin := from.setup(t)
		s := start(t, from.data, from.args("serve", "--crm", "--lease", "5s")...)
		var made api.ChangedKey
		s.as(admin).must(t, http.StatusCreated, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: "mover", Scopes: []string{"crm.objects.deals.read"}})
		want := map[string]int{}
		call := func(path string) {
			if status, body := get(t, s.Gateway+path, made.Secret); status != http.StatusNotFound {
				t.Fatalf("%s = %d %s", path, status, body)
			}
			want[path]++
		}
		for i := range 20 {
			call(fmt.Sprintf("/crm/v3/objects/deals/1%03d", i))
		}
		soonStored(t, from, 20)
		release := holdActivity(t, from)
		for i := range 80 {
			call(fmt.Sprintf("/crm/v3/objects/deals/2%03d", i))
		}
		soonSpooled(t, from, 80)
		s.kill()
		release()

		to := place{data: t.TempDir()}
		args := []string{"db", "copy", "--json", "--pepper-path", filepath.Join(from.data, "pepper")}
		if from.database != "" {
			args = append(args, "--from", from.database, "--to", to.data)
			refusedUntilNamed(t, args)
			args = append(args, "--node-data", from.data)
		} else {
			to.database = strings.ReplaceAll(storetest.Postgres(t), "pool_max_conns=4", "pool_max_conns=8")
			args = append(args, "--from", from.data, "--to", to.database)
		}
		killed := copyKilled(t, strace, args)
		t.Logf("-copyseed %d: the copy was killed %d times", *copySeed, killed)
		if killed == 0 {
			t.Error("the copy was never killed")
		}
		if left, _ := filepath.Glob(filepath.Join(from.data, "activity-spool", "*")); len(left) > 0 {
			t.Errorf("left in the spool: %v", left)
		}
		exec.Command("cp", filepath.Join(from.data, "pepper"), to.data).Run()
		for _, p := range []place{from, to} {
			stored := callsAt(t, p)
			for path, n := range want {
				if stored[path] != n {
					t.Errorf("%s is there %d times, want %d", path, stored[path], n)
				}
			}
		}
		after := start(t, to.data, to.args("serve", "--crm")...)
		if allowed, reason := after.verified(t, made.Secret); !allowed {
			t.Errorf("the key after the move: %s", reason)
		}
	})
}

// copyKilled runs a command that is killed as it makes its nth call to the system,
// for some n, and at last one that isn't.
func copyKilled(t *testing.T, strace string, args []string) (killed int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(*copySeed, 1))
	for i := range *copyKills {
		n := 3 + rnd.IntN(40*(i+1)) // ever later, since it goes on where it stood
		if i == 0 {
			n = 3
		}
		all := "write,pwrite64,fsync,fdatasync,unlinkat"
		cmd := exec.CommandContext(t.Context(), strace, append([]string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + all, "-e", "inject=" + all + ":signal=KILL:when=" + strconv.Itoa(n), binary}, args...)...)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil:
			return killed
		case ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
			killed++
		default:
			t.Fatalf("killed at %d: %v\n%s", n, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
	var done struct{ Rows int64 }
	if err != nil || json.Unmarshal(out[strings.IndexByte(string(out), '{'):], &done) != nil {
		t.Fatalf("the last copy: %v\n%s", err, out)
	}
	return killed
}

// refusedUntilNamed expects that a copy is refused while the killed node's lease
// runs, and then because its calls are nowhere.
func refusedUntilNamed(t *testing.T, args []string) {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-again.C {
		out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
		if err == nil {
			t.Fatalf("a copy without the calls that wait\n%s", out)
		}
		if strings.Contains(string(out), "node-data") {
			return
		}
		if !strings.Contains(string(out), "still runs on this database") {
			t.Fatalf("refused with\n%s", out)
		}
	}
	t.Fatal("the lease doesn't end")
}

// holdActivity keeps everyone from storing calls.
func holdActivity(t *testing.T, p place) (release func()) {
	t.Helper()
	tx, err := p.open(t, "activity").Begin()
	if err == nil {
		_, err = tx.Exec("update activity_head set seq = seq where id = 1")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback() }
}

func soonStored(t *testing.T, p place, n int) {
	t.Helper()
	db := p.open(t, "activity")
	await(t, "the calls to be stored", func() bool {
		var have sql.NullInt64
		err := db.QueryRow("select sum(calls) from activity_hours where operation <> ''").Scan(&have)
		return err == nil && have.Int64 >= int64(n)
	})
}

// soonSpooled waits until so many calls are on disk, as another process would find them.
func soonSpooled(t *testing.T, p place, n int) {
	t.Helper()
	await(t, "the calls to be in the spool", func() bool {
		dir := t.TempDir()
		if os.CopyFS(filepath.Join(dir, "spool"), os.DirFS(filepath.Join(p.data, "activity-spool"))) != nil {
			return false
		}
		l, err := activity.Open(t.Context(), activity.Config{Target: filepath.Join(dir, "activity.db"), Spool: filepath.Join(dir, "spool")})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Stats().Buffered >= n
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(time.Minute); !done(); <-again.C {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// callsAt counts the calls that a database holds, by their paths; and holds the totals against them.
func callsAt(t *testing.T, p place) map[string]int {
	t.Helper()
	target := p.database
	if target == "" {
		target = filepath.Join(p.data, "activity.db")
	}
	l, err := activity.Open(t.Context(), activity.Config{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	account := postern.AccountID(rows(t, p.open(t, "postern"), "select id from accounts")[0][0])
	out := map[string]int{}
	if err := l.Each(t.Context(), activity.Filter{Account: account, PathPrefix: "/crm/"}, func(a *postern.Activity) error {
		out[a.Path]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if wrong, err := l.Check(t.Context(), account, time.Now().Add(-2*time.Hour), time.Now().Add(time.Hour)); err != nil || len(wrong) > 0 {
		t.Errorf("totals that aren't what their calls come to: %+v, %v", wrong, err)
	}
	return out
}
