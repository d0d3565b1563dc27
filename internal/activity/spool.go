package activity

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The spool is where frames wait on disk until the database has them, so that
// neither a killed process nor a database that is away costs records. It is a
// directory of segments that only grow at their end:
//
//	head:  "PSTNSPL1", length of the writer's name (1 byte), the name
//	frame: "PFRM", length (4 bytes, little endian), CRC-32C of what follows (4), the frame
//
// A frame is written by one write, without waiting for the disk: a killed process
// loses none that was written. Run has the disk write it within a second, which
// is what a power cut can cost. One process owns the directory.

const (
	segmentMagic = "PSTNSPL1"
	frameMagic   = "PFRM"
	frameHead    = len(frameMagic) + 4 + 4
	segmentEnd   = ".spool"
	// maxFrame is more than any frame has.
	maxFrame = 256 << 20
)

// segmentSize is where a segment ends and the next begins. A test makes it small.
var segmentSize int64 = 8 << 20

// errSpoolFull is of a frame that has no room within the bound.
var errSpoolFull = errors.New("the spool is full")

// segment is one file of the spool.
type segment struct {
	path    string
	f       *os.File
	size    int64
	waiting int  // frames that the database doesn't have
	sealed  bool // nothing is added to it
	damaged bool // it is set aside instead of being removed
	dirty   bool // the disk may not have all of it
}

// spool is the directory. Its methods may be called from many goroutines.
type spool struct {
	dir    string
	max    int64
	writer string

	mu       sync.Mutex
	number   int
	now      *segment // being written
	all      []*segment
	bytes    int64
	damaged  int64 // frames that were found unreadable
	aside    int64 // segments that are set aside
	torn     int64 // ends of segments that a killed process left half written
	lastFull error // of the latest append, nil where it succeeded
	buf      []byte
}

// openSpool opens a directory, makes it where it isn't there, and returns the
// frames that processes before this one left, in the order of their writing.
func openSpool(dir string, limit int64, writer string) (*spool, []*frame, error) {
	s := &spool{dir: dir, max: limit, writer: writer}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the spool: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the spool: %w", err)
	}
	var frames []*frame
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), segmentEnd) {
			continue
		}
		found, err := s.readSegment(filepath.Join(dir, e.Name()))
		if err != nil {
			s.close()
			return nil, nil, fmt.Errorf("read the spool: %w", err)
		}
		frames = append(frames, found...)
	}
	slices.SortStableFunc(frames, func(a, b *frame) int {
		return cmp.Or(cmp.Compare(a.writer, b.writer), cmp.Compare(a.batch, b.batch))
	})
	return s, frames, nil
}

// readSegment looks through a segment of another process. Frames whose checksum
// is wrong are left out, and those after them found again.
func (s *spool) readSegment(path string) ([]*frame, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	seg := &segment{path: path, f: f, size: int64(len(data)), sealed: true}
	s.all, s.bytes = append(s.all, seg), s.bytes+seg.size
	head := len(segmentMagic) + 1
	if len(data) < head || string(data[:len(segmentMagic)]) != segmentMagic || len(data) < head+int(data[head-1]) {
		seg.damaged = len(data) > head // a process was killed while it made the file, where it is shorter
		s.release(seg)
		return nil, nil
	}
	writer := string(data[head : head+int(data[head-1])])
	var frames []*frame
	for off := head + len(writer); off < len(data); {
		payload, short, ok := frameAt(data[off:])
		var batch int64
		var b *body
		if ok {
			batch, b, err = parseBody(payload)
			ok = err == nil
		}
		if ok {
			fr := &frame{writer: writer, batch: batch, size: len(payload), seg: seg, off: int64(off)}
			fr.calls, fr.oldest = b.extent()
			frames = append(frames, fr)
			seg.waiting++
			off += frameHead + len(payload)
			continue
		}
		next := bytes.Index(data[off+1:], []byte(frameMagic))
		if next < 0 && short {
			s.torn++
			break
		}
		seg.damaged = true
		s.damaged++
		if next < 0 {
			break
		}
		off += 1 + next
	}
	if seg.waiting == 0 {
		s.release(seg)
	}
	return frames, nil
}

// frameAt reads a frame at the beginning of data; short where data ends before it does.
func frameAt(data []byte) (payload []byte, short, ok bool) {
	if len(data) < frameHead {
		return nil, true, false
	}
	n := binary.LittleEndian.Uint32(data[len(frameMagic):])
	if string(data[:len(frameMagic)]) != frameMagic || n > maxFrame {
		return nil, false, false
	}
	if len(data) < frameHead+int(n) {
		return nil, true, false
	}
	payload = data[frameHead : frameHead+int(n)]
	return payload, false, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(data[len(frameMagic)+4:])
}

