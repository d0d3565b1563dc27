package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"postern.dev/postern"
)

// Overlay is what an operator adds to an upstream's documents, and overrules in
// them. It is a YAML file of their own, so it is read strictly: a key that isn't
// known, or a name that no document has, is an error with its line. All of its
// members may be left out:
//
//	scopeRule: any            # scopes inside one requirement are alternatives; or: all
//	basePath: /crm            # instead of the paths of the documents' servers
//	schemes:                  # which kinds of credential a security scheme admits
//	  oauth2: {kinds: [service_key, app_token, oauth_access_token]}
//	scopes:                   # what people should know of a scope
//	  crm.objects.deals.read:
//	    group: Deals
//	    access: read          # or: write
//	    words: Read deals and their pipelines
//	  crm.objects.owners.read: {sensitive: true}   # granted only by its exact name
//	  oauth: {implicit: true}                      # every credential of an admitted kind has it
//	operations:               # by operationId, or by method and path with the base path
//	  listDeals: {scopes: [[crm.objects.deals.read]]}            # any of [all of]
//	  GET /crm/v3/owners: {scopes: [[crm.objects.owners.read]], kinds: [service_key]}
//	  GET /crm/status: {public: true}
//	  DELETE /crm/v3/objects/{type}/{id}: {deny: true}
//	  getOwnerByMail: {omit: true}                               # as if no document had it
type Overlay struct {
	name, sha256 string
	scopeRule    string
	basePath     string
	basePathLine int
	schemes      []overlayScheme
	scopes       []overlayScope
	metas        map[postern.Scope]scopeMeta
	operations   []overlayOperation
}

type overlayScheme struct {
	name  string
	line  int
	kinds postern.Kinds
}

type overlayScope struct {
	name postern.Scope
	line int
}

type overlayOperation struct {
	name         string
	line         int
	public, deny bool
	omit         bool
	ways         [][]postern.Scope
	kinds        postern.Kinds // 0: what the document admits
}

