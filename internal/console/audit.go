package console

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/store"
)

// auditRoutes are the audit log, and the check that nothing in it was changed.
func (c *Console) auditRoutes() []route {
	read := []postern.Permission{postern.PermAuditRead}
	check := &auditCheck{c: c}
	places := limit.NewPlaces(exportsAtOnce, exportsEach)
	return []route{
		{Pattern: "GET /audit", Serve: func(v *visit) error { return c.listAudit(v, check) }, Need: read},
		{Pattern: "GET /audit/{entry}", Serve: c.showEntry, Need: read},
		{Pattern: "POST /audit/check", Serve: check.begin, Need: read},
		{Pattern: "GET /audit/check", Quiet: true, Serve: check.tell, Need: read},
		{Pattern: "GET /audit/proof.json", Serve: check.proof, Need: read},
		{Pattern: "GET /audit/{entry}/proof.json", Serve: c.entryProof, Need: read},
		{Pattern: "GET /audit/checkpoint.txt", Serve: check.checkpoint, Need: read},
		{Pattern: "GET /audit.csv", Serve: c.exportAudit("csv", places), Need: read},
		{Pattern: "GET /audit.jsonl", Serve: c.exportAudit("jsonl", places), Need: read},
	}
}

const auditAPage = 50

// auditActions are what people and automation do, in the words of a sentence that
// begins with who did it.
var auditActions = []struct{ id, words string }{
	{"service_key.create", "created a service key"}, {"service_key.update", "changed a service key"}, {"service_key.rotate", "rotated a service key"},
	{"service_key.rotation.finish", "ended an old secret"}, {"service_key.rotation.cancel", "took back a rotation"}, {"service_key.rotation.extend", "kept an old secret longer"}, {"service_key.rotation.ask", "asked about an old secret that is still used"},
	{"tripwire.retired_secret", "saw a secret that has ended"}, {"tripwire.far_networks", "saw a secret in two far networks at once"}, {"tripwire.canary", "saw a canary used"}, {"tripwire.refusals", "saw a burst of refused calls"},
	{"service_key.narrow", "narrowed a service key"}, {"service_key.watch", "tried less on a service key"}, {"service_key.enforce", "made count what was tried on a key"}, {"service_key.unwatch", "stopped trying less on a key"}, {"service_key.undo", "took back a narrowing"},
	{"advice.dismiss", "put advice aside"}, {"advice.take_up", "took advice up again"},
	{"service_key.revoke", "ended a service key"}, {"service_key.delete", "deleted a service key"}, {"service_key.flag", "marked a key for review"},
	{"personal_key.create", "made a personal key"}, {"personal_key.revoke", "ended a personal key"},
	{"member.create", "added a person"}, {"member.invite", "invited a person"}, {"member.reinvite", "invited a person again"}, {"member.join", "joined"},
	{"member.update", "changed a person's role or scopes"}, {"member.remove", "removed a person"},
	{"role.create", "made a role"}, {"role.update", "changed a role"}, {"role.delete", "deleted a role"},
	{"account.create", "made the account"}, {"account.update", "changed the account"},
	{"catalog.load", "loaded a catalog"}, {"upstream.update", "changed a connected API"}, {"upstream.delete", "disconnected an API"},
	{"setup.link", "made the set-up link"}, {"signin.link", "made a sign-in link"}, {"signin.confirm", "confirmed who they are"}, {"signin", "signed in"},
	{"session.end", "ended a session"}, {"session.end_others", "signed out everywhere else"},
	{"password.set", "set a password"}, {"password.remove", "removed a password"}, {"passkey.add", "added a passkey"}, {"passkey.rename", "renamed a passkey"}, {"passkey.remove", "removed a passkey"},
	{"totp.add", "added an authenticator app"}, {"totp.remove", "removed an authenticator app"}, {"recovery.new", "made new recovery codes"},
	{"identity.add", "linked single sign-on"}, {"identity.remove", "unlinked single sign-on"},
	{"migration.path", "chose the path of an old credential"}, {"migration.owner", "named who looks after a move"}, {"migration.scopes", "mapped the scopes of an old credential"},
	{"migration.key", "made the key that takes over"}, {"migration.upload", "uploaded an inventory"}, {"migration.forgotten", "met a caller in a brownout"},
	{"migration.brownouts", "scheduled brownouts"}, {"migration.brownouts.stop", "stopped brownouts"}, {"migration.sign_off", "signed an old credential off"},
	{"migration.archive", "switched an old credential off"}, {"migration.undo", "brought an old credential back"}, {"migration.pause", "paused or resumed an old credential that is switched off"}, {"migration.end", "ended an old credential"},
	{"legacy_credential.import", "imported legacy credentials"}, {"legacy_credential.update", "changed a legacy credential"}, {"legacy_credential.end", "ended a legacy credential"},
	{"legacy_credential.upgrade", "learnt the fast form of a legacy secret"},
	{"migration.archive.credential", "paused a legacy credential"}, {"migration.undo.credential", "resumed a legacy credential"}, {"migration.end.credential", "ended a legacy credential for good"},
	{"migration.brownouts.credential", "set the brownouts of a legacy credential"}, {"migration.brownouts.stop.credential", "took the brownouts off a legacy credential"},
	{"migration.moved", "said where an old credential moved to"},
	{"legacy_scope.update", "changed what an old scope stands for"},
	{"service_key.export", "downloaded the list of keys"}, {"service_key.callers.export", "downloaded who calls with a key"},
	{"activity.export", "downloaded activity"}, {"audit.export", "downloaded the audit log"}, {"console.visit", "opened a page"},
}

