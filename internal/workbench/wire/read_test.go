package wire

import (
	"errors"
	"strings"
	"testing"

	"postern.dev/postern/api"
)

func TestEach(t *testing.T) {
	many := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	for _, tt := range []struct {
		name, in string
		items    int
		ok, much bool
	}{
		{"none", " [ ]", 0, true, false},
		{"with a mark before it", "\ufeff[{}]", 1, true, false},
		{"two", `[{"name":"a\"]}","calls":2}, {"operations":[{"path":"/x/{id}"}],"callers":[],"scopes":["a"]}] and more`, 2, true, false},
		{"as many operations as there may be", `[{"operations":[` + many("{}", 1000) + `]}]`, 1, true, false},
		{"an operation more", `[{"operations":[` + many("{}", 1001) + `]}]`, 0, false, true},
		{"in capitals", `[{"OPERATIONS":[` + many("{}", 1001) + `]}]`, 0, false, true},
		{"callers", `[{"callers":[` + many("{}", 201) + `]}]`, 0, false, true},
		{"scopes", `[{"scopes":[` + many(`""`, 501) + `]}]`, 0, false, true},
		{"reasons", `[{"reasons":[` + many(`""`, 51) + `]}]`, 0, false, true},
		{"many of all", `[` + many(`{"operations":[`+many("{}", 1000)+`]}`, 201) + `]`, 200, false, true},
		{"an element that is too big", `[{"name":"` + strings.Repeat("a", MaxItemSize) + `"}]`, 0, false, true},
		{"a whole that is too big", "[" + strings.Repeat(" ", MaxBytes) + "]", 0, false, true},
		{"the same twice", `[{"calls":1,"Calls":2}]`, 0, false, false},
		{"the same twice within", `[{"operations":[{"path":"a","path":"b"}]}]`, 0, false, false},
		{"unknown", `[{"secret":"x"}]`, 0, false, false},
		{"deep", `[{"name":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]`, 0, false, true},
		{"no array", `{"items":[]}`, 0, false, false},
		{"no objects", `[1]`, 0, false, false},
		{"no comma", `[{}{}]`, 1, false, false},
		{"a comma at the end", `[{},]`, 1, false, false},
		{"cut", `[{"name":"a`, 0, false, false},
		{"wrong brackets", `[{"scopes":["a"}]]`, 0, false, false},
	} {
		n := 0
		err := Each(strings.NewReader(tt.in), func(*api.InventoryItem) error { n++; return nil })
		if (err == nil) != tt.ok || errors.Is(err, ErrTooMuch) != tt.much || n != tt.items {
			t.Errorf("%s: %d items, %v; want %d, ok %v, too much %v", tt.name, n, err, tt.items, tt.ok, tt.much)
		}
	}
}
