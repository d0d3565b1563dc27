package auditlog

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a hash of the tree.
type Hash = tlog.Hash

// LeafHash is the hash of an entry: SHA-256 over a zero byte and its text.
func LeafHash(s string) Hash {
	var room [1024]byte
	return sha256.Sum256(append(append(room[:0], 0), s...))
}

func nodeHash(left, right *Hash) Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// Tree grows entry by entry. It holds one hash for each whole subtree on its right
// edge, and so takes no more room for a million entries than for ten.
type Tree struct {
	size  int64
	peaks []Hash
	added []Hash
}

// Size is the number of entries.
func (t *Tree) Size() int64 { return t.size }

// Add appends an entry's hash, and gives the hashes to store for it: its own, and
// that of each subtree that it completes. They are good until the next Add.
func (t *Tree) Add(leaf Hash) []Hash {
	t.added = append(t.added[:0], leaf)
	for n := t.size; n&1 == 1; n >>= 1 {
		left := &t.peaks[len(t.peaks)-1]
		leaf = nodeHash(left, &leaf)
		t.peaks = t.peaks[:len(t.peaks)-1]
		t.added = append(t.added, leaf)
	}
	t.peaks = append(t.peaks, leaf)
	t.size++
	return t.added
}

// Root is the hash of the whole tree; of an empty one, that of nothing.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	root := t.peaks[len(t.peaks)-1]
	for i := len(t.peaks) - 2; i >= 0; i-- {
		root = nodeHash(&t.peaks[i], &root)
	}
	return root
}

// edge are the places of the hashes on the right edge of a tree.
func edge(size int64) (at []int64) {
	var before int64
	for level := 62; level >= 0; level-- {
		if size&(1<<level) != 0 {
			at = append(at, tlog.StoredHashIndex(level, before>>level))
			before += 1 << level
		}
	}
	return at
}

// Grown is a tree of a size, so that it can grow from there, from stored hashes.
// They are only believed where they make root.
func Grown(size int64, root Hash, stored tlog.HashReader) (*Tree, error) {
	t := &Tree{size: size}
	if at := edge(size); len(at) > 0 {
		hashes, err := stored.ReadHashes(at)
		if err != nil {
			return nil, err
		}
		t.peaks = append(t.peaks, hashes...)
	}
	if got := t.Root(); got != root {
		return nil, fmt.Errorf("the stored hashes of the first %d entries make the root %s, and %s was signed", size, got, root)
	}
	return t, nil
}

// placeOf is which entries a stored hash is over: the first and the last.
func placeOf(n int64) (first, last int64) {
	level, i := tlog.SplitStoredHashIndex(n)
	return i<<level + 1, (i + 1) << level
}

// firstHash is the place of an entry's own hash; those that it completes follow.
func firstHash(seq int64) int64 { return tlog.StoredHashIndex(0, seq-1) }

// CheckGrowth checks by a consistency proof from the stored hashes that a tree
// holds an earlier one, and that they are the hashes of the tree.
func CheckGrowth(was int64, wasRoot Hash, is int64, isRoot Hash, stored tlog.HashReader) error {
	root, err := tlog.TreeHash(is, stored)
	if err != nil {
		return err
	}
	if root != isRoot {
		return fmt.Errorf("the stored hashes of %d entries make the root %s, and the entries make %s", is, root, isRoot)
	}
	if was == 0 {
		return nil
	}
	proof, err := tlog.ProveTree(is, was, stored)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, is, isRoot, was, wasRoot)
}
