package postern

import (
	"encoding/base64"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testPepper(t testing.TB, lines ...string) *Pepper {
	t.Helper()
	p, err := ParsePepper(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pepperLine(version, fill string) string {
	return version + ":" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 32)))
}

func TestPepper(t *testing.T) {
	one, two := pepperLine("1", "a"), pepperLine("2", "b")
	old, both := testPepper(t, one), testPepper(t, "# a comment", "", two, one)
	s := NewSecret(DefaultBrand, SecretServiceKey, NewKeyID())
	before, v1 := old.Hash(s)
	after, v2 := both.Hash(s)
	if v1 != 1 || v2 != 2 || before == after {
		t.Errorf("hashes of versions %d and %d, the same: %v", v1, v2, before == after)
	}
	if again, ok := both.HashUnder(1, s); !ok || again != before {
		t.Error("an older version no longer gives its hash")
	}
	if _, ok := old.HashUnder(2, s); ok {
		t.Error("a version that isn't live gives a hash")
	}
	if old.Fingerprint(1) != both.Fingerprint(1) || both.Fingerprint(1) == both.Fingerprint(2) || both.Fingerprint(3) != "" {
		t.Error("the fingerprints don't tell the peppers apart")
	}
	a, _ := old.Derive(1, "a")
	b, _ := old.Derive(1, "b")
	if a == b {
		t.Error("two purposes get one key")
	}
	if _, err := ParsePepper(NewPepper()); err != nil {
		t.Error(err)
	}
}

func TestParsePepperRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "empty",
		"1":                                   "line 1",
		"0:" + "AAAA":                         "line 1",
		"256:AAAA":                            "line 1",
		pepperLine("1", "a") + "\n1:c2hvcnQ=": "line 2",
		pepperLine("1", "a") + "\n" + pepperLine("1", "b"): "twice",
		"1:not base64, but hunter2hunter2hunter2hunter2":   "line 1",
	} {
		_, err := ParsePepper(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the content: %v", err)
		}
	}
}

func FuzzParsePepper(f *testing.F) {
	f.Add(pepperLine("1", "a"))
	f.Add("# x\n\n2:AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePepper(text)
		if err != nil {
			return
		}
		if !p.Has(p.Latest()) || len(p.Versions()) == 0 || p.Fingerprint(p.Latest()) == "" {
			t.Errorf("%q gives a pepper of latest version %d", text, p.Latest())
		}
	})
}

// Every field of a row is under its seal.
func TestSealCoversEveryField(t *testing.T) {
	p := testPepper(t, pepperLine("1", "a"))
	t0 := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	fresh := func() CredentialRow {
		r := CredentialRow{Key: "Kx7pQ2mN8vR4tW6z", AccountID: "acc_1", Kind: KindServiceKey, MemberID: "mem_1", Scopes: []Scope{"a", "b"},
			Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Current: SecretHash{Hash: hashA, Pepper: 1, Generation: 2, LastFour: "abcd"},
			Previous: SecretHash{Hash: hashB, Pepper: 1, Generation: 1, LastFour: "efgh"}, PreviousUntil: t0, NotBefore: t0, ExpiresAt: t0,
			PausedAt: t0, RevokedAt: t0, DeletedAt: t0, Rate: Rate{Calls: 5, Per: time.Second}, Revision: 7}
		watch := func() *Watch {
			return &Watch{Scopes: &[]Scope{"a"}, Networks: &[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Since: t0, By: "mem_1"}
		}
		r.Watch = watch()
		r.Undo = &Undo{Until: t0, By: "mem_1", Revision: 7, Scopes: []Scope{"a", "b"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			ExpiresAt: t0, PausedAt: t0, FlaggedAt: t0, FlaggedWhy: "x", Watch: watch()}
		r.Retiring = &Retiring{DeprecatedAt: t0, SunsetAt: t0, Find: "prefix:a", Hash: "x", Brownouts: []Window{{t0, t0.Add(time.Hour)}}}
		r.Seal(p)
		return r
	}
	if r := fresh(); !r.Sealed(p) {
		t.Fatal("a row as it was sealed isn't")
	}
	change := func(t *testing.T, at string, v reflect.Value, row *CredentialRow) {
		switch v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(t0.Add(time.Hour)))
		case []Scope:
			v.Set(reflect.ValueOf([]Scope{"a", "b", "c"}))
		case []netip.Prefix:
			v.Set(reflect.ValueOf([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}))
		case []Window:
			v.Set(reflect.ValueOf([]Window{{t0, t0.Add(2 * time.Hour)}}))
		case [32]byte:
			v.Set(reflect.ValueOf(hashC))
		default:
			switch {
			case v.Kind() == reflect.String:
				v.SetString(v.String() + "x")
			case v.Kind() == reflect.Bool:
				v.SetBool(!v.Bool())
			case v.CanInt():
				v.SetInt(v.Int() + 1)
			case v.CanUint():
				v.SetUint(v.Uint() + 1)
			default:
				t.Fatalf("%s: a field of a type that this test doesn't know", at)
			}
		}
		if row.Sealed(p) {
			t.Errorf("%s can be changed without breaking the seal", at)
		}
	}
	// every changes each field within a struct, of which get gives the value in a row, and takes away what is pointed to.
	var every func(at string, typ reflect.Type, get func(row *CredentialRow) reflect.Value)
	every = func(at string, typ reflect.Type, get func(row *CredentialRow) reflect.Value) {
		row := fresh()
		switch {
		case typ.Kind() == reflect.Struct && typ != reflect.TypeFor[time.Time]():
			for i := range typ.NumField() {
				every(at+"."+typ.Field(i).Name, typ.Field(i).Type, func(row *CredentialRow) reflect.Value { return get(row).Field(i) })
			}
		case typ.Kind() == reflect.Pointer:
			get(&row).SetZero()
			if row.Sealed(p) {
				t.Errorf("%s can be taken away without breaking the seal", at)
			}
			every(at, typ.Elem(), func(row *CredentialRow) reflect.Value { return get(row).Elem() })
		default:
			change(t, at, get(&row), &row)
		}
	}
	every("row", reflect.TypeFor[CredentialRow](), func(row *CredentialRow) reflect.Value { return reflect.ValueOf(row).Elem() })
	// What is in one list can't be moved into another, nor two scopes become one.
	a, b := fresh(), fresh()
	b.Scopes = []Scope{"a b"}
	if string(a.canonical()) == string(b.canonical()) {
		t.Error("two rows have the same bytes")
	}
}
