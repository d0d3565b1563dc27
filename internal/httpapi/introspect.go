package httpapi

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/verify"
)

// IntrospectHandler answers POST /oauth/introspect (RFC 7662) for resource
// servers: callers that present a credential which holds postern.verify. Of a
// token of another account they learn what they learn of none: it isn't active.
// Asking takes nothing of the token's limits. issuer is the server's public URL.
//
// A token that may be used from some addresses only is active where the form
// says, as "remote_ip", that it was used from one of them.
func IntrospectHandler(d *door.Door, issuer string) http.Handler {
	return d.Recover(&introspectHandler{d, issuer})
}

type introspectHandler struct {
	door   *door.Door
	issuer string
}

func (h *introspectHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	asker, ok := h.door.Asker(r)
	status := asker.StatusOf()
	defer func() { h.door.Done(asker, verify.Outcome{Status: status, Duration: time.Since(began)}) }()
	if !ok {
		h.door.Refuse(w, asker)
		return
	}
	c, why := h.read(r, &status)
	if why != "" {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		h.door.Fail(w, asker, status, "invalid_request", "Bad request", why)
		return
	}
	c.RequestID = asker.RequestID
	c.Decision = h.door.Verifier().Still(r.Context(), &c.Request)
	if c.Decision.Reason == postern.ReasonUnavailable {
		status = http.StatusServiceUnavailable
		h.door.Refuse(w, c)
		return
	}
	answer := api.Introspection{}
	if d := &c.Decision; d.Allowed && d.Known && d.Account == asker.Decision.Account {
		answer = h.describe(d)
	}
	h.door.Done(c, verify.Outcome{Status: http.StatusOK, Duration: time.Since(began)})
	b, err := json.Marshal(answer)
	if err != nil {
		panic(err) // texts and numbers
	}
	head := w.Header()
	head["Content-Type"], head["Cache-Control"], head["X-Content-Type-Options"] = jsonType, noStore, nosniff
	head[door.RequestIDHeader] = []string{asker.RequestID}
	w.Write(append(b, '\n'))
}

// read reads the form: one token, in a body.
func (h *introspectHandler) read(r *http.Request, status *int) (*door.Call, string) {
	fail := func(code int, why string) (*door.Call, string) {
		*status = code
		return nil, why
	}
	if r.Method != http.MethodPost {
		return fail(http.StatusMethodNotAllowed, "Tokens are introspected with POST.")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return fail(http.StatusUnsupportedMediaType, "The token is sent as a form: application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxVerifyBody+1))
	if err != nil {
		return fail(http.StatusBadRequest, "The form could not be read to its end.")
	}
	if len(body) > maxVerifyBody {
		return fail(http.StatusRequestEntityTooLarge, "The form is longer than 64 KiB.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["token"]) != 1 || len(form["remote_ip"]) > 1 {
		return fail(http.StatusBadRequest, "The form needs exactly one token.")
	}
	c := &door.Call{}
	c.Door = postern.DoorVerify
	c.Secret = door.Presented(form.Get("token"))
	if text := form.Get("remote_ip"); text != "" {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return fail(http.StatusBadRequest, "The remote_ip is not an IP address.")
		}
		c.RemoteIP = ip.Unmap()
	}
	return c, ""
}

func (h *introspectHandler) describe(d *postern.Decision) api.Introspection {
	var scopes strings.Builder
	for i, s := range h.door.Verifier().ScopesAt(d) {
		if i > 0 {
			scopes.WriteByte(' ')
		}
		scopes.WriteString(string(s))
	}
	a := api.Introspection{Active: true, Scope: scopes.String(), ClientID: string(d.KeyID()), TokenType: "Bearer",
		Subject: string(d.KeyID()), Issuer: h.issuer, Account: string(d.Account), AccountNumber: d.AccountNo, Kind: d.Kind.String()}
	from, until := h.door.Verifier().Life(d)
	if from != 0 {
		a.NotBefore = from.Time().Unix()
	}
	if until != 0 {
		a.Expires = until.Time().Unix()
	}
	return a
}
