package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
)

// These operations take a catalog, and so more than maxBody.
const (
	loadCatalog   = "loadCatalog"
	whatIfCatalog = "whatIfCatalog"
	// And this one an inventory.
	uploadInventory = "uploadInventory"
)

// register is the management API.
func (s *server) register(a huma.API) {
	const read, write, revoke = postern.PermKeysRead, postern.PermKeysWrite, postern.PermKeysRevoke
	huma.Register(a, op("GET /v1/service-keys", "listServiceKeys", "List service keys", read), s.listKeys)
	huma.Register(a, made(op("POST /v1/service-keys", "createServiceKey", "Make a service key", write)), s.createKey)
	huma.Register(a, op("GET /v1/service-keys/{id}", "readServiceKey", "Read a service key", read), s.readKey)
	huma.Register(a, op("PATCH /v1/service-keys/{id}", "editServiceKey", "Change, pause or resume a service key", write, revoke), s.editKey)
	huma.Register(a, op("DELETE /v1/service-keys/{id}", "deleteServiceKey", "Delete a service key", revoke), s.deleteKey)
	huma.Register(a, op("POST /v1/service-keys/{id}/rotate", "rotateServiceKey", "Give a service key a new secret", write), s.rotateKey)
	huma.Register(a, op("GET /v1/service-keys/{id}/rotation", "readRotation", "See who still uses the old secret", postern.PermActivityRead), s.readRotation)
	huma.Register(a, op("POST /v1/service-keys/{id}/rotation/extend", "extendRotation", "Let the old secret work for longer", write), s.extendRotation)
	huma.Register(a, op("POST /v1/service-keys/{id}/rotation/finish", "finishRotation", "End the secret before now", write), s.finishRotation)
	huma.Register(a, op("POST /v1/service-keys/{id}/rotation/cancel", "cancelRotation", "Void the new secret", write), s.cancelRotation)
	huma.Register(a, op("POST /v1/service-keys/{id}/revoke", "revokeServiceKey", "End a service key for good", revoke), s.revokeKey)
	huma.Register(a, op("GET /v1/service-keys/{id}/receipt", "readReceipt", "Ask where the latest change of a service key is in force", read), s.readReceipt)

	s.registerAdvice(a)
	s.registerLegacy(a)
	s.registerMigration(a)
	s.registerCampaigns(a)

	huma.Register(a, op("GET /v1/scopes", "listScopes", "List scopes", postern.PermCatalogRead), s.listScopes)
	huma.Register(a, op("GET /v1/upstreams", "listUpstreams", "List upstreams", postern.PermCatalogRead), s.listUpstreams)
	huma.Register(a, op("PUT /v1/upstreams/{id}", "putUpstream", "Add or change an upstream", postern.PermCatalogWrite), s.putUpstream)
	huma.Register(a, gone(op("DELETE /v1/upstreams/{id}", "deleteUpstream", "Remove an upstream", postern.PermCatalogWrite)), s.deleteUpstream)
	huma.Register(a, op("POST /v1/upstreams/{id}/catalog", loadCatalog, "Load the catalog of an upstream", postern.PermCatalogWrite), s.loadCatalog)
	huma.Register(a, op("GET /v1/upstreams/{id}/catalog", "readCatalog", "Read the catalog of an upstream", postern.PermCatalogRead), s.readCatalog)
	huma.Register(a, op("GET /v1/upstreams/{id}/catalog/versions", "listCatalogVersions", "List the versions of a catalog", postern.PermCatalogRead), s.listCatalogVersions)

	huma.Register(a, op("GET /v1/members", "listMembers", "List members", postern.PermMembersRead), s.listMembers)
	huma.Register(a, made(op("POST /v1/members", "inviteMember", "Invite a member", postern.PermMembersWrite)), s.inviteMember)
	huma.Register(a, op("GET /v1/members/me", "whoAmI", "Ask who you are", permSelf), s.whoAmI)
	huma.Register(a, op("GET /v1/members/{id}", "readMember", "Read a member", postern.PermMembersRead), s.readMember)
	huma.Register(a, op("PATCH /v1/members/{id}", "editMember", "Change a member", postern.PermMembersWrite), s.editMember)
	huma.Register(a, gone(op("DELETE /v1/members/{id}", "removeMember", "Remove a member", postern.PermMembersWrite)), s.removeMember)
	huma.Register(a, op("POST /v1/members/{id}/reinvite", "reinviteMember", "Invite a member anew", postern.PermMembersWrite), s.reinviteMember)
	huma.Register(a, op("GET /v1/roles", "listRoles", "List roles", postern.PermMembersRead), s.listRoles)
	huma.Register(a, made(op("POST /v1/roles", "createRole", "Add a role", postern.PermMembersWrite)), s.createRole)
	huma.Register(a, op("PATCH /v1/roles/{id}", "editRole", "Change a role", postern.PermMembersWrite), s.editRole)
	huma.Register(a, gone(op("DELETE /v1/roles/{id}", "deleteRole", "Delete a role", postern.PermMembersWrite)), s.deleteRole)

	huma.Register(a, op("GET /v1/personal-keys", "listPersonalKeys", "List your personal access keys", permSelf), s.listPersonalKeys)
	huma.Register(a, made(op("POST /v1/personal-keys", "createPersonalKey", "Make a personal access key", permSelf)), s.createPersonalKey)
	huma.Register(a, gone(op("DELETE /v1/personal-keys/{id}", "revokePersonalKey", "End a personal access key", permSelf)), s.revokePersonalKey)

	huma.Register(a, op("GET /v1/account", "readAccount", "Read your account", postern.PermAccountRead), s.readAccount)
	huma.Register(a, op("PATCH /v1/account", "editAccount", "Change your account", postern.PermAccountWrite), s.editAccount)
	huma.Register(a, op("GET /v1/policy", "readPolicy", "Read what the account asks of its keys", postern.PermAccountRead), s.readPolicy)
	huma.Register(a, op("PATCH /v1/policy", "editPolicy", "Change what the account asks of its keys", postern.PermAccountWrite), s.editPolicy)
	huma.Register(a, op("GET /v1/accounts", "listAccounts", "List the server's accounts", postern.PermAccountsWrite), s.listAccounts)
	huma.Register(a, made(op("POST /v1/accounts", "createAccount", "Make an account", postern.PermAccountsWrite)), s.createAccount)
	huma.Register(a, op("GET /v1/nodes", "listNodes", "List the nodes that share the database", postern.PermAccountsWrite), s.listNodes)
	huma.Register(a, op("PATCH /v1/accounts/{id}", "editAnyAccount", "Change or suspend an account", postern.PermAccountsWrite), s.editAnyAccount)

	huma.Register(a, op("GET /v1/activity", "listActivity", "See what credentials did", postern.PermActivityRead), s.listActivity)
	huma.Register(a, callStream(op("GET /v1/activity/export", "exportActivity", "Download what credentials did", postern.PermActivityRead), exportWords), s.exportActivity)
	huma.Register(a, op("GET /v1/tripwires", "listTripwires", "See which tripwires were touched", postern.PermActivityRead), s.listTripwires)
	s.registerAudit(a)

	huma.Register(a, op("GET /v1/leaks", "listLeaks", "See which secrets were found in the open", read), s.listLeaks)
	huma.Register(a, op("POST /v1/found-secrets/check", "checkFoundSecret", "Ask what a secret that you found can do"), s.checkFound)
	huma.Register(a, op("POST /v1/found-secrets/report", "reportFoundSecret", "Report a secret that you found"), s.reportFound)
	huma.Register(a, op("POST /v1/found-secrets/revoke", "revokeFoundSecret", "End a secret that you found"), s.revokeFound)

	huma.Register(a, made(op("POST /v1/setup", "setUp", "Make the first account with a set-up link")), s.setUp)
	huma.Register(a, made(op("POST /v1/invitations/accept", "acceptInvitation", "Accept an invitation")), s.acceptInvitation)
}

