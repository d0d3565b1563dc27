package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

const (
	pageSize = 50
	limit    = 200 * time.Millisecond // what 95 of 100 pages must stay under
)

// asker asks for pages of a filled log.
type asker struct {
	l     *activity.Log
	rng   *rand.Rand
	calls int       // how many there are
	end   time.Time // of the newest
}

// question is a filter with another value each time.
type question struct {
	name   string
	filter func() activity.Filter
}

// ask asks every question once without a clock, so that caches are as those of a
// server that runs, and then prints what the pages took.
func ask(ctx context.Context, l *activity.Log, rounds int) error {
	calls, err := recorded(ctx, l)
	if err != nil || calls == 0 {
		return errors.Join(errors.New("the log is empty"), err)
	}
	newest, _, err := l.Query(ctx, activity.Filter{Account: account}, activity.Cursor{}, 1)
	if err != nil {
		return err
	}
	a := &asker{l: l, rng: rand.New(rand.NewPCG(5, 6)), calls: calls, end: newest[0].At}
	point, err := times(rounds*5, func() error {
		_, err := l.LastUsed(ctx, account, []postern.KeyID{key(a.rng.IntN(keys))})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("\n%d calls; pages of %d: for each of %d values the first page, the one after it, one from somewhere in the %d days, and the one after that.\n",
		a.calls, pageSize, rounds, days)
	fmt.Print("Caches are warm: each question was asked before, with other values.\n\n")
	fmt.Printf("%-52s %9s %9s %9s %9s %8s %6s %9s\n", "", "p50", "p95", "most", "cpu", "blocks", "short", "p50/point")
	base := point.clock[len(point.clock)/2]
	fmt.Printf("%-52s %9s %9s %9s %9s %8s %6s %9.1f\n", "an indexed read of one row", short(base), short(point.at(95)), short(point.at(100)), short(point.cpu), "", "", 1.0)
	over := 0
	for _, q := range a.questions() {
		if _, err := a.pages(ctx, q, max(1, rounds/8)); err != nil {
			return err
		}
		c, err := a.pages(ctx, q, rounds)
		if err != nil {
			return err
		}
		if c.at(95) > limit {
			over++
		}
		fmt.Printf("%-52s %9s %9s %9s %9s %8.1f %6d %9.1f\n", q.name, short(c.at(50)), short(c.at(95)), short(c.at(100)), short(c.cpu), c.blocks, c.short, float64(c.at(50))/float64(base))
	}
	if over > 0 {
		return fmt.Errorf("of %d filters p95 is over %v", over, limit)
	}
	return nil
}

func short(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

// questions are those that the explorer's page asks: of what is often, seldom, once, and never there.
func (a *asker) questions() []question {
	some := func() int { return a.rng.IntN(keys) }
	no := false
	address := func() string { return fmt.Sprintf("10.0.%d.%d", some(), a.rng.IntN(3)) }
	operation := func(k int) string { return fmt.Sprintf("operation%d", (k*7+29*a.rng.IntN(12))%operations) }
	rare := func() int { return a.rng.IntN(once) }
	return []question{
		{"no filter", func() activity.Filter { return activity.Filter{} }},
		{"a time", func() activity.Filter {
			from := a.somewhere()
			return activity.Filter{Since: from, Until: from.Add(time.Hour)}
		}},
		{"a key", func() activity.Filter { return activity.Filter{Key: key(some())} }},
		{"a key that is not there", func() activity.Filter { return activity.Filter{Key: key(keys + some())} }},
		{"an operation", func() activity.Filter {
			return activity.Filter{Operation: fmt.Sprintf("operation%d", a.rng.IntN(operations))}
		}},
		{"an operation that is not there", func() activity.Filter {
			return activity.Filter{Operation: fmt.Sprintf("operation%d", operations+some())}
		}},
		{"a status: 403", func() activity.Filter { return activity.Filter{Status: 403} }},
		{"a status that is rare: 503", func() activity.Filter { return activity.Filter{Status: 503} }},
		{"a status that is not there", func() activity.Filter { return activity.Filter{Status: 500 + []int{0, 1, 2, 4, 5}[a.rng.IntN(5)]} }},
		{"a reason", func() activity.Filter { return activity.Filter{Reason: postern.ReasonInsufficientScope} }},
		{"a reason that is not there", func() activity.Filter { return activity.Filter{Reason: postern.ReasonRevoked} }},
		{"an address", func() activity.Filter { return activity.Filter{IP: address()} }},
		{"an address that came once", func() activity.Filter { return activity.Filter{IP: onceAddress(rare())} }},
		{"an address that is not there", func() activity.Filter { return activity.Filter{IP: fmt.Sprintf("198.51.100.%d", some())} }},
		{"a user agent", func() activity.Filter { return activity.Filter{UserAgent: fmt.Sprintf("integration-%d/", some())} }},
		{"a user agent that came once", func() activity.Filter { return activity.Filter{UserAgent: onceAgent(rare())} }},
		{"a user agent that is not there", func() activity.Filter { return activity.Filter{UserAgent: fmt.Sprintf("nobody-%d/1", some())} }},
		{"a user agent much like those there", func() activity.Filter {
			return activity.Filter{UserAgent: fmt.Sprintf("integration-%d/2.1", keys+some())}
		}},
		{"a request ID", func() activity.Filter { return activity.Filter{RequestID: request(a.rng.IntN(a.calls))} }},
		{"a request ID that is not there", func() activity.Filter { return activity.Filter{RequestID: request(a.calls + a.rng.IntN(a.calls))} }},
		{"a key and its operation", func() activity.Filter {
			k := some()
			return activity.Filter{Key: key(k), Operation: operation(k)}
		}},
		{"a key and an operation that it never called", func() activity.Filter {
			return activity.Filter{Key: key(3), Operation: fmt.Sprintf("operation%d", (3*7+29*a.rng.IntN(12)+1)%operations)}
		}},
		{"a key, refused", func() activity.Filter { return activity.Filter{Key: key(some()), Allowed: &no} }},
		{"a key that was never refused, refused", func() activity.Filter { return activity.Filter{Key: key(obedient), Allowed: &no} }},
		{"a key and a status that is rare", func() activity.Filter { return activity.Filter{Key: key(a.rng.IntN(20)), Status: 503} }},
		{"a key's first secret, long not used", func() activity.Filter { return activity.Filter{Key: key(rotated), Generation: 1} }},
		{"a key and an address that came once", func() activity.Filter { return activity.Filter{Key: key(a.rng.IntN(20)), IP: onceAddress(rare())} }},
		{"a key and another key's address", func() activity.Filter {
			k := a.rng.IntN(20)
			return activity.Filter{Key: key(k), IP: fmt.Sprintf("10.0.%d.1", k+1)}
		}},
		{"an operation, refused", func() activity.Filter {
			return activity.Filter{Operation: fmt.Sprintf("operation%d", a.rng.IntN(operations)), Reason: postern.ReasonInsufficientScope}
		}},
		{"an address, a status, a user agent, a day", func() activity.Filter {
			k, from := a.rng.IntN(20), a.somewhere()
			return activity.Filter{IP: fmt.Sprintf("10.0.%d.1", k), Status: 403, UserAgent: fmt.Sprintf("integration-%d/", k), Since: from.Add(-24 * time.Hour), Until: from}
		}},
	}
}

// somewhere is a time of which there are calls.
func (a *asker) somewhere() time.Time {
	return a.end.Add(-time.Duration(a.rng.Int64N(int64(days * 24 * time.Hour))))
}

// pages asks a question so often, and gives what its pages took.
func (a *asker) pages(ctx context.Context, q question, rounds int) (cost, error) {
	var clock []time.Duration
	blocks, short := activity.BlocksRead(), 0
	before := cpu()
	for range rounds {
		f := q.filter()
		f.Account = account
		for _, from := range []activity.Cursor{{}, {At: postern.ToMicros(a.somewhere())}} {
			for range 2 {
				start := time.Now()
				page, next, err := a.l.Query(ctx, f, from, pageSize)
				if err != nil {
					return cost{}, fmt.Errorf("%s: %w", q.name, err)
				}
				clock = append(clock, time.Since(start))
				if from = next; next.Zero() {
					break
				}
				if len(page) < pageSize {
					short++
				}
			}
		}
	}
	n := len(clock)
	slices.Sort(clock)
	return cost{clock, (cpu() - before) / time.Duration(n), float64(activity.BlocksRead()-blocks) / float64(n), short}, nil
}

// cost is what something took: by the clock, and of this process's processor time,
// which says more on a machine that others use. PostgreSQL's is not in it.
type cost struct {
	clock  []time.Duration // the shortest first
	cpu    time.Duration   // on average
	blocks float64         // that were read, on average
	short  int             // how many pages were cut off since they took too long
}

func (c *cost) at(percent int) time.Duration {
	return c.clock[min(len(c.clock)-1, len(c.clock)*percent/100)]
}

// times runs fn so often, and gives what it took.
func times(n int, fn func() error) (cost, error) {
	clock := make([]time.Duration, 0, n)
	before := cpu()
	for range n {
		start := time.Now()
		if err := fn(); err != nil {
			return cost{}, err
		}
		clock = append(clock, time.Since(start))
	}
	slices.Sort(clock)
	return cost{clock: clock, cpu: (cpu() - before) / time.Duration(n)}, nil
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
