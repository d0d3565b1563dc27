package httpapi

import (
	"context"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
)

type rotationOutput struct{ Body api.Rotation }

// readRotation tells how the change of a key's secret stands.
func (s *server) readRotation(ctx context.Context, in *KeyInput) (*rotationOutput, error) {
	if err := s.kr.MayReadActivity(ctx, by(ctx)); err != nil {
		return nil, err
	}
	k, err := s.kr.Key(ctx, by(ctx), postern.KeyID(in.ID))
	if err != nil {
		return nil, err
	}
	if k.Previous.Generation == 0 {
		return nil, postern.Errorf(postern.CodeConflict, "The secret of %q was never changed: there is no rotation to tell of.", k.Name)
	}
	plan, err := s.kr.Rotation(ctx, by(ctx), k.ID)
	if err != nil {
		return nil, err
	}
	s.activity.Settle(ctx)
	v, err := rotation.Of(ctx, s.activity, &k, plan, s.now())
	if err != nil {
		return nil, err
	}
	return &rotationOutput{rotationJSON(v)}, nil
}

func rotationJSON(v *rotation.View) api.Rotation {
	secret := func(s *rotation.Secret) api.RotationSecret {
		return api.RotationSecret{Generation: s.Generation, LastFour: s.LastFour, Calls: s.Calls, UsedAt: s.UsedAt}
	}
	out := api.Rotation{Rotating: v.Rotating, Ends: string(v.Plan.Ends), BeganAt: v.Plan.BeganAt, Deadline: v.Plan.Deadline, EndsAt: v.Old.EndsAt,
		Asks: v.Asks, New: secret(&v.New), Old: secret(&v.Old), Still: v.Still, Moved: v.Moved, Callers: make([]api.RotationCaller, len(v.Callers))}
	if v.Plan.Idle > 0 {
		out.Idle = v.Plan.Idle.String()
	}
	for i, c := range v.Callers {
		out.Callers[i] = api.RotationCaller{IP: c.IP, UserAgent: c.UserAgent, State: string(c.State), OldCalls: c.OldCalls, NewCalls: c.NewCalls,
			Refused: c.Refused, OldLastAt: c.OldLast, NewLastAt: c.NewLast}
	}
	return out
}

type extendInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    *api.Extend
}

func (s *server) extendRotation(ctx context.Context, in *extendInput) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	more := 24 * time.Hour
	if in.Body != nil && in.Body.More != "" {
		if more, err = time.ParseDuration(in.Body.More); err != nil {
			return nil, postern.Invalidf("more", "A time is written as 24h or 90m.")
		}
	}
	made, err := s.kr.ExtendRotation(ctx, by(ctx), postern.KeyID(in.ID), more, revision)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, false), nil
}

// planOf reads from a request how a rotation shall end.
func planOf(b *api.Rotate, how *keyring.Rotation) (err error) {
	how.Ends = postern.RotationEnd(b.Ends)
	for _, f := range []struct {
		name, text string
		to         *time.Duration
	}{{"idle", b.Idle, &how.Idle}, {"hold", b.Hold, &how.Hold}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = time.ParseDuration(f.text); err != nil || *f.to <= 0 {
			return postern.Invalidf(f.name, "A time is written as 24h or 720h.")
		}
	}
	return nil
}

type listTripsInput struct {
	Key string `query:"key" maxLength:"64" doc:"A key ID."`
	Paging
}

type tripsOutput struct{ Body api.Page[api.Trip] }

const listTrips = "t"

// listTripwires lists the tripwires that were touched.
func (s *server) listTripwires(ctx context.Context, in *listTripsInput) (*tripsOutput, error) {
	at, err := readCursor(listTrips, in.Cursor, 2)
	if err != nil {
		return nil, err
	}
	var after store.Cursor
	if at != nil {
		if after.At, err = strconv.ParseInt(at[0], 10, 64); err != nil || after.At < 1 {
			return nil, errCursor
		}
		after.ID = at[1]
	}
	if err := s.kr.MayReadActivity(ctx, by(ctx)); err != nil {
		return nil, err
	}
	rows, err := s.kr.Trips(ctx, by(ctx), postern.KeyID(in.Key), after, in.n()+1)
	if err != nil {
		return nil, err
	}
	out := &tripsOutput{api.Page[api.Trip]{Items: []api.Trip{}}}
	for i := range rows[:min(in.n(), len(rows))] {
		t := &rows[i]
		out.Body.Items = append(out.Body.Items, api.Trip{ID: t.ID, KeyID: string(t.Key), KeyName: t.Name, Kind: string(t.Kind), At: t.At,
			Generation: t.Generation, IP: t.IP, UserAgent: t.UserAgent, Words: t.Words, Paused: t.Paused})
	}
	if len(rows) > in.n() {
		last := &rows[in.n()-1]
		out.Body.NextCursor = writeCursor(listTrips, strconv.FormatInt(int64(postern.ToMicros(last.At)), 10), last.ID)
	}
	return out, nil
}
