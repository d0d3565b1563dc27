package activity_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"postern.dev/postern/internal/activity"
)

// crasher names the database that a child of this test writes to until it is killed.
const crasher = "POSTERN_ACTIVITY_CRASHER"

// TestKillLosesOneBatch kills a process that records a call each millisecond,
// and counts what is missing of those that it had reported as recorded.
func TestKillLosesOneBatch(t *testing.T) {
	if target := os.Getenv(crasher); target != "" {
		recordUntilKilled(t, target)
	}
	engines(t, func(t *testing.T, target string) {
		open(t, activity.Config{Target: target}).Close() // makes the tables
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillLosesOneBatch$")
		cmd.Env = append(os.Environ(), crasher+"="+target)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var last int
		var at, begun time.Time
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				continue
			}
			if at = time.Now(); begun.IsZero() {
				begun = at
			}
			if time.Since(begun) > 600*time.Millisecond {
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait()

		l := open(t, activity.Config{Target: target})
		kept := all(t, l, activity.Filter{Account: acme}, 200)
		if len(kept) == 0 {
			t.Fatal("nothing is kept")
		}
		lost := at.Sub(kept[0].At)
		t.Logf("recorded %d, kept %d, lost the last %v", last, len(kept), lost)
		if lost > time.Second {
			t.Errorf("the last %v are lost, want what a batch waits for", lost)
		}
		for i, a := range kept {
			if want := fmt.Sprintf("/n/%d", len(kept)-i); a.Path != want {
				t.Fatalf("call %d from the end is %s, want %s: no gaps", i, a.Path, want)
			}
		}
		equalTotals(t, l)
	})
}

func recordUntilKilled(t *testing.T, target string) {
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	l := open(t, activity.Config{Target: target, Now: now})
	go l.Run(context.Background())
	for i := 1; ; i++ {
		l.Record(call(now(), path(i)))
		fmt.Println(i)
		time.Sleep(time.Millisecond)
	}
}
