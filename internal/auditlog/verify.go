package auditlog

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
)

// StoredHash is a hash of the tree and its place, as they are stored.
type StoredHash struct {
	N    int64
	Hash []byte
}

// StoredCheckpoint is a checkpoint as it is stored: the signed note, and what of
// it stands in columns.
type StoredCheckpoint struct {
	Number int64  `json:"number"`
	Size   int64  `json:"size"`
	At     int64  `json:"at"`
	Root   []byte `json:"root"`
	Note   string `json:"note"`
}

// Log is a whole log as it is stored, be it sound or not.
type Log struct {
	Origin string
	Keys   []string // that sign, as the log itself names them
	// Entries and Signed are how many entries and checkpoints there were ever, as the
	// log's heads say.
	Entries, Signed int64
	Rows            iter.Seq2[Row, error]        // by seq
	Hashes          iter.Seq2[StoredHash, error] // by place
	// Checkpoints come the newest first, and are read before the rows.
	Checkpoints iter.Seq2[StoredCheckpoint, error]
}

// Options are what a verification goes by.
type Options struct {
	// Keys are those that are believed; none: the ones that the log itself names,
	// which proves nothing against whoever could replace them.
	Keys []string
	// Kept are checkpoints that were kept elsewhere.
	Kept []string
	// Progress, where given, is told now and then how far it is.
	Progress func(done, total int64)
}

// Fault is one thing that is not as it was written.
type Fault struct {
	Kind string `json:"kind"`
	// Entry is the first bad entry; where it can't be told which it is, UpTo is the
	// last that it may be.
	Entry      int64  `json:"entry"`
	UpTo       int64  `json:"upTo,omitempty"`
	Checkpoint int64  `json:"checkpoint,omitempty"` // its number
	Why        string `json:"why"`
}

// The kinds of faults.
const (
	EntryMissing    = "entry_missing"
	EntryExtra      = "entry_extra"
	EntryUnreadable = "entry_unreadable"
	EntryColumns    = "entry_columns"
	EntryHash       = "entry_hash" // its text does not fit its stored hash
	TreeHash        = "tree_hash"  // a stored hash over several entries is not theirs
	CutOff          = "cut_off"    // the newest entries are missing
	Rewritten       = "rewritten"  // entries are others than were signed
	BadCheckpoint   = "checkpoint" // unreadable, or its columns differ from it
	BadSignature    = "signature"  // not signed by a key that is believed
	CheckpointGone  = "checkpoint_gone"
	ProofWrong      = "proof"
)

// Report is what a verification found.
type Report struct {
	Sound bool `json:"sound"`
	// FirstBad is the first bad entry; see the first of Faults. 0: none.
	FirstBad int64  `json:"firstBad,omitempty"`
	Account  string `json:"account,omitempty"` // of which alone the entries were there
	Entries  int64  `json:"entries"`           // that were read
	Root     string `json:"root,omitempty"`    // of all entries, base64
	Origin   string `json:"origin,omitempty"`
	// Checkpoints are how many there are; Covered is how many entries the newest is over.
	Checkpoints int64 `json:"checkpoints"`
	Covered     int64 `json:"covered"`
	// Keys are the IDs of the keys that were believed, and Named whether only the log itself names them.
	Keys   []string `json:"keys"`
	Named  bool     `json:"keysNamedByTheLogItself"`
	Kept   int      `json:"kept"`             // checkpoints from elsewhere that it was held against
	Hidden int64    `json:"hidden,omitempty"` // entries whose text is kept from the account
	Faults []Fault  `json:"faults"`
}

// First is the fault of the first bad entry; there is one where the log isn't sound.
func (r *Report) First() Fault {
	if len(r.Faults) == 0 {
		return Fault{}
	}
	return r.Faults[0]
}

const mostFaults = 20

