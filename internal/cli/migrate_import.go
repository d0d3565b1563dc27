package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// importPart is how much of a file goes to the server at once, and importRecords how many credentials.
const (
	importPart    = 4 << 20
	importRecords = 5000
)

func (a *app) migrateImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Import old credentials, so that they keep working", Args: exactly("FILE"),
		Long: `Imports private-app tokens and API keys, as text, as SHA-256 or as slow hashes, from
CSV with a first line that names the columns, or from JSON lines. "-" reads standard
input. Columns: name, kind (private_app or api_key), secret or sha256 or hash with find,
scopes, note, sunset, expires, networks.

A line that can't be imported is left out and named with the reason. The same file
again imports what is missing, and nothing twice. You must hold every scope that you
bring in; for an API key, which may do everything, all of them.`,
		Example: examples("postern migrate import old-keys.csv --dry-run", "postern migrate import old-keys.csv", "vault-export | postern migrate import - --format jsonl"),
		RunE:    a.remote(importFile),
	}
	cmd.Flags().Bool("dry-run", false, "check everything, and change nothing")
	cmd.Flags().String("format", "", "csv or jsonl; else the file's name says it")
	return cmd
}

func importFile(c *call) error {
	name := c.args[0]
	format := c.str("format")
	if format == "" {
		switch ext := strings.ToLower(filepath.Ext(name)); ext {
		case ".csv":
			format = "csv"
		case ".jsonl", ".ndjson", ".json":
			format = "jsonl"
		default:
			return usagef("Say what the file is: --format csv or --format jsonl.")
		}
	}
	in := c.app.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return errorf("Can't open the file: %s", reasonOf(err))
		}
		defer f.Close()
		in = f
	}
	parts, err := partsOf(in, format)
	if err != nil {
		return err
	}
	total := api.LegacyImport{DryRun: c.on("dry-run"), Lines: []api.LegacyImportLine{}}
	for {
		p, err := parts.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return importStopped(&total, err)
		}
		out, err := c.ImportLegacy(c.ctx, format, p.data, total.DryRun, false)
		if err != nil {
			return importStopped(&total, err)
		}
		p.add(&total, out)
		c.Notef("%s read: %s %s, %s there already, %s refused.", screen.Number(int64(total.Records)), screen.Number(int64(total.Imported)), map[bool]string{true: "can be imported", false: "imported"}[total.DryRun],
			screen.Number(int64(total.Duplicates)), screen.Number(int64(total.Refused)))
	}
	return c.tellImport(&total)
}

