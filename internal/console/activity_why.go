package console

import (
	"cmp"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// reasonWords is why a call was refused, in a few words.
func reasonWords(r postern.Reason) string {
	switch r {
	case postern.ReasonAllowed:
		return "Worked"
	case postern.ReasonPublic:
		return "Open to everyone"
	case postern.ReasonNoCredential:
		return "No secret sent"
	case postern.ReasonMalformed:
		return "Secret mistyped or cut off"
	case postern.ReasonWrongKind:
		return "Wrong kind of credential"
	case postern.ReasonUnknownKey:
		return "Wrong secret"
	case postern.ReasonRetired:
		return "Old secret"
	case postern.ReasonRevoked:
		return "Key deleted"
	case postern.ReasonExpired:
		return "Expired"
	case postern.ReasonNotYetValid:
		return "Before its start"
	case postern.ReasonPaused:
		return "Paused"
	case postern.ReasonAccountSuspended:
		return "Account suspended"
	case postern.ReasonAddressNotAllowed:
		return "Wrong address"
	case postern.ReasonRateLimited:
		return "Too many calls"
	case postern.ReasonDailyLimit:
		return "Daily limit reached"
	case postern.ReasonUnknownOperation:
		return "No such path"
	case postern.ReasonMethodNotAllowed:
		return "Wrong method"
	case postern.ReasonUncovered:
		return "No scope opens it"
	case postern.ReasonInsufficientScope:
		return "Scope missing"
	case postern.ReasonBadRequest:
		return "Request not readable"
	case postern.ReasonUnavailable:
		return "Could not be checked"
	case postern.ReasonLimitsAway:
		return "Could not be counted"
	case postern.ReasonBrownout:
		return "Brownout"
	}
	return "Refused"
}

// callView is one call.
type callView struct {
	Common
	Row     callRow
	Key     *postern.ServiceKey // nil where it isn't a service key that is there
	Heading string
	Why     string // in sentences
	Kind    string // of the note
	Fixes   []action
	Scopes  []saidScope // that let it through
	Would   bool        // a change that is being tried would have refused it
	Secret  string      // last four characters of the one that was used
	Older   bool        // it was a secret that the key no longer has
	Doing   string      // what the operation is for
	Missing []saidScope
	Back    string
	Next    string // the call before it, of those that the filters let through
	Same    string // calls of the same kind
	Door    string
}

func (c *Console) showCall(v *visit) error {
	ctx := v.r.Context()
	at, err := activity.ParseCursor(v.path("cursor"))
	if err != nil || at.Zero() {
		return errNoPage
	}
	keys, _, err := v.keysByID(ctx)
	if err != nil {
		return v.noCalls(err)
	}
	// The place right after the call, from which it is the next.
	calls, _, err := c.cfg.Activity.Query(ctx, activity.Filter{Account: v.by.AccountID, Since: at.At.Time()}, activity.Cursor{At: at.At, Seq: at.Seq + 1}, 1)
	if err != nil {
		return v.noCalls(err)
	}
	if len(calls) == 0 || calls[0].Seq != at.Seq || postern.ToMicros(calls[0].At) != at.At {
		return postern.Errorf(postern.CodeNotFound, "This call is not there. Single calls are kept for 30 days; what they came to is kept longer.")
	}
	f := v.callsFilter(keys)
	rows, err := v.callRows(ctx, keys, calls, f)
	if err != nil {
		return v.noCalls(err)
	}
	view := &callView{Common: v.common("One call", "/activity", crumb{Name: "Monitoring"}, crumb{Name: "Activity", Link: "/activity"}), Row: rows[0], Key: keys[calls[0].KeyID],
		Back: f.with("/activity")}
	a := view.Row.Activity
	view.fillSecret(a)
	view.Door = doorWords(a.Door)
	book, err := c.scopeBook(ctx)
	if err != nil {
		return v.noCalls(err)
	}
	op := book.operation(a)
	if op != nil {
		view.Doing = op.Summary
	}
	view.Scopes, view.Missing, view.Would = book.sayAll(a.Used), book.sayAll(a.Missing), a.Allowed && a.Would != postern.ReasonNone
	view.explain(v, op)
	older, _, err := c.findCalls(ctx, f.query(v.by.AccountID), at, 1)
	if err != nil {
		return v.noCalls(err)
	}
	if len(older) > 0 {
		view.Next = f.with("/activity/" + activity.Cursor{At: postern.ToMicros(older[0].At), Seq: older[0].Seq}.String())
	}
	same := []string{"key", string(a.KeyID), "operation", a.Operation, "period", "30d"}
	switch {
	case !a.Allowed:
		same = append(same, "reason", a.Reason.String())
	case view.Would:
		same = append(same, "answer", answerWould)
	}
	view.Same = link("/activity", same...)
	return v.render("call", view)
}

func (view *callView) fillSecret(a *postern.Activity) {
	switch {
	case view.Key == nil || a.Generation == 0:
	case view.Key.Current.Generation == a.Generation:
		view.Secret = view.Key.Current.LastFour
	case view.Key.Previous.Generation == a.Generation:
		view.Secret, view.Older = view.Key.Previous.LastFour, true
	default:
		view.Older = true
	}
}

// operation finds what a call did.
func (b *scopeBook) operation(a *postern.Activity) *bookOp {
	for i := range b.ops {
		if o := &b.ops[i]; o.Name == a.Operation && b.ups[o.Up].ID == a.Upstream {
			return o
		}
	}
	return nil
}

// saidScope is a scope as people say it, where they can, and its name.
type saidScope struct {
	Words string
	Name  postern.Scope
}

func (b *scopeBook) sayAll(scopes []postern.Scope) (out []saidScope) {
	for _, s := range scopes {
		said := saidScope{b.say(s), s}
		if said.Words == string(s) { // no connected API has it
			said.Words = ""
		}
		out = append(out, said)
	}
	return out
}

func saidList(said []saidScope) string {
	words := make([]string, len(said))
	for i, s := range said {
		words[i] = cmp.Or(s.Words, string(s.Name))
	}
	return list(words)
}

// explain says in words why a call was answered as it was, and what would change that.
func (view *callView) explain(v *visit, op *bookOp) {
	a, k := view.Row.Activity, view.Key
	view.Kind, view.Heading = "bad", reasonWords(a.Reason)
	id, name := "", "This key"
	if k != nil {
		id, name = string(k.ID), k.Name
	}
	write := k != nil && !k.Ended() && v.can(postern.PermKeysWrite)
	// A fix that has a page of its own leads there, and else to the key, where it can be done.
	fix := func(may bool, words, pattern, to string) {
		switch {
		case !may:
		case v.c.known[pattern]:
			view.Fixes = append(view.Fixes, action{Words: words, Link: to, Primary: len(view.Fixes) == 0})
		case v.c.known["GET /keys/{id}"]:
			view.Fixes = append(view.Fixes, action{Words: words, Link: "/keys/" + id, Primary: len(view.Fixes) == 0})
		}
	}
	switch a.Reason {
	case postern.ReasonAllowed, postern.ReasonPublic:
		view.worked(a)
		if view.Would {
			view.would(v, a, name)
		}
	case postern.ReasonInsufficientScope:
		what := "a scope"
		if len(view.Missing) > 0 {
			what = saidList(view.Missing)
		}
		view.Why = a.Method + " " + a.Path + " needs " + what + ", which " + inName(name) + " does not have. The secret itself is fine."
		if k != nil && op != nil && op.opens(k.Scopes) {
			view.Kind = "ok"
			view.Why += " Since then the key was given what it needs: the same call works now."
			break
		}
		q := []string{}
		for _, s := range a.Missing {
			q = append(q, "add", string(s))
		}
		if len(view.Missing) > 0 {
			fix(write, "Add "+what+" to this key", "GET /keys/{id}/scopes", link("/keys/"+id+"/scopes", q...))
		} else {
			fix(write, "Edit its scopes", "GET /keys/{id}/scopes", "/keys/"+id+"/scopes")
		}
	case postern.ReasonAddressNotAllowed:
		view.Why = "A call arrived from " + a.IP + ", which is not on this key's list of addresses. If that is your tool, allow the address. If it was not you, someone else has the secret."
		fix(write, "Allow "+a.IP, "GET /keys/{id}/addresses", link("/keys/"+id+"/addresses", "add", a.IP))
		fix(write, "It was not us: rotate the secret", "GET /keys/{id}/rotate", "/keys/"+id+"/rotate")
	case postern.ReasonRateLimited:
		view.Why = "The key called faster than its limit allows. The tool should wait as long as the answer's Retry-After says, and then go on. Its limit can be raised."
		fix(write, "Change its limit", "GET /keys/{id}/limit", "/keys/"+id+"/limit")
	case postern.ReasonDailyLimit:
		view.Why = "The account has used all calls of its day. The limit starts again at midnight, in the account's time zone."
	case postern.ReasonExpired:
		view.Why = name + " came to its end"
		if k != nil && !k.ExpiresAt.IsZero() {
			view.Why += " on " + lastMoment(k.ExpiresAt, v.zone).Format("2 January 2006")
		}
		view.Why += ". Give it a later end, or a new key to the tool."
		fix(write, "Change its end", "GET /keys/{id}/expiry", "/keys/"+id+"/expiry")
	case postern.ReasonNotYetValid:
		view.Why = name + " starts to work later"
		if k != nil && k.NotBefore.After(v.now) {
			view.Why += ", on " + k.NotBefore.In(v.zone).Format("2 January 2006, 15:04")
		}
		view.Why += "."
	case postern.ReasonPaused:
		view.Why = name + " was paused. All its calls are refused until somebody resumes it."
		if k != nil && k.PausedAt.IsZero() {
			view.Kind = "ok"
			view.Why += " It works again by now."
		} else {
			fix(write, "Resume it", "GET /keys/bulk", link("/keys/bulk", "action", string(actResume), "id", id))
		}
	case postern.ReasonBrownout:
		view.Why = name + " is being switched off. It was refused for a short while, on purpose, so that whoever still uses it finds out. Give that tool its new key."
	case postern.ReasonRevoked:
		view.Why = "The key was deleted, which is for good. The tool that still calls needs a new key, or should be switched off."
		if v.can(postern.PermKeysWrite) && v.c.known["GET /keys/new"] {
			view.Fixes = append(view.Fixes, action{Words: "Create a key", Link: "/keys/new", Primary: true})
		}
	case postern.ReasonRetired:
		view.Why = "A tool still sends a secret that was replaced when the key was rotated. Paste the new secret into it. If nobody has the new one any more, rotate again."
		fix(write, "Rotate the secret", "GET /keys/{id}/rotate", "/keys/"+id+"/rotate")
	case postern.ReasonUnknownKey, postern.ReasonMalformed:
		view.Why = "The call came with this key's ID and a secret that is not its own. Most often it was cut off or changed while pasting. Paste the whole secret again; if nobody has it, rotate the key."
		fix(write, "Rotate the secret", "GET /keys/{id}/rotate", "/keys/"+id+"/rotate")
	case postern.ReasonUnknownOperation:
		view.Why = "The API has no such path. Look for a typing error in the tool's address, such as a missing part or a version that is gone."
	case postern.ReasonMethodNotAllowed:
		view.Why = "The API has this path, and not with " + a.Method + ". Change the method in the tool."
	case postern.ReasonUncovered:
		view.Why = "No scope opens this operation, so no key may call it. Whoever looks after the API can give it one in its catalog."
		if v.c.known["GET /settings/integrations"] && v.can(postern.PermCatalogRead) {
			view.Fixes = append(view.Fixes, action{Words: "Look at the catalog", Link: "/settings/integrations", Primary: true})
		}
	case postern.ReasonWrongKind:
		view.Why = "This operation does not take this kind of credential."
		if v.c.known["GET /choose"] {
			view.Fixes = append(view.Fixes, action{Words: "Which credential do I need?", Link: "/choose", Primary: true})
		}
	case postern.ReasonAccountSuspended:
		view.Why = "The account is suspended, so all its calls are refused. Ask who runs this server."
	case postern.ReasonBadRequest:
		view.Why = "The request could not be judged: its path holds parts such as \"..\", or a header stands in it twice. Tools do that only by mistake. Check the address in the tool."
	case postern.ReasonUnavailable:
		view.Why = "For a moment the server could not check credentials, and then it refuses. The tool can try again."
	case postern.ReasonLimitsAway:
		view.Why = "The key has a limit, and for a while the server could not count its calls: the Redis server that counts them was away, and whoever runs this server wants calls refused then. The tool can try again."
	case postern.ReasonNoCredential:
		view.Why = "The call came without a secret. Put it into the Authorization header: Bearer, a space, and the secret."
	default:
		view.Why = "The call was refused."
	}
}

// worked explains a call that was let through.
func (view *callView) worked(a *postern.Activity) {
	view.Kind, view.Heading, view.Why = "ok", "Worked", "The key may do this, and the call was let through."
	if a.Reason == postern.ReasonPublic {
		view.Why = "This operation is open to everyone; it needs no key."
	}
	switch {
	case a.Status >= 500:
		view.Kind, view.Heading = "warn", "Let through, and the API failed"
		view.Why = "The key may do this. The API behind answered that something went wrong on its side. Who looks after it can find the call by its request number."
	case a.Status == 429:
		view.Kind, view.Heading = "warn", "Let through, and the API wants fewer calls"
		view.Why = "The key may do this. The API behind has a limit of its own, and the tool called more often than that."
	case a.Status == 404:
		view.Kind, view.Heading = "warn", "Let through, and not found"
		view.Why = "The key may do this. The API behind has nothing at this address: often a record that was deleted."
	case a.Status >= 400:
		view.Kind, view.Heading = "warn", "Let through, and the API refused it"
		view.Why = "The key may do this. The API behind did not accept the request; its answer, which the tool has, says why."
	}
}

// would explains a call that worked, and that a change which was being tried would have refused.
func (view *callView) would(v *visit, a *postern.Activity, name string) {
	view.Kind, view.Heading = "warn", "Worked, and would be refused"
	why := ": " + strings.ToLower(reasonWords(a.Would)[:1]) + reasonWords(a.Would)[1:]
	switch {
	case len(view.Missing) > 0:
		why = ", because it needs " + saidList(view.Missing)
	case a.Would == postern.ReasonAddressNotAllowed && a.IP != "":
		why = ", because " + a.IP + " is not among its addresses"
	}
	view.Why = "The call was let through. The narrower version that was being tried on " + inName(name) + " would have refused it" + why + "."
	if view.Key != nil && view.Key.Watch != nil && v.c.known["GET /keys/{id}/watch"] {
		view.Fixes = append(view.Fixes, action{Words: "Look at what is being tried", Link: "/keys/" + string(view.Key.ID) + "/watch", Primary: true})
	}
}

// doorWords says where a call came in.
func doorWords(door string) string {
	switch door {
	case postern.DoorGateway:
		return "Through the gateway"
	case postern.DoorVerify:
		return "As a question to the verify API"
	case postern.DoorAPI:
		return "To Postern's own API"
	case postern.DoorGuard:
		return "To a program that checks with this server's records itself"
	}
	return "As a question of a proxy"
}

// inName is a key's name inside a sentence.
func inName(name string) string {
	if name == "This key" {
		return "this key"
	}
	return name
}

// Say is when something was, with its seconds.
func (view *callView) Say(t time.Time) string {
	return t.In(view.zone()).Format("Monday 2 January 2006, 15:04:05 MST")
}

// Heads is the first line of the request.
func (view *callView) Heads() string {
	if view.Row.Activity == nil {
		return ""
	}
	return strings.TrimSpace(view.Row.Method + " " + cmp.Or(view.Row.Path, view.Row.Operation))
}