// registerAdvice is what says which access could go, and takes it away.
func (s *server) registerAdvice(a huma.API) {
	const write, seen = postern.PermKeysWrite, postern.PermActivityRead
	const key = "/v1/service-keys/{id}"
	huma.Register(a, op("GET /v1/advice", "readAdvice", "See what could be better about the account's keys", seen), s.readAdvice)
	huma.Register(a, op("GET "+key+"/advice", "readKeyAdvice", "See which scopes a key needs, and what could be better about it", seen), s.readKeyAdvice)
	huma.Register(a, op("POST "+key+"/advice/{kind}/apply", "applyAdvice", "Make the fix of advice on a key", write), s.applyAdvice)
	huma.Register(a, gone(op("POST "+key+"/advice/{kind}/dismiss", "dismissAdvice", "Put advice on a key aside", write)), s.dismissAdvice)
	huma.Register(a, op("POST "+key+"/what-if", "whatIf", "Ask which calls a change of a key would have refused", seen), s.whatIf)
	huma.Register(a, op("POST "+key+"/narrow", "narrowServiceKey", "Take something away from a key, or try that first", write), s.narrowKey)
	huma.Register(a, op("GET "+key+"/watch", "readWatch", "See what a narrowing that is being tried would have refused", seen), s.readWatched)
	huma.Register(a, op("POST "+key+"/watch/enforce", "enforceWatch", "Make what is being tried on a key count", write), s.enforceKey)
	huma.Register(a, op("POST "+key+"/watch/end", "endWatch", "End what is being tried on a key", write), s.unwatchKey)
	huma.Register(a, op("POST "+key+"/undo", "undoNarrowing", "Take back a key's latest narrowing", write), s.undoKey)
	huma.Register(a, op("POST /v1/upstreams/{id}/catalog/what-if", whatIfCatalog, "Ask which calls of the account's keys a new catalog would refuse", postern.PermCatalogWrite), s.whatIfCatalog)
}