// reasonOf is what went wrong with a file, without its name.
func reasonOf(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// importStopped says what stays of an import that broke off.
func importStopped(total *api.LegacyImport, err error) error {
	if total.Imported > 0 && !total.DryRun {
		return fmt.Errorf("%w (%d were imported before that and stay; run it again to go on)", err, total.Imported)
	}
	return err
}

func (c *call) tellImport(r *api.LegacyImport) error {
	if c.JSON {
		if err := c.WriteJSON(r); err != nil {
			return err
		}
	} else {
		verb := "Imported"
		if r.DryRun {
			verb = "Would import"
		}
		c.Text(fmt.Sprintf("%s %d of %d. %d %s there already, %d refused.", verb, r.Imported, r.Records, r.Duplicates, verbFor(r.Duplicates, "was", "were"), r.Refused))
		if r.APIKeys > 0 {
			c.Text(fmt.Sprintf("%d of them can do everything in the account, since they are API keys. Move those first.", r.APIKeys))
		}
		if r.Weak > 0 {
			c.Text(fmt.Sprintf("%d can be guessed. They have an end and a limit.", r.Weak))
		}
		for _, n := range r.Translated {
			c.Text(fmt.Sprintf("The old scope %s was translated in %s: it stands for %s.", n.Name, screen.Count(n.Lines, "line"), someOf(n.Scopes)))
		}
		if shown := c.tellRefused(r.Lines); r.Refused > shown {
			c.Notef("%d more lines were refused. See all with --json.", r.Refused-shown)
		}
	}
	if r.Refused > 0 {
		return exit(ExitConflict, errorf("%d lines were refused.", r.Refused))
	}
	return nil
}

// tellRefused names the first lines that were refused, with their reasons in full.
func (c *call) tellRefused(lines []api.LegacyImportLine) (shown int) {
	for _, l := range lines {
		if l.Result != "refused" || shown == 50 {
			continue
		}
		if shown == 0 {
			c.Printf("\n")
		}
		shown++
		c.Hang(fmt.Sprintf("line %-5d refused  ", l.Line), l.Reason)
	}
	return shown
}

// someOf are the first of some scopes.
func someOf(scopes []string) string {
	const most = 8
	if len(scopes) <= most {
		return and(scopes)
	}
	return strings.Join(scopes[:most], ", ") + fmt.Sprintf(" and %d more", len(scopes)-most)
}

// filePart is a part of a file as it is sent, and which of its lines were which of the file.
type filePart struct {
	data  []byte
	lines map[int]int
}

func (p *filePart) add(total *api.LegacyImport, out api.LegacyImport) {
	for i := range out.Lines {
		if l, ok := p.lines[out.Lines[i].Line]; ok {
			out.Lines[i].Line = l
		}
	}
	total.Records += out.Records
	total.Imported += out.Imported
	total.Duplicates += out.Duplicates
	total.Refused += out.Refused
	total.Weak += out.Weak
	total.APIKeys += out.APIKeys
	total.LeftOut += out.LeftOut
	for _, n := range out.Translated {
		if at := slices.IndexFunc(total.Translated, func(o api.TranslatedScope) bool { return o.Name == n.Name }); at >= 0 {
			total.Translated[at].Lines += n.Lines
			continue
		}
		total.Translated = append(total.Translated, n)
	}
	if len(total.Lines) < 100_000 {
		total.Lines = append(total.Lines, out.Lines...)
	} else {
		total.LeftOut += len(out.Lines)
	}
	if total.ImportID == "" {
		total.ImportID = out.ImportID
	}
}

// fileParts gives a file part by part; io.EOF ends it.
type fileParts interface{ next() (*filePart, error) }

func partsOf(in io.Reader, format string) (fileParts, error) {
	switch format {
	case "jsonl":
		return &lineParts{in: bufio.NewReader(in)}, nil
	case "csv":
		r := csv.NewReader(bufio.NewReader(in))
		r.FieldsPerRecord, r.LazyQuotes = -1, true
		head, err := r.Read()
		if err == io.EOF {
			return nil, usagef("The file is empty. Its first line names the columns.")
		}
		if err != nil {
			return nil, errorf("The first line, which names the columns, can't be read.")
		}
		head[0] = strings.TrimPrefix(head[0], "\ufeff")
		return &csvParts{in: r, head: head}, nil
	}
	return nil, usagef("The format is csv or jsonl.")
}

type lineParts struct {
	in   *bufio.Reader
	line int
}

func (p *lineParts) next() (*filePart, error) {
	out := &filePart{lines: map[int]int{}}
	for n := 0; n < importRecords && len(out.data) < importPart; {
		b, err := p.in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		if len(b) > 0 {
			p.line++
			if len(bytes.TrimSpace(b)) > 0 {
				n++
				out.lines[n] = p.line
				out.data = append(append(out.data, bytes.TrimSpace(b)...), '\n')
			}
		}
		if err == io.EOF {
			break
		}
	}
	if len(out.data) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

// csvParts writes records anew, each part with the first line of the file.
type csvParts struct {
	in   *csv.Reader
	head []string
}

func (p *csvParts) next() (*filePart, error) {
	out := &filePart{lines: map[int]int{}}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(p.head); err != nil {
		return nil, err
	}
	w.Flush()
	line, records := bytes.Count(b.Bytes(), []byte("\n"))+1, 0
	for records < importRecords && b.Len() < importPart {
		rec, err := p.in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, errorf("Line %d of the file is not CSV.", lineOf(err))
		}
		records++
		out.lines[line], _ = p.in.FieldPos(0)
		was := b.Len()
		if err := w.Write(rec); err != nil {
			return nil, err
		}
		w.Flush()
		line += bytes.Count(b.Bytes()[was:], []byte("\n"))
	}
	if records == 0 {
		return nil, io.EOF
	}
	out.data = b.Bytes()
	return out, w.Error()
}

func lineOf(err error) int {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return e.StartLine
	}
	return 0
}

