package httpapi

import (
	"errors"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

// TestExportsAreShared: one account can't hold all places for exports.
func TestExportsAreShared(t *testing.T) {
	places := limit.NewPlaces(exportsAtOnce, exportsEach)
	ask := func(a postern.AccountID, want error) func() {
		t.Helper()
		leave, err := enterExport(t.Context(), places, a)
		if !errors.Is(err, want) {
			t.Fatalf("an export of %s: %v, want %v", a, err, want)
		}
		return leave
	}
	first := ask("acme", nil)
	ask("acme", nil)
	ask("acme", postern.CodeRateLimited)
	ask("globex", nil)
	ask("globex", nil)
	ask("initech", postern.CodeUnavailable)
	first()
	ask("initech", nil)
}
