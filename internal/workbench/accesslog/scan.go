package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Options say how a log is read. The zero value tries every known format on each line.
type Options struct {
	// Template is nginx's log_format or Apache's LogFormat, tried before the known formats.
	Template string
	// Fields says which columns or JSON members hold what, beside the known names; see FieldNames.
	Fields map[string]Field
	// Workers is how many lines are read at once: one for each core unless set.
	Workers int
	// MaxBytes is how much is read of a log, unpacked; 0 for all of it.
	MaxBytes int64
}

// ErrTooMuch says that a log has more than Options.MaxBytes.
var ErrTooMuch = errors.New("the log has more bytes than are read")

// Stats is what became of a log's lines.
type Stats struct {
	Lines   int64
	Bytes   int64 // unpacked
	Calls   int64
	Faults  [Faults]int64 // lines by fault; those of OK are Calls
	Formats map[string]int64
	// First are the first lines of each fault, by number from 1: at most ten.
	First [Faults][]int64
	// Jumps is how often a line was more than an hour earlier than the one before it.
	Jumps int64
	// Cut is set where a packed file ended in the middle.
	Cut bool
}

// Bad is how many lines could not be read.
func (s *Stats) Bad() int64 {
	var n int64
	for f := TooLong; f < faults; f++ {
		n += s.Faults[f]
	}
	return n
}

// chunkSize is how much of a log one worker reads at a time.
const chunkSize = 1 << 20

// maxFirst is how many line numbers are kept for each fault.
const maxFirst = 10

// Scan reads a whole log, packed with gzip or zstd or not, and hands each call to
// visit, on several goroutines at once but never two with the same worker's number.
// What visit is given holds until it returns. Memory is bounded, whatever the log.
// It gives what it has read along with an error of r or of ctx.
func Scan(ctx context.Context, r io.Reader, o Options, visit func(worker int, c *Call)) (Stats, error) {
	stats := Stats{Formats: map[string]int64{}}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	s := &scan{options: o, visit: visit, jobs: make(chan chunk, o.Workers), free: make(chan []byte, 2*o.Workers+2)}
	var workers []*worker
	for i := range o.Workers {
		w, err := s.worker(i)
		if err != nil {
			return stats, err
		}
		workers = append(workers, w)
	}
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(w.run)
	}
	src, done, err := unpack(r)
	if err == nil {
		if o.MaxBytes > 0 {
			src = &bounded{src, o.MaxBytes}
		}
		err = s.cut(ctx, src)
		done()
	}
	close(s.jobs)
	wg.Wait()
	s.sum(workers, &stats)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		stats.Cut, err = true, nil
	}
	return stats, err
}

// bounded gives ErrTooMuch where there is more to read than left.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		n, err = int(b.left), ErrTooMuch
	}
	b.left -= int64(n)
	return n, err
}

// unpack finds out whether a log is packed.
func unpack(r io.Reader) (io.Reader, func(), error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, nil, err
	}
	head = head[:n]
	r = io.MultiReader(bytes.NewReader(head), r)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("looks packed with gzip, but isn't: %w", err)
		}
		return z, func() { z.Close() }, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

type scan struct {
	options Options
	visit   func(int, *Call)
	jobs    chan chunk
	free    chan []byte
	tooLong []place // lines that no chunk holds
}

// chunk is whole lines of a log.
type chunk struct {
	number int
	data   []byte
	table  *table // whose columns the lines have, where a header said so
}

// place is a line: of which chunk, and which of its lines, from 0.
type place struct {
	chunk int
	line  int64
}

