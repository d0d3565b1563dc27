package console

import "testing"

// TestPackCSS: only what readers need goes; what browsers read stays.
func TestPackCSS(t *testing.T) {
	for in, want := range map[string]string{
		"/* all */\na > b , c {\n  color: red;\n  margin: 0 auto;\n}\n":           "a>b,c{color:red;margin:0 auto}",
		`.x :hover, .y::before { content: "; } : "; }`:                            `.x :hover,.y::before{content:"; } : "}`,
		"@media (max-width: 860px) and (hover) { a { width: calc(1px + 2px); } }": "@media (max-width:860px) and (hover){a{width:calc(1px + 2px)}}",
		"a { background: url('data:a b') } /* open":                               "a{background:url('data:a b')}",
	} {
		if got := string(packCSS([]byte(in))); got != want {
			t.Errorf("packCSS(%q) = %q, want %q", in, got, want)
		}
	}
}
