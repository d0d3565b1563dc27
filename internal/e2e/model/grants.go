package model

import "strings"

// covers reports whether patterns cover a scope: by its exact name or "**"
// always; by a prefix such as "deals.*", or by "*", only if it is not sensitive.
func (w *World) covers(patterns []string, scope string, sensitive bool) bool {
	if w.Bug == BugStarIsAll {
		sensitive = false
	}
	for _, p := range patterns {
		switch {
		case p == "**", p == scope:
			return true
		case sensitive:
		case p == "*":
			return true
		case strings.HasSuffix(p, ".*"):
			if strings.HasPrefix(scope, w.stem(p)) {
				return true
			}
		}
	}
	return false
}

// stem is what a scope must start with that a prefix pattern covers: "deals." for "deals.*".
func (w *World) stem(pattern string) string {
	if w.Bug == BugPrefixIsLoose {
		return strings.TrimSuffix(pattern, ".*")
	}
	return strings.TrimSuffix(pattern, "*")
}

// coversAll reports whether whoever holds some patterns may hand out others:
// whatever scope there is, and whether sensitive or not, what the others cover is
// covered. So "*" does not hand out a name, which may be a sensitive scope's.
func (w *World) coversAll(held, handed []string) bool {
	for _, p := range handed {
		if !w.coversPattern(held, p) {
			return false
		}
	}
	return true
}

func (w *World) coversPattern(held []string, p string) bool {
	for _, h := range held {
		switch {
		case h == "**", h == p:
			return true
		case h == "*" && strings.HasSuffix(p, ".*"):
			return true
		case strings.HasSuffix(h, ".*") && strings.HasSuffix(p, ".*") && strings.HasPrefix(p, strings.TrimSuffix(h, "*")):
			return true
		}
	}
	return false
}

// validPattern reports whether a grant has one of the four forms.
func validPattern(p string) bool {
	if p == "*" || p == "**" {
		return true
	}
	p = strings.TrimSuffix(p, ".*")
	return p != "" && !strings.ContainsAny(p, "*\" \\")
}
