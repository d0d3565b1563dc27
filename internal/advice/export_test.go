package advice

import (
	"context"

	"postern.dev/postern"
)

// Enter takes a place for a replay, as one that runs does.
func (s *Service) Enter(ctx context.Context, a postern.AccountID) (leave func(), err error) {
	return s.enter(ctx, a)
}