// actionWords says what was done.
func actionWords(action string) string {
	for _, a := range auditActions {
		if a.id == action {
			return a.words
		}
	}
	return strings.NewReplacer(".", ": ", "_", " ").Replace(action)
}

// auditFilter is what the address says of the entries that are asked for.
type auditFilter struct {
	asked
	store.AuditFilter
	before int64
}

var auditFields = []string{"person", "action", "object", "result", "from", "to"}

func (v *visit) auditFilter() (auditFilter, error) {
	f := auditFilter{asked: v.asked(auditFields...)}
	f.Actor, f.Action, f.Object, f.Result = f.F.Get("person"), f.F.Get("action"), f.F.Get("object"), f.F.Get("result")
	if f.Result != "" && f.Result != "ok" && f.Result != "refused" {
		f.drop("result", "Choose done or refused.")
		f.Result = ""
	}
	f.Since, f.Until = f.timeOf(v, "from"), f.timeOf(v, "to")
	if !f.Until.IsZero() && !f.Since.Before(f.Until) {
		f.drop("to", "The end has to come after the start.")
		f.Until = time.Time{}
	}
	if before := v.query("before"); before != "" {
		n, err := strconv.ParseInt(before, 10, 64)
		if err != nil || n < 1 {
			return f, errNoPage
		}
		f.before = n
	}
	return f, nil
}

// Narrow reports whether entries are left out.
func (f auditFilter) Narrow() bool { return len(f.values) > 0 }

// auditView is the audit log.
type auditView struct {
	Common
	Filter  auditFilter
	Check   checkView
	People  []option
	Actions []option
	Results []option
	Rows    []auditRow
	Newest  string
	Older   string
	CSV     string
	JSONL   string
}

// auditRow is an entry on a list.
type auditRow struct {
	postern.AuditEntry
	Who     string
	Person  bool   // it was a person, not automation
	Words   string // what they did
	Target  string
	Link    string
	Same    string // all of the same object
	Refused bool
}

