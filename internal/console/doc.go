// Package console is the web console: pages that the server renders, with forms
// that work without scripts (reference: style.md, Console).
//
// How to add a page, say the audit log:
//
//  1. audit.go holds its routes, its handlers and its view; templates/audit.html
//     its markup; assets/css/audit.css and assets/js/audit.js what only it needs.
//     Much of a sheet that one page alone needs goes to assets/css/pages, and the
//     view names it in Styles: every page carries the rest. routes.go gets one line: c.auditRoutes().
//
//  2. A route names its pattern, its handler and who may come:
//
//     func (c *Console) auditRoutes() []route {
//     return []route{
//     {Pattern: "GET /audit", Serve: c.listAudit, Need: []postern.Permission{postern.PermAuditRead}},
//     {Pattern: "POST /audit/check", Serve: c.checkAudit, Need: …},
//     }
//     }
//
//     Fresh asks for a recent proof of who it is (delete, exposed, policy, roles),
//     and carries the form along. Public needs no session. Raw takes JSON. Repeats
//     is for forms whose answer shows a secret: call v.showsSecret() (no-store, no
//     compression, never kept) and look at v.again, which says that this form was
//     sent before. Every other form that is sent twice is served once, and answered
//     alike; v.once is the idempotency key for the keyring.
//
//  3. A handler takes a *visit and returns an error. It calls the keyring and the
//     stores directly, with v.by as the actor: c.kr.Audit(v.r.Context(), v.by, …).
//     It ends with v.render("audit", view), v.done("/audit", "Checked.") (redirect
//     with a message), v.warn, v.redirect, or an error. A postern.Error becomes a
//     page that says its sentence; denied(perm) the "not allowed" page; anything
//     else "something went wrong" with the request's number, and a line in the log.
//     v.query, v.path read the address; v.now is the time; v.can(perm) asks.
//
//  4. The view is a struct that embeds Common, passed as a pointer:
//
//     type auditView struct {
//     Common
//     Rows []auditRow
//     }
//     v.render("audit", &auditView{Common: v.common("Audit log", "/audit", crumb{Name: "Monitoring"}), …})
//
//  5. The template defines "main", inside the layout; "." is the view. Every form
//     that posts starts with {{.Form}}. {{.Time t}} is relative with the exact time
//     on hover, {{.Exact t}}, {{.Day t}}, {{.LastDay t}} for ends; {{num n}}, {{count n "key" "keys"}},
//     {{icon "key"}}, {{spark values}}, {{bars chart}}, {{last4 s}}, {{list words}},
//     {{link "/keys" "q" .Q}}. In a range the view is $: {{$.Time .At}}. What people
//     or callers wrote goes into <bdi>. Components (parts.go, templates/parts):
//     {{template "pill" (state "warn" "Unused 94 days")}}, "tabs", "pager", "empty",
//     "note", "actions", "button", "copy". {{if .Can "postern.keys.write"}} and
//     {{if .Has "GET /audit"}} keep dead links away. No style attributes and no
//     inline script: the policy refuses them. Icons are in assets/icons.svg.
//
//  6. Forms: f := v.sent(); f.decode(&in) reads a struct by `form:"name"` tags;
//     f.Wrong("name", "Say …"); if err := f.take(err); err != nil { return err } turns a
//     keyring's error into one of a field. Where !f.OK(), show the page again with
//     v.show(422, "audit", view), Common.Error set: {{template "errors" .F}} is the
//     summary that takes the focus, {{template "field" ((.F.Field "name" "Name"
//     "A hint.").Limit 64)}} an input with its label, hint, error and what was typed.
//     A dialog is <dialog id="x"> opened by <a href="/page" data-dialog="x">: the page
//     asks the same without scripts. copy buttons: data-copy, or data-from a selector.
//
//  7. Scripts are modules: Common.Scripts = []string{"audit.js"}; they import nothing
//     (say, times and charts are on globalThis.postern) and set text, never markup.
//
// Sign-in pages call v.signedIn(signed) or v.signedOut(), then v.goOn(next, kept).
// A form that waits for a sign-in arrives at POST /signin/kept (no session) or POST
// /confirm/kept (session too old) in the sealed field "kept": show the page, carry
// "kept" along in a hidden field, and hand it to goOn at the end.
//
// Tests: world_test.go has run(t, func(t, w)), on both engines, with a catalog and a
// super admin; w.login() is a signed-in browser: b.get("/keys").want(200, "text"),
// b.post("/keys/bulk", "name", "value") sends with a fresh token. views in
// render_test.go must list each page, with full data and with none; a page that is
// missing there fails the test.
package console
