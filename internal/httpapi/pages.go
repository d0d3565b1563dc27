package httpapi

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

//go:embed pages
var pageFiles embed.FS

// pageHeaders keep a page to itself: its own style sheet and forms, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

var pages = template.Must(template.New("").Funcs(template.FuncMap{"field": newField}).ParseFS(pageFiles, "pages/*.html"))

// field is one input of a form.
type field struct {
	ID, Label, Value, Hint, Autocomplete, Type string
	Wrong                                      bool
}

func newField(id, label, value, wrong, hint, autocomplete, typ string) field {
	return field{id, label, value, hint, autocomplete, typ, id == wrong}
}

// head is what every page shows.
type head struct {
	Title string
	Error string // what is wrong with what was sent
	Field string // and with which field of it
}

type setupView struct {
	head
	Account, Name, Email, TimeZone string
}

type joinedView struct {
	head
	Secret, Account, Name, Email, Role, Server string
	Number                                     int64
}

type messageView struct {
	head
	Text string
}

type frontView struct {
	head
	Server, Gateway string
	NeedsSetup      bool
}

// page writes a page.
func (s *server) page(w http.ResponseWriter, r *http.Request, status int, name string, view any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, view); err != nil {
		s.fail(w, stateOf(r.Context()), fmt.Errorf("httpapi: page %s: %w", name, err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	retryLater(h, status)
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // whoever went away reads no page
}

func (s *server) serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	http.ServeFileFS(w, r, pageFiles, "pages/postern.css")
}

func (s *server) frontPage(w http.ResponseWriter, r *http.Request) {
	needs, err := s.kr.NeedsSetup(r.Context())
	if err != nil {
		s.fail(w, stateOf(r.Context()), err)
		return
	}
	s.page(w, r, http.StatusOK, "front.html", frontView{head: head{Title: "This is a Postern server"}, Server: s.address(r), Gateway: s.cfg.GatewayURL, NeedsSetup: needs})
}

// address is where this server is, for people to copy. It is shown and never linked.
func (s *server) address(r *http.Request) string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (s *server) setupPage(w http.ResponseWriter, r *http.Request) {
	if s.linkWorks(w, r, postern.SecretSetup) {
		s.page(w, r, http.StatusOK, "setup.html", setupView{head: head{Title: "Set up this server"}, TimeZone: "UTC"})
	}
}

func (s *server) useSetupPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.pageError(w, r, postern.Errorf(postern.CodeTooLarge, "The form could not be read. Go back and try again."))
		return
	}
	form := setupView{head: head{Title: "Set up this server"}, Account: r.PostFormValue("account"), Name: r.PostFormValue("name"),
		Email: r.PostFormValue("email"), TimeZone: r.PostFormValue("timeZone")}
	done, err := s.useLink(r.Context(), func(from postern.Actor) (keyring.SetupDone, error) {
		return s.kr.UseSetupLink(r.Context(), r.PathValue("link"), from,
			keyring.SetupInput{AccountName: form.Account, TimeZone: form.TimeZone, Email: form.Email, Name: form.Name})
	})
	if e, ok := errors.AsType[*postern.Error](err); ok && e.Code == postern.CodeInvalid {
		form.Error, form.Field = e.Message, e.Field
		s.page(w, r, http.StatusUnprocessableEntity, "setup.html", form)
		return
	}
	s.joined(w, r, "This server is set up", &done, err)
}

func (s *server) invitePage(w http.ResponseWriter, r *http.Request) {
	if s.linkWorks(w, r, postern.SecretInvite) {
		s.page(w, r, http.StatusOK, "invite.html", head{Title: "You are invited"})
	}
}

func (s *server) useInvitePage(w http.ResponseWriter, r *http.Request) {
	done, err := s.useLink(r.Context(), func(from postern.Actor) (keyring.SetupDone, error) {
		return s.kr.AcceptInvitation(r.Context(), r.PathValue("link"), from)
	})
	s.joined(w, r, "Welcome", &done, err)
}

// linkWorks reports whether the link of a page can be used, and else says that it can't.
func (s *server) linkWorks(w http.ResponseWriter, r *http.Request, typ postern.SecretType) bool {
	_, err := s.useLink(r.Context(), func(postern.Actor) (keyring.SetupDone, error) {
		return keyring.SetupDone{}, s.kr.CheckLink(r.Context(), r.PathValue("link"), typ)
	})
	if err != nil {
		s.pageError(w, r, err)
	}
	return err == nil
}

// joined shows who came in their personal access key, this once.
func (s *server) joined(w http.ResponseWriter, r *http.Request, title string, done *keyring.SetupDone, err error) {
	if err != nil {
		s.pageError(w, r, err)
		return
	}
	s.page(w, r, http.StatusOK, "joined.html", joinedView{head: head{Title: title}, Secret: done.Secret.Reveal(), Account: done.Account.Name,
		Number: done.Account.Number, Name: done.Member.Name, Email: done.Member.Email, Role: done.Member.Role.Name, Server: s.address(r)})
}

// pageError says a failure to a person in a browser.
func (s *server) pageError(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemOf(stateOf(r.Context()), err)
	status := p.Status
	if status == http.StatusUnauthorized {
		status = http.StatusNotFound // there is nothing to sign in to: the link leads nowhere
	}
	s.page(w, r, status, "message.html", messageView{head: head{Title: p.Title}, Text: p.Detail})
}
