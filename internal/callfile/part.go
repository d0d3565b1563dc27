package callfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"postern.dev/postern/api"
)

// Part is a file that calls are being exported to. Until all are there they lie as
// JSON lines in FILE.part, beside FILE.resume which says what was asked for, so
// that an export which ended early can go on.
type Part struct {
	Last  int64 // the number of the last call that is there; 0 where there is none
	Calls int64
	Asked Asked

	path string
	f    *os.File
	w    *bufio.Writer
	enc  *json.Encoder
}

// Asked is what an export is of.
type Asked struct {
	Format string          `json:"format"`
	Filter json.RawMessage `json:"filter"`
}

// These are mistakes of whoever asks.
var (
	ErrThere   = errors.New("the file is there already")
	ErrBegun   = errors.New("an export to this file was begun and not ended")
	ErrNothing = errors.New("there is no export to this file that could go on")
)

// Begin begins an export to a new file.
func Begin(path string, asked Asked) (*Part, error) {
	for name, err := range map[string]error{path: ErrThere, path + ".resume": ErrBegun} {
		if _, stat := os.Stat(name); stat == nil {
			return nil, err
		}
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path+".resume", body, 0o600); err != nil {
		f.Close()
		return nil, err
	}
	return newPart(path, f, asked), nil
}

func newPart(path string, f *os.File, asked Asked) *Part {
	p := &Part{path: path, f: f, w: bufio.NewWriterSize(f, 1<<16), Asked: asked}
	p.enc = json.NewEncoder(p.w)
	p.enc.SetEscapeHTML(false)
	return p
}

// Resume goes on with an export that ended early. A last line that isn't whole is cut off.
func Resume(path string) (*Part, error) {
	body, err := os.ReadFile(path + ".resume")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNothing
	}
	var asked Asked
	if err == nil {
		err = json.Unmarshal(body, &asked)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s.resume: %w", path, err)
	}
	f, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	p := newPart(path, f, asked)
	end, err := p.scan()
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s.part: %w", path, err)
	}
	return p, nil
}

// scan finds the end of the last whole line.
func (p *Part) scan() (end int64, err error) {
	r := bufio.NewReaderSize(p.f, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		var head struct {
			Seq int64 `json:"seq"`
		}
		if json.Unmarshal(line, &head) != nil || head.Seq <= p.Last {
			return end, nil // what follows is asked for again
		}
		end += int64(len(line))
		p.Last = head.Seq
		p.Calls++
	}
}

// Write adds a call.
func (p *Part) Write(c *api.Call) error {
	if err := p.enc.Encode(c); err != nil {
		return err
	}
	p.Last = c.Seq
	p.Calls++
	return nil
}

// Close keeps what is there for another time.
func (p *Part) Close() error { return errors.Join(p.w.Flush(), p.f.Close()) }

// Finish makes the file, in its format, and removes what it was made of.
func (p *Part) Finish(version string) error {
	if err := p.w.Flush(); err != nil {
		return err
	}
	from := p.path + ".part"
	if p.Asked.Format != "jsonl" {
		from = p.path + ".tmp"
		if err := p.convert(from, version); err != nil {
			os.Remove(from)
			return err
		}
	} else if err := p.f.Sync(); err != nil {
		return err
	}
	if err := p.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(from, p.path); err != nil {
		return err
	}
	if err := os.Remove(p.path + ".part"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Remove(p.path + ".resume")
}

func (p *Part) convert(to, version string) (err error) {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	buf := bufio.NewWriterSize(out, 1<<16)
	w, err := New(p.Asked.Format, version, buf)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(p.f, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0 {
			break
		}
		if err != nil {
			return err
		}
		var c api.Call
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		if err := w.Write(&c); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	return out.Sync()
}
