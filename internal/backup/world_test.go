package backup_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const apiDoc = `
openapi: 3.1.0
info: {title: Test API, version: "1"}
paths:
  /deals: {get: {operationId: listDeals, security: [{keys: [deals.read]}]}, post: {operationId: makeDeal, security: [{keys: [deals.write]}]}}
  /contacts: {get: {operationId: listContacts, security: [{keys: [contacts.read]}]}, post: {operationId: makeContact, security: [{keys: [contacts.write]}]}}
components:
  securitySchemes:
    keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /x, scopes: {deals.read: Read deals, deals.write: Change deals, contacts.read: Read contacts, contacts.write: Change contacts}}}}
`

var quiet = slog.New(slog.DiscardHandler)

func parts() []store.Part { return []store.Part{store.Records(), activity.Part()} }

// world is a server with a journal, on either engine.
type world struct {
	*keyring.Keyring
	t       testing.TB
	at      store.Place
	db      *store.DB
	pepper  *postern.Pepper
	passed  atomic.Int64 // nanoseconds since t0; who follows the feed reads the time too
	super   postern.Actor
	journal string
	follow  *journal.Follower
	audit   *auditor.Auditor
	halt    func()
	secrets map[postern.KeyID][]postern.Secret
}

// engines runs a test for each engine.
func engines(t *testing.T, test func(t *testing.T, at store.Place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, store.Place{Data: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { test(t, store.Place{Data: t.TempDir(), Database: storetest.Postgres(t)}) })
}

// empty is a place of the other engine, or of the same.
func empty(t testing.TB, postgres bool) store.Place {
	if postgres {
		return store.Place{Data: t.TempDir(), Database: storetest.Postgres(t)}
	}
	return store.Place{Data: t.TempDir()}
}

func newWorld(t testing.TB, at store.Place) *world {
	t.Helper()
	w := &world{t: t, at: at, pepper: storetest.Pepper(t), journal: filepath.Join(t.TempDir(), "journal"), secrets: map[postern.KeyID][]postern.Secret{}}
	w.open()
	done, err := w.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
	w.must(err)
	w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	_, err = w.PutUpstream(t.Context(), w.super, postern.Upstream{ID: "api", URL: "http://127.0.0.1:1"})
	w.must(err)
	cat, _, err := catalog.Parse(t.Context(), []catalog.Source{{Name: "api.yaml", Data: []byte(apiDoc)}}, catalog.Options{Upstream: "api"})
	w.must(err)
	_, err = w.LoadCatalog(t.Context(), w.super, "api", cat, false)
	w.must(err)
	w.must(w.audit.Sign(t.Context()))
	w.call(done.Secret)
	return w
}

// now is the time that everything goes by.
func (w *world) now() time.Time { return t0.Add(time.Duration(w.passed.Load())) }

// open opens what is at the world's place, with the pepper's notes that a node makes.
func (w *world) open() {
	w.t.Helper()
	records := store.Records()
	var err error
	w.db, err = store.OpenDB(w.t.Context(), w.at.Target(&records), w.pepper, quiet)
	w.must(err)
	clock := w.now
	_, err = w.db.Write(w.t.Context(), func(tx *store.Tx) error {
		return tx.SetSetting(w.t.Context(), "pepper.1", w.pepper.Fingerprint(1))
	})
	w.must(err)
	w.audit, err = auditor.New(w.t.Context(), auditor.Config{DB: w.db, Pepper: w.pepper, Now: clock})
	w.must(err)
	w.follow = journal.New(journal.Config{DB: w.db, Pepper: w.pepper, Path: w.journal, Now: clock})
	w.Keyring = keyring.New(keyring.Config{DB: w.db, Pepper: w.pepper, Now: clock, Applied: func(ctx context.Context, seq int64) {
		err := w.follow.Await(ctx, seq)
		for range 30 { // a machine that others use may take longer than an answer waits
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				err = w.follow.Await(ctx, seq)
			}
		}
		if err != nil {
			w.t.Errorf("the journal: %v", err)
		}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.follow.Run(ctx) }()
	stopped := false
	w.halt = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
			w.db.Close()
		}
	}
	w.t.Cleanup(w.halt)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// call records a call in the activity.
func (w *world) call(s postern.Secret) {
	w.t.Helper()
	p := activity.Part()
	l, err := activity.Open(w.t.Context(), activity.Config{Target: w.at.Target(&p), Now: w.now})
	w.must(err)
	d := postern.Decision{Known: true, Allowed: true, Account: w.super.AccountID}
	d.Key = [16]byte([]byte(strings.Split(s.Reveal(), "_")[2]))
	l.Record(&postern.Event{At: postern.ToMicros(w.now()), Decision: d, Door: postern.DoorGateway, Method: "GET", Path: "/deals", Status: 200})
	w.must(l.Flush(w.t.Context()))
	w.must(l.Close())
}

func (w *world) key(name string, scopes ...postern.Scope) (postern.KeyID, postern.Secret) {
	w.t.Helper()
	made, err := w.CreateKey(w.t.Context(), w.super, keyring.NewKey{Name: name, Scopes: scopes})
	w.must(err)
	w.secrets[made.Key.ID] = append(w.secrets[made.Key.ID], made.Secret)
	return made.Key.ID, made.Secret
}

var plain = &backup.Recipients{Plain: true}

// backup makes a backup and gives its bytes.
func (w *world) backup() []byte {
	w.t.Helper()
	var b bytes.Buffer
	_, err := backup.Make(w.t.Context(), &b, plain, backup.Options{From: w.at, Parts: parts(), Pepper: w.pepper, Brand: "pst", Version: "test"})
	w.must(err)
	return b.Bytes()
}

func restore(t testing.TB, data []byte, change func(o *backup.RestoreOptions)) (backup.Restored, error) {
	t.Helper()
	r, _, err := (&backup.Identities{}).Open(bytes.NewReader(data))
	if err != nil {
		return backup.Restored{}, err
	}
	defer r.Close()
	o := backup.RestoreOptions{Parts: parts(), Pepper: storetest.Pepper(t), Now: func() time.Time { return t0.Add(time.Hour) }}
	change(&o)
	return backup.Restore(t.Context(), r, o)
}

// restored opens what was restored.
func (w *world) restored(at store.Place) *store.DB {
	w.t.Helper()
	records := store.Records()
	db, err := store.OpenDB(w.t.Context(), at.Target(&records), w.pepper, quiet)
	w.must(err)
	w.t.Cleanup(func() { db.Close() })
	return db
}

// use is what a secret may do by a database.
type use struct {
	works  bool
	row    postern.CredentialRow
	until  time.Time // of the secret, where it is a previous one
	scopes []postern.Scope
}

// using judges a secret by its row as it stands, like a decision does.
func using(t testing.TB, db *store.DB, p *postern.Pepper, id postern.KeyID, s postern.Secret, now time.Time) (u use) {
	t.Helper()
	row, err := db.Credential(t.Context(), id)
	if err != nil {
		return u
	}
	u.row = row
	if !row.Sealed(p) || !row.RevokedAt.IsZero() || !row.DeletedAt.IsZero() || !row.PausedAt.IsZero() ||
		!row.ExpiresAt.IsZero() && !now.Before(row.ExpiresAt) || now.Before(row.NotBefore) {
		return u
	}
	match := func(h postern.SecretHash) bool {
		got, ok := p.HashUnder(h.Pepper, s)
		return ok && got == h.Hash
	}
	switch {
	case match(row.Current):
		u.works = true
	case match(row.Previous) && !row.PreviousEnded && now.Before(row.PreviousUntil):
		u.works, u.until = true, row.PreviousUntil
	}
	u.scopes = row.Scopes
	return u
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
