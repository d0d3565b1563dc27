package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps what this process holds in memory, secrets that pass through it
// too, out of core dumps and out of reach of other processes of the same user.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid dumping memory: %w", err)
	}
	return nil
}
