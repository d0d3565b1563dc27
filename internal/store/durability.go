package store

import (
	"context"
	"fmt"
	"slices"
)

// Durability says what an acknowledged change survives.
type Durability struct {
	Level   DurabilityLevel
	Reasons []string // why it is degraded, and what to do
}

// DurabilityLevel is what an acknowledged change survives.
type DurabilityLevel string

// The levels.
const (
	// DurabilityFull: kill -9 and power loss and, on PostgreSQL, the loss of any one server.
	DurabilityFull DurabilityLevel = "full"
	// DurabilityManaged: as full, where the database service says so and it can't be checked from here.
	DurabilityManaged DurabilityLevel = "managed"
	// DurabilityDegraded: less than that. A failover may forget a revocation.
	DurabilityDegraded DurabilityLevel = "degraded"
)

// Standby is what the operator says of the servers behind a PostgreSQL database.
type Standby string

// What may be said.
const (
	StandbyRequired Standby = "required" // a synchronous standby must be configured
	StandbyNone     Standby = "none"     // there is none, and that is accepted
	StandbyManaged  Standby = "managed"  // the service keeps each commit on several machines in its own way
)

// CheckDurability asks the database what it does for a commit, and notes the
// answer for Durability. An SQLite file was checked when it was opened.
func (p *Pool) CheckDurability(ctx context.Context, standby Standby) (Durability, error) {
	d := Durability{Level: DurabilityFull}
	if p.Engine == Postgres {
		var err error
		if d, err = p.askDurability(ctx, standby); err != nil {
			return p.Durability(), err
		}
	}
	p.durability.Store(&d)
	return p.Durability(), nil
}

func (p *Pool) askDurability(ctx context.Context, standby Standby) (Durability, error) {
	var fsync, pages, commit, names string
	// What a compatible service doesn't know is empty, and no fault.
	err := p.r.QueryRowContext(ctx, `select coalesce(current_setting('fsync', true), ''), coalesce(current_setting('full_page_writes', true), ''),
		coalesce(current_setting('synchronous_commit', true), ''), coalesce(current_setting('synchronous_standby_names', true), '')`).
		Scan(&fsync, &pages, &commit, &names)
	if err != nil {
		return Durability{}, fmt.Errorf("store: ask for durability: %w", err)
	}
	var reasons []string
	if fsync == "off" {
		reasons = append(reasons, "PostgreSQL runs with fsync = off: a power cut can lose everything. Set fsync = on.")
	}
	if pages == "off" {
		reasons = append(reasons, "PostgreSQL runs with full_page_writes = off: a power cut can damage the database. Set full_page_writes = on.")
	}
	if slices.Contains([]string{"off", "local", "remote_write"}, commit) {
		reasons = append(reasons, fmt.Sprintf("PostgreSQL commits with synchronous_commit = %s: an acknowledged change may be lost with a server. Set synchronous_commit = on.", commit))
	}
	if names == "" && standby != StandbyManaged {
		reasons = append(reasons, "PostgreSQL has no synchronous standby (synchronous_standby_names is empty): a failover may forget acknowledged changes, revocations among them.")
	}
	switch {
	case len(reasons) > 0:
		return Durability{DurabilityDegraded, reasons}, nil
	case standby == StandbyManaged:
		return Durability{Level: DurabilityManaged}, nil
	}
	return Durability{Level: DurabilityFull}, nil
}

// Durability is what was found when the database was asked last. Nothing is durable after a failed sync.
func (p *Pool) Durability() Durability {
	d := Durability{Level: DurabilityFull}
	if known := p.durability.Load(); known != nil {
		d = *known
	}
	if p.broken.Load() {
		d.Level = DurabilityDegraded
		d.Reasons = append(slices.Clip(d.Reasons), "Changes are stopped: the disk failed to keep a write. Restart the server once the disk is sound.")
	}
	return d
}
