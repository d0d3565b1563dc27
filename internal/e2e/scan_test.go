package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
)

// Secrets of every kind are made, used, and put where they don't belong; then
// everything that was written is searched for them.
func TestNoSecretIsWritten(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		x := &scan{t: t, place: p}
		x.s = start(t, p.data, p.args("serve", "--crm", "--lease", "5s", "--log-level", "debug", "--burst-calls", "0")...)
		x.live()
		x.misuse()
		x.search()
	})
}

// scan is one run: the secrets that were made, and all that was answered.
type scan struct {
	t       *testing.T
	place   place
	s       *server
	admin   string
	key     string // a service key that works
	secrets []string
	answers bytes.Buffer
	calls   int
	shown   int // secrets that stood in the one answer that shows them
}

// send makes a call, and keeps its answer whole.
func (x *scan) send(secret, method, base, path string, body any, headers ...string) (int, []byte) {
	x.t.Helper()
	var in []byte
	switch b := body.(type) {
	case nil:
	case string:
		in = []byte(b)
	default:
		in, _ = json.Marshal(b)
	}
	for {
		req, err := http.NewRequest(method, base+path, bytes.NewReader(in))
		if err != nil {
			x.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Add(headers[i], headers[i+1])
		}
		if h := req.Header.Get("Host"); h != "" {
			req.Host = h
		}
		req.Close = true // some of these make the server close the connection
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			x.t.Fatalf("%s %s: %v", method, path, err)
		}
		content, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			x.t.Fatal(err)
		}
		x.calls++
		var head bytes.Buffer
		res.Header.Write(&head)
		out := append(head.Bytes(), content...)
		if res.StatusCode == http.StatusTooManyRequests {
			x.answers.Write(out)
			<-time.After(50 * time.Millisecond)
			continue
		}
		// The one answer that shows a secret may do so, as often as it says it.
		if res.StatusCode/100 == 2 && res.Header.Get("Cache-Control") == "no-store" && method != "GET" {
			for _, made := range demoSecretForm.FindAll(content, -1) {
				if !x.known(string(made)) {
					x.secrets = append(x.secrets, string(made))
					x.shown++
					out = bytes.ReplaceAll(out, made, []byte("(shown)"))
				}
			}
		}
		x.answers.Write(out)
		return res.StatusCode, content
	}
}

var demoSecretForm = regexp.MustCompile(`pst_[a-z]+_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}`)

func (x *scan) known(secret string) bool {
	for _, s := range x.secrets {
		if s == secret {
			return true
		}
	}
	return false
}

// want makes a call to the management API that shall be answered with a status.
func (x *scan) want(status int, secret, method, path string, body any, headers ...string) map[string]any {
	x.t.Helper()
	got, out := x.send(secret, method, x.s.API, path, body, headers...)
	if got != status {
		x.t.Fatalf("%s %s = %d %s, want %d", method, path, got, out, status)
	}
	var m map[string]any
	if len(out) > 0 && out[0] == '{' {
		if err := json.Unmarshal(out, &m); err != nil {
			x.t.Fatal(err)
		}
	}
	return m
}

