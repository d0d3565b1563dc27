package accesslog

import (
	"bytes"

	"github.com/valyala/fastjson"
)

// jsonLines reads lines that are JSON objects, under the many names that servers
// and proxies give to the same things.
type jsonLines struct {
	parser fastjson.Parser
	values values
	clock  clock
	flat   map[string]string // names as they stand, flattened
	prefix []byte
}

// maxNames bounds how many different names are remembered.
const maxNames = 4096

// JSONLines makes a Format of JSON objects, one a line. own says which members hold what, beside the known names.
func JSONLines(own map[string]Field) Format {
	return &jsonLines{values: values{own: own}, flat: map[string]string{}}
}

func (j *jsonLines) Name() string { return "json" }

// Parse reads a line.
func (j *jsonLines) Parse(line []byte, c *Call) Fault {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return Unknown
	}
	v, err := j.parser.ParseBytes(line)
	if err != nil {
		return Unknown
	}
	o, err := v.Object()
	if err != nil {
		return Unknown
	}
	j.values.reset()
	j.walk("", o, 0)
	return j.values.call(c, &j.clock)
}

// walk takes members as deep as logs nest them.
func (j *jsonLines) walk(prefix string, o *fastjson.Object, depth int) {
	o.Visit(func(key []byte, v *fastjson.Value) {
		name := j.name(prefix, key)
		switch v.Type() {
		case fastjson.TypeObject:
			if depth < 3 {
				inner, _ := v.Object()
				j.walk(name+".", inner, depth+1)
			}
		case fastjson.TypeArray: // headers, as some write them
			if all, _ := v.Array(); len(all) > 0 && all[0].Type() == fastjson.TypeString {
				j.put(name, all[0].GetStringBytes())
			}
		case fastjson.TypeString:
			j.put(name, v.GetStringBytes())
		case fastjson.TypeNumber:
			if n, ok := j.values.find(name); ok {
				j.values.put(n, v.MarshalTo(nil))
			}
		}
	})
}

func (j *jsonLines) put(name string, value []byte) {
	if n, ok := j.values.find(name); ok {
		j.values.put(n, value)
	}
}

// name flattens a member's name once.
func (j *jsonLines) name(prefix string, key []byte) string {
	j.prefix = append(append(j.prefix[:0], prefix...), key...)
	if n, ok := j.flat[string(j.prefix)]; ok {
		return n
	}
	if len(j.flat) >= maxNames {
		clear(j.flat)
	}
	n := prefix + flat(string(key))
	j.flat[string(j.prefix)] = n
	return n
}
