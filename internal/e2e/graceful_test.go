package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern/api"
)

// streamDocument is the catalog of an upstream that streams.
const streamDocument = `openapi: 3.1.0
info: {title: Stream, version: "1"}
paths:
  /stream/{n}:
    get:
      operationId: stream
      security: [{key: [stream.read]}]
      responses: {"200": {description: fine}}
components:
  securitySchemes:
    key: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://example.org/token", scopes: {stream.read: Read streams}}}}
`

// A server that is told to stop finishes what is under way, keeps all that it
// acknowledged, and writes what it did.
func TestGracefulStop(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		const streams = 4
		flowing, goOn := make(chan struct{}, streams), make(chan struct{})
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "first ")
			http.NewResponseController(w).Flush()
			flowing <- struct{}{}
			<-goOn
			io.WriteString(w, "last")
		}))
		defer up.Close()
		pak := p.setup(t)
		s := start(t, p.data, p.args("serve", "--lease", "5s")...)
		admin := s.as(pak)
		admin.must(t, 200, nil, "PUT", "/v1/upstreams/stream", api.UpstreamSettings{URL: up.URL})
		admin.must(t, 200, nil, "POST", "/v1/upstreams/stream/catalog", api.CatalogLoad{Documents: []api.Document{{Name: "s.yaml", Text: streamDocument}}})
		var made api.ChangedKey
		admin.must(t, 201, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: "reader", Scopes: []string{"stream.read"}})

		var all sync.WaitGroup
		for i := range streams {
			all.Go(func() {
				status, out, err := caller{http.DefaultClient, s.Gateway, made.Secret}.do("GET", fmt.Sprintf("/stream/%d", i), nil)
				if err != nil || status != 200 || string(out) != "first last" {
					t.Errorf("a call that streams while the server stops = %d %q (%v), want all of it", status, out, err)
				}
			})
		}
		for range streams {
			<-flowing
		}
		var kept []string
		stopping := make(chan struct{})
		all.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("kept-%d", i)
				status, _, err := admin.do("POST", "/v1/service-keys", api.NewServiceKey{Name: name})
				switch {
				case err != nil:
					return // the door is closed
				case status == 201:
					kept = append(kept, name)
				}
				if i == 3 {
					close(stopping)
				}
			}
		})
		<-stopping
		s.cmd.Process.Signal(syscall.SIGTERM)
		waitFor(t, s, "msg=stopping")
		close(goOn)
		all.Wait()
		select {
		case <-s.done:
		case <-time.After(time.Minute):
			t.Fatalf("it does not stop:\n%s", s.output())
		}
		if s.err != nil {
			t.Errorf("it ended with %v, want exit status 0\n%s", s.err, s.output())
		}
		s = start(t, p.data, p.args("serve", "--lease", "5s")...)
		var list struct{ Items []api.ServiceKey }
		s.as(pak).must(t, 200, &list, "GET", "/v1/service-keys?limit=200", nil)
		have := map[string]bool{}
		for _, k := range list.Items {
			have[k.Name] = true
		}
		for _, name := range kept {
			if !have[name] {
				t.Errorf("the key %s was acknowledged and is gone", name)
			}
		}
		var calls struct{ Items []api.Call }
		s.as(pak).must(t, 200, &calls, "GET", "/v1/activity?key="+made.ID, nil)
		if len(calls.Items) != streams {
			t.Errorf("%d calls recorded, want the %d that were under way when it stopped", len(calls.Items), streams)
		}
		for _, c := range calls.Items {
			if c.Status != 200 || c.BytesOut != int64(len("first last")) {
				t.Errorf("a call is recorded as %d with %d bytes, want 200 with %d", c.Status, c.BytesOut, len("first last"))
			}
		}
		s.stop()
	})
}

// A data directory has one server.
func TestSecondServerIsRefused(t *testing.T) {
	p := place{data: t.TempDir()}
	p.setup(t)
	s := start(t, p.data, "serve")
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}, {"demo"},
		{"setup", "--account", "B", "--email", "b@example.org", "--name", "B"}} {
		out, err := exec.CommandContext(t.Context(), binary, append(args, "--data", p.data)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "nother postern is using "+p.data) || !strings.Contains(string(out), "stop it first") {
			t.Errorf("postern %s beside a server = %v %s, want a refusal that says why", args[0], err, out)
		}
	}
	s.stop()
}

// The first start of a server without an account prints a link that sets it up, once.
func TestSetupLink(t *testing.T) {
	p := place{data: t.TempDir()}
	s := start(t, p.data, "serve")
	first := demoSecretForm.FindString(s.output())
	if !strings.Contains(s.output(), s.API+"/setup/"+first) || first == "" {
		t.Fatalf("no set-up link:\n%s", s.output())
	}
	s.stop()
	s = start(t, p.data, "serve")
	link := demoSecretForm.FindString(s.output())
	setup := func(link string) (int, []byte) {
		status, out, err := s.as("").do("POST", "/v1/setup", api.Setup{Link: link, Account: "Acme", Email: "ada@example.org", Name: "Ada"})
		if err != nil {
			t.Fatal(err)
		}
		return status, out
	}
	if status, out := setup(first); status != 401 {
		t.Errorf("the link of an earlier start = %d %s, want 401", status, out)
	}
	type answer struct {
		status int
		out    []byte
	}
	answers := make(chan answer, 5)
	for range cap(answers) {
		go func() {
			status, out := setup(link)
			answers <- answer{status, out}
		}()
	}
	done := 0
	var joined api.Joined
	for range cap(answers) {
		a := <-answers
		switch a.status {
		case 201:
			done++
			if err := json.Unmarshal(a.out, &joined); err != nil {
				t.Error(err)
			}
		case 401, 409:
		default:
			t.Errorf("a link that is used at once five times = %d %s", a.status, a.out)
		}
	}
	if done != 1 {
		t.Errorf("the link worked %d times, want once", done)
	}
	s.as(joined.Secret).must(t, 200, nil, "GET", "/v1/members/me", nil)
	s.stop()
	s = start(t, p.data, "serve")
	if strings.Contains(s.output(), "/setup/") {
		t.Errorf("a server that is set up prints a link:\n%s", s.output())
	}
	s.stop()
}

// After a crash a revocation is in force everywhere at once: nobody else decides.
func TestReceiptAfterCrash(t *testing.T) {
	p := place{data: t.TempDir()}
	pak := p.setup(t)
	s := start(t, p.data, "serve")
	var made api.ChangedKey
	s.as(pak).must(t, 201, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: "k"})
	s.kill()
	s = start(t, p.data, "serve")
	s.as(pak).must(t, 200, &made, "POST", "/v1/service-keys/"+made.ID+"/revoke", nil)
	if made.Receipt == nil || made.Receipt.Effective != api.EffectiveEverywhere {
		t.Errorf("the receipt after a crash is %+v, want everywhere", made.Receipt)
	}
	s.stop()
}
