package postern

import (
	"slices"
	"testing"
)

func TestNewKeyIDs(t *testing.T) {
	ids := NewKeyIDs(70_000)
	for _, id := range ids {
		if !id.Valid() || id[:KeyIDLen-4] != ids[0][:KeyIDLen-4] {
			t.Fatalf("%q after %q", id, ids[0])
		}
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("the IDs are not in order, or one is there twice")
	}
	if again := NewKeyIDs(1)[0]; again[:KeyIDLen-4] == ids[0][:KeyIDLen-4] {
		t.Error("two lists begin alike")
	}
}
