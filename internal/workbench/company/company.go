// Package company makes up a company's old credentials and ninety days of their
// traffic, as the access logs of several proxies would have it. What each
// credential is for is known, so that what an inventory says of it can be judged.
// Equal seeds give equal traffic.
package company

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"postern.dev/postern/internal/catalog"
)

// Archetype is what a credential is for.
type Archetype string

// The archetypes.
const (
	NightlySync Archetype = "nightly_sync"
	BIRefresh   Archetype = "bi_refresh"
	Webhooks    Archetype = "webhook_consumer"
	Abandoned   Archetype = "abandoned"
	Leaked      Archetype = "leaked"
	MonthlyJob  Archetype = "monthly_job"
	OverScoped  Archetype = "over_scoped"
	Shared      Archetype = "shared"
)

// Archetypes are all of them.
func Archetypes() []Archetype {
	return []Archetype{NightlySync, BIRefresh, Webhooks, Abandoned, Leaked, MonthlyJob, OverScoped, Shared}
}

// Credential is an old credential and what is true of it.
type Credential struct {
	Archetype Archetype
	Name      string
	Secret    string
	InQuery   bool // presented as ?hapikey=
	Clients   []Client
	Calls     []Template // what it does
}

// Client is a tool that uses a credential.
type Client struct{ IP, UserAgent string }

// Template is a kind of call: a method and a path with {} for ids.
type Template struct{ Method, Path string }

// Call is one call of the traffic.
type Call struct {
	At         time.Time
	Credential *Credential
	Client     Client
	Method     string
	Target     string // path and query, without the credential
	Status     int
}

// Company is all of it.
type Company struct {
	Credentials []*Credential
	From        time.Time
	Days        int
	seed        uint64
	busy        int
}

// New makes up a company: five credentials of each archetype, which use the
// operations of catalogs. busy multiplies the traffic: 1 gives some hundred thousand
// calls in ninety days.
func New(seed uint64, cats []*catalog.Catalog, prefixes []string, from time.Time, days, busy int) *Company {
	rnd := rand.New(rand.NewPCG(seed, 40))
	c := &Company{From: from.UTC().Truncate(24 * time.Hour), Days: days, seed: seed, busy: max(1, busy)}
	for n := range 5 {
		for _, a := range Archetypes() {
			which := rnd.IntN(len(cats))
			c.Credentials = append(c.Credentials, newCredential(rnd, a, n, cats[which], prefixes[which]))
		}
	}
	return c
}

var teams = []string{"finance", "sales", "support", "marketing", "warehouse"}

func newCredential(rnd *rand.Rand, a Archetype, n int, cat *catalog.Catalog, prefix string) *Credential {
	c := &Credential{Archetype: a, Name: teams[n] + "-" + strings.ReplaceAll(string(a), "_", "-")}
	uuid := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", rnd.Uint32(), rnd.Uint32()&0xffff, rnd.Uint32()&0xffff, rnd.Uint32()&0xffff, rnd.Uint64()&0xffffffffffff)
	c.Secret = "pat-na1-" + uuid
	if rnd.IntN(3) == 0 {
		c.Secret, c.InQuery = uuid, true
	}
	agents := map[Archetype][]string{
		NightlySync: {"apache-airflow/2.9.1"}, BIRefresh: {"Microsoft.Data.Mashup/2.128"}, Webhooks: {"event-relay/1.4"}, Abandoned: {"Zapier"},
		Leaked: {"dbt-runner/1.7", "Go-http-client/1.1"}, MonthlyJob: {"billing-close/3.0"}, OverScoped: {"python-requests/2.31.0"},
		Shared: {"Looker/24.2", "fivetran-connector/9", "node-fetch/1.0"},
	}[a]
	for k, ua := range agents {
		c.Clients = append(c.Clients, Client{IP: fmt.Sprintf("%d.%d.%d.%d", 60+n*8+k, 10+rnd.IntN(200), rnd.IntN(256), 1+rnd.IntN(250)), UserAgent: ua})
	}
	reads, writes := operations(cat, prefix)
	rnd.Shuffle(len(reads), func(i, j int) { reads[i], reads[j] = reads[j], reads[i] })
	rnd.Shuffle(len(writes), func(i, j int) { writes[i], writes[j] = writes[j], writes[i] })
	c.Calls = slices.Clone(reads[:min(len(reads), 2+rnd.IntN(5))])
	switch a {
	case NightlySync, Leaked, Shared, Webhooks:
		c.Calls = append(c.Calls, writes[:min(len(writes), 1+rnd.IntN(3))]...)
	case OverScoped:
		c.Calls = c.Calls[:1]
	}
	if a == Webhooks {
		c.Calls = append(c.Calls, Template{"GET", "/webhooks/v3/{}/subscriptions"}, Template{"POST", "/webhooks/v3/{}/subscriptions"})
	}
	return c
}

