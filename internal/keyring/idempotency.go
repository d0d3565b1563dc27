package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// idempotent looks whether the actor asked for the same before. It gives what is
// remembered, or nil, and a function that remembers what was done now.
func (c *change) idempotent(name, act string, in any) (done func(object string, generation int64) error, again *store.Idempotent, err error) {
	if name == "" {
		return func(string, int64) error { return nil }, nil, nil
	}
	if len(name) > 200 || !postern.Scope(name).Valid() {
		return nil, nil, postern.Invalidf("Idempotency-Key", "An Idempotency-Key has 1 to 200 visible ASCII characters without quotes or blanks.")
	}
	if postern.HideSecrets(name) != name {
		return nil, nil, postern.Invalidf("Idempotency-Key", "An Idempotency-Key is kept, and so must not hold a secret. Use any other text.")
	}
	body, err := json.Marshal([]any{act, in})
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(body)
	actor := string(c.by.MemberID)
	if actor == "" {
		actor = "system:" + c.by.System
	}
	again, err = c.Idempotent(c.ctx, c.by.AccountID, actor, name, c.now)
	if err != nil {
		return nil, nil, err
	}
	if again != nil && !bytes.Equal(again.Request, sum[:]) {
		return nil, nil, postern.Errorf(postern.CodeConflict, "This Idempotency-Key was used for another request. Use a new one for each request.")
	}
	at := c.now
	if again != nil {
		at = again.CreatedAt // a request is as old as when it was first made
	}
	return func(object string, generation int64) error {
		return c.PutIdempotent(c.ctx, &store.Idempotent{AccountID: c.by.AccountID, Actor: actor, Name: name, Request: sum[:],
			Object: object, Generation: generation, CreatedAt: at})
	}, again, nil
}

func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// sameRow reports whether two rows say the same of a credential, their seals aside.
func sameRow(a, b *postern.CredentialRow) bool {
	return a.Key == b.Key && slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Networks, b.Networks) &&
		a.Current == b.Current && a.Previous == b.Previous && a.PreviousUntil.Equal(b.PreviousUntil) && a.PreviousEnded == b.PreviousEnded &&
		a.NotBefore.Equal(b.NotBefore) && a.ExpiresAt.Equal(b.ExpiresAt) && a.PausedAt.Equal(b.PausedAt) &&
		a.RevokedAt.Equal(b.RevokedAt) && a.DeletedAt.Equal(b.DeletedAt) && a.Rate == b.Rate && a.AllScopes == b.AllScopes &&
		postern.SameWatch(a.Watch, b.Watch)
}
