package model_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/store/storetest"
)

var (
	operations = flag.Int("ops", 6_000, "random operations on each engine; the full run has 200000")
	firstSeed  = flag.Uint64("seed", 1, "seed of the first sequence")
)

// sequence is how many operations one world lives.
const sequence = 2_000

// acts are what can happen, how often, and the smallest shares, in per cent, of
// those that must be done and must be refused for the run to be worth something.
var acts = []struct {
	name          string
	weight        int
	done, refused int
	do            func(*world, *rand.Rand) error
}{
	{"call", 520, 15, 30, (*world).call},
	{"create key", 70, 15, 15, (*world).createKey},
	{"edit key", 100, 15, 15, (*world).editKey},
	{"rotate key", 60, 10, 15, (*world).rotateKey},
	{"end rotation", 35, 10, 15, (*world).endRotation},
	{"ask again", 30, 10, 15, (*world).askAgain},
	{"revoke key", 14, 25, 10, (*world).revokeKey},
	{"delete key", 8, 25, 10, (*world).deleteKey},
	{"read key", 10, 25, 10, (*world).readKey},
	{"invite", 18, 15, 15, (*world).invite},
	{"edit member", 22, 10, 15, (*world).editMember},
	{"remove member", 6, 5, 10, (*world).removeMember},
	{"change role", 18, 10, 15, (*world).changeRole},
	{"create personal", 14, 15, 10, (*world).createPersonal},
	{"revoke personal", 6, 10, 10, (*world).revokePersonal},
	{"suspend", 5, 10, 10, (*world).suspend},
	{"limit days", 5, 10, 10, (*world).limitDays},
	{"load catalog", 5, 10, 10, (*world).loadCatalog},
	{"wait", 45, 0, 0, (*world).wait},
	{"restart", 2, 0, 0, (*world).restart},
	{"read back", 4, 0, 0, func(w *world, _ *rand.Rand) error { return w.readBack() }},
}

// step does one operation, which its number and the seed decide.
func (w *world) step(seed uint64, i int) error {
	r := random(seed, i)
	w.operations++
	if w.m.Accounts[1].Suspended && chance(r, 0.04) {
		w.kind = "suspend"
		return w.suspend(r)
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	x := r.IntN(total)
	for _, a := range acts {
		if x -= a.weight; x < 0 {
			w.kind = a.name
			return a.do(w, r)
		}
	}
	panic("the weights don't add up")
}

// disagreement is where the model and the real thing part.
type disagreement struct {
	at  int // the place in the list of operations
	err error
	log []string
}

// play lives through the operations of a seed that are listed, and gives the
// first disagreement.
func play(t *testing.T, target string, seed uint64, ops []int, bug model.Bug, everything bool) (counts, *disagreement) {
	w := newWorld(t, target, seed, bug)
	w.everything = everything
	for at, i := range ops {
		if err := w.step(seed, i); err != nil {
			return w.counts, &disagreement{at, err, w.last}
		}
	}
	if err := w.readBack(); err != nil {
		return w.counts, &disagreement{len(ops) - 1, err, w.last}
	}
	return w.counts, nil
}

func upTo(n int) (ops []int) {
	for i := range n {
		ops = append(ops, i)
	}
	return ops
}

func TestKeyringAndVerifierAreAsTheModel(t *testing.T) {
	for _, engine := range []struct {
		name   string
		target func(testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			start, sum := time.Now(), counts{codes: map[string]int{}, reasons: map[string]int{}, kinds: map[string]tally{}}
			for seed := *firstSeed; sum.operations < *operations; seed++ {
				ops := upTo(min(sequence, *operations-sum.operations))
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					c, d := play(t, engine.target(t), seed, ops, model.BugNone, false)
					sum.add(c)
					if d != nil {
						t.Errorf("seed %d, operation %d: %v\n%s", seed, d.at, d.err, strings.Join(d.log, "\n"))
						shrink(t, engine.target, seed, ops[:d.at+1])
					}
				})
				if t.Failed() || t.Skipped() {
					return
				}
			}
			sum.enough(t)
			t.Logf("%s, seeds from %d: %v, 0 disagreements, %s", engine.name, *firstSeed, &sum, time.Since(start).Round(time.Second))
		})
	}
}

// TestEveryPlantedBugIsFound is the run that must fail: the same harness with a
// model that has one rule wrong.
func TestEveryPlantedBugIsFound(t *testing.T) {
	const most = 12_000
	for _, bug := range model.Bugs() {
		t.Run(strings.ReplaceAll(string(bug), " ", "_"), func(t *testing.T) {
			done := 0
			for seed := uint64(1); done < most; seed++ {
				c, d := play(t, storetest.SQLite(t), seed, upTo(sequence), bug, false)
				done += c.operations
				if d == nil {
					continue
				}
				if _, also := play(t, storetest.SQLite(t), seed, upTo(d.at+1), model.BugNone, false); also != nil {
					t.Fatalf("seed %d, operation %d: the model without the bug disagrees too: %v", seed, also.at, also.err)
				}
				t.Logf("found after %d operations: %.200s", done, d.err)
				return
			}
			t.Errorf("not found in %d operations", done)
		})
	}
}

func (c *counts) add(o counts) {
	c.operations += o.operations
	c.changes += o.changes
	c.refused += o.refused
	c.verifications += o.verifications
	c.allowed += o.allowed
	c.readings += o.readings
	for k, n := range o.kinds {
		c.kinds[k] = tally{c.kinds[k].asked + n.asked, c.kinds[k].done + n.done}
	}
	for k, n := range o.codes {
		c.codes[k] += n
	}
	for k, n := range o.reasons {
		c.reasons[k] += n
	}
}

// enough fails where the operations have become too much alike to find anything.
func (c *counts) enough(t *testing.T) {
	t.Helper()
	for _, a := range acts {
		k := c.kinds[a.name]
		if a.done+a.refused > 0 && (k.asked == 0 || k.done*100 < a.done*k.asked || (k.asked-k.done)*100 < a.refused*k.asked) {
			t.Errorf("%s: %d asked for, %d done; want at least %d %% done and %d %% refused", a.name, k.asked, k.done, a.done, a.refused)
		}
	}
	// Brownouts are of imported credentials, which the model doesn't know, nor limits that several nodes count.
	never := []postern.Reason{postern.ReasonBadRequest, postern.ReasonUnavailable, postern.ReasonBrownout, postern.ReasonLimitsAway}
	for _, reason := range postern.Reasons() {
		if !slices.Contains(never, reason) && c.reasons[reason.String()] == 0 {
			t.Errorf("no call ended with %s", reason)
		}
	}
	for _, code := range []string{model.Invalid, model.Forbidden, model.Insufficient, model.NotFound, model.Conflict, model.Precondition} {
		if c.codes[code] == 0 {
			t.Errorf("no change ended with %s", code)
		}
	}
}

func (c *counts) String() string {
	var kinds strings.Builder
	for _, a := range acts {
		if k := c.kinds[a.name]; k.asked > 0 {
			fmt.Fprintf(&kinds, "\n    %-15s %6d done %6d refused", a.name, k.done, k.asked-k.done)
		}
	}
	return fmt.Sprintf("%d operations: %d changes asked for (%d refused) %v; %d verifications (%d allowed) %v; %d readings of everything%s\n   ",
		c.operations, c.changes, c.refused, c.codes, c.verifications, c.allowed, c.reasons, c.readings, kinds.String())
}
