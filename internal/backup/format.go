package backup

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Format is the version of the stream that this binary writes, and the newest that it reads.
const Format = 1

// Manifest is the first line of a backup: what it is of.
type Manifest struct {
	Postern string `json:"postern"` // "backup"
	Format  int    `json:"format"`
	MadeAt  string `json:"madeAt"` // by the store's clock, RFC 3339
	Version string `json:"version"`
	Engine  string `json:"engine"`
	Brand   string `json:"brand"`
	// Feed and Audit are how far these went; Epoch tells one life of the database from the next.
	Feed  int64 `json:"feed"`
	Epoch int64 `json:"epoch"`
	Audit int64 `json:"auditEntries"`
	// Origin names the audit log; Checkpoint is the latest signed one.
	Origin     string `json:"origin"`
	Checkpoint string `json:"checkpoint,omitempty"`
	// Peppers are fingerprints of the pepper's versions, which tell nothing of it.
	Peppers map[string]string `json:"peppers"`
	// Live is how many credentials worked at that moment.
	Live int64 `json:"liveCredentials"`
	// Members is how many members weren't removed then.
	Members int64          `json:"members"`
	Parts   []PartManifest `json:"parts"`
}

// PartManifest is a part of the database.
type PartManifest struct {
	Name   string   `json:"name"`
	Schema int64    `json:"schema"`
	Tables []string `json:"tables"`
}

// Part finds a part, nil where there is none.
func (m *Manifest) Part(name string) *PartManifest {
	for i := range m.Parts {
		if m.Parts[i].Name == name {
			return &m.Parts[i]
		}
	}
	return nil
}

type columnLine struct {
	Name string           `json:"name"`
	Type store.ColumnType `json:"type"`
}

// tableLine is before the rows of a table, endLine after them, trailerLine at the end.
type tableLine struct {
	Table   string       `json:"table"`
	Part    string       `json:"part"`
	Columns []columnLine `json:"columns"`
	Key     []string     `json:"key"`
}

type endLine struct {
	End    string `json:"end"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

type trailerLine struct {
	Trailer Trailer `json:"trailer"`
}

// Trailer is the last line.
type Trailer struct {
	Tables int    `json:"tables"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"` // of every line before
	Pepper uint8  `json:"pepper"` // the version that the MAC is under
	MAC    string `json:"mac"`
}

// macLabel names the key that authenticates backups.
const macLabel = "backup v1"

// authenticate is the MAC over a backup's digest.
func authenticate(p *postern.Pepper, version uint8, digest []byte) (string, bool) {
	key, ok := p.Derive(version, macLabel)
	m := hmac.New(sha256.New, key[:])
	m.Write(digest)
	return base64.RawStdEncoding.EncodeToString(m.Sum(nil)), ok
}

// Writer writes the stream.
type Writer struct {
	z     *zstd.Encoder
	all   hash.Hash
	one   hash.Hash
	table *store.Table
	rows  int64
	buf   []byte
	done  Trailer
}

// NewWriter begins a stream.
func NewWriter(w io.Writer, m *Manifest) (*Writer, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	bw := &Writer{z: z, all: sha256.New()}
	return bw, bw.json(m)
}

func (w *Writer) json(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return w.line(line)
}

func (w *Writer) line(b []byte) error {
	b = append(b, '\n')
	w.all.Write(b)
	if _, err := w.z.Write(b); err != nil {
		return fmt.Errorf("backup: write: %w", err)
	}
	return nil
}

// Table begins a table.
func (w *Writer) Table(part string, t *store.Table) error {
	w.table, w.rows, w.one = t, 0, sha256.New()
	head := tableLine{Table: t.Name, Part: part, Key: t.Key}
	for _, c := range t.Columns {
		head.Columns = append(head.Columns, columnLine{c.Name, c.Type})
	}
	return w.json(head)
}

// Row writes a row.
func (w *Writer) Row(row []any) (err error) {
	if w.buf, err = appendRow(w.buf[:0], w.table, row); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	w.one.Write(w.buf)
	w.one.Write([]byte{'\n'})
	w.rows++
	w.done.Rows++
	return w.line(w.buf)
}

// EndTable ends a table and gives its digest.
func (w *Writer) EndTable() (rows int64, digest string, err error) {
	w.done.Tables++
	digest = hex.EncodeToString(w.one.Sum(nil))
	return w.rows, digest, w.json(endLine{w.table.Name, w.rows, digest})
}

// Close writes the trailer and ends the stream.
func (w *Writer) Close(p *postern.Pepper) (Trailer, error) {
	digest := w.all.Sum(nil)
	w.done.SHA256, w.done.Pepper = hex.EncodeToString(digest), p.Latest()
	w.done.MAC, _ = authenticate(p, w.done.Pepper, digest)
	if err := w.json(trailerLine{w.done}); err != nil {
		return w.done, err
	}
	if err := w.z.Close(); err != nil {
		return w.done, fmt.Errorf("backup: write: %w", err)
	}
	return w.done, nil
}
