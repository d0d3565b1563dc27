package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/cli/screen"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at is a call at a fixed time, in a zone that isn't UTC.
func at() *call {
	zone := time.FixedZone("CET", 3600)
	return &call{Screen: &screen.Screen{Out: io.Discard, Err: io.Discard, Now: func() time.Time { return now }, Location: zone}}
}

func TestParseSpan(t *testing.T) {
	day := 24 * time.Hour
	good := map[string]time.Duration{"0s": 0, "90d": 90 * day, "12h": 12 * time.Hour, "2w": 14 * day, "1y": 365 * day, "30m": 30 * time.Minute,
		"45s": 45 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "999999s": 999999 * time.Second}
	for text, want := range good {
		if got, ok := parseSpan(text); !ok || got != want {
			t.Errorf("parseSpan(%q) = %s, %t, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "d", "90", "-1h", "-5d", "5 d", "1d12h", "999999y", "1000000d", "9999999999999999h", "1e3d", "٣d", "forever", "90d\n"} {
		if got, ok := parseSpan(text); ok {
			t.Errorf("parseSpan(%q) = %s, want it refused", text, got)
		}
	}
}

func TestWhen(t *testing.T) {
	for text, want := range map[string]string{
		"90d":                  "2027-02-20T12:00:00Z",
		"2027-01-31":           "2027-01-30T23:00:00Z", // the beginning of the day where we are
		"2027-01-31T09:00":     "2027-01-31T08:00:00Z",
		"2027-01-31 09:00:30":  "2027-01-31T08:00:30Z",
		"2027-01-31T09:00:00Z": "2027-01-31T09:00:00Z",
	} {
		if got, err := at().when("expires", text); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("when(%q) = %s, %v, want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	if got, err := at().since("since", "24h"); err != nil || !got.Equal(now.Add(-24*time.Hour)) {
		t.Errorf("since(24h) = %s, %v", got, err)
	}
	if got, err := at().since("since", ""); err != nil || !got.IsZero() {
		t.Errorf("since nothing = %s, %v", got, err)
	}
	utc := at()
	utc.UTC = true
	if got, err := utc.when("expires", "2027-01-31"); err != nil || got.Format(time.RFC3339) != "2027-01-31T00:00:00Z" {
		t.Errorf("with --utc a day begins at %s, %v", got, err)
	}
	for _, text := range []string{"", "yesterday", "2027-13-01", "2027-02-30", "31.1.2027", "2027-01-31T25:00", "0001-01-01T00:00:00Z", "0001-01-01T01:00:00+01:00", "1969-12-30"} {
		_, err := at().when("expires", text)
		if status := exitStatus(t.Context(), err); status != ExitUsage || !strings.Contains(err.Error(), "--expires") {
			t.Errorf("when(%q): %v, status %d; want a usage error that names the flag", text, err, status)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string][2]int64{"100/10s": {100, 10}, "6000/1m": {6000, 60}, "10/s": {10, 1}, "5/h": {5, 3600}, "1/2d": {1, 172800}} {
		if got, err := parseRate(text); err != nil || got.Calls != want[0] || got.Seconds != want[1] {
			t.Errorf("parseRate(%q) = %+v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "100", "/10s", "0/10s", "-1/10s", "100/", "100/0s", "100/500ms", "100/1.5s", "fast", "9999999999/1s", "1/1/1", "1/-5s"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("parseRate(%q) = %+v, want it refused", text, got)
		}
	}
}

func FuzzTimes(f *testing.F) {
	for _, s := range []string{"90d", "1h30m", "2027-01-31", "2027-01-31T09:00:00Z", "100/10s", "10/s", "-1h", "999999y", "9223372036854775807ns", "never", "\x1b[31m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := parseSpan(text); ok && d < 0 {
			t.Errorf("parseSpan(%q) = %s", text, d)
		}
		if r, err := parseRate(text); err == nil && (r.Calls < 1 || r.Seconds < 1) {
			t.Errorf("parseRate(%q) = %+v", text, r)
		} else if err != nil && screen.Clean(err.Error()) != err.Error() {
			t.Errorf("parseRate(%q): %q isn't safe to show", text, err)
		}
		if got, err := at().when("expires", text); err == nil {
			if _, isSpan := parseSpan(text); isSpan && got.Before(now) {
				t.Errorf("when(%q) = %s is in the past", text, got)
			}
		} else if exitStatus(t.Context(), err) != ExitUsage || screen.Clean(err.Error()) != err.Error() {
			t.Errorf("when(%q): %q", text, err)
		}
	})
}

// made is a secret that opens nothing.
var made = "pst_sk_4fQ2mZ8xT0aB6cD1_" + strings.Repeat("Zz9", 16) + "x"

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, stdin, file string
		want              string // empty: refused
	}{
		{name: "a line", stdin: made + "\n", file: "-", want: made},
		{name: "no line's end", stdin: made, file: "-", want: made},
		{name: "as Windows writes it", stdin: made + "\r\n", file: "-", want: made},
		{name: "blanks around it", stdin: "  " + made + "\t\n\n", file: "-", want: made},
		{name: "a file", file: file("one", made+"\n"), want: made},
		{name: "nothing", stdin: "", file: "-"},
		{name: "blanks", stdin: " \n", file: "-"},
		{name: "two lines", stdin: made + "\n" + made + "\n", file: "-"},
		{name: "two words", stdin: made + " " + made, file: "-"},
		{name: "a header", stdin: "Authorization: Bearer " + made, file: "-"},
		{name: "too much", stdin: strings.Repeat("a", maxSecretFile+5), file: "-"},
		{name: "no such file", file: filepath.Join(dir, "none")},
		{name: "a folder", file: dir},
	}
	for _, tt := range tests {
		a := &app{Options{Stdin: strings.NewReader(tt.stdin), IsTerminal: func(any) bool { return false }}.fill()}
		got, err := a.askSecret(t.Context(), tt.file, "Secret:")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: read %q, %v, want %q", tt.name, got, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "Zz9") {
			t.Errorf("%s: the secret is in %q", tt.name, err)
		}
	}
	var errs bytes.Buffer
	a := &app{Options{Stderr: &errs, IsTerminal: func(any) bool { return true }, ReadSecret: func() (string, error) { return made, nil }}.fill()}
	if got, err := a.askSecret(t.Context(), "", "Secret:"); got != made || err != nil || strings.Contains(errs.String(), "Zz9") {
		t.Errorf("asked for on a terminal: %q, %v, and shown %q", got, err, errs.String())
	}
}

