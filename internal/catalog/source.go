package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"postern.dev/postern"
)

// load parses a file into nodes, within the bounds.
func load(ctx context.Context, src Source) (*document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := src.Name
	if len(src.Data) > maxDocument {
		return nil, at(name, 0, postern.CodeTooLarge, "The document has %d MB, and at most %d are read.", len(src.Data)>>20, maxDocument>>20)
	}
	data := bytes.TrimPrefix(src.Data, []byte("\xef\xbb\xbf"))
	if i := firstBadByte(data); i >= 0 {
		return nil, at(name, lineOf(data, i), postern.CodeInvalid, "This is not a text in UTF-8 (byte %d).", i)
	}
	root, err := parseNodes(ctx, name, data)
	if err != nil {
		return nil, err
	}
	d := &document{name: name, root: root, visits: maxVisits, refs: make(map[string]val), index: make(map[*yaml.Node]map[string]int)}
	if !d.top().isMap() {
		return nil, at(name, root.Line, postern.CodeInvalid, "This is no OpenAPI document: it begins with %s and not with an object.", d.top().what())
	}
	return d, nil
}

// parseNodes reads JSON with a parser of our own, since YAML's chokes on tabs and
// on escaped surrogates, and the rest as YAML.
func parseNodes(ctx context.Context, name string, data []byte) (*yaml.Node, error) {
	start := bytes.TrimLeft(data, " \t\r\n")
	if len(start) == 0 {
		return nil, at(name, 0, postern.CodeInvalid, "The document is empty.")
	}
	if start[0] == '{' || start[0] == '[' {
		n, err := parseJSON(ctx, name, data)
		ext := strings.ToLower(path.Ext(name))
		if err == nil || ext != ".yaml" && ext != ".yml" || !errors.Is(err, errNotJSON) {
			return n, err
		}
		// YAML too may begin with a brace.
	}
	return parseYAML(ctx, name, data)
}

func parseYAML(ctx context.Context, name string, data []byte) (root *yaml.Node, err error) {
	if err := guardYAML(name, data); err != nil {
		return nil, err
	}
	// The parser is a port of a C program. Should it index out of bounds after all,
	// then the document is at fault and nothing is lost.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, at(name, 0, postern.CodeInvalid, "This is not well-formed YAML.")
		}
	}()
	dec := yaml.NewDecoder(&stoppable{ctx, bytes.NewReader(data)})
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, at(name, 0, postern.CodeInvalid, "The document is empty.")
	} else if err != nil {
		return nil, yamlError(ctx, name, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, at(name, more.Line, postern.CodeInvalid, "The file has more than one YAML document.")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(ctx, name, err)
	}
	return resolve(doc.Content[0]), nil
}

// stoppable ends the parser, which knows no context, at its next read.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]+): )?(.*)`)

func yamlError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1])
	for _, expected := range []string{"key", "'-' indicator", "',' or ']'", "',' or '}'", "node content", "<document start>"} {
		if line > 0 && m[2] == "did not find expected "+expected {
			line++ // unlike its scanner, the parser counts lines from zero
		}
	}
	return at(name, line, postern.CodeInvalid, "This is not well-formed YAML: %s.", clip(m[2]))
}

// firstBadByte finds what makes a file no text: bytes that aren't UTF-8, and
// control characters other than tab and line ends.
func firstBadByte(data []byte) int {
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				return i
			}
			i += n
			continue
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
			return i
		}
		i++
	}
	return -1
}

func lineOf(data []byte, i int) int { return 1 + bytes.Count(data[:i], []byte("\n")) }

func tooDeep(name string, line int) error {
	return at(name, line, postern.CodeTooLarge, "Values are nested more than %d deep.", maxDepth)
}

func tooMany(name string, line int) error {
	return at(name, line, postern.CodeTooLarge, "The document has more than %s values.", fmt.Sprint(maxMarks))
}
