package catalog

import (
	"bytes"
)

// guardYAML looks at a text before the YAML parser does, which spends memory on
// every bracket and every level of indentation before it finds fault. It counts
// what may become nodes, without asking where it stands, so that nothing hides
// from the count; and it follows the nesting with a rough reading that knows
// quotes, comments and block text. Where that is led astray by a text that is
// made for it, the parser's own bound of 10,000 levels stands.
func guardYAML(name string, data []byte) error {
	marks, line := 0, 1
	for i, c := range data {
		switch c {
		case '\n':
			line++
			continue
		case ',', '[', '{', ':':
		case '-', '?', '<', '*', '&':
			if i > 0 && data[i-1] > ' ' {
				continue
			}
		default:
			continue
		}
		if marks++; marks > maxMarks {
			return tooMany(name, line)
		}
	}
	g := &guard{data: data, line: 1, cols: make([]int, 0, maxDepth+1)}
	for g.pos < len(data) {
		if g.blockLine(); g.deep {
			return tooDeep(name, g.line)
		}
	}
	return nil
}

// A guard follows the nesting of a YAML text.
type guard struct {
	data []byte
	pos  int
	line int
	cols []int // the columns that open collections began at, growing
	flow int   // open brackets
	deep bool  // the bound was passed
}

// enter notes that something begins at a column.
func (g *guard) enter(col int) {
	for len(g.cols) > 0 && g.cols[len(g.cols)-1] > col {
		g.cols = g.cols[:len(g.cols)-1]
	}
	if len(g.cols) == 0 || g.cols[len(g.cols)-1] < col {
		g.cols = append(g.cols, col)
	}
	g.deep = g.deep || len(g.cols) > maxDepth
}

// at is the byte n after the position, and a line end behind the last.
func (g *guard) at(n int) byte {
	if g.pos+n < len(g.data) {
		return g.data[g.pos+n]
	}
	return '\n'
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// blockLine reads a line outside of brackets, and what its values go on for.
func (g *guard) blockLine() {
	start := g.pos
	switch {
	case g.at(0) == '%': // a directive
		g.endLine()
		return
	case isBlank(g.at(3)) && (string(g.data[g.pos:min(g.pos+3, len(g.data))]) == "---"): // a document begins
		g.pos += 3
		g.cols = g.cols[:0]
	}
	for g.at(0) == ' ' {
		g.pos++
	}
	parent := -1 // the column that block text must stand to the right of
	for (g.at(0) == '-' || g.at(0) == '?') && isBlank(g.at(1)) && !g.deep {
		parent = g.pos - start
		g.enter(parent)
		g.pos++
		for g.at(0) == ' ' || g.at(0) == '\t' {
			g.pos++
		}
	}
	if c := g.at(0); c == '\n' || c == '\r' || c == '#' {
		g.endLine()
		return
	}
	col := g.pos - start
	g.enter(col)
	if parent < 0 && len(g.cols) > 1 {
		parent = g.cols[len(g.cols)-2]
	}
	g.values(col, parent)
}

// values reads the rest of a line from where a value may begin.
func (g *guard) values(col, parent int) {
	for !g.deep && g.pos < len(g.data) {
		switch c := g.at(0); c {
		case ' ', '\t', '\r':
			g.pos++
		case '\n':
			g.endLine()
			return
		case '#':
			g.endLine()
			return
		case '"', '\'':
			g.quoted(c)
		case '[', '{':
			g.flowValue()
		case '|', '>':
			g.endLine()
			g.indented(parent)
			return
		case '&', '*', '!':
			for !isBlank(g.at(0)) {
				g.pos++
			}
		case ':':
			g.pos++
			parent = col
		default:
			if !g.plain() {
				comment := g.at(0) == '#'
				if g.endLine(); !comment {
					g.indented(parent) // the text goes on
				}
				return
			}
			parent = col
		}
	}
}

// plain reads text without quotes, and reports whether it was a key: whether
// more may follow in the line.
func (g *guard) plain() bool {
	for ; g.at(0) != '\n'; g.pos++ {
		switch {
		case g.at(0) == ':' && isBlank(g.at(1)):
			g.pos++
			return true
		case g.at(0) == '#' && isBlank(g.data[g.pos-1]):
			return false
		}
	}
	return false
}

func (g *guard) endLine() {
	i := bytes.IndexByte(g.data[g.pos:], '\n')
	if i < 0 {
		g.pos = len(g.data)
		return
	}
	g.pos += i + 1
	g.line++
}

// indented skips the lines that a text goes on in: those to the right of a column.
func (g *guard) indented(parent int) {
	for g.pos < len(g.data) {
		n := 0
		for g.at(n) == ' ' {
			n++
		}
		if n <= parent && g.at(n) != '\n' && g.at(n) != '\r' {
			return
		}
		g.endLine()
	}
}

func (g *guard) quoted(q byte) {
	for g.pos++; g.pos < len(g.data); g.pos++ {
		switch c := g.data[g.pos]; {
		case c == '\n':
			g.line++
		case c == '\\' && q == '"':
			if g.at(1) == '\n' {
				g.line++
			}
			g.pos++
		case c == q:
			g.pos++
			if q == '"' || g.at(0) != q {
				return
			}
		}
	}
}

// flowValue reads from a bracket to the one that closes it.
func (g *guard) flowValue() {
	before := byte(',')
	for g.pos < len(g.data) && !g.deep {
		c := g.data[g.pos]
		switch c {
		case '[', '{':
			g.flow++
			g.deep = g.flow+len(g.cols) > maxDepth
		case ']', '}':
			g.flow--
		case '\n':
			g.line++
		case '#':
			if g.pos > 0 && isBlank(g.data[g.pos-1]) {
				g.endLine()
				continue
			}
		case '"', '\'':
			if bytes.IndexByte([]byte("[{,:?"), before) >= 0 {
				g.quoted(c)
				before = c
				continue
			}
		}
		if !isBlank(c) {
			before = c
		}
		g.pos++
		if g.flow == 0 {
			return
		}
	}
}
