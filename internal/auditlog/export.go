package auditlog

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// Format names the export that proves itself: JSON lines, one object a line.
const Format = "postern-audit/1"

// Header is the first line.
type Header struct {
	Format  string   `json:"format"`
	Origin  string   `json:"origin"`
	Keys    []string `json:"keys"`
	Account string   `json:"account,omitempty"`     // only its entries are there, each with a proof
	Entries int64    `json:"entries,omitempty"`     // what the log's heads say
	Signed  int64    `json:"checkpoints,omitempty"` // …
}

// line is any other line: an entry with what is stored or proven of it, a
// checkpoint, or the last line.
type line struct {
	Entry      *Row              `json:"entry,omitempty"`
	Hashes     []hashLine        `json:"hashes,omitempty"`
	Part       *part             `json:"part,omitempty"`
	Checkpoint *StoredCheckpoint `json:"checkpoint,omitempty"`
	End        *end              `json:"end,omitempty"`
}

// part is an entry in the export of one account.
type part struct {
	Seq int64 `json:"seq"`
	// Text is the entry; Leaf is its hash where the account may not read it.
	Text  string   `json:"text,omitempty"`
	Leaf  string   `json:"leaf,omitempty"`
	Proof []string `json:"proof"`
}

type end struct {
	Entries     int64 `json:"entries"`
	Checkpoints int64 `json:"checkpoints"`
}

// hashLine is a stored hash: [place, base64].
type hashLine StoredHash

func (h hashLine) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `[%d,"%s"]`, h.N, base64.StdEncoding.EncodeToString(h.Hash)), nil
}

func (h *hashLine) UnmarshalJSON(b []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	return errors.Join(json.Unmarshal(pair[0], &h.N), json.Unmarshal(pair[1], &h.Hash))
}

// Writer writes an export.
type Writer struct {
	enc *json.Encoder
	end end
}

// NewWriter begins an export.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format = Format
	if h.Keys == nil {
		h.Keys = []string{}
	}
	out := &Writer{enc: json.NewEncoder(w)}
	out.enc.SetEscapeHTML(false)
	return out, out.enc.Encode(h)
}

// Checkpoint writes a checkpoint.
func (w *Writer) Checkpoint(c *StoredCheckpoint) error {
	w.end.Checkpoints++
	return w.enc.Encode(line{Checkpoint: c})
}

// Part writes an entry of one account with the proof that it is in the tree of
// the export's checkpoint. An entry that the account may not read is told by its hash.
func (w *Writer) Part(row *Row, hidden bool, proof []Hash) error {
	w.end.Entries++
	p := part{Seq: row.Seq, Text: row.Text, Proof: make([]string, len(proof))}
	if hidden {
		p.Text, p.Leaf = "", LeafHash(row.Text).String()
	}
	for i, h := range proof {
		p.Proof[i] = h.String()
	}
	return w.enc.Encode(line{Part: &p})
}

// Close writes the last line, by which an export that was cut short is told.
func (w *Writer) Close() error { return w.enc.Encode(line{End: &w.end}) }

// Export writes a whole log as it is stored, be it sound or not.
func Export(w io.Writer, log *Log) error {
	out, err := NewWriter(w, Header{Origin: log.Origin, Keys: log.Keys, Entries: log.Entries, Signed: log.Signed})
	if err != nil {
		return err
	}
	for c, err := range log.Checkpoints {
		if err == nil {
			err = out.Checkpoint(&c)
		}
		if err != nil {
			return err
		}
	}
	next, stop := iter.Pull2(log.Hashes)
	defer stop()
	h, err, more := next()
	// upTo takes the stored hashes before a place.
	upTo := func(n int64) (list []hashLine) {
		for more && err == nil && h.N < n {
			list = append(list, hashLine(h))
			h, err, more = next()
		}
		return list
	}
	for row, readErr := range log.Rows {
		if readErr != nil {
			return readErr
		}
		list := upTo(firstHash(max(row.Seq, 0) + 1))
		if err != nil {
			return err
		}
		out.end.Entries++
		if err := out.enc.Encode(line{Entry: &row, Hashes: list}); err != nil {
			return err
		}
	}
	if list := upTo(1<<63 - 1); len(list) > 0 {
		if err := out.enc.Encode(line{Hashes: list}); err != nil {
			return err
		}
	}
	return errors.Join(err, out.Close())
}

// Reader reads an export.
type Reader struct {
	Header
	lines *bufio.Scanner
	n     int
}

// maxLine is the longest line: an entry has what a request can hold, twice.
const maxLine = 16 << 20

// NewReader begins to read an export.
func NewReader(r io.Reader) (*Reader, error) {
	out := &Reader{lines: bufio.NewScanner(r)}
	out.lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	if !out.lines.Scan() {
		return nil, errors.Join(out.lines.Err(), errors.New("this is no export of an audit log: it is empty"))
	}
	out.n++
	if err := json.Unmarshal(out.lines.Bytes(), &out.Header); err != nil || out.Format != Format {
		return nil, fmt.Errorf("this is no export that can be verified: its first line does not say %q", Format)
	}
	return out, nil
}

// each reads the lines to the end, which must be there.
func (r *Reader) each(yield func(*line) error) error {
	var have end
	for r.lines.Scan() {
		r.n++
		var l line
		if err := json.Unmarshal(r.lines.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d of the export can't be read: %w", r.n, err)
		}
		if l.End != nil {
			if *l.End != have || r.lines.Scan() {
				return fmt.Errorf("line %d ends the export, and lines are missing or were added", r.n)
			}
			return r.lines.Err()
		}
		if l.Entry != nil || l.Part != nil {
			have.Entries++
		}
		if l.Checkpoint != nil {
			have.Checkpoints++
		}
		if err := yield(&l); err != nil {
			return err
		}
	}
	if err := r.lines.Err(); err != nil {
		return fmt.Errorf("line %d of the export can't be read: %w", r.n+1, err)
	}
	return errors.New("the export was cut short: its last line is missing")
}

