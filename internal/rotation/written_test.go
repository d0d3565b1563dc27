package rotation_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/rotation"
)

// The name of a spool goes with a copy of its directory, and the copy gives it up:
// of two nodes neither speaks for the other's calls.
func TestCopiedDirectory(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		copied := func(dir string) string {
			to := t.TempDir()
			w.must(os.CopyFS(to, os.DirFS(dir)))
			return to
		}
		marker := func(dir, node string) *rotation.Marker {
			_, err := w.db.RenewLease(ctx, node, time.Hour)
			w.must(err)
			return rotation.NewMarker(rotation.MarkConfig{DB: w.db, Activity: w.log, Node: node, Data: dir, Now: w.now})
		}
		said := func(what, want string) {
			t.Helper()
			list, err := w.db.WrittenMarks(ctx)
			w.must(err)
			nodes, names := map[string]bool{}, map[string]bool{}
			for _, m := range list {
				nodes[m.Node], names[m.Spool] = true, true
			}
			for _, n := range strings.Fields(want) {
				if !nodes[n] {
					t.Errorf("%s: nothing is known of %s: %+v", what, n, list)
				}
			}
			if n := len(strings.Fields(want)); len(list) != n || len(names) != n {
				t.Errorf("%s: marks = %+v, want those of %s", what, list, want)
			}
		}
		home := t.TempDir()
		a1 := marker(home, "a1")
		w.must(a1.Mark(ctx))
		image := copied(home)

		// A copy is started while the original lives.
		there := copied(home)
		b1 := marker(there, "b1")
		if err := b1.Mark(ctx); err == nil || !strings.Contains(err.Error(), "a1") {
			t.Errorf("the first mark of a copy = %v, want it to wait for the lease of a1", err)
		}
		said("while it isn't known who lives", "a1")
		_, err := w.db.RenewLease(ctx, "a1", time.Hour)
		w.must(err)
		w.must(b1.Mark(ctx))
		said("the original renewed its lease", "a1 b1")
		w.must(a1.Mark(ctx))
		w.must(b1.Mark(ctx))
		said("both go on", "a1 b1")

		// The original crashes and starts again: its own mark waits for the lease, and then goes on.
		a2 := marker(home, "a2")
		if err := a2.Mark(ctx); err == nil {
			t.Error("a mark was taken over while the lease before still runs")
		}
		// It crashes again and again before that.
		for _, name := range []string{"a3", "a4", "a5", "a2"} {
			a2 = marker(home, name)
			if err := a2.Mark(ctx); err == nil || !strings.Contains(err.Error(), "a1") {
				t.Errorf("the first mark of %s = %v, want it to wait for the lease of a1", name, err)
			}
		}
		w.must(w.db.DropLease(ctx, "a1"))
		w.must(a2.Mark(ctx))
		said("after a restart", "a2 b1")

		// An old image is started after that, while the original is off.
		w.must(w.db.DropLease(ctx, "a2"))
		c1 := marker(image, "c1")
		w.must(c1.Mark(ctx))
		said("an old image", "a2 b1 c1")
		c2 := marker(image, "c2")
		w.must(w.db.DropLease(ctx, "c1"))
		w.must(c2.Mark(ctx))
		said("the image once more", "a2 b1 c2")

		// Who leaves takes out its own mark and nobody's else.
		w.must(c2.Leave(ctx))
		w.must(b1.Leave(ctx))
		said("those who left", "a2")
		if text, err := os.ReadFile(filepath.Join(home, "spool-name")); err != nil || !strings.Contains(string(text), "a2") {
			t.Errorf("the file says %q, %v", text, err)
		}
	})
}
