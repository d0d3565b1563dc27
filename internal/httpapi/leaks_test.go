package httpapi_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/leaks"
)

func TestFoundSecrets(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, nobody := t.Context(), w.client("")
		made := must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: "nightly", Networks: []string{"203.0.113.7"}}))(t)
		in := api.FoundSecret{Secret: made.Secret, URL: "https://example.org/" + made.Secret}
		if a := must(nobody.CheckFound(ctx, in))(t); a.State != api.FoundLive || a.KeyID != made.ID || a.Kind != "service_key" || a.Reported {
			t.Errorf("check = %+v", a)
		}
		if a := must(nobody.ReportFound(ctx, in))(t); !a.Reported || a.Did != "notify" || a.Revoked || a.State != api.FoundLive {
			t.Errorf("report = %+v", a)
		}
		page := must(w.super.Leaks(ctx, made.ID, client.Paging{}))(t)
		if len(page.Items) != 1 || page.Items[0].Name != "nightly" || !page.Items[0].Live || page.Items[0].Source != "finder" || strings.Contains(page.Items[0].URL, made.Secret[30:]) {
			t.Errorf("leaks = %+v", page)
		}
		if a := must(nobody.RevokeFound(ctx, in))(t); !a.Revoked || a.State != api.FoundDead || !a.Everywhere {
			t.Errorf("revoke = %+v", a)
		}
		if v := must(nobody.Verify(ctx, api.VerifyRequest{Secret: made.Secret}))(t); v.Allowed || v.Reason != "revoked" {
			t.Errorf("after it verify says %+v", v)
		}
		if a := must(nobody.RevokeFound(ctx, in))(t); a.Revoked || a.State != api.FoundDead {
			t.Errorf("revoke again = %+v", a)
		}
		// One answer for all that isn't the whole truth.
		want := must(nobody.CheckFound(ctx, api.FoundSecret{Secret: "hello"}))(t)
		if want.State != api.FoundUnknown || want.KeyID != "" {
			t.Errorf("of rubbish: %+v", want)
		}
		for _, s := range []string{made.Secret[:len(made.Secret)-1], made.Secret[:23], postern.NewSecret("pst", postern.SecretServiceKey, postern.KeyID(made.ID)).Reveal(),
			postern.NewSecret("pst", postern.SecretServiceKey, postern.NewKeyID()).Reveal()} {
			for _, do := range []func() (api.FoundAnswer, error){
				func() (api.FoundAnswer, error) { return nobody.CheckFound(ctx, api.FoundSecret{Secret: s}) },
				func() (api.FoundAnswer, error) { return nobody.ReportFound(ctx, api.FoundSecret{Secret: s}) },
				func() (api.FoundAnswer, error) { return nobody.RevokeFound(ctx, api.FoundSecret{Secret: s}) },
			} {
				if a := must(do())(t); a != want {
					t.Errorf("%.30s…: %+v, want %+v", s, a, want)
				}
			}
		}
		if strings.Contains(w.log.String(), made.Secret[24:]) {
			t.Error("the log holds the secret")
		}
	})
}