// op is an operation: a route, its name, what it does in a few words, and the
// scopes of Postern of which one is needed; none at all makes it public.
func op(route, name, summary string, scopes ...postern.Permission) huma.Operation {
	method, path, _ := strings.Cut(route, " ")
	o := huma.Operation{Method: method, Path: path, OperationID: name, Summary: summary, DefaultStatus: http.StatusOK,
		Tags: []string{strings.Split(path, "/")[2]}, Security: []map[string][]string{},
		MaxBodyBytes: -1, BodyReadTimeout: -1} // bodies are read, within limits, before huma sees them
	for _, sc := range scopes {
		o.Security = append(o.Security, map[string][]string{schemePersonal: {string(sc)}})
	}
	return o
}

// made answers with 201 Created.
func made(o huma.Operation) huma.Operation {
	o.DefaultStatus = http.StatusCreated
	return o
}

// gone answers with 204 No Content.
func gone(o huma.Operation) huma.Operation {
	o.DefaultStatus = http.StatusNoContent
	return o
}

// routes is everything that the listener answers.
func (s *server) routes(operations http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.authenticate(operations))
	mux.HandleFunc("GET /openapi.json", s.serveDocument)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("/", s.nothingHere)
	return s.observe(s.guard(mux))
}

// guard is what holds for every request: headers that keep browsers careful, no
// change that another site's page asks for, and a place among those being served.
func (s *server) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := stateOf(r.Context())
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=63072000")
		}
		lane := s.lanes.lane(r)
		if !enter(lane) {
			s.fail(w, st, postern.Errorf(postern.CodeUnavailable, "The server is busy. Try again in a moment."))
			return
		}
		defer leave(lane)
		if err := cross.Check(r); err != nil {
			s.fail(w, st, postern.Errorf(postern.CodeForbidden, "A page of another site asked for this, which is refused."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(s.document)
}

func (s *server) nothingHere(w http.ResponseWriter, r *http.Request) {
	stateOf(r.Context()).route = "unmatched"
	s.fail(w, stateOf(r.Context()), postern.Errorf(postern.CodeNotFound, "There is nothing here. The API is described at /openapi.json."))
}
