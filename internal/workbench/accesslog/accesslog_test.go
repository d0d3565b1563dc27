package accesslog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern/internal/workbench/accesslog"
)

const pat = "pat-na1-0a1b2c3d-1111-2222-3333-444455556666"

// seen is a call as the tests compare it.
type seen struct {
	At, Method, Host, Path, IP, UA, Name, Secret, In string
	Status                                           int
}

func see(c *accesslog.Call) seen {
	s := seen{At: c.At.UTC().Format(time.RFC3339Nano), Method: string(c.Method), Host: string(c.Host), Path: string(c.Path),
		UA: string(c.UserAgent), Name: string(c.Name), Secret: string(c.Secret), Status: c.Status}
	if c.IP.IsValid() {
		s.IP = c.IP.String()
	}
	if c.Secret != nil {
		s.In = c.In.String()
	}
	return s
}

func scan(t testing.TB, text string, o accesslog.Options) ([]seen, accesslog.Stats) {
	t.Helper()
	o.Workers = 1
	var out []seen
	stats, err := accesslog.Scan(context.Background(), strings.NewReader(text), o, func(_ int, c *accesslog.Call) { out = append(out, see(c)) })
	if err != nil {
		t.Fatal(err)
	}
	return out, stats
}

func TestFormats(t *testing.T) {
	tests := []struct {
		name, template, text, format string
		want                         seen
	}{
		{name: "combined", format: "combined",
			text: `203.0.113.9 - - [05/Mar/2026:02:00:01 +0100] "GET /crm/v3/objects/deals?limit=100&hapikey=0a1b2c3d-1111-2222-3333-444455556666 HTTP/1.1" 200 5120 "-" "python-requests/2.31"`,
			want: seen{At: "2026-03-05T01:00:01Z", Method: "GET", Path: "/crm/v3/objects/deals", IP: "203.0.113.9", UA: "python-requests/2.31", Status: 200,
				Secret: "0a1b2c3d-1111-2222-3333-444455556666", In: "query"}},
		{name: "combined with an escaped user agent", format: "combined",
			text: `2001:db8::1 - bob [05/Mar/2026:02:00:01 +0000] "POST /a HTTP/2.0" 403 - "-" "a \"b\" \x63"`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "POST", Path: "/a", IP: "2001:db8::1", UA: `a "b" c`, Status: 403}},
		{name: "combined with forwarded", format: "combined with forwarded",
			text: `10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "GET /a HTTP/1.1" 200 1 "-" "curl/8" "198.51.100.4, 10.0.0.2"`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Path: "/a", IP: "198.51.100.4", UA: "curl/8", Status: 200}},
		{name: "combined and more", format: "combined and more",
			text: `10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "GET /a HTTP/1.1" 200 1 "-" "curl/8" rt=0.2`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Path: "/a", IP: "10.0.0.1", UA: "curl/8", Status: 200}},
		{name: "common", format: "common", text: `10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "GET /a HTTP/1.0" 200 77`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Path: "/a", IP: "10.0.0.1", Status: 200}},
		{name: "envoy", format: "envoy",
			text: `[2026-03-05T02:00:01.123Z] "DELETE /v1/a HTTP/1.1" 204 - 0 0 12 11 "198.51.100.4" "node" "5a3c" "api.example.com" "10.1.1.1:80"`,
			want: seen{At: "2026-03-05T02:00:01.123Z", Method: "DELETE", Host: "api.example.com", Path: "/v1/a", IP: "198.51.100.4", UA: "node", Status: 204}},
		{name: "load balancer", format: "alb",
			text: `https 2026-03-05T02:00:01.186641Z app/lb/50dc 192.0.2.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/a?hapikey=` + pat + ` HTTP/1.1" "curl/7.46.0" ECDHE TLSv1.2 arn "Root=1-5833" "www.example.com" "-" 1 2026-03-05T02:00:00Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-"`,
			want: seen{At: "2026-03-05T02:00:01.186641Z", Method: "GET", Host: "www.example.com:443", Path: "/a", IP: "192.0.2.39", UA: "curl/7.46.0", Status: 200, Secret: pat, In: "query"}},
		{name: "haproxy", format: "haproxy",
			text: `Feb  6 12:14:14 localhost haproxy[14389]: 192.0.2.2:33317 [06/Feb/2026:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"`,
			want: seen{At: "2026-02-06T12:14:14.655Z", Method: "GET", Path: "/index.html", IP: "192.0.2.2", Status: 200}},
		{name: "nginx's own", format: "custom", template: `$remote_addr|$msec|$request_method|$uri|$args|$status|"$http_authorization"|$http_user_agent`,
			text: `192.0.2.2|1772676001.250|PUT|/crm/v3/objects/deals/1|a=b|200|"Bearer ` + pat + `"|airflow/2`,
			want: seen{At: "2026-03-05T02:00:01.25Z", Method: "PUT", Path: "/crm/v3/objects/deals/1", IP: "192.0.2.2", UA: "airflow/2", Status: 200, Secret: pat, In: "header"}},
		{name: "Apache's own", format: "custom", template: `%h %l %u %t \"%r\" %>s %b \"%{User-Agent}i\" \"%{Authorization}i\"`,
			text: `192.0.2.2 - - [05/Mar/2026:02:00:01 +0000] "GET /a HTTP/1.1" 200 1 "curl" "Bearer ` + pat + `"`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Path: "/a", IP: "192.0.2.2", UA: "curl", Status: 200, Secret: pat, In: "header"}},
		{name: "nginx in JSON", format: "json",
			text: `{"time_iso8601":"2026-03-05T02:00:01+00:00","remote_addr":"192.0.2.2","request":"GET /a?x=1 HTTP/1.1","status":"200","request_time":"0.005","http_user_agent":"curl","http_authorization":"Bearer ` + pat + `"}`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Path: "/a", IP: "192.0.2.2", UA: "curl", Status: 200, Secret: pat, In: "header"}},
		{name: "Caddy", format: "json",
			text: `{"level":"info","ts":1772676001.5,"logger":"http.log.access","request":{"remote_ip":"192.0.2.2","proto":"HTTP/2.0","method":"GET","host":"api.example.com","uri":"/a?b=c","headers":{"User-Agent":["curl/8"],"Authorization":["REDACTED"]}},"status":404,"duration":0.01}`,
			want: seen{At: "2026-03-05T02:00:01.5Z", Method: "GET", Host: "api.example.com", Path: "/a", IP: "192.0.2.2", UA: "curl/8", Status: 404}},
		{name: "Traefik", format: "json",
			text: `{"ClientHost":"192.0.2.2","DownstreamStatus":200,"Duration":123,"RequestHost":"api","RequestMethod":"GET","RequestPath":"/a","StartUTC":"2026-03-05T02:00:01.000000001Z","request_User-Agent":"curl","time":"2026-03-05T02:00:02Z"}`,
			want: seen{At: "2026-03-05T02:00:02Z", Method: "GET", Host: "api", Path: "/a", IP: "192.0.2.2", UA: "curl", Status: 200}},
		{name: "Envoy in JSON", format: "json",
			text: `{"start_time":"2026-03-05T02:00:01.000Z","method":"GET","path":"/a?hapikey=` + pat + `","response_code":200,"x_forwarded_for":"198.51.100.4","user_agent":"u","authority":"h","duration":3}`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Host: "h", Path: "/a", IP: "198.51.100.4", UA: "u", Status: 200, Secret: pat, In: "query"}},
		{name: "a call log's export", format: "table",
			text: "Request time,Method,URL,Status code,App name,IP address,User agent\n" +
				`2026-03-05 02:00:01,GET,"https://api.example.com/crm/v3/objects/deals?limit=1",200,"Looker, old",192.0.2.2,curl`,
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Host: "api.example.com", Path: "/crm/v3/objects/deals", IP: "192.0.2.2", UA: "curl", Status: 200, Name: "Looker, old"}},
		{name: "W3C", format: "w3c",
			text: "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status cs(User-Agent)\n" +
				"2026-03-05 02:00:01 192.0.2.2 GET /a hapikey=" + pat + " 200 Mozilla/5.0+(X)",
			want: seen{At: "2026-03-05T02:00:01Z", Method: "GET", Path: "/a", IP: "192.0.2.2", UA: "Mozilla/5.0 (X)", Status: 200, Secret: pat, In: "query"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, stats := scan(t, tt.text+"\n", accesslog.Options{Template: tt.template})
			if d := cmp.Diff([]seen{tt.want}, got); d != "" {
				t.Errorf("calls (-want +got):\n%s%+v", d, stats)
			}
			if stats.Formats[tt.format] != 1 || stats.Bad() != 0 {
				t.Errorf("formats %v, faults %v; want one of %s", stats.Formats, stats.Faults, tt.format)
			}
		})
	}
}

