package catalog_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/catalog/catalogtest"
)

const (
	before = `openapi: 3.0.0
paths:
  /same/{id}: {get: {operationId: same, security: [{oauth: [x.read]}]}}
  /gone: {get: {operationId: gone, security: [{oauth: [x.read]}]}}
  /wider: {get: {operationId: wider, security: [{oauth: [x.write]}]}}
  /narrower: {get: {operationId: narrower, security: [{oauth: [x.read]}, {oauth: [y.read]}]}}
  /both: {get: {operationId: both, security: [{oauth: [x.read]}]}}
  /open: {get: {operationId: open, security: [{oauth: [x.read]}]}}
  /cover: {get: {operationId: cover}}
  /name: {get: {operationId: name, security: [{oauth: [x.read]}]}}
  /text: {get: {operationId: text, summary: before, security: [{oauth: [x.read]}]}}
` + schemes
	after = `openapi: 3.0.0
paths:
  /same/{other}: {get: {operationId: same, security: [{oauth: [x.read]}]}}
  /new: {post: {operationId: new, security: [{oauth: [x.read]}]}}
  /wider: {get: {operationId: wider, security: [{oauth: [x.write]}, {oauth: [x.read]}]}}
  /narrower: {get: {operationId: narrower, security: [{oauth: [y.read]}]}}
  /both: {get: {operationId: both, security: [{oauth: [x.read, y.read]}]}}
  /open: {get: {operationId: open, security: []}}
  /cover: {get: {operationId: cover, security: [{oauth: [x.write]}]}}
  /name: {get: {operationId: renamed, security: [{oauth: [x.read]}]}}
  /text: {get: {operationId: text, summary: after, security: [{oauth: [x.read]}]}}
x-postern-scopes: {fresh.read: {words: A new one}, y.read: {sensitive: true}}
` + schemes
)

func TestCompare(t *testing.T) {
	a, _ := parse(t, before, catalog.Options{})
	b, _ := parse(t, after, catalog.Options{})
	d := catalog.Compare(a, b)
	var got []string
	for i := range d.Operations {
		got = append(got, d.Operations[i].String())
	}
	want := []string{
		"changed GET /both (both), no longer by x.read",
		"changed GET /cover (cover), opened by x.write",
		"gone GET /gone (gone), no longer by x.read",
		"changed GET /name (renamed)",
		"changed GET /narrower (narrower), no longer by x.read",
		"new POST /new (new), opened by x.read",
		"changed GET /open (open), no longer by x.read, public",
		"changed GET /wider (wider), opened by x.read",
	}
	if !slices.Equal(got, want) {
		t.Errorf("operations:\n got %q\nwant %q", got, want)
	}
	var scopes []string
	for _, s := range d.Scopes {
		switch {
		case s.Before == nil:
			scopes = append(scopes, "new "+string(s.After.Name))
		case s.After == nil:
			scopes = append(scopes, "gone "+string(s.Before.Name))
		default:
			scopes = append(scopes, "changed "+string(s.After.Name))
		}
	}
	// x.read now opens something that changes, but its name says read.
	if want := []string{"new fresh.read", "changed y.read"}; !slices.Equal(scopes, want) {
		t.Errorf("scopes: %q, want %q", scopes, want)
	}
	for _, tt := range []struct {
		holder       catalog.Holder
		gains, loses []string
	}{
		{catalog.Holder{Kind: postern.KindServiceKey, Scopes: []postern.Scope{"x.read"}}, []string{"new", "wider"}, []string{"both", "gone", "narrower"}},
		{catalog.Holder{Kind: postern.KindServiceKey, Scopes: []postern.Scope{"x.write"}}, []string{"cover"}, nil},
		{catalog.Holder{Kind: postern.KindServiceKey, Scopes: []postern.Scope{"y.read"}}, nil, nil},
		{catalog.Holder{Kind: postern.KindServiceKey, Scopes: []postern.Scope{"x.read", "y.read"}}, []string{"new", "wider"}, []string{"gone"}},
		{catalog.Holder{Kind: postern.KindLegacyAPIKey, All: true}, []string{"cover", "new"}, []string{"gone"}},
		{catalog.Holder{Kind: postern.KindDeveloper, Scopes: []postern.Scope{"x.read"}}, nil, nil},
	} {
		e := d.Effect(tt.holder)
		names := func(list []*catalog.Operation) (out []string) {
			for _, op := range list {
				out = append(out, op.Name)
			}
			return out
		}
		if !slices.Equal(names(e.Gains), tt.gains) || !slices.Equal(names(e.Loses), tt.loses) || e.Touched() != (len(tt.gains)+len(tt.loses) > 0) {
			t.Errorf("%+v gains %q and loses %q, want %q and %q", tt.holder, names(e.Gains), names(e.Loses), tt.gains, tt.loses)
		}
	}
}

