package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/cli/screen"
	"postern.dev/postern/internal/workbench"
	"postern.dev/postern/internal/workbench/accesslog"
	"postern.dev/postern/internal/workbench/wire"
)

// inventory is what the command of that name is told.
type inventory struct {
	template, fields string
	documents        []string
	docs             documents
	workers          int
}

func inventoryCommand() *cobra.Command {
	var in inventory
	c := &cobra.Command{
		Use:   "inventory FILE…",
		Short: "Find old credentials in access logs, and what they do",
		Long: "Read access logs, and group their calls by the credential that made them: which operations,\n" +
			"who calls, when, with which scopes a service key could do the same, and what should take the\n" +
			"credential's place. No server is needed. Files may be packed with gzip or zstd, and of any\n" +
			"size; \"-\" reads standard input. Secrets are told apart by a fingerprint and written nowhere.\n\n" +
			"Known are the common and combined formats, JSON lines of nginx, Caddy, Traefik, Envoy and\n" +
			"others, Envoy's text, AWS load balancers, HAProxy, W3C files, and tables with a header, such\n" +
			"as an export of call logs. Give --format for your own (nginx's log_format or Apache's\n" +
			"LogFormat), and --fields for names of columns or members that aren't known.\n\n" +
			"A log holds a credential only if it has the address with ?hapikey=, the Authorization header,\n" +
			"or a column that names the app. Calls without one are counted.",
		Example: "  postern migrate inventory /var/log/nginx/access.log*\n" +
			"  postern migrate inventory --openapi crm.yaml --openapi /bills=b.yaml *.gz\n" +
			"  postern migrate inventory --format '$msec $host $request_uri $arg_hapikey' a\n" +
			"  postern migrate inventory --openapi crm.yaml access.log --json > found.json",
		Args: cli.AtLeast("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return in.run(cmd, args) },
	}
	f := c.Flags()
	f.StringVar(&in.template, "format", "", "the log's format, as nginx or Apache were told it")
	f.StringVar(&in.fields, "fields", "", "names of columns or members: time=when,url=target,secret=cred")
	f.StringArrayVar(&in.documents, "openapi", nil, "API description, [PREFIX=]FILE; may be given several times")
	in.docs.flags(c)
	f.IntVar(&in.workers, "workers", 0, "how many lines are read at once (one for each core)")
	return c
}

func (in *inventory) run(cmd *cobra.Command, files []string) error {
	opts := accesslog.Options{Template: in.template, Workers: in.workers}
	if in.template != "" {
		if _, err := accesslog.FromTemplate(in.template); err != nil {
			return cli.Usage(err)
		}
	}
	if in.fields != "" {
		var err error
		if opts.Fields, err = accesslog.FieldNames(in.fields); err != nil {
			return cli.Usage(err)
		}
	}
	if opts.Workers <= 0 {
		opts.Workers = min(8, runtime.GOMAXPROCS(0))
	}
	apis, err := in.apis(cmd)
	if err != nil {
		return err
	}
	col, err := workbench.NewCollector(apis, opts.Workers)
	if err != nil {
		return unsound(err)
	}
	var reports []logReport
	for _, name := range files {
		r, err := readLog(cmd, name, opts, col)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	inv := col.Inventory()
	if cli.JSON(cmd) {
		items := []api.InventoryItem{}
		for i := range inv.Items {
			items = append(items, wire.JSON(&inv.Items[i]))
		}
		if err := cli.PrintJSON(cmd, items); err != nil {
			return err
		}
	} else {
		printInventory(cmd, inv)
	}
	return tellLogs(cmd, reports, inv)
}

// apis are the APIs that calls are looked up in.
func (in *inventory) apis(cmd *cobra.Command) (out []workbench.API, err error) {
	for _, d := range in.documents {
		prefix, file, ok := strings.Cut(d, "=")
		if !ok || !strings.HasPrefix(prefix, "/") {
			prefix, file = "", d
		}
		cat, _, err := in.docs.read(cmd, []string{file})
		if err != nil {
			return nil, err
		}
		cat.Upstream = postern.UpstreamID(fmt.Sprintf("api%d", len(out)+1))
		if name := slug(filepath.Base(file)); name != "" && !slices.ContainsFunc(out, func(a workbench.API) bool { return a.Catalog.Upstream == postern.UpstreamID(name) }) {
			cat.Upstream = postern.UpstreamID(name)
		}
		out = append(out, workbench.API{Catalog: cat, Prefix: prefix, Strip: prefix != ""})
	}
	return out, nil
}

// slug is a file's name as an upstream's: "crm.openapi.yaml" is crm.
func slug(file string) string {
	name, _, _ := strings.Cut(strings.ToLower(file), ".")
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
}

// logReport is what became of one file.
type logReport struct {
	name  string
	stats accesslog.Stats
}

// readLog reads one log into the collector.
func readLog(cmd *cobra.Command, name string, opts accesslog.Options, col *workbench.Collector) (logReport, error) {
	f, size := os.Stdin, int64(0)
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return logReport{}, cli.Fail("not_found", fmt.Errorf("the log %s can't be read: %w", name, errors.Unwrap(err)))
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return logReport{}, err
		}
		if info.IsDir() {
			return logReport{}, cli.Usage(fmt.Errorf("%s is a directory: name the files in it", name))
		}
		size = info.Size()
	}
	bar := cli.Progress(cmd, "Reading "+cli.Clean(filepath.Base(name))+", MB")
	defer bar.Done()
	r := &counted{r: f}
	r.tell = func(n int64) { bar.Set(n>>20, size>>20) }
	stats, err := accesslog.Scan(cmd.Context(), r, opts, func(w int, c *accesslog.Call) { col.Shard(w).Add(c) })
	if err != nil {
		return logReport{}, fmt.Errorf("read %s: %w", name, err)
	}
	return logReport{name, stats}, nil
}

