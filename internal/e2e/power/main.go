// Command power cuts the power of a machine, again and again, and counts what was
// acknowledged and is gone:
//
//	apt-get install -y --no-install-recommends fuse3
//	go run ./internal/e2e/power -cuts 50
//
// The data directory lies on a file system of its own that forgets what was not
// synced, or keeps some of its pages in any order. Three things run on it: the
// real server, whose keys are made and ended; its store alone, with several writers
// whose changes share commits, as it is; and, as
// the control, its store with synchronous=NORMAL, which must lose writes, or the
// cuts show nothing. It needs /dev/fuse and to be root.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	cuts := flag.Int("cuts", 50, "how often the power is cut in each run")
	seed := flag.Uint64("seed", rand.Uint64(), "seed of what is forgotten and when")
	life := flag.Duration("life", 400*time.Millisecond, "how long the power lasts at most, once the server answers")
	binary := flag.String("binary", "", "the postern to run; empty: it is built")
	file := flag.String("write", "", "used by the program itself: write to this database until the power is cut")
	look := flag.String("count", "", "used by the program itself: say what is in this database")
	relaxed := flag.Bool("relaxed", false, "used by the program itself: with synchronous=NORMAL")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	switch {
	case *file != "":
		err = write(ctx, *file, *relaxed)
	case *look != "":
		err = count(ctx, *look, *relaxed)
	default:
		err = run(ctx, *cuts, *seed, *life, *binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "power:", err)
		os.Exit(1)
	}
}

// result is what a run counted.
type result struct {
	name                   string
	cuts                   int
	acknowledged, lost     int
	syncs, forgotten       int
	commits                int64 // of those, where they are counted
	firstLoss, unreadable  string
	revoked, revokedWorked int
}

func (r *result) print() {
	fmt.Printf("%-44s %3d cuts: %6d changes acknowledged, %d lost", r.name, r.cuts, r.acknowledged, r.lost)
	if r.revoked > 0 {
		fmt.Printf("; %d keys ended, %d of them accepted afterwards", r.revoked, r.revokedWorked)
	}
	if r.commits > 0 {
		fmt.Printf("; in %d commits", r.commits)
	}
	fmt.Printf("; %d syncs, %d unsynced pages forgotten\n", r.syncs, r.forgotten)
	if r.unreadable != "" {
		fmt.Println("   ", r.unreadable)
	}
}

func run(ctx context.Context, cuts int, seed uint64, life time.Duration, binary string) error {
	dir, err := os.MkdirTemp("", "postern-power-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		binary = filepath.Join(dir, "postern")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/postern").CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	fmt.Printf("-seed %d\n", seed)
	mnt := filepath.Join(dir, "disk")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(seed, 2))
	control, err := cutWriter(ctx, "the store with synchronous=NORMAL (control)", mnt, true, cuts, rnd, life)
	if err != nil {
		return err
	}
	control.print()
	store, err := cutWriter(ctx, "the store as it is", mnt, false, cuts, rnd, life)
	if err != nil {
		return err
	}
	store.print()
	server, err := cutServer(ctx, binary, mnt, cuts, rnd, life)
	if err != nil {
		return err
	}
	server.print()
	switch {
	case store.lost+server.lost+server.revokedWorked > 0 || store.unreadable+server.unreadable != "":
		return fmt.Errorf("something that was acknowledged is gone: %s%s %s%s", store.firstLoss, server.firstLoss, store.unreadable, server.unreadable)
	case control.lost == 0:
		return fmt.Errorf("the control lost nothing: the cuts show nothing")
	case store.commits >= int64(store.acknowledged):
		return fmt.Errorf("no commit held several changes: nothing is said of those")
	case store.acknowledged < cuts || server.acknowledged < cuts:
		return fmt.Errorf("too little was written to say anything")
	}
	return nil
}

// keepOf is how much of what was not synced reaches the disk at a cut: nothing, or some of it.
func keepOf(i int, rnd *rand.Rand) float64 {
	if i%2 == 0 {
		return 0
	}
	return rnd.Float64()
}
