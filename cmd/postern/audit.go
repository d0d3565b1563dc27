package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

// auditRun is one run of a command that reads the audit log itself.
type auditRun struct {
	cfg         Config
	file        string // of settings
	export      string
	keys        []string
	checkpoints []string
}

func auditVerifyCommand() *cobra.Command {
	var a auditRun
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that the audit log is as it was written",
		Long: "Read the audit log straight from the database, or an export in the proof format, and hold every\n" +
			"entry against its columns, the stored hashes and all signed checkpoints. It names the first entry\n" +
			"that was altered, removed, reordered or rewritten. No server is needed; it may be running.\n\n" +
			"Give a checkpoint that you kept elsewhere with --checkpoint: that the newest entries were cut off\n" +
			"together with their checkpoints shows by it alone. The keys that count are those of --key, or of\n" +
			"the pepper in the data directory. The exit status is 6 where something is wrong.",
		Example: "  postern audit verify --data /var/lib/postern\n  postern audit verify --data /var/lib/postern --checkpoint kept.txt\n" +
			"  postern audit verify --export audit.jsonl --key \"$KEY\"",
		Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verify(cmd) },
	}
	f := c.Flags()
	f.StringVar(&a.export, "export", "", "verify this export (format proof) instead of a database")
	f.StringArrayVar(&a.checkpoints, "checkpoint", nil, "file of a checkpoint that was kept elsewhere; may be repeated")
	f.StringArrayVar(&a.keys, "key", nil, "key whose signature counts (NAME+ID+KEY, see postern audit key); may be repeated")
	f.StringVar(&a.file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	a.cfg.flags(f, "data", "database", "pepper-path", "log-level", "log-format")
	return c
}

func (a *auditRun) verify(cmd *cobra.Command) error {
	opts := auditlog.Options{Keys: a.keys}
	if _, err := auditlog.ParseKeys(a.keys...); err != nil {
		return cli.Usage(err)
	}
	for _, path := range a.checkpoints {
		note, err := os.ReadFile(path)
		if err != nil {
			return cli.Usage(err)
		}
		opts.Kept = append(opts.Kept, string(note))
	}
	bar := cli.Progress(cmd, "Checking the audit log")
	opts.Progress = bar.Set
	report, err := a.report(cmd, opts)
	bar.Done()
	if err != nil {
		return err
	}
	return tellAudit(cmd, &report)
}

func (a *auditRun) report(cmd *cobra.Command, opts auditlog.Options) (r auditlog.Report, err error) {
	if a.export == "" {
		err = a.withLog(cmd, func(_ *store.DB, log *auditlog.Log) (err error) {
			if len(opts.Keys) == 0 {
				if opts.Keys, err = a.ownKeys(log.Origin); err != nil {
					return err
				}
			}
			r, err = auditlog.Verify(cmd.Context(), log, opts)
			return err
		})
		return r, err
	}
	f, err := os.Open(a.export)
	if err != nil {
		return r, cli.Usage(err)
	}
	defer f.Close()
	in, err := auditlog.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return r, cli.Usage(err)
	}
	if in.Account != "" {
		return auditlog.VerifyPart(in, opts)
	}
	return auditlog.Verify(cmd.Context(), in.Log(), opts)
}

// withLog opens the database that the settings name.
func (a *auditRun) withLog(cmd *cobra.Command, fn func(*store.DB, *auditlog.Log) error) error {
	if err := a.cfg.settings(cmd, a.file); err != nil {
		return err
	}
	target := a.cfg.Database
	if target == "" {
		target = filepath.Join(a.cfg.Data, "postern.db")
		if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
			return cli.Fail("not_found", fmt.Errorf("there is no database in %s; name the server's data directory with --data", a.cfg.Data))
		}
	}
	db, err := store.OpenDB(cmd.Context(), target, nil, a.cfg.logger())
	if err != nil {
		return err
	}
	defer db.Close()
	log, err := db.AuditLog(cmd.Context())
	if err != nil {
		return err
	}
	return fn(db, log)
}

