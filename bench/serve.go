package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
)

// pin keeps this process, all its threads, on one core.
func pin(core string) {
	n, err := strconv.Atoi(core)
	if err != nil {
		return
	}
	var set unix.CPUSet
	set.Set(n)
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			unix.SchedSetaffinity(id, &set)
		}
	}
}

// serve is one of the servers that are compared.
func serve(role, upstream string) error {
	pin(os.Getenv("BENCH_CORE"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if role == "postern" {
		return servePostern(ctx, upstream)
	}
	var h http.Handler
	switch role {
	case "bare":
		h = http.HandlerFunc(bare)
	case "check":
		h = checker()
	case "proxy":
		u, err := url.Parse(upstream)
		if err != nil {
			return err
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.MaxIdleConns = 100, 0
		h = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: t}
	default:
		return fmt.Errorf("there is no role %q", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	if err := json.NewEncoder(os.Stdout).Encode(info{API: "http://" + l.Addr().String()}); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

const answerJSON = `{"id":"42","name":"a thing","price":"12.50","createdAt":"2026-03-04T05:06:07Z","updatedAt":"2026-03-05T05:06:07Z","archived":false}`

// bare reads what is sent and answers with a small object, as any API does.
func bare(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, answerJSON)
}

// checker is the least that checks a key: it decodes the body, looks a key up
// and compares an HMAC.
func checker() http.Handler {
	key := []byte("0123456789abcdef0123456789abcdef")
	known := map[string][32]byte{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Secret, Method, Path, RemoteIP string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		m := hmac.New(sha256.New, key)
		io.WriteString(m, in.Secret)
		var sum [32]byte
		m.Sum(sum[:0])
		have := known[in.Secret]
		allowed := hmac.Equal(have[:], sum[:])
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"allowed": allowed, "reason": "unknown_key"})
	})
}

const document = `
openapi: 3.1.0
info: {title: Things, version: "1"}
paths:
  /things/{id}: {get: {operationId: readThing, security: [{keys: [things.read]}]}}
components: {securitySchemes: {keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {things.read: Read things}}}}}}
`

// servePostern is a whole node with one key: all rules, limits and recording on.
func servePostern(ctx context.Context, upstream string) error {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	self := info{API: "http://" + admin.Addr().String(), Gateway: "http://" + gateway.Addr().String()}
	n, err := node.Open(ctx, node.Config{Data: dir, PublicURL: self.API, GatewayURL: self.Gateway, Burst: postern.Rate{Calls: 1_000_000, Per: time.Second}})
	if err != nil {
		return err
	}
	if self.Secret, err = prepare(ctx, n, upstream); err != nil {
		return err
	}
	return n.Run(ctx, node.Listeners{Admin: admin, Gateway: gateway}, 5*time.Second, func() { json.NewEncoder(os.Stdout).Encode(self) })
}

// prepare sets an account up with an upstream and a key, and gives its secret.
func prepare(ctx context.Context, n *node.Node, upstream string) (string, error) {
	done, err := n.Keyring.Setup(ctx, keyring.SetupInput{AccountName: "Bench", Email: "bench@example.org", Name: "Bench"})
	if err != nil {
		return "", err
	}
	by := postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	limit := int64(1) << 50
	if _, err := n.Keyring.EditAccount(ctx, by, done.Account.ID, keyring.AccountEdit{DailyLimit: &limit}); err != nil {
		return "", err
	}
	if _, err := n.Keyring.PutUpstream(ctx, by, postern.Upstream{ID: "things", URL: upstream}); err != nil {
		return "", err
	}
	cat, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "things.yaml", Data: []byte(document)}}, catalog.Options{Upstream: "things"})
	if err != nil {
		return "", err
	}
	if _, err := n.Keyring.LoadCatalog(ctx, by, "things", cat, false); err != nil {
		return "", err
	}
	made, err := n.Keyring.CreateKey(ctx, by, keyring.NewKey{Name: "bench", Scopes: []postern.Scope{"things.read"}})
	return made.Secret.Reveal(), err
}
