package screen_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"postern.dev/postern/internal/cli/screen"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain", "nightly-deals-sync", "nightly-deals-sync"},
		{"letters of many languages", "Größe 漢字 ключ مفتاح", "Größe 漢字 ключ مفتاح"},
		{"emoji of several characters", "👩‍💻 👍🏽 🇬🇧", "👩‍💻 👍🏽 🇬🇧"},
		{"colour", "a\x1b[31mred\x1b[0m", "a�[31mred�[0m"},
		{"the window's title", "\x1b]0;owned\x07x", "�]0;owned�x"},
		{"a link", "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "�]8;;http://evil�\\click�]8;;�\\"},
		{"C1 controls", "a\u009b31mb", "a�31mb"},
		{"lines and tabs", "a\nb\r\nc\td\u2028e", "a b  c d e"},
		{"backspace and delete", "ab\b\x7f", "ab��"},
		{"a bell and a null", "\a\x00", "��"},
		{"writing turned round", "abc\u202ecba\u2066x", "abc�cba�x"},
		{"nothing to be seen", "a\u200bb\ufeffc\u00ad", "a�b�c�"},
		{"tags", "a\U000e0041\U000e007f", "a��"},
		{"a filler that looks like a blank", "a\u3164b", "a�b"},
		{"private characters", "\ue000", "�"},
		{"not UTF-8", "a\xff\xfeb", "a��b"},
	}
	for _, tt := range tests {
		if got := screen.Clean(tt.text); got != tt.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}

func TestCutKeepsToTheWidth(t *testing.T) {
	tests := []struct {
		text  string
		width int
		want  string
	}{
		{"short", 10, "short"},
		{"exactly-10", 10, "exactly-10"},
		{"eleven-char", 10, "eleven-ch…"},
		{"漢字漢字", 8, "漢字漢字"},
		{"漢字漢字", 7, "漢字漢…"},
		{"漢字漢字", 6, "漢字…"},
		{"漢字", 1, "…"},
		{"漢字", 0, ""},
		{"👩‍💻👩‍💻👩‍💻", 5, "👩‍💻👩‍💻…"},
		{"a b c", 3, "a…"},
	}
	for _, tt := range tests {
		if got := screen.Cut(tt.text, tt.width); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestCutMiddleKeepsTheEnd(t *testing.T) {
	tests := []struct {
		text  string
		width int
		want  string
	}{
		{"/crm/v3/objects/contacts", 30, "/crm/v3/objects/contacts"},
		{"/crm/v3/objects/contacts", 18, "/crm/v…ts/contacts"},
		{"/crm/v3/objects/contacts", 7, "/crm/v…"},
	}
	for _, tt := range tests {
		if got := screen.CutMiddle(tt.text, tt.width); got != tt.want {
			t.Errorf("CutMiddle(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestWrap(t *testing.T) {
	got := strings.Join(screen.Wrap("one two  three\nfour a-word-longer-than-the-line five", 9), "|")
	if want := "one two|three|four|a-word-longer-than-the-line|five"; got != want {
		t.Errorf("Wrap = %q, want %q", got, want)
	}
	if got := screen.Wrap("", 10); len(got) != 1 || got[0] != "" {
		t.Errorf("Wrap of nothing = %q, want one empty line", got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "漢字 key", "👩‍💻👍🏽", "\x1b[31mx", "a\u202eb\xff", "e\u0301\u0301\u0301", "\u0301", "🇬🇧🇬", strings.Repeat("漢", 90)} {
		f.Add(s, 10)
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, text string, width int) {
		clean := screen.Clean(text)
		for _, r := range clean {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("Clean(%q) = %q has %U in it", text, clean, r)
			}
		}
		if !utf8.ValidString(clean) {
			t.Fatalf("Clean(%q) = %q is not UTF-8", text, clean)
		}
		if again := screen.Clean(clean); again != clean {
			t.Fatalf("Clean twice = %q, once = %q", again, clean)
		}
		if width < 0 || width > 1000 {
			return
		}
		for name, cut := range map[string]string{"Cut": screen.Cut(clean, width), "CutMiddle": screen.CutMiddle(clean, width)} {
			if w := screen.Width(cut); w > width {
				t.Errorf("%s(%q, %d) = %q, %d columns", name, clean, width, cut, w)
			}
			if strings.ContainsRune(cut, '\x1b') {
				t.Errorf("%s(%q, %d) = %q has an escape in it", name, clean, width, cut)
			}
		}
	})
}
