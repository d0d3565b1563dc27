package httpapi

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
)

type rotateInput struct {
	KeyInput
	Idempotency string `header:"Idempotency-Key" maxLength:"200" doc:"Where the answer is lost, the same request again voids the secret that it held and shows a new one."`
	IfMatch     string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body        *api.Rotate
}

func (s *server) rotateKey(ctx context.Context, in *rotateInput) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	how := keyring.Rotation{Grace: postern.DefaultGrace, Idempotency: in.Idempotency, IfRevision: revision}
	if in.Body != nil {
		how.Replace = in.Body.Replace
		if in.Body.Grace != "" {
			if how.Grace, err = time.ParseDuration(in.Body.Grace); err != nil {
				return nil, postern.Invalidf("grace", "A grace period is written as 168h, 30m or 0s.")
			}
		}
		if err := planOf(in.Body, &how); err != nil {
			return nil, err
		}
	}
	made, err := s.kr.RotateKey(ctx, by(ctx), postern.KeyID(in.ID), how)
	if err != nil {
		return nil, err
	}
	// Rotating later takes nothing away now, unless it voids another new secret.
	return s.changed(ctx, made, how.Grace == 0 || how.Replace || how.Idempotency != ""), nil
}

type rotationInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
}

func (s *server) finishRotation(ctx context.Context, in *rotationInput) (*changedOutput, error) {
	return s.endRotation(ctx, in, s.kr.FinishRotation)
}

func (s *server) cancelRotation(ctx context.Context, in *rotationInput) (*changedOutput, error) {
	return s.endRotation(ctx, in, s.kr.CancelRotation)
}

func (s *server) endRotation(ctx context.Context, in *rotationInput, end func(context.Context, postern.Actor, postern.KeyID, int64) (keyring.Made, error)) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	made, err := end(ctx, by(ctx), postern.KeyID(in.ID), revision)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, true), nil
}
