//go:build race

package activity_test

// raceEnabled reports whether the race detector slows everything down.
const raceEnabled = true
