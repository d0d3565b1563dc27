package accesslog

import (
	"bytes"
	"fmt"
	"strings"
)

// part is what a piece of a line is, between two fixed texts.
type part uint8

const (
	skip part = iota
	ip
	forwarded // a list of addresses of which the first is the client's, where there is one
	at
	request
	method
	target // path and query
	path
	query // with or without its question mark
	secretParam
	status
	header // args[i] is its name
	host
	name
	rest // all that is left of the line
)

// template reads lines that a log format describes: fixed texts with variables between them.
type template struct {
	name  string
	start string // what stands before the first variable
	vars  []variable
	clock clock
}

// variable is a piece of a line, and the fixed text that ends it.
type variable struct {
	part   part
	arg    string
	until  string // empty only for the last
	quoted bool   // until is a quotation mark, and the value may hold escaped ones
}

func (t *template) Name() string { return t.name }

// Parse reads a line.
func (t *template) Parse(line []byte, c *Call) Fault {
	if !bytes.HasPrefix(line, []byte(t.start)) {
		return Unknown
	}
	line = line[len(t.start):]
	var fault Fault
	for i := range t.vars {
		v := &t.vars[i]
		value := line
		switch {
		case v.part == rest:
			line = nil
		case v.until == "":
			line = nil
			if bytes.IndexByte(value, '"') >= 0 && bytes.IndexByte(value, ' ') >= 0 {
				return Unknown // more columns than the format has
			}
		default:
			n := end(line, v)
			if n < 0 {
				return Unknown
			}
			value, line = line[:n], line[n+len(v.until):]
		}
		if f := t.take(v, value, c); f == Unknown {
			return f
		} else if fault == OK {
			fault = f
		}
	}
	if len(line) > 0 {
		return Unknown
	}
	if fault == OK && len(c.Path) == 0 {
		return BadRequest
	}
	return fault
}

// end is where a variable ends: at the text after it, outside escapes where it stands in quotation marks.
func end(line []byte, v *variable) int {
	if !v.quoted {
		return bytes.Index(line, []byte(v.until))
	}
	for from := 0; ; {
		n := bytes.Index(line[from:], []byte(v.until))
		if n < 0 {
			return -1
		}
		n += from
		slashes := 0
		for slashes < n && line[n-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return n
		}
		from = n + 1
	}
}

func (t *template) take(v *variable, value []byte, c *Call) Fault {
	none := len(value) == 0 || len(value) == 1 && value[0] == '-'
	if v.quoted && !none && bytes.IndexByte(value, '\\') >= 0 {
		value = unescapeSlash(value)
	}
	switch v.part {
	case ip:
		if none {
			return OK
		}
		if !c.IP.IsValid() {
			c.address(value)
		}
	case forwarded:
		if !none {
			c.address(value)
		}
	case at:
		when, ok := t.clock.read(value)
		if !ok {
			return BadTime
		}
		c.At = when
	case request:
		if !c.request(value) {
			return BadRequest
		}
	case method:
		if !c.method(value) {
			return BadRequest
		}
	case target, path:
		if !c.target(value) {
			return BadRequest
		}
	case query:
		c.query(bytes.TrimPrefix(value, []byte("?")))
	case secretParam:
		if !none {
			c.secret(value, InQuery)
		}
	case status:
		if !none {
			c.status(value)
			if c.Status == 0 {
				return Unknown // a status is what tells most formats apart
			}
		}
	case header:
		if !none {
			c.header(v.arg, value)
		}
	case host:
		if !none {
			c.Host = value
		}
	case name:
		if !none {
			c.Name = value
		}
	}
	return OK
}

