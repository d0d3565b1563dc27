package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

// spoolDir is where a data directory keeps the calls that wait for the database.
const spoolDir = "activity-spool"

// Spooled is what was stored of the calls that waited on disk.
type Spooled struct {
	Calls   int64 `json:"calls"`
	Damaged int64 `json:"damagedParts,omitempty"` // what could not be read; it is set aside beside the spool
}

// StoreSpools stores the calls that wait in data directories, whose nodes are
// stopped and which the caller holds, in the database that they are of. It may be
// ended at any point, even killed, and run again: each call is stored once.
func StoreSpools(ctx context.Context, at store.Place, dirs []string, log *slog.Logger) (out Spooled, err error) {
	var waiting []string
	for _, dir := range dirs {
		list, err := filepath.Glob(filepath.Join(dir, spoolDir, "*.spool"))
		if err != nil {
			return out, fmt.Errorf("look into the spool: %w", err)
		}
		if len(list) > 0 {
			waiting = append(waiting, dir)
		}
	}
	if len(waiting) == 0 {
		return out, nil
	}
	starts, err := dayStarts(ctx, at)
	if err != nil {
		return out, err
	}
	part := activity.Part()
	for _, dir := range waiting {
		l, err := activity.Open(ctx, activity.Config{Target: at.Target(&part), Spool: filepath.Join(dir, spoolDir), DayStart: starts, Logger: log})
		if err != nil {
			return out, err
		}
		waited := l.Stats()
		err = errors.Join(l.Flush(ctx), l.Close())
		if out.Calls, out.Damaged = out.Calls+int64(waited.Buffered), out.Damaged+l.Stats().Spool.DamagedFrames; err != nil {
			return out, fmt.Errorf("store the calls that wait in %s: %w", dir, err)
		}
	}
	return out, nil
}

// dayStarts tells when an account's day began. It refuses a database whose tables
// another binary made, since storing would bring them up to date.
func dayStarts(ctx context.Context, at store.Place) (func(postern.AccountID, postern.Micros) postern.Micros, error) {
	snap, err := store.OpenSnapshot(ctx, at, []store.Part{store.Records(), activity.Part()})
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	for i := range snap.Parts {
		if p := &snap.Parts[i]; p.Schema != p.Newest() {
			return nil, postern.Errorf(postern.CodeConflict, "Calls wait to be stored, and the schema of %s is %d where this binary knows %d. Start a server of this version there and stop it in order, or leave activity out.", p.Name, p.Schema, p.Newest())
		}
	}
	names, err := snap.Records().TimeZones(ctx)
	if err != nil {
		return nil, err
	}
	zones := map[postern.AccountID]*time.Location{}
	for id, name := range names {
		if zone, err := time.LoadLocation(name); err == nil {
			zones[id] = zone
		}
	}
	return func(a postern.AccountID, t postern.Micros) postern.Micros { return verify.DayStart(zones[a], t) }, nil
}

// Elsewhere are the nodes of a PostgreSQL database that ended without storing all
// their calls, and whose data directories aren't among those given.
func Elsewhere(ctx context.Context, at store.Place, dirs []string) (out []store.Written, err error) {
	snap, err := store.OpenSnapshot(ctx, at, []store.Part{store.Records()})
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	if snap.Parts[0].Schema != snap.Parts[0].Newest() {
		return nil, nil
	}
	have := map[string]bool{}
	for _, dir := range dirs {
		name, err := rotation.SpoolOf(dir)
		if err != nil {
			return nil, err
		}
		have[name] = true
	}
	marks, err := snap.Records().WrittenMarks(ctx)
	for _, m := range marks {
		if !have[m.Spool] && snap.Took.Sub(m.At) < rotation.MarkKept {
			out = append(out, m)
		}
	}
	return out, err
}
