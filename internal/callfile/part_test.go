package callfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"postern.dev/postern/internal/callfile"
)

// TestAnExportGoesOn ends an export at many places of its last lines, and goes on:
// the file is the same as if it had never ended.
func TestAnExportGoesOn(t *testing.T) {
	asked := callfile.Asked{Format: "csv", Filter: []byte(`{"Key":"A"}`)}
	var want bytes.Buffer
	write(t, "csv", 20, &want)
	for cut := 0; cut < 300; cut += 7 {
		path := filepath.Join(t.TempDir(), "calls.csv")
		p, err := callfile.Begin(path, asked)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 12; i++ {
			if err := p.Write(call(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := callfile.Begin(path, asked); !errors.Is(err, callfile.ErrBegun) {
			t.Fatalf("Begin again = %v, want that it was begun", err)
		}
		st, err := os.Stat(path + ".part")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path+".part", st.Size()-int64(cut)); err != nil {
			t.Fatal(err)
		}
		if p, err = callfile.Resume(path); err != nil {
			t.Fatal(err)
		}
		if p.Calls != p.Last || p.Last > 12 || p.Last < 10 || string(p.Asked.Filter) != `{"Key":"A"}` {
			t.Fatalf("with %d bytes less it goes on after call %d of %d, asked %s", cut, p.Last, p.Calls, p.Asked.Filter)
		}
		for i := p.Last + 1; i <= 20; i++ {
			if err := p.Write(call(int(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Finish("1.2"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("with %d bytes less the file differs, %v", cut, err)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Fatalf("%v are left", left)
		}
		if _, err := callfile.Begin(path, asked); !errors.Is(err, callfile.ErrThere) {
			t.Fatalf("Begin over a file = %v, want that it is there", err)
		}
		if _, err := callfile.Resume(path); !errors.Is(err, callfile.ErrNothing) {
			t.Fatalf("Resume of a whole file = %v, want that there is nothing", err)
		}
	}
}
