package auditlog

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof is that an entry is in the tree of the first entries.
func Proof(seq, size int64, stored tlog.HashReader) ([]Hash, error) {
	if seq < 1 || seq > size {
		return nil, fmt.Errorf("auditlog: no proof of entry %d in %d", seq, size)
	}
	return tlog.ProveRecord(size, seq-1, stored)
}

// Growth is the proof that a tree holds the one of its first entries.
func Growth(from, to int64, stored tlog.HashReader) ([]Hash, error) {
	if from < 1 || from > to {
		return nil, fmt.Errorf("auditlog: no proof from %d to %d", from, to)
	}
	return tlog.ProveTree(to, from, stored)
}

// RootAt is the root of the first entries, by the stored hashes.
func RootAt(size int64, stored tlog.HashReader) (Hash, error) { return tlog.TreeHash(size, stored) }

// Remembering reads each hash once: proofs of many entries share most of them.
func Remembering(stored tlog.HashReader) tlog.HashReader {
	known := map[int64]Hash{}
	return tlog.HashReaderFunc(func(at []int64) ([]Hash, error) {
		var missing []int64
		for _, n := range at {
			if _, ok := known[n]; !ok {
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			got, err := stored.ReadHashes(missing)
			if err != nil {
				return nil, err
			}
			if len(known) > 100_000 {
				clear(known)
				missing, got = at, nil
				if got, err = stored.ReadHashes(at); err != nil {
					return nil, err
				}
			}
			for i, n := range missing {
				known[n] = got[i]
			}
		}
		out := make([]Hash, len(at))
		for i, n := range at {
			out[i] = known[n]
		}
		return out, nil
	})
}
