package workbench

import (
	"bufio"
	"encoding/csv"
	"io"
	"slices"
	"strings"

	"postern.dev/postern"
)

// csvRows reads CSV record by record. A quote that is left open spoils its own line
// and none of those after it: a record has so many lines at most.
type csvRows struct {
	in      *bufio.Reader
	line    int // that was read last
	columns []string
	again   []string // lines that were read in vain for a record that didn't end
	buf     *bufio.Reader
}

const maxRecordLines = 50

func openCSV(in io.Reader) (importRows, error) {
	r := &csvRows{in: bufio.NewReaderSize(in, maxImportLine), buf: bufio.NewReader(nil)}
	if bom, _ := r.in.Peek(3); string(bom) == "\ufeff" {
		_, _ = r.in.Discard(3)
	}
	head, _, err := r.record()
	if err == io.EOF {
		return nil, postern.Invalidf("file", "The file is empty. Its first line names the columns.")
	}
	if err != nil {
		return nil, postern.Invalidf("file", "The first line, which names the columns, can't be read.")
	}
	if len(head) > maxColumns {
		return nil, postern.Invalidf("file", "The file has %d columns; at most %d are read.", len(head), maxColumns)
	}
	for i, name := range head {
		c := column(name)
		switch {
		case c == "":
			// Not repeated: the first line of a file without one is a secret.
			return nil, postern.Invalidf("file", "Column %d has a name that is not known. Known are name, kind, secret, sha256, hash, find, scopes, note, sunset, expires and networks.", i+1)
		case slices.Contains(r.columns, c):
			return nil, postern.Invalidf("file", "The column %s is there twice.", c)
		}
		r.columns = append(r.columns, c)
	}
	return r, nil
}

func (r *csvRows) next() (*importRow, error) {
	rec, line, err := r.record()
	if err == error(errQuote) || err == error(errLongLine) {
		return &importRow{line: line, bad: err}, nil // an error of the reader would come again and again
	}
	if err != nil {
		return nil, err
	}
	row := &importRow{line: line, fields: map[string]string{}}
	for i, v := range rec {
		if i < len(r.columns) {
			row.fields[r.columns[i]] = strings.TrimSpace(v)
		}
	}
	if len(rec) != len(r.columns) {
		row.bad = bad("The line has %d fields; the first line names %d.", len(rec), len(r.columns))
	}
	return row, nil
}

// record reads the fields of the next record, and the line it begins on. errQuote
// and errLongLine are of that line alone.
func (r *csvRows) record() (fields []string, line int, err error) {
	text, err := r.textLine()
	for err == nil && strings.TrimSpace(text) == "" {
		text, err = r.textLine()
	}
	line = r.line
	if err != nil {
		return nil, line, err
	}
	if !strings.Contains(text, `"`) {
		return strings.Split(text, ","), line, nil
	}
	var more []string
	whole := text
	for openQuote(whole) {
		next, err := r.textLine()
		if err == nil {
			more = append(more, next)
			whole += "\n" + next
		}
		if err != nil || len(more) == maxRecordLines || len(whole) > maxImportLine || r.looksWhole(next) {
			if err != nil && err != io.EOF && err != error(errLongLine) {
				return nil, line, err
			}
			if err == error(errLongLine) {
				more = append(more, longLine)
			}
			r.again, r.line = append(more, r.again...), line
			return nil, line, errQuote
		}
	}
	r.buf.Reset(strings.NewReader(whole))
	c := csv.NewReader(r.buf)
	c.FieldsPerRecord, c.TrimLeadingSpace = -1, true
	if fields, err = c.Read(); err != nil {
		r.again, r.line = append(more, r.again...), line
		return nil, line, errQuote
	}
	return fields, line, nil
}

// looksWhole reports whether a line could be a record by itself: then the quote before
// it was left open, and its secret must not end in the note of another.
func (r *csvRows) looksWhole(line string) bool {
	return len(r.columns) > 1 && strings.Count(line, ",") >= len(r.columns)-1
}

var errQuote = bad("The line is not CSV: a quote is missing or out of place.")

// longLine stands for a line that was too long to keep.
const longLine = "\x00"

// textLine reads a line of the file; errLongLine is one that is longer than any that is taken.
func (r *csvRows) textLine() (string, error) {
	r.line++
	if len(r.again) > 0 {
		text := r.again[0]
		if r.again = r.again[1:]; text == longLine {
			return "", errLongLine
		}
		return text, nil
	}
	b, err := r.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			_, err = r.in.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return "", err
		}
		return "", errLongLine
	}
	if err != nil && (err != io.EOF || len(b) == 0) {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// openQuote reports whether a text ends within a quoted field.
func openQuote(text string) bool {
	start, in := true, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case in && c == '"' && i+1 < len(text) && text[i+1] == '"':
			i++
		case in:
			in = c != '"'
		case c == '"' && start:
			in, start = true, false
		case c == ',' || c == '\n':
			start = true
		case c != ' ' && c != '\t':
			start = false
		}
	}
	return in
}
