package screen

import (
	"slices"
	"strings"
)

// gap is what stands between two columns.
const gap = 2

// Column is a column of a table.
type Column struct {
	Title string
	// Min is the fewest columns of the screen to which it is cut; 0: it is never cut.
	Min int
	// Drop says which columns are left out first where cutting isn't enough: the
	// highest; 0 never.
	Drop  int
	Right bool // numbers stand to the right
	// Whole says that a text that is longer than the column is not cut, since
	// people copy it: it runs over into the room of the last column, as far as
	// that has any.
	Whole bool
	// Middle says that texts are cut in the middle: their ends tell them apart.
	Middle bool
}

// Cell is what stands in one field of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Table is rows under titles.
type Table struct {
	Columns []Column
	rows    [][]Cell
}

// Row adds a row; cells are texts or Cells, and are cleaned.
func (t *Table) Row(cells ...any) {
	row := make([]Cell, len(t.Columns))
	for i, c := range cells {
		switch c := c.(type) {
		case Cell:
			row[i] = c
		case string:
			row[i] = Cell{Text: c}
		}
		row[i].Text = Clean(row[i].Text)
	}
	t.rows = append(t.rows, row)
}

// Len is how many rows there are.
func (t *Table) Len() int { return len(t.rows) }

// Table writes a table.
func (s *Screen) Table(t *Table) {
	shown, widths := t.fit(s.Width)
	head := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = Cell{c.Title, Faint}
	}
	s.row(t, shown, widths, head)
	for _, row := range t.rows {
		s.row(t, shown, widths, row)
	}
}

func (s *Screen) row(t *Table, shown, widths []int, row []Cell) {
	var b strings.Builder
	blanks := 0 // what is owed before the next text, so that no line ends in blanks
	over := 0   // how far texts ran over
	for n, i := range shown {
		if n > 0 {
			blanks += gap
		}
		room := widths[i]
		if n == len(shown)-1 {
			room = max(room-over, 1)
		}
		text := row[i].Text
		switch {
		case t.Columns[i].Whole:
			last := shown[len(shown)-1]
			text = Cut(text, room+max(0, widths[last]-1-over)) // as far as there is room at all
			if i == last {
				text = Cut(text, room)
			}
			over += max(0, Width(text)-room)
			room = max(room, Width(text))
		case t.Columns[i].Middle:
			text = CutMiddle(text, room)
		default:
			text = Cut(text, room)
		}
		fill := room - Width(text)
		if n < len(shown)-1 && over > 0 && !t.Columns[i].Whole { // what ran over is taken from the blanks that follow
			back := min(over, fill)
			fill, over = fill-back, over-back
		}
		if text == "" {
			blanks += fill
			continue
		}
		if t.Columns[i].Right {
			blanks, fill = blanks+fill, 0
		}
		b.WriteString(strings.Repeat(" ", blanks))
		b.WriteString(s.Paint(row[i].Tone, text))
		blanks = fill
	}
	s.Printf("%s\n", b.String())
}

// empty reports whether nothing stands in a column, though there are rows.
func (t *Table) empty(column int) bool {
	for _, row := range t.rows {
		if row[column].Text != "" {
			return false
		}
	}
	return len(t.rows) > 0
}

// fit chooses the columns that are shown, and how wide each is.
func (t *Table) fit(width int) (shown, widths []int) {
	natural := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		if t.empty(i) {
			continue // a column that says nothing
		}
		natural[i] = Width(c.Title)
		for _, row := range t.rows {
			natural[i] = max(natural[i], Width(row[i].Text))
		}
		shown = append(shown, i)
	}
	for {
		widths = slices.Clone(natural)
		over := gap*(len(shown)-1) - width
		for _, i := range shown {
			over += widths[i]
		}
		over = shrink(over, shown, widths, func(i int) int {
			if m := t.Columns[i].Min; m > 0 {
				return m
			}
			return widths[i]
		})
		if over <= 0 {
			return shown, widths
		}
		drop := -1
		for n, i := range shown {
			if t.Columns[i].Drop > 0 && (drop < 0 || t.Columns[i].Drop > t.Columns[shown[drop]].Drop) {
				drop = n
			}
		}
		if drop < 0 { // no line is ever longer than the screen
			shrink(over, shown, widths, func(int) int { return 1 })
			return shown, widths
		}
		shown = slices.Delete(shown, drop, drop+1)
	}
}

// shrink takes from the widest columns first, none below its least, and gives what is still too much.
func shrink(over int, shown, widths []int, least func(int) int) int {
	for ; over > 0; over-- {
		widest := -1
		for _, i := range shown {
			if widths[i] > least(i) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return over
}