// counted tells now and then how much was read.
type counted struct {
	r    io.Reader
	n    atomic.Int64
	tell func(int64)
	told int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if all := c.n.Add(int64(n)); all-c.told >= 4<<20 {
		c.told = all
		c.tell(all)
	}
	return n, err
}

// tellLogs says what became of the lines, on standard error, so that what was asked for stays clean.
func tellLogs(cmd *cobra.Command, reports []logReport, inv *workbench.Inventory) error {
	w := cmd.ErrOrStderr()
	var calls, bad int64
	for _, r := range reports {
		s := &r.stats
		calls += s.Calls
		bad += s.Bad()
		if s.Cut {
			fmt.Fprintf(w, "%s ends in the middle: it was packed and cut off. What came before the end was read.\n", cli.Clean(r.name))
		}
		for f := accesslog.TooLong; int(f) < accesslog.Faults; f++ {
			if n := s.Faults[f]; n > 0 {
				hang(w, "", "  ", fmt.Sprintf("%s: %s could not be read (%s), first at line %s", r.name, cli.Count(int(n), "line"), f.Words(), numbers(s.First[f])))
			}
		}
		if s.Jumps > 0 {
			hang(w, "", "  ", fmt.Sprintf("%s: time goes back by more than an hour %s", r.name, cli.Count(int(s.Jumps), "time")))
		}
	}
	fmt.Fprintf(w, "%s read, %s without a credential.\n", cli.Count(int(calls), "call"), screen.Number(inv.Anonymous))
	if inv.Beyond > 0 {
		fmt.Fprintf(w, "%s of credentials beyond the first 20,000 were left out.\n", cli.Count(int(inv.Beyond), "call"))
	}
	if calls == 0 && bad > 0 {
		return cli.Fail("invalid", errors.New("no line of these files could be read as a call; say how they are written with --format or --fields"))
	}
	return nil
}

func numbers(all []int64) string {
	var out []string
	for _, n := range all[:min(3, len(all))] {
		out = append(out, screen.Number(n))
	}
	return strings.Join(out, ", ")
}

var pathWords = map[workbench.To]string{workbench.ToServiceKey: "service key", workbench.ToApp: "app", workbench.ToRetire: "switch off", workbench.ToUnclear: "unclear"}

func printInventory(cmd *cobra.Command, inv *workbench.Inventory) {
	s := cli.ScreenOf(cmd)
	if len(inv.Items) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "No call of these logs shows a credential.")
		return
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "CREDENTIAL", Min: 16}, {Title: "CALLS", Right: true}, {Title: "LAST", Drop: 1}, {Title: "WHEN", Min: 14, Drop: 2}, {Title: "BECOMES"}}}
	for i := range inv.Items {
		it := &inv.Items[i]
		t.Row(itemName(it), screen.Number(it.Calls), it.Last.UTC().Format(time.DateOnly), it.Rhythm.Words, pathCell(it.Advice.To))
	}
	s.Table(t)
	w := cmd.OutOrStdout()
	for i := range inv.Items {
		it := &inv.Items[i]
		fmt.Fprintf(w, "\n%s", cli.Clean(itemName(it)))
		if it.Fingerprint != "" {
			fmt.Fprintf(w, " (%s)", it.Fingerprint)
		}
		fmt.Fprintf(w, ": %s\n", pathWords[it.Advice.To])
		for _, r := range it.Advice.Reasons {
			hang(w, "  ", "  ", r)
		}
		for _, n := range it.Advice.Notes {
			hang(w, "  ! ", "    ", n.Text)
		}
		if len(it.Scopes) > 0 {
			hang(w, "  Scopes: ", "    ", scopeList(it.Scopes))
		}
		hang(w, "  Callers: ", "    ", callerList(it))
	}
}

func pathCell(to workbench.To) screen.Cell {
	tone := screen.Plain
	if to == workbench.ToUnclear {
		tone = screen.Caution
	}
	return screen.Cell{Text: pathWords[to], Tone: tone}
}

// itemName is what people call a credential: its name, or what can be shown of it.
func itemName(i *workbench.Item) string {
	switch {
	case i.Name != "":
		return i.Name
	case i.Shown != "":
		return i.Shown
	}
	return string(i.Fingerprint)
}

func scopeList(scopes []postern.Scope) string {
	var out []string
	for _, s := range scopes {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

func callerList(i *workbench.Item) string {
	var out []string
	for _, c := range i.Callers[:min(5, len(i.Callers))] {
		who := c.UserAgent
		if c.IP.IsValid() {
			who = strings.TrimSpace(who + " from " + c.IP.String())
		}
		out = append(out, who)
	}
	text := strings.Join(out, "; ")
	if more := len(i.Callers) - len(out); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
