package cli

import (
	"strings"

	"postern.dev/postern/internal/cli/screen"
)

// short is a text from outside, safe and short enough for a message.
func short(text string) string { return screen.Cut(screen.Clean(text), 60) }

// quoted is a name in a sentence.
func quoted(name string) string { return `"` + short(name) + `"` }

// and joins words for a sentence: a, b and c.
func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// orNone is lines to show, or what is said where there are none.
func orNone(lines []string, none string) []string {
	if len(lines) == 0 {
		return []string{none}
	}
	return lines
}

// examples are command lines for help.
func examples(lines ...string) string {
	for i, line := range lines {
		head, rest := "", line
		for screen.Width(rest) > helpWidth-6 { // broken before a flag, as a shell reads it
			at := strings.LastIndex(rest[:helpWidth-8], " --")
			if at <= 0 {
				break
			}
			head, rest = head+rest[:at]+" \\\n      ", rest[at+1:]
		}
		lines[i] = head + rest
	}
	return "  " + strings.Join(lines, "\n  ")
}

// shellWord is a name as it can be pasted into a shell.
func shellWord(name string) string {
	if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@/:") == "" && name[0] != '-' {
		return name
	}
	return "'" + strings.ReplaceAll(screen.Clean(name), "'", `'\''`) + "'"
}

// idOr is the name of something if a shell needs no quotes for it, or else its id.
func idOr(name, id string) string {
	if w := shellWord(name); w == name {
		return w
	}
	return id
}
