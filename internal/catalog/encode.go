package catalog

import (
	"encoding/json"
	"fmt"

	"postern.dev/postern"
)

// formatVersion is the format of encoded catalogs. Format 1 is a JSON object; a
// later one gets a higher number when an older reader would misread it.
const formatVersion = 1

// The encoding writes every scope and every set of kinds once, and refers to
// them by number, as thousands of operations share a few of them. Kinds are
// written by name: the order of their constants is no part of the format.
type encoded struct {
	Format     int                `json:"format"`
	Upstream   postern.UpstreamID `json:"upstream"`
	Title      string             `json:"title,omitempty"`
	Version    string             `json:"version,omitempty"`
	Documents  []encodedDocument  `json:"documents"`
	Kinds      [][]string         `json:"kinds"`
	Scopes     []encodedScope     `json:"scopes"`
	Operations []encodedOperation `json:"operations"`
}

type encodedDocument struct {
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
	Overlay bool   `json:"overlay,omitempty"`
}

type encodedScope struct {
	Name      postern.Scope  `json:"name"`
	Group     string         `json:"group,omitempty"`
	Access    postern.Access `json:"access"`
	Words     string         `json:"words,omitempty"`
	Sensitive bool           `json:"sensitive,omitempty"`
	Implicit  bool           `json:"implicit,omitempty"`
	Opens     []int          `json:"opens,omitempty"` // operations by their place in the list
}

type encodedOperation struct {
	Name    string       `json:"name"`
	Method  string       `json:"method"`
	Path    string       `json:"path"`
	Summary string       `json:"summary,omitempty"`
	File    int          `json:"file"` // documents by their place in the list
	Line    int          `json:"line,omitempty"`
	State   string       `json:"state,omitempty"` // "public", "uncovered" or "denied"
	Ways    []encodedWay `json:"ways,omitempty"`
	Form    *encodedForm `json:"form,omitempty"`
}

type encodedForm struct {
	Segment int    `json:"segment"`
	Kind    string `json:"kind,omitempty"`
}

type encodedWay struct {
	Scopes []int `json:"s"`
	Kinds  int   `json:"k"`
}

// Marshal encodes a catalog: the same catalog always in the same bytes.
func (c *Catalog) Marshal() ([]byte, error) {
	e := encoded{Format: formatVersion, Upstream: c.Upstream, Title: c.Title, Version: c.Version,
		Documents: []encodedDocument{}, Kinds: [][]string{}, Scopes: []encodedScope{}, Operations: []encodedOperation{}}
	files, scopes, ops, kinds := map[string]int{}, map[postern.Scope]int{}, map[string]int{}, map[postern.Kinds]int{}
	for i, d := range c.Documents {
		files[d.Name] = i
		e.Documents = append(e.Documents, encodedDocument(d))
	}
	for i, s := range c.Scopes {
		scopes[s.Name] = i
	}
	for i := range c.Operations {
		op := &c.Operations[i]
		out := encodedOperation{Name: op.Name, Method: op.Method, Path: op.Path, Summary: op.Summary, File: files[op.File], Line: op.Line, State: op.state()}
		for _, w := range op.Ways {
			way := encodedWay{}
			for _, s := range w.Scopes {
				n, ok := scopes[s]
				if !ok {
					return nil, fmt.Errorf("catalog: encode %s: the scope %q is not in the catalog", op.label(), s)
				}
				way.Scopes = append(way.Scopes, n)
			}
			n, ok := kinds[w.Kinds]
			if !ok {
				n = len(e.Kinds)
				kinds[w.Kinds] = n
				e.Kinds = append(e.Kinds, kindList(w.Kinds))
			}
			way.Kinds = n
			out.Ways = append(out.Ways, way)
		}
		if op.Form.Segment > 0 {
			form := encodedForm(op.Form)
			out.Form = &form
		}
		ops[op.Name] = i
		e.Operations = append(e.Operations, out)
	}
	for _, s := range c.Scopes {
		out := encodedScope{Name: s.Name, Group: s.Group, Access: s.Access, Words: s.Words, Sensitive: s.Sensitive, Implicit: s.Implicit}
		for _, name := range s.Opens {
			n, ok := ops[name]
			if !ok {
				return nil, fmt.Errorf("catalog: encode scope %q: the operation %q is not in the catalog", s.Name, name)
			}
			out.Opens = append(out.Opens, n)
		}
		e.Scopes = append(e.Scopes, out)
	}
	return json.Marshal(e)
}

func kindList(k postern.Kinds) []string {
	out := []string{}
	for _, kind := range k.List() {
		out = append(out, kind.String())
	}
	return out
}

