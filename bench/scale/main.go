// Command scale measures how Postern grows with the number of keys: start-up,
// memory, and what a verification, a new key, a revocation and a page of the
// console cost, on SQLite and with three nodes on PostgreSQL:
//
//	go run ./bench/scale -keys 10000,100000,1000000
//	go run ./bench/scale -keys 10000,100000 -postgres postgres://…
//
// The database grows from one size to the next; its keys are spread over 200
// accounts, and are written in bulk, sealed as any other. At the end stands one
// table, and beside each figure how it grew for ten times the keys: about 1.0 is
// flat, about 10 is linear.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	keys := flag.String("keys", "10000,100000,1000000", "numbers of keys, growing")
	postgres := flag.String("postgres", os.Getenv("POSTERN_TEST_POSTGRES"), "URL of a PostgreSQL server in which a schema may be made (POSTERN_TEST_POSTGRES); empty: SQLite alone")
	rounds := flag.Int("rounds", 200, "how often each thing is asked for")
	dir := flag.String("dir", "", "directory for the databases; empty: a temporary one")
	var n nodeFlags
	flag.StringVar(&n.data, "node", "", "used by the program itself: be the node with this directory")
	flag.StringVar(&n.database, "database", "", "used by the program itself")
	flag.StringVar(&n.pepper, "pepper", "", "used by the program itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, n, *keys, *postgres, *dir, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench/scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n nodeFlags, keys, postgres, dir string, rounds int) error {
	if n.data != "" {
		return serve(ctx, n)
	}
	var sizes []int
	for s := range strings.SplitSeq(keys, ",") {
		size, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || size < accounts || len(sizes) > 0 && size <= sizes[len(sizes)-1] {
			return fmt.Errorf("-keys: want growing numbers of at least %d, not %q", accounts, keys)
		}
		sizes = append(sizes, size)
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "postern-scale-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	var all []series
	places := []place{{name: "SQLite", dir: dir + "/sqlite", nodes: 1}}
	if postgres != "" {
		target, drop, err := schema(ctx, postgres)
		if err != nil {
			return err
		}
		defer drop()
		places = append(places, place{name: "PostgreSQL, 3 nodes", dir: dir + "/postgres", database: target, nodes: 3})
	}
	for _, p := range places {
		s := series{name: p.name}
		f, err := newFilling(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for _, size := range sizes {
			figures, err := f.measure(ctx, size, rounds)
			if err != nil {
				return fmt.Errorf("%s, %d keys: %w", p.name, size, err)
			}
			s.columns = append(s.columns, figures)
		}
		all = append(all, s)
	}
	for _, s := range all {
		s.print(sizes)
	}
	return nil
}

// figure is one thing that was measured.
type figure struct {
	name  string
	value float64
	unit  string // "s", "ms", "µs", "MiB", "B"
	grows bool   // with the number of keys, by its nature
}

// series is what was measured at one place, a column for each size.
type series struct {
	name    string
	columns [][]figure
}

// print prints a table: a line for each thing, a column for each size, and how it grew for ten times the keys.
func (s series) print(sizes []int) {
	fmt.Printf("\n%-52s", s.name)
	for _, n := range sizes {
		fmt.Printf(" %12s", thousands(n)+" keys")
	}
	fmt.Printf("  %s\n", "growth for 10 times the keys")
	for i, f := range s.columns[0] {
		fmt.Printf("%-52s", f.name)
		for _, c := range s.columns {
			fmt.Printf(" %12s", fmt.Sprintf("%.*f %s", digits(c[i].value), c[i].value, c[i].unit))
		}
		var growth []string
		for k := 1; k < len(sizes); k++ {
			tens := math.Log10(float64(sizes[k]) / float64(sizes[k-1]))
			growth = append(growth, fmt.Sprintf("×%.1f", math.Pow(s.columns[k][i].value/s.columns[k-1][i].value, 1/tens)))
		}
		fmt.Printf("  %-12s %s\n", strings.Join(growth, " "), map[bool]string{true: "linear by nature", false: "should be flat"}[f.grows])
	}
}

func digits(v float64) int {
	switch {
	case v >= 100:
		return 0
	case v >= 10:
		return 1
	}
	return 2
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func median(list []time.Duration) time.Duration { return list[len(list)/2] }

func quantile[T cmp.Ordered](sorted []T, q float64) T {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
