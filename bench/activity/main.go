// Command activity measures what a page of the activity explorer costs among many
// calls, and what recording them costs:
//
//	go run ./bench/activity -calls 5000000
//	go run ./bench/activity -calls 50000000 -target postgres://…
//
// It fills a fresh log with calls of one account over 30 days, asks for pages with
// filters that many, few and no calls pass, and prints how long they took beside
// an indexed read of one row in the same run. The target is left as it is filled;
// with -keep it is asked again without filling.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

const (
	account = postern.AccountID("acc_bench")
	days    = 30
	keys    = 200
)

func main() {
	calls := flag.Int("calls", 5_000_000, "how many calls the account has")
	target := flag.String("target", "", "an SQLite file, or the URL of an empty PostgreSQL database; empty: a temporary file")
	rounds := flag.Int("rounds", 40, "how many pages are asked for with each filter")
	keep := flag.Bool("keep", false, "the target is filled already")
	flag.Parse()
	if err := run(*target, *calls, *rounds, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "bench/activity:", err)
		os.Exit(1)
	}
}

func run(target string, calls, rounds int, keep bool) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "postern-activity")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if target == "" {
		target = filepath.Join(dir, "activity.db")
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	l, err := activity.Open(ctx, activity.Config{Target: target, Spool: filepath.Join(dir, "spool"), Capacity: 1 << 16, KeepCalls: 400 * 24 * time.Hour})
	if err != nil {
		return err
	}
	defer l.Close()
	if !keep {
		if err := fill(ctx, l, now, calls); err != nil {
			return err
		}
	}
	return ask(ctx, l, rounds)
}

func key(i int) postern.KeyID { return postern.KeyID(fmt.Sprintf("benchkey%08d", i)) }

// fill records calls, evenly over the days before now. A few are rare: one in
// 100,000 fails, and one of all comes from an address and a program of its own.
func fill(ctx context.Context, l *activity.Log, now time.Time, calls int) error {
	rng := rand.New(rand.NewPCG(1, 2))
	operations := make([]*postern.Operation, 353)
	for i := range operations {
		operations[i] = &postern.Operation{Upstream: "crm", Name: fmt.Sprintf("operation%d", i), Method: "GET", Path: fmt.Sprintf("/crm/v3/objects/%d/{id}", i)}
	}
	step := days * 24 * time.Hour / time.Duration(calls)
	start, began := now.Add(-days*24*time.Hour), time.Now()
	for i := range calls {
		// Some keys call far more often than others, each a dozen operations from a few addresses.
		k := rng.IntN(rng.IntN(keys) + 1)
		op := (k*7 + 29*rng.IntN(12)) % len(operations)
		e := postern.Event{At: postern.ToMicros(start.Add(time.Duration(i) * step)), Door: postern.DoorGateway, Method: "GET", Path: fmt.Sprintf("/crm/v3/objects/%d/%d", op, rng.IntN(100_000)),
			UserAgent: fmt.Sprintf("integration-%d/2.1", k), IP: netip.AddrFrom4([4]byte{10, 0, byte(k), byte(rng.IntN(3))}), Status: 200,
			Duration: time.Duration(rng.IntN(200_000)) * time.Microsecond, BytesOut: rng.Int64N(50_000),
			RequestID: fmt.Sprintf("%08x-0000-4000-8000-%012x", rng.Uint32(), i)}
		e.Decision = postern.Decision{Allowed: true, Reason: postern.ReasonAllowed, Kind: postern.KindServiceKey, Gen: 1, Known: true, Account: account,
			Operation: operations[op], Used: fmt.Sprintf("crm.objects.%d.read", op%40)}
		copy(e.Decision.Key[:], key(k))
		switch {
		case i == calls/3:
			e.IP, e.UserAgent = netip.MustParseAddr("203.0.113.77"), "rarely-seen/0.1"
		case i%100_000 == 50_000:
			e.Status = 503
		case i%50 == 7:
			e.Decision.Allowed, e.Decision.Reason, e.Decision.Used, e.Missing, e.Status = false, postern.ReasonInsufficientScope, "", "crm.objects.write", 403
		}
		l.Record(&e)
		if i%20_000 == 19_999 || i == calls-1 {
			if err := l.Flush(ctx); err != nil {
				return err
			}
		}
		if i%5_000_000 == 4_999_999 {
			fmt.Printf("%d calls after %s\n", i+1, time.Since(began).Round(time.Second))
		}
	}
	st := l.Stats()
	took := time.Since(began)
	if err := l.Tidy(ctx); err != nil {
		return err
	}
	fmt.Printf("filled with %d calls in %s (%.0f a second, %d lost); tidied in %s more\n", st.Written, took.Round(time.Second),
		float64(calls)/took.Seconds(), len(st.Dropped), (time.Since(began) - took).Round(time.Second))
	return nil
}

