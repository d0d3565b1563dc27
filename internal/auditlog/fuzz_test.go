package auditlog_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
)

var t0 = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func entryText(seq int64) string {
	by := postern.Actor{AccountID: "acc_1", MemberID: "mem_1", IP: "203.0.113.7", UserAgent: `curl "8"`}
	e := by.Entry(t0, "service_key.create", "k1")
	e.Seq, e.Name, e.After = seq, "nightly – <sync>", map[string]any{"scopes": []string{"deals.read"}}
	return auditlog.Encode(&e)
}

// What of an entry stands in columns is read by hand, and by the JSON that is shown:
// of whatever was written, both must read the same.
func FuzzRowOf(f *testing.F) {
	f.Add(uint32(0), "service_key.create", "k1", "nightly – <sync>", `curl "8"`, "why")
	f.Add(uint32(1<<31), "", `","action":"x`, "\x00\u2028", "\xff", "\\")
	f.Fuzz(func(t *testing.T, n uint32, action, object, name, agent, why string) {
		by := postern.Actor{AccountID: "acc_1", MemberID: "mem_1", UserAgent: agent}
		e := by.Entry(t0, action, object)
		e.Seq, e.Name, e.Reason, e.After = int64(n)+1, name, why, map[string]any{"action": name}
		text := auditlog.Encode(&e)
		row, ok := auditlog.RowOf(text)
		got, err := auditlog.Decode(text)
		if !ok || err != nil {
			t.Fatalf("%q: row %t, entry %v", text, ok, err)
		}
		if got.Seq != row.Seq || int64(postern.ToMicros(got.At)) != row.At || string(got.AccountID) != row.Account || got.Action != row.Action || got.Object != row.Object || got.Result != row.Result {
			t.Errorf("%q is the row %+v and the entry %+v", text, row, got)
		}
	})
}

// A text that says something twice, something more, or not in order, is none that was
// written here: those who read it as JSON might read it differently.
func TestRowOfReadsAllOfIt(t *testing.T) {
	whole := func(tail string) string {
		return `{"seq":7,"at":"2026-03-04T05:06:07Z","account":"acc_1","actor":{"member":"mem_1"},"action":"a.b","object":"o","name":"n","result":"ok"` + tail
	}
	for tail, want := range map[string]bool{
		`}`: true, `,"reason":"why"}`: true, `,"after":{"a":{"b":"}"}}}`: true, `,"reason":"\\","before":{"x":"\""},"after":{}}`: true,
		``: false, `}}`: false, `} `: false, `,"object":"other"}`: false, `,"seq":8}`: false, `,"reason":"a","reason":"b"}`: false, `,"after":{},"before":{}}`: false,
		`,"after":{}`: false, `,"after":[]}`: false, `,"after":"x"}`: false, `,"after":{"a":}}`: false, `,"after":{},"more":1}`: false, `,"after":{"a":"b}`: false, `,"after":}`: false,
	} {
		if _, ok := auditlog.RowOf(whole(tail)); ok != want {
			t.Errorf("%s: %t, want %t", tail, ok, want)
		}
	}
}

// A note that counts as signed is, to the last byte, one that was signed.
func FuzzOpen(f *testing.F) {
	signer, err := auditlog.NewSigner("postern/0123456789abcdef", [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	c := auditlog.Checkpoint{Origin: "postern/0123456789abcdef", Number: 1, Size: 3, At: t0}
	good, err := auditlog.Sign(&c, signer)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := auditlog.ParseKeys(signer.Key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + "\n")
	f.Add(strings.Replace(good, "\n3\n", "\n4\n", 1))
	f.Fuzz(func(t *testing.T, s string) {
		if _, signed, err := keys.Open(s); err == nil && signed != (s == good) {
			t.Errorf("signed = %t: %q", signed, s)
		}
	})
}

// An export comes from anywhere: nothing in it stops a verification in another way than by its report or an error.
func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	log := &auditlog.Log{Origin: "postern/0123456789abcdef", Entries: 1,
		Rows: func(yield func(auditlog.Row, error) bool) { row, _ := auditlog.RowOf(entryText(1)); yield(row, nil) },
		Hashes: func(yield func(auditlog.StoredHash, error) bool) {
			h := auditlog.LeafHash(entryText(1))
			yield(auditlog.StoredHash{N: 0, Hash: h[:]}, nil)
		},
		Checkpoints: func(func(auditlog.StoredCheckpoint, error) bool) {}}
	if err := auditlog.Export(&b, log); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add(strings.Join(slices.Collect(strings.Lines(b.String()))[1:], ""))
	f.Add(strings.Replace(b.String(), `"seq":1`, `"seq":2`, 1))
	f.Fuzz(func(t *testing.T, s string) {
		r, err := auditlog.NewReader(strings.NewReader(s))
		if err != nil {
			return
		}
		report, err := auditlog.Verify(t.Context(), r.Log(), auditlog.Options{})
		if err == nil && report.Sound && report.Entries != 0 && report.Root == "" {
			t.Errorf("%q is sound without a root: %+v", s, report)
		}
	})
}
