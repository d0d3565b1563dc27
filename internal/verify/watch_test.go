package verify_test

import (
	"context"
	"net/netip"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// What is tried refuses nothing, and says what it would refuse: the same that is
// refused once it counts.
func TestWatchedNarrowing(t *testing.T) {
	w := newWorld(t)
	nets := func(list ...string) *[]netip.Prefix {
		out := []netip.Prefix{}
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return &out
	}
	scopes := func(list ...postern.Scope) *[]postern.Scope { return &list }
	for name, c := range map[string]struct {
		watch        postern.Watch
		method, path string
		want         postern.Reason
		missing      string
	}{
		"a scope less":             {postern.Watch{Scopes: scopes("deals.read")}, "POST", "/deals", postern.ReasonInsufficientScope, "deals.write"},
		"a call without it":        {postern.Watch{Scopes: scopes("deals.read")}, "GET", "/deals", postern.ReasonNone, ""},
		"another way":              {postern.Watch{Scopes: scopes("crm.all")}, "GET", "/deals", postern.ReasonNone, ""},
		"none at all":              {postern.Watch{Scopes: scopes()}, "GET", "/deals", postern.ReasonInsufficientScope, "deals.read"},
		"a public operation":       {postern.Watch{Scopes: scopes()}, "GET", "/ping", postern.ReasonNone, ""},
		"an address list":          {postern.Watch{Networks: nets("198.51.100.0/24")}, "GET", "/deals", postern.ReasonAddressNotAllowed, ""},
		"one with the address":     {postern.Watch{Networks: nets("198.51.100.0/24", "203.0.113.0/24")}, "GET", "/deals", postern.ReasonNone, ""},
		"the address before scope": {postern.Watch{Scopes: scopes(), Networks: nets("198.51.100.0/24")}, "GET", "/deals", postern.ReasonAddressNotAllowed, ""},
		"from anywhere":            {postern.Watch{Networks: nets()}, "GET", "/deals", postern.ReasonNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			secret, row := w.key(func(r *postern.CredentialRow) {
				r.Scopes = []postern.Scope{"deals.read", "deals.write"}
				r.Watch = &c.watch
			})
			req := get(secret, c.method, c.path)
			d := w.want(req, map[bool]postern.Reason{true: postern.ReasonPublic, false: postern.ReasonAllowed}[c.path == "/ping"])
			if d.Would != c.want {
				t.Errorf("Would = %v, want %v", d.Would, c.want)
			}
			w.v.Done(req, &d, verify.Outcome{Status: 200})
			if w.sink.last.Missing != c.missing || w.sink.last.Decision.Would != c.want {
				t.Errorf("recorded Would = %v, Missing = %q; want %v, %q", w.sink.last.Decision.Would, w.sink.last.Missing, c.want, c.missing)
			}
			// Enforced, it refuses that; and nothing is tried any longer.
			row.Watch = nil
			if c.watch.Scopes != nil {
				row.Scopes = *c.watch.Scopes
			}
			if c.watch.Networks != nil {
				row.Networks = *c.watch.Networks
			}
			w.put(row)
			d = verifyWith(t, w.v, req)
			if would := d.Reason; would == postern.ReasonAllowed || would == postern.ReasonPublic {
				if c.want != postern.ReasonNone {
					t.Errorf("enforced, it is %v; tried, it would have been %v", d.Reason, c.want)
				}
			} else if would != c.want {
				t.Errorf("enforced, it is %v; tried, it would have been %v", d.Reason, c.want)
			}
			if d.Would != postern.ReasonNone {
				t.Errorf("Would = %v with nothing tried", d.Would)
			}
		})
	}
}

// A watch goes with its row: a row that was altered, or an older one, leaves none behind.
func TestWatchGoesWithItsRow(t *testing.T) {
	w := newWorld(t)
	secret, row := w.key(func(r *postern.CredentialRow) {
		r.Watch = &postern.Watch{Scopes: &[]postern.Scope{}}
	})
	req := get(secret, "GET", "/deals")
	if d := w.want(req, postern.ReasonAllowed); d.Would != postern.ReasonInsufficientScope {
		t.Fatalf("Would = %v", d.Would)
	}
	// The watch is under the seal.
	altered := row
	altered.Revision++
	altered.Watch = nil
	seq := w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = altered })
	w.catchUp(seq)
	w.want(req, postern.ReasonUnknownKey)
	row.Revision++
	row.Watch = nil
	w.put(row)
	if d := w.want(req, postern.ReasonAllowed); d.Would != postern.ReasonNone {
		t.Errorf("Would = %v after the watch was taken away", d.Would)
	}
}

// A key on which nothing is tried pays nothing for it.
func BenchmarkWatched(b *testing.B) {
	for name, watch := range map[string]*postern.Watch{"no": nil, "yes": {Scopes: &[]postern.Scope{"deals.read"}}} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			secret, _ := w.key(func(r *postern.CredentialRow) { r.Watch = watch })
			req := get(secret, "GET", "/deals")
			b.ReportAllocs()
			for b.Loop() {
				if d, _ := w.v.Verify(context.Background(), req); !d.Allowed {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}
