package screen_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern/internal/cli/screen"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// on is a screen for a test, and what is written to it.
func on(env map[string]string, change func(*screen.Settings)) (s *screen.Screen, out, errs *bytes.Buffer) {
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	set := screen.Settings{Out: out, Err: errs, Getenv: func(k string) string { return env[k] },
		IsTerminal: func(any) bool { return false }, Now: func() time.Time { return now }, UTC: true}
	if change != nil {
		change(&set)
	}
	return screen.New(set), out, errs
}

func terminal(s *screen.Settings) { s.IsTerminal = func(any) bool { return true } }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// keys is a table with names of all sorts.
func keys() *screen.Table {
	t := &screen.Table{Columns: []screen.Column{{Title: "NAME", Min: 14}, {Title: "ID"}, {Title: "STATE"},
		{Title: "SCOPES", Right: true, Drop: 3}, {Title: "NOTE"}, {Title: "LAST USED", Drop: 1}, {Title: "EXPIRES", Drop: 2}}}
	row := func(name, scopes, used, expires string) {
		t.Row(name, "4fQ2mZ8xT0aB6cD1", screen.Cell{Text: "active", Tone: screen.Good}, scopes, "", used, expires)
	}
	row("nightly-deals-sync", "1", "3h ago", "never")
	row("Größe 漢字 ключ", "12", "never", "in 90d")
	row("👩‍💻 deploys 🇬🇧", "3", "now", "never")
	row("a\x1b[31mred\nname\u202etxt.exe", "0", "never", "never")
	row("a name that goes on and on and on, and says nothing", "250", "2y ago", "in 365d")
	return t
}

func TestTable(t *testing.T) {
	for _, width := range []string{"80", "50", "30", "20"} {
		s, out, _ := on(map[string]string{"COLUMNS": width}, nil)
		s.Table(keys())
		golden(t, "table-"+width+".golden", out.String())
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if screen.Width(line) > s.Width {
				t.Errorf("at %s columns %q has %d", width, line, screen.Width(line))
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("%q ends in blanks", line)
			}
		}
		if strings.ContainsAny(out.String(), "\x1b\u202e") {
			t.Errorf("what commands the terminal came through: %q", out)
		}
	}
	s, out, _ := on(nil, func(s *screen.Settings) { s.Wide = true })
	s.Table(keys())
	golden(t, "table-wide.golden", out.String())
	s, out, _ = on(map[string]string{"COLUMNS": "80"}, terminal)
	s.Table(keys())
	golden(t, "table-colour.golden", out.String())
}

