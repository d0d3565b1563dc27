package httpapi_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// exported are all calls that an export gives.
func exported(c *client.Client, t *testing.T, q client.ActivityQuery) (out []api.Call, err error) {
	for call, err := range c.ExportCalls(t.Context(), q, 0) {
		if err != nil {
			return out, err
		}
		out = append(out, call)
	}
	return out, nil
}

func TestExport(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const n = 2500
		for i := range n {
			e := &postern.Event{At: postern.ToMicros(time.Now().UTC()), Door: postern.DoorGateway, Method: "GET", Path: fmt.Sprintf("/deals/%d", i), UserAgent: "sync/1", Status: 200}
			e.Decision = postern.Decision{Allowed: true, Reason: postern.ReasonAllowed, Known: true, Account: postern.AccountID(w.account), Used: "deals.read"}
			copy(e.Decision.Key[:], "AAAAAAAAAAAAAAAA")
			w.activity.Record(e)
		}
		if err := w.activity.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		q := client.ActivityQuery{NotDoor: postern.DoorAPI}
		all, err := exported(w.super, t, q)
		if err != nil || len(all) != n {
			t.Fatalf("%d calls, %v; want %d", len(all), err, n)
		}
		for i, c := range all {
			if i > 0 && c.Seq <= all[i-1].Seq {
				t.Fatalf("call %d comes after %d", c.Seq, all[i-1].Seq)
			}
		}
		var rest []api.Call
		for call, err := range w.super.ExportCalls(t.Context(), q, all[1233].Seq) {
			if err != nil {
				t.Fatal(err)
			}
			rest = append(rest, call)
		}
		if len(rest) != n-1234 || rest[0].Path != all[1234].Path {
			t.Errorf("going on gives %d calls, want %d", len(rest), n-1234)
		}
		get := func(format string) *answer {
			t.Helper()
			a := w.send("GET", "/v1/activity/export?notDoor=api&format="+format, w.secret, "")
			if a.status != http.StatusOK || !strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
				t.Fatalf("export as %s = %d %.200s", format, a.status, a.body)
			}
			return a
		}
		if rows, err := csv.NewReader(bytes.NewReader(get("csv").body)).ReadAll(); err != nil || len(rows) != n+1 {
			t.Errorf("%d rows of CSV, %v; want %d", len(rows), err, n+1)
		}
		if lines := bytes.Count(get("otlp").body, []byte(`"postern.seq"`)); lines != n {
			t.Errorf("%d log records, want %d", lines, n)
		}
		body := get("parquet").body
		if f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body))); err != nil || f.NumRows() != n {
			t.Errorf("Parquet: %v, want %d rows", err, n)
		}
		if a := w.send("GET", "/v1/activity/export?format=xls", w.secret, ""); a.status != http.StatusBadRequest {
			t.Errorf("a format that there isn't = %d %s", a.status, a.body)
		}
		// Each export is told of, one that goes on too: after=1 is nearly everything.
		page, err := w.super.Audit(t.Context(), client.AuditQuery{Action: "activity.export"})
		if err != nil || len(page.Items) != 5 {
			t.Fatalf("%d entries, %v; want 5", len(page.Items), err)
		}
		if after, _ := json.Marshal(page.Items[3].After); !strings.Contains(string(after), fmt.Sprintf(`"after":%d`, all[1233].Seq)) {
			t.Errorf("the entry of going on is %s", after)
		}
		if after, _ := json.Marshal(page.Items[0].After); !strings.Contains(string(after), "parquet") || !strings.Contains(string(after), "notDoor=api") {
			t.Errorf("the entry is %s", after)
		}
		other, _ := w.otherAccount("globex")
		if got, err := exported(other, t, client.ActivityQuery{}); err != nil || len(got) > 10 {
			t.Errorf("another account gets %d calls, %v", len(got), err)
		}
		narrow := must(w.super.CreatePersonalKey(t.Context(), api.NewPersonalKey{Name: "ci", Scopes: []string{"postern.keys.read"}}))(t)
		if _, err := exported(w.client(narrow.Secret), t, client.ActivityQuery{}); err == nil {
			t.Error("who may not read activity exports it")
		}
	})
}
