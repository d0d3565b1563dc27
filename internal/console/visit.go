package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
)

// visit is one request to the console, and what a page needs to answer it.
type visit struct {
	c  *Console
	w  http.ResponseWriter
	r  *http.Request
	rt route

	// session is whose visit it is; nil on public pages where nobody is in.
	session *signin.Session
	// by acts in the keyring and the audit log.
	by postern.Actor
	// id is the number of the request.
	id  string
	now time.Time
	// zone is the reader's time zone, as their browser told; UTC otherwise.
	zone *time.Location
	// once names this sending of a form: the idempotency key for the keyring. Again is
	// true where the same form was sent before and its answer, with a secret, isn't kept.
	once   string
	file   *upload // of a route that streams; nil where none was sent
	again  bool
	secret bool
	flash  *flash
	err    error // for the log
}

// member is who is in.
func (v *visit) member() *postern.Member { return &v.session.Member }

// account is whose pages are shown.
func (v *visit) account() *postern.Account { return &v.session.Account }

// can reports whether the visitor has a permission.
func (v *visit) can(p postern.Permission) bool { return v.session != nil && v.session.Member.Can(p) }

// query is a value of the address.
func (v *visit) query(name string) string { return strings.TrimSpace(v.r.URL.Query().Get(name)) }

// path is a part of the address that the pattern names.
func (v *visit) path(name string) string { return v.r.PathValue(name) }

// showsSecret marks the answer as one that no cache, history or second sending
// may give again.
func (v *visit) showsSecret() { v.secret = true }

// redirect sends the visitor to a page of the console.
func (v *visit) redirect(to string) error {
	http.Redirect(v.w, v.r, localPath(to), http.StatusSeeOther)
	return nil
}

// done sends the visitor to a page with a message of what was done.
func (v *visit) done(to, message string) error {
	v.setFlash(flash{Kind: "ok", Text: message})
	return v.redirect(to)
}

// warn is done, for what went differently than wished.
func (v *visit) warn(to, message string) error {
	v.setFlash(flash{Kind: "warn", Text: message})
	return v.redirect(to)
}

// localPath keeps addresses that came from outside within the console.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(to, "/") ||
		strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}

// link is an address with values; pairs of name and value, empty ones left out.
func link(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Add(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// errNoPage is the answer to addresses where nothing is.
var errNoPage = postern.Errorf(postern.CodeNotFound, "There is nothing at this address. It may have moved, or you may have followed an old link.")

// errNotPermitted is a want of permissions; one of them would do.
type errNotPermitted struct{ need []postern.Permission }

func (e *errNotPermitted) Error() string { return "not permitted" }

// denied refuses a visitor who lacks a permission, as a route's Need does.
func denied(need ...postern.Permission) error { return &errNotPermitted{need} }

// ours reports whether an error is a failure of ours, which no form can tell of.
func ours(err error) bool {
	e, ok := errors.AsType[*postern.Error](err)
	return !ok || e.Code == postern.CodeInternal
}