// Too many from one address are refused, whoever is right.
func TestFoundSecretsAreLimited(t *testing.T) {
	w := openLeaks(t, 2)
	refused := 0
	for range 20 {
		if _, err := w.client("").CheckFound(t.Context(), api.FoundSecret{Secret: "x"}); client.IsCode(err, string(postern.CodeRateLimited)) {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 20 were refused, want most", refused)
	}
}

func openLeaks(t *testing.T, perSecond int) *world {
	var cfg httpapi.Config
	w := open(t, t.TempDir()+"/postern.db", func(c *httpapi.Config) {
		c.Leaks = must(leaks.New(leaks.Config{Verifier: c.Verifier, Keyring: c.Keyring, PerSecond: perSecond}))(t)
		cfg = *c
	})
	if cfg.Leaks == nil {
		t.Fatal("no intake")
	}
	return w
}

// githubWorld is a server that takes reports of GitHub, signed with a key of ours.
type githubWorld struct {
	*world
	url    string
	key    *ecdsa.PrivateKey
	client *http.Client
}

func openGitHub(t *testing.T, w *world) *githubWorld {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	der := must(x509.MarshalPKIXPublicKey(&key.PublicKey))(t)
	list, _ := json.Marshal(map[string]any{"public_keys": []map[string]any{{"key_identifier": "one", "is_current": true,
		"key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}})
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	signers := must(leaks.NewSigners(path, nil, time.Now))(t)
	intake := must(leaks.New(leaks.Config{Verifier: w.verifier, Keyring: w.kr}))(t)
	srv := httptest.NewServer(httpapi.GitHubLeaksHandler(httpapi.GitHubConfig{Door: must(door.New(door.Config{Verifier: w.verifier}))(t), Leaks: intake, Signers: signers}))
	t.Cleanup(srv.Close)
	return &githubWorld{w, srv.URL + "/leaks/github", key, http.DefaultClient}
}

// send posts a body, signed unless change says otherwise.
func (g *githubWorld) send(t *testing.T, body []byte, change func(*http.Request)) (int, string) {
	t.Helper()
	sum := sha256.Sum256(body)
	sig := must(ecdsa.SignASN1(rand.Reader, g.key, sum[:]))(t)
	req := must(http.NewRequest(http.MethodPost, g.url, bytes.NewReader(body)))(t)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Github-Public-Key-Identifier", "one")
	req.Header.Set("Github-Public-Key-Signature", base64.StdEncoding.EncodeToString(sig))
	if change != nil {
		change(req)
	}
	res := must(g.client.Do(req))(t)
	defer res.Body.Close()
	return res.StatusCode, string(must(io.ReadAll(res.Body))(t))
}

func TestGitHubLeaks(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		g := openGitHub(t, w)
		made := must(w.super.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "nightly"}))(t)
		body := fmt.Appendf(nil, `[ {"source":"commit","token":%q,"type":"postern_key","url":"https://github.com/o/r"}, {"token":"nothing","type":"postern_key","url":"","source":"content","new":1} ]`, made.Secret)
		for range 2 { // a replay is harmless
			status, text := g.send(t, body, nil)
			var out []map[string]string
			if err := json.Unmarshal([]byte(text), &out); err != nil || status != 200 || len(out) != 2 {
				t.Fatalf("%d %s", status, text)
			}
			if out[0]["label"] != "true_positive" || out[1]["label"] != "false_positive" || out[0]["token_type"] != "postern_key" ||
				out[0]["token_hash"] != fmt.Sprintf("%x", sha256.Sum256([]byte(made.Secret))) || strings.Contains(text, made.Secret) {
				t.Errorf("answer %s", text)
			}
		}
		page := must(w.super.Leaks(t.Context(), "", client.Paging{}))(t)
		if len(page.Items) != 1 || page.Items[0].Source != "github" || page.Items[0].URL != "https://github.com/o/r" {
			t.Errorf("leaks %+v", page)
		}
		for what, c := range map[string]struct {
			status int
			body   []byte
			change func(*http.Request)
		}{
			"get":                 {405, nil, func(r *http.Request) { r.Method = http.MethodGet }},
			"no signature":        {401, body, func(r *http.Request) { r.Header.Del("Github-Public-Key-Signature") }},
			"two signatures":      {401, body, func(r *http.Request) { r.Header.Add("Github-Public-Key-Signature", "x") }},
			"another body":        {401, body, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")); r.ContentLength = 2 }},
			"a key of nobody":     {401, body, func(r *http.Request) { r.Header.Set("Github-Public-Key-Identifier", "two") }},
			"signed, and no JSON": {400, []byte("hello"), nil},
			"signed, and no list": {400, []byte(`{"token":"x"}`), nil},
			"too long":            {413, make([]byte, leaks.MaxGitHubBody+1), nil},
		} {
			if status, text := g.send(t, c.body, c.change); status != c.status {
				t.Errorf("%s: %d %s, want %d", what, status, text, c.status)
			}
		}
		refused := 0
		for range 20 {
			if status, _ := g.send(t, body, func(r *http.Request) { r.Header.Set("Github-Public-Key-Identifier", "two") }); status == 429 {
				refused++
			}
		}
		if refused < 10 {
			t.Errorf("%d of 20 wrong signatures were put off, want most", refused)
		}
	})
}

// Who sends reports slowly takes the places of their own address, and no others.
func TestSlowReportsKeepNobodyOut(t *testing.T) {
	w := open(t, t.TempDir()+"/postern.db")
	g := openGitHub(t, w)
	host := strings.TrimSuffix(strings.TrimPrefix(g.url, "http://"), "/leaks/github")
	for range 8 {
		c := must(net.Dial("tcp", host))(t)
		defer c.Close()
		fmt.Fprintf(c, "POST /leaks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
		// The answer says that the body is being waited for, or that there is no place.
		must(bufio.NewReader(c).ReadString('\n'))(t)
	}
	if status, text := g.send(t, []byte("[]"), nil); status != 503 {
		t.Errorf("from the same address: %d %s, want 503", status, text)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	g.client = &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	if status, text := g.send(t, []byte("[]"), nil); status != 200 {
		t.Errorf("from another address: %d %s, want 200", status, text)
	}
}

// The policy says what happens by itself, and whether finders may end a secret.
func TestLeakPolicy(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, nobody := t.Context(), w.client("")
		if p := must(w.super.Policy(ctx))(t); p.Leaks != (api.LeakPolicy{Do: "notify", FindersEnd: true}) {
			t.Errorf("at first %+v", p.Leaks)
		}
		pause, no := "pause", false
		p := must(w.super.EditPolicy(ctx, api.EditPolicy{Leaks: &api.EditLeakPolicy{Do: &pause}}))(t)
		if p.Leaks != (api.LeakPolicy{Do: "pause", FindersEnd: true}) {
			t.Errorf("then %+v", p.Leaks)
		}
		p = must(w.super.EditPolicy(ctx, api.EditPolicy{Leaks: &api.EditLeakPolicy{FindersEnd: &no}}))(t)
		if p.Leaks != (api.LeakPolicy{Do: "pause"}) {
			t.Errorf("then %+v", p.Leaks)
		}
		made := must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: "kept"}))(t)
		a := must(nobody.RevokeFound(ctx, api.FoundSecret{Secret: made.Secret}))(t)
		if a.Revoked || !a.Kept || !a.Reported || a.Did != "pause" || a.State != api.FoundDormant || !a.Everywhere {
			t.Errorf("an end that isn't allowed: %+v", a)
		}
		if k := must(w.super.ServiceKey(ctx, made.ID))(t); k.State != api.StatePaused {
			t.Errorf("the key is %s", k.State)
		}
	})
}
