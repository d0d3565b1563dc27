package console

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store"

	_ "modernc.org/sqlite" // rollUp writes beside the log, which takes calls one by one
)

func useOf(at time.Time) map[postern.KeyID]activity.Use {
	if at.IsZero() {
		return nil
	}
	return map[postern.KeyID]activity.Use{"k": {Key: "k", LastAt: at}}
}

func hourWith(calls, refused int64) map[postern.KeyID]activity.KeyCalls {
	return map[postern.KeyID]activity.KeyCalls{"k": {Calls: calls, Refused: refused}}
}

// record records a call that was allowed.
func (w *world) record(k postern.ServiceKey, at time.Time) {
	e := postern.Event{At: postern.ToMicros(at), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "curl/8.9", RequestID: "req_1", Status: 200}
	d := &e.Decision
	copy(d.Key[:], k.ID)
	d.Known, d.Account, d.Kind, d.Gen, d.At, d.Allowed, d.Reason = true, k.AccountID, postern.KindServiceKey, 1, e.At, true, postern.ReasonAllowed
	w.activity.Record(&e)
}

// insertKeys writes n keys straight into the store: the keyring would audit each.
func insertKeys(t testing.TB, w *world, n int) []postern.KeyID {
	t.Helper()
	ctx, ids := context.Background(), make([]postern.KeyID, n)
	scopes := [][]postern.Scope{{"deals.read"}, {"deals.read", "deals.write", "contacts.read"}, {"contacts.read", "invoices.read"}}
	_, err := w.db.Write(ctx, func(tx *store.Tx) error {
		for i := range ids {
			ids[i] = postern.KeyID(fmt.Sprintf("k%015d", i))
			at := t0.Add(-time.Duration(i%300)*24*time.Hour - time.Duration(i)*time.Second)
			row := postern.CredentialRow{Key: ids[i], AccountID: w.account, Kind: postern.KindServiceKey, Scopes: scopes[i%3], Revision: 1,
				Current: postern.SecretHash{Hash: [32]byte{byte(i), byte(i >> 8), 1}, Pepper: 1, Generation: 1, LastFour: fmt.Sprintf("%04d", i%10000)}}
			if i%5 == 0 {
				row.ExpiresAt = t0.Add(time.Duration(1+i%400) * 24 * time.Hour)
			}
			rec := store.KeyRecord{Row: row}
			rec.Key = postern.ServiceKey{Name: fmt.Sprintf("sync-%d-of-the-warehouse", i), CreatedAt: at, UpdatedAt: at, Current: postern.SecretInfo{MadeAt: at, MadeBy: w.super.MemberID}, MadeBy: w.super.MemberID}
			if err := tx.InsertKey(ctx, &rec); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// rollUp writes the hours and uses that so many calls of 14 days come to, as the log would.
func rollUp(t testing.TB, w *world, ids []postern.KeyID, calls int) {
	t.Helper()
	var file string
	if err := w.db.Read().QueryRow("select file from pragma_database_list where name = 'main'").Scan(&file); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file+".activity")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	// About an hour in three of 14 days has calls.
	per := max(1, calls/len(ids)/112)
	hour := int64(time.Hour / time.Microsecond)
	first := int64(postern.ToMicros(t0)) / hour * hour
	ins, err := tx.Prepare(`insert into activity_hours (account_id, key_id, hour, generation, upstream, operation, allowed, reason, status, calls, errors, duration, max_duration, bytes_in, bytes_out)
		values (?, ?, ?, 1, 'crm', 'listDeals', 1, 'allowed', 200, ?, 0, 1000, 100, 0, 0)`)
	if err != nil {
		t.Fatal(err)
	}
	use, err := tx.Prepare(`insert into activity_uses (account_id, key_id, generation, first_at, at, ip, user_agent, upstream, operation, calls) values (?, ?, 1, ?, ?, '192.0.2.1', 'python-requests/2', 'crm', 'listDeals', 500)`)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if _, err := use.Exec(string(w.account), string(id), first, first-int64(i)*1_000_000); err != nil {
			t.Fatal(err)
		}
		for left, h := calls/len(ids), int64(i%3); left > 0; left, h = left-per, h+3 {
			if _, err := ins.Exec(string(w.account), string(id), first-h*hour, per); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
