// Package screen is how commands write: tables that fit the terminal, JSON for
// programs, times that people understand, and a sign of life while something
// takes long.
//
// What it promises: text that came from elsewhere can't command the terminal or
// pass for something else (see Clean); no line of a table is longer than the
// screen is wide; colour only repeats what words say, and is left out where
// NO_COLOR asks for that or nobody looks.
package screen

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

const (
	defaultWidth = 80 // where nobody says
	minWidth     = 20
	unlimited    = 1 << 20
)

// Screen is where a command writes.
type Screen struct {
	Out, Err    io.Writer
	Width       int  // columns of Out
	OutTerminal bool // whether Out is a terminal
	ErrTerminal bool
	Color       bool // whether Out may be coloured; Err too, where it is a terminal
	ASCII       bool // whether only ASCII signs are drawn
	JSON        bool // whether programs read Out
	UTC         bool // whether times are told in UTC, and not where we are
	Now         func() time.Time
	Location    *time.Location // where we are
}

// Settings are what a Screen depends on.
type Settings struct {
	Out, Err   io.Writer
	Getenv     func(string) string
	IsTerminal func(stream any) bool // nil: asks the system
	Now        func() time.Time
	JSON, UTC  bool
	Wide       bool // lines as long as what is in them
}

// New makes a Screen. A width in COLUMNS stands above the terminal's own; where
// there is neither it is 80.
func New(s Settings) *Screen {
	if s.IsTerminal == nil {
		s.IsTerminal = IsTerminal
	}
	out := &Screen{Out: s.Out, Err: s.Err, JSON: s.JSON, UTC: s.UTC, Now: s.Now, Location: time.Local, Width: defaultWidth}
	out.OutTerminal, out.ErrTerminal = s.IsTerminal(s.Out), s.IsTerminal(s.Err)
	dumb := s.Getenv("TERM") == "dumb"
	out.Color = out.OutTerminal && s.Getenv("NO_COLOR") == "" && !dumb
	out.ASCII = dumb || !utf8Locale(s.Getenv)
	if f, ok := s.Out.(*os.File); ok && out.OutTerminal {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			out.Width = w
		}
	}
	if w, err := strconv.Atoi(s.Getenv("COLUMNS")); err == nil && w > 0 {
		out.Width = w
	}
	out.Width = max(out.Width, minWidth)
	if s.Wide {
		out.Width = unlimited
	}
	return out
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// utf8Locale reports whether the locale's characters are UTF-8, or nobody says.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			return v != "C" && v != "POSIX"
		}
	}
	return true
}

// Printf writes to Out. What came from elsewhere is cleaned by the caller.
func (s *Screen) Printf(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

// Notef writes a line for people to Err, and nothing where programs read.
func (s *Screen) Notef(format string, args ...any) {
	if !s.JSON {
		fmt.Fprintf(s.Err, format+"\n", args...)
	}
}

// Tone is how something is meant. It becomes a colour beside the words that say the same.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Good
	Caution
	Bad
	Faint
	Strong
)

// The terminal's own sixteen colours: people have set them so that they can read them.
var styles = map[Tone]lipgloss.Style{
	Good:    lipgloss.NewStyle().Foreground(lipgloss.Green),
	Caution: lipgloss.NewStyle().Foreground(lipgloss.Yellow),
	Bad:     lipgloss.NewStyle().Foreground(lipgloss.Red),
	Faint:   lipgloss.NewStyle().Faint(true),
	Strong:  lipgloss.NewStyle().Bold(true),
}

// Paint gives one line of text in a tone.
func (s *Screen) Paint(t Tone, text string) string {
	if !s.Color || t == Plain || text == "" {
		return text
	}
	return styles[t].Render(text)
}