func TestCompareImplicit(t *testing.T) {
	doc := "openapi: 3.0.0\npaths: {/me: {get: {operationId: me, security: [{oauth: [y.read]}]}}}\n" + schemes
	a, _ := parse(t, doc, catalog.Options{})
	b, _ := parse(t, doc, catalog.Options{Overlay: overlay(t, "scopes: {y.read: {implicit: true}}")})
	e := catalog.Compare(a, b).Effect(catalog.Holder{Kind: postern.KindServiceKey})
	if len(e.Gains) != 1 || len(e.Loses) != 0 {
		t.Errorf("a key without scopes gains %v and loses %v, want me and nothing", e.Gains, e.Loses)
	}
}

func TestCompareSame(t *testing.T) {
	c, _ := xero(t)
	if d := catalog.Compare(c, c); len(d.Operations)+len(d.Scopes) > 0 {
		t.Errorf("a catalog differs from itself: %+v", d)
	}
	if d := catalog.Compare(nil, c); len(d.Operations) != len(c.Operations) || len(d.Scopes) != len(c.Scopes) {
		t.Errorf("%d operations and %d scopes are new, want all", len(d.Operations), len(d.Scopes))
	}
	if d := catalog.Compare(c, nil); len(d.Operations) != len(c.Operations) {
		t.Errorf("%d operations are gone, want all", len(d.Operations))
	}
}

// What Effect says is what deciding by either catalog says.
func TestEffectIsTheDifferenceOfDecisions(t *testing.T) {
	all := catalogtest.Big(120)
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string) *catalog.Catalog {
			c := *all
			c.Operations = nil
			for i := range all.Operations {
				op := all.Operations[i]
				switch rapid.IntRange(0, 5).Draw(t, label) {
				case 0:
					continue
				case 1:
					op.Ways, op.Public, op.Uncovered = nil, true, false
				case 2:
					op.Ways, op.Public, op.Uncovered, op.Denied = nil, false, false, true
				}
				c.Operations = append(c.Operations, op)
			}
			return &c
		}
		a, b := pick("before"), pick("after")
		h := catalog.Holder{Kind: rapid.SampledFrom(postern.AllKinds.List()).Draw(t, "kind"), All: rapid.Bool().Draw(t, "all")}
		for _, s := range all.Scopes {
			if rapid.Bool().Draw(t, "holds") {
				h.Scopes = append(h.Scopes, s.Name)
			}
		}
		could, can := allowed(t, a, h), allowed(t, b, h)
		e := catalog.Compare(a, b).Effect(h)
		gains, loses := map[string]bool{}, map[string]bool{}
		for _, op := range e.Gains {
			gains[op.Name] = true
		}
		for _, op := range e.Loses {
			loses[op.Name] = true
		}
		for i := range all.Operations {
			n := all.Operations[i].Name
			before, after := operation(a, n), operation(b, n)
			gain := can[n] && !could[n] && !after.Public
			loss := could[n] && !can[n] && (after != nil || !before.Public)
			if gains[n] != gain || loses[n] != loss {
				t.Fatalf("%s: could %v and can %v, and Effect says gains %v and loses %v", n, could[n], can[n], gains[n], loses[n])
			}
		}
	})
}

// allowed asks the rule itself about every operation.
func allowed(t *rapid.T, c *catalog.Catalog, h catalog.Holder) map[string]bool {
	id := numbers()
	m, err := catalog.Compile(c, id)
	if err != nil {
		t.Fatal(err)
	}
	var held []postern.ScopeID
	for _, s := range h.Scopes {
		held = append(held, id(s))
	}
	slices.Sort(held)
	out := make(map[string]bool)
	for _, op := range m.Ops() {
		reason, _ := postern.Permit(h.Kind, h.All, held, &op.Need, nil)
		out[op.Name] = reason == postern.ReasonAllowed || reason == postern.ReasonPublic
	}
	return out
}

func operation(c *catalog.Catalog, name string) *catalog.Operation {
	for i := range c.Operations {
		if c.Operations[i].Name == name {
			return &c.Operations[i]
		}
	}
	return nil
}

// A foreign API with an open operation touches no key that exists.
func TestNoKeyGainsWhatIsPublic(t *testing.T) {
	a, _ := parse(t, "openapi: 3.0.0\npaths: {}\n"+schemes, catalog.Options{})
	b, _ := parse(t, "openapi: 3.0.0\npaths: {/status: {get: {operationId: status, security: []}}}\n"+schemes, catalog.Options{})
	for _, e := range []catalog.Effect{catalog.Compare(a, b).Effect(catalog.Holder{Kind: postern.KindServiceKey}), catalog.Compare(b, a).Effect(catalog.Holder{Kind: postern.KindServiceKey})} {
		if e.Touched() {
			t.Errorf("a key without scopes gains %v and loses %v, want nothing", e.Gains, e.Loses)
		}
	}
	if d := catalog.Compare(a, b); len(d.Operations) != 1 || !d.Operations[0].After.Public {
		t.Errorf("operations = %+v, want the one that is public", d.Operations)
	}
}
