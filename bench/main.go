// Command bench measures Postern's doors against bare servers, in one run on one
// machine, and prints ratios:
//
//	go run ./bench
//
// Each server runs in a process of its own on one core, the load generator and
// the upstream on another. Rounds alternate between a bare server and Postern's,
// so that a noisy machine disturbs both alike; what is printed is the median of
// the rounds' ratios, and the CPU time that a request cost the server.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	role := flag.String("role", "", "what this process is: used by the program itself")
	upstream := flag.String("upstream", "", "URL of the upstream, for the roles that pass calls on")
	rounds := flag.Int("rounds", 7, "rounds of each comparison")
	span := flag.Duration("span", 2*time.Second, "how long a round calls each server")
	conns := flag.Int("conns", 16, "connections of the load generator")
	asJSON := flag.Bool("json", false, "print the figures as JSON")
	flag.Parse()
	if *role != "" {
		fail(serve(*role, *upstream))
		return
	}
	figures, err := compare(*rounds, *span, *conns)
	fail(err)
	if *asJSON {
		json.NewEncoder(os.Stdout).Encode(figures)
		return
	}
	fmt.Printf("\n%-34s %12s %12s %8s %10s %10s\n", "door against bare", "calls/s", "bare", "ratio", "cpu/call", "bare")
	for _, f := range figures {
		fmt.Printf("%-34s %12.0f %12.0f %7.1f%% %10s %10s\n", f.Name, f.Rate, f.BareRate, 100*f.Ratio, f.CPU, f.BareCPU)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figure is one comparison: the medians of its rounds.
type figure struct {
	Name           string
	Rate, BareRate float64 // calls a second
	Ratio          float64 // of the rates, the median of the rounds'
	CPU, BareCPU   time.Duration
}

// child is a server process.
type child struct {
	cmd  *exec.Cmd
	info info
}

// info is what a server process says of itself once it answers.
type info struct {
	API, Gateway, Secret string
}

// spawn starts this program again in a role, pinned to a core.
func spawn(core, role, upstream string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-role", role, "-upstream", upstream)
	cmd.Env = append(os.Environ(), "BENCH_CORE="+core, "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd}
	if err := json.NewDecoder(out).Decode(&c.info); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	return c, nil
}

func (c *child) stop() {
	c.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { c.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		c.cmd.Process.Kill()
	}
}

// cpu is the CPU time that the process has used.
func (c *child) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The fields after the command's name, which may hold blanks.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
	var ticks int64
	for _, i := range []int{11, 12} {
		var n int64
		fmt.Sscan(f[i], &n)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// serverCore and loadCore are where processes are pinned to.
const serverCore, loadCore = "0", "1"

// compare starts all servers and compares them.
func compare(rounds int, span time.Duration, conns int) ([]figure, error) {
	up, err := spawn(loadCore, "bare", "")
	if err != nil {
		return nil, err
	}
	defer up.stop()
	var servers []*child
	for _, role := range []string{"bare", "check", "proxy", "postern"} {
		c, err := spawn(serverCore, role, up.info.API)
		if err != nil {
			return nil, err
		}
		defer c.stop()
		servers = append(servers, c)
	}
	bare, check, proxy, postern := servers[0], servers[1], servers[2], servers[3]
	pin(loadCore)
	verify := verifyRequest(postern.info)
	read := gatewayRequest(postern.info)
	var out []figure
	for _, c := range []struct {
		name         string
		server, bare *child
		url, bareURL string
		req, bareReq request
	}{
		{"POST /v1/verify", postern, bare, postern.info.API, bare.info.API, verify, verify},
		{"a minimal handler that checks", check, bare, check.info.API, bare.info.API, verify, verify},
		{"gateway, against ReverseProxy", postern, proxy, postern.info.Gateway, proxy.info.API, read, read},
	} {
		f, err := measure(c.name, rounds, span, conns, side{c.server, c.url, c.req}, side{c.bare, c.bareURL, c.bareReq})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// side is one of the two servers of a comparison, and what it is asked.
type side struct {
	*child
	url string
	req request
}

// measure alternates between two servers and gives the medians.
func measure(name string, rounds int, span time.Duration, conns int, ours, bare side) (figure, error) {
	var rates, bareRates, ratios []float64
	var cpus, bareCPUs []time.Duration
	one := func(s side, d time.Duration) (float64, time.Duration, error) {
		before := s.cpu()
		n, took, err := load(s.url, s.req, conns, d)
		if err != nil {
			return 0, 0, err
		}
		return float64(n) / took.Seconds(), (s.cpu() - before) / time.Duration(n), nil
	}
	for i := range rounds + 1 {
		d := span
		if i == 0 {
			d = span / 2 // the first round warms up and does not count
		}
		b, bc, err := one(bare, d)
		if err != nil {
			return figure{}, fmt.Errorf("bare: %w", err)
		}
		r, c, err := one(ours, d)
		if err != nil {
			return figure{}, err
		}
		fmt.Fprintf(os.Stderr, "%s: round %d: %.0f against %.0f a second, %.1f%%\n", name, i, r, b, 100*r/b)
		if i > 0 {
			rates, bareRates, ratios = append(rates, r), append(bareRates, b), append(ratios, r/b)
			cpus, bareCPUs = append(cpus, c), append(bareCPUs, bc)
		}
	}
	return figure{name, median(rates), median(bareRates), median(ratios), median(cpus).Round(100 * time.Nanosecond), median(bareCPUs).Round(100 * time.Nanosecond)}, nil
}

func median[T float64 | time.Duration](v []T) T {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
