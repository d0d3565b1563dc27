package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

// backupRun is one run of a command about backups.
type backupRun struct {
	cfg        Config
	file       string // of settings
	out        string
	recipients []string
	lists      []string // files of recipients
	identities []string // files
	passphrase string   // file
	plain      bool
	without    []string
}

func backupCommand() *cobra.Command {
	var b backupRun
	c := &cobra.Command{
		Use:   "backup",
		Short: "Back up all that the server keeps",
		Long: "Write a backup of the whole database, as it is at one moment, to a file that isn't\n" +
			"there yet or to standard output. The server may be running, on SQLite or on\n" +
			"PostgreSQL; either can be restored into the other.\n\n" +
			"A backup is encrypted with age, for recipients or with a passphrase, and every part\n" +
			"of it has a checksum. The pepper is not in it, nor is who is signed in. Keep the\n" +
			"pepper elsewhere, and the journal of revocations with the backups: without it no\n" +
			"backup is restored that could bring a revoked key back.",
		Example: "  postern backup --data /var/lib/postern --out monday.backup \\\n      --recipient-file ops.txt\n" +
			"  postern backup --config postern.yaml --out - --recipient age1… | ssh vault \\\n      'cat > monday.backup'\n" +
			"  postern backup --out monday.backup --passphrase-file phrase.txt \\\n      --without activity",
	}
	cli.Bare(c, func(cmd *cobra.Command, _ []string) error { return b.make(cmd) })
	f := c.Flags()
	f.StringVar(&b.out, "out", "", "new file for the backup, or - for standard output (required)")
	f.StringArrayVar(&b.recipients, "recipient", nil, "age recipient who can open it (age1…); may be repeated")
	f.StringArrayVar(&b.lists, "recipient-file", nil, "file of age recipients, a line each; may be repeated")
	f.StringVar(&b.passphrase, "passphrase-file", "", "file of the passphrase that opens it, or - for standard input")
	f.BoolVar(&b.plain, "unencrypted", false, "don't encrypt it: whoever gets it reads all that the server keeps")
	f.StringSliceVar(&b.without, "without", nil, "leave out: activity, crm")
	b.settings(f)
	c.AddCommand(backupVerifyCommand())
	return c
}

func backupVerifyCommand() *cobra.Command {
	var b backupRun
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a backup without restoring it",
		Long: "Read a whole backup and hold every table against its count and checksum, and all of\n" +
			"it against its trailer. With the server's pepper at hand it is also known that the\n" +
			"backup was made by this server and nobody changed it. FILE may be - for standard\n" +
			"input. The exit status is 6 for a backup that is damaged.",
		Example: "  postern backup verify monday.backup --identity-file key.txt\n" +
			"  postern backup verify - --data /var/lib/postern --identity-file key.txt \\\n      < monday.backup",
		Args: cli.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return b.verify(cmd, args[0]) },
	}
	b.opens(c.Flags())
	b.settings(c.Flags())
	return c
}

// opens are the flags of what reads a backup.
func (b *backupRun) opens(f *pflag.FlagSet) {
	f.StringArrayVar(&b.identities, "identity-file", nil, "file of age identities that open it; may be repeated")
	f.StringVar(&b.passphrase, "passphrase-file", "", "file of the passphrase that opens it, or - for standard input")
}

