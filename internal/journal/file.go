package journal

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postern.dev/postern"
)

// maxLine is the longest line that is read.
const maxLine = 4 << 20

// ErrBroken is wrapped by what is wrong with a journal.
var ErrBroken = errors.New("the journal is broken")

// read gives every line of a journal to yield. It returns how many bytes were
// whole lines, and where the chain is then. A last line without its end is what a
// crash leaves of one that nobody was told of.
func read(in io.Reader, p *postern.Pepper, yield func(*Line) error) (size int64, c chain, torn bool, err error) {
	c = chain{pepper: p}
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		text, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return size, c, len(text) > 0, nil
		}
		if err != nil {
			return size, c, false, fmt.Errorf("%w at line %d: %w", ErrBroken, n, err)
		}
		l, err := c.parse(text[:len(text)-1])
		if err != nil {
			return size, c, false, fmt.Errorf("%w at line %d: %w", ErrBroken, n, err)
		}
		if yield != nil {
			if err := yield(l); err != nil {
				return size, c, false, fmt.Errorf("%w at line %d: %w", ErrBroken, n, err)
			}
		}
		size += int64(len(text))
	}
}

func readLine(r *bufio.Reader) (text []byte, err error) {
	for {
		chunk, err := r.ReadSlice('\n')
		text = append(text, chunk...)
		if !errors.Is(err, bufio.ErrBufferFull) || len(text) > maxLine {
			if len(text) > maxLine {
				err = errors.New("the line is too long")
			}
			return text, err
		}
	}
}

// parse checks a line against all before it.
func (c *chain) parse(text []byte) (*Line, error) {
	i := bytes.LastIndexByte(text, ' ')
	if i < 0 || len(text)-i-1 != macLen {
		return nil, errors.New("it has no authentication")
	}
	var l Line
	if err := json.Unmarshal(text[:i], &l); err != nil {
		return nil, errors.New("it can't be read")
	}
	mac, ok := c.next(l.Pepper, text[:i])
	if !ok {
		return nil, fmt.Errorf("it was written under version %d of the pepper, which the pepper given lacks", l.Pepper)
	}
	if !hmac.Equal([]byte(encodeMAC(mac)), text[i+1:]) {
		return nil, errors.New("it was not written under this pepper, or something before it was changed or left out")
	}
	c.last = mac
	return &l, nil
}

// file is a journal that is written to.
type file struct {
	f     *os.File
	size  int64 // whole lines
	chain chain
	last  Line // the latest start or mark
	from  Line // the latest start
}

// openFile opens a journal, or makes an empty one, and takes it for this process alone.
func openFile(path string, p *postern.Pepper) (*file, error) {
	_, missing := os.Stat(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	x := &file{f: f}
	if err := x.begin(p, errors.Is(missing, fs.ErrNotExist)); err != nil {
		f.Close()
		return nil, err
	}
	return x, nil
}

func (x *file) begin(p *postern.Pepper, made bool) (err error) {
	if err := lockFile(x.f); err != nil {
		return err
	}
	var torn bool
	x.size, x.chain, torn, err = read(x.f, p, func(l *Line) error {
		switch l.What {
		case Start:
			x.from, x.last = *l, *l
		case Mark:
			x.last = *l
		}
		return nil
	})
	if err != nil {
		return err
	}
	if torn {
		if err := x.f.Truncate(x.size); err != nil {
			return err
		}
	}
	if made || torn {
		if err := x.f.Sync(); err != nil {
			return err
		}
		return syncDir(filepath.Dir(x.f.Name()))
	}
	return nil
}

// append writes lines and syncs them. What was not written whole is taken back.
func (x *file) append(lines []Line) error {
	var out []byte
	c := x.chain
	for i := range lines {
		l := &lines[i]
		l.Pepper = c.pepper.Latest()
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		mac, _ := c.next(l.Pepper, text)
		c.last = mac
		out = append(append(append(append(out, text...), ' '), encodeMAC(mac)...), '\n')
	}
	if _, err := x.f.WriteAt(out, x.size); err != nil {
		return errors.Join(err, x.f.Truncate(x.size))
	}
	if err := x.f.Sync(); err != nil {
		// What may be lost is written again, not believed: a second sync that succeeds proves nothing.
		if cut := x.f.Truncate(x.size); cut != nil {
			return &lostError{errors.Join(err, cut)}
		}
		return fmt.Errorf("sync: %w", err)
	}
	x.size += int64(len(out))
	x.chain = c
	for i := range lines {
		switch lines[i].What {
		case Start:
			x.from, x.last = lines[i], lines[i]
		case Mark:
			x.last = lines[i]
		}
	}
	return nil
}

// lostError says that nobody knows what the file holds.
type lostError struct{ err error }

func (e *lostError) Error() string {
	return "what the journal holds isn't known until a restart: " + e.err.Error()
}

func (x *file) close() error { return x.f.Close() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
