package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxSecretFile is the most that is read where one secret is expected.
const maxSecretFile = 8 << 10

// errorf makes an error whose text is a sentence for people.
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

func (a *app) secretFromEnv() (string, error) {
	if s := strings.TrimSpace(a.Getenv("POSTERN_SECRET")); s != "" {
		return s, nil
	}
	if path := a.Getenv("POSTERN_SECRET_FILE"); path != "" {
		return a.secretFromFile(path)
	}
	return "", nil
}

// secretFromFile reads a secret from a file, or with - from the standard input.
func (a *app) secretFromFile(path string) (string, error) {
	r := a.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", usagef("The secret's file can't be read: %v.", errors.Unwrap(err))
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return oneSecret(string(b))
}

// oneSecret is the secret in what was read. Its text is in none of the errors.
func oneSecret(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", usagef("There is no secret in what was read.")
	case len(text) > maxSecretFile || strings.ContainsAny(text, " \t\r\n"):
		return "", usagef("What was read is more than one secret. Give the secret alone, in one line.")
	}
	return text, nil
}

// askSecret gets a secret: from the file that a flag names, from the standard
// input where that is no terminal, or else from a question, unseen.
func (a *app) askSecret(ctx context.Context, file, question string) (string, error) {
	switch {
	case file != "":
		return a.secretFromFile(file)
	case !a.IsTerminal(a.Stdin):
		return a.secretFromFile("-")
	}
	fmt.Fprint(a.Stderr, question+" ")
	text, err := a.readUnseen(ctx)
	fmt.Fprintln(a.Stderr)
	if err != nil {
		return "", err
	}
	return oneSecret(text)
}

// readUnseen reads a line without showing it. When ctx ends, the terminal shows
// again what is typed.
func (a *app) readUnseen(ctx context.Context) (string, error) {
	if a.ReadSecret != nil {
		return a.ReadSecret()
	}
	f, ok := a.Stdin.(*os.File)
	if !ok {
		return "", usagef("There is no terminal to ask on. Use a file, or the standard input.")
	}
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	defer term.Restore(fd, before)
	return await(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		if err != nil {
			return "", fmt.Errorf("read from the terminal: %w", err)
		}
		return string(b), nil
	})
}

// readLine reads a line of an answer, a byte at a time, so that what follows is left for others.
func (a *app) readLine(ctx context.Context) (string, error) {
	return await(ctx, func() (string, error) {
		line, err := bufio.NewReaderSize(&oneByte{a.Stdin}, 16).ReadString('\n')
		if err != nil && (err != io.EOF || line == "") {
			return "", errDeclined
		}
		return strings.TrimSpace(line), nil
	})
}

type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// await runs what can't be stopped, and leaves it alone when ctx ends.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case g := <-got:
		return g.text, g.err
	}
}

// secretFile is a new file, readable by its owner only, that a secret will go
// into. It is made before the secret is, so that none is lost for want of a place.
type secretFile struct{ f *os.File }

// newSecretFile makes the file; with an empty path there is none.
func newSecretFile(path string) (*secretFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, usagef("The file %s is there already. Name a new one for the secret.", path)
	}
	if err != nil {
		return nil, usagef("The file %s can't be made: %v.", path, errors.Unwrap(err))
	}
	return &secretFile{f}, nil
}

// Keep writes the secret and makes it last.
func (s *secretFile) Keep(secret string) error { return s.keep(secret) }

// Drop removes the file, since there is no secret to keep.
func (s *secretFile) Drop() { s.drop() }

// keep writes the secret and makes it last.
func (s *secretFile) keep(secret string) error {
	_, err := s.f.WriteString(secret + "\n")
	if err = errors.Join(err, s.f.Sync(), s.f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", s.f.Name(), err)
	}
	return nil
}

// drop removes the file, since there is no secret to keep.
func (s *secretFile) drop() {
	if s != nil {
		s.f.Close()
		os.Remove(s.f.Name())
	}
}