func FuzzReadSecret(f *testing.F) {
	for _, s := range []string{made, made + "\n", "a b", "", "\xff", "Bearer " + made, strings.Repeat("x", maxSecretFile)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := oneSecret(text)
		switch {
		case err != nil && (got != "" || exitStatus(t.Context(), err) != ExitUsage):
			t.Errorf("oneSecret(%q) = %q, %v", text, got, err)
		case err == nil && (got == "" || strings.ContainsAny(got, " \t\r\n") || !strings.Contains(text, got)):
			t.Errorf("oneSecret(%q) = %q", text, got)
		}
		if shown := redact(text + made); strings.Contains(shown, made) {
			t.Errorf("redact left the secret in %q", shown)
		}
		if s := sentence(text); s == "" || screen.Clean(s) != s || strings.Contains(s, "\n") {
			t.Errorf("sentence(%q) = %q", text, s)
		}
		if w := shellWord(text); strings.ContainsAny(w, "\x00\x1b\n") {
			t.Errorf("shellWord(%q) = %q", text, w)
		}
	})
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"no " + made + " here":  "no pst_sk_4fQ2mZ8xT0aB6cD1_… here",
		"KEY_" + made:           "KEY_pst_sk_4fQ2mZ8xT0aB6cD1_…",
		"/invite/" + made + "?": "/invite/pst_sk_4fQ2mZ8xT0aB6cD1_…?",
		"the key 4fQ2mZ8xT0aB6cD1 of acc_4fQ2mZ8xT0aB6cD1 with a.b_c": "the key 4fQ2mZ8xT0aB6cD1 of acc_4fQ2mZ8xT0aB6cD1 with a.b_c",
	} {
		if got := redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
}

// Every code of the domain ends a command with a status that is told in help.
func TestStatusOfEveryCode(t *testing.T) {
	help := topicExitCodes().Long
	for _, code := range postern.Codes() {
		status, known := StatusOf(string(code))
		if !known {
			t.Errorf("the code %s has no exit status", code)
		}
		if got := exitStatus(t.Context(), postern.Errorf(code, "It failed.")); got != status {
			t.Errorf("%s ends a command that needs no server with %d, others with %d", code, got, status)
		}
	}
	for _, status := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "130"} {
		if !strings.Contains(help, "\n"+strings.Repeat(" ", 5-len(status))+status+"  ") {
			t.Errorf("help doesn't tell of the exit status %s", status)
		}
	}
	if len(statuses) != len(postern.Codes()) {
		t.Errorf("%d codes have exit statuses, and there are %d", len(statuses), len(postern.Codes()))
	}
}

// A file that can't be read is no server that can't be reached.
func TestLocalFailures(t *testing.T) {
	_, err := os.Open(filepath.Join(t.TempDir(), "none"))
	if got := exitStatus(t.Context(), err); got != ExitInternal {
		t.Errorf("a missing file ends with %d, want %d", got, ExitInternal)
	}
	if got := exitStatus(t.Context(), io.ErrUnexpectedEOF); got != ExitUnavailable {
		t.Errorf("a broken answer ends with %d, want %d", got, ExitUnavailable)
	}
	if got := exitStatus(t.Context(), errors.New("anything")); got != ExitInternal {
		t.Errorf("anything else ends with %d, want %d", got, ExitInternal)
	}
}

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "It failed, and nobody said why.",
		"it broke":                    "It broke.",
		"It broke!":                   "It broke!",
		"name: This is taken.":        "name: This is taken.",
		"a\x1b[31mb":                  "A�[31mb.",
		"Sign in with: postern login": "Sign in with: postern login",
	} {
		if got := sentence(text); got != want {
			t.Errorf("sentence(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for name, want := range map[string]string{"a-b_c.d@e/f:g": "a-b_c.d@e/f:g", "": "''", "-x": "'-x'", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "漢": "'漢'"} {
		if got := shellWord(name); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", name, got, want)
		}
	}
	if got := idOr("$(rm)", "4fQ2mZ8xT0aB6cD1"); got != "4fQ2mZ8xT0aB6cD1" {
		t.Errorf("a name that a shell would run is pasted as %s", got)
	}
}
