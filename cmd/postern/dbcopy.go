package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

// dbCopy is one run of db copy.
type dbCopy struct {
	cfg              Config
	file             string // of settings
	from, to         string
	fromFile, toFile string
	without          []string
	nodes            []string // data directories of the source's nodes
	leave            bool
}

func dbCommand() *cobra.Command {
	var d dbCopy
	c := cli.Group("db", "Move all that the server keeps", "Commands for the database as a whole. The server must be stopped.")
	move := &cobra.Command{
		Use:   "copy",
		Short: "Copy the database into the other engine, row by row",
		Long: "Copy all that the server keeps from SQLite to PostgreSQL, or the other way, and then\n" +
			"compare every row on both sides. A place is a data directory or a postgres:// URL; one\n" +
			"with a password is read from a file, since others can read arguments.\n\n" +
			"Stop every node first: the source is locked while it is copied, and what nodes try to\n" +
			"write fails. The destination must be empty. A copy that was stopped, even killed, goes\n" +
			"on where it stood when the same command is run again; until it is finished no server\n" +
			"starts on the destination. All keys work after the move, under the same pepper. Don't\n" +
			"start a server on the old place again.\n\n" +
			"Calls that a server which was killed, or had no database, keeps on its disk are stored\n" +
			"in the source first. On PostgreSQL that takes the data directories of such nodes; it is\n" +
			"refused where one isn't named.",
		Example: "  postern db copy --from /var/lib/postern --to-file /etc/postern/database-url\n" +
			"  postern db copy --from-file /etc/postern/database-url --to /var/lib/postern \\\n      --pepper-path /etc/postern/pepper --without activity",
		Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	f := move.Flags()
	f.StringVar(&d.from, "from", "", "data directory, or URL of a PostgreSQL server, to copy from")
	f.StringVar(&d.to, "to", "", "data directory, or URL of a PostgreSQL server, to copy to")
	f.StringVar(&d.fromFile, "from-file", "", "file that holds the URL to copy from")
	f.StringVar(&d.toFile, "to-file", "", "file that holds the URL to copy to")
	f.StringSliceVar(&d.without, "without", nil, "leave out: activity, crm")
	f.StringArrayVar(&d.nodes, "node-data", nil, "data directory of a node of the PostgreSQL source, whose waiting calls are stored first; may be repeated")
	f.BoolVar(&d.leave, "leave-calls", false, "go on although nodes keep calls on disks that aren't named: these are lost")
	f.StringVar(&d.file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	d.cfg.flags(f, "pepper-path", "log-level", "log-format")
	c.AddCommand(move)
	return c
}

// placeOf reads a place from its two flags.
func placeOf(cmd *cobra.Command, name, value, file string) (store.Place, error) {
	if (value == "") == (file == "") {
		return store.Place{}, cli.Usage(fmt.Errorf("name a place with --%s or --%s-file; see %q", name, name, "postern db copy --help"))
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return store.Place{}, cli.Usage(err)
		}
		value = strings.TrimSpace(string(text))
	} else if hasPassword(value) {
		fmt.Fprintf(cmd.ErrOrStderr(), "postern: Others on this machine can read the password in --%s. Use --%s-file.\n", name, name)
	}
	if strings.HasPrefix(value, "postgres://") || strings.HasPrefix(value, "postgresql://") {
		return store.Place{Database: value}, nil
	}
	return store.Place{Data: value}, nil
}

func (d *dbCopy) run(cmd *cobra.Command) error {
	if err := d.cfg.settings(cmd, d.file); err != nil {
		return err
	}
	from, err := placeOf(cmd, "from", d.from, d.fromFile)
	if err != nil {
		return err
	}
	to, err := placeOf(cmd, "to", d.to, d.toFile)
	if err != nil {
		return err
	}
	// The pepper lies beside the files unless it is named.
	if d.cfg.PepperPath == "" && d.cfg.Pepper == "" {
		d.cfg.Data = from.Data
		if from.Data == "" {
			d.cfg.Data = to.Data
		}
	}
	pepper, err := d.cfg.loadPepper()
	if err != nil {
		return err
	}
	dirs := d.nodes
	if from.Data != "" {
		if dirs = []string{from.Data}; len(d.nodes) > 0 {
			return cli.Usage(errors.New("--node-data is for a source on PostgreSQL: in a data directory what waits is found"))
		}
	}
	release, err := hold(cmd, from, to, d.nodes)
	if err != nil {
		return cli.Fail("conflict", err)
	}
	defer release()
	var spooled node.Spooled
	if !slices.Contains(d.without, "activity") {
		if err := d.elsewhere(cmd, from, dirs); err != nil {
			return err
		}
		if spooled, err = node.StoreSpools(cmd.Context(), from, dirs, d.cfg.logger()); err != nil {
			return err
		}
	}
	bar := cli.Progress(cmd, "Copying")
	done, err := backup.Copy(cmd.Context(), backup.CopyOptions{From: from, To: to, Parts: node.Parts(), Without: d.without, Pepper: pepper, Log: d.cfg.logger(),
		Progress: func(_ string, rows, all int64) { bar.Set(rows, all) }})
	bar.Done()
	if err != nil {
		return err
	}
	if cli.JSON(cmd) {
		return cli.PrintJSON(cmd, struct {
			backup.Copied
			Spooled node.Spooled `json:"spooled"`
		}{done, spooled})
	}
	tellCopied(cmd, &done, spooled)
	return nil
}

// elsewhere refuses a source some of whose calls wait on disks that weren't named.
func (d *dbCopy) elsewhere(cmd *cobra.Command, from store.Place, dirs []string) error {
	if from.Database == "" || d.leave {
		return nil
	}
	list, err := node.Elsewhere(cmd.Context(), from, dirs)
	if err != nil || len(list) == 0 {
		return err
	}
	names := make([]string, len(list))
	for i, w := range list {
		names[i] = fmt.Sprintf("%s (at %s)", w.Node, w.At.Format(time.RFC3339))
	}
	return cli.Fail("conflict", fmt.Errorf("these nodes ended without saying that all their calls are stored: %s. Name their data directories with --node-data, or start each and stop it in order; --leave-calls goes on without",
		strings.Join(names, ", ")))
}

// hold keeps others from writing to both places.
func hold(cmd *cobra.Command, from, to store.Place, nodes []string) (release func(), err error) {
	var held []func()
	release = func() {
		for _, fn := range held {
			fn()
		}
	}
	if from.Database != "" {
		h, err := store.HoldWriters(cmd.Context(), from.Database)
		if err != nil {
			return nil, err
		}
		held = append(held, h.Release)
	}
	if to.Data != "" {
		if err := os.MkdirAll(to.Data, 0o700); err != nil {
			return nil, err
		}
	}
	for _, dir := range append([]string{from.Data, to.Data}, nodes...) {
		if dir == "" {
			continue
		}
		fn, err := node.LockDir(dir)
		if err != nil {
			release()
			return nil, errors.Join(err)
		}
		held = append(held, fn)
	}
	return release, nil
}

func tellCopied(cmd *cobra.Command, d *backup.Copied, calls node.Spooled) {
	out := cmd.OutOrStdout()
	for _, t := range d.Tables {
		if t.Rows > 0 {
			fmt.Fprintf(out, "%-32s %10d  %s\n", t.Table, t.Rows, t.SHA256[:32])
		}
	}
	s := cli.ScreenOf(cmd)
	if calls.Calls > 0 {
		s.Text(fmt.Sprintf("Stored %s that waited on disk in the source first.", cli.Count(int(calls.Calls), "call")))
	}
	if calls.Damaged > 0 {
		s.Notes(fmt.Sprintf("postern: %s of what waited can't be read, and is set aside in the spool as *.damaged.", cli.Count(int(calls.Damaged), "part")))
	}
	gone := ""
	if d.Resumed {
		gone = fmt.Sprintf(" It went on after %s that were there already.", cli.Count(int(d.Before), "row"))
	}
	s.Text(fmt.Sprintf("Copied %s, and compared all of them: both sides gave the digests above, of which --json has each stretch.%s Of %s with a seal %d are broken.",
		cli.Count(int(d.Rows), "row"), gone, cli.Count(int(d.Seals.Rows), "record"), d.Seals.Broken))
	s.Notes("postern: Start the server on the new place with the same pepper. Don't start one on the old place again.")
}
