package console

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
)

// keptForm is a form that waits for its sender to prove who they are.
type keptForm struct {
	// Once names the one sending that it is, however often it is brought back: that
	// of the form itself, where that was ours.
	Once   string
	Member postern.MemberID // empty where their session had ended
	Path   string           // with its query
	Values url.Values
	Ended  bool // sent without a living session: it is shown again before it is sent
}

const formKept = 30 * time.Minute

// neverKept are fields that aren't carried along: what proves, and the form's own token.
func neverKept(name string) bool {
	return name == formToken || strings.HasPrefix(name, "password") || strings.HasPrefix(name, "code")
}

// keep seals the form of the visit, so that the sign-in pages can carry it.
func (v *visit) keep() (string, error) {
	if err := v.r.ParseForm(); err != nil {
		return "", postern.Errorf(postern.CodeInvalid, "The form could not be read. Go back and send it again.")
	}
	k := keptForm{Once: v.once, Path: v.r.URL.RequestURI(), Values: url.Values{}}
	for name, values := range v.r.PostForm {
		if !neverKept(name) {
			k.Values[name] = values
		}
	}
	if v.session == nil {
		k.Ended, k.Once = true, newOnce()
	} else {
		k.Member = v.session.Member.ID
	}
	return v.c.cfg.Signin.Seal("console kept form", k, formKept)
}

// askWho sends someone who is not in to sign in, and back with what they typed.
func (v *visit) askWho() error {
	if v.rt.Quiet {
		return postern.Errorf(postern.CodeUnauthenticated, "You are signed out. Sign in again.")
	}
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return v.redirect(link("/signin", "next", v.r.URL.RequestURI()))
	}
	if v.rt.Streams { // a file isn't kept: its form is shown again
		v.drain()
		return v.redirect(link("/signin", "next", v.r.URL.Path))
	}
	if v.rt.Raw {
		return postern.Errorf(postern.CodeUnauthenticated, "You are signed out. Sign in again.")
	}
	kept, err := v.keep()
	if err != nil {
		return err
	}
	view := &endedView{Common: v.common("Sign in again", ""), Kept: kept}
	return v.show(http.StatusUnauthorized, "ended", view)
}

// askAgain has a member prove who they are before something risky.
func (v *visit) askAgain() error {
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return v.redirect(link("/confirm", "next", v.r.URL.RequestURI()))
	}
	if v.rt.Streams {
		v.drain()
		return v.redirect(link("/confirm", "next", v.r.URL.Path))
	}
	if v.rt.Raw {
		return postern.Errorf(postern.CodeForbidden, "Confirm who you are first. Open the page again.")
	}
	if err := v.readForm(); err != nil {
		return err
	}
	kept, err := v.keep()
	if err != nil {
		return err
	}
	view := &againView{Common: v.common("Confirm that it is you", ""), Kept: kept}
	return v.show(http.StatusForbidden, "again", view)
}

// goOn continues where someone was before they signed in or confirmed: with the
// form that waited, or at next. The sign-in pages call it last, after signedIn.
func (v *visit) goOn(next, kept string) error {
	if kept == "" {
		return v.redirect(localPath(next))
	}
	var k keptForm
	if err := v.c.cfg.Signin.Open("console kept form", kept, &k); err != nil {
		return v.warn(localPath(next), "What you typed was kept for 30 minutes and is gone. Type it again.")
	}
	if k.Ended {
		view := &resumeView{Common: v.common("You are back", ""), Path: k.Path, Token: v.c.formTokenOf(v.session.ID, k.Once)}
		for _, name := range sortedNames(k.Values) {
			for _, value := range k.Values[name] {
				view.Values = append(view.Values, nameValue{name, value})
			}
		}
		return v.show(http.StatusOK, "resume", view)
	}
	if k.Member != v.session.Member.ID {
		return postern.Errorf(postern.CodeForbidden, "Someone else filled this form in. Fill it in yourself.")
	}
	return v.resend(k)
}

// resend serves the form that waited, as if it were sent now.
func (v *visit) resend(k keptForm) error {
	values := k.Values
	values.Set(formToken, v.c.formTokenOf(v.session.ID, k.Once))
	u, err := url.ParseRequestURI(k.Path)
	if err != nil {
		return errNoPage
	}
	body := values.Encode()
	r := v.r.Clone(v.r.Context())
	r.Method, r.URL, r.RequestURI = http.MethodPost, u, k.Path
	r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	rt, ok := v.c.find(r)
	if !ok || rt.Public || rt.Raw {
		return errNoPage
	}
	v.r, v.rt = r, rt
	return v.run()
}

func sortedNames(v url.Values) []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type nameValue struct{ Name, Value string }

// endedView is what someone sees who sent a form after their session ended.
type endedView struct {
	Common
	Kept string
}

// againView asks for a proof before a form is taken.
type againView struct {
	Common
	Kept string
}

// resumeView shows a form again that was sent without a session.
type resumeView struct {
	Common
	Path   string
	Token  string // of the one sending
	Values []nameValue
}