func TestOwnFields(t *testing.T) {
	own, err := accesslog.FieldNames("time=when, url=req.target,secret=cred")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := scan(t, `{"when":"2026-03-05T02:00:01Z","req":{"target":"/a"},"cred":"`+pat+`"}`, accesslog.Options{Fields: own})
	if want := []seen{{At: "2026-03-05T02:00:01Z", Path: "/a", Secret: pat, In: "field"}}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	for _, bad := range []string{"", "when", "wen=time", "time="} {
		if _, err := accesslog.FieldNames(bad); err == nil {
			t.Errorf("FieldNames(%q) gives no error", bad)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, bad := range []string{"", "hello", "$", "${request", "$request", "$time_local", "$time_local$request", "%h %r %", "%{User-Agent"} {
		if _, err := accesslog.FromTemplate(bad); err == nil {
			t.Errorf("FromTemplate(%q) gives no error", bad)
		}
	}
}

// What hides a secret in a log is no secret, and what a log shows of one of ours is taken whole.
func TestSecrets(t *testing.T) {
	line := func(auth string) string {
		return `{"time":"2026-03-05T02:00:01Z","path":"/a","authorization":"` + auth + `"}` + "\n"
	}
	for auth, want := range map[string]string{
		"Bearer " + pat: pat, "bearer " + pat: pat, pat: pat, "Basic dXNlcjpwYXNz": "", "Bearer pat-na1-****": "", "Bearer short": "",
		"[REDACTED]": "", "": "", "Bearer " + strings.Repeat("a", 5000): "", "Bearer a b c d e f g h": "",
	} {
		got, _ := scan(t, line(auth), accesslog.Options{})
		if len(got) != 1 || got[0].Secret != want {
			t.Errorf("authorization %.40q gives %+v, want %q", auth, got, want)
		}
	}
	for query, want := range map[string]string{
		"hapikey=" + pat: pat, "HAPIKEY=" + pat: pat, "key=deals": "", "token=next-page": "", "key=0a1b2c3d11112222": "0a1b2c3d11112222",
		"hapikey=": "", "a=b&hapikey=" + pat + "&c=d": pat, "hapikey=a%2Db%2Dcdefghi": "a-b-cdefghi",
	} {
		got, _ := scan(t, `10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "GET /a?`+query+` HTTP/1.0" 200 77`, accesslog.Options{})
		if len(got) != 1 || got[0].Secret != want {
			t.Errorf("query %q gives %+v, want %q", query, got, want)
		}
	}
}

// Everything that is no call is counted by its reason, and told by its line.
func TestFaults(t *testing.T) {
	good := `10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "GET /a HTTP/1.0" 200 77` + "\n"
	text := good + "\n" + "\x00\x01\x02 binary\n" + "words that mean nothing\n" +
		`10.0.0.1 - - [05/Mar/2026:25:00:01 +0000] "GET /a HTTP/1.0" 200 77` + "\n" +
		`10.0.0.1 - - [31/Feb/2026:02:00:01 +0000] "GET /a HTTP/1.0" 200 77` + "\n" +
		`10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "\x16\x03\x01" 400 0` + "\n" +
		"# a remark\n" + strings.Repeat("x", accesslog.MaxLine+1) + "\n" + strings.Repeat("y", 10<<20) + "\n" + "{\"time\":\n" + good +
		`10.0.0.1 - - [05/Mar/2026:00:00:01 +0000] "GET /late HTTP/1.0" 200 77`
	got, stats := scan(t, text, accesslog.Options{})
	if len(got) != 3 || got[2].Path != "/late" {
		t.Errorf("calls %+v, want the two good ones and the last", got)
	}
	want := [accesslog.Faults]int64{accesslog.OK: 3, accesslog.Empty: 1, accesslog.Comment: 1, accesslog.TooLong: 2, accesslog.Binary: 1,
		accesslog.Unknown: 2, accesslog.BadTime: 2, accesslog.BadRequest: 1}
	if stats.Faults != want {
		t.Errorf("faults %v, want %v", stats.Faults, want)
	}
	if stats.Lines != 13 || stats.Jumps != 1 {
		t.Errorf("%d lines and %d jumps, want 13 and 1", stats.Lines, stats.Jumps)
	}
	for f, lines := range map[accesslog.Fault][]int64{accesslog.Binary: {3}, accesslog.Unknown: {4, 11}, accesslog.BadTime: {5, 6}, accesslog.TooLong: {9, 10}} {
		if !cmp.Equal(stats.First[f], lines) {
			t.Errorf("first lines of %s are %v, want %v", f, stats.First[f], lines)
		}
	}
}

// However a log is cut into chunks and shared among workers, the same calls come out of it.
func TestChunks(t *testing.T) {
	var text bytes.Buffer
	const calls = 60_000
	for i := range calls {
		if i%100 == 7 {
			fmt.Fprintf(&text, "junk %d\n", i)
		}
		fmt.Fprintf(&text, "10.0.%d.%d - - [05/Mar/2026:02:%02d:%02d +0000] \"GET /a/%d HTTP/1.1\" 200 1 \"-\" \"curl\"\n", i>>8&255, i&255, i/1000, i%60, i)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(text.Bytes())
	z.Close()
	for name, r := range map[string]io.Reader{"plain": bytes.NewReader(text.Bytes()), "gzip": bytes.NewReader(packed.Bytes()), "slow": &slow{text.Bytes()}} {
		var mu sync.Mutex
		paths := map[string]int{}
		stats, err := accesslog.Scan(t.Context(), r, accesslog.Options{Workers: 4}, func(_ int, c *accesslog.Call) {
			mu.Lock()
			defer mu.Unlock()
			paths[string(c.Path)]++
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) != calls || stats.Calls != calls || stats.Lines != calls+calls/100 || stats.Bytes != int64(text.Len()) || stats.First[accesslog.Unknown][1] != 109 {
			t.Errorf("%s: %d paths, %+v", name, len(paths), stats)
		}
	}
	half := packed.Bytes()[:packed.Len()/2]
	stats, err := accesslog.Scan(t.Context(), bytes.NewReader(half), accesslog.Options{}, func(int, *accesslog.Call) {})
	if err != nil || !stats.Cut || stats.Calls == 0 {
		t.Errorf("half a packed log: %v, %+v", err, stats)
	}
}

// slow gives a few bytes at a time.
type slow struct{ b []byte }

func (s *slow) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[:min(len(s.b), 4099)])
	s.b = s.b[n:]
	return n, nil
}

func TestScanErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := accesslog.Scan(ctx, strings.NewReader("a\n"), accesslog.Options{}, func(int, *accesslog.Call) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled scan gives %v", err)
	}
	if _, err := accesslog.Scan(t.Context(), strings.NewReader("a\n"), accesslog.Options{Template: "nonsense"}, func(int, *accesslog.Call) {}); err == nil {
		t.Error("a template that says nothing is taken")
	}
	if _, err := accesslog.Scan(t.Context(), strings.NewReader("\x1f\x8bnot gzip"), accesslog.Options{}, func(int, *accesslog.Call) {}); err == nil {
		t.Error("what only looks like gzip is taken")
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(`10.0.0.1 - - [05/Mar/2026:02:00:01 +0000] "GET /a?hapikey=0a1b2c3d-1111 HTTP/1.1" 200 1 "-" "curl"`), `$remote_addr "$request" $msec`)
	f.Add([]byte(`{"ts":1772676001.5,"request":{"uri":"/a","headers":{"Authorization":["Bearer abcdefghijk"]}}}`), "%h %t %r")
	f.Add([]byte("time,url,ip\n2026-03-05 02:00:01,/a,\"1.2.3.4\"\n\"\"\"\n"), "")
	f.Add([]byte("#Fields: date time cs-uri-stem\n2026-03-05 02:00:01 /a\n"), "")
	f.Add([]byte("\x1f\x8b\x08\x00"), "")
	f.Fuzz(func(t *testing.T, log []byte, template string) {
		o := accesslog.Options{Workers: 1}
		if _, err := accesslog.FromTemplate(template); err == nil {
			o.Template = template
		}
		calls := int64(0)
		stats, err := accesslog.Scan(t.Context(), bytes.NewReader(log), o, func(_ int, c *accesslog.Call) {
			calls++
			if len(c.Path) == 0 || c.At.IsZero() || c.Status != 0 && (c.Status < 100 || c.Status > 999) || bytes.IndexByte(c.Path, '?') >= 0 {
				t.Errorf("a call that can't be: %+v", see(c))
			}
		})
		if err != nil {
			return
		}
		var sum int64
		for _, n := range stats.Faults {
			sum += n
		}
		if sum != stats.Lines || calls != stats.Calls {
			t.Errorf("%d lines, %d accounted for; %d calls, %d counted", stats.Lines, sum, calls, stats.Calls)
		}
	})
}

// BenchmarkScan reads a combined log, and the same as JSON, against finding its lines.
func BenchmarkScan(b *testing.B) {
	var combined, jsons bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&combined, "203.0.113.%d - - [05/Mar/2026:02:%02d:%02d +0000] \"GET /crm/v3/objects/deals/%d?hapikey=0a1b2c3d-1111-2222-3333-44445555%04d HTTP/1.1\" 200 5120 \"-\" \"python-requests/2.31.0\"\n", i%256, i/60%60, i%60, i, i%40)
		fmt.Fprintf(&jsons, `{"time":"2026-03-05T02:%02d:%02dZ","remote_addr":"203.0.113.%d","method":"GET","uri":"/crm/v3/objects/deals/%d","status":200,"user_agent":"python-requests/2.31.0","authorization":"Bearer pat-na1-0a1b2c3d-1111-2222-3333-44445555%04d","duration":0.015}`+"\n", i/60%60, i%60, i%256, i, i%40)
	}
	for name, text := range map[string][]byte{"combined": combined.Bytes(), "json": jsons.Bytes()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := accesslog.Scan(b.Context(), bytes.NewReader(text), accesslog.Options{}, func(int, *accesslog.Call) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("lines", func(b *testing.B) {
		b.SetBytes(int64(combined.Len()))
		for b.Loop() {
			for data := combined.Bytes(); len(data) > 0; {
				data = data[bytes.IndexByte(data, '\n')+1:]
			}
		}
	})
}

// A packed log is small; what becomes of it is bounded where that is asked for.
func TestScanOfTooMuch(t *testing.T) {
	line := []byte(`203.0.113.7 - - [02/Mar/2026:12:00:00 +0000] "GET /deals HTTP/1.1" 200 5 "-" "sync/1"` + "\n")
	text := bytes.Repeat(line, 50_000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		most int64
		want error
	}{{int64(len(text)), nil}, {int64(len(text)) - 1, accesslog.ErrTooMuch}, {1, accesslog.ErrTooMuch}} {
		var calls atomic.Int64
		stats, err := accesslog.Scan(t.Context(), bytes.NewReader(packed.Bytes()), accesslog.Options{MaxBytes: c.most}, func(int, *accesslog.Call) { calls.Add(1) })
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || stats.Bytes > c.most || c.want == nil && calls.Load() != 50_000 {
			t.Errorf("at most %d bytes: %d calls, %d bytes, %v; want %v", c.most, calls.Load(), stats.Bytes, err, c.want)
		}
	}
}
