package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// contract is a transport that holds every request and answer against the
// document that the server serves, and notes which operations were called.
type contract struct {
	t      *testing.T
	router routers.Router
	doc    *openapi3.T
	mu     sync.Mutex
	well   map[string]bool // operations that succeeded
	badly  map[string]bool // operations that failed
}

func newContract(t *testing.T, url string) *contract {
	t.Helper()
	res, err := http.Get(url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	// A name in the answer of a server is an address here.
	doc.Servers = nil
	return &contract{t: t, router: router, doc: doc, well: map[string]bool{}, badly: map[string]bool{}}
}

// RoundTrip sends a request and validates it and its answer.
func (c *contract) RoundTrip(req *http.Request) (*http.Response, error) {
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		c.t.Errorf("%s %s is not in the document: %v", req.Method, req.URL.Path, err)
		return http.DefaultTransport.RoundTrip(req)
	}
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	in := &openapi3filter.RequestValidationInput{Request: req.Clone(req.Context()), PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true}}
	in.Request.Body = io.NopCloser(bytes.NewReader(body))
	invalid := openapi3filter.ValidateRequest(req.Context(), in)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	ok := res.StatusCode < 300
	if ok && invalid != nil {
		c.t.Errorf("%s %s was accepted, and is not what the document asks for: %v", req.Method, req.URL.Path, invalid)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	out.SetBodyBytes(answer)
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		c.t.Errorf("the answer %d of %s %s is not what the document says: %v", res.StatusCode, req.Method, req.URL.Path, err)
	}
	if !ok && res.Header.Get("Content-Type") != "application/problem+json" && route.Operation.OperationID != "readyz" {
		c.t.Errorf("%s %s fails with %q and no problem", req.Method, req.URL.Path, res.Header.Get("Content-Type"))
	}
	if res.Header.Get("Postern-Request-Id") == "" && !bytes.Contains(answer, []byte(`"requestId":`)) {
		c.t.Errorf("%s %s answers without a request id", req.Method, req.URL.Path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		c.well[route.Operation.OperationID] = true
	} else {
		c.badly[route.Operation.OperationID] = true
	}
	return res, nil
}

