package callfile_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/callfile"
)

var t0 = time.Date(2026, 3, 4, 10, 20, 0, 123456000, time.UTC)

func call(i int) *api.Call {
	c := &api.Call{Seq: int64(i), At: t0.Add(time.Duration(i) * time.Second), KeyID: "AAAAAAAAAAAAAAAA", Kind: "service_key", Generation: 1, Upstream: "crm",
		Operation: "listDeals", Method: "GET", Path: fmt.Sprintf("/deals/%d", i), Status: 200, Allowed: true, Reason: "allowed", UsedScopes: []string{"deals.read", "deals.list"},
		Door: "gateway", DurationMs: 1.5, BytesOut: 100, IP: "192.0.2.1", UserAgent: "=cmd()", RequestID: fmt.Sprint("req_", i)}
	if i%2 == 0 {
		c.Allowed, c.Reason, c.Status, c.UsedScopes, c.MissingScopes = false, "insufficient_scope", 403, nil, []string{"deals.write"}
	}
	return c
}

// write writes n calls in a format.
func write(t testing.TB, format string, n int, to io.Writer) {
	t.Helper()
	w, err := callfile.New(format, "1.2", to)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		if err := w.Write(call(i)); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	write(t, "jsonl", 10, &b)
	dec := json.NewDecoder(&b)
	for i := 1; i <= 10; i++ {
		var c api.Call
		if err := dec.Decode(&c); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(call(i), &c); d != "" {
			t.Error(d)
		}
	}
	if dec.More() {
		t.Error("there is more")
	}
}

func TestCSV(t *testing.T) {
	var b bytes.Buffer
	write(t, "csv", 2, &b)
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{callfile.Columns,
		strings.Split("1|2026-03-04T10:20:01.123456Z|AAAAAAAAAAAAAAAA|service_key|1||crm|listDeals|GET|/deals/1|200|true|allowed||deals.read deals.list|gateway|1.500|0|100|192.0.2.1|'=cmd()|req_1", "|"),
		strings.Split("2|2026-03-04T10:20:02.123456Z|AAAAAAAAAAAAAAAA|service_key|1||crm|listDeals|GET|/deals/2|403|false|insufficient_scope|deals.write||gateway|1.500|0|100|192.0.2.1|'=cmd()|req_2", "|")}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
}

func TestParquet(t *testing.T) {
	const n = 40_000
	var b bytes.Buffer
	write(t, "parquet", n, &b)
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if f.NumRows() != n || len(f.RowGroups()) != 3 {
		t.Errorf("%d rows in %d groups, want %d in 3", f.NumRows(), len(f.RowGroups()), n)
	}
	var names []string
	for _, c := range f.Schema().Columns() {
		names = append(names, strings.Join(c, "."))
	}
	if d := cmp.Diff(callfile.Columns, names); d != "" {
		t.Error(d)
	}
	// As another program reads it: by the names of the columns.
	r := parquet.NewGenericReader[struct {
		At     time.Time `parquet:"at,timestamp(microsecond)"`
		Path   string    `parquet:"path"`
		Status int32     `parquet:"status"`
		Used   string    `parquet:"used_scopes"`
	}](f)
	defer r.Close()
	rows := make([]struct {
		At     time.Time `parquet:"at,timestamp(microsecond)"`
		Path   string    `parquet:"path"`
		Status int32     `parquet:"status"`
		Used   string    `parquet:"used_scopes"`
	}, 3)
	if got, err := r.Read(rows); got != 3 {
		t.Fatalf("%d rows, %v; want 3", got, err)
	}
	if row := rows[2]; !row.At.Equal(call(3).At) || row.Path != "/deals/3" || row.Status != 200 || row.Used != "deals.read deals.list" {
		t.Errorf("the third row is %+v", row)
	}
}

func TestOTLP(t *testing.T) {
	var b bytes.Buffer
	write(t, "otlp", 203, &b)
	lines, records := 0, 0
	for s := bufio.NewScanner(&b); s.Scan(); lines++ {
		var line struct {
			ResourceLogs []struct {
				Resource  struct{ Attributes []map[string]any }
				ScopeLogs []struct {
					Scope      struct{ Name string }
					LogRecords []struct {
						TimeUnixNano, SeverityText string
						Attributes                 []struct {
							Key   string
							Value map[string]any
						}
					}
				}
			}
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		scope := line.ResourceLogs[0].ScopeLogs[0]
		for _, r := range scope.LogRecords {
			records++
			have := map[string]any{}
			for _, a := range r.Attributes {
				if len(a.Value) != 1 {
					t.Fatalf("the value of %s is %v, want one", a.Key, a.Value)
				}
				for _, v := range a.Value {
					have[a.Key] = v
				}
			}
			want := call(records)
			severity := map[bool]string{true: "INFO", false: "WARN"}[want.Allowed]
			if r.TimeUnixNano != fmt.Sprint(want.At.UnixNano()) || r.SeverityText != severity || have["url.path"] != want.Path ||
				have["http.response.status_code"] != fmt.Sprint(want.Status) || have["postern.allowed"] != want.Allowed || have["client.address"] != want.IP {
				t.Fatalf("record %d is %+v", records, r)
			}
		}
	}
	if records != 203 || lines < 3 {
		t.Errorf("%d records in %d lines, want 203 in some", records, lines)
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := callfile.New("xls", "", io.Discard); err == nil || !strings.Contains(err.Error(), "jsonl, csv, parquet, otlp") {
		t.Errorf("New = %v, want what there is", err)
	}
}

// TestMemoryIsBounded writes four times as much and needs about the same memory.
func TestMemoryIsBounded(t *testing.T) {
	for _, format := range callfile.Formats {
		used := func(n int) uint64 {
			w, err := callfile.New(format, "", io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := w.Write(call(i)); err != nil {
					t.Fatal(err)
				}
			}
			runtime.GC()
			runtime.GC() // what a pool keeps outlives one collection
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			w.Close()
			return m.HeapAlloc
		}
		few := used(20_000)
		if many := used(80_000); many > few+16<<20 {
			t.Errorf("%s: %d MiB for 80,000 calls and %d for 20,000", format, many>>20, few>>20)
		}
	}
}
