package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

const (
	account    = postern.AccountID("acc_bench")
	days       = 30
	keys       = 200
	operations = 353
	once       = 200     // how many calls come from an address and a program that come once
	obedient   = 7       // the key that is never refused
	held       = 1 << 17 // how many calls wait to be written at most
	rotated    = 5       // the key whose first secret was used in the first tenth of the time only
)

func key(i int) postern.KeyID { return postern.KeyID(fmt.Sprintf("benchkey%08d", i)) }

// request is the request ID of call i: no two have the same, and their order says nothing.
func request(i int) string {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(h), i)
}

func onceAddress(n int) string { return fmt.Sprintf("203.0.113.%d", n) }
func onceAgent(n int) string   { return fmt.Sprintf("seldom-%c%c/0.1", 'a'+n%20, 'a'+n/20) }

// made is call i of n, evenly over the days from a start: some keys call far more
// often than others, each a dozen operations from three addresses. One call in 50 is
// refused, one in 100,000 fails, and some come from an address of their own.
func made(rng *rand.Rand, ops []*postern.Operation, start time.Time, i, n int) *postern.Event {
	k := rng.IntN(rng.IntN(keys) + 1)
	op := (k*7 + 29*rng.IntN(12)) % operations
	e := &postern.Event{At: postern.ToMicros(start.Add(time.Duration(i) * (days * 24 * time.Hour / time.Duration(n)))), Door: postern.DoorGateway, Method: "GET",
		Path:      fmt.Sprintf("/crm/v3/objects/%d/%d", op, rng.IntN(100_000)),
		UserAgent: fmt.Sprintf("integration-%d/2.1", k), IP: netip.AddrFrom4([4]byte{10, 0, byte(k), byte(rng.IntN(3))}), Status: 200,
		Duration: time.Duration(rng.IntN(200_000)) * time.Microsecond, BytesOut: rng.Int64N(50_000), RequestID: request(i)}
	e.Decision = postern.Decision{Allowed: true, Reason: postern.ReasonAllowed, Kind: postern.KindServiceKey, Gen: 1, Known: true, Account: account,
		Operation: ops[op], Used: fmt.Sprintf("crm.objects.%d.read", op%40)}
	copy(e.Decision.Key[:], key(k))
	if k == rotated && i > n/10 {
		e.Decision.Gen = 2
	}
	each := max(1, n/once)
	switch {
	case i%each == each/2 && i/each < once:
		e.IP, e.UserAgent = netip.MustParseAddr(onceAddress(i/each)), onceAgent(i/each)
	case i%100_000 == 50_000:
		e.Status = 503
	case i%50 == 7 && k != obedient:
		e.Decision.Allowed, e.Decision.Reason, e.Decision.Used, e.Missing, e.Status = false, postern.ReasonInsufficientScope, "", "crm.objects.write", 403
	}
	return e
}

// fill records the calls up to n that aren't there, of the days before now. It ends
// early, with all that it recorded written, when ctx is done.
func fill(ctx context.Context, l *activity.Log, now time.Time, n int) error {
	start, from, err := filled(context.WithoutCancel(ctx), l)
	if err != nil {
		return err
	}
	if from == 0 {
		start = now.Add(-days * 24 * time.Hour)
	}
	rng := rand.New(rand.NewPCG(1, uint64(from)))
	ops := make([]*postern.Operation, operations)
	for i := range ops {
		ops[i] = &postern.Operation{Upstream: "crm", Name: fmt.Sprintf("operation%d", i), Method: "GET", Path: fmt.Sprintf("/crm/v3/objects/%d/{id}", i)}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }()
	began, i := time.Now(), from
	for ; i < n && ctx.Err() == nil; i++ {
		l.Record(made(rng, ops, start, i, n))
		// As fast as calls are written, and no faster.
		for i%1000 == 999 && l.Stats().Buffered > held*3/4 {
			time.Sleep(time.Millisecond)
		}
		if i%2_000_000 == 1_999_999 {
			fmt.Printf("%d calls after %s\n", i+1, time.Since(began).Round(time.Second))
		}
	}
	stop()
	if err := errors.Join(<-done, l.Flush(context.WithoutCancel(ctx))); err != nil { // Run gives up what takes long
		return err
	}
	st := l.Stats()
	if len(st.Dropped) > 0 || st.Written != uint64(i-from) {
		return fmt.Errorf("%d of %d calls were written; lost: %v", st.Written, i-from, st.Dropped)
	}
	if i < n {
		return fmt.Errorf("stopped after %d calls: the same command goes on", i)
	}
	if took := time.Since(began); i > from {
		fmt.Printf("recorded %d calls in %s: %.0f a second, with %s of this process's processor time\n", n-from, took.Round(time.Second), float64(n-from)/took.Seconds(), cpu().Round(time.Second))
	}
	began = time.Now()
	if err := l.Tidy(ctx); err != nil {
		return err
	}
	fmt.Printf("small blocks merged, and what finds rare calls made, in %s\n", time.Since(began).Round(100*time.Millisecond))
	return nil
}

var errEnough = errors.New("enough")

// filled tells how many calls an earlier run recorded, and when the first of them was.
func filled(ctx context.Context, l *activity.Log) (start time.Time, n int, err error) {
	if n, err = recorded(ctx, l); err != nil || n == 0 {
		return start, n, err
	}
	err = l.Each(ctx, activity.Filter{Account: account}, func(a *postern.Activity) error {
		start = a.At
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return start, n, err
}

// recorded is how many calls there are: the newest's request ID ends with its number.
func recorded(ctx context.Context, l *activity.Log) (int, error) {
	newest, _, err := l.Query(ctx, activity.Filter{Account: account}, activity.Cursor{}, 1)
	if err != nil || len(newest) == 0 {
		return 0, err
	}
	last, err := strconv.ParseInt(newest[0].RequestID[24:], 16, 64)
	return int(last) + 1, err
}
