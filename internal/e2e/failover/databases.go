package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// network takes the place of 10.0.0.0/24, in which deploy/patroni is written.
const network = "127.77.0."

// databases are three servers under Patroni, with etcd and HAProxy.
type databases struct {
	dir     string
	procs   map[string]*exec.Cmd
	account *syscall.Credential // of the user postgres
}

var names = []string{"db1", "db2", "db3"}

func address(name string) string { return network + "1" + name[2:] }

func newDatabases(dir string) *databases {
	return &databases{dir: dir, procs: map[string]*exec.Cmd{}}
}

// direct is the URL of all three, of which one is the primary; proxied that of HAProxy.
func (d *databases) direct() string {
	var hosts []string
	for _, n := range names {
		hosts = append(hosts, address(n)+":5432")
	}
	return "postgres://postgres:set-your-own-1@" + strings.Join(hosts, ",") + "/postgres?sslmode=disable&target_session_attrs=read-write&pool_max_conns=12"
}

func (d *databases) proxied() string {
	return "postgres://postgres:set-your-own-1@" + network + "10:5432/postgres?sslmode=disable&target_session_attrs=read-write&pool_max_conns=12"
}

func (d *databases) start(ctx context.Context) error {
	who, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("install postgresql first: %w", err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	d.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	var all []string
	for _, n := range names {
		all = append(all, n+"=http://"+address(n)+":2380")
	}
	for _, n := range names {
		home := filepath.Join(d.dir, n)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return err
		}
		if err := os.Chown(home, uid, gid); err != nil {
			return err
		}
		client, peer := "http://"+address(n)+":2379", "http://"+address(n)+":2380"
		if err := d.spawn("etcd-"+n, "etcd", "--name", n, "--data-dir", filepath.Join(home, "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(all, ","), "--heartbeat-interval", "300", "--election-timeout", "3000"); err != nil {
			return err
		}
	}
	for _, n := range names {
		if err := d.configure(n); err != nil {
			return err
		}
		if err := d.revive(ctx, n); err != nil {
			return err
		}
	}
	text, err := os.ReadFile("deploy/patroni/haproxy.cfg")
	if err != nil {
		return err
	}
	file := filepath.Join(d.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "10.0.0.", network)), 0o644); err != nil {
		return err
	}
	if err := d.spawn("haproxy", "haproxy", "-db", "-f", file); err != nil {
		return err
	}
	return d.whole(ctx)
}

// configure writes the configuration of one server: the documented one, with other addresses and places.
func (d *databases) configure(name string) error {
	text, err := os.ReadFile("deploy/patroni/patroni.yml")
	if err != nil {
		return err
	}
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bin) == 0 {
		return errors.New("install postgresql first")
	}
	home := filepath.Join(d.dir, name)
	out := string(text)
	own := strings.NewReplacer("name: db1", "name: "+name, "listen: 10.0.0.11:", "listen: 10.0.0.1"+name[2:]+":", "connect_address: 10.0.0.11:", "connect_address: 10.0.0.1"+name[2:]+":")
	here := strings.NewReplacer("10.0.0.0/24", "127.0.0.0/8", "10.0.0.", network, "/var/lib/postgresql/15/postern", home+"/data", "/var/lib/postgresql/15/pgpass", home+"/pgpass",
		"/usr/lib/postgresql/15/bin", bin[len(bin)-1], "  authentication:\n", "  parameters: {unix_socket_directories: "+home+", shared_buffers: 64MB}\n  authentication:\n")
	return os.WriteFile(filepath.Join(d.dir, name+".yml"), []byte(here.Replace(own.Replace(out))), 0o644)
}

// revive starts a server's Patroni, which starts the server.
func (d *databases) revive(_ context.Context, name string) error {
	return d.spawn(name, "patroni", filepath.Join(d.dir, name+".yml"))
}

// spawn starts a program as the user postgres; what it says goes to a file.
func (d *databases) spawn(name, program string, args ...string) error {
	out, err := os.OpenFile(filepath.Join(d.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.account, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	d.procs[name] = cmd
	return nil
}

// member is one server as Patroni tells of it.
type member struct{ Name, Role, State string }

// members asks any Patroni that answers for all servers.
func (d *databases) members(ctx context.Context) ([]member, error) {
	var last error
	for _, n := range names {
		ask, cancel := context.WithTimeout(ctx, 3*time.Second)
		req, _ := http.NewRequestWithContext(ask, "GET", "http://"+address(n)+":8008/cluster", nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			cancel()
			last = err
			continue
		}
		var c struct{ Members []member }
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		cancel()
		if err := json.Unmarshal(body, &c); err != nil {
			last = err
			continue
		}
		return c.Members, nil
	}
	return nil, last
}

// whole waits until there is a primary, a synchronous standby and another one,
// and both follow it. What Patroni tells of a member may be some seconds old: one
// that is still being rewound counts as running.
func (d *databases) whole(ctx context.Context) error {
	var seen []member
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
		var err error
		if seen, err = d.members(ctx); err != nil {
			continue
		}
		roles := map[string]int{}
		for _, m := range seen {
			if m.State == "running" || m.State == "streaming" {
				roles[m.Role]++
			}
		}
		if roles["leader"] == 1 && roles["sync_standby"] == 1 && roles["replica"] == 1 && d.followed(ctx) {
			return nil
		}
	}
	return fmt.Errorf("the databases do not come together: %v", seen)
}

// followed reports whether both standbys get what the primary writes, as it says itself.
func (d *databases) followed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pool, err := pgxpool.New(ctx, d.direct())
	if err != nil {
		return false
	}
	defer pool.Close()
	var all, confirming int
	err = pool.QueryRow(ctx, "select count(*), count(*) filter (where sync_state in ('sync', 'quorum')) from pg_stat_replication where state = 'streaming'").Scan(&all, &confirming)
	return err == nil && all == 2 && confirming >= 1
}

// killPrimary kills the server that is the primary, and its Patroni first where told to.
func (d *databases) killPrimary(ctx context.Context, patroni bool) (string, error) {
	ms, err := d.members(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range ms {
		if m.Role != "leader" {
			continue
		}
		if patroni {
			p := d.procs[m.Name]
			p.Process.Kill()
			p.Wait()
		}
		return m.Name, d.killServer(m.Name)
	}
	return "", fmt.Errorf("there is no primary: %v", ms)
}

// killServer kills a server and all that belongs to it.
func (d *databases) killServer(name string) error {
	text, err := os.ReadFile(filepath.Join(d.dir, name, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	all := append([]int{pid}, children(pid)...)
	for _, p := range all {
		if err := syscall.Kill(p, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// children are the processes that a process started.
func children(of int) (out []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range dirs {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		after := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(after) > 1 && after[1] == strconv.Itoa(of) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			out = append(out, pid)
		}
	}
	return out
}

// stop ends everything, the servers too.
func (d *databases) stop() {
	for _, n := range names {
		if p := d.procs[n]; p != nil {
			p.Process.Kill()
			p.Wait()
			d.killServer(n)
		}
	}
	for name, p := range d.procs {
		if !strings.HasPrefix(name, "db") {
			p.Process.Kill()
			p.Wait()
		}
	}
}
