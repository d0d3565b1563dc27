package accesslog

import "bytes"

// table reads lines of columns whose names a header line gave.
type table struct {
	name    string
	columns []named // the zero value where a column says nothing here
	between byte    // what separates columns
	quotes  bool
	values  values
	clock   clock
	cells   [][]byte
}

func (t *table) Name() string { return t.name }

// clone is for another goroutine.
func (t *table) clone() *table {
	return &table{name: t.name, columns: t.columns, between: t.between, quotes: t.quotes, values: values{own: t.values.own}}
}

// headerOf makes a table of a line, if it is the header of one: names enough to make
// calls of what follows.
func headerOf(line []byte, own map[string]Field) *table {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	if w, ok := bytes.CutPrefix(line, []byte("#Fields:")); ok {
		w = bytes.TrimSpace(w)
		between := byte(' ')
		if bytes.IndexByte(w, '\t') >= 0 {
			between = '\t'
		}
		t := &table{name: "w3c", between: between, values: values{own: own}}
		return t.named(w)
	}
	if len(line) == 0 || line[0] == '{' || line[0] == '#' {
		return nil
	}
	between, most := byte(0), 0
	for _, b := range []byte{',', ';', '\t', '|'} {
		if n := bytes.Count(line, []byte{b}); n > most {
			between, most = b, n
		}
	}
	if most == 0 {
		return nil
	}
	t := &table{name: "table", between: between, quotes: true, values: values{own: own}}
	return t.named(line)
}

func (t *table) named(line []byte) *table {
	known := map[Field]bool{}
	for _, cell := range t.split(line) {
		name := flat(string(cell))
		n, ok := t.values.find(name)
		if t.name == "w3c" && name == "date" {
			n = named{fieldDate, 0}
		}
		if ok && (n.rank >= 0 || n.field != "") {
			known[n.field] = true
		}
		t.columns = append(t.columns, n)
	}
	if !known[FieldTime] && !known[fieldDate] || !known[FieldURL] && !known[FieldPath] && !known[FieldRequest] {
		return nil
	}
	return t
}

// Parse reads a line.
func (t *table) Parse(line []byte, c *Call) Fault {
	cells := t.split(line)
	if len(cells) != len(t.columns) {
		return Unknown
	}
	t.values.reset()
	for i, n := range t.columns {
		if n.field != "" {
			cell := cells[i]
			if t.name == "w3c" && n.field == FieldUserAgent {
				cell = bytes.ReplaceAll(unescapePercent(cell), []byte("+"), []byte(" "))
			}
			t.values.put(n, cell)
		}
	}
	return t.values.call(c, &t.clock)
}

// split cuts a line into cells, which hold until the next call.
func (t *table) split(line []byte) [][]byte {
	t.cells = t.cells[:0]
	for {
		if t.quotes && len(line) > 0 && line[0] == '"' {
			var cell []byte
			cell, line = quotedCell(line[1:])
			t.cells = append(t.cells, cell)
			i := bytes.IndexByte(line, t.between)
			if i < 0 {
				return t.cells
			}
			line = line[i+1:]
			continue
		}
		i := bytes.IndexByte(line, t.between)
		if i < 0 {
			t.cells = append(t.cells, bytes.TrimSpace(line))
			return t.cells
		}
		t.cells = append(t.cells, bytes.TrimSpace(line[:i]))
		line = line[i+1:]
	}
}

// quotedCell is what stands until the closing quotation mark, and the rest of the line from the separator on.
func quotedCell(line []byte) (cell, after []byte) {
	doubled := false
	for i := 0; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		if i+1 < len(line) && line[i+1] == '"' {
			doubled = true
			i++
			continue
		}
		cell = line[:i]
		if doubled {
			cell = bytes.ReplaceAll(cell, []byte(`""`), []byte(`"`))
		}
		return cell, line[i+1:]
	}
	return line, nil
}
