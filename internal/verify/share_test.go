package verify

import (
	"testing"
	"time"

	"postern.dev/postern"
)

// The parts of a limit are never less than the whole, and never more than a call
// for each node above it.
func TestShare(t *testing.T) {
	for calls := int64(1); calls <= 200; calls++ {
		whole := burstOf(postern.Rate{Calls: calls, Per: 10 * time.Second})
		for nodes := int64(0); nodes <= 9; nodes++ {
			part := whole.share(nodes)
			sum := part.calls * max(1, nodes)
			if sum < calls || sum >= calls+max(1, nodes) || part.window != whole.window || part.calls < 1 {
				t.Fatalf("%d calls shared by %d nodes: %d each", calls, nodes, part.calls)
			}
		}
	}
	if none := (burst{}).share(3); none.limited() {
		t.Errorf("no limit shared by three is %+v", none)
	}
}

// What all nodes wrote counts, and what came here while it was read; nothing goes back.
func TestMergeOfDays(t *testing.T) {
	var d day
	d.used.Store(10)
	d.merge(25, 10)
	if n := d.used.Load(); n != 25 {
		t.Errorf("10 here, 25 written by all: %d, want 25", n)
	}
	d.used.Add(5) // while it is read
	d.merge(27, 25)
	if n := d.used.Load(); n != 32 {
		t.Errorf("27 written by all and 5 since: %d, want 32", n)
	}
	d.merge(3, 32)
	if n := d.used.Load(); n != 32 {
		t.Errorf("a count went back to %d", n)
	}
}
