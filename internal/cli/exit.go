package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// The exit statuses of all commands.
const (
	ExitOK           = 0
	ExitInternal     = 1   // a failure that nobody expected
	ExitUsage        = 2   // the command line, or what the server was asked for, is wrong
	ExitDenied       = 3   // verify: the credential may not do this
	ExitNotFound     = 4   // what was named isn't there
	ExitNotPermitted = 5   // not signed in, or not permitted
	ExitConflict     = 6   // what was named is in another state, or was changed meanwhile
	ExitUnavailable  = 7   // the server can't be reached, can't tell now, or took too long
	ExitFound        = 8   // scan: secrets were found
	ExitLive         = 9   // scan: secrets were found that work, or could again
	ExitUnsound      = 6   // what was checked is unsafe, or was altered
	ExitStopped      = 130 // stopped by Ctrl-C, or by the answer to a question
)

// statuses says how a command ends for each code of the API.
var statuses = map[string]int{
	"invalid_request":       ExitUsage,
	"too_large":             ExitUsage,
	"unsupported_media":     ExitUsage,
	"precondition_required": ExitUsage,
	"not_found":             ExitNotFound,
	"gone":                  ExitNotFound,
	"unauthenticated":       ExitNotPermitted,
	"forbidden":             ExitNotPermitted,
	"insufficient_scope":    ExitNotPermitted,
	"request_timeout":       ExitUnavailable,
	"conflict":              ExitConflict,
	"precondition_failed":   ExitConflict,
	"rate_limited":          ExitUnavailable,
	"unavailable":           ExitUnavailable,
	"storage_full":          ExitUnavailable,
	"internal":              ExitInternal,
}

// StatusOf is the exit status for a code of the API; false for one that isn't known.
func StatusOf(code string) (int, bool) {
	s, ok := statuses[code]
	if !ok {
		s = ExitInternal
	}
	return s, ok
}

// exitError ends the program with a status. A nil err has been told already.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Exit makes a command end with a status, saying err unless it is nil.
func exit(status int, err error) error { return &exitError{status, err} }

func usagef(format string, args ...any) error {
	return exit(ExitUsage, fmt.Errorf(format, args...))
}

// Execute runs a command line and gives the exit status. What went wrong is told
// on Stderr, in a sentence or two.
func Execute(ctx context.Context, root *cobra.Command) int {
	ran := false
	mark(root, &ran)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	_, known := errors.AsType[*exitError](err)
	if !ran && !known {
		err = usagef("%s", sentence(err.Error())) // cobra's own words about the command line
	}
	status := exitStatus(ctx, err)
	tell(root.ErrOrStderr(), err, status)
	return status
}

// mark makes every command note that it ran: an error before that is about the command line.
func mark(cmd *cobra.Command, ran *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*ran = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		mark(sub, ran)
	}
}

func exitStatus(ctx context.Context, err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	if ctx.Err() != nil {
		return ExitStopped
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		if s, known := StatusOf(e.Code); known {
			return s
		}
		return statusOfHTTP(e.Status)
	}
	if e, ok := errors.AsType[*postern.Error](err); ok { // of a command that needs no server
		status, _ := StatusOf(string(e.Code))
		return status
	}
	if unreachable(err) {
		return ExitUnavailable
	}
	return ExitInternal
}

// statusOfHTTP is for answers of something other than Postern: a proxy, say.
func statusOfHTTP(status int) int {
	switch {
	case status == 401 || status == 403 || status == 407:
		return ExitNotPermitted
	case status == 404 || status == 410:
		return ExitNotFound
	case status == 409 || status == 412:
		return ExitConflict
	case status == 408 || status == 429 || status == 502 || status == 503 || status == 504:
		return ExitUnavailable
	case status >= 400 && status < 500:
		return ExitUsage
	}
	return ExitInternal
}

// unreachable reports whether a request failed on the way.
func unreachable(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
		return false
	}
	e, isNet := errors.AsType[net.Error](err)
	if _, local := e.(syscall.Errno); local {
		isNet = false // of a file: what fails on the way has the error of a connection around it
	}
	return isNet || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// tell says what went wrong, and the request's id where there is one.
func tell(w io.Writer, err error, status int) {
	if e, ok := errors.AsType[*exitError](err); ok && e.err == nil {
		return
	}
	text := explain(err, status)
	if e, ok := errors.AsType[*client.Error](err); ok {
		if e.Code == "unauthenticated" {
			text += ` Sign in again with "postern login".`
		}
		if len(e.MissingScopes) > 0 && !strings.Contains(text, e.MissingScopes[0]) {
			text += " Missing: " + screen.Clean(strings.Join(e.MissingScopes, ", ")) + "."
		}
		// What a person can put right needs no number to ask after.
		if e.RequestID != "" && (status == ExitInternal || status == ExitUnavailable) {
			text += " (request " + screen.Clean(e.RequestID) + ")"
		}
	}
	text = "postern: " + redact(text)
	if screen.IsTerminal(w) {
		s := screen.New(screen.Settings{Out: w, Err: w, Getenv: os.Getenv})
		text = strings.Join(screen.Wrap(text, s.Width), "\n")
	}
	fmt.Fprintln(w, text)
}

var secretForm = regexp.MustCompile(`([a-z][a-z0-9]{1,15}_[a-z]{2,4}_[0-9A-Za-z]{16}_)[0-9A-Za-z]{20,}`)

// redact takes the random part out of what looks like a secret, however it came into a message.
func redact(text string) string { return secretForm.ReplaceAllString(text, "$1…") }

func explain(err error, status int) string {
	switch {
	case status == ExitStopped && !errors.Is(err, errDeclined):
		return "Stopped."
	case errors.Is(err, context.DeadlineExceeded):
		return "The server took too long. Try again, or give it longer with --timeout."
	}
	_, told := errors.AsType[*client.Error](err)
	_, known := errors.AsType[*exitError](err)
	if op, ok := errors.AsType[*net.OpError](err); ok && !told && op.Op == "dial" {
		return "The server can't be reached: " + strings.TrimPrefix(sentence(op.Error()), "Dial ") + ` Does it run, and is the address right? See "postern whoami".`
	}
	if !told && !known {
		return sentence(strings.TrimPrefix(err.Error(), "client: "))
	}
	return sentence(err.Error())
}

// sentence makes a sentence of an error's text, safe to show.
func sentence(text string) string {
	text = strings.TrimSpace(screen.Clean(text))
	if text == "" {
		return "It failed, and nobody said why."
	}
	if first := text[0]; first >= 'a' && first <= 'z' {
		if word, _, _ := strings.Cut(text, " "); strings.HasSuffix(word, ":") || strings.HasPrefix(text, word+" (POSTERN_") {
			// "name: …" names a field or a setting, and stays as it is written.
		} else {
			text = string(first-'a'+'A') + text[1:]
		}
	}
	if i := strings.LastIndex(text, ": postern "); i >= 0 && !strings.ContainsAny(text[i+2:], ".?!") {
		return text // what stands at the end is to be copied, without a full stop
	}
	if !strings.ContainsAny(text[len(text)-1:], ".?!") {
		text += "."
	}
	return text
}
