package httpapi

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/identity"
	"postern.dev/postern/internal/verify"
)

// AuthorizeConfig is what forward-auth needs. Door and Identity have no default.
type AuthorizeConfig struct {
	Door     *door.Door
	Identity *identity.Issuer
	// Peers are the proxies that may ask, and whose word on the call counts; this
	// machine's unless set.
	Peers []netip.Prefix
	// OnlyAuthStatuses answers every refusal that is neither 401 nor 403 with 403,
	// since nginx's auth_request understands no other. The query "?statuses=nginx"
	// does the same for one caller.
	OnlyAuthStatuses bool
}

// StatusHeader tells the status that a refused call is to be answered with, also
// where the proxy had to be told another.
const StatusHeader = "Postern-Status"

// QueryHeader has the query that a call is to be passed on with, where a
// credential was in it and the proxy has to take it out.
const QueryHeader = "Postern-Query"

// AuthorizeHandler answers proxies that ask before they pass a call on: nginx's
// auth_request, Caddy's forward_auth, Traefik's ForwardAuth, HAProxy. 200 has the
// identity headers for the upstream; everything else is a refusal, with the
// answer for the caller. A body is never read.
func AuthorizeHandler(c AuthorizeConfig) (http.Handler, error) {
	if c.Door == nil || c.Identity == nil {
		return nil, errors.New("httpapi: forward-auth needs a door and an identity issuer")
	}
	if len(c.Peers) == 0 {
		c.Peers = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	return &authorizeHandler{c}, nil
}

type authorizeHandler struct{ AuthorizeConfig }

func (h *authorizeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	aw := &authorizeWriter{ResponseWriter: w, narrow: h.OnlyAuthStatuses || r.URL.RawQuery == "statuses=nginx"}
	c := &door.Call{}
	c.RequestID = door.NewRequestID()
	c.Door = postern.DoorAuthorize
	defer func() {
		if p := recover(); p != nil {
			if !h.Door.Recovered(c, p) {
				panic(p)
			}
			if aw.status == 0 {
				h.Door.Refuse(aw, c)
			}
		}
		h.Door.Done(c, verify.Outcome{Status: aw.status, Duration: time.Since(began)})
	}()
	h.read(c, r)
	if !h.Door.Judge(r.Context(), c) {
		h.Door.Refuse(aw, c)
		return
	}
	head := w.Header()
	if err := h.Identity.Set(head, &c.Decision); err != nil {
		panic(err)
	}
	head["Cache-Control"] = noStore
	head[door.RequestIDHeader] = []string{c.RequestID}
	h.Door.Limits(head, c)
	h.Door.Retire(head, c)
	if c.InAddress {
		head[QueryHeader] = []string{c.Query}
	}
	aw.WriteHeader(http.StatusOK)
}

// read reads the call that a proxy asks about.
func (h *authorizeHandler) read(c *door.Call, r *http.Request) {
	c.Peer = door.Peer(r)
	if !h.listed(c.Peer) {
		c.Refuse("Only listed proxies may ask here.")
		c.Status = http.StatusForbidden
		return
	}
	o, why := readOriginal(r)
	if why != "" {
		c.Refuse(why)
		return
	}
	c.Method = o.method
	c.UserAgent = r.UserAgent()
	h.Door.Credential(c, r.Header)
	c.ReadPreflight(r.Header)
	h.Door.ForwardedAddress(c, r.Header, h.Peers)
	h.Door.Target(c, o.host, o.target)
}

func (h *authorizeHandler) listed(peer netip.Addr) bool {
	for _, p := range h.Peers {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// original is the call that a proxy asks about.
type original struct{ method, host, target string }

// readOriginal reads the call from the headers in which proxies say it. There
// are two families, X-Original-* (nginx) and X-Forwarded-* (Caddy, Traefik). A
// proxy sets one of them, and passes on what a caller sends of the other: so each
// fact is taken from one place, and whatever else is said of it has to agree.
func readOriginal(r *http.Request) (o original, why string) {
	said := func(name string) (v string, there bool) {
		values := r.Header[name]
		if len(values) > 1 {
			why = "The header " + name + " is there twice."
		}
		if len(values) == 0 {
			return "", false
		}
		return values[0], true
	}
	oMethod, hasOMethod := said("X-Original-Method")
	oURI, hasOURI := said("X-Original-Uri")
	oURL, hasOURL := said("X-Original-Url")
	oHost, hasOHost := said("X-Original-Host")
	fMethod, hasFMethod := said("X-Forwarded-Method")
	fURI, hasFURI := said("X-Forwarded-Uri")
	fHost, hasFHost := said("X-Forwarded-Host")
	if why != "" {
		return o, why
	}
	const clash = "What the headers say of the call is contradictory."
	switch {
	case hasOURI:
		o = original{oMethod, r.Host, oURI}
	case hasOURL:
		scheme, rest, ok := strings.Cut(oURL, "://")
		if !ok || scheme != "http" && scheme != "https" {
			return o, "The header X-Original-URL is not a URL."
		}
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return o, "The header X-Original-URL has no path."
		}
		o = original{oMethod, rest[:i], rest[i:]}
	case hasFURI && hasFHost:
		o = original{fMethod, fHost, fURI}
	default:
		return o, "The proxy doesn't say which call it asks about."
	}
	switch {
	case o.method == "" || o.target == "" || o.target[0] != '/' || o.host == "":
		return o, "The proxy doesn't say the call's method, path and host."
	case hasOMethod && oMethod != o.method, hasFMethod && fMethod != o.method,
		hasFURI && fURI != o.target, hasOHost && !strings.EqualFold(oHost, o.host),
		hasFHost && !strings.EqualFold(fHost, o.host):
		return o, clash
	case hasOURL && hasOURI && !strings.HasSuffix(oURL, "://"+o.host+o.target):
		return o, clash
	}
	return o, ""
}

// authorizeWriter notes the status, and narrows it for proxies that know two refusals.
type authorizeWriter struct {
	http.ResponseWriter
	status int
	narrow bool
}

func (w *authorizeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *authorizeWriter) WriteHeader(status int) {
	w.status = status
	if status != http.StatusOK {
		w.Header()[StatusHeader] = []string{strconv.Itoa(status)}
		if w.narrow && status != http.StatusUnauthorized {
			status = http.StatusForbidden
		}
	}
	w.ResponseWriter.WriteHeader(status)
}