// ownKeys are those that the pepper gives, where it is here; none otherwise.
func (a *auditRun) ownKeys(origin string) ([]string, error) {
	var pepper *postern.Pepper
	var err error
	if a.cfg.Pepper != "" {
		pepper, err = postern.ParsePepper(a.cfg.Pepper)
	} else {
		path := a.cfg.PepperPath
		if path == "" {
			path = filepath.Join(a.cfg.Data, "pepper")
		}
		if _, missing := os.Stat(path); missing != nil || origin == "" {
			return nil, nil
		}
		pepper, err = node.LoadPepper(path, false)
	}
	if err != nil || origin == "" {
		return nil, err
	}
	signers, err := auditor.SigningKeys(pepper, origin)
	var keys []string
	for _, s := range signers {
		keys = append(keys, s.Key)
	}
	return keys, err
}

// tellAudit says what a verification found.
func tellAudit(cmd *cobra.Command, r *auditlog.Report) (err error) {
	out := cmd.OutOrStdout()
	switch first := r.First(); {
	case cli.JSON(cmd):
		err = cli.PrintJSON(cmd, r)
	case !r.Sound:
		fmt.Fprintf(out, "The audit log was altered. First bad entry: %d (%s).\n", first.Entry, cli.Clean(first.Why))
		for _, f := range r.Faults[1:] {
			fmt.Fprintf(out, "Also: %s.\n", cli.Clean(f.Why))
		}
	case r.Account != "":
		cli.ScreenOf(cmd).Text(fmt.Sprintf("The export is sound: %s of %s stand in the log as they are here. That none was left out can't be told from the export of one account.", cli.Entries(int(r.Entries)), cli.Clean(r.Account)))
	default:
		fmt.Fprintf(out, "The audit log is sound: %s. Its root is\n%s.\n", cli.Entries(int(r.Entries)), r.Root)
		if r.Checkpoints > 0 {
			fmt.Fprintf(out, "%s, over the first %s, signed by the key %s.\n", capital(cli.Count(int(r.Checkpoints), "checkpoint")), cli.Entries(int(r.Covered)), strings.Join(r.Keys, ", "))
		}
	}
	if err == nil && r.Named && r.Checkpoints > 0 && !cli.JSON(cmd) {
		cli.ScreenOf(cmd).Notes("postern: The keys are those that the log itself names. Whoever could replace the log could replace them: give the one that you kept with --key.")
	}
	if err == nil && !r.Sound {
		return cli.Exit(cli.ExitUnsound)
	}
	return err
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// exportLocally lets the export command read a database instead of asking a server.
func exportLocally(c *cobra.Command) {
	var a auditRun
	a.cfg.flags(c.Flags(), "data", "database")
	c.Flags().Lookup("data").Usage = "read the whole log, of all accounts, from this data directory; no server is asked"
	c.Flags().Lookup("database").Usage = "read the whole log, of all accounts, from this PostgreSQL database; no server is asked"
	c.Flags().Lookup("data").DefValue = ""
	remote := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("data") && !cmd.Flags().Changed("database") {
			return remote(cmd, args)
		}
		return a.withLog(cmd, func(db *store.DB, log *auditlog.Log) error {
			return cli.ExportAudit(cmd, func(ctx context.Context, w io.Writer, x cli.AuditExport) (cli.Exported, error) {
				return exportLog(ctx, db, log, w, x)
			})
		})
	}
}

// exportLog writes the log: as it is stored, or its entries for another system.
func exportLog(ctx context.Context, db *store.DB, log *auditlog.Log, w io.Writer, x cli.AuditExport) (done cli.Exported, err error) {
	if x.Format == cli.FormatProof {
		return cli.Exported{Entries: log.Entries, Last: log.Entries}, auditlog.Export(w, log)
	}
	lines, err := auditlog.NewLines(w, x.Format, log.Origin)
	if err != nil {
		return done, cli.Usage(err)
	}
	for done.Last = x.After; ; {
		rows, err := db.AuditRows(ctx, "", done.Last, log.Entries, 1000)
		if err != nil {
			return done, err
		}
		for i := range rows {
			e, err := auditlog.Decode(rows[i].Text)
			if err != nil {
				return done, fmt.Errorf("entry %d can't be read: %w", rows[i].Seq, err)
			}
			whole := auditlog.Whole(&e)
			done.Last = rows[i].Seq
			if !x.Wants(&whole) {
				continue
			}
			if err := lines.Write(rows[i].Account, &whole); err != nil {
				return done, err
			}
			done.Entries++
		}
		if err := lines.Flush(); err != nil || len(rows) < 1000 {
			return done, err
		}
	}
}