// Verify reads a whole log and holds everything in it against everything else:
// the columns and the stored hashes against the texts, the tree of the texts
// against every checkpoint, and the checkpoints against each other, against the
// keys and against those that were kept elsewhere. An error is that the log could
// not be read; what is wrong with it stands in the report.
func Verify(ctx context.Context, log *Log, opts Options) (Report, error) {
	v := verification{log: log, opts: opts, r: Report{Origin: log.Origin, Faults: []Fault{}}}
	if err := v.trust(); err != nil {
		return v.r, err
	}
	v.openKept()
	if err := v.checkpoints(ctx); err != nil {
		return v.r, err
	}
	v.compareKept()
	slices.SortStableFunc(v.anchors, func(a, b anchor) int { return cmp.Compare(a.Size, b.Size) })
	if err := v.rows(ctx); err != nil {
		return v.r, err
	}
	v.r.finish()
	return v.r, nil
}

func (r *Report) finish() {
	slices.SortStableFunc(r.Faults, func(a, b Fault) int { return cmp.Compare(a.Entry, b.Entry) })
	r.Sound, r.FirstBad = len(r.Faults) == 0, r.First().Entry
	r.Faults = r.Faults[:min(len(r.Faults), mostFaults)]
}

// anchor is a checkpoint that is believed.
type anchor struct {
	Number, Size int64
	Root         Hash
	kept         bool
}

func (a *anchor) String() string {
	if a.kept {
		return fmt.Sprintf("checkpoint %d, which was kept elsewhere,", a.Number)
	}
	return fmt.Sprintf("checkpoint %d", a.Number)
}

// keptOne is a checkpoint from elsewhere, and the stored one of its number.
type keptOne struct {
	Checkpoint
	stored string
}

type verification struct {
	log     *Log
	opts    Options
	keys    Keys
	r       Report
	kept    []keptOne
	anchors []anchor
	tree    Tree
	proven  int64 // entries up to which an anchor fitted
}

func (r *Report) fault(f Fault, format string, args ...any) {
	f.Why = fmt.Sprintf(format, args...)
	f.Entry = max(f.Entry, 1)
	r.Faults = append(r.Faults, f)
}

func (v *verification) trust() (err error) {
	list := v.opts.Keys
	if v.r.Named = len(list) == 0; v.r.Named {
		list = v.log.Keys
	}
	v.r.Keys = []string{}
	for _, k := range list {
		v.r.Keys = append(v.r.Keys, KeyID(k))
	}
	v.keys, err = ParseKeys(list...)
	return err
}

// checkpoints goes through those that are stored, from the newest to the oldest,
// and takes the ones that hold as anchors. The newest must be signed by a key that
// is believed; each says which note came before it, and so vouches for that one.
func (v *verification) checkpoints(ctx context.Context) error {
	lowest := v.log.Signed + 1 // the number that was seen last
	size := int64(-1)          // and its size
	vouched := (*Hash)(nil)    // the hash of the note that must come now
	for s, err := range v.log.Checkpoints {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		at := Fault{Kind: BadCheckpoint, Entry: s.Size, Checkpoint: s.Number}
		if v.r.Checkpoints == 0 {
			v.r.Covered = s.Size
		}
		v.r.Checkpoints++
		switch want := lowest - 1; {
		case s.Number > want:
			v.r.fault(at, "checkpoint %d is one more than the log's head says", s.Number)
		case s.Number < want:
			v.r.fault(Fault{Kind: CheckpointGone, Entry: s.Size + 1, Checkpoint: want}, "checkpoint %d is missing", want)
			vouched = nil
		case size >= 0 && s.Size >= size:
			v.r.fault(at, "checkpoint %d is not over fewer entries than the next", s.Number)
		}
		lowest, size = s.Number, s.Size
		vouched = v.checkpoint(&s, vouched, at)
	}
	switch {
	case lowest > 1:
		v.r.fault(Fault{Kind: CheckpointGone, Entry: 1, Checkpoint: lowest - 1}, "checkpoint %d is missing", lowest-1)
	case vouched != nil && *vouched != Hash{}:
		v.r.fault(Fault{Kind: CheckpointGone, Entry: 1, Checkpoint: 1}, "checkpoint 1 follows another that is missing")
	}
	return nil
}