// live makes secrets of every kind and uses them as they are meant.
func (x *scan) live() {
	t := x.t
	link := demoSecretForm.FindString(x.s.output())
	if !strings.Contains(link, "_boot_") || strings.Count(x.s.output(), link) != 1 {
		t.Fatalf("no set-up link, or more than one:\n%s", x.s.output())
	}
	x.secrets = append(x.secrets, link)
	setup := api.Setup{Link: link, Account: "Acme", Email: "ada@example.org", Name: "Ada"}
	wrong := setup
	wrong.Link = link[:len(link)-1]
	x.want(401, "", "POST", "/v1/setup", wrong)
	x.want(200, "", "GET", "/setup/"+link, nil)
	x.admin = x.want(201, "", "POST", "/v1/setup", setup)["secret"].(string)
	x.want(401, "", "POST", "/v1/setup", setup)
	x.want(404, "", "GET", "/setup/"+link, nil)

	invite := func(email string) string {
		return x.want(201, x.admin, "POST", "/v1/members", api.NewMember{Email: email, Name: "Guest", RoleID: "developer"})["invitation"].(string)
	}
	first := invite("noor@example.org")
	x.want(200, "", "GET", "/join/"+first, nil)
	x.want(201, "", "POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: first})
	x.want(401, "", "POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: first})
	second := invite("sam@example.org")
	x.want(200, "", "GET", "/join/"+second, nil)
	x.want(201, "", "POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: second})
	invite("never@example.org")
	x.want(201, x.admin, "POST", "/v1/accounts", api.NewAccount{Name: "Other", AdminEmail: "bo@example.org", AdminName: "Bo"})
	mine := x.want(201, x.admin, "POST", "/v1/personal-keys", api.NewPersonalKey{Name: "laptop", Scopes: []string{"postern.keys.read"}})
	x.want(200, mine["secret"].(string), "GET", "/v1/service-keys", nil)
	x.want(403, mine["secret"].(string), "POST", "/v1/service-keys", api.NewServiceKey{Name: "no"})
	x.want(204, x.admin, "DELETE", "/v1/personal-keys/"+mine["id"].(string), nil)

	in := api.NewServiceKey{Name: "sync", Scopes: []string{"crm.objects.deals.read", "crm.objects.deals.write"}}
	made := x.want(201, x.admin, "POST", "/v1/service-keys", in, "Idempotency-Key", "one")
	x.want(201, x.admin, "POST", "/v1/service-keys", in, "Idempotency-Key", "one")
	path := "/v1/service-keys/" + made["id"].(string)
	x.want(200, x.admin, "POST", path+"/rotate", api.Rotate{Grace: "1h"}, "Idempotency-Key", "two")
	x.want(200, x.admin, "POST", path+"/rotate", api.Rotate{Grace: "1h"}, "Idempotency-Key", "two")
	x.want(200, x.admin, "POST", path+"/rotation/cancel", nil)
	x.want(200, x.admin, "POST", path+"/rotate", api.Rotate{Grace: "1h"})
	x.want(200, x.admin, "POST", path+"/rotation/finish", nil)
	x.key = x.want(200, x.admin, "POST", path+"/rotate", api.Rotate{Grace: "0s"})["secret"].(string)
	ended := x.want(201, x.admin, "POST", "/v1/service-keys", api.NewServiceKey{Name: "ended"})
	x.want(200, x.admin, "POST", "/v1/service-keys/"+ended["id"].(string)+"/revoke", api.Revoke{Reason: "over"})

	x.want(200, x.admin, "PUT", "/v1/upstreams/lab", api.UpstreamSettings{URL: "http://127.0.0.1:9", Prefix: "/lab"})
	x.want(200, x.admin, "POST", "/v1/upstreams/lab/catalog", api.CatalogLoad{Documents: []api.Document{{Name: "lab.yaml", Text: publicDocument}}})
	if status, out := x.send(x.key, "GET", x.s.Gateway, "/crm/v3/objects/deals", nil); status != 200 {
		t.Errorf("the gateway = %d %s, want 200", status, out)
	}
}

// publicDocument lets anyone through to an upstream that isn't there.
const publicDocument = `openapi: 3.1.0
info: {title: Lab, version: "1"}
paths:
  /lab/{anything}:
    get: {operationId: any, security: [], responses: {"200": {description: fine}}}
`

// misuse puts every secret wherever a caller can put a text.
func (x *scan) misuse() {
	s := x.s
	paths := []string{"/crm/v3/objects/deals", "/v1/service-keys", "/lab/x"}
	for i, secret := range x.secrets {
		upper := strings.ReplaceAll(secret, "_", "%5F")
		// Each door in turn: what it does with a secret doesn't depend on whose it is.
		for _, base := range []string{s.API, s.Gateway}[i%2 : i%2+1] {
			for _, path := range paths[i%3 : i%3+1] {
				x.send(secret, "GET", base, path, nil)
				x.send(secret, "PUT", base, path+"/1", `{"a":`)
				x.send(secret, "GET", base, path, nil, "Authorization", "Bearer "+secret)
				x.send("", "GET", base, path, nil, "Authorization", secret)
				x.send("", "GET", base, path, nil, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret+":")))
				x.send(secret[:len(secret)-9], "GET", base, path, nil)
				x.send(secret+"x", "GET", base, path, nil)
				x.send(secret+" "+secret, "GET", base, path, nil)
				x.send("", "GET", base, path+"?access_token="+secret+"&hapikey="+upper, nil)
				x.send(x.key, "GET", base, path+"/"+secret, nil)
				x.send(x.key, "GET", base, path+"/"+upper+"/x", nil)
				x.send(x.admin, "POST", base, path+"/"+secret+"/revoke", nil)
				x.send(x.admin, "GET", base, path+"?"+secret+"="+secret+"&cursor="+secret+"&after="+secret, nil)
				x.send(x.key, "GET", base, path, nil, "User-Agent", "agent/1 ("+secret+")", "Referer", "http://x/"+secret, "Cookie", "session="+secret,
					"X-Request-Id", secret[:60], "Postern-Request-Id", secret[:60], "X-Forwarded-For", secret, "If-Match", secret, "Origin", "http://"+secret)
				x.send(x.key, secret, base, path, nil)
			}
			x.send("", "GET", base, "/"+secret, nil)
			x.send("", "GET", base, "/setup/"+secret, nil)
			x.send("", "GET", base, "/join/"+secret[:50], nil)
			x.send(x.key, "GET", base, "/crm/v3/objects/deals", nil, "Host", secret[:40]+".example.org")
		}
		// In bodies: as names, as members that aren't there, to the wrong door.
		x.send(x.key, "POST", s.Gateway, "/crm/v3/objects/deals/search", `{"filterGroups":[{"filters":[{"propertyName":"`+secret+`","operator":"EQ","value":"`+secret+`"}]}]}`)
		x.send(x.key, "POST", s.Gateway, "/crm/v3/objects/"+secret, `{"properties":{}}`)
		x.send(x.key, "POST", s.Gateway, "/crm/v3/objects/deals", `{"properties":{"`+secret+`":"1"}}`)
		x.send(x.key, "POST", s.Gateway, "/crm/v3/objects/deals", secret)
		x.send("", "POST", s.API, "/v1/invitations/accept", api.AcceptInvitation{Invitation: secret[1:]})
		x.send("", "POST", s.API, "/v1/invitations/accept", `{"`+secret+`":"`+secret+`"}`)
		for _, in := range []any{
			api.NewServiceKey{Name: secret}, api.NewServiceKey{Name: "n", Description: "the secret is " + secret}, api.NewServiceKey{Name: "n", Scopes: []string{secret}},
			api.NewServiceKey{Name: "n", Networks: []string{secret}}, api.NewServiceKey{Name: "n", TeamID: secret[:40]}, `{"name":"n","` + secret + `":1}`,
		} {
			x.send(x.admin, "POST", s.API, "/v1/service-keys", in)
		}
		x.send(x.admin, "POST", s.API, "/v1/service-keys", api.NewServiceKey{Name: "x" + secret[7:15]}, "Idempotency-Key", secret, "User-Agent", secret)
		x.send(x.admin, "POST", s.API, "/v1/members", api.NewMember{Email: secret[:60] + "@example.org", Name: secret, RoleID: secret[:40]})
		x.send(x.admin, "POST", s.API, "/v1/members", api.NewMember{Email: secret[:60] + "@example.org", Name: "n", RoleID: "viewer"})
		x.send(x.admin, "POST", s.API, "/v1/roles", api.NewRole{Name: "r", Description: secret, Permissions: []string{secret}})
		x.send(x.admin, "POST", s.API, "/v1/roles", api.NewRole{Name: "r" + secret[7:15], Permissions: []string{"postern.keys.read"}, Scopes: []string{secret}})
		x.send(x.admin, "PUT", s.API, "/v1/upstreams/"+secret[:40], api.UpstreamSettings{URL: "http://x/" + secret, Name: secret})
		x.send(x.admin, "POST", s.API, "/v1/upstreams/lab/catalog", api.CatalogLoad{Documents: []api.Document{{Name: secret, Text: secret}}})
		x.send(x.admin, "PATCH", s.API, "/v1/account", api.EditAccount{Name: &secret})
		x.send(x.admin, "POST", s.API, "/v1/personal-keys", api.NewPersonalKey{Name: secret})
		// The other doors.
		verify := map[string]any{"secret": secret, "method": "GET", "path": "/crm/v3/objects/deals/" + secret, "userAgent": secret, "remoteIp": secret, "host": secret, "upstream": "crm"}
		x.send("", "POST", s.API, "/v1/verify", verify)
		delete(verify, "remoteIp")
		delete(verify, "host")
		x.send("", "POST", s.API, "/v1/verify", verify)
		x.send(x.key, "POST", s.API, "/v1/verify", map[string]any{"secret": secret, "scopes": []string{secret}})
		x.send("", "POST", s.API, "/v1/verify", `{"secret":"`+secret+`","`+secret+`":1}`)
		x.send("", "POST", s.API, "/oauth/introspect", url.Values{"token": {secret}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		x.send(secret, "POST", s.API, "/oauth/introspect", "token="+secret+"&"+secret+"=1")
		x.send(secret, "GET", s.API, "/authorize", nil, "X-Original-Method", "GET", "X-Original-Uri", "/crm/v3/objects/deals/"+secret+"?k="+secret)
		x.send(secret, "GET", s.API, "/authorize", nil, "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/lab/"+upper, "X-Forwarded-Host", secret)
	}
}

// needles are the forms in which a secret would be found: its random part,
// halves of it, and these in other writings.
func needles(secret string) map[string]string {
	random := secret[strings.LastIndexByte(secret, '_')+1:]
	random = random[:43]
	out := map[string]string{"": random, "first half": random[:22], "second half": random[21:], "lower case": strings.ToLower(random), "hex": hex.EncodeToString([]byte(random)),
		"upper-case hex": strings.ToUpper(hex.EncodeToString([]byte(random)))}
	for i, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			// The first and last characters depend on what stands beside it.
			b := enc.EncodeToString(append(make([]byte, shift), random...))
			out[fmt.Sprintf("base64 %d/%d", i, shift)] = b[4 : len(b)-4]
		}
	}
	percent, half := "", ""
	for _, c := range []byte(random[:22]) {
		percent += fmt.Sprintf("%%%02X", c)
		half += fmt.Sprintf("\\u%04x", c)
	}
	out["URL-encoded"], out["URL-encoded, lower case"], out["JSON escapes"] = percent, strings.ToLower(percent), half
	return out
}

// search searches all that was written.
func (x *scan) search() {
	t := x.t
	where := map[string][]byte{"answers": x.answers.Bytes()}
	for _, list := range []string{"/v1/activity?limit=200", "/v1/audit?limit=200"} {
		name, cursor, all := strings.Split(list, "?")[0], "", []byte(nil)
		for {
			status, out := x.send(x.admin, "GET", x.s.API, list+cursor, nil)
			if status != 200 {
				t.Fatalf("%s = %d %s", list, status, out)
			}
			all = append(all, out...)
			var page struct{ NextCursor string }
			if err := json.Unmarshal(out, &page); err != nil {
				t.Fatal(err)
			}
			if page.NextCursor == "" || len(all) > 64<<20 {
				break
			}
			cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
		}
		if len(all) < 10_000 {
			t.Errorf("%s has only %d bytes: there is nothing to search", name, len(all))
		}
		where[name] = all
	}
	_, where["metrics"] = x.send("", "GET", x.s.API, "/metrics", nil)
	x.files(where, "while it runs: ")
	x.tables(where)
	x.s.stop()
	x.files(where, "after its end: ")
	// The set-up link is told once, on the terminal.
	where["logs"] = []byte(strings.Replace(x.s.output(), x.secrets[0], "(shown)", 1))
	if !bytes.Contains(where["logs"], []byte("level=INFO msg=request")) {
		t.Error("the log has no requests in it: there is nothing to search")
	}
	bytesIn, files := 0, 0
	for name, content := range where {
		bytesIn += len(content)
		files++
		for _, secret := range x.secrets {
			for how, needle := range needles(secret) {
				if at := bytes.Index(content, []byte(needle)); at >= 0 {
					around := strings.ReplaceAll(string(content[max(0, at-200):at]), "\x00", "")
					t.Errorf("%s: a secret (%s) stands there (%s), after %q", name, secret[:8], how, around)
					break
				}
			}
		}
	}
	kinds := map[string]int{}
	for _, s := range x.secrets {
		kinds[strings.Split(s, "_")[1]]++
	}
	t.Logf("%d secrets %v, %d shown in an answer; %d calls; searched %d files, tables and lists of %d bytes", len(x.secrets), kinds, x.shown, x.calls, files, bytesIn)
	for _, kind := range []string{"sk", "pak", "inv", "boot"} {
		if kinds[kind] == 0 {
			t.Errorf("the run made no secret of the kind %s", kind)
		}
	}
}

// files adds every file of the data directory.
func (x *scan) files(where map[string][]byte, when string) {
	wal := false
	err := filepath.WalkDir(x.place.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // gone since
		}
		where[when+filepath.Base(path)] = b
		wal = wal || strings.HasSuffix(path, "-wal") && len(b) > 0
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	if x.place.database == "" && when == "while it runs: " && !wal {
		x.t.Error("there is no write-ahead log to search")
	}
}

// tables adds every table of the PostgreSQL schema.
func (x *scan) tables(where map[string][]byte) {
	if x.place.database == "" {
		return
	}
	db := x.place.open(x.t, "")
	names := rows(x.t, db, `select table_name from information_schema.tables where table_schema = current_schema() order by 1`)
	if len(names) < 20 {
		x.t.Errorf("%d tables, want all of a server's", len(names))
	}
	for _, name := range names {
		var b bytes.Buffer
		for _, row := range rows(x.t, db, `select * from "`+name[0]+`"`) {
			b.WriteString(strings.Join(row, "\t") + "\n")
		}
		where["table "+name[0]] = b.Bytes()
	}
}
