package screen

import "strings"

// Field is a label and what it says, in one or more lines.
type Field struct {
	Label string
	Lines []string
	Tone  Tone
}

// Details writes labels and what they say side by side. Lines are cleaned, and
// broken at blanks where they are too long. A field without lines is left out.
func (s *Screen) Details(fields ...Field) {
	wide := 0
	for _, f := range fields {
		if len(f.Lines) > 0 {
			wide = max(wide, Width(f.Label))
		}
	}
	room := max(s.Width-wide-2*gap, minWidth)
	for _, f := range fields {
		label := f.Label
		for _, text := range f.Lines {
			for _, line := range Wrap(Clean(text), room) {
				s.Printf("  %s  %s\n", s.Paint(Faint, Pad(label, wide)), s.Paint(f.Tone, line))
				label = ""
			}
		}
	}
}

// Text writes sentences, broken at blanks to fit.
func (s *Screen) Text(text string) {
	for _, line := range Wrap(text, min(s.Width, 2*defaultWidth)) {
		s.Printf("%s\n", line)
	}
}

// Hang writes a text after what leads it; the lines that don't fit go on below its first word.
func (s *Screen) Hang(lead, text string) {
	for n, line := range Wrap(Clean(text), max(20, s.Width-Width(lead))) {
		if n > 0 {
			lead = strings.Repeat(" ", Width(lead))
		}
		s.Printf("%s%s\n", lead, line)
	}
}

// Notes writes sentences for people to Err, and nothing where programs read.
func (s *Screen) Notes(text string) {
	for _, line := range Wrap(text, min(s.Width, 2*defaultWidth)) {
		s.Notef("%s", line)
	}
}
