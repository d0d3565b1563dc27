package backup

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"postern.dev/postern/internal/store"
)

// A row is a JSON array in the order of its table's columns: numbers, texts, null,
// and bytes as base64. A text that isn't UTF-8, which JSON can't hold, is an object
// with its bytes. Equal rows have equal lines, whichever engine they come from.

// appendRow appends a row's line without its end.
func appendRow(b []byte, t *store.Table, row []any) ([]byte, error) {
	if len(row) != len(t.Columns) {
		return nil, fmt.Errorf("a row of %s has %d values for %d columns", t.Name, len(row), len(t.Columns))
	}
	b = append(b, '[')
	for i, v := range row {
		if i > 0 {
			b = append(b, ',')
		}
		switch v := v.(type) {
		case nil:
			b = append(b, "null"...)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%s.%s holds a number that JSON can't", t.Name, t.Columns[i].Name)
			}
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		case string:
			b = appendText(b, v)
		case []byte:
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, v)
			b = append(b, '"')
		default:
			return nil, fmt.Errorf("%s.%s holds a %T", t.Name, t.Columns[i].Name, v)
		}
	}
	return append(b, ']'), nil
}

func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		b = append(b, `{"b64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, `"}`...)
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// parseRow reads a row's line.
func parseRow(line []byte, t *store.Table) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil || len(raw) != len(t.Columns) {
		return nil, fmt.Errorf("a row of %s is not a list of %d values", t.Name, len(t.Columns))
	}
	out := make([]any, len(raw))
	for i, text := range raw {
		v, err := parseValue(text, t.Columns[i].Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name, t.Columns[i].Name, err)
		}
		out[i] = v
	}
	return out, nil
}

func parseValue(text json.RawMessage, want store.ColumnType) (any, error) {
	if string(text) == "null" {
		return nil, nil
	}
	switch want {
	case store.Integer:
		return strconv.ParseInt(string(text), 10, 64)
	case store.Real:
		return strconv.ParseFloat(string(text), 64)
	case store.Text:
		if text[0] == '{' {
			var odd struct{ B64 []byte }
			err := json.Unmarshal(text, &odd)
			return string(odd.B64), err
		}
		var s string
		err := json.Unmarshal(text, &s)
		return s, err
	case store.Blob:
		b := []byte{}
		err := json.Unmarshal(text, &b)
		return b, err
	}
	return nil, fmt.Errorf("there is no type %q", want)
}