func (c *Console) listAudit(v *visit, check *auditCheck) error {
	f, err := v.auditFilter()
	if err != nil {
		return err
	}
	entries, err := c.kr.Audit(v.r.Context(), v.by, f.AuditFilter, f.before, auditAPage+1)
	if err != nil {
		return v.noAudit(err)
	}
	people, err := v.people()
	if err != nil {
		return v.noAudit(err)
	}
	view := &auditView{Common: v.common("Audit log", "/audit", crumb{Name: "Monitoring"}), Filter: f, Check: check.view(),
		CSV: f.with("/audit.csv"), JSONL: f.with("/audit.jsonl")}
	view.Scripts = []string{"audit.js"}
	view.Error = !f.F.OK()
	view.choices(f, people)
	if len(entries) > auditAPage {
		entries = entries[:auditAPage]
		view.Older = f.with("/audit", "before", strconv.FormatInt(entries[auditAPage-1].Seq, 10))
	}
	if f.before != 0 {
		view.Newest = f.with("/audit")
	}
	for _, e := range entries {
		view.Rows = append(view.Rows, auditRowOf(e, people, f))
	}
	return v.render("audit", view)
}

func (v *visit) noAudit(err error) error {
	if !ours(err) {
		return err
	}
	v.err = err
	return v.show(500, "fail", &failView{Common: v.common("Audit log", "/audit"), Icon: "alert", Heading: "We could not load the audit log",
		Text: "Nothing in it is lost. Trying again usually helps.", Number: v.id, Retry: localPath(v.r.URL.RequestURI())})
}

