package cli

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/auditlog"
)

// FormatProof is the export that proves itself; see docs/audit.md.
const FormatProof = "proof"

var auditFormats = []string{auditlog.JSONLines, auditlog.CSV, auditlog.Syslog, FormatProof}

// AuditExport is what is asked for.
type AuditExport struct {
	Format string
	After  int64 // only entries after this one
	client.AuditQuery
}

// Wants reports whether an entry passes the filters.
func (x *AuditExport) Wants(e *api.AuditEntry) bool {
	f := auditlog.Filter{Action: x.Action, Object: x.Object, Actor: x.Actor, Result: x.Result, Since: x.Since, Until: x.Until}
	return f.Wants(e)
}

// Exported is what was written.
type Exported struct {
	Entries int64
	Last    int64 // the last entry that was read: the next export goes on after it
}

func (a *app) auditExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit log, the oldest first", Args: exactly(),
		Long: `Writes the audit log as it is read: to the standard output, to a new file that
only you can read, or to a syslog server. The formats jsonl, csv and syslog are
for other systems; proof is for postern audit verify.

With --data or --database it reads the whole log of all accounts from the
database. Without, it asks the server for what your account has.

It says the number of the last entry. Go on after it with --after, or let
--state FILE keep the number.`,
		Example: examples("postern audit export --since 30d --out audit.jsonl", "postern audit export --format syslog --to tls://logs.example.org:6514 --state sent.txt",
			"postern audit export --format proof --out proof.jsonl"),
		RunE: a.remote(exportAudit),
	}
	auditFlags(cmd)
	f := cmd.Flags()
	f.String("format", auditlog.JSONLines, "jsonl, csv, syslog or proof")
	f.Int64("after", 0, "only entries after this number")
	f.String("out", "", "write to this new file")
	f.String("to", "", "send syslog messages to this server: tcp://HOST:PORT or tls://HOST:PORT")
	f.String("state", "", "file that keeps the number of the last entry between runs")
	return cmd
}

func exportAudit(c *call) error {
	return ExportAudit(c.cmd, func(ctx context.Context, w io.Writer, x AuditExport) (done Exported, err error) {
		done.Entries, done.Last, err = c.ExportAudit(ctx, w, x.Format, x.After, x.AuditQuery)
		return done, err
	})
}

// ExportAudit runs an export that write writes, to where the flags say.
func ExportAudit(cmd *cobra.Command, write func(ctx context.Context, w io.Writer, x AuditExport) (Exported, error)) (err error) {
	c := &call{Screen: screenOf(cmd), ctx: cmd.Context(), cmd: cmd}
	x, err := c.auditExport()
	if err != nil {
		return err
	}
	to, done, err := c.auditSink(x.Format)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(to)
	spin := c.Spin("Reading the audit log…")
	got, err := write(cmd.Context(), &counting{w: buf, say: func(n int) { spin.Say("Reading the audit log… " + strconv.Itoa(n>>10) + " KiB") }}, x)
	spin.Stop()
	if err = errors.Join(err, buf.Flush(), done()); err != nil {
		return err
	}
	if path := c.str("state"); path != "" && x.Format != FormatProof {
		if err := keepNumber(path, got.Last); err != nil {
			return err
		}
	}
	c.Notef("%s. The last is entry %d.", entries(int(got.Entries)), got.Last)
	return nil
}

// auditExport reads the flags.
func (c *call) auditExport() (x AuditExport, err error) {
	if x.AuditQuery, err = c.auditQuery(); err != nil {
		return x, err
	}
	x.Format = c.str("format")
	if !slices.Contains(auditFormats, x.Format) {
		return x, usagef("There is no format %q. Choose one of %s.", x.Format, strings.Join(auditFormats, ", "))
	}
	x.After, err = c.cmd.Flags().GetInt64("after")
	if err != nil || x.After < 0 {
		return x, usagef("--after is the number of an entry.")
	}
	if x.Format == FormatProof && (x.AuditQuery != client.AuditQuery{} || x.After != 0 || c.str("state") != "" || c.str("to") != "") {
		return x, usagef("The format proof has all entries: it goes without filters, --after, --state and --to.")
	}
	if path := c.str("state"); path != "" && x.After == 0 {
		if x.After, err = keptNumber(path); err != nil {
			return x, err
		}
	}
	return x, nil
}

