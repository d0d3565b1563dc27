package verify_test

import "postern.dev/postern/internal/verify"

// bug is a mistake that is planted on purpose: the harness must find it.
type bug int

const (
	noBug bug = iota
	bugReadsFirst
	bugCountsLate
	bugConfirmsFirst
	bugSequence
	bugTrustingClock
	bugSlowClock
	bugLeasesBefore
	bugDropsEarly
	bugForgets
	bugWrongRefusal
	bugGuesses
	bugs
)

var bugNames = [bugs]string{
	"none",
	"reads the feed before the lease is written",
	"counts the lease from the answer",
	"confirms a change before it has applied it",
	"numbers changes by a sequence instead of the counter row",
	"trusts its lease after a pause",
	"has a clock that is slower than the margin allows",
	"reads the table of leases before the revocation is committed",
	"gives its lease back and decides on",
	"forgets revocations when an operator accepts a feed that went back",
	"answers that a key is unknown where it can't tell",
	"takes a lost answer to a commit for success",
}

func (b bug) String() string { return bugNames[b] }

// plant makes a node's mistakes; the others are made by the store, the clock and the clients.
func (b bug) plant(v *verify.Verifier) {
	switch b {
	case bugReadsFirst:
		verify.TakeSteps(v, "note", "read", "write", "extend", "confirm")
	case bugCountsLate:
		verify.TakeSteps(v, "write", "read", "note", "extend", "confirm")
	case bugConfirmsFirst:
		verify.TakeSteps(v, "note", "write", "confirm head", "read", "extend")
	}
}

// needs are the faults without which the bug does no harm: the plans that look for it have them.
func (b bug) needs() []actKind {
	switch b {
	case bugReadsFirst:
		return []actKind{actSlow, actCrash, actJoin, actLossy}
	case bugCountsLate, bugLeasesBefore:
		return []actKind{actSlow, actCut, actNarrow}
	case bugTrustingClock:
		return []actKind{actStop}
	case bugSlowClock:
		return []actKind{actCut}
	case bugDropsEarly:
		return []actKind{actLeave}
	case bugForgets:
		return []actKind{actFailover}
	case bugGuesses:
		return []actKind{actLossy}
	}
	return nil
}

// foundBy is a seed close below one that finds the bug.
func (b bug) foundBy() uint64 {
	return map[bug]uint64{bugReadsFirst: 46, bugCountsLate: 19, bugLeasesBefore: 13}[b]
}