// ParseOverlay reads an overlay. The name is for messages.
func ParseOverlay(ctx context.Context, src Source) (*Overlay, error) {
	d, err := load(ctx, src)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(src.Data)
	o := &Overlay{name: src.Name, sha256: hex.EncodeToString(sum[:]), metas: make(map[postern.Scope]scopeMeta)}
	top, err := d.fields(d.top())
	if err != nil {
		return nil, err
	}
	for _, f := range top {
		var err error
		switch f.key {
		case "scopeRule":
			if o.scopeRule = f.text(); o.scopeRule != "any" && o.scopeRule != "all" {
				err = d.errorf(f.val, `scopeRule is "any" or "all", and not %s.`, f.what())
			}
		case "basePath":
			var ok bool
			o.basePathLine = f.line()
			if o.basePath, ok = f.str(); !ok || o.basePath == "" {
				err = d.errorf(f.val, `basePath is a path such as "/crm", and not %s.`, f.what())
			}
		case "schemes":
			err = each(d, f.val, o.readScheme)
		case "scopes":
			err = each(d, f.val, o.readScope)
		case "operations":
			err = each(d, f.val, o.readOperation)
		default:
			err = d.errorf(f.val, "%q is not known here; the members of an overlay are scopeRule, basePath, schemes, scopes and operations.", clip(f.key))
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// each reads the entries of a mapping whose values are mappings.
func each(d *document, v val, read func(d *document, name field, f fields) error) error {
	entries, err := d.fields(v)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := d.fields(e.val)
		if err != nil {
			return err
		}
		if err := read(d, e, f); err != nil {
			return err
		}
	}
	return nil
}

func (o *Overlay) readScheme(d *document, name field, f fields) error {
	s := overlayScheme{name: name.key, line: name.line()}
	for _, e := range f {
		if e.key != "kinds" {
			return d.errorf(e.val, "%q is not known here; a scheme has kinds.", clip(e.key))
		}
		var err error
		if s.kinds, err = strictKinds(d, e.val); err != nil {
			return err
		}
	}
	if len(f) == 0 {
		return d.errorf(name.val, "The scheme %q has no kinds.", clip(name.key))
	}
	o.schemes = append(o.schemes, s)
	return nil
}

func strictKinds(d *document, v val) (postern.Kinds, error) {
	kinds, bad, err := readKinds(d, v)
	if len(bad) > 0 {
		return 0, d.errorf(bad[0], "%s is no kind of credential; the kinds are %s.", bad[0].what(), kindNames())
	}
	return kinds, err
}

func kindNames() string {
	var names []string
	for _, k := range postern.AllKinds.List() {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

func (o *Overlay) readScope(d *document, name field, f fields) error {
	if !postern.Scope(name.key).Valid() {
		return d.errorf(name.val, "%q can't be the name of a scope.", clip(name.key))
	}
	m, wrong := readMeta(f)
	if len(wrong) > 0 {
		return d.errorf(wrong[0].at, "%s", wrong[0].text)
	}
	o.scopes = append(o.scopes, overlayScope{postern.Scope(name.key), name.line()})
	o.metas[postern.Scope(name.key)] = m
	return nil
}

func (o *Overlay) readOperation(d *document, name field, f fields) error {
	op := overlayOperation{name: name.key, line: name.line()}
	said := 0
	for _, e := range f {
		var ok bool
		var err error
		switch e.key {
		case "public":
			if op.public, ok = e.boolean(); !ok {
				return d.errorf(e.val, "public is true or false, and not %s.", e.what())
			}
			said += count(op.public)
		case "deny":
			if op.deny, ok = e.boolean(); !ok {
				return d.errorf(e.val, "deny is true or false, and not %s.", e.what())
			}
			said += count(op.deny)
		case "omit":
			if op.omit, ok = e.boolean(); !ok {
				return d.errorf(e.val, "omit is true or false, and not %s.", e.what())
			}
			said += count(op.omit)
		case "scopes":
			if op.ways, err = readWays(d, e.val); err != nil {
				return err
			}
			said++
		case "kinds":
			if op.kinds, err = strictKinds(d, e.val); err != nil {
				return err
			}
			if op.kinds == 0 {
				return d.errorf(e.val, "kinds is empty; to close the operation say deny: true.")
			}
		default:
			return d.errorf(e.val, "%q is not known here; an operation has public, deny, omit, or scopes with kinds.", clip(e.key))
		}
	}
	if said != 1 {
		return d.errorf(name.val, "The operation %q needs one of public: true, deny: true, omit: true and scopes.", clip(name.key))
	}
	if op.kinds != 0 && op.ways == nil {
		return d.errorf(name.val, "The operation %q has kinds without scopes.", clip(name.key))
	}
	o.operations = append(o.operations, op)
	return nil
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// readWays reads any of [all of] scopes.
func readWays(d *document, v val) (out [][]postern.Scope, err error) {
	shape := func(v val) error {
		return d.errorf(v, "scopes is a list of lists, any of [all of], such as [[a.read], [b.read, c.read]]; this is %s.", v.what())
	}
	if !v.isList() {
		return nil, shape(v)
	}
	list, err := d.items(v)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > maxWays {
		return nil, d.errorf(v, "scopes has %d alternatives; it may have 1 to %d.", len(list), maxWays)
	}
	for _, item := range list {
		if !item.isList() {
			return nil, shape(item)
		}
		names, err := d.items(item)
		if err != nil {
			return nil, err
		}
		var way []postern.Scope
		for _, n := range names {
			text, ok := n.str()
			if s := postern.Scope(text); !ok || !s.Valid() {
				return nil, d.errorf(n, "%s can't be the name of a scope.", n.what())
			}
			way = append(way, postern.Scope(text))
		}
		if len(way) == 0 {
			return nil, d.errorf(item, "An alternative without scopes would permit everybody; say public: true if that is meant.")
		}
		out = append(out, way)
	}
	return out, nil
}
