package workbench

import (
	"context"
	"fmt"
	"io"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// Importer takes in batches of old credentials: the keyring.
type Importer interface {
	BeginLegacyImport(ctx context.Context, by postern.Actor) (string, error)
	// LegacyNames are the old names that the operator translates, and the catalogs in force.
	LegacyNames(ctx context.Context) ([]store.LegacyScope, []*catalog.Catalog, error)
	ImportLegacy(ctx context.Context, by postern.Actor, in keyring.LegacyBatch) ([]keyring.LegacyResult, error)
}

// ImportOptions say how a file is imported.
type ImportOptions struct {
	Format string // "csv" or "jsonl"
	DryRun bool   // check everything, change nothing
	All    bool   // report the lines that were imported too
	Brand  string // of Postern's own secrets, which aren't imported
	// Progress, where set, is told after each batch. An error ends the import; what
	// was imported until then stays.
	Progress func(*ImportReport) error
}

// ImportReport is what became of a file.
type ImportReport struct {
	Import  string
	DryRun  bool
	Records int // lines with a credential, whatever became of them
	// Imported, Duplicates and Refused count them.
	Imported, Duplicates, Refused int
	Weak, APIKeys                 int // of the imported ones
	// Translated are the old names of scopes that were translated.
	Translated []Translated
	Lines      []keyring.LegacyResult
	LeftOut    int // lines that the report has no room for
}

// maxReportLines is the most lines that a report tells one by one.
const maxReportLines = 10_000

func (r *ImportReport) add(res keyring.LegacyResult, all bool) {
	r.Records++
	switch res.Outcome {
	case keyring.LegacyImported:
		r.Imported++
		if !all {
			return
		}
	case keyring.LegacyDuplicate:
		r.Duplicates++
	default:
		r.Refused++
	}
	if len(r.Lines) == maxReportLines {
		r.LeftOut++
		return
	}
	r.Lines = append(r.Lines, res)
}

// Import reads a file of old credentials and imports them, a batch at a time. A
// line that can't be read is refused, and the others go on. The same file again
// imports what is missing and nothing twice.
func Import(ctx context.Context, to Importer, by postern.Actor, in io.Reader, o ImportOptions) (*ImportReport, error) {
	id, err := to.BeginLegacyImport(ctx, by)
	if err != nil {
		return nil, err
	}
	rows, err := openRows(in, o.Format)
	if err != nil {
		return nil, err
	}
	names, cats, err := to.LegacyNames(ctx)
	if err != nil {
		return nil, err
	}
	im := &fileImport{to: to, by: by, o: o, report: &ImportReport{Import: id, DryRun: o.DryRun}, names: newTranslator(NewTable(names), cats)}
	if o.DryRun {
		im.seen = map[[32]byte]bool{}
	}
	for {
		row, err := rows.next()
		if err == io.EOF {
			err := im.flush(ctx)
			im.report.Translated = im.names.list()
			return im.report, err
		}
		if err != nil {
			return im.report, err
		}
		if err := im.take(ctx, row); err != nil {
			return im.report, err
		}
	}
}

// fileImport is one file on its way in.
type fileImport struct {
	to     Importer
	by     postern.Actor
	o      ImportOptions
	report *ImportReport
	names  *translator
	seen   map[[32]byte]bool
	batch  []keyring.LegacyItem
	bad    []keyring.LegacyResult // of the same lines, refused before the keyring saw them
}

func (im *fileImport) take(ctx context.Context, row *importRow) error {
	item, err := row.item(im.o.Brand)
	if err == nil {
		err = im.names.item(item)
	}
	if err != nil {
		im.bad = append(im.bad, keyring.LegacyResult{Line: row.line, Outcome: keyring.LegacyRefused, Reason: err.Error()})
	} else {
		im.batch = append(im.batch, *item)
	}
	if len(im.batch) < keyring.MaxLegacyBatch && len(im.bad) < keyring.MaxLegacyBatch {
		return nil
	}
	return im.flush(ctx)
}

// flush imports what has come together, and reports it in the order of its lines.
func (im *fileImport) flush(ctx context.Context) error {
	var done []keyring.LegacyResult
	if len(im.batch) > 0 {
		var err error
		if done, err = im.to.ImportLegacy(ctx, im.by, keyring.LegacyBatch{Import: im.report.Import, Items: im.batch, DryRun: im.o.DryRun, Seen: im.seen}); err != nil {
			return fmt.Errorf("workbench: import lines %d to %d: %w", im.batch[0].Line, im.batch[len(im.batch)-1].Line, err)
		}
	}
	for i, res := range done {
		for len(im.bad) > 0 && im.bad[0].Line < res.Line {
			im.report.add(im.bad[0], im.o.All)
			im.bad = im.bad[1:]
		}
		im.report.add(res, im.o.All)
		if res.Outcome == keyring.LegacyImported {
			if im.batch[i].Strength == postern.StrengthWeak {
				im.report.Weak++
			}
			if im.batch[i].Kind == postern.KindLegacyAPIKey {
				im.report.APIKeys++
			}
		}
	}
	for _, res := range im.bad {
		im.report.add(res, im.o.All)
	}
	im.batch, im.bad = im.batch[:0], im.bad[:0]
	if im.o.Progress != nil {
		return im.o.Progress(im.report)
	}
	return nil
}

// Prove is what is learnt of a secret that was proved by its slow hash.
func Prove(key postern.KeyID, secret postern.Secret) keyring.LegacyUse {
	u := keyring.LegacyUse{Key: key, SHA256: sumOf(secret.Reveal())}
	l := LookAt([]byte(secret.Reveal()), false)
	u.Fingerprint, u.Shown, u.Strength = string(FingerprintOfSHA256(u.SHA256)), l.Shown, strengthOf(l)
	return u
}
