package model_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/store/storetest"
)

var (
	operations = flag.Int("model.ops", 20_000, "random operations on each engine; the full run has 200000")
	firstSeed  = flag.Uint64("model.seed", 1, "seed of the first sequence")
)

// sequence is how many operations one world lives.
const sequence = 2_000

// acts are what can happen, and how often.
var acts = []struct {
	weight int
	do     func(*world, *rand.Rand) error
}{
	{520, (*world).call},
	{70, (*world).createKey},
	{100, (*world).editKey},
	{60, (*world).rotateKey},
	{35, (*world).endRotation},
	{30, (*world).askAgain},
	{20, (*world).revokeKey},
	{12, (*world).deleteKey},
	{10, (*world).readKey},
	{18, (*world).invite},
	{22, (*world).editMember},
	{6, (*world).removeMember},
	{18, (*world).changeRole},
	{14, (*world).createPersonal},
	{6, (*world).revokePersonal},
	{5, (*world).suspend},
	{5, (*world).loadCatalog},
	{60, (*world).wait},
	{2, (*world).restart},
	{4, func(w *world, _ *rand.Rand) error { return w.readBack() }},
}

// step does one operation, which its number and the seed decide.
func (w *world) step(seed uint64, i int) error {
	r := random(seed, i)
	w.operations++
	if w.m.Accounts[1].Suspended && chance(r, 0.04) {
		return w.suspend(r)
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	x := r.IntN(total)
	for _, a := range acts {
		if x -= a.weight; x < 0 {
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
			start, sum := time.Now(), counts{codes: map[string]int{}, reasons: map[string]int{}}
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
			t.Logf("%s: %v, 0 disagreements, %s", engine.name, &sum, time.Since(start).Round(time.Second))
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
				if d != nil {
					t.Logf("found after %d operations: %.200s", done, d.err)
					return
				}
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
	for k, n := range o.codes {
		c.codes[k] += n
	}
	for k, n := range o.reasons {
		c.reasons[k] += n
	}
}

func (c *counts) String() string {
	return fmt.Sprintf("%d operations: %d changes asked for (%d refused) %v; %d verifications (%d allowed) %v; %d readings of everything",
		c.operations, c.changes, c.refused, c.codes, c.verifications, c.allowed, c.reasons, c.readings)
}
