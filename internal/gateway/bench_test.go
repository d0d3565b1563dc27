package gateway_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/gateway"
)

// BenchmarkGateway measures the gateway, with limits and recording, beside a
// bare reverse proxy over the same upstream and the same load. The CPU time is
// that of the whole process: load, proxy and upstream.
func BenchmarkGateway(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"id":"1","properties":{"name":"A thing","size":"large"}}`))
	}))
	defer upstream.Close()
	to, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	w := doortest.New(b)
	g, err := gateway.New(gateway.Config{Door: w.Door, Identity: w.Identity})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	if err := g.Set([]postern.Upstream{{ID: doortest.API, URL: upstream.URL}}); err != nil {
		b.Fatal(err)
	}
	secret := w.Key(b, func(r *postern.CredentialRow) { r.Rate = postern.Rate{Calls: 4_000_000, Per: time.Second} })
	w.LimitDay(b, doortest.Account, 1<<40)
	w.Sink.Discard()
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{}).DialContext, DisableCompression: true}
	defer transport.CloseIdleConnections()
	bare := &httputil.ReverseProxy{Transport: transport, Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(to)
		pr.SetXForwarded()
	}}
	pooled := *bare
	pooled.BufferPool = &buffers{}
	b.Run("bare", func(b *testing.B) { load(b, bare, "/things/1", secret.Reveal()) })
	b.Run("bare, buffers pooled", func(b *testing.B) { load(b, &pooled, "/things/1", secret.Reveal()) })
	b.Run("gateway", func(b *testing.B) { load(b, g, "/things/1", secret.Reveal()) })
	b.Run("refused", func(b *testing.B) { load(b, g, "/things/1", "pst_sk_x") })
}

// buffers is a pool as a careful user of httputil would add one.
type buffers struct{ p sync.Pool }

func (s *buffers) Get() []byte {
	if b, ok := s.p.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return make([]byte, 32<<10)
}

func (s *buffers) Put(b []byte) { s.p.Put((*[32 << 10]byte)(b)) }

func load(b *testing.B, h http.Handler, path, secret string) {
	s := httptest.NewUnstartedServer(nil)
	s.Config = door.Server(door.ServerConfig{Handler: h})
	s.Start()
	defer s.Close()
	t := &http.Transport{MaxIdleConnsPerHost: 64}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t}
	b.SetParallelism(8)
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequest("GET", s.URL+path, nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header["Authorization"] = []string{"Bearer " + secret}
			req.Header["Accept"] = []string{"application/json"}
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// cpu is the CPU time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