// Every operation of the document is called, succeeds and fails, and what goes
// over the wire is what the document says.
func TestEveryOperation(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c, nobody := t.Context(), w.super, w.client("")
		no := "0000000000000000"
		step := func(name string, well, badly error) {
			t.Helper()
			if well != nil {
				t.Errorf("%s: %v", name, well)
			}
			if badly == nil {
				t.Errorf("%s didn't fail where it should", name)
			}
		}
		err2 := func(_ any, err error) error { return err }

		made, err := c.CreateServiceKey(ctx, api.NewServiceKey{Name: "sync", Description: "Nightly.", Scopes: []string{"deals.read"},
			Networks: []string{"203.0.113.7", "2001:db8::/32"}, RateLimit: &api.RateLimit{Calls: 10, Seconds: 1},
			ExpiresAt: time.Now().Add(48 * time.Hour), NotBefore: time.Now().Add(-time.Hour)}, client.IdempotencyKey("k1"))
		step("create", err, err2(c.CreateServiceKey(ctx, api.NewServiceKey{Name: "sync"})))
		id := made.ID
		step("list", err2(c.ServiceKeys(ctx, client.KeyQuery{Name: "syn", Scope: "deals.read", State: "active", MadeBy: made.MadeBy,
			UnusedSince: time.Now().Add(-time.Hour), Paging: client.Paging{Limit: 10}})), err2(c.ServiceKeys(ctx, client.KeyQuery{Paging: client.Paging{Cursor: "x"}})))
		step("read", err2(c.ServiceKey(ctx, id)), err2(c.ServiceKey(ctx, no)))
		step("edit", err2(c.EditServiceKey(ctx, id, api.EditServiceKey{ExpiresAt: api.None[time.Time](), NotBefore: api.None[time.Time](),
			RateLimit: api.None[api.RateLimit](), Networks: &[]string{}})), err2(c.EditServiceKey(ctx, no, api.EditServiceKey{})))
		step("rotate", err2(c.RotateServiceKey(ctx, id, api.Rotate{Grace: "24h"})), err2(c.RotateServiceKey(ctx, id, api.Rotate{Grace: "24h"})))
		step("cancel", err2(c.CancelRotation(ctx, id)), err2(c.CancelRotation(ctx, id)))
		_, err = c.RotateServiceKey(ctx, id, api.Rotate{})
		step("rotation", err2(c.Rotation(ctx, id)), err2(c.Rotation(ctx, no)))
		step("extend", err2(c.ExtendRotation(ctx, id, api.Extend{More: "24h"})), err2(c.ExtendRotation(ctx, id, api.Extend{More: "24h"})))
		step("tripwires", err2(c.Trips(ctx, client.TripQuery{Key: id})), err2(c.Trips(ctx, client.TripQuery{Paging: client.Paging{Cursor: "x"}})))
		step("policy", err2(c.Policy(ctx)), err2(nobody.Policy(ctx)))
		ninety, pauses := 90, "pause"
		step("edit policy", err2(c.EditPolicy(ctx, api.EditPolicy{RemindAge: &ninety, Tripwires: &api.EditTripwires{Canary: &pauses}}, client.IfRevision(0))),
			err2(c.EditPolicy(ctx, api.EditPolicy{RemindExpiry: &[]int{1, 2}})))
		step("finish", err2(c.FinishRotation(ctx, id)), err2(c.FinishRotation(ctx, id)))
		step("rotate by default", err, err2(c.RotateServiceKey(ctx, id, api.Rotate{Grace: "a week"})))
		step("receipt", err2(c.Receipt(ctx, id)), err2(c.Receipt(ctx, no)))
		step("advice", err2(c.Advice(ctx)), err2(nobody.Advice(ctx)))
		step("advice on a key", err2(c.KeyAdvice(ctx, id)), err2(c.KeyAdvice(ctx, no)))
		step("dismiss", c.DismissAdvice(ctx, id, "no_expiry", false), c.DismissAdvice(ctx, id, "idle_key", false))
		step("apply", err2(c.ApplyAdvice(ctx, id, "no_expiry")), err2(c.ApplyAdvice(ctx, id, "no_expiry")))
		step("undo", err2(c.UndoNarrowing(ctx, id)), err2(c.UndoNarrowing(ctx, id)))
		step("narrow", err2(c.Narrow(ctx, id, api.Narrow{Scopes: &[]string{}, Watch: true})), err2(c.Narrow(ctx, id, api.Narrow{Watch: true})))
		step("watched", err2(c.Watched(ctx, id, 0)), err2(c.Watched(ctx, no, 0)))
		step("end the watch", err2(c.EndWatch(ctx, id)), err2(c.EndWatch(ctx, id)))
		step("watch again", err2(c.Narrow(ctx, id, api.Narrow{Networks: &[]string{"203.0.113.7"}, Watch: true})), err2(c.Watched(ctx, no, 0)))
		step("enforce", err2(c.EnforceWatch(ctx, id)), err2(c.EnforceWatch(ctx, id)))
		step("what if", err2(c.WhatIf(ctx, id, api.WhatIf{Scopes: &[]string{}, ExpiresAt: api.None[time.Time]()})), err2(c.WhatIf(ctx, no, api.WhatIf{})))
		step("what if of a catalog", err2(c.CatalogWhatIf(ctx, "api", api.CatalogWhatIf{CatalogLoad: api.CatalogLoad{Documents: []api.Document{{Name: "a.yaml", Text: apiDoc}}}})),
			err2(c.CatalogWhatIf(ctx, "api", api.CatalogWhatIf{CatalogLoad: api.CatalogLoad{Documents: []api.Document{{Name: "a.yaml", Text: "not: openapi"}}}})))
		step("revoke", err2(c.RevokeServiceKey(ctx, id, "Not needed.")), err2(c.RevokeServiceKey(ctx, no, "")))
		step("delete", err2(c.DeleteServiceKey(ctx, id)), err2(c.DeleteServiceKey(ctx, id)))
		lost, err := c.CreateServiceKey(ctx, api.NewServiceKey{Name: "lost"})
		step("check found", err2(nobody.CheckFound(ctx, api.FoundSecret{Secret: lost.Secret})), err2(nobody.CheckFound(ctx, api.FoundSecret{})))
		step("report found", err2(nobody.ReportFound(ctx, api.FoundSecret{Secret: lost.Secret, URL: "https://example.org"})), err2(nobody.ReportFound(ctx, api.FoundSecret{})))
		step("revoke found", err2(nobody.RevokeFound(ctx, api.FoundSecret{Secret: lost.Secret})), err2(nobody.RevokeFound(ctx, api.FoundSecret{})))
		step("leaks", err2(c.Leaks(ctx, "", client.Paging{Limit: 1})), err2(c.Leaks(ctx, "", client.Paging{Cursor: "x"})))
		step("make what was lost", err, err2(nobody.Leaks(ctx, "", client.Paging{})))

		yes := true
		step("scopes", err2(c.Scopes(ctx, client.ScopeQuery{Q: "deals", Upstream: "api", Grantable: &yes})), err2(nobody.Scopes(ctx, client.ScopeQuery{})))
		step("upstreams", err2(c.Upstreams(ctx)), err2(nobody.Upstreams(ctx)))
		step("put upstream", err2(c.PutUpstream(ctx, "other", api.UpstreamSettings{URL: "https://api.example.org/v1", Host: "api.local", Errors: "hubspot", Timeout: "10s"})),
			err2(c.PutUpstream(ctx, "other", api.UpstreamSettings{URL: "ftp://example.org"})))
		step("load", err2(c.LoadCatalog(ctx, "api", api.CatalogLoad{Documents: []api.Document{{Name: "a.yaml", Text: apiDoc}}, DryRun: true})),
			err2(c.LoadCatalog(ctx, "api", api.CatalogLoad{Documents: []api.Document{{Name: "a.yaml", Text: "not: openapi"}}})))
		step("catalog", err2(c.Catalog(ctx, "api", 0)), err2(c.Catalog(ctx, "other", 0)))
		step("versions", err2(c.CatalogVersions(ctx, "api")), err2(c.CatalogVersions(ctx, "nothing")))
		step("delete upstream", c.DeleteUpstream(ctx, "other"), c.DeleteUpstream(ctx, "other"))

		inv, err := c.InviteMember(ctx, api.NewMember{Email: "kim@example.org", Name: "Kim", RoleID: "key_manager", Scopes: &[]string{"deals.*"}})
		step("invite", err, err2(c.InviteMember(ctx, api.NewMember{Email: "kim@example.org", Name: "Kim", RoleID: "key_manager"})))
		kim := inv.Member.ID
		inv, err = c.ReinviteMember(ctx, kim)
		step("reinvite", err, err2(c.ReinviteMember(ctx, "mem_none")))
		step("accept", err2(nobody.AcceptInvitation(ctx, inv.Invitation)), err2(nobody.AcceptInvitation(ctx, inv.Invitation)))
		step("members", err2(c.Members(ctx)), err2(nobody.Members(ctx)))
		step("member", err2(c.Member(ctx, kim)), err2(c.Member(ctx, "mem_none")))
		step("me", err2(c.Me(ctx)), err2(nobody.Me(ctx)))
		step("edit member", err2(c.EditMember(ctx, kim, api.EditMember{Scopes: api.None[[]string]()})), err2(c.EditMember(ctx, "mem_none", api.EditMember{})))
		step("remove", c.RemoveMember(ctx, kim), c.RemoveMember(ctx, kim))

		step("roles", err2(c.Roles(ctx)), err2(nobody.Roles(ctx)))
		role, err := c.CreateRole(ctx, api.NewRole{Name: "Readers", Permissions: []string{"postern.keys.read"}, Scopes: []string{"deals.read"}})
		step("create role", err, err2(c.CreateRole(ctx, api.NewRole{Name: "Readers", Permissions: []string{"no.such"}})))
		words := "Who reads."
		step("edit role", err2(c.EditRole(ctx, role.ID, api.EditRole{Description: &words})), err2(c.EditRole(ctx, "super_admin", api.EditRole{Description: &words})))
		step("delete role", c.DeleteRole(ctx, role.ID), c.DeleteRole(ctx, role.ID))

		step("personal keys", err2(c.PersonalKeys(ctx)), err2(nobody.PersonalKeys(ctx)))
		pak, err := c.CreatePersonalKey(ctx, api.NewPersonalKey{Name: "ci", Scopes: []string{"postern.keys.read"}})
		step("create personal key", err, err2(c.CreatePersonalKey(ctx, api.NewPersonalKey{Name: "ci", Scopes: []string{"deals.read"}})))
		step("revoke personal key", c.RevokePersonalKey(ctx, pak.ID), c.RevokePersonalKey(ctx, no))

		zone, bad := "Europe/London", "Nowhere/Nohow"
		step("account", err2(c.Account(ctx)), err2(nobody.Account(ctx)))
		step("edit account", err2(c.EditAccount(ctx, api.EditAccount{TimeZone: &zone})), err2(c.EditAccount(ctx, api.EditAccount{TimeZone: &bad})))
		step("accounts", err2(c.Accounts(ctx)), err2(nobody.Accounts(ctx)))
		other, err := c.CreateAccount(ctx, api.NewAccount{Name: "Globex", AdminEmail: "g@example.org", AdminName: "G"})
		step("create account", err, err2(c.CreateAccount(ctx, api.NewAccount{Name: "Globex", AdminEmail: "nobody", AdminName: "G"})))
		step("edit any account", err2(c.EditAnyAccount(ctx, other.Account.ID, api.EditAccount{Suspended: &yes})), err2(c.EditAnyAccount(ctx, "acc_none", api.EditAccount{Name: &words})))

		migrates(t, w, step)
		looksAfter(t, w, step)
		rotatesMany(t, w, step)
		step("activity", err2(c.Activity(ctx, client.ActivityQuery{Reason: "allowed", Since: time.Now().Add(-time.Hour)})), err2(c.Activity(ctx, client.ActivityQuery{Reason: "whim"})))
		step("export", err2(exported(c, t, client.ActivityQuery{Reason: "allowed"})), err2(exported(c, t, client.ActivityQuery{Reason: "whim"})))
		step("audit", err2(c.Audit(ctx, client.AuditQuery{Result: "ok", Since: time.Now().Add(-time.Hour)})), err2(c.Audit(ctx, client.AuditQuery{Paging: client.Paging{Cursor: "x"}})))
		if err := w.auditor.Sign(ctx); err != nil {
			t.Fatal(err)
		}
		step("audit key", err2(c.AuditKeys(ctx)), err2(nobody.AuditKeys(ctx)))
		step("checkpoints", err2(c.AuditCheckpoints(ctx, client.Paging{})), err2(c.AuditCheckpoints(ctx, client.Paging{Cursor: "x"})))
		step("checkpoint", err2(c.AuditCheckpoint(ctx)), err2(nobody.AuditCheckpoint(ctx)))
		step("audit proof", err2(c.AuditProof(ctx, 1, 0)), err2(c.AuditProof(ctx, 999_999, 0)))
		step("audit consistency", err2(c.AuditConsistency(ctx, 1, 2)), err2(c.AuditConsistency(ctx, 2, 1)))
		for _, format := range []string{"jsonl", "csv", "syslog", "proof"} {
			_, _, well := c.ExportAudit(ctx, io.Discard, format, 0, client.AuditQuery{})
			_, _, badly := c.ExportAudit(ctx, io.Discard, "proof", 1, client.AuditQuery{})
			step("audit export "+format, well, badly)
		}
		step("set up", err2(w.setUpElsewhere()), err2(nobody.Setup(ctx, api.Setup{Link: "x", Account: "A", Email: "a@example.org", Name: "A"})))

		// A key whose catalog, limits and networks all tell of themselves in the answer.
		asked, err := c.CreateServiceKey(ctx, api.NewServiceKey{Name: "asked", Scopes: []string{"deals.read", "postern.verify"},
			RateLimit: &api.RateLimit{Calls: 10, Seconds: 1}, ExpiresAt: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Verify(ctx, api.VerifyRequest{Secret: asked.Secret, Method: "POST", Path: "/deals", Upstream: "api"})
		step("verify", err, err2(nobody.Verify(ctx, api.VerifyRequest{Scopes: make([]string, 501)})))
		step("introspect", w.introspect(asked.Secret, asked.Secret), w.introspect("", asked.Secret))
		step("nodes", err2(c.Nodes(ctx)), err2(nobody.Nodes(ctx)))
		step("healthz", w.get("/healthz"), errNever)
		step("readyz", w.get("/readyz"), w.unready())

		called := 0
		for path, item := range w.contract.doc.Paths.Map() {
			for method, op := range item.Operations() {
				called++
				// What has no failing answer in the document has none: healthz.
				fails := op.Responses.Default() != nil
				for status := range op.Responses.Map() {
					fails = fails || status >= "4"
				}
				if !w.contract.well[op.OperationID] || fails && !w.contract.badly[op.OperationID] {
					t.Errorf("%s %s: succeeded %v, failed %v", method, path, w.contract.well[op.OperationID], w.contract.badly[op.OperationID])
				}
			}
		}
		if called < 44 {
			t.Errorf("the document has %d operations", called)
		}
	})
}

