package backup

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// maxLine is the longest line that is read: a catalog of 40 MiB, in JSON.
const maxLine = 128 << 20

// ErrDamaged is wrapped by what is wrong with the bytes of a backup.
var ErrDamaged = errors.New("the backup is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Reader reads the stream, and checks all of it on the way.
type Reader struct {
	Manifest Manifest
	Trailer  Trailer // once Next gave io.EOF

	z      *zstd.Decoder
	in     *bufio.Reader
	all    hash.Hash
	one    hash.Hash
	line   []byte
	part   string
	table  *store.Table
	left   []place // the tables that are still to come
	rows   int64
	total  int64
	tables int
	digest []byte
}

type place struct{ part, table string }

// NewReader reads the first line.
func NewReader(in io.Reader) (*Reader, error) {
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	r := &Reader{z: z, in: bufio.NewReaderSize(z, 256<<10), all: sha256.New()}
	if err := r.begin(); err != nil {
		z.Close()
		return nil, err
	}
	return r, nil
}

// Close frees what reading took. It checks nothing.
func (r *Reader) Close() { r.z.Close() }

func (r *Reader) begin() error {
	if err := r.readLine(); err != nil {
		return err
	}
	m := &r.Manifest
	if err := json.Unmarshal(r.line, m); err != nil || m.Postern != "backup" {
		return damaged("this is no backup of Postern")
	}
	if m.Format != Format {
		return fmt.Errorf("the backup has the format %d and this binary reads %d: use another version of postern", m.Format, Format)
	}
	r.all.Write(r.line)
	for _, p := range m.Parts {
		for _, t := range p.Tables {
			r.left = append(r.left, place{p.Name, t})
		}
	}
	if m.Part("records") == nil {
		return damaged("it holds no records")
	}
	return nil
}

// readLine reads a whole line, with its end.
func (r *Reader) readLine() error {
	r.line = r.line[:0]
	for {
		chunk, err := r.in.ReadSlice('\n')
		r.line = append(r.line, chunk...)
		switch {
		case err == nil:
			return nil
		case len(r.line) > maxLine:
			return damaged("a line is longer than %d MiB", maxLine>>20)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return damaged("it ends in the middle: it was cut off")
		default:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
}

// Next begins the next table. After the last it checks the trailer and gives io.EOF.
func (r *Reader) Next() (part string, t *store.Table, err error) {
	if r.table != nil {
		return "", nil, errors.New("backup: the rows of a table were not read")
	}
	before := r.all.Sum(nil)
	if err := r.readLine(); err != nil {
		return "", nil, err
	}
	if bytes.HasPrefix(r.line, []byte(`{"trailer":`)) {
		return "", nil, r.end(before)
	}
	var head tableLine
	if err := json.Unmarshal(r.line, &head); err != nil || head.Table == "" {
		return "", nil, damaged("a table should begin after the %d that were read", r.tables)
	}
	if len(r.left) == 0 || r.left[0] != (place{head.Part, head.Table}) {
		return "", nil, damaged("the table %s is not in its place", head.Table)
	}
	t = &store.Table{Name: head.Table, Key: head.Key}
	for _, c := range head.Columns {
		t.Columns = append(t.Columns, store.Column{Name: c.Name, Type: c.Type})
	}
	for _, k := range head.Key {
		if t.At(k) < 0 {
			return "", nil, damaged("the table %s has no column %s", head.Table, k)
		}
	}
	if len(t.Columns) == 0 || len(t.Key) == 0 {
		return "", nil, damaged("the table %s has no columns or no key", head.Table)
	}
	r.all.Write(r.line)
	r.left, r.part, r.table, r.rows, r.one = r.left[1:], head.Part, t, 0, sha256.New()
	r.tables++
	return head.Part, t, nil
}

// Row gives the next row of the table, io.EOF after the last.
func (r *Reader) Row() ([]any, error) {
	if r.table == nil {
		return nil, io.EOF
	}
	if err := r.readLine(); err != nil {
		return nil, err
	}
	r.all.Write(r.line)
	if r.line[0] != '[' {
		return nil, r.endTable()
	}
	r.one.Write(r.line)
	r.rows++
	r.total++
	row, err := parseRow(r.line[:len(r.line)-1], r.table)
	if err != nil {
		return nil, damaged("row %d: %v", r.rows, err)
	}
	return row, nil
}

func (r *Reader) endTable() error {
	var end endLine
	if err := json.Unmarshal(r.line, &end); err != nil || end.End != r.table.Name {
		return damaged("the table %s has no end", r.table.Name)
	}
	if end.Rows != r.rows || end.SHA256 != hex.EncodeToString(r.one.Sum(nil)) {
		return damaged("the rows of the table %s are not those that were written", r.table.Name)
	}
	r.table = nil
	return io.EOF
}

// end checks the trailer, and that nothing follows it.
func (r *Reader) end(digest []byte) error {
	var t trailerLine
	if err := json.Unmarshal(r.line, &t); err != nil {
		return damaged("the last line can't be read")
	}
	if len(r.left) > 0 {
		return damaged("the table %s is missing", r.left[0].table)
	}
	if t.Trailer.Tables != r.tables || t.Trailer.Rows != r.total || t.Trailer.SHA256 != hex.EncodeToString(digest) {
		return damaged("it is not what was written")
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return damaged("something follows its end")
	}
	r.Trailer, r.digest = t.Trailer, digest
	return io.EOF
}

// Authentic refuses a backup that was not made under a pepper. It comes after io.EOF of Next.
func (r *Reader) Authentic(p *postern.Pepper) error {
	mac, ok := authenticate(p, r.Trailer.Pepper, r.digest)
	if !ok {
		return fmt.Errorf("the backup was made under version %d of the pepper, which the pepper given lacks", r.Trailer.Pepper)
	}
	if !hmac.Equal([]byte(mac), []byte(r.Trailer.MAC)) {
		return damaged("it was not made under this pepper, or was changed since")
	}
	return nil
}

// RightPepper refuses a pepper that the backup's secrets were not made under.
func (m *Manifest) RightPepper(p *postern.Pepper) error {
	found := false
	for _, v := range p.Versions() {
		have, ok := m.Peppers[fmt.Sprintf("pepper.%d", v)]
		if !ok {
			continue
		}
		if have != p.Fingerprint(v) {
			return fmt.Errorf("this is not the pepper that the backup's server had (version %d): no secret would be accepted. Use the right pepper file", v)
		}
		found = true
	}
	if !found {
		return errors.New("this is not the pepper that the backup's server had: none of its versions is known there. Use the right pepper file")
	}
	return nil
}

// Digest is what was found of a table.
type Digest struct {
	Part   string `json:"part"`
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// ReadAll reads a whole backup and checks it; each, where given, gets every row.
func (r *Reader) ReadAll(each func(part string, t *store.Table, row []any) error, told func(rows int64)) (out []Digest, err error) {
	for {
		part, t, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		for {
			row, err := r.Row()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return out, err
			}
			if each != nil {
				if err := each(part, t, row); err != nil {
					return out, err
				}
			}
			if told != nil && r.total%1000 == 0 {
				told(r.total)
			}
		}
		out = append(out, Digest{part, t.Name, r.rows, hex.EncodeToString(r.one.Sum(nil))})
	}
}

// sameColumns refuses a table whose columns aren't those of a database.
func sameColumns(t, have *store.Table) error {
	for _, c := range t.Columns {
		if !slices.Contains(have.Columns, c) {
			return fmt.Errorf("the database has no column %s.%s of type %s", t.Name, c.Name, c.Type)
		}
	}
	if len(t.Columns) != len(have.Columns) {
		return fmt.Errorf("the table %s has %d columns in the backup and %d in the database", t.Name, len(t.Columns), len(have.Columns))
	}
	return nil
}
