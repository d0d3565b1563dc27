package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

func TestDrafts(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		ctx, now := t.Context(), time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
		put := func(session, id, body string, at time.Time) {
			t.Helper()
			if _, err := db.Write(ctx, func(tx *store.Tx) error {
				return tx.PutDraft(ctx, store.Draft{Session: session, ID: id, Body: body, ChangedAt: at, ExpiresAt: at.Add(time.Hour)}, 3)
			}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(session, id, body string, at time.Time) {
			t.Helper()
			got, err := db.Draft(ctx, session, id, at)
			if body == "" && !errors.Is(err, postern.CodeNotFound) || body != "" && (err != nil || got != body) {
				t.Errorf("Draft(%s, %s) = %q, %v; want %q", session, id, got, err, body)
			}
		}
		put("a", "one", "first", now)
		put("a", "one", "second", now.Add(time.Minute))
		put("b", "one", "other", now)
		want("a", "one", "second", now)
		want("b", "one", "other", now)
		want("c", "one", "", now)
		want("a", "one", "", now.Add(61*time.Minute))
		// A session keeps the latest three.
		for i := range 4 {
			put("a", fmt.Sprint("more", i), "x", now.Add(time.Duration(2+i)*time.Minute))
		}
		want("a", "one", "", now)
		want("a", "more0", "", now)
		want("a", "more1", "x", now)
		want("b", "one", "other", now)
		// What is over goes when another is kept.
		put("c", "late", "x", now.Add(3*time.Hour))
		want("b", "one", "", now)
	})
}
