package console

import (
	"context"
	"errors"
	"net/http"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// statusOf is the HTTP status of a failure's code.
func statusOf(code postern.Code) int {
	switch code {
	case postern.CodeInvalid:
		return http.StatusUnprocessableEntity
	case postern.CodeUnauthenticated:
		return http.StatusUnauthorized
	case postern.CodeForbidden, postern.CodeInsufficientScope:
		return http.StatusForbidden
	case postern.CodeNotFound:
		return http.StatusNotFound
	case postern.CodeConflict:
		return http.StatusConflict
	case postern.CodeGone:
		return http.StatusGone
	case postern.CodePrecondition:
		return http.StatusPreconditionFailed
	case postern.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case postern.CodeUnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case postern.CodePreconditionNeed:
		return http.StatusPreconditionRequired
	case postern.CodeRateLimited:
		return http.StatusTooManyRequests
	case postern.CodeUnavailable:
		return http.StatusServiceUnavailable
	case postern.CodeStorageFull:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// failView is a page that could not be shown.
type failView struct {
	Common
	Heading string
	Text    string
	Icon    string
	Number  string // of the request, where reporting it helps
	Retry   string // an address to try again
}

// forbiddenView names what is missing and who can give it.
type forbiddenView struct {
	Common
	Heading string // "You cannot see service keys"
	Role    string
	Need    string // the permission in words
	Name    string // and as the API spells it
	Admins  []string
}

// fail answers with a page of what went wrong.
func (v *visit) fail(err error) {
	if errors.Is(err, context.Canceled) && v.r.Context().Err() != nil {
		v.err = err
		return // nobody listens
	}
	if e, ok := errors.AsType[*errNotPermitted](err); ok {
		v.refuse(e.need)
		return
	}
	e, known := errors.AsType[*postern.Error](err)
	if !known {
		v.err = err
		e = postern.Errorf(postern.CodeInternal, "This page could not be made. Trying again usually helps. Your keys still work.")
		if store.Lost(err) {
			e = postern.Errorf(postern.CodeUnavailable, "The database can't be reached. Try again in a moment. Your keys still work.")
		}
	} else if e.Err != nil {
		v.err = err
	}
	view := &failView{Common: v.common("", ""), Text: e.Message, Icon: "alert"}
	switch e.Code {
	case postern.CodeNotFound, postern.CodeGone:
		view.Heading, view.Icon = "Not found", "search"
	case postern.CodeForbidden, postern.CodeInsufficientScope:
		view.Heading, view.Icon = "That is not allowed", "lock"
	case postern.CodeUnauthenticated:
		view.Heading, view.Icon = "You are signed out", "lock"
	case postern.CodeConflict, postern.CodePrecondition:
		view.Heading = "This was changed or done already"
	case postern.CodeInvalid, postern.CodeTooLarge, postern.CodeUnsupportedMedia, postern.CodePreconditionNeed:
		view.Heading = "That could not be used"
	case postern.CodeRateLimited:
		view.Heading = "Too many at once"
	case postern.CodeUnavailable, postern.CodeStorageFull:
		view.Heading, view.Number = "Not possible right now", v.id
	default:
		view.Heading, view.Number = "Something went wrong on our side", v.id
	}
	view.Title = view.Heading
	if v.r.Method == http.MethodGet && e.Code != postern.CodeNotFound && e.Code != postern.CodeGone && e.Code != postern.CodeForbidden {
		view.Retry = localPath(v.r.URL.RequestURI())
	}
	if err := v.show(statusOf(e.Code), "fail", view); err != nil {
		v.err = err
		http.Error(v.w, view.Heading+". "+view.Text, statusOf(e.Code))
	}
}

// permissionWords is what a permission lets a person do.
var permissionWords = map[postern.Permission][2]string{
	postern.PermKeysRead:      {"See keys", "You cannot see service keys"},
	postern.PermKeysWrite:     {"Manage keys", "You cannot make or change keys"},
	postern.PermKeysRevoke:    {"Stop keys", "You cannot pause or end keys"},
	postern.PermMembersRead:   {"See members", "You cannot see members and roles"},
	postern.PermMembersWrite:  {"Manage members", "You cannot change members and roles"},
	postern.PermCatalogRead:   {"See APIs", "You cannot see the connected APIs"},
	postern.PermCatalogWrite:  {"Manage APIs", "You cannot change the connected APIs"},
	postern.PermActivityRead:  {"See activity", "You cannot see activity"},
	postern.PermAuditRead:     {"See the audit log", "You cannot see the audit log"},
	postern.PermAccountRead:   {"See the account", "You cannot see the account's settings"},
	postern.PermAccountWrite:  {"Manage the account", "You cannot change the account's settings"},
	postern.PermAccountsWrite: {"Manage all accounts", "You cannot manage accounts"},
	postern.PermVerify:        {"Check credentials", "You cannot check credentials"},
	postern.PermAppsRead:      {"See apps", "You cannot see apps"},
	postern.PermAppsWrite:     {"Manage apps", "You cannot change apps"},
}

// refuse shows the "not allowed" page: which permission is missing, and two
// people who can give it.
func (v *visit) refuse(need []postern.Permission) {
	words := permissionWords[need[0]]
	if words[0] == "" {
		words = [2]string{string(need[0]), "You cannot see this page"}
	}
	view := &forbiddenView{Common: v.common(words[1], v.menuOf()), Heading: words[1], Role: v.member().Role.Name, Need: words[0], Name: string(need[0])}
	members, err := v.c.cfg.DB.Members(v.r.Context(), v.session.AccountID, false)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range members {
		if m := &members[i]; m.Can(postern.PermMembersWrite) && m.Can(need[0]) && len(view.Admins) < 2 {
			view.Admins = append(view.Admins, nameOf(m))
		}
	}
	if err := v.show(http.StatusForbidden, "forbidden", view); err != nil {
		v.err = err
		http.Error(v.w, view.Heading+".", http.StatusForbidden)
	}
}

// nameOf is what a member is called.
func nameOf(m *postern.Member) string {
	if m.Name != "" {
		return m.Name
	}
	return m.Email
}
