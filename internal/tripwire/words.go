package tripwire

import (
	"fmt"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// who says who called: the program that it says it is, and from where.
func who(s *activity.Seen) string {
	name, _, _ := strings.Cut(s.UserAgent, " ")
	name, _, _ = strings.Cut(name, "/")
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60])
	}
	if name == "" {
		name = "An unnamed client"
	}
	if s.IP == "" {
		return name
	}
	return name + " at " + s.IP
}

func callWords(method, operation string) string {
	switch {
	case operation == "" && method == "":
		return "a call"
	case operation == "":
		return "a " + method + " that the API does not have"
	}
	return operation
}

func canaryWords(s *activity.Seen) string {
	end := "It was allowed."
	if !s.Allowed {
		end = fmt.Sprintf("It was refused (%s).", s.Reason)
	}
	return fmt.Sprintf("Nobody should ever use this key. %s asked for %s. %s", who(s), callWords(s.Method, s.Operation), end)
}

func retiredWords(s *activity.Seen) string {
	if s.Reason == postern.ReasonRevoked {
		return fmt.Sprintf("%s still presents the secret of this key, which has ended. The calls are refused.", who(s))
	}
	return fmt.Sprintf("%s presents a secret of this key that was rotated away (the %s). The calls are refused.", who(s), ordinal(s.Generation))
}

func ordinal(n int64) string {
	end := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, end)
}