// cut reads the log and hands it out in chunks of whole lines.
func (s *scan) cut(ctx context.Context, r io.Reader) error {
	var (
		carry  []byte
		number int
		t      *table
		inLong bool // what comes belongs to a line that is too long, until its end
	)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf := s.buffer()
		n := copy(buf, carry)
		m, err := fill(r, buf[n:])
		data := buf[:n+m]
		last := err != nil
		if inLong {
			i := bytes.IndexByte(data, '\n')
			if i < 0 && !last {
				carry = carry[:0]
				s.free <- buf
				continue
			}
			inLong = false
			data = data[min(i+1, len(data)):]
			if i < 0 {
				data = nil
			}
		}
		whole := bytes.LastIndexByte(data, '\n') + 1
		if last {
			whole = len(data)
		}
		if whole == 0 && len(data) > 0 { // a line longer than a chunk
			s.tooLong = append(s.tooLong, place{number, 0})
			if len(s.tooLong) > 1<<16 {
				return fmt.Errorf("more than %d lines are longer than %d bytes: this is no access log", 1<<16, chunkSize)
			}
			inLong, carry = true, carry[:0]
			s.free <- buf
			continue
		}
		carry = append(carry[:0], data[whole:]...)
		if whole > 0 {
			if number == 0 {
				t = s.firstHeader(data[:whole])
			}
			s.jobs <- chunk{number, data[:whole], t}
			t = s.lastHeader(data[:whole], t)
			number++
		} else {
			s.free <- buf
		}
		if last {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// fill reads until b is full or something ends it. A packed file that stops short gives
// io.ErrUnexpectedEOF, and its end io.EOF; io.ReadFull would tell neither from the other.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

func (s *scan) buffer() []byte {
	select {
	case b := <-s.free:
		return b[:chunkSize]
	default:
		return make([]byte, chunkSize)
	}
}

// firstHeader is the table whose header a log begins with.
func (s *scan) firstHeader(data []byte) *table {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if len(line) > MaxLine {
		return nil
	}
	return headerOf(bytes.TrimRight(line, "\r"), s.options.Fields)
}

// lastHeader is the table that holds after these lines: W3C files repeat their header.
func (s *scan) lastHeader(data []byte, t *table) *table {
	if !bytes.Contains(data, []byte("#Fields:")) { // much sooner known than where the last one is
		return t
	}
	i := bytes.LastIndex(data, []byte("\n#Fields:"))
	if i < 0 {
		if !bytes.HasPrefix(data, []byte("#Fields:")) {
			return t
		}
		i = -1
	}
	line, _, _ := bytes.Cut(data[i+1:], []byte("\n"))
	if n := headerOf(bytes.TrimRight(line, "\r"), s.options.Fields); n != nil {
		return n
	}
	return t
}

// worker reads chunks.
type worker struct {
	scan    *scan
	number  int
	formats []Format
	last    int // the format that fitted the line before
	table   *table
	from    *table // what table was made of
	call    Call

	calls   map[string]int64
	faults  [Faults]int64
	first   [Faults][]place
	chunks  []chunkSum
	bytes   int64
	jumps   int64
	started time.Time // of the line before
}

// chunkSum is what must be known of a chunk once all are read.
type chunkSum struct {
	number      int
	lines       int64
	first, last time.Time
}

func (s *scan) worker(n int) (*worker, error) {
	w := &worker{scan: s, number: n, calls: map[string]int64{}}
	if s.options.Template != "" {
		f, err := FromTemplate(s.options.Template)
		if err != nil {
			return nil, err
		}
		w.formats = append(w.formats, f)
	}
	w.formats = append(w.formats, JSONLines(s.options.Fields))
	for _, f := range known {
		w.formats = append(w.formats, f())
	}
	return w, nil
}

func (w *worker) run() {
	for c := range w.scan.jobs {
		w.chunk(c)
		select {
		case w.scan.free <- c.data[:0]:
		default:
		}
	}
}

func (w *worker) chunk(c chunk) {
	w.use(c.table)
	sum := chunkSum{number: c.number}
	w.started = time.Time{}
	w.bytes += int64(len(c.data))
	for data := c.data; len(data) > 0; {
		var line []byte
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			line, data = data, nil
		}
		w.line(bytes.TrimRight(line, "\r"), &sum)
		sum.lines++
	}
	sum.last = w.started
	w.chunks = append(w.chunks, sum)
}

// use makes a table of one's own of a header that another goroutine read.
func (w *worker) use(t *table) {
	if t == w.from {
		return
	}
	w.from, w.table = t, nil
	if t != nil {
		w.table = t.clone()
	}
}

func (w *worker) line(line []byte, sum *chunkSum) {
	w.call = Call{}
	f, by := w.parse(line, sum)
	w.faults[f]++
	if f != OK {
		if len(w.first[f]) < maxFirst {
			w.first[f] = append(w.first[f], place{sum.number, sum.lines})
		}
		return
	}
	w.calls[by]++
	at := w.call.At
	if !w.started.IsZero() && at.Before(w.started.Add(-time.Hour)) {
		w.jumps++
	}
	if w.started.IsZero() {
		sum.first = at
	}
	w.started = at
	w.scan.visit(w.number, &w.call)
}

func (w *worker) parse(line []byte, sum *chunkSum) (Fault, string) {
	switch {
	case len(bytes.TrimSpace(line)) == 0:
		return Empty, ""
	case len(line) > MaxLine:
		return TooLong, ""
	case line[0] == '#':
		if t := headerOf(line, w.scan.options.Fields); t != nil {
			w.table, w.from = t, nil
		}
		return Comment, ""
	}
	if w.table != nil {
		f := w.table.Parse(line, &w.call)
		if f == OK {
			return OK, w.table.name
		}
		if sum.number == 0 && sum.lines == 0 && headerOf(line, w.scan.options.Fields) != nil {
			return Comment, ""
		}
		if f != Unknown {
			return w.orBinary(line, f), ""
		}
		w.call = Call{}
	}
	best := Unknown
	for i := range w.formats {
		// The format of the line before is tried first.
		n := i
		if i == 0 {
			n = w.last
		} else if i <= w.last {
			n = i - 1
		}
		f := w.formats[n].Parse(line, &w.call)
		if f == OK {
			w.last = n
			return OK, w.formats[n].Name()
		}
		if f != Unknown && best == Unknown {
			best = f
		}
		w.call = Call{}
	}
	return w.orBinary(line, best), ""
}

// orBinary tells what is no text from what is in no known format.
func (w *worker) orBinary(line []byte, f Fault) Fault {
	if bytes.IndexByte(line, 0) >= 0 || !utf8.Valid(line) {
		return Binary
	}
	return f
}

// sum puts together what the workers counted.
func (s *scan) sum(workers []*worker, to *Stats) {
	var chunks []chunkSum
	for _, w := range workers {
		chunks = append(chunks, w.chunks...)
		for name, n := range w.calls {
			to.Formats[name] += n
		}
		for f, n := range w.faults {
			to.Faults[f] += n
		}
		to.Bytes += w.bytes
		to.Jumps += w.jumps
	}
	slices.SortFunc(chunks, func(a, b chunkSum) int { return a.number - b.number })
	long := map[int]int64{} // lines too long for a chunk, by the chunk that they stand before
	for _, p := range s.tooLong {
		long[p.chunk]++
		to.Faults[TooLong]++
		to.Lines++
	}
	starts := make([]int64, len(chunks)+1)
	var line int64
	var before time.Time
	for i, c := range chunks {
		line += long[i]
		starts[i] = line
		line += c.lines
		to.Lines += c.lines
		if !c.first.IsZero() {
			if !before.IsZero() && c.first.Before(before.Add(-time.Hour)) {
				to.Jumps++
			}
			before = c.last
		}
	}
	starts[len(chunks)] = line
	for f := range to.First {
		for _, w := range workers {
			for _, p := range w.first[f] {
				to.First[f] = append(to.First[f], starts[p.chunk]+p.line+1)
			}
		}
		if Fault(f) == TooLong {
			for _, p := range s.tooLong[:min(len(s.tooLong), maxFirst)] {
				to.First[f] = append(to.First[f], starts[p.chunk])
			}
		}
		slices.Sort(to.First[f])
		to.First[f] = to.First[f][:min(len(to.First[f]), maxFirst)]
	}
	to.Calls = to.Faults[OK]
}
