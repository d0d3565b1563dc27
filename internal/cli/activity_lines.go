package cli

import (
	"strconv"
	"strings"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

// statusCell is how a call was answered.
func statusCell(a api.Call) screen.Cell {
	switch {
	case a.Status == 0 && a.Allowed:
		return screen.Cell{Text: "ok", Tone: screen.Good}
	case a.Status < 400 && !a.Allowed: // the answer to a question: no
		return screen.Cell{Text: "no", Tone: screen.Caution}
	case a.Status >= 500:
		return screen.Cell{Text: strconv.Itoa(a.Status), Tone: screen.Bad}
	case a.Status >= 400 || !a.Allowed:
		return screen.Cell{Text: strconv.Itoa(a.Status), Tone: screen.Caution}
	}
	return screen.Cell{Text: strconv.Itoa(a.Status), Tone: screen.Good}
}

// callEnd is what stands last: how long it took, or why it was refused, or would be.
func callEnd(a api.Call) screen.Cell {
	switch {
	case !a.Allowed:
		return screen.Cell{Text: whyRefused(a, a.Reason), Tone: screen.Caution}
	case a.WouldRefuse != "":
		return screen.Cell{Text: "would refuse: " + whyRefused(a, a.WouldRefuse), Tone: screen.Caution}
	}
	return screen.Cell{Text: duration(a.DurationMs), Tone: screen.Faint}
}

func whyRefused(a api.Call, reason string) string {
	if len(a.MissingScopes) == 0 {
		return reason
	}
	text := "needs " + a.MissingScopes[0]
	if n := len(a.MissingScopes); n > 1 {
		text += " +" + strconv.Itoa(n-1)
	}
	return text
}

func duration(ms float64) string {
	switch {
	case ms < 1:
		return "<1 ms"
	case ms < 10_000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return time.Duration(ms * float64(time.Millisecond)).Round(100 * time.Millisecond).String()
}

func callPath(a api.Call) string {
	if a.Path == "" {
		return a.Operation
	}
	return a.Path
}

// callsTable is calls as a table; the day is told where not all are of today.
func callsTable(s *screen.Screen, calls []api.Call, name func(api.Call) string) *screen.Table {
	form, today := "15:04:05", s.In(s.Now()).YearDay()
	for _, a := range calls {
		if s.In(a.At).YearDay() != today || s.Now().Sub(a.At) > 24*time.Hour {
			form = "01-02 15:04:05"
		}
	}
	t := &screen.Table{Columns: []screen.Column{{Title: "TIME"}, {Title: "ST"}, {Title: "KEY", Min: 12}, {Title: "METHOD", Drop: 1}, {Title: "PATH", Min: 14, Middle: true}, {Title: "RESULT", Min: 8, Middle: true}}}
	for _, a := range calls {
		t.Row(s.In(a.At).Format(form), statusCell(a), name(a), a.Method, callPath(a), callEnd(a))
	}
	return t
}

// The columns of a line that follows activity: they don't depend on the other lines.
const (
	lineTime   = 8
	lineStatus = 3
	lineKey    = 18
	lineMethod = 6
	lineEnd    = 26 // the most that is kept for the end
	linePath   = 14 // the least that is kept for the path
)

// callLine is a call in one line that fits the screen.
func callLine(s *screen.Screen, a api.Call, name string) string {
	status, end := statusCell(a), callEnd(a)
	endText := screen.CutMiddle(screen.Clean(end.Text), lineEnd)
	room := min(s.Width, lineMost) - lineTime - lineStatus - lineKey - lineMethod - 5*2
	if room < linePath+screen.Width(endText) {
		endText = screen.CutMiddle(endText, max(room-linePath, 0))
	}
	path := screen.CutMiddle(screen.Clean(callPath(a)), max(room-screen.Width(endText), 1))
	fill := max(0, room-screen.Width(path)-screen.Width(endText))
	text := strings.Join([]string{
		s.Paint(screen.Faint, s.In(a.At).Format("15:04:05")),
		s.Paint(status.Tone, screen.Pad(screen.Clean(status.Text), lineStatus)),
		screen.Pad(screen.Cut(screen.Clean(name), lineKey), lineKey),
		screen.Pad(screen.Cut(screen.Clean(a.Method), lineMethod), lineMethod),
		path + strings.Repeat(" ", fill),
		s.Paint(end.Tone, endText),
	}, "  ")
	return strings.TrimRight(text, " ")
}

// lineMost bounds how far apart path and end stand on a wide terminal.
const lineMost = 160