func (view *auditView) choices(f auditFilter, people map[postern.MemberID]string) {
	view.People = []option{{Value: "", Label: "Anyone"}}
	var some []option
	known := f.Actor == ""
	for id, name := range people {
		some = append(some, option{Value: string(id), Label: name})
		known = known || string(id) == f.Actor
	}
	slices.SortFunc(some, func(a, b option) int {
		return strings.Compare(strings.ToLower(a.Label)+a.Value, strings.ToLower(b.Label)+b.Value)
	})
	view.People = append(view.People, some...)
	if !known { // a credential, or a part of the system
		view.People = append(view.People, option{Value: f.Actor, Label: f.Actor})
	}
	view.Actions = []option{{Value: "", Label: "Anything"}}
	known = f.Action == ""
	for _, a := range auditActions {
		view.Actions = append(view.Actions, option{Value: a.id, Label: capital(a.words)})
		known = known || a.id == f.Action
	}
	if !known {
		view.Actions = append(view.Actions, option{Value: f.Action, Label: capital(actionWords(f.Action))})
	}
	view.Results = []option{{Value: "", Label: "Done or refused"}, {Value: "ok", Label: "Done"}, {Value: "refused", Label: "Refused"}}
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// people are the names of all members of the account, former ones too.
func (v *visit) people() (map[postern.MemberID]string, error) {
	members, err := v.c.cfg.DB.Members(v.r.Context(), v.by.AccountID, true)
	if err != nil {
		return nil, err
	}
	out := make(map[postern.MemberID]string, len(members))
	for i := range members {
		out[members[i].ID] = nameOf(&members[i])
	}
	return out, nil
}

// auditRowOf dresses an entry. Of the operator's people, who belong to another
// account, is told that they acted and not who they are.
func auditRowOf(e postern.AuditEntry, people map[postern.MemberID]string, f auditFilter) auditRow {
	if e.Actor.AccountID != "" && e.Actor.AccountID != e.AccountID {
		e.Actor = postern.Actor{System: "operator"}
	}
	r := auditRow{AuditEntry: e, Words: actionWords(e.Action), Target: e.Name, Refused: e.Result != "ok", Link: f.with("/audit/" + strconv.FormatInt(e.Seq, 10))}
	switch a := e.Actor; {
	case people[a.MemberID] != "":
		r.Who, r.Person = people[a.MemberID], true
	case a.System == "operator":
		r.Who = "Whoever runs this server"
	case a.System != "":
		r.Who = "Postern (" + a.System + ")"
	case a.MemberID != "":
		r.Who = string(a.MemberID)
	case a.KeyID != "":
		r.Who = "Key " + string(a.KeyID)
	default:
		r.Who = "Somebody who was not signed in"
	}
	if e.Action == "service_key.update" {
		_, was := e.Before["pausedAt"]
		_, is := e.After["pausedAt"]
		switch {
		case is && !was:
			r.Words = "paused a service key"
		case was && !is:
			r.Words = "resumed a service key"
		}
	}
	if r.Refused {
		r.Words = "tried, and was refused: " + r.Words
	}
	if r.Target == "" {
		r.Target = e.Object
	}
	if id := postern.MemberID(e.Object); e.Name == "" && people[id] != "" {
		r.Target = people[id]
	}
	if e.Object != "" {
		r.Same = link("/audit", "object", e.Object)
	}
	return r
}

// exportAudit sends the entries that the filters let through.
func (c *Console) exportAudit(kind string, places *limit.Places) func(*visit) error {
	return func(v *visit) error {
		f, err := v.auditFilter()
		if err != nil {
			return err
		}
		if !f.F.OK() {
			return postern.Errorf(postern.CodeInvalid, "%s", f.F.Errors[0].Text)
		}
		leave, err := v.enterExport(places)
		if err != nil {
			return err
		}
		defer leave()
		people, err := v.people()
		if err != nil {
			return v.noAudit(err)
		}
		// What is written from now on, this export too, doesn't belong to it.
		newest, err := c.kr.Audit(v.r.Context(), v.by, f.AuditFilter, 0, 1)
		if err != nil {
			return v.noAudit(err)
		}
		e := v.by.Entry(v.now, "audit.export", "audit")
		e.After = map[string]any{"format": kind, "filter": f.with("/audit")}
		out, err := v.beginExport(e, "audit", kind)
		if err != nil || out == nil {
			return err
		}
		if kind == "csv" {
			out.row([]string{"entry", "time", "who", "member_id", "key_id", "system", "action", "object", "name", "result", "reason", "before", "after", "address", "client", "request"})
		}
		if len(newest) == 0 {
			return out.end()
		}
		for n, before := 0, newest[0].Seq+1; ; {
			entries, err := c.kr.Audit(out.ctx, v.by, f.AuditFilter, before, 500)
			if err != nil {
				return out.broken(err)
			}
			for _, entry := range entries {
				if n++; n > exportMax {
					return out.cut()
				}
				row := auditRowOf(entry, people, f)
				if kind == "csv" {
					out.row(auditCells(&row))
				} else {
					out.json(entryJSON(&row))
				}
				before = entry.Seq
			}
			if len(entries) < 500 {
				return out.end()
			}
			if err := out.flush(); err != nil {
				return out.broken(err)
			}
		}
	}
}

func auditCells(r *auditRow) []string {
	a := r.Actor
	text := func(m map[string]any) string {
		if len(m) == 0 {
			return ""
		}
		b, _ := json.Marshal(m) // it was read from JSON
		return string(b)
	}
	return []string{strconv.FormatInt(r.Seq, 10), r.At.UTC().Format(time.RFC3339Nano), r.Who, string(a.MemberID), string(a.KeyID), a.System, r.Action, r.Object, r.Name,
		r.Result, r.Reason, text(r.Before), text(r.After), a.IP, a.UserAgent, a.RequestID}
}

// entryJSON is an entry as the API gives it.
func entryJSON(r *auditRow) api.AuditEntry {
	a := r.Actor
	return api.AuditEntry{Seq: r.Seq, At: r.At, Actor: api.AuditActor{MemberID: string(a.MemberID), KeyID: string(a.KeyID), System: a.System, IP: a.IP, UserAgent: a.UserAgent,
		RequestID: a.RequestID}, Action: r.Action, Object: r.Object, Name: r.Name, Result: r.Result, Reason: r.Reason, Before: r.Before, After: r.After}
}

// wait gives something that runs a moment to end, so that short checks are over
// before the page is shown.
func wait(ctx context.Context, done <-chan struct{}, long time.Duration) {
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}
