package screen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Items is the JSON of a list.
type Items[T any] struct {
	Items []T `json:"items"`
}

// List is the JSON of a list: {"items": […]}, with [] where it is empty.
func List[T any](items []T) Items[T] {
	if items == nil {
		items = []T{}
	}
	return Items[T]{items}
}

// WriteJSON writes a value: indented for people, in one line for programs.
func (s *Screen) WriteJSON(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	if s.OutTerminal {
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", "  "); err != nil {
			return err
		}
		b = out.Bytes()
	}
	_, err = s.Out.Write(append(b, '\n'))
	return err
}

// WriteLine writes a value as one line, for streams of them.
func (s *Screen) WriteLine(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = s.Out.Write(append(b, '\n'))
	return err
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escape(bytes.TrimRight(buf.Bytes(), "\n")), nil
}

// escape writes the characters that Clean would replace as \u escapes. JSON
// itself escapes only the first 32, and it is shown on terminals too.
func escape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r < 0x7f || !hidden(r):
			out = append(out, b[:n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}
