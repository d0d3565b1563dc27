package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Field is what a named column or JSON member holds.
type Field string

// The fields, by the names that FieldNames takes.
const (
	FieldTime      Field = "time"
	FieldMethod    Field = "method"
	FieldURL       Field = "url"     // path and query, or a whole URL
	FieldPath      Field = "path"    // only a path
	FieldQuery     Field = "query"   // only the query
	FieldRequest   Field = "request" // "GET /path HTTP/1.1"
	FieldStatus    Field = "status"
	FieldIP        Field = "ip"
	FieldUserAgent Field = "user_agent"
	FieldHost      Field = "host"
	FieldAuth      Field = "authorization" // the header, or the bare secret
	FieldSecret    Field = "secret"        // the bare secret, wherever the client put it
	FieldName      Field = "name"          // what the log calls the credential
	fieldDate      Field = "date"          // W3C writes day and time apart
)

var fields = []Field{FieldTime, FieldMethod, FieldURL, FieldPath, FieldQuery, FieldRequest, FieldStatus, FieldIP,
	FieldUserAgent, FieldHost, FieldAuth, FieldSecret, FieldName}

// names are what logs call the fields, flattened to lower-case letters and digits with dots between levels. Where a
// line has several names of one field, the earlier in its list wins.
var names = map[Field][]string{
	FieldTime: {"timelocal", "timeiso8601", "timestamp", "time", "ts", "starttime", "startutc", "edgestarttimestamp", "requesttimestamp",
		"requestedat", "requesttime", "datetime", "date", "createdat", "startedat", "eventtime", "occurredat", "msec", "at", "timelocalstr"},
	FieldMethod: {"requestmethod", "method", "httpmethod", "request.method", "httprequest.requestmethod", "clientrequestmethod", "csmethod",
		"verb", "http.method", "http.request.method", "request.httpmethod"},
	FieldURL: {"requesturi", "request.uri", "request.url", "uri", "url", "clientrequesturi", "httprequest.requesturl", "requesturl",
		"fullurl", "http.url", "url.original", "endpoint", "requestline.uri"},
	FieldPath:    {"requestpath", "request.path", "path", "csuristem", "clientrequestpath", "http.path", "url.path", "route"},
	FieldQuery:   {"querystring", "request.querystring", "args", "csuriquery", "query", "url.query"},
	FieldRequest: {"request", "requestline", "http.requestline"},
	FieldStatus: {"status", "statuscode", "responsecode", "downstreamstatus", "response.status", "edgeresponsestatus", "scstatus",
		"httprequest.status", "responsestatus", "responsestatuscode", "http.statuscode", "http.response.statuscode", "httpstatus", "code"},
	FieldIP: {"clientip", "request.clientip", "request.remoteip", "request.remoteaddr", "remoteip", "httprequest.remoteip", "xforwardedfor",
		"httpxforwardedfor", "remoteaddr", "clienthost", "cip", "sourceip", "ipaddress", "ip", "downstreamremoteaddress", "client.ip", "remoteaddress"},
	FieldUserAgent: {"useragent", "httpuseragent", "request.headers.useragent", "requestuseragent", "csuseragent", "clientrequestuseragent",
		"httprequest.useragent", "http.useragent", "useragent.original"},
	FieldHost: {"httphost", "request.host", "host", "requesthost", "authority", "clientrequesthost", "cshost", "xhostheader", "domain"},
	FieldAuth: {"authorization", "httpauthorization", "request.headers.authorization", "requestauthorization", "headers.authorization",
		"requestheaders.authorization", "request.headers.privateapp", "request.headers.xapikey"},
	FieldSecret: {"hapikey", "apikey", "arghapikey", "accesstoken", "token"},
	FieldName: {"appname", "app", "appid", "privateappid", "integration", "integrationname", "consumer.username", "consumer.id", "credential",
		"keyname", "apikeyname", "keyid", "source", "client"},
	fieldDate: {"date"},
}

// byName is names the other way round: a field and its rank among the names of it.
var byName = func() map[string]named {
	m := map[string]named{}
	for f, all := range names {
		for i, n := range all {
			if at, ok := m[n]; !ok || f == FieldTime && at.field == fieldDate {
				m[n] = named{f, i}
			}
		}
	}
	return m
}()

type named struct {
	field Field
	rank  int
}

// flat writes a name as names has it.
func flat(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			b.WriteRune(r)
		}
	}
	return strings.Trim(b.String(), ".")
}

// FieldNames says which columns or JSON members hold what, for logs whose names
// aren't known here: "time=when,url=req.target". A name's levels are joined by dots.
func FieldNames(text string) (map[string]Field, error) {
	out := map[string]Field{}
	for _, pair := range strings.Split(text, ",") {
		f, n, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || n == "" {
			return nil, fmt.Errorf("%q is no field: write FIELD=NAME, such as time=when", pair)
		}
		if !slices.Contains(fields, Field(f)) {
			return nil, fmt.Errorf("there is no field %q: the fields are %s", f, fieldList())
		}
		out[flat(n)] = Field(f)
	}
	return out, nil
}

func fieldList() string {
	var all []string
	for _, f := range fields {
		all = append(all, string(f))
	}
	return strings.Join(all, ", ")
}

// values are what one line holds of each field, the best name's value of each.
type values struct {
	own  map[string]Field
	rank map[Field]int
	text map[Field][]byte
}

func (v *values) reset() {
	if v.rank == nil {
		v.rank, v.text = map[Field]int{}, map[Field][]byte{}
	}
	clear(v.rank)
	clear(v.text)
}

// find is the field that a flat name is of, and its rank.
func (v *values) find(name string) (named, bool) {
	if f, ok := v.own[name]; ok {
		return named{f, -1}, true
	}
	n, ok := byName[name]
	return n, ok
}

func (v *values) put(n named, value []byte) {
	if len(value) == 0 || len(value) == 1 && value[0] == '-' {
		return
	}
	if at, ok := v.rank[n.field]; ok && at <= n.rank {
		return
	}
	v.rank[n.field], v.text[n.field] = n.rank, value
}

// call makes a call of the values.
func (v *values) call(c *Call, k *clock) Fault {
	c.Name = v.text[FieldName]
	c.UserAgent = v.text[FieldUserAgent]
	if h := v.text[FieldHost]; h != nil {
		c.Host = h
	}
	c.address(v.text[FieldIP])
	c.status(v.text[FieldStatus])
	if !v.request(c) {
		if len(v.text) < 2 {
			return Unknown
		}
		return BadRequest
	}
	if q := v.text[FieldQuery]; q != nil {
		c.query(bytes.TrimPrefix(q, []byte("?")))
	}
	if a := v.text[FieldAuth]; a != nil {
		c.authorization(a)
	}
	if s := v.text[FieldSecret]; s != nil && c.Secret == nil {
		c.secret(bytes.TrimSpace(s), InField)
	}
	when := v.text[FieldTime]
	if d := v.text[fieldDate]; d != nil && when != nil && len(d) == 10 {
		when = append(append(bytes.Clone(d), ' '), when...)
	}
	t, ok := k.read(when)
	if !ok {
		return BadTime
	}
	c.At = t
	return OK
}

// request takes the request from whichever fields have it.
func (v *values) request(c *Call) bool {
	if m := v.text[FieldMethod]; m != nil {
		c.method(bytes.ToUpper(m))
	}
	for _, f := range []Field{FieldURL, FieldPath} {
		if t := v.text[f]; t != nil && c.target(t) {
			return true
		}
	}
	r := v.text[FieldRequest]
	return r != nil && (c.request(r) || c.target(r))
}
