package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/workbench"
)

// BenchmarkLegacyList measures pages of 20,000 imported credentials.
func BenchmarkLegacyList(b *testing.B) {
	const n = 20_000
	for _, engine := range []struct {
		name string
		open func(testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			target := engine.open(b)
			w := newWorld(b, target)
			var csv strings.Builder
			csv.WriteString("name,note,kind,scopes,sha256\n")
			for i := range n {
				sum := sha256.Sum256(fmt.Appendf(nil, "old-%d", i))
				fmt.Fprintf(&csv, "sync-%d,team %d,private_app,deals.read,%s\n", i, i%40, hex.EncodeToString(sum[:]))
			}
			r, err := workbench.Import(b.Context(), w.kr, w.super, strings.NewReader(csv.String()), workbench.ImportOptions{Format: "csv"})
			if err != nil || r.Imported != n {
				b.Fatalf("imported %d: %v", r.Imported, err)
			}
			w.analyse(b, target)
			x := w.login()
			cookies := x.c.Jar.Cookies(must(http.NewRequest("GET", w.url, nil))(b).URL)
			half, err := w.kr.LegacyList(b.Context(), w.super, store.LegacyFilter{}, store.Cursor{}, n/2)
			if err != nil {
				b.Fatal(err)
			}
			for _, c := range []struct{ name, path string }{
				{"first", "/legacy"}, {"middle", "/legacy?after=" + legacyPlace(&half[len(half)-1])}, {"search", "/legacy?q=sync-1777"}, {"nothing", "/legacy?q=zzz"}, {"tab", "/legacy?tab=weak"},
			} {
				b.Run(c.name, func(b *testing.B) { w.timePage(b, c.path, cookies) })
			}
		})
	}
}

// analyse has PostgreSQL look at its tables, as it does by itself within minutes.
func (w *world) analyse(b *testing.B, target string) {
	b.Helper()
	if !strings.HasPrefix(target, "postgres") {
		return
	}
	if _, err := w.console.cfg.DB.Read().ExecContext(b.Context(), "analyze legacy_credentials, credentials"); err != nil {
		b.Fatal(err)
	}
}

// timePage asks for a page again and again, and reports the 95th of 100 times.
func (w *world) timePage(b *testing.B, path string, cookies []*http.Cookie) {
	var all []time.Duration
	for b.Loop() {
		req := httptest.NewRequest("GET", path, nil)
		for _, k := range cookies {
			req.AddCookie(k)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		rec := httptest.NewRecorder()
		start := time.Now()
		w.console.Handler().ServeHTTP(rec, req)
		all = append(all, time.Since(start))
		if rec.Code != http.StatusOK {
			b.Fatalf("status = %d", rec.Code)
		}
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, "p95-ms")
}
