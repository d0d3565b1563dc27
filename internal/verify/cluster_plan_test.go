package verify_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// How long the cluster of a run lives, and what it is made with.
const (
	simLease  = 12 * time.Second
	simPoll   = 2 * time.Second
	simTrial  = 30 * time.Second // in which things go wrong
	simHealed = simTrial + simLease + 6*time.Second
	simQuiet  = simHealed - 6*time.Second // after which no change begins: one that waited so long must not be the last thing that is looked at
	simKeys   = 10
)

// actKind is a thing that happens to the cluster.
type actKind uint8

const (
	actCreate actKind = iota
	actRevoke
	actDelete
	actPurge
	actPause
	actNarrow
	actExpire
	actSuspend
	actAskAgain
	actPresent
	actCrash
	actJoin
	actLeave
	actStop   // the process: SIGSTOP and, later, SIGCONT
	actSleep  // the machine: its monotonic clock stands still
	actFreeze // the virtual machine: its boot clock too
	actJump   // the wall clock is set
	actCut    // no way to the store
	actDeaf   // questions arrive, answers don't
	actSlow   // everything takes long for a while
	actLossy  // some of everything is lost for a while
	actOutage // the store is away
	actFailover
	actPrune
	actKinds

	firstFault = actCrash // what stands before it are the changes and questions of clients
)

var actNames = [actKinds]string{"create", "revoke", "delete", "purge", "pause", "narrow", "expire", "suspend", "ask again", "present",
	"crash", "join", "leave", "stop", "sleep", "freeze", "jump", "cut", "deaf", "slow", "lossy", "outage", "failover", "prune"}

var actWeights = [actKinds]int{12, 16, 5, 3, 6, 8, 3, 4, 8, 6, 4, 4, 3, 5, 3, 3, 4, 7, 4, 3, 4, 3, 3, 2}

// act is one thing that happens, at its time. What a, b and span mean is up to its kind.
type act struct {
	at   time.Duration
	kind actKind
	a, b uint32
	span time.Duration
}

func (a act) String() string {
	return fmt.Sprintf("%10.6fs %-9s a=%d b=%d span=%s", a.at.Seconds(), actNames[a.kind], a.a%97, a.b%97, a.span.Round(time.Millisecond))
}

// plan is all that a seed decides before a run. What the network does to each
// message follows from the seed too, and from which message it is, not from what
// happened before: so a plan that loses some of its acts is still much the same.
type plan struct {
	seed  uint64
	nodes int
	late  bool // a standby that takes over may lack the latest commits
	acts  []act
	bug   bug
}

func newPlan(seed uint64, b bug) *plan {
	rnd := rand.New(rand.NewPCG(seed, 77))
	p := &plan{seed: seed, nodes: 2 + rnd.IntN(2), bug: b}
	// Each run has some of the faults only: where all come at once they hide each other.
	var weights [actKinds]int
	total := 0
	for k := range weights {
		if coin := rnd.IntN(2); actKind(k) < firstFault || coin == 0 || slices.Contains(b.needs(), actKind(k)) {
			weights[k] = actWeights[k]
		}
		if slices.Contains(b.needs(), actKind(k)) {
			weights[k] *= 3
		}
	}
	if weights[actFreeze] > 0 {
		// A machine whose other clocks stood still has only its wall clock to tell; one
		// that is set back meanwhile too can't know.
		weights[actJump] = 0
	}
	for _, w := range weights {
		total += w
	}
	// A failover that loses commits is a case of its own: what was lost can't be promised.
	p.late = weights[actFailover] > 0 && rnd.IntN(3) == 0 || b == bugForgets
	mean := float64(300+rnd.IntN(900)) * float64(time.Millisecond)
	for at := 3 * time.Second; ; {
		if at += time.Duration(rnd.ExpFloat64()*mean) + 1; at > simTrial {
			return p
		}
		a := act{at: at, a: rnd.Uint32(), b: rnd.Uint32()}
		for dice := rnd.IntN(total); ; a.kind++ {
			if dice -= weights[a.kind]; dice < 0 {
				break
			}
		}
		switch rnd.IntN(4) {
		case 0:
			a.span = time.Duration(rnd.Int64N(int64(2 * time.Second)))
		case 1, 2:
			a.span = time.Duration(rnd.Int64N(int64(simLease)))
		case 3:
			a.span = time.Duration(rnd.Int64N(int64(5 * simLease / 2)))
		}
		p.acts = append(p.acts, a)
	}
}

// shrink takes acts out of a plan for as long as it goes wrong without them.
func (p *plan) shrink(wrong func(*plan) bool) *plan {
	best := *p
	for size := len(best.acts) / 2; size > 0; size /= 2 {
		for from := 0; from < len(best.acts); {
			less := best
			less.acts = slices.Delete(slices.Clone(best.acts), from, min(from+size, len(best.acts)))
			if wrong(&less) {
				best = less
			} else {
				from += size
			}
		}
	}
	return &best
}

// dice are numbers that follow from a seed and from what they are thrown for.
type dice uint64

func (p *plan) dice(what ...uint64) *dice {
	d := dice(p.seed*0x9e3779b97f4a7c15 + 1)
	for _, w := range what {
		d = dice(uint64(d.next()) ^ w*0xff51afd7ed558ccd)
	}
	return &d
}

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

func (d *dice) span(from, to time.Duration) time.Duration {
	return from + time.Duration(d.next()%uint64(to-from))
}

// hashOf tells texts apart, for dice.
func hashOf(s string) (h uint64) {
	h = 14695981039346656037
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