// operations are those that some scope opens.
func operations(cat *catalog.Catalog, prefix string) (reads, writes []Template) {
	for i := range cat.Operations {
		op := &cat.Operations[i]
		if op.Public || op.Uncovered || op.Denied || len(op.Ways) == 0 || !op.Satisfiable() {
			continue
		}
		t := Template{op.Method, prefix + holes(op.Path)}
		if op.Method == "GET" {
			reads = append(reads, t)
		} else {
			writes = append(writes, t)
		}
	}
	return reads, writes
}

// holes leaves the parameters of a template open.
func holes(path string) string {
	for {
		from := strings.IndexByte(path, '{')
		for from >= 0 && from+1 < len(path) && path[from+1] == '}' { // one that is open already
			next := strings.IndexByte(path[from+1:], '{')
			if next < 0 {
				return path
			}
			from += 1 + next
		}
		if from < 0 {
			return path
		}
		to := strings.IndexByte(path[from:], '}')
		path = path[:from] + "{}" + path[from+to+1:]
	}
}

// Traffic is every call in the order of time.
func (c *Company) Traffic() iter.Seq[Call] {
	return func(yield func(Call) bool) {
		rnd := rand.New(rand.NewPCG(c.seed, 90))
		for day := range c.Days {
			var calls []Call
			for _, cred := range c.Credentials {
				calls = append(calls, c.day(rnd, cred, c.From.AddDate(0, 0, day), day)...)
			}
			slices.SortStableFunc(calls, func(a, b Call) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
			for _, call := range calls {
				if !yield(call) {
					return
				}
			}
		}
	}
}

// day is what a credential does on one day.
func (c *Company) day(rnd *rand.Rand, cred *Credential, start time.Time, n int) (out []Call) {
	at := func(client int, offset time.Duration, calls int) {
		for range calls * c.busy {
			out = append(out, c.call(rnd, cred, cred.Clients[client], start.Add(offset)))
			offset += time.Duration(200+rnd.IntN(2000)) * time.Millisecond
		}
	}
	weekend := start.Weekday() == time.Saturday || start.Weekday() == time.Sunday
	switch cred.Archetype {
	case NightlySync:
		at(0, 2*time.Hour+time.Duration(rnd.IntN(120))*time.Second, 60)
	case BIRefresh:
		for hour := range 24 {
			at(0, time.Duration(hour)*time.Hour+5*time.Minute+time.Duration(rnd.IntN(100))*time.Second, 4)
		}
	case Webhooks:
		for range 40 {
			at(0, time.Duration(rnd.IntN(86000))*time.Second, 1)
		}
	case Abandoned:
		if n < 12 {
			at(0, 9*time.Hour, 20)
		}
	case Leaked:
		at(0, 4*time.Hour, 40)
		if n > 30 {
			at(1, time.Duration(rnd.IntN(86000))*time.Second, 3+rnd.IntN(10))
		}
	case MonthlyJob:
		if start.Day() == 3 {
			at(0, 6*time.Hour+30*time.Minute, 50)
		}
	case OverScoped:
		if !weekend {
			for range 30 {
				at(0, 8*time.Hour+time.Duration(rnd.IntN(10*3600))*time.Second, 1)
			}
		}
	case Shared:
		at(0, 7*time.Hour, 15)
		at(1, 13*time.Hour, 15)
		at(2, time.Duration(rnd.IntN(86000))*time.Second, 15)
	}
	return out
}

func (c *Company) call(rnd *rand.Rand, cred *Credential, client Client, at time.Time) Call {
	t := cred.Calls[rnd.IntN(len(cred.Calls))]
	target := t.Path
	for strings.Contains(target, "{}") {
		target = strings.Replace(target, "{}", fmt.Sprint(100000+rnd.IntN(900000)), 1)
	}
	if t.Method == "GET" && rnd.IntN(2) == 0 {
		target += "?limit=100"
	}
	status := 200
	switch r := rnd.IntN(1000); {
	case r < 5:
		status = 429
	case r < 8:
		status = 502
	case r < 20:
		status = 404
	}
	return Call{At: at, Credential: cred, Client: client, Method: t.Method, Target: target, Status: status}
}

// Style is how a proxy writes its log.
type Style string

// The styles. A combined log has no header of the client's but its user agent, so
// that only credentials in addresses can be told apart in it.
const (
	Combined Style = "combined"
	JSON     Style = "json"
	Envoy    Style = "envoy-json"
	CSV      Style = "csv"
)

// Head is what a log of this style begins with.
func (s Style) Head() string {
	if s == CSV {
		return "Request time,Method,URL,Status code,IP address,User agent,Authorization\n"
	}
	return ""
}

// Write writes a call as a line.
func (s Style) Write(w io.Writer, c *Call) {
	target, auth := c.Target, "Bearer "+c.Credential.Secret
	if c.Credential.InQuery {
		sep := "?"
		if strings.Contains(target, "?") {
			sep = "&"
		}
		target, auth = target+sep+"hapikey="+c.Credential.Secret, "-"
	}
	at := c.At.UTC()
	switch s {
	case Combined:
		fmt.Fprintf(w, "%s - - [%s] \"%s %s HTTP/1.1\" %d 512 \"-\" \"%s\"\n", c.Client.IP, at.Format("02/Jan/2006:15:04:05 -0700"), c.Method, target, c.Status, c.Client.UserAgent)
	case JSON:
		fmt.Fprintf(w, `{"time":"%s","remote_addr":"%s","request":"%s %s HTTP/1.1","status":%d,"user_agent":"%s","http_authorization":"%s"}`+"\n",
			at.Format(time.RFC3339Nano), c.Client.IP, c.Method, target, c.Status, c.Client.UserAgent, auth)
	case Envoy:
		fmt.Fprintf(w, `{"start_time":"%s","method":"%s","path":"%s","response_code":%d,"x_forwarded_for":"%s","user_agent":"%s","authorization":"%s","duration":12}`+"\n",
			at.Format("2006-01-02T15:04:05.000Z"), c.Method, target, c.Status, c.Client.IP, c.Client.UserAgent, auth)
	case CSV:
		fmt.Fprintf(w, "%s,%s,\"%s\",%d,%s,\"%s\",%s\n", at.Format("2006-01-02 15:04:05"), c.Method, target, c.Status, c.Client.IP, c.Client.UserAgent, auth)
	}
}

// WriteLog writes all traffic of the credentials that want picks in one style.
func (c *Company) WriteLog(w io.Writer, s Style, want func(*Credential) bool) error {
	b := bufio.NewWriterSize(w, 1<<16)
	b.WriteString(s.Head())
	for call := range c.Traffic() {
		if want == nil || want(call.Credential) {
			s.Write(b, &call)
		}
	}
	return b.Flush()
}