// migrateCredentials are the commands on imported credentials themselves.
func (a *app) migrateCredentials() []*cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List imported credentials", Args: exactly(),
		Long:    "Lists the old credentials that were imported, the newest first: what they may do, when they were last used, and when they stop.",
		Example: examples("postern migrate list", "postern migrate list --state sunset", "postern migrate list --weak --json"),
		RunE:    a.remote(listLegacy),
	}
	f := list.Flags()
	f.String("name", "", "only those with this in their name or note")
	f.String("state", "", "only active, sunset, paused or ended ones")
	f.Bool("weak", false, "only those that can be guessed")
	f.Int("limit", 50, "at most so many; 0: all")
	show := &cobra.Command{
		Use: "show ID", Short: "Show an imported credential", Args: exactly("ID"), Example: examples("postern migrate show 4fQ2mZ8xT0aB6cD1"),
		RunE: a.remote(func(c *call) error {
			l, err := c.LegacyCredential(c.ctx, c.args[0])
			if err != nil {
				return err
			}
			return c.showLegacy(l)
		}),
	}
	note := &cobra.Command{
		Use: "note ID TEXT", Short: "Say who owns an imported credential", Args: exactly("ID", "TEXT"),
		Example: examples(`postern migrate note 4fQ2mZ8xT0aB6cD1 "Kim; the nightly export"`),
		RunE: a.remote(func(c *call) error {
			return c.legacyChanged(c.EditLegacyCredential(c.ctx, c.args[0], api.EditLegacy{Note: api.Set(c.args[1])}))
		}),
	}
	sunset := &cobra.Command{
		Use: "sunset ID DATE", Short: "Tell callers when an imported credential stops", Args: exactly("ID", "DATE"),
		Long: `Sets the sunset of an imported credential: answers to its calls say it, with a link. It
goes on working after that date, unless --stop makes it end then. "none" takes both away.`,
		Example: examples("postern migrate sunset 4fQ2mZ8xT0aB6cD1 2027-01-31", "postern migrate sunset 4fQ2mZ8xT0aB6cD1 2027-01-31 --stop"),
		RunE:    a.remote(setSunset),
	}
	sunset.Flags().Bool("stop", false, "it stops working then, too")
	pause := &cobra.Command{
		Use: "pause ID", Short: "Stop an imported credential until it is resumed", Args: exactly("ID"), Example: examples("postern migrate pause 4fQ2mZ8xT0aB6cD1"),
		RunE: a.remote(func(c *call) error {
			l, err := c.LegacyCredential(c.ctx, c.args[0])
			if err != nil {
				return err
			}
			ok, err := c.sure(act{Verb: "pause", Object: "the credential " + quoted(l.Name), ID: l.ID, Name: l.Name, Then: "Its calls are refused until it is resumed."})
			if !ok || err != nil {
				return err
			}
			return c.legacyChanged(c.PauseLegacyCredential(c.ctx, l.ID))
		}),
	}
	asks(pause)
	resume := &cobra.Command{
		Use: "resume ID", Short: "Let a paused imported credential work again", Args: exactly("ID"), Example: examples("postern migrate resume 4fQ2mZ8xT0aB6cD1"),
		RunE: a.remote(func(c *call) error { return c.legacyChanged(c.ResumeLegacyCredential(c.ctx, c.args[0])) }),
	}
	return []*cobra.Command{a.migrateImport(), list, show, note, sunset, pause, resume}
}

func legacyQuery(c *call) client.LegacyQuery {
	return client.LegacyQuery{Name: c.str("name"), State: c.str("state"), Weak: c.on("weak")}
}