var errNever = errors.New("this can't fail")

// get asks for a path that the document has, without a client.
func (w *world) get(path string) error {
	return w.raw(http.MethodGet, path, "", "", "")
}

func (w *world) raw(method, path, secret, kind, body string) error {
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := w.contract.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return nil
}

func (w *world) introspect(by, token string) error {
	return w.raw(http.MethodPost, "/oauth/introspect", by, "application/x-www-form-urlencoded", url.Values{"token": {token}}.Encode())
}

// unready asks a second server, whose database is gone, whether it is ready.
func (w *world) unready() error {
	v := newWorld(w.t, w.t.TempDir()+"/postern.db")
	v.db.Close()
	err := v.get("/readyz")
	w.contract.take(v.contract)
	return err
}

// take adds what was called on another server.
func (c *contract) take(from *contract) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(c.well, from.well)
	maps.Copy(c.badly, from.badly)
}

// setUpElsewhere sets a second server up by its link.
func (w *world) setUpElsewhere() (api.Joined, error) {
	v := open(w.t, w.t.TempDir()+"/postern.db")
	defer w.contract.take(v.contract)
	link, _, err := v.kr.SetupLink(w.t.Context())
	if err != nil {
		return api.Joined{}, err
	}
	joined, err := v.client("").Setup(w.t.Context(), api.Setup{Link: link.Reveal(), Account: "Acme", TimeZone: "UTC", Email: "a@example.org", Name: "A"})
	if err == nil {
		_, err = v.client(joined.Secret).Me(w.t.Context())
	}
	if _, again := v.client("").Setup(w.t.Context(), api.Setup{Link: link.Reveal(), Account: "B", Email: "a@example.org", Name: "A"}); !client.IsCode(again, string(postern.CodeUnauthenticated)) {
		w.t.Errorf("a used link = %v, want unauthenticated", again)
	}
	return joined, err
}
