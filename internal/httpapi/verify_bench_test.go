package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/httpapi"
)

// BenchmarkVerifyAPI measures POST /v1/verify, with limits and recording, beside
// a bare net/http server and a handler that does the least that checks a key.
// The CPU time is that of the whole process, the load too.
func BenchmarkVerifyAPI(b *testing.B) {
	w := doortest.New(b)
	secret := w.Key(b, func(r *postern.CredentialRow) { r.Rate = postern.Rate{Calls: 4_000_000, Per: time.Second} }).Reveal()
	w.LimitDay(b, doortest.Account, 1<<40)
	w.Sink.Discard()
	body := `{"secret":"` + secret + `","method":"GET","path":"/things/1","remoteIp":"203.0.113.7","userAgent":"bench/1.0"}`
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok")) })
	keys := map[string]bool{secret: true}
	minimal := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Secret string `json:"secret"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || !keys[in.Secret] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"allowed":true}`))
	})
	b.Run("bare", func(b *testing.B) { ask(b, bare, body, "ok") })
	b.Run("minimal", func(b *testing.B) { ask(b, minimal, body, `"allowed":true`) })
	b.Run("verify", func(b *testing.B) { ask(b, httpapi.VerifyHandler(w.Door), body, `"allowed":true`) })
	b.Run("verify alone", func(b *testing.B) {
		h := httpapi.VerifyHandler(w.Door)
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequest("POST", "/v1/verify", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}

func ask(b *testing.B, h http.Handler, body, want string) {
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
			res, err := client.Post(s.URL, "application/json", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			answer, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if !strings.Contains(string(answer), want) {
				b.Errorf("the answer is %s", answer)
				return
			}
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
