package postern

import "time"

// LeakAction is what happens to a credential of which a secret was found in the open.
type LeakAction string

// The actions. Its people are told in any case.
const (
	LeakNotify LeakAction = "notify" // and nothing else
	LeakPause  LeakAction = "pause"  // reversible; what can't be paused is ended
	LeakRevoke LeakAction = "revoke" // at once and for good
)

// LeakActions are all of them, the mildest first.
func LeakActions() []LeakAction { return []LeakAction{LeakNotify, LeakPause, LeakRevoke} }

// LeakPolicy is what an account wants done about secrets that others found. The
// zero value says nothing: an editor that knows nothing of it leaves it as it is.
type LeakPolicy struct {
	Do LeakAction
	// FindersEnd lets whoever presents a whole secret end it. A thief gains nothing by
	// that but an outage, which is the safer failure.
	FindersEnd bool
}

// DefaultLeakPolicy is that of an account that set none.
func DefaultLeakPolicy() LeakPolicy { return LeakPolicy{Do: LeakNotify, FindersEnd: true} }

// Valid reports what is wrong with it, naming the field.
func (p *LeakPolicy) Valid() error {
	switch p.Do {
	case LeakNotify, LeakPause, LeakRevoke:
		return nil
	}
	return Invalidf("leakDo", "This is notify, pause or revoke.")
}

// Facts is what the audit log keeps of it.
func (p *LeakPolicy) Facts() map[string]any {
	return map[string]any{"do": p.Do, "findersEnd": p.FindersEnd}
}

// Where a found secret was reported from.
const (
	LeakFromGitHub = "github" // GitHub's secret scanning
	LeakFromFinder = "finder" // somebody who presented it whole
)

// MaxLeakReports is how many reports of one secret are kept: places in which it was found.
const MaxLeakReports = 20

// LeakReport is that a secret was found. It holds nothing of the secret but which one it was.
type LeakReport struct {
	ID         string
	AccountID  AccountID
	Key        KeyID
	Kind       Kind
	Name       string // of the key, as it is called now
	Generation int64
	LastFour   string
	Source     string
	URL        string // where it was found; may be empty
	Did        LeakAction
	At         time.Time
	Live       bool // the secret still works, or could again
}