// What people copy is never cut: it takes the room of what follows.
func TestTableWhole(t *testing.T) {
	table := &screen.Table{Columns: []screen.Column{{Title: "SCOPE", Min: 20, Whole: true}, {Title: "ACCESS"}, {Title: "WHAT IT LETS SOMEONE DO", Min: 12}}}
	table.Row("crm.objects.deals.read", "read", "Read deals, and all that is said of them by those who sell")
	table.Row("crm.objects.companies.highly_sensitive.write.v2", "write", "Change highly sensitive values of companies")
	s, out, _ := on(map[string]string{"COLUMNS": "70"}, nil)
	s.Table(table)
	golden(t, "table-whole.golden", out.String())
	for line := range strings.Lines(out.String()) {
		if w := screen.Width(strings.TrimSuffix(line, "\n")); w > 70 {
			t.Errorf("%q has %d columns, want at most 70", line, w)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add("nightly", "a.b.c", "words", 80)
	f.Add("漢字漢字漢字漢字漢字漢字", "👩‍💻", "\x1b[2J", 20)
	f.Add(strings.Repeat("x", 300), strings.Repeat("漢", 300), strings.Repeat("👍🏽", 100), 41)
	f.Fuzz(func(t *testing.T, a, b, c string, width int) {
		if width < 20 || width > 300 {
			return
		}
		s, out, _ := on(nil, nil)
		s.Width = width
		table := &screen.Table{Columns: []screen.Column{{Title: "A", Min: 6, Whole: true}, {Title: "B", Min: 4, Middle: true, Drop: 1}, {Title: "C", Right: true}}}
		table.Row(a, b, c)
		table.Row(c, a, b)
		s.Table(table)
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines of %q, want 3", n, out)
		}
		for line := range strings.Lines(out.String()) {
			if w := screen.Width(strings.TrimSuffix(line, "\n")); w > width {
				t.Errorf("%q has %d columns, want at most %d", line, w, width)
			}
		}
	})
}

func TestDetails(t *testing.T) {
	s, out, _ := on(map[string]string{"COLUMNS": "40"}, nil)
	s.Details(screen.Field{Label: "About", Lines: []string{"Copies deals to the warehouse every night, and once more."}},
		screen.Field{Label: "Scopes", Lines: []string{"a.read", "b.\x1b[31mread"}}, screen.Field{Label: "Nothing"})
	golden(t, "details.golden", out.String())
}

func TestColour(t *testing.T) {
	tests := []struct {
		name     string
		env      map[string]string
		terminal bool
		want     bool
	}{
		{"a terminal", nil, true, true},
		{"a pipe", nil, false, false},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, true, false},
		{"a dumb terminal", map[string]string{"TERM": "dumb"}, true, false},
	}
	for _, tt := range tests {
		s, _, _ := on(tt.env, func(set *screen.Settings) { set.IsTerminal = func(any) bool { return tt.terminal } })
		if got := strings.Contains(s.Paint(screen.Good, "x"), "\x1b["); got != tt.want {
			t.Errorf("%s: coloured %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestWidth(t *testing.T) {
	for columns, want := range map[string]int{"": 80, "132": 132, "5": 20, "-3": 80, "wide": 80} {
		if s, _, _ := on(map[string]string{"COLUMNS": columns}, nil); s.Width != want {
			t.Errorf("COLUMNS=%q: %d columns, want %d", columns, s.Width, want)
		}
	}
}

func TestJSON(t *testing.T) {
	s, out, errs := on(nil, func(set *screen.Settings) { set.JSON = true })
	value := map[string]string{"name": "<a>\x1b\u009b\u202e\U000e0041漢\xff"}
	if err := s.WriteJSON(value); err != nil {
		t.Fatal(err)
	}
	if want := `{"name":"<a>\u001b\u009b\u202e\udb40\udc41漢\ufffd"}` + "\n"; out.String() != want {
		t.Errorf("WriteJSON = %s, want %s", out, want)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["name"] != "<a>\x1b\u009b\u202e\U000e0041漢�" {
		t.Errorf("read back %q, %v", back, err)
	}
	s.Notef("for people")
	if errs.Len() > 0 {
		t.Errorf("where programs read, people were told %q", errs)
	}
	out.Reset()
	if err := s.WriteJSON(screen.List[int](nil)); err != nil || out.String() != `{"items":[]}`+"\n" {
		t.Errorf("an empty list = %s, %v", out, err)
	}
	s, out, _ = on(nil, terminal)
	if err := s.WriteJSON(map[string]int{"a": 1}); err != nil || out.String() != "{\n  \"a\": 1\n}\n" {
		t.Errorf("on a terminal = %s, %v", out, err)
	}
}

func TestTimes(t *testing.T) {
	s, _, _ := on(nil, nil)
	day := 24 * time.Hour
	tests := []struct {
		off           time.Duration // before now
		short, inFull string
	}{
		{0, "now", "just now"},
		{400 * time.Millisecond, "now", "just now"},
		{time.Second, "1s ago", "1 second ago"},
		{90 * time.Second, "1m ago", "1 minute ago"},
		{3*time.Hour + 59*time.Minute, "3h ago", "3 hours ago"},
		{40 * day, "40d ago", "40 days ago"},
		{500 * day, "500d ago", "500 days ago"},
		{800 * day, "2y ago", "2 years ago"},
		{-7*day + time.Second, "in 7d", "in 7 days"},
		{-10 * time.Minute, "in 10m", "in 10 minutes"},
		{-59*time.Minute - 59*time.Second, "in 1h", "in 1 hour"},
	}
	for _, tt := range tests {
		if got := s.Short(now.Add(-tt.off)); got != tt.short {
			t.Errorf("Short(%s before) = %q, want %q", tt.off, got, tt.short)
		}
		if got := s.Relative(now.Add(-tt.off)); got != tt.inFull {
			t.Errorf("Relative(%s before) = %q, want %q", tt.off, got, tt.inFull)
		}
	}
	if got, want := s.Time(now.Add(-time.Hour)), "2026-11-22 11:00:00 UTC (1 hour ago)"; got != want {
		t.Errorf("Time = %q, want %q", got, want)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := screen.Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
}

// A sign of life shows only after a while, on a terminal, and leaves nothing.
func TestSpinner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, errs := on(nil, terminal)
		spin := s.Spin("Quick…")
		time.Sleep(200 * time.Millisecond)
		spin.Stop()
		if errs.Len() > 0 {
			t.Errorf("what was quick wrote %q", errs)
		}
		spin = s.Spin("Slow…")
		time.Sleep(350 * time.Millisecond)
		spin.Say("Slow\x1b[31m… 100")
		time.Sleep(200 * time.Millisecond)
		spin.Stop()
		spin.Stop()
		got := errs.String()
		if !strings.Contains(got, "⠋ Slow…") || !strings.Contains(got, "Slow�[31m… 100") || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("wrote %q, want the texts and an empty line at the end", got)
		}
		s, _, errs = on(nil, nil)
		spin = s.Spin("Nobody looks…")
		time.Sleep(time.Second)
		spin.Stop()
		if errs.Len() > 0 {
			t.Errorf("where nobody looks it wrote %q", errs)
		}
	})
}

// What follows a lead is broken, and goes on below its first word.
func TestHang(t *testing.T) {
	s, out, _ := on(map[string]string{"COLUMNS": "40"}, nil)
	s.Hang("line 3  ", "Nobody knows this scope, and it is no old name.")
	want := "line 3  Nobody knows this scope, and it\n        is no old name.\n"
	if out.String() != want {
		t.Errorf("printed\n%q, want\n%q", out.String(), want)
	}
}