var errEnough = errors.New("enough")

// lineSource gives the lines of an export one by one, to those who ask in turn.
type lineSource struct {
	next    func() (*line, error, bool)
	back    *line        // one that was given back
	waiting []StoredHash // of the lines that were read
}

func (s *lineSource) pull() (*line, error, bool) {
	if l := s.back; l != nil {
		s.back = nil
		return l, nil, true
	}
	return s.next()
}

// Log is the whole log that was exported. It can be read once: its checkpoints
// first, then each row before its hashes.
func (r *Reader) Log() *Log {
	s := &lineSource{}
	s.next, _ = iter.Pull2(func(yield func(*line, error) bool) {
		err := r.each(func(l *line) error {
			if !yield(l, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield(nil, err)
		}
	})
	return &Log{Origin: r.Origin, Keys: r.Keys, Entries: r.Entries, Signed: r.Signed, Rows: s.rows, Hashes: s.hashes, Checkpoints: s.checkpoints}
}

func (s *lineSource) checkpoints(yield func(StoredCheckpoint, error) bool) {
	for {
		l, err, ok := s.pull()
		switch {
		case !ok:
			return
		case err != nil:
			yield(StoredCheckpoint{}, err)
			return
		case l.Checkpoint == nil:
			s.back = l
			return
		case !yield(*l.Checkpoint, nil):
			return
		}
	}
}

func (s *lineSource) rows(yield func(Row, error) bool) {
	for {
		l, err, ok := s.pull()
		if !ok {
			return
		}
		if err == nil && (l.Checkpoint != nil || l.Part != nil) {
			err = errors.New("a line of the export stands where it doesn't belong")
		}
		if err != nil {
			yield(Row{}, err)
			return
		}
		for _, h := range l.Hashes {
			s.waiting = append(s.waiting, StoredHash(h))
		}
		if l.Entry != nil && !yield(*l.Entry, nil) {
			return
		}
	}
}

// hashes gives those of the rows that were read. It ends where a row has fewer
// than the one who asks expects, or where nothing follows.
func (s *lineSource) hashes(yield func(StoredHash, error) bool) {
	for len(s.waiting) > 0 {
		h := s.waiting[0]
		s.waiting = s.waiting[1:]
		if !yield(h, nil) {
			return
		}
	}
}

// VerifyPart verifies the export of one account: every entry in it is in the tree
// of its checkpoint, at its place, as it is. That none was left out can't be told.
func VerifyPart(r *Reader, opts Options) (Report, error) {
	v := verification{log: &Log{Origin: r.Origin, Keys: r.Keys}, opts: opts, r: Report{Origin: r.Origin, Account: r.Account, Faults: []Fault{}}}
	if err := v.trust(); err != nil {
		return v.r, err
	}
	var c Checkpoint
	last := int64(0)
	err := r.each(func(l *line) error {
		switch {
		case l.Checkpoint != nil && v.r.Checkpoints == 0:
			return v.only(*l.Checkpoint, &c)
		case l.Part == nil || v.r.Checkpoints == 0 || l.Checkpoint != nil:
			return fmt.Errorf("line %d stands where it doesn't belong", r.n)
		}
		if l.Part.Seq <= last {
			return fmt.Errorf("line %d: entry %d comes after entry %d", r.n, l.Part.Seq, last)
		}
		last = l.Part.Seq
		v.part(l.Part, &c)
		return nil
	})
	if err != nil {
		return v.r, err
	}
	v.r.finish()
	return v.r, nil
}

// only takes the checkpoint that the proofs lead to.
func (v *verification) only(s StoredCheckpoint, c *Checkpoint) error {
	v.r.Checkpoints, v.r.Covered = 1, s.Size
	got, signed, err := v.keys.Open(s.Note)
	at := Fault{Kind: BadSignature, Entry: s.Size, Checkpoint: s.Number}
	switch {
	case err != nil:
		v.r.fault(at, "the checkpoint of the export is no signed checkpoint")
	case !signed:
		v.r.fault(at, "the checkpoint of the export is not signed by a key that is believed")
	case got.Origin != v.log.Origin || got.Size != s.Size || got.Number != s.Number:
		v.r.fault(at, "the checkpoint of the export is another than it says")
	default:
		*c = got
		v.r.Root = got.Root.String()
	}
	return nil
}

// part checks one entry and its proof.
func (v *verification) part(p *part, c *Checkpoint) {
	v.r.Entries++
	if c.Size == 0 {
		return // told already
	}
	leaf, err := tlog.ParseHash(p.Leaf)
	if p.Leaf == "" {
		row, ok := RowOf(p.Text)
		if !ok || row.Seq != p.Seq {
			v.r.fault(Fault{Kind: EntryUnreadable, Entry: p.Seq}, "entry %d is no entry any more", p.Seq)
			return
		}
		if row.Account != v.r.Account {
			v.r.fault(Fault{Kind: EntryColumns, Entry: p.Seq}, "entry %d is of another account", p.Seq)
			return
		}
		leaf, err = LeafHash(p.Text), nil
	} else {
		v.r.Hidden++
	}
	proof := make([]Hash, len(p.Proof))
	for i := range proof {
		if err == nil {
			proof[i], err = tlog.ParseHash(p.Proof[i])
		}
	}
	if err != nil || !Inclusion(p.Seq, leaf, c, proof) {
		v.r.fault(Fault{Kind: ProofWrong, Entry: p.Seq}, "entry %d is not what stands at its place in the log", p.Seq)
	}
}
