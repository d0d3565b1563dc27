package catalog_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/catalog/catalogtest"
)

func TestEncoding(t *testing.T) {
	xeroCatalog, _ := xero(t)
	mixed, _ := parse(t, overlaid, catalog.Options{Upstream: "mixed", Overlay: overlay(t, "operations: {getA: {public: true}, byName: {omit: true}, byID: {deny: true}}")})
	for name, c := range map[string]*catalog.Catalog{"xero": xeroCatalog, "mixed": mixed, "big": catalogtest.Big(3800), "empty": {Upstream: "x"}} {
		data, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := catalog.Unmarshal(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("%s came back different:\n%s", name, diff)
		}
		again, err := back.Marshal()
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%s is encoded differently the second time (%v)", name, err)
		}
		t.Logf("%s: %d operations in %d kB", name, len(c.Operations), len(data)/1000)
	}
}

func TestDecodingRefuses(t *testing.T) {
	const good = `{"format":1,"upstream":"u","documents":[{"name":"a","sha256":""}],"kinds":[["service_key"]],"scopes":[{"name":"x","access":"read","opens":[0]}],` +
		`"operations":[{"name":"o","method":"GET","path":"/a","file":0,"ways":[{"s":[0],"k":0}]}]}`
	if _, err := catalog.Unmarshal([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, swap := range [][2]string{
		{`"format":1`, `"format":2`},
		{`"format":1`, `"format":0`},
		{`"format":1,`, ``},
		{`service_key`, `wizard_key`},
		{`"file":0`, `"file":1`},
		{`"file":0`, `"file":-1`},
		{`"file":0`, `"file":0,"state":"forbidden"`},
		{`"s":[0]`, `"s":[1]`},
		{`"s":[0]`, `"s":[-1]`},
		{`"s":[0]`, `"s":[]`},
		{`"k":0`, `"k":1`},
		{`,"ways":[{"s":[0],"k":0}]`, ``},
		{`"opens":[0]`, `"opens":[9]`},
		{`"access":"read"`, `"access":"maybe"`},
		{`"name":"x"`, `"name":"two words"`},
		{`"scopes":[`, `"scopes":[{"name":"x","access":"read"},`},
		{`"method":"GET"`, `"method":7`},
		{good, `[]`}, {good, ``}, {good, good + "x"}, {good, good[:50]},
	} {
		bad := strings.Replace(good, swap[0], swap[1], 1)
		if c, err := catalog.Unmarshal([]byte(bad)); c != nil || !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("with %q for %q: %v, want an error", swap[1], swap[0], err)
		}
	}
	_, err := catalog.Unmarshal([]byte(`{"format":7}`))
	if err == nil || !strings.Contains(err.Error(), "format 7") {
		t.Errorf("a newer format: %v, want its number named", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	small, _ := parse(f, overlaid, catalog.Options{Overlay: overlay(f, "operations: {byName: {omit: true}}")})
	data, err := small.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := catalog.Unmarshal(data)
		if err != nil {
			return
		}
		_, _ = catalog.Compile(c, numbers())
		again, err := c.Marshal()
		if err != nil {
			return
		}
		if _, err := catalog.Unmarshal(again); err != nil {
			t.Fatalf("what was decoded can't be decoded again: %v", err)
		}
	})
}
