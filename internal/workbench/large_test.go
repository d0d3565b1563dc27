package workbench_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"io"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"postern.dev/postern/internal/workbench"
	"postern.dev/postern/internal/workbench/accesslog"
	"postern.dev/postern/internal/workbench/company"
)

var logSize = flag.Int64("logsize", 24<<20, "bytes of access log that are read: 5368709120 for the long form")

// maxMemory is what reading a log may take, however long it is.
const maxMemory = 300 << 20

// A long log is read in bounded memory. How fast is told beside finding its lines,
// as wc -l does, and beside unpacking it.
func TestLargeLog(t *testing.T) {
	cats := catalogs(t)
	c := company.New(7, cats, prefixes, t0, 90, 1)
	var text bytes.Buffer
	if err := c.WriteLog(&text, company.JSON, nil); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(text.Bytes())
	z.Close()
	times := int(*logSize/int64(text.Len())) + 1
	runtime.GC()
	before := held()

	lines := took(func() {
		r, buf, n := repeated(text.Bytes(), times), make([]byte, 1<<16), 0
		for {
			m, err := r.Read(buf)
			n += bytes.Count(buf[:m], []byte("\n"))
			if err != nil {
				break
			}
		}
	})
	unpacked := took(func() {
		r, err := gzip.NewReader(repeated(packed.Bytes(), times))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
	})
	peak := before
	var inv *workbench.Inventory
	scanned := func(data []byte) (time.Duration, accesslog.Stats) {
		col, err := workbench.NewCollector(apis(cats), runtime.GOMAXPROCS(0))
		if err != nil {
			t.Fatal(err)
		}
		var stats accesslog.Stats
		d := took(func() {
			stats, err = accesslog.Scan(context.Background(), &watched{repeated(data, times), &peak, 0}, accesslog.Options{}, func(w int, call *accesslog.Call) { col.Shard(w).Add(call) })
		})
		if err != nil {
			t.Fatal(err)
		}
		inv = col.Inventory()
		return d, stats
	}
	plain, stats := scanned(text.Bytes())
	zipped, _ := scanned(packed.Bytes())
	mb := float64(stats.Bytes) / 1e6
	t.Logf("%.0f MB, %d calls: %.0f MB/s, packed %.0f MB/s; finding lines %.0f MB/s (ratio %.3f), unpacking %.0f MB/s (ratio %.2f); memory at most %d MB above what the test holds",
		mb, stats.Calls, mb/plain.Seconds(), mb/zipped.Seconds(), mb/lines.Seconds(), lines.Seconds()/plain.Seconds(), mb/unpacked.Seconds(), unpacked.Seconds()/zipped.Seconds(), (peak-before)>>20)
	if peak > before && peak-before > maxMemory {
		t.Errorf("reading took %d MB", (peak-before)>>20)
	}
	if len(inv.Items) != 40 || stats.Bad() != 0 {
		t.Errorf("%d credentials, %v", len(inv.Items), stats.Faults)
	}
}

func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// repeated gives the same bytes many times over.
func repeated(data []byte, times int) io.Reader {
	var all []io.Reader
	for range times {
		all = append(all, bytes.NewReader(data))
	}
	return io.MultiReader(all...)
}

// held is the memory that the process has from the system and not given back.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// watched looks at the memory that is held now and then while it is read.
type watched struct {
	r    io.Reader
	peak *uint64
	n    int64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.n += int64(n); w.n > 4<<20 {
		w.n = 0
		*w.peak = max(*w.peak, held())
	}
	return n, err
}
