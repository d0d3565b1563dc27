package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern.dev/postern/internal/journal"
)

// keptJournal looks at the journal of revocations.
func (d *doctor) keptJournal() {
	const check = "journal of revocations"
	if d.Journal == "" {
		d.say(check, Warning, "Name a file with the setting journal, on another disk than the data, where the backups are.",
			"None is kept: no backup can be restored without the chance that a revoked key comes back.")
		return
	}
	if d.pepper == nil {
		d.say(check, Warning, "", "It can't be checked without the pepper.")
		return
	}
	h, err := journal.Read(d.pepper, d.Journal)
	if err != nil {
		d.say(check, Problem, "If it isn't there yet, start the server. If it is broken, keep it, and name another file; then back up at once.", "%v.", err)
		return
	}
	lost, audit, at := h.Lost()
	if d.snap != nil {
		if h.Origin != d.head.Origin {
			d.say(check, Problem, "Name this server's own file.", "It is the journal of another server (%s).", h.Origin)
			return
		}
		back := d.head.Feed < lost || d.head.Audit < audit // what it holds is of no use yet
		if why := h.Covers(d.head.Epoch, d.head.Feed, d.head.Audit); why != nil && !back && d.quietSince(5*time.Second) {
			d.say(check, Problem, "Look at the server's log for why it isn't written. If no server runs, start one.", "It does not hold the latest changes: %v.", why)
			return
		}
	}
	if lost > 0 {
		d.say(check, Warning, "Make a backup once the database is past that change, if none was made since. Look why it went back: a standby that took over late, or a disk that was set back.",
			"The database forgot changes that the journal held (seen %s): no backup that ends before change %d can be restored without the chance that a revoked key comes back.", at.Format(time.RFC3339), lost)
		return
	}
	if sameDisk(d.Journal, d.Place.Data) && d.Place.Database == "" {
		d.say(check, Warning, "Put it on another disk, where the backups are.", "It is on the disk of the data: what takes one takes the other.")
		return
	}
	d.say(check, OK, "", "It is whole, and holds everything up to change %d (%s).", h.Feed(), h.Until.Format(time.RFC3339))
}

// keptBackups looks at the directory of backups.
func (d *doctor) keptBackups() {
	const check = "backups"
	if d.Backups == "" {
		d.say(check, Warning, "Name their directory with --backups.", "Where they are isn't known, and so nothing of them.")
		return
	}
	list, err := os.ReadDir(d.Backups)
	if err != nil {
		d.say(check, Problem, "Name their directory with --backups.", "%v.", err)
		return
	}
	var newest time.Time
	var name string
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(d.Backups, e.Name())
		switch what := kindOf(path); {
		case what == aPepper:
			d.say(check, Problem, "Keep it elsewhere: who has both could make keys.", "A pepper lies beside the backups: %s.", path)
		case what == plainBackup:
			d.say(check, Warning, "Make it with --recipient-file or --passphrase-file.", "%s is not encrypted.", path)
			fallthrough
		case what == sealedBackup:
			if info.ModTime().After(newest) {
				newest, name = info.ModTime(), e.Name()
			}
		}
	}
	switch age := d.now.Sub(newest).Round(time.Minute); {
	case newest.IsZero():
		d.say(check, Problem, "Run \"postern backup\", and let a timer do so each day.", "There is none in %s.", d.Backups)
	case age > d.BackupAge:
		d.say(check, Problem, "Look why the timer doesn't run \"postern backup\".", "The newest, %s, is %s old.", name, age)
	default:
		d.say(check, OK, "", "The newest, %s, is %s old. \"postern backup verify\" reads it whole.", name, age)
	}
}

type fileKind int

const (
	otherFile fileKind = iota
	sealedBackup
	plainBackup
	aPepper
)

// kindOf tells a file by its first bytes.
func kindOf(path string) fileKind {
	f, err := os.Open(path)
	if err != nil {
		return otherFile
	}
	defer f.Close()
	var head [64]byte
	n, _ := f.Read(head[:])
	text := string(head[:n])
	switch {
	case strings.HasPrefix(text, "age-encryption.org/"):
		return sealedBackup
	case strings.HasPrefix(text, "\x28\xb5\x2f\xfd"): // zstd
		return plainBackup
	case looksLikePepper(text):
		return aPepper
	}
	return otherFile
}

func looksLikePepper(text string) bool {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	version, b64, ok := strings.Cut(line, ":")
	return ok && len(version) > 0 && len(version) <= 3 && strings.Trim(version, "0123456789") == "" && len(b64) >= 40 && !strings.ContainsAny(b64, " {}")
}
