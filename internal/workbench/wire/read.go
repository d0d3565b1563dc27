package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"postern.dev/postern/api"
)

// Bounds of an inventory that comes from outside. What comes packed in few bytes,
// such as a list of empty objects, takes much room once it is read: all is counted
// before any of it is.
const (
	MaxBytes    = 16 << 20 // of the whole
	MaxItemSize = 1 << 20  // of one credential
	maxParts    = 200_000  // operations, callers, scopes, reasons and notes of all credentials
	maxDepth    = 8
)

// maxOf bounds the lists of one credential.
var maxOf = map[string]int{"operations": 1000, "callers": 200, "scopes": 500, "reasons": 50, "notes": 50}

// ErrTooMuch is an inventory beyond the bounds.
var ErrTooMuch = errors.New("the inventory is too big")

// Each reads an inventory, a JSON array, one credential at a time.
func Each(in io.Reader, fn func(*api.InventoryItem) error) error {
	r := &elements{in: bufio.NewReader(io.LimitReader(in, MaxBytes+1))}
	parts := 0
	for {
		raw, err := r.next()
		if err != nil || raw == nil {
			return err
		}
		n, err := weigh(raw)
		if err != nil {
			return err
		}
		if parts += n; parts > maxParts {
			return fmt.Errorf("%w: more than %d operations, callers, scopes and reasons", ErrTooMuch, maxParts)
		}
		var it api.InventoryItem
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&it); err != nil {
			return err
		}
		if err := fn(&it); err != nil {
			return err
		}
	}
}

// elements cuts a JSON array into its elements. It looks at no more than brackets
// and strings: whether an element is JSON is seen when it is read.
type elements struct {
	in    *bufio.Reader
	n     int
	state byte // 0 before the array, '[' after its bracket, ',' after an element
}

func (e *elements) byte() (byte, error) {
	b, err := e.in.ReadByte()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if e.n++; err == nil && e.n > MaxBytes {
		err = fmt.Errorf("%w: more than %d MB", ErrTooMuch, MaxBytes>>20)
	}
	return b, err
}

// solid is the next byte that isn't space.
func (e *elements) solid() (byte, error) {
	for {
		b, err := e.byte()
		if err != nil || !strings.ContainsRune(" \t\r\n", rune(b)) {
			return b, err
		}
	}
}

// next is the next element, or nil after the last one.
func (e *elements) next() ([]byte, error) {
	b, err := e.solid()
	if err != nil {
		return nil, err
	}
	if e.state == 0 {
		if bom := "\ufeff"; b == bom[0] {
			_, _ = e.in.Discard(len(bom) - 1)
			b, err = e.solid()
		}
		if err != nil || b != '[' {
			return nil, wrongAt(e.n, err)
		}
		e.state = '['
		if b, err = e.solid(); err != nil {
			return nil, err
		}
	} else if b == ',' {
		if b, err = e.solid(); err != nil {
			return nil, err
		}
	} else if b != ']' {
		return nil, wrongAt(e.n, nil)
	} else {
		return nil, nil
	}
	if b == ']' && e.state == '[' {
		return nil, nil
	}
	e.state = ','
	if b != '{' {
		return nil, wrongAt(e.n, nil)
	}
	return e.object()
}

// object is the rest of an object whose bracket is read.
func (e *elements) object() ([]byte, error) {
	out := []byte{'{'}
	for depth, quoted := 1, false; depth > 0; {
		b, err := e.byte()
		if err != nil {
			return nil, err
		}
		if out = append(out, b); len(out) > MaxItemSize {
			return nil, fmt.Errorf("%w: one credential has more than %d MB", ErrTooMuch, MaxItemSize>>20)
		}
		switch {
		case quoted && b == '\\':
			if b, err = e.byte(); err != nil {
				return nil, err
			}
			out = append(out, b)
		case b == '"':
			quoted = !quoted
		case !quoted && (b == '{' || b == '['):
			depth++
		case !quoted && (b == '}' || b == ']'):
			depth--
		}
	}
	return out, nil
}

func wrongAt(n int, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("no inventory, at byte %d", n)
}

// weigh counts what the lists of a credential hold, and refuses a name that is there twice.
func weigh(raw []byte) (parts int, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var value func(name string, depth int) error
	value = func(name string, depth int) error {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		d, ok := t.(json.Delim)
		if !ok {
			return nil
		}
		if depth > maxDepth {
			return fmt.Errorf("%w: lists in lists", ErrTooMuch)
		}
		seen, n := map[string]bool{}, 0
		for dec.More() {
			in := ""
			if d == '{' {
				t, err := dec.Token()
				if err != nil {
					return err
				}
				in, _ = t.(string)
				in = strings.ToLower(in) // as they are read, case doesn't count
				if seen[in] {
					return fmt.Errorf("%q is there twice", in)
				}
				if seen[in] = true; len(seen) > 100 {
					return fmt.Errorf("%w: an object has more than 100 members", ErrTooMuch)
				}
			} else if n++; depth == 1 {
				if most, ok := maxOf[name]; ok && n > most {
					return fmt.Errorf("%w: a credential has more than %d %s", ErrTooMuch, most, name)
				}
				parts++
			}
			if err := value(in, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	}
	return parts, value("", 0)
}