// unescapeSlash undoes \xHH, \" and \\.
func unescapeSlash(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 == len(v) {
			out = append(out, v[i])
			continue
		}
		i++
		if v[i] == 'x' && i+2 < len(v) {
			if hi, lo := hex(v[i+1]), hex(v[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, v[i])
	}
	return out
}

// nginxVars are the variables of nginx's log_format that say something here; others are skipped.
var nginxVars = map[string]part{
	"remote_addr": ip, "binary_remote_addr": skip, "realip_remote_addr": ip, "proxy_protocol_addr": forwarded,
	"http_x_forwarded_for": forwarded, "proxy_add_x_forwarded_for": forwarded, "http_x_real_ip": forwarded,
	"time_local": at, "time_iso8601": at, "msec": at,
	"request": request, "request_method": method, "request_uri": target, "uri": path, "document_uri": path,
	"args": query, "query_string": query, "is_args": skip,
	"status": status, "host": host, "http_host": host,
	"rest": rest, // no variable of nginx: all that is left of a line
}

// apacheVars are the directives of Apache's LogFormat that say something here.
var apacheVars = map[byte]part{
	'h': ip, 'a': ip, 't': at, 'r': request, 'm': method, 'U': path, 'q': query, 's': status, 'V': host, 'v': host,
}

// FromTemplate makes a Format of what nginx's log_format or Apache's LogFormat
// says, whichever of the two it is. It gives an error where a request, a time or
// both could not be read from such lines.
func FromTemplate(text string) (Format, error) {
	text = strings.TrimSpace(text)
	t := &template{name: "custom"}
	var err error
	if strings.Contains(text, "$") {
		err = t.nginx(text)
	} else {
		err = t.apache(text)
	}
	if err != nil {
		return nil, err
	}
	return t, t.check()
}

func (t *template) check() error {
	has := map[part]bool{}
	for i, v := range t.vars {
		has[v.part] = true
		if v.until == "" && i < len(t.vars)-1 {
			return fmt.Errorf("the format has two variables with nothing between them, so that nobody can tell where the first ends")
		}
	}
	switch {
	case len(t.vars) == 0:
		return fmt.Errorf("the format names no variable: write nginx's ($request) or Apache's (%%r)")
	case !has[at]:
		return fmt.Errorf("the format has no time: it needs $time_local, $time_iso8601, $msec or %%t")
	case !has[request] && !has[target] && !has[path]:
		return fmt.Errorf("the format has no request: it needs $request, $request_uri or %%r")
	}
	return nil
}

// fixed adds text that stands between variables.
func (t *template) fixed(s string) {
	if s == "" {
		return
	}
	if len(t.vars) == 0 {
		t.start += s
		return
	}
	v := &t.vars[len(t.vars)-1]
	v.until += s
}

// settle finds which variables stand in quotation marks.
func (t *template) settle() {
	for i := range t.vars {
		before := t.start
		if i > 0 {
			before = t.vars[i-1].until
		}
		t.vars[i].quoted = strings.HasSuffix(before, `"`) && strings.HasPrefix(t.vars[i].until, `"`)
	}
}

func (t *template) nginx(text string) error {
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			t.fixed(text)
			break
		}
		t.fixed(text[:i])
		text = text[i+1:]
		braces := strings.HasPrefix(text, "{")
		text = strings.TrimPrefix(text, "{")
		n := 0
		for n < len(text) && (text[n] == '_' || text[n] >= 'a' && text[n] <= 'z' || text[n] >= 'A' && text[n] <= 'Z' || text[n] >= '0' && text[n] <= '9') {
			n++
		}
		if n == 0 {
			return fmt.Errorf("the format has a $ without a variable's name")
		}
		t.vars = append(t.vars, nginxVariable(strings.ToLower(text[:n])))
		text = text[n:]
		if braces {
			if !strings.HasPrefix(text, "}") {
				return fmt.Errorf("the format has a ${ that nothing closes")
			}
			text = text[1:]
		}
	}
	t.settle()
	return nil
}

func nginxVariable(v string) variable {
	if p, ok := nginxVars[v]; ok {
		return variable{part: p}
	}
	if arg, ok := strings.CutPrefix(v, "arg_"); ok {
		for _, p := range Params {
			if strings.ReplaceAll(p, "-", "_") == arg {
				return variable{part: secretParam}
			}
		}
	}
	if h, ok := strings.CutPrefix(v, "http_"); ok {
		return variable{part: header, arg: strings.ReplaceAll(h, "_", "-")}
	}
	return variable{part: skip}
}

func (t *template) apache(text string) error {
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			t.fixed(unquote(text))
			break
		}
		t.fixed(unquote(text[:i]))
		text = text[i+1:]
		if strings.HasPrefix(text, "%") {
			t.fixed("%")
			text = text[1:]
			continue
		}
		text = strings.TrimLeft(text, "<>!0123456789,")
		arg := ""
		if strings.HasPrefix(text, "{") {
			n := strings.IndexByte(text, '}')
			if n < 0 {
				return fmt.Errorf("the format has a %%{ that nothing closes")
			}
			arg, text = strings.ToLower(text[1:n]), text[n+1:]
		}
		if text == "" {
			return fmt.Errorf("the format ends in a %% without a letter")
		}
		letter := text[0]
		text = text[1:]
		v := variable{part: apacheVars[letter]}
		if letter == 'i' {
			v = variable{part: header, arg: arg}
		}
		if letter == 't' && arg == "" { // Apache puts brackets around it
			t.fixed("[")
			t.vars = append(t.vars, v)
			t.fixed("]")
			continue
		}
		t.vars = append(t.vars, v)
	}
	t.settle()
	return nil
}

// unquote undoes the \" with which configuration files write quotation marks.
func unquote(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }

// must is for the formats that are known here.
func must(name, text string) func() Format {
	return func() Format {
		f, err := FromTemplate(text)
		if err != nil {
			panic(err)
		}
		t := f.(*template)
		t.name = name
		return t
	}
}

// known are the formats that are tried on a line, in nginx's words; the ones that say more come first.
var known = []func() Format{
	must("combined", combined),
	must("combined with forwarded", combined+` "$http_x_forwarded_for"`),
	must("combined and more", combined+` $rest`),
	must("combined with host", `$http_host `+combined),
	must("common", `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent`),
	must("envoy", `[$time_iso8601] "$request" $status $flags $bytes_received $bytes_sent $duration $upstream_time `+
		`"$http_x_forwarded_for" "$http_user_agent" "$request_id" "$http_host" "$upstream_host"`),
	must("alb", `$type $time_iso8601 $balancer $remote_addr $backend $a $b $c $status $backend_status $received $sent "$request" "$http_user_agent" $rest`),
	must("haproxy", `$syslog]: $remote_addr [$time_local] $frontend $backend $timers $status $more "$request"`),
}

const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
