package limit

import "time"

// Mode says how a limit is held that several nodes have in common.
type Mode string

// The modes.
const (
	Together Mode = "together" // the nodes count in one place
	Shared   Mode = "share"    // each node allows its part
	Allow    Mode = "allow"    // the place is away, and nothing is limited meanwhile
	Refuse   Mode = "refuse"   // the place is away, and what has a limit is refused with 503 meanwhile
)

// Modes are those that an operator may choose for when the place is away.
func Modes() []Mode { return []Mode{Shared, Allow, Refuse} }

// Taken is what came of taking one call of a limit that nodes have in common.
type Taken struct {
	Mode Mode
	// Where Mode is Together:
	OK    bool
	Left  int64         // calls that are left
	Reset time.Duration // until all of them are there again
	// Retry is after what time the next call may come, where this one may not.
	Retry time.Duration
}

// State is how the limits are held now.
type State struct {
	Mode   Mode
	Since  time.Time
	Why    string // the place is away; empty while it isn't
	Asked  int64  // questions to it
	Failed int64  // those without a good answer in time
}
