package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/node"
)

// restoreRun is one run of restore.
type restoreRun struct {
	backupRun
	journals []string
	accept   int64
	audit    bool
	dry      bool
}

func restoreCommand() *cobra.Command {
	var r restoreRun
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore a backup into an empty place",
		Long: "Restore a backup into an empty data directory, or an empty PostgreSQL database, under\n" +
			"the same pepper. FILE may be - for standard input.\n\n" +
			"A backup remembers keys that were revoked later. The journal of revocations is played\n" +
			"on what was restored, so that they stay dead, and what was narrowed stays narrow; of\n" +
			"several nodes give the journals of all. Without a journal that covers the time since\n" +
			"the backup nothing is restored, unless --accept-lost-revocations repeats how many\n" +
			"credentials worked and members there were when it was made, counted together: any of\n" +
			"them may have been revoked or removed since.\n\n" +
			"Stop every node first: one that goes on over a restore stops answering until it is\n" +
			"started again. All sessions, links and OAuth tokens end. The restore ends whole, or\n" +
			"leaves nothing.",
		Example: "  postern restore monday.backup --data /var/lib/postern \\\n      --identity-file key.txt --journal journal\n" +
			"  postern restore monday.backup --config postern.yaml --journal a.journal \\\n      --journal b.journal --identity-file key.txt --dry-run",
		Args: cli.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	f := c.Flags()
	r.opens(f)
	f.StringArrayVar(&r.journals, "journal", nil, "journal of revocations; may be repeated. Unless given, that of the settings (POSTERN_JOURNAL)")
	f.Int64Var(&r.accept, "accept-lost-revocations", 0, "restore without a journal: how many credentials and members may come back, as the refusal counts them")
	f.BoolVar(&r.audit, "accept-broken-audit", false, "restore although the audit log in the backup isn't sound")
	f.StringSliceVar(&r.without, "without", nil, "leave out: activity, crm")
	f.BoolVar(&r.dry, "dry-run", false, "do all of it in a directory that is removed again, and say what it would do")
	r.settings(f)
	return c
}

func (r *restoreRun) run(cmd *cobra.Command, path string) error {
	given := r.journals
	if err := r.cfg.settings(cmd, r.file); err != nil {
		return err
	}
	if given == nil && r.cfg.Journal != "" {
		given = []string{r.cfg.Journal}
	}
	pepper, err := r.cfg.loadPepper()
	if err != nil {
		return err
	}
	in, _, end, err := r.open(cmd, path)
	if err != nil {
		return err
	}
	defer end()
	if !r.dry {
		if err := os.MkdirAll(r.cfg.Data, 0o700); err != nil {
			return err
		}
		release, err := node.LockDir(r.cfg.Data)
		if err != nil {
			return cli.Fail("conflict", err)
		}
		defer release()
	}
	bar := cli.Progress(cmd, "Restoring")
	done, err := backup.Restore(cmd.Context(), in, backup.RestoreOptions{To: r.cfg.place(), Parts: node.Parts(), Without: r.without, Pepper: pepper,
		Journals: given, AcceptLost: r.accept, AcceptAudit: r.audit, DryRun: r.dry, Log: r.cfg.logger(), Progress: func(rows int64) { bar.Set(rows, 0) }})
	bar.Done()
	if _, lost := errors.AsType[*backup.LostError](err); lost {
		return cli.Fail("conflict", err)
	}
	if err != nil {
		return damage(err)
	}
	if cli.JSON(cmd) {
		return cli.PrintJSON(cmd, done)
	}
	r.tell(cmd, &done)
	return nil
}

func (r *restoreRun) tell(cmd *cobra.Command, d *backup.Restored) {
	s := cli.ScreenOf(cmd)
	verb := "Restored"
	if d.DryRun {
		verb = "This would restore"
	}
	at, _ := time.Parse(time.RFC3339Nano, d.Manifest.MadeAt)
	s.Text(fmt.Sprintf("%s the backup of %s. The audit log is sound (%s), and of %s with a seal %d are broken. %s work now.",
		verb, s.Time(at), cli.Entries(int(d.Audit.Entries)), cli.Count(int(d.Seals.Rows), "record"), d.Seals.Broken, cli.Count(int(d.Live), "credential")))
	p := &d.Replayed
	if d.Journal.Covered {
		s.Text(fmt.Sprintf("The journal reaches to %s: %s ended, %s narrowed, %s, %s, %s, and %s who lost a way in. What was revoked after that isn't known.",
			s.Time(d.Journal.Until), cli.Count(p.Ended, "credential"), cli.Count(p.Narrowed, "credential"), cli.Count(p.Members, "member"), cli.Count(p.Roles, "role"),
			cli.Count(p.Accounts, "account"), cli.Count(p.WaysIn, "member")))
	} else {
		s.Text(fmt.Sprintf("Nothing is known of what was revoked since: %s. %s that worked then may have been revoked, and %s removed or given less.", d.Journal.Why, cli.Count(int(d.Manifest.Live), "credential"), cli.Count(int(d.Manifest.Members), "member")))
	}
	if n := len(p.NoSecret); n > 0 {
		var ids []string
		for _, id := range p.NoSecret[:min(n, 20)] {
			ids = append(ids, string(id))
		}
		s.Text(fmt.Sprintf("%s got their present secret after the backup and have none that works, or one that soon ends. Rotate them: %s.", cli.Count(n, "credential"), strings.Join(ids, ", ")))
	}
	for _, u := range p.Catalogs {
		s.Text(fmt.Sprintf("The catalog of %s was loaded anew after the backup. Load it again before you let calls in.", cli.Clean(string(u))))
	}
	for _, u := range p.Upstreams {
		s.Text(fmt.Sprintf("The API %s was removed after the backup, and so here, or its settings were changed. Look at it before you let calls in.", cli.Clean(string(u))))
	}
	for _, a := range p.Policies {
		s.Text(fmt.Sprintf("The security policy of the account %s was changed after the backup. Set it again.", cli.Clean(string(a))))
	}
	if d.Manifest.Brand != r.cfg.Brand {
		s.Notes(fmt.Sprintf("postern: The server's brand was %s: start it with that, or no secret is recognised.", cli.Clean(d.Manifest.Brand)))
	}
}