// auditSink is where an export goes, and what ends it.
func (c *call) auditSink(format string) (io.Writer, func() error, error) {
	out, to := c.str("out"), c.str("to")
	switch {
	case out != "" && to != "":
		return nil, nil, usagef("Choose one of --out and --to.")
	case to != "":
		if format != auditlog.Syslog {
			return nil, nil, usagef("--to sends syslog messages: it goes with --format syslog.")
		}
		conn, err := dialSyslog(c.ctx, to)
		if err != nil {
			return nil, nil, err
		}
		return auditlog.Frame(conn), conn.Close, nil
	case out != "":
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, nil, usagef("The file can't be made: %v.", errors.Unwrap(err))
		}
		return f, func() error { return errors.Join(f.Sync(), f.Close()) }, nil
	}
	return c.Out, func() error { return nil }, nil
}

// dialSyslog connects to a syslog server.
func dialSyslog(ctx context.Context, to string) (net.Conn, error) {
	u, err := url.Parse(to)
	if err != nil || u.Port() == "" || u.Scheme != "tcp" && u.Scheme != "tls" {
		return nil, usagef("A syslog server is written as tcp://HOST:PORT or tls://HOST:PORT.")
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if u.Scheme == "tls" {
		return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", u.Host)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
}

func keptNumber(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, usagef("The file of --state can't be read: %v.", errors.Unwrap(err))
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		return 0, usagef("The file of --state holds no number of an entry.")
	}
	return n, nil
}

// keepNumber replaces the file whole, so that it never holds half a number.
func keepNumber(path string, n int64) error {
	return replaceFile(path, fmt.Appendf(nil, "%d\n", n))
}

// counting tells now and then how much went through.
type counting struct {
	w   io.Writer
	n   int
	at  int
	say func(n int)
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.n += n; c.n-c.at > 256<<10 {
		c.at = c.n
		c.say(c.n)
	}
	return n, err
}

func (a *app) auditCheckpoint() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Print the newest signed checkpoint, to keep it elsewhere", Args: exactly(),
		Long:    "Prints what the server signed of the log last. Keep it where the server's operators\ncan't change it: a log that was cut short or rewritten can't fit it any more.",
		Example: examples("postern audit checkpoint > kept.txt", "postern audit verify --data /var/lib/postern --checkpoint kept.txt"),
		RunE: a.remote(func(c *call) error {
			p, err := c.AuditCheckpoint(c.ctx)
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(p)
			}
			_, err = io.WriteString(c.Out, p.Note)
			return err
		}),
	}
}

func (a *app) auditKey() *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the key that the log's checkpoints are verified with", Args: exactly(),
		Example: examples("postern audit key", "postern audit verify --export audit.jsonl --key \"$(postern audit key | head -1)\""),
		RunE: a.remote(func(c *call) error {
			k, err := c.AuditKeys(c.ctx)
			if err != nil {
				return err
			}
			if c.JSON {
				return c.WriteJSON(k)
			}
			_, err = fmt.Fprintln(c.Out, strings.Join(k.Keys, "\n"))
			return err
		}),
	}
}

func (a *app) auditProof() *cobra.Command {
	return &cobra.Command{
		Use: "proof ENTRY", Short: "Print the proof that an entry is in the log", Args: exactly("the number of an entry"),
		Long:    "Prints, as JSON, an entry's text and the hashes that lead from it to the root of\na signed checkpoint. docs/audit.md says how to follow them.",
		Example: examples("postern audit proof 1204"),
		RunE: a.remote(func(c *call) error {
			seq, err := strconv.ParseInt(c.args[0], 10, 64)
			if err != nil || seq < 1 {
				return usagef("An entry is named by its number, such as 1204.")
			}
			p, err := c.AuditProof(c.ctx, seq, 0)
			if err != nil {
				return err
			}
			return c.WriteJSON(p)
		}),
	}
}
