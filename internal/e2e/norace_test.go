//go:build !race

package e2e

// raceEnabled says that the binary is built without the race detector, as its tests are.
const raceEnabled = false
