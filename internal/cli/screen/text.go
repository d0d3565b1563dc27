package screen

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// Clean makes one line of text safe to show. Whoever may name a key or send a
// User-Agent could otherwise colour, move or rewrite what an admin sees, or make
// one name look like another. Breaks and tabs become blanks; other control
// characters, those that turn the direction of writing, and those that can't be
// seen become "�", so that it shows that there was something.
func Clean(text string) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			b.WriteByte(' ')
		case hidden(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// hidden reports whether a character commands the terminal or can't be seen.
// The two joiners stay: emoji and Persian are written with them.
func hidden(r rune) bool {
	switch {
	case r == '\u200c' || r == '\u200d':
		return false
	case r == '\u00a0' || r == '\u3000':
		return false // blanks that are seen as such
	case r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0':
		return true // Hangul fillers: letters that nobody sees
	}
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp)
}

// CleanLines is Clean for text that may have several lines.
func CleanLines(text string) []string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(text, "\r\n"), "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = Clean(l)
	}
	return lines
}

// Width is how many columns a text takes on a terminal.
func Width(text string) int { return lipgloss.Width(text) }

// Cut makes a text at most width columns wide; "…" says that something is gone.
func Cut(text string, width int) string {
	switch {
	case Width(text) <= width:
		return text
	case width <= 0:
		return ""
	case width == 1:
		return "…"
	}
	// MaxWidth keeps letters whole that are made of several characters.
	return strings.TrimRight(lipgloss.NewStyle().MaxWidth(width-1).Render(text), " ") + "…"
}

// CutMiddle is Cut that keeps the end of a text, and some of its beginning.
func CutMiddle(text string, width int) string {
	if Width(text) <= width || width < 8 {
		return Cut(text, width)
	}
	head := ansi.Truncate(text, width/3, "")
	for gone := Width(text) - (width - 1 - Width(head)); ; gone++ {
		tail := ansi.TruncateLeft(text, gone, "")
		if Width(head)+1+Width(tail) <= width { // a wide letter at the cut may stand in the way
			return head + "…" + tail
		}
	}
}

// Pad fills a text with blanks up to width columns.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-Width(text)))
}

// Wrap breaks text at blanks into lines of at most width columns. A word that
// is longer stays whole: it may be something to copy.
func Wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
