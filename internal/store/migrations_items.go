package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern.dev/postern"
)

// windowRows are windows as they are kept.
func windowRows(list []postern.Window) (out [][2]int64) {
	for _, w := range list {
		out = append(out, [2]int64{micros(w.From), micros(w.Until)})
	}
	return out
}

func windowsOf(list [][2]int64) (out []postern.Window) {
	for _, w := range list {
		out = append(out, postern.Window{From: fromMicros(w[0]), Until: fromMicros(w[1])})
	}
	return out
}

// MigrationItem is what was decided and done about one old credential. What it does
// is not in it: that is asked of activity.
type MigrationItem struct {
	ID        string            `json:"-"`
	AccountID postern.AccountID `json:"-"`
	// Key is the imported credential; empty for one that is only known from an uploaded inventory.
	Key         postern.KeyID `json:"-"`
	Fingerprint string        `json:"-"`
	NewKey      postern.KeyID `json:"-"` // the service key that takes its place
	CreatedAt   time.Time     `json:"-"`
	Revision    int64         `json:"-"`

	Name  string           `json:"name"`
	Owner postern.MemberID `json:"owner,omitempty"` // who looks after the move

	Path    string           `json:"path,omitempty"` // of workbench.To; empty until it is decided
	PathWhy string           `json:"pathWhy,omitempty"`
	PathBy  postern.MemberID `json:"pathBy,omitempty"`
	PathAt  time.Time        `json:"pathAt,omitzero"`

	Scopes   []postern.Scope  `json:"scopes,omitempty"`
	ScopesBy postern.MemberID `json:"scopesBy,omitempty"`
	ScopesAt time.Time        `json:"scopesAt,omitzero"` // zero until they are decided

	KeyMadeAt time.Time `json:"keyMadeAt,omitzero"`
	MovedTo   string    `json:"movedTo,omitempty"` // where it moved, in words: an app, another system

	Budget      MigrationBudget `json:"budget,omitzero"`
	StoppedAt   time.Time       `json:"stoppedAt,omitzero"` // when its brownouts were last stopped
	StoppedWhy  string          `json:"stoppedWhy,omitempty"`
	Forgotten   []string        `json:"forgotten,omitempty"` // callers that brownouts met
	RemindedAt  time.Time       `json:"remindedAt,omitzero"`
	BrownedFrom time.Time       `json:"brownedFrom,omitzero"` // when its brownouts were scheduled

	SignedBy   postern.MemberID `json:"signedBy,omitempty"`
	SignedAt   time.Time        `json:"signedAt,omitzero"`
	SignedNote string           `json:"signedNote,omitempty"`

	ArchivedBy postern.MemberID `json:"archivedBy,omitempty"`
	ArchivedAt time.Time        `json:"archivedAt,omitzero"` // paused, and can be brought back
	UndoUntil  time.Time        `json:"undoUntil,omitzero"`
	EndedAt    time.Time        `json:"endedAt,omitzero"` // for good

	// PausedBefore is when somebody had paused it before it was switched off: an undo leaves it paused then.
	PausedBefore time.Time `json:"pausedBefore,omitzero"`

	// Altered says that the record was changed by other means than Postern: nothing that was decided is in it.
	Altered bool `json:"-"`

	// Seen is what an uploaded inventory said of it, as JSON.
	Seen   string    `json:"seen,omitempty"`
	SeenAt time.Time `json:"seenAt,omitzero"`
}

// MigrationBudget is how much a brownout may break before it ends by itself.
type MigrationBudget struct {
	Calls   int64 `json:"calls"`   // refused calls in a window
	Callers int64 `json:"callers"` // callers that were refused in a window
}

// An item tells who may bring a credential back, and what its new key gets: it is sealed.
var itemsTable = newSealed("migration_items", 1, "id account_id key_id fingerprint new_key open body created_at revision")

func itemValues(i *MigrationItem, body string) []any {
	return []any{i.ID, i.AccountID, i.Key, i.Fingerprint, i.NewKey, bit(i.EndedAt.IsZero()), body, micros(i.CreatedAt), i.Revision}
}