const (
	statePublic    = "public"
	stateUncovered = "uncovered"
	stateDenied    = "denied"
)

func (op *Operation) state() string {
	switch {
	case op.Denied:
		return stateDenied
	case op.Uncovered:
		return stateUncovered
	case op.Public:
		return statePublic
	}
	return ""
}

// Unmarshal decodes a catalog. A format that is newer than this program, or a
// word in it that this program doesn't know, is refused and not guessed at: it
// could be the word that denies.
func Unmarshal(data []byte) (*Catalog, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, &postern.Error{Code: postern.CodeInvalid, Message: "This is no encoded scope catalog.", Err: err}
	}
	if head.Format != formatVersion {
		return nil, postern.Errorf(postern.CodeInvalid, "The scope catalog has the format %d, and this version of Postern reads format %d.", head.Format, formatVersion)
	}
	var e encoded
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, &postern.Error{Code: postern.CodeInvalid, Message: "The encoded scope catalog is damaged.", Err: err}
	}
	c, err := e.decode()
	if err != nil {
		return nil, &postern.Error{Code: postern.CodeInvalid, Message: "The encoded scope catalog is damaged.", Err: err}
	}
	return c, nil
}

func (e *encoded) decode() (*Catalog, error) {
	c := &Catalog{Upstream: e.Upstream, Title: e.Title, Version: e.Version}
	for _, d := range e.Documents {
		c.Documents = append(c.Documents, Document(d))
	}
	kinds := make([]postern.Kinds, len(e.Kinds))
	for i, names := range e.Kinds {
		for _, name := range names {
			k, ok := postern.ParseKind(name)
			if !ok {
				return nil, fmt.Errorf("unknown kind %q", name)
			}
			kinds[i] |= postern.KindsOf(k)
		}
	}
	for i := range e.Operations {
		op, err := e.operation(&e.Operations[i], kinds)
		if err != nil {
			return nil, err
		}
		c.Operations = append(c.Operations, op)
	}
	for _, s := range e.Scopes {
		info := postern.ScopeInfo{Name: s.Name, Upstream: e.Upstream, Group: s.Group, Access: s.Access, Sensitive: s.Sensitive, Implicit: s.Implicit, Words: s.Words}
		if !s.Name.Valid() || s.Access != postern.AccessRead && s.Access != postern.AccessWrite {
			return nil, fmt.Errorf("bad scope %q with access %q", s.Name, s.Access)
		}
		for _, n := range s.Opens {
			if n < 0 || n >= len(c.Operations) {
				return nil, fmt.Errorf("scope %q opens operation %d of %d", s.Name, n, len(c.Operations))
			}
			info.Opens = append(info.Opens, c.Operations[n].Name)
		}
		c.Scopes = append(c.Scopes, info)
	}
	for i := 1; i < len(c.Scopes); i++ {
		if c.Scopes[i-1].Name >= c.Scopes[i].Name {
			return nil, fmt.Errorf("the scope %q is out of order, or given twice", c.Scopes[i].Name)
		}
	}
	return c, nil
}

func (e *encoded) operation(in *encodedOperation, kinds []postern.Kinds) (Operation, error) {
	op := Operation{Line: in.Line, Operation: postern.Operation{Upstream: e.Upstream, Name: in.Name, Method: in.Method, Path: in.Path, Summary: in.Summary}}
	if in.File < 0 || in.File >= len(e.Documents) {
		return op, fmt.Errorf("operation %q is of document %d of %d", in.Name, in.File, len(e.Documents))
	}
	op.File = e.Documents[in.File].Name
	switch in.State {
	case "":
		if len(in.Ways) == 0 {
			return op, fmt.Errorf("operation %q has no ways and no state", in.Name)
		}
	case statePublic:
		op.Public = true
	case stateUncovered:
		op.Uncovered = true
	case stateDenied:
		op.Denied = true
	default:
		return op, fmt.Errorf("operation %q has the unknown state %q", in.Name, in.State)
	}
	if in.Form != nil {
		op.Form = Form(*in.Form)
	}
	for _, w := range in.Ways {
		if w.Kinds < 0 || w.Kinds >= len(kinds) || len(w.Scopes) == 0 {
			return op, fmt.Errorf("operation %q has a damaged way", in.Name)
		}
		way := Way{Kinds: kinds[w.Kinds]}
		for _, n := range w.Scopes {
			if n < 0 || n >= len(e.Scopes) {
				return op, fmt.Errorf("operation %q needs scope %d of %d", in.Name, n, len(e.Scopes))
			}
			way.Scopes = append(way.Scopes, e.Scopes[n].Name)
		}
		op.Ways = append(op.Ways, way)
	}
	return op, nil
}