// checkpoint looks at one. It gives the hash of the one before, if this one holds.
func (v *verification) checkpoint(s *StoredCheckpoint, vouched *Hash, at Fault) *Hash {
	for i := range v.kept {
		if v.kept[i].Number == s.Number {
			v.kept[i].stored = s.Note
		}
	}
	var c Checkpoint
	var err error
	signed := vouched != nil && *vouched == NoteHash(s.Note)
	if signed {
		c, err = parseNote(s.Note)
	} else {
		c, signed, err = v.keys.Open(s.Note)
	}
	switch {
	case err != nil:
		v.r.fault(at, "checkpoint %d is no signed checkpoint any more", s.Number)
	case c.Number != s.Number || c.Size != s.Size || int64(postern.ToMicros(c.At)) != s.At || !bytes.Equal(c.Root[:], s.Root):
		v.r.fault(at, "checkpoint %d has columns that differ from its text", s.Number)
	case c.Origin != v.log.Origin:
		v.r.fault(at, "checkpoint %d is of another log (%s)", s.Number, c.Origin)
	case !signed:
		at.Kind = BadSignature
		v.r.fault(at, "checkpoint %d is not signed by a key that is believed", s.Number)
	case vouched != nil && *vouched != NoteHash(s.Note):
		v.r.fault(at, "checkpoint %d is another than the next one follows", s.Number)
	default:
		v.anchors = append(v.anchors, anchor{Number: c.Number, Size: c.Size, Root: c.Root})
		return &c.Previous
	}
	return nil
}

// openKept takes the checkpoints from elsewhere as anchors.
func (v *verification) openKept() {
	for _, s := range v.opts.Kept {
		c, signed, err := v.keys.Open(s)
		switch at := (Fault{Kind: BadCheckpoint, Entry: c.Size, Checkpoint: c.Number}); {
		case err != nil:
			v.r.fault(Fault{Kind: BadCheckpoint}, "the checkpoint that was kept elsewhere is no signed checkpoint, or its signature is wrong")
		case !signed:
			at.Kind = BadSignature
			v.r.fault(at, "checkpoint %d, which was kept elsewhere, is not signed by a key that is believed", c.Number)
		case c.Origin != v.log.Origin:
			v.r.fault(at, "checkpoint %d, which was kept elsewhere, is of another log (%s), and this is %s", c.Number, c.Origin, v.log.Origin)
		default:
			v.kept = append(v.kept, keptOne{Checkpoint: c})
			v.anchors = append(v.anchors, anchor{Number: c.Number, Size: c.Size, Root: c.Root, kept: true})
		}
	}
	v.r.Kept = len(v.kept)
}

// compareKept holds the stored checkpoints against those from elsewhere.
func (v *verification) compareKept() {
	for _, k := range v.kept {
		if k.stored == "" {
			v.r.fault(Fault{Kind: CheckpointGone, Entry: k.Size, Checkpoint: k.Number}, "checkpoint %d, which was kept elsewhere, is missing", k.Number)
		} else if !strings.HasPrefix(k.stored, k.Text()+"\n") {
			v.r.fault(Fault{Kind: BadCheckpoint, Entry: k.Size, Checkpoint: k.Number}, "checkpoint %d is another than the one that was kept elsewhere", k.Number)
		}
	}
}

// rows reads the entries with their stored hashes, up to the first that is bad.
func (v *verification) rows(ctx context.Context) error {
	next, stop := iter.Pull2(v.log.Hashes)
	defer stop()
	for row, err := range v.log.Rows {
		if err != nil {
			return err
		}
		if v.tree.size&1023 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if v.opts.Progress != nil {
				v.opts.Progress(v.tree.size, v.log.Entries)
			}
		}
		if !v.entry(&row) {
			return nil
		}
		if ok, err := v.hashes(row.Seq, next); !ok || err != nil {
			return err
		}
		if !v.anchored() {
			return nil
		}
	}
	return v.end(next)
}