func setSunset(c *call) error {
	var in api.EditLegacy
	if c.args[1] == "none" {
		in.SunsetAt, in.ExpiresAt = api.None[time.Time](), api.None[time.Time]()
	} else {
		at, err := time.Parse(time.DateOnly, c.args[1])
		if err != nil {
			if at, err = time.Parse(time.RFC3339, c.args[1]); err != nil {
				return usagef("The date is written as 2027-01-31 or 2027-01-31T18:00:00Z, or none.")
			}
		}
		in.SunsetAt = api.Set(at.UTC())
		if c.on("stop") {
			in.ExpiresAt = api.Set(at.UTC())
		}
	}
	return c.legacyChanged(c.EditLegacyCredential(c.ctx, c.args[0], in))
}

func listLegacy(c *call) error {
	switch c.str("state") {
	case "", "active", "sunset", "paused", "ended":
	default:
		return usagef("The state is active, sunset, paused or ended.")
	}
	list, _, err := collect(c, "credentials", c.number("limit"), c.EachLegacyCredential(c.ctx, legacyQuery(c)))
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(screen.List(list))
	}
	if len(list) == 0 {
		c.Notef("There are no old credentials here. Import some with: postern migrate import FILE")
		return nil
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "MAY", Min: 10}, {Title: "STATE"}, {Title: "STOPS"}, {Title: "LAST USED", Drop: 1}, {Title: "NOTE", Min: 10, Drop: 2}, {Title: "ID"}}}
	for _, l := range list {
		used := "never"
		if l.LastUsed != nil {
			used = c.Relative(l.LastUsed.At)
		}
		t.Row(l.Name, legacyMay(l), l.State, c.legacyStops(l), used, l.Note, l.ID)
	}
	c.Table(t)
	return nil
}

// legacyMay is what a credential may do, in a few words.
func legacyMay(l api.LegacyCredential) any {
	if l.AllScopes {
		return screen.Cell{Text: "everything", Tone: screen.Bad}
	}
	if len(l.Scopes) == 1 {
		return l.Scopes[0]
	}
	return screen.Count(len(l.Scopes), "scope")
}

func (c *call) legacyStops(l api.LegacyCredential) string {
	switch {
	case l.Ended != nil:
		return "ended " + c.onDay(l.Ended.At)
	case !l.ExpiresAt.IsZero():
		return c.onDay(l.ExpiresAt)
	case !l.SunsetAt.IsZero():
		return "sunset " + c.onDay(l.SunsetAt)
	}
	return "-"
}

// onDay is a time as short as it can be told: its day where it is the start of one.
func (c *call) onDay(t time.Time) string {
	if u := t.UTC(); u.Equal(u.Truncate(24 * time.Hour)) {
		return u.Format(time.DateOnly)
	}
	return c.In(t).Format("2006-01-02 15:04")
}

func (c *call) showLegacy(l api.LegacyCredential) error {
	if c.JSON {
		return c.WriteJSON(l)
	}
	line := func(name, value string) {
		if value != "" {
			c.Printf("%-12s %s\n", name, screen.Clean(value))
		}
	}
	line("Name", l.Name)
	line("ID", l.ID)
	line("Kind", strings.ReplaceAll(l.Kind, "_", " "))
	line("Shown as", l.Shown)
	line("State", l.State)
	if l.AllScopes {
		line("May do", "everything in the account")
	} else {
		line("May do", strings.Join(l.Scopes, " "))
	}
	line("From", strings.Join(l.Networks, " "))
	line("Note", l.Note)
	line("Strength", l.Strength)
	line("Slow hash", l.SlowHash)
	if !l.SunsetAt.IsZero() {
		line("Sunset", c.Exact(l.SunsetAt))
	}
	if !l.ExpiresAt.IsZero() {
		line("Stops", c.Exact(l.ExpiresAt))
	}
	if l.LastUsed != nil {
		line("Last used", c.Relative(l.LastUsed.At))
	}
	if !l.InAddressAt.IsZero() {
		line("In addresses", "last on "+l.InAddressAt.Format(time.DateOnly))
	}
	if l.Ended != nil {
		line("Ended", c.Exact(l.Ended.At)+" "+l.Ended.Reason)
	}
	return nil
}

func (c *call) legacyChanged(out api.ChangedLegacy, err error) error {
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(out)
	}
	c.Text(fmt.Sprintf("The credential %s is %s.", quoted(out.Name), out.State))
	return nil
}