func (b *backupRun) settings(f *pflag.FlagSet) {
	f.StringVar(&b.file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	b.cfg.flags(f, "data", "database", "pepper-path", "brand", "log-level", "log-format")
}

// loadPepper reads the pepper that the settings name; none is ever made.
func (c *Config) loadPepper() (*postern.Pepper, error) {
	if c.Pepper != "" {
		return postern.ParsePepper(c.Pepper)
	}
	return node.LoadPepper(c.pepperPath(), false)
}

// passphraseOf reads the passphrase: the first line of a file.
func (b *backupRun) passphraseOf(cmd *cobra.Command) (string, error) {
	if b.passphrase == "" {
		return "", nil
	}
	in := cmd.InOrStdin()
	if b.passphrase != "-" {
		f, err := os.Open(b.passphrase)
		if err != nil {
			return "", cli.Usage(err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", cli.Usage(fmt.Errorf("there is no passphrase in %s", b.passphrase))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", cli.Usage(err)
	}
	return line, nil
}

func (b *backupRun) to(cmd *cobra.Command) (*backup.Recipients, error) {
	to := &backup.Recipients{Plain: b.plain}
	var err error
	if to.Passphrase, err = b.passphraseOf(cmd); err != nil {
		return nil, err
	}
	texts := b.recipients
	for _, path := range b.lists {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, cli.Usage(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		keys, err := backup.ParseRecipients(text)
		if err != nil {
			return nil, cli.Usage(err)
		}
		to.Keys = append(to.Keys, keys...)
	}
	if err := to.Check(); err != nil {
		return nil, cli.Usage(fmt.Errorf("%w; see %q", err, "postern backup --help"))
	}
	return to, nil
}

func (b *backupRun) make(cmd *cobra.Command) error {
	if err := b.cfg.settings(cmd, b.file); err != nil {
		return err
	}
	if b.out == "" {
		return cli.Usage(fmt.Errorf("--out is missing: name a new file, or - for standard output"))
	}
	for _, p := range b.without {
		if !slices.Contains([]string{"activity", "crm"}, p) {
			return cli.Usage(fmt.Errorf("--without can't be %q: it takes activity and crm", p))
		}
	}
	to, err := b.to(cmd)
	if err != nil {
		return err
	}
	pepper, err := b.cfg.loadPepper()
	if err != nil {
		return err
	}
	bar := cli.Progress(cmd, "Backing up")
	o := backup.Options{From: b.cfg.place(), Parts: node.Parts(), Without: b.without, Pepper: pepper, Brand: b.cfg.Brand, Version: versionText(),
		Progress: func(rows int64) { bar.Set(rows, 0) }}
	var report backup.Report
	write := func(w io.Writer) (err error) {
		report, err = backup.Make(cmd.Context(), w, to, o)
		return err
	}
	if b.out == "-" {
		w := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<20)
		err = write(w)
		err = errors.Join(err, w.Flush())
	} else {
		err = backup.WriteFile(b.out, write)
	}
	bar.Done()
	if err != nil {
		return err
	}
	return b.tellMade(cmd, &report)
}

// place is where the databases are.
func (c *Config) place() store.Place { return store.Place{Data: c.Data, Database: c.Database} }

func (b *backupRun) tellMade(cmd *cobra.Command, r *backup.Report) error {
	if b.out == "-" {
		cmd.SetOut(cmd.ErrOrStderr()) // the backup itself went to standard output
	}
	if cli.JSON(cmd) {
		return cli.PrintJSON(cmd, r)
	}
	s := cli.ScreenOf(cmd)
	s.Text(fmt.Sprintf("Backed up %s in %s (%s) as of %s, change %d, audit entry %d. It holds %s that work.",
		cli.Count(int(r.Trailer.Rows), "row"), cli.Count(r.Trailer.Tables, "table"), bytesText(r.Bytes), r.Manifest.MadeAt, r.Manifest.Feed, r.Manifest.Audit,
		cli.Count(int(r.Manifest.Live), "credential")))
	if b.plain {
		s.Notes("postern: The backup is not encrypted. Whoever gets it reads all that the server keeps.")
	}
	return nil
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

// open opens a backup for reading.
func (b *backupRun) open(cmd *cobra.Command, path string) (r *backup.Reader, sealed bool, end func(), err error) {
	ids := &backup.Identities{}
	if path == "-" && b.passphrase == "-" {
		return nil, false, nil, cli.Usage(errors.New("the backup and the passphrase can't both come from standard input"))
	}
	if ids.Passphrase, err = b.passphraseOf(cmd); err != nil {
		return nil, false, nil, err
	}
	for _, p := range b.identities {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, false, nil, cli.Usage(err)
		}
		keys, err := backup.ParseIdentities(string(text))
		if err != nil {
			return nil, false, nil, cli.Usage(fmt.Errorf("%s: %w", p, err))
		}
		ids.Keys = append(ids.Keys, keys...)
	}
	in := cmd.InOrStdin()
	closeFile := func() {}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, false, nil, cli.Fail("not_found", fmt.Errorf("the backup %s can't be read: %w", path, errors.Unwrap(err)))
		}
		in, closeFile = f, func() { f.Close() }
	}
	r, sealed, err = ids.Open(in)
	if err != nil {
		closeFile()
		return nil, sealed, nil, damage(err)
	}
	return r, sealed, func() { r.Close(); closeFile() }, nil
}

// damage gives a damaged backup its exit status.
func damage(err error) error {
	if errors.Is(err, backup.ErrDamaged) {
		return cli.Fail("conflict", err)
	}
	return err
}

// Verified is what backup verify tells.
type verified struct {
	Sound     bool            `json:"sound"`
	Authentic *bool           `json:"authentic"` // null where the pepper isn't here
	Encrypted bool            `json:"encrypted"`
	Manifest  backup.Manifest `json:"manifest"`
	Tables    []backup.Digest `json:"tables"`
	Trailer   backup.Trailer  `json:"trailer"`
}

func (b *backupRun) verify(cmd *cobra.Command, path string) error {
	if err := b.cfg.settings(cmd, b.file); err != nil {
		return err
	}
	r, sealed, end, err := b.open(cmd, path)
	if err != nil {
		return err
	}
	defer end()
	v := verified{Encrypted: sealed, Manifest: r.Manifest}
	bar := cli.Progress(cmd, "Checking the backup")
	v.Tables, err = r.ReadAll(nil, func(rows int64) { bar.Set(rows, 0) })
	bar.Done()
	if err != nil {
		return damage(err)
	}
	v.Sound, v.Trailer = true, r.Trailer
	if pepper, err := b.cfg.loadPepper(); err == nil {
		if err := r.Authentic(pepper); err != nil {
			return damage(err)
		}
		yes := true
		v.Authentic = &yes
	} else if b.cfg.Pepper != "" || cmd.Flags().Changed("pepper-path") || cmd.Flags().Changed("data") {
		return err
	}
	if cli.JSON(cmd) {
		return cli.PrintJSON(cmd, v)
	}
	s := cli.ScreenOf(cmd)
	at, _ := time.Parse(time.RFC3339Nano, v.Manifest.MadeAt)
	s.Text(fmt.Sprintf("The backup is whole: %s in %s, as of %s, change %d, audit entry %d. It holds %s that worked then.",
		cli.Count(int(v.Trailer.Rows), "row"), cli.Count(v.Trailer.Tables, "table"), s.Time(at), v.Manifest.Feed, v.Manifest.Audit, cli.Count(int(v.Manifest.Live), "credential")))
	if v.Authentic == nil {
		s.Notes("postern: Whether this server made it isn't known without the pepper. Name it with --pepper-path.")
	}
	return nil
}
