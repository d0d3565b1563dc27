package slowhash

import (
	"errors"
	"strconv"
	"strings"
)

// ParseFind reads how the secret of a slow hash is told: "prefix:" or "suffix:" with
// its first or last characters, or "sha256:" with the first digits of its SHA-256.
func ParseFind(s string) (string, error) {
	kind, text, _ := strings.Cut(s, ":")
	limits := map[string][2]int{"prefix": {4, 64}, "suffix": {4, 32}, "sha256": {6, 64}}
	l, ok := limits[kind]
	switch {
	case !ok:
		return "", errors.New("write prefix:…, suffix:… or sha256:…")
	case len(text) < l[0] || len(text) > l[1]:
		return "", errors.New(kind + " has from " + strconv.Itoa(l[0]) + " to " + strconv.Itoa(l[1]) + " characters")
	case kind == "sha256":
		text = strings.ToLower(text)
		if strings.Trim(text, "0123456789abcdef") != "" {
			return "", errors.New("sha256 has hexadecimal digits")
		}
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return "", errors.New("it has a character that no secret has")
		}
	}
	return kind + ":" + text, nil
}