// append writes a frame, or leaves everything as it was.
func (s *spool) append(fr *frame, b *body) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := append(s.buf[:0], frameMagic+"\x00\x00\x00\x00\x00\x00\x00\x00"...)
	out = appendBody(out, fr.batch, b)
	s.buf = out
	if cap(s.buf) > 4<<20 {
		s.buf = nil
	}
	payload := out[frameHead:]
	binary.LittleEndian.PutUint32(out[len(frameMagic):], uint32(len(payload)))
	binary.LittleEndian.PutUint32(out[len(frameMagic)+4:], crc32.Checksum(payload, castagnoli))
	err := s.add(fr, out)
	s.lastFull = err
	return err
}

func (s *spool) add(fr *frame, out []byte) error {
	if s.bytes+int64(len(out)) > s.max {
		return errSpoolFull
	}
	if s.now == nil || s.now.size+int64(len(out)) > segmentSize {
		if err := s.begin(); err != nil {
			return err
		}
	}
	seg := s.now
	if _, err := seg.f.WriteAt(out, seg.size); err != nil {
		// What was written of it is cut off; should that fail, it is found to be torn.
		if cut := seg.f.Truncate(seg.size); cut != nil {
			s.seal(seg)
		}
		return fmt.Errorf("write to the spool: %w", err)
	}
	fr.seg, fr.off, fr.size = seg, seg.size, len(out)-frameHead
	seg.size += int64(len(out))
	seg.waiting++
	seg.dirty = true
	s.bytes += int64(len(out))
	return nil
}

// begin makes the next segment.
func (s *spool) begin() error {
	if s.now != nil {
		s.seal(s.now)
	}
	s.number++
	path := filepath.Join(s.dir, s.writer+"-"+strconv.Itoa(1_000_000+s.number)+segmentEnd)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make a segment of the spool: %w", err)
	}
	head := segmentMagic + string(rune(len(s.writer))) + s.writer
	if _, err := f.WriteString(head); err != nil {
		f.Close()
		os.Remove(path)
		return fmt.Errorf("make a segment of the spool: %w", err)
	}
	s.now = &segment{path: path, f: f, size: int64(len(head)), dirty: true}
	s.all, s.bytes = append(s.all, s.now), s.bytes+s.now.size
	return nil
}

func (s *spool) seal(seg *segment) {
	seg.sealed = true
	if s.now == seg {
		s.now = nil
	}
	if seg.waiting == 0 {
		s.release(seg)
	}
}

// read reads the body of a frame back.
func (s *spool) read(fr *frame) (*body, error) {
	data := make([]byte, frameHead+fr.size)
	if _, err := fr.seg.f.ReadAt(data, fr.off); err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	payload, _, ok := frameAt(data)
	if !ok {
		return nil, fmt.Errorf("read the spool: %w: a frame's checksum is wrong", errBroken)
	}
	_, b, err := parseBody(payload)
	return b, err
}

// mark notes that a frame can't be read.
func (s *spool) mark(fr *frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fr.seg.damaged = true
	s.damaged++
}

// done lets go of a frame that the database has.
func (s *spool) done(fr *frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fr.seg == nil {
		return
	}
	if fr.seg.waiting--; fr.seg.waiting == 0 && fr.seg.sealed {
		s.release(fr.seg)
	}
}

// release removes a segment, or sets it aside for whoever looks into the damage.
func (s *spool) release(seg *segment) {
	seg.f.Close()
	if seg.damaged {
		s.aside++
		os.Rename(seg.path, seg.path+".damaged")
	} else {
		os.Remove(seg.path)
	}
	s.bytes -= seg.size
	s.all = slices.DeleteFunc(s.all, func(o *segment) bool { return o == seg })
}

func (s *spool) stats() SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SpoolStats{Bytes: s.bytes, Max: s.max, Full: s.lastFull != nil, DamagedFrames: s.damaged, SetAside: s.aside, TornEnds: s.torn}
}

// sync has the disk write what was appended. It waits for the disk, and nobody for it.
func (s *spool) sync() error {
	s.mu.Lock()
	var files []*os.File
	for _, seg := range s.all {
		if seg.dirty {
			seg.dirty = false
			files = append(files, seg.f)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, f := range files {
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// close ends the segment that is being written: it is removed where the database has all of it.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.seal(s.now)
	}
	for _, seg := range s.all {
		seg.f.Close()
	}
}
