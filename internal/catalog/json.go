package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"go.yaml.in/yaml/v3"

	"postern.dev/postern"
)

// errNotJSON is the cause in errors about JSON's grammar, as opposed to bounds.
const errNotJSON = postern.CodeInvalid

// A jsonParser makes the nodes that the YAML parser would make of the same
// document, with the lines that messages need.
type jsonParser struct {
	ctx   context.Context
	name  string
	data  []byte
	pos   int
	line  int
	depth int
	marks int
}

func parseJSON(ctx context.Context, name string, data []byte) (*yaml.Node, error) {
	p := &jsonParser{ctx: ctx, name: name, data: data, line: 1}
	n, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(data) {
		return nil, p.errorf("there is more after the end")
	}
	return n, nil
}

func (p *jsonParser) errorf(format string, args ...any) error {
	return at(p.name, p.line, errNotJSON, "This is not well-formed JSON: "+format+".", args...)
}

func (p *jsonParser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case '\n':
			p.line++
		case ' ', '\t', '\r':
		default:
			return
		}
		p.pos++
	}
}

// next skips space and takes c if it comes next.
func (p *jsonParser) next(c byte) bool {
	p.space()
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *jsonParser) value() (*yaml.Node, error) {
	p.space()
	if p.pos == len(p.data) {
		return nil, p.errorf("it ends in the middle")
	}
	if p.marks++; p.marks > maxMarks {
		return nil, tooMany(p.name, p.line)
	}
	if p.marks%4096 == 0 && p.ctx.Err() != nil {
		return nil, p.ctx.Err()
	}
	switch p.data[p.pos] {
	case '{':
		return p.container(yaml.MappingNode, "!!map", '}')
	case '[':
		return p.container(yaml.SequenceNode, "!!seq", ']')
	case '"':
		return p.str()
	}
	return p.word()
}

func (p *jsonParser) container(kind yaml.Kind, tag string, end byte) (*yaml.Node, error) {
	n := &yaml.Node{Kind: kind, Tag: tag, Line: p.line}
	if p.depth++; p.depth > maxDepth {
		return nil, tooDeep(p.name, p.line)
	}
	p.pos++
	if !p.next(end) {
		for {
			if kind == yaml.MappingNode {
				if err := p.key(n); err != nil {
					return nil, err
				}
			}
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, v)
			if p.next(end) {
				break
			}
			if !p.next(',') {
				return nil, p.errorf("a comma or %q is missing", string(end))
			}
		}
	}
	p.depth--
	return n, nil
}

func (p *jsonParser) key(n *yaml.Node) error {
	if p.space(); p.pos == len(p.data) || p.data[p.pos] != '"' {
		return p.errorf("a key in quotes is missing")
	}
	k, err := p.str()
	if err != nil {
		return err
	}
	if !p.next(':') {
		return p.errorf("a colon is missing")
	}
	n.Content = append(n.Content, k)
	return nil
}

func (p *jsonParser) str() (*yaml.Node, error) {
	start, plain := p.pos, true
	for i := start + 1; i < len(p.data); i++ {
		switch c := p.data[i]; {
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return nil, p.errorf("a string has a line end or a tab in it, or no quote at its end")
		case c == '"':
			p.pos = i + 1
			n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: p.line}
			if plain {
				n.Value = string(p.data[start+1 : i])
				return n, nil
			}
			if json.Unmarshal(p.data[start:p.pos], &n.Value) != nil {
				return nil, p.errorf("a string has a bad escape")
			}
			return n, nil
		}
	}
	return nil, p.errorf("it ends in the middle")
}

func (p *jsonParser) word() (*yaml.Node, error) {
	end := p.pos
	for end < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:[]{}\""), p.data[end]) < 0 {
		end++
	}
	text := string(p.data[p.pos:end])
	p.pos = end
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: p.line}
	switch text {
	case "true", "false":
		n.Tag = "!!bool"
	case "null":
		n.Tag = "!!null"
	default:
		if !json.Valid([]byte(text)) {
			return nil, p.errorf("%s is no value", strconv.Quote(clip(text)))
		}
		n.Tag = "!!float"
	}
	return n, nil
}