// entry checks one row by itself, and adds it to the tree.
func (v *verification) entry(row *Row) bool {
	want := v.tree.size + 1
	if row.Seq != want {
		v.r.fault(Fault{Kind: EntryMissing, Entry: want}, "entry %d is missing", want)
		return false
	}
	if want > v.log.Entries {
		v.r.fault(Fault{Kind: EntryExtra, Entry: want}, "entry %d is more than the log's head says", want)
		return false
	}
	said, ok := RowOf(row.Text)
	if !ok {
		v.r.fault(Fault{Kind: EntryUnreadable, Entry: want}, "entry %d is no entry any more", want)
		return false
	}
	if said != *row {
		v.r.fault(Fault{Kind: EntryColumns, Entry: want}, "entry %d has columns that differ from its text", want)
		return false
	}
	v.tree.Add(LeafHash(row.Text))
	v.r.Entries = v.tree.size
	return true
}

// hashes holds those that the entry adds against those that are stored for it.
func (v *verification) hashes(seq int64, next func() (StoredHash, error, bool)) (bool, error) {
	place := firstHash(seq)
	for i, h := range v.tree.added {
		n := place + int64(i)
		s, err, ok := next()
		if err != nil {
			return false, err
		}
		if ok && s.N == n && bytes.Equal(s.Hash, h[:]) {
			continue
		}
		first, last := placeOf(n)
		switch {
		case !ok || s.N != n:
			v.r.fault(Fault{Kind: TreeHash, Entry: first, UpTo: upTo(first, last)}, "the stored hash %d, of %s, is missing", n, span(first, last))
		case i == 0:
			v.r.fault(Fault{Kind: EntryHash, Entry: seq}, "entry %d does not fit the hash that was stored with it", seq)
		default:
			v.r.fault(Fault{Kind: TreeHash, Entry: first, UpTo: upTo(first, last)}, "%s do not fit the hash that was stored over them", span(first, last))
		}
		return false, nil
	}
	return true, nil
}

func upTo(first, last int64) int64 {
	if first == last {
		return 0
	}
	return last
}

func span(first, last int64) string {
	if first == last {
		return fmt.Sprintf("entry %d", first)
	}
	return fmt.Sprintf("entries %d to %d", first, last)
}

// anchored holds the tree against the checkpoints of its size.
func (v *verification) anchored() bool {
	for len(v.anchors) > 0 && v.anchors[0].Size == v.tree.size {
		a := v.anchors[0]
		v.anchors = v.anchors[1:]
		if v.tree.Root() != a.Root {
			v.r.fault(Fault{Kind: Rewritten, Entry: v.proven + 1, UpTo: upTo(v.proven+1, a.Size), Checkpoint: a.Number},
				"%s: at least one is another than %s was signed over", span(v.proven+1, a.Size), &a)
			return false
		}
		v.proven = a.Size
	}
	return true
}

// end looks at what must be there, and mustn't, after the last entry.
func (v *verification) end(next func() (StoredHash, error, bool)) error {
	size := v.tree.size
	v.r.Root = v.tree.Root().String()
	if size < v.log.Entries {
		v.r.fault(Fault{Kind: CutOff, Entry: size + 1, UpTo: upTo(size+1, v.log.Entries)}, "the log ends at entry %d and its head says %d: the newest entries were cut off", size, v.log.Entries)
	}
	if len(v.anchors) > 0 {
		a := v.anchors[len(v.anchors)-1]
		v.r.fault(Fault{Kind: CutOff, Entry: size + 1, UpTo: upTo(size+1, a.Size), Checkpoint: a.Number},
			"the log ends at entry %d and %s was signed over %d: the newest entries were cut off", size, &a, a.Size)
	}
	s, err, ok := next()
	if err != nil {
		return err
	}
	if ok {
		first := int64(1)
		if s.N >= 0 {
			first, _ = placeOf(s.N)
		}
		v.r.fault(Fault{Kind: TreeHash, Entry: first}, "the stored hash %d belongs to no entry", s.N)
	}
	if v.opts.Progress != nil {
		v.opts.Progress(size, v.log.Entries)
	}
	return nil
}

// Inclusion proves that an entry is in the tree of a checkpoint.
func Inclusion(seq int64, leaf Hash, c *Checkpoint, proof []Hash) bool {
	return tlog.CheckRecord(proof, c.Size, c.Root, seq-1, leaf) == nil
}