func (q *queries) scanItem(s scanner) (i MigrationItem, err error) {
	var body string
	var open, created int64
	var m mark
	if err = s.Scan(append([]any{&i.ID, &i.AccountID, &i.Key, &i.Fingerprint, &i.NewKey, &open, &body, &created, &i.Revision}, m.targets()...)...); err != nil {
		return i, err
	}
	i.CreatedAt = fromMicros(created)
	if q.seals.broken(itemsTable, []any{i.ID, i.AccountID, i.Key, i.Fingerprint, i.NewKey, open, body, created, i.Revision}, m) {
		// It is one about which nothing was decided, until somebody decides it anew.
		return MigrationItem{ID: i.ID, AccountID: i.AccountID, Key: i.Key, Fingerprint: i.Fingerprint, CreatedAt: i.CreatedAt, Revision: i.Revision, Altered: true}, nil
	}
	if err := fromJSON(body, &i); err != nil {
		return i, fmt.Errorf("store: migration item %s: %w", i.ID, err)
	}
	return i, nil
}

// Migration reads an item of an account, by its ID or that of its credential.
func (q *queries) Migration(ctx context.Context, a postern.AccountID, id string) (MigrationItem, error) {
	return one(q.db.QueryRowContext(ctx, "select "+itemsTable.list("")+" from migration_items where account_id = $1 and (id = $2 or key_id = $2)", a, id), q.scanItem, "migration item")
}

// MigrationOf reads the item of an imported credential; ok is false where nothing was decided about it yet.
func (q *queries) MigrationOf(ctx context.Context, key postern.KeyID) (i MigrationItem, ok bool, err error) {
	i, err = one(q.db.QueryRowContext(ctx, "select "+itemsTable.list("")+" from migration_items where key_id = $1 and key_id <> ''", key), q.scanItem, "migration item")
	if errors.Is(err, postern.CodeNotFound) {
		return i, false, nil
	}
	return i, err == nil, err
}

// MigrationByFingerprint reads the item of an account that an inventory made; ok is false where there is none.
func (q *queries) MigrationByFingerprint(ctx context.Context, a postern.AccountID, fingerprint string) (i MigrationItem, ok bool, err error) {
	i, err = one(q.db.QueryRowContext(ctx, "select "+itemsTable.list("")+" from migration_items where account_id = $1 and fingerprint = $2 and fingerprint <> ''", a, fingerprint), q.scanItem, "migration item")
	if errors.Is(err, postern.CodeNotFound) {
		return i, false, nil
	}
	return i, err == nil, err
}

// MigrationItems are an account's items, or those of all accounts where none is
// named, in the order of their IDs, from after one of them: with open only those
// that have not ended.
func (q *queries) MigrationItems(ctx context.Context, a postern.AccountID, open bool, after string, n int) ([]MigrationItem, error) {
	rows, err := q.db.QueryContext(ctx, "select "+itemsTable.list("")+` from migration_items where ($1 = '' or account_id = $1)
		and ($2 = 0 or open = 1) and id > $3 order by id limit $4`, a, bit(open), after, n)
	return collect(rows, err, q.scanItem)
}

// PutMigration writes an item: a new one at revision 1, or the change of one that is there.
func (tx *Tx) PutMigration(ctx context.Context, i *MigrationItem) error {
	i.Revision++
	return tx.exec(ctx, "put migration item", itemsTable.put(), tx.seals.seal(itemsTable, itemValues(i, asJSON(i)))...)
}

// LegacyScope says which scopes of today an old name stands for.
type LegacyScope struct {
	Name      string
	Scopes    []string // names and patterns
	ChangedAt time.Time
}

// LegacyScopes are the names that the operator translates, in their order.
func (q *queries) LegacyScopes(ctx context.Context) ([]LegacyScope, error) {
	rows, err := q.db.QueryContext(ctx, "select name, scopes, changed_at from legacy_scopes order by name")
	return collect(rows, err, func(s scanner) (l LegacyScope, err error) {
		var scopes string
		var at int64
		if err = s.Scan(&l.Name, &scopes, &at); err != nil {
			return l, err
		}
		l.ChangedAt = fromMicros(at)
		return l, fromJSON(scopes, &l.Scopes)
	})
}

// PutLegacyScope writes what an old name stands for; without scopes it is forgotten.
func (tx *Tx) PutLegacyScope(ctx context.Context, l *LegacyScope) error {
	if l.Scopes == nil {
		return tx.exec(ctx, "delete legacy scope", "delete from legacy_scopes where name = $1", l.Name)
	}
	return tx.exec(ctx, "put legacy scope", `insert into legacy_scopes (name, scopes, changed_at) values ($1, $2, $3)
		on conflict (name) do update set scopes = excluded.scopes, changed_at = excluded.changed_at`, l.Name, asJSON(l.Scopes), micros(l.ChangedAt))
}
