package e2e

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

// A server that crashes leaves no image of its memory, which secrets pass through.
func TestServerLeavesNoCore(t *testing.T) {
	none := regexp.MustCompile(`(?m)^Max core file size +0 +0 `)
	limits := func(pid int) []byte {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil {
			t.Skip("only Linux tells the limits of a process")
		}
		return b
	}
	s := start(t, t.TempDir(), "serve")
	if text := limits(s.cmd.Process.Pid); !none.Match(text) {
		t.Errorf("the limits of the server:\n%s\nwant no core file", text)
	}
}
