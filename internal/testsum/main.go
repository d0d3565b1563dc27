// Command testsum reads the output of go test -json, shows what failed and what
// was slow, and ends with a line that counts: "412 passed, 0 failed". Its exit
// status is 1 where anything failed, or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action     string
	Package    string
	ImportPath string // of what was built
	Test       string
	Output     string
	Elapsed    float64
	// FailedBuild is what could not be built, so that a package's tests didn't run.
	FailedBuild string
}

func main() {
	before := counts{}
	flag.IntVar(&before.passed, "passed", 0, "tests that passed before, to be counted too")
	flag.IntVar(&before.failed, "failed", 0, "tests that failed before, to be counted too")
	port := flag.Bool("free-port", false, "print a free TCP port of 127.0.0.1, and nothing else")
	flag.Parse()
	if *port {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		l.Close()
		return
	}
	if !summarize(os.Stdin, os.Stdout, before) {
		os.Exit(1)
	}
}

// counts are tests that ran before.
type counts struct{ passed, failed int }

// summarize reads events and reports whether all went well.
func summarize(r io.Reader, w io.Writer, before counts) bool {
	passed, failed, skipped := before.passed, before.failed, 0
	output := map[string][]string{}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			fmt.Fprintln(w, in.Text()) // what go itself says, such as a failed build
			continue
		}
		name := e.Package + e.ImportPath + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[name] = append(output[name], e.Output)
		case "pass":
			if e.Test != "" {
				passed++
			} else {
				fmt.Fprintf(w, "ok %s %.1fs\n", e.Package, e.Elapsed)
			}
			delete(output, name)
		case "skip":
			if e.Test != "" {
				skipped++
				fmt.Fprintf(w, "skipped %s\n%s", name, strings.Join(output[name], ""))
			}
			delete(output, name)
		case "fail", "build-fail":
			// A package that could not be built fails once, with what was built.
			if e.Test != "" || e.FailedBuild == "" && !hasFailure(output, e.Package) {
				failed++
			}
			fmt.Fprintf(w, "FAIL %s\n%s", name, strings.Join(output[name], ""))
		}
	}
	fmt.Fprintf(w, "\n%d passed, %d failed", passed, failed)
	if skipped > 0 {
		fmt.Fprintf(w, ", %d skipped", skipped)
	}
	fmt.Fprintln(w)
	return failed == 0 && passed > before.passed && in.Err() == nil
}

// hasFailure reports whether a test of a package is known to have failed, so
// that the package's own failure is not one more.
func hasFailure(output map[string][]string, pkg string) bool {
	for name, lines := range output {
		if strings.HasPrefix(name, pkg+" ") && len(name) > len(pkg)+1 && slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "--- FAIL") }) {
			return true
		}
	}
	return false
}
