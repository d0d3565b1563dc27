package verify_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

var (
	benchKeys = flag.Int("keys", 1_000_000, "credentials in the index of the benchmarks")
	bigKeys   = flag.Int("bigkeys", 10_000_000, "credentials in the index of BenchmarkGC")
)

// discard is a Sink that copies, as the real one does, into a ring.
type discard struct {
	ring [1024]postern.Event
	n    int
}

func (d *discard) Record(e *postern.Event) {
	d.ring[d.n%len(d.ring)] = *e
	d.n++
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// secretText makes the text of a key's secret from its number, well-formed.
func secretText(i int, buf []byte) []byte {
	b := append(buf[:0], "pst_sk_"...)
	// Mixed, so that the order of numbers is none of key IDs.
	x := uint64(i)*0x9E3779B97F4A7C15 + 1
	for range postern.KeyIDLen {
		x ^= x >> 31
		x *= 0xBF58476D1CE4E5B9
		x ^= x >> 29
		b = append(b, base62[x%62])
	}
	b = append(b, '_')
	for range 43 {
		x = x*6364136223846793005 + 1442695040888963407
		b = append(b, base62[(x>>33)%62])
	}
	c := ^uint32(0)
	for _, ch := range b {
		c ^= uint32(ch)
		for range 8 {
			c = c>>1 ^ 0xEDB88320&-(c&1)
		}
	}
	c = ^c
	var check [6]byte
	for j := 5; j >= 0; j-- {
		check[j] = base62[c%62]
		c /= 62
	}
	return append(b, check[:]...)
}

var benchNets = []verify.Network{
	verify.NetworkOf(netip.MustParsePrefix("198.51.100.0/24")),
	verify.NetworkOf(netip.MustParsePrefix("203.0.113.0/24")),
}

// fill puts n keys into a node's index; every fourth has an IP list, every
// eighth a rate of its own, and there are 500 sets of scopes.
func fill(b testing.TB, v *verify.Verifier, n int, text func(i int, s []byte)) {
	var buf []byte
	err := verify.Fill(v, n, "acc_bench", func(i int) (postern.Credential, string, []postern.Scope, []verify.Network) {
		buf = secretText(i, buf)
		if text != nil {
			text(i, buf)
		}
		c := postern.Credential{Key: [postern.KeyIDLen]byte(buf[7:23]), Kind: postern.KindServiceKey, Generation: 1, Revision: 1}
		scopes := []postern.Scope{"group0.GET", "group1.POST", postern.Scope(fmt.Sprintf("group%d.GET", i%37)),
			postern.Scope(fmt.Sprintf("extra%d.read", i%500))}
		var nets []verify.Network
		if i%4 == 0 {
			nets = benchNets
		}
		if i%8 == 0 {
			c.RateCalls, c.RatePer = 4_000_000_000, 1
		}
		return c, string(buf), scopes, nets
	})
	if err != nil {
		b.Fatal(err)
	}
}

type bench struct {
	v       *verify.Verifier
	sink    *discard
	secrets []postern.Secret // in random order
	texts   []string
	bytes   float64 // a key, measured
}

var theBench = sync.OnceValue(func() *bench {
	b := &bench{sink: &discard{}}
	store := newMemStore(time.Now)
	for i := range 1000 {
		id := postern.AccountID(fmt.Sprintf("acc_bench%d", i))
		store.accounts[id] = postern.Account{ID: id, Number: int64(i), TimeZone: "Europe/Berlin", DailyLimit: 1 << 40, Revision: 1}
	}
	store.ups = []verify.Upstream{{ID: crm, Catalog: 1, Host: "api.example.com", Prefix: "/crm", StripPrefix: true}}
	store.catalogs[crm] = operationsCatalog(3800)
	pepper, err := postern.ParsePepper(pepper1)
	if err != nil {
		panic(err)
	}
	b.v, err = verify.New(verify.Config{Store: store, Pepper: pepper, Sink: b.sink, Lease: 24 * time.Hour,
		Burst: postern.Rate{Calls: 4_000_000_000, Per: time.Second}})
	if err == nil {
		err = b.v.Renew(context.Background())
	}
	if err != nil {
		panic(err)
	}
	n := *benchKeys
	texts := make([]byte, n*73)
	before := heap()
	fill(&testing.B{}, b.v, n, func(i int, s []byte) { copy(texts[i*73:], s) })
	b.bytes = float64(heap()-before) / float64(n)
	// Secrets lie in the order in which they are presented, so that the
	// benchmark's own reading of them is sequential.
	all := string(texts)
	b.secrets, b.texts = make([]postern.Secret, n), make([]string, n)
	for i := range n {
		b.texts[i] = all[i*73 : i*73+73]
		b.secrets[i] = postern.SecretOf(b.texts[i])
	}
	return b
})

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// run verifies and records with the first n keys, each in its turn. Key IDs are
// a mixture of their numbers, so that turns go all over the index.
func (b *bench) run(tb *testing.B, n int) {
	ctx := context.Background()
	req := verify.Request{Method: "GET", Upstream: "", Host: "api.example.com", Path: "/crm/v0/group0/objects0/1234567/parts/notes",
		RemoteIP: home, UserAgent: "bench/1.0", RequestID: "req_1", Door: postern.DoorGateway}
	out := verify.Outcome{Status: 200, Duration: time.Millisecond, BytesOut: 1000}
	verifyOne := func(i int) {
		req.Secret = b.secrets[i]
		d, err := b.v.Verify(ctx, &req)
		if err != nil || !d.Allowed {
			tb.Fatalf("Verify = %v, %v", d.Reason, err)
		}
		b.v.Done(&req, &d, out)
	}
	for i := range min(n, 10_000) {
		verifyOne(i) // days begin, pools fill
	}
	tb.ReportAllocs()
	i := 0
	for tb.Loop() {
		verifyOne(i)
		if i++; i == n {
			i = 0
		}
	}
}

// BenchmarkVerifyHot verifies over 1,000 keys of a full index, everything on.
func BenchmarkVerifyHot(b *testing.B) { theBench().run(b, min(1000, *benchKeys)) }

// BenchmarkVerifyRandom verifies over all keys.
func BenchmarkVerifyRandom(b *testing.B) {
	theBench().run(b, *benchKeys)
	b.ReportMetric(theBench().bytes, "B/key")
}

// BenchmarkBaselineHot hashes and looks up alone, over 1,000 keys.
func BenchmarkBaselineHot(b *testing.B) { theBench().baseline(b, min(1000, *benchKeys)) }

// BenchmarkBaselineRandom hashes and looks up alone, over all keys.
func BenchmarkBaselineRandom(b *testing.B) { theBench().baseline(b, *benchKeys) }

func (b *bench) baseline(tb *testing.B, n int) {
	tb.ReportAllocs()
	i := 0
	for tb.Loop() {
		if !verify.Baseline(b.v, b.texts[i]) {
			tb.Fatal("not found")
		}
		if i++; i == n {
			i = 0
		}
	}
}

// BenchmarkVerifyUnknown verifies well-formed secrets of keys that there aren't.
func BenchmarkVerifyUnknown(b *testing.B) {
	v := theBench().v
	req := verify.Request{Method: "GET", Upstream: crm, Path: "/v0/group0/objects0/1/parts/2", RemoteIP: home,
		Secret: postern.NewSecret("pst", postern.SecretServiceKey, postern.NewKeyID())}
	b.ReportAllocs()
	for b.Loop() {
		if d, _ := v.Verify(context.Background(), &req); d.Reason != postern.ReasonUnknownKey {
			b.Fatal(d.Reason)
		}
	}
}

// BenchmarkVerifyParallel verifies over 1,000 keys on all cores.
func BenchmarkVerifyParallel(b *testing.B) {
	bench := theBench()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		req := verify.Request{Method: "GET", Upstream: crm, Path: "/v0/group0/objects0/1234567/parts/notes", RemoteIP: home}
		for i := 0; pb.Next(); i++ {
			req.Secret = bench.secrets[i%min(1000, *benchKeys)]
			if d, _ := bench.v.Verify(context.Background(), &req); !d.Allowed {
				b.Fatal(d.Reason)
			}
		}
	})
}

// BenchmarkGC forces a collection with ten million credentials in the index.
func BenchmarkGC(b *testing.B) {
	if testing.Short() {
		b.Skip("takes gigabytes")
	}
	w := newWorld(b)
	before := heap()
	fill(b, w.v, *bigKeys, nil)
	b.ReportMetric(float64(heap()-before)/float64(*bigKeys), "B/key")
	var worst time.Duration
	for b.Loop() {
		start := time.Now()
		runtime.GC()
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/gc")
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms/gc")
	runtime.KeepAlive(w)
}