// ask asks for pages and prints how long they took.
func ask(ctx context.Context, l *activity.Log, rounds int) error {
	newest, _, err := l.Query(ctx, activity.Filter{Account: account}, activity.Cursor{}, 1)
	if err != nil || len(newest) == 0 {
		return fmt.Errorf("the log is empty: %w", err)
	}
	end := newest[0].At
	rng := rand.New(rand.NewPCG(5, 6))
	some := func() time.Time { return end.Add(-time.Duration(rng.Int64N(int64(days * 24 * time.Hour)))) }
	point, err := times(rounds*5, func() error {
		_, err := l.LastUsed(ctx, account, []postern.KeyID{key(rng.IntN(keys))})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("\n%-54s %10s %10s %10s %10s %12s\n", "", "p50", "p95", "most", "cpu", "p50 / point")
	base := point.clock[len(point.clock)/2]
	tell("an indexed read of one row", point, base)
	for _, c := range []struct {
		name   string
		filter func() activity.Filter
	}{
		{"the newest", func() activity.Filter { return activity.Filter{} }},
		{"from some time on", func() activity.Filter { return activity.Filter{Until: some()} }},
		{"of a key", func() activity.Filter { return activity.Filter{Key: key(rng.IntN(keys)), Until: some()} }},
		{"of an operation that is called often", func() activity.Filter { return activity.Filter{Operation: "operation3", Until: some()} }},
		{"of an operation that is called seldom", func() activity.Filter { return activity.Filter{Operation: "operation350", Until: some()} }},
		{"refused, by reason", func() activity.Filter {
			return activity.Filter{Reason: postern.ReasonInsufficientScope, Until: some()}
		}},
		{"with a status that is rare", func() activity.Filter { return activity.Filter{Status: 503} }},
		{"from an address", func() activity.Filter {
			return activity.Filter{IP: fmt.Sprintf("10.0.%d.1", rng.IntN(keys)), Until: some()}
		}},
		{"from an address that came once", func() activity.Filter { return activity.Filter{IP: "203.0.113.77"} }},
		{"from an address that never came", func() activity.Filter { return activity.Filter{IP: "203.0.113.99"} }},
		{"by a user agent that came once", func() activity.Filter { return activity.Filter{UserAgent: "rarely-seen"} }},
		{"by a user agent that never came", func() activity.Filter { return activity.Filter{UserAgent: "Nobody/1"} }},
		{"with a request ID", func() activity.Filter { return activity.Filter{RequestID: newest[0].RequestID[:24] + "000000000001"} }},
		{"of a key, from an address that came once", func() activity.Filter { return activity.Filter{Key: key(3), IP: "203.0.113.77"} }},
	} {
		took, err := times(rounds, func() error {
			f := c.filter()
			f.Account = account
			_, _, err := l.Query(ctx, f, activity.Cursor{}, 50)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		tell("a page of 50, "+c.name, took, base)
	}
	return nil
}

// cost is what something took: by the clock, and of this process's processor time,
// which says more on a machine that others use. PostgreSQL's is not in it.
type cost struct {
	clock []time.Duration // the shortest first
	cpu   time.Duration   // on average
}

// times runs fn so often, and gives what it took.
func times(n int, fn func() error) (cost, error) {
	out := make([]time.Duration, 0, n)
	before := cpu()
	for range n {
		start := time.Now()
		if err := fn(); err != nil {
			return cost{}, err
		}
		out = append(out, time.Since(start))
	}
	used := (cpu() - before) / time.Duration(n)
	slices.Sort(out)
	return cost{out, used}, nil
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func tell(name string, c cost, base time.Duration) {
	took := c.clock
	p50, p95, most := took[len(took)/2], took[len(took)*95/100], took[len(took)-1]
	fmt.Printf("%-54s %10s %10s %10s %10s %12.1f\n", name, p50.Round(10*time.Microsecond), p95.Round(10*time.Microsecond), most.Round(10*time.Microsecond), c.cpu.Round(10*time.Microsecond), float64(p50)/float64(base))
}
