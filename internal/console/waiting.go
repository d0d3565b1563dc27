package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
)

// waitingRoutes are the wait for a key's first call: a page, a stream of events, a
// small answer for who asks again and again, and what puts a refusal right.
func (c *Console) waitingRoutes() []route {
	read, write := []postern.Permission{postern.PermKeysRead}, []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /keys/{id}/first-call", Serve: c.firstCallPage, Need: read},
		{Pattern: "GET /keys/{id}/first-call.json", Quiet: true, Serve: c.firstCallNow, Need: read},
		{Pattern: "GET /keys/{id}/first-call/events", Quiet: true, Serve: c.firstCallStream, Need: read},
		{Pattern: "POST /keys/{id}/first-call/scope", Serve: c.firstCallScope, Need: write},
		{Pattern: "POST /keys/{id}/first-call/address", Serve: c.firstCallAddress, Need: write},
	}
}

const (
	streamLife = time.Minute     // then the browser asks anew, and is checked anew
	streamLook = 2 * time.Second // how often what isn't the account's own activity is looked at
)

// The states of the wait.
const (
	waitWaiting = "waiting"
	waitWorks   = "ok"
	waitRefused = "bad"
	waitBehind  = "warn" // let through, and the API behind could not answer
)

// waitingPart is the live panel "Waiting for the first call": the template "waiting".
// Its page lists "waiting.js" among its scripts.
type waitingPart struct {
	Key   string       `json:"-"`
	Again string       `json:"-"` // where the state is shown without scripts
	Tab   bool         `json:"-"` // Again opens beside the page, which must not be left
	State string       `json:"state"`
	Title string       `json:"title"`
	Bits  []waitingBit `json:"bits"`
	Acts  []waitingAct `json:"acts"`
	Token string       `json:"token"` // for the forms of Acts
}

// waitingBit is a piece of the panel's sentence. Kinds: "code", "b", "bdi" and "".
type waitingBit struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// waitingAct is something to do: a link, or a form that sends one value.
type waitingAct struct {
	Words   string `json:"words"`
	Link    string `json:"link"`
	Post    bool   `json:"post"`
	Name    string `json:"name"`
	Value   string `json:"value"`
	Primary bool   `json:"primary"`
}

func bitText(text string) waitingBit { return waitingBit{"", text} }
func bitCode(text string) waitingBit { return waitingBit{"code", text} }
func bitBold(text string) waitingBit { return waitingBit{"b", text} }
func bitName(text string) waitingBit { return waitingBit{"bdi", text} }

// same reports whether two panels say the same.
func (p *waitingPart) same(o *waitingPart) bool {
	return p.State == o.State && p.Title == o.Title && slices.Equal(p.Bits, o.Bits) && slices.Equal(p.Acts, o.Acts)
}

// json is the panel for a script: its lists are there even where they are empty.
func (p *waitingPart) json() ([]byte, error) {
	out := *p
	if out.Acts == nil {
		out.Acts = []waitingAct{}
	}
	return json.Marshal(&out)
}

// waiting says how far a key is with its current secret: no call yet, one that
// worked, or one that was refused, why, and what puts it right.
func (c *Console) waiting(v *visit, k *postern.ServiceKey) (waitingPart, error) {
	p := waitingPart{Key: string(k.ID), Again: "/keys/" + string(k.ID) + "/first-call"}
	if v.session != nil {
		p.Token = c.newFormToken(v.session.ID)
	}
	f := activity.Filter{Account: k.AccountID, Key: k.ID, Since: k.Current.MadeAt}
	yes, no := true, false
	f.Allowed = &yes
	c.cfg.Activity.Settle(v.r.Context())
	good, more, err := c.cfg.Activity.Query(v.r.Context(), f, activity.Cursor{}, 20)
	if err != nil {
		return p, err
	}
	if len(good) > 0 {
		p.works(v, k, good, more.Zero())
		return p, nil
	}
	f.Allowed = &no
	bad, _, err := c.cfg.Activity.Query(v.r.Context(), f, activity.Cursor{}, 1)
	if err != nil {
		return p, err
	}
	bad = append(bad, c.wrongSecrets(v, k)...)
	slices.SortStableFunc(bad, func(x, y postern.Activity) int { return y.At.Compare(x.At) })
	if len(bad) == 0 {
		p.State, p.Title = waitWaiting, "Waiting for the first call"
		p.Bits = []waitingBit{bitText("Paste the secret into your tool and press its test or refresh button. This turns green the moment a call arrives.")}
		return p, nil
	}
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return p, err
	}
	p.refused(v, b, k, &bad[0])
	return p, nil
}

// works tells of the first call that was let through, of those that are there newest first.
func (p *waitingPart) works(v *visit, k *postern.ServiceKey, good []postern.Activity, all bool) {
	a := good[0]
	p.State, p.Title = waitWorks, "It works."
	if i := slices.IndexFunc(good, func(a postern.Activity) bool { return a.Status < 500 }); i >= 0 {
		a = good[i]
		if all {
			p.Title = "It works. First call received."
		}
	} else {
		p.State, p.Title = waitBehind, "The call was let through, but the API could not answer it."
	}
	p.Bits = []waitingBit{bitCode(a.Method + " " + a.Path), bitText(fmt.Sprintf(" answered %d in %d ms, from ", a.Status, max(1, a.Duration.Milliseconds()))), bitName(orWords(a.IP, "an unknown address"))}
	if tool := toolName(a.UserAgent); tool != "" {
		p.Bits = append(p.Bits, bitText(" ("), bitName(tool), bitText(")"))
	}
	p.Bits = append(p.Bits, bitText(", "+ago(a.At, v.now, v.zone)+"."))
	if v.c.known["GET /activity"] && v.can(postern.PermActivityRead) {
		p.Acts = []waitingAct{{Words: "See its activity", Link: link("/activity", "key", string(k.ID))}}
	}
}

func orWords(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// wrongSecrets are calls of nobody that seem to be meant for this key: with its key
// ID and another secret; or with what isn't a secret, from the reader's own address,
// or from anywhere for the account that runs the server.
func (c *Console) wrongSecrets(v *visit, k *postern.ServiceKey) []postern.Activity {
	for _, a := range c.cfg.Activity.Strangers(512) {
		if a.At.Before(k.Current.MadeAt) {
			break
		}
		if a.KeyID == k.ID || a.Reason == postern.ReasonMalformed && (v.account().Operator || a.IP != "" && a.IP == v.by.IP) {
			return []postern.Activity{a}
		}
	}
	return nil
}

// refused tells why a call was refused and what puts it right. What was put right
// since is waited for again.
func (p *waitingPart) refused(v *visit, b *scopeBook, k *postern.ServiceKey, a *postern.Activity) {
	p.State, p.Title = waitRefused, "A call arrived, but we refused it."
	call := bitCode(a.Method + " " + a.Path)
	fix := func(words ...waitingBit) {
		p.State, p.Title, p.Acts = waitWaiting, "Waiting for the next call", nil
		p.Bits = append(words, bitText(" Press your tool’s test or refresh button again."))
	}
	page := func(words string) {
		if v.c.known["GET /keys/{id}"] {
			p.Acts = append(p.Acts, waitingAct{Words: words, Link: "/keys/" + string(k.ID)})
		}
	}
	write := v.can(postern.PermKeysWrite)
	switch a.Reason {
	case postern.ReasonInsufficientScope:
		p.missing(v, b, k, a, call, fix)
	case postern.ReasonAddressNotAllowed:
		p.address(v, k, a, fix)
	case postern.ReasonExpired:
		if k.ExpiresAt.IsZero() || v.now.Before(k.ExpiresAt) {
			fix(bitText("The key’s end was moved."))
			return
		}
		p.Bits = []waitingBit{call, bitText(" came after the key’s end, " + k.ExpiresAt.In(v.zone).Format("2 January 2006, 15:04") + ". Give the key a later end.")}
		page("Change its end")
	case postern.ReasonNotYetValid:
		if !v.now.Before(k.NotBefore) {
			fix(bitText("The key works now."))
			return
		}
		p.Bits = []waitingBit{call, bitText(" came before the key’s start, " + k.NotBefore.In(v.zone).Format("2 January 2006, 15:04") + ". Wait, or give it an earlier start.")}
		page("Change its start")
	case postern.ReasonPaused:
		if k.PausedAt.IsZero() {
			fix(bitText("The key was resumed."))
			return
		}
		p.Bits = []waitingBit{call, bitText(" was refused, as the key is paused. The secret itself is fine.")}
		if write {
			p.Acts = append(p.Acts, waitingAct{Words: "Resume the key", Link: link("/keys/bulk", "action", string(actResume), "id", string(k.ID)), Primary: true})
		}
	case postern.ReasonMalformed:
		p.Bits = []waitingBit{bitText("The call from "), bitName(orWords(a.IP, "an unknown address")), bitText(" came with something that is not a whole secret. It looks cut off or mistyped: copy it again, from its first character to its last four, "), bitCode(k.Current.LastFour), bitText(".")}
	case postern.ReasonUnknownKey:
		p.Bits = []waitingBit{bitText("The call from "), bitName(orWords(a.IP, "an unknown address")), bitText(" named this key, with a wrong secret. The right one ends in "), bitCode(k.Current.LastFour), bitText(".")}
	case postern.ReasonRetired:
		p.Bits = []waitingBit{call, bitText(" came with the old secret, which has ended. Paste the new one, which ends in "), bitCode(k.Current.LastFour), bitText(".")}
	case postern.ReasonRevoked:
		p.Bits = []waitingBit{call, bitText(" was refused: the key has ended, for good. Make a new one.")}
	case postern.ReasonRateLimited:
		p.Bits = []waitingBit{call, bitText(" came too soon after others: the key’s rate limit is reached. The secret itself is fine.")}
		page("Change its rate limit")
	case postern.ReasonDailyLimit:
		p.Bits = []waitingBit{call, bitText(" was refused: the account has used up its calls of today. The secret itself is fine.")}
	case postern.ReasonLimitsAway:
		p.Bits = []waitingBit{call, bitText(" could not be counted: the server that counts calls is away. The secret itself is fine; try again.")}
	case postern.ReasonUnknownOperation:
		p.Bits = []waitingBit{call, bitText(" is no endpoint of the API. Check the address for a typing error. The secret itself is fine.")}
	case postern.ReasonMethodNotAllowed:
		p.Bits = []waitingBit{bitText("The API has the path "), bitCode(a.Path), bitText(", but not with "), bitCode(a.Method), bitText(". The secret itself is fine.")}
	case postern.ReasonUncovered:
		p.Bits = []waitingBit{call, bitText(" is opened by no scope, so no key can call it. Whoever runs this server can give it one.")}
	case postern.ReasonWrongKind:
		p.Bits = []waitingBit{call, bitText(" takes no service keys. It needs another kind of credential.")}
	case postern.ReasonAccountSuspended:
		p.Bits = []waitingBit{call, bitText(" was refused, as the account is suspended.")}
	default:
		p.Bits = []waitingBit{call, bitText(fmt.Sprintf(" was refused with %d. The secret may be fine: try again.", a.Status))}
	}
}

// missing tells of a call that lacked scopes.
func (p *waitingPart) missing(v *visit, b *scopeBook, k *postern.ServiceKey, a *postern.Activity, call waitingBit, fix func(...waitingBit)) {
	lack := slices.DeleteFunc(slices.Clone(a.Missing), func(s postern.Scope) bool { return slices.Contains(k.Scopes, s) })
	names := func(of []postern.Scope) string {
		var out []string
		for _, s := range of {
			out = append(out, b.say(s))
		}
		return list(out)
	}
	if len(lack) == 0 && len(a.Missing) > 0 {
		fix(bitBold(names(a.Missing)), bitText(" was added."))
		return
	}
	if len(lack) == 0 {
		p.Bits = []waitingBit{call, bitText(" needs a scope that this key does not have. The secret itself is fine.")}
		return
	}
	p.Bits = []waitingBit{call, bitText(" needs "), bitBold(names(lack)), bitText(", which this key does not have. The secret itself is fine.")}
	if len(postern.MayGrant(v.member(), lack, b.sensitive)) > 0 || !v.can(postern.PermKeysWrite) {
		p.Bits = append(p.Bits, bitText(" You cannot add it: ask an admin who holds that scope."))
		return
	}
	text := make([]string, len(lack))
	for i, s := range lack {
		text[i] = string(s)
	}
	p.Acts = append(p.Acts, waitingAct{Words: "Add " + names(lack), Link: "/keys/" + string(k.ID) + "/first-call/scope", Post: true, Name: "scope", Value: strings.Join(text, " "), Primary: true})
}

// address tells of a call from outside the key's list.
func (p *waitingPart) address(v *visit, k *postern.ServiceKey, a *postern.Activity, fix func(...waitingBit)) {
	ip, err := netip.ParseAddr(a.IP)
	if err == nil && (len(k.Networks) == 0 || slices.ContainsFunc(k.Networks, func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) })) {
		fix(bitName(a.IP), bitText(" is allowed now."))
		return
	}
	p.Title = "A call arrived from " + orWords(a.IP, "an unknown address") + ", which is not on this key’s list."
	p.Bits = []waitingBit{bitText("The secret itself is fine. Allow the address if it is your tool’s own.")}
	if err == nil && v.can(postern.PermKeysWrite) {
		p.Acts = append(p.Acts, waitingAct{Words: "Allow it", Link: "/keys/" + string(k.ID) + "/first-call/address", Post: true, Name: "address", Value: a.IP, Primary: true})
	}
	if v.c.known["GET /keys/{id}/rotate"] && v.can(postern.PermKeysWrite) {
		p.Acts = append(p.Acts, waitingAct{Words: "It was not us", Link: "/keys/" + string(k.ID) + "/rotate"})
	}
}

// sensitive reports whether holding a scope counts only by its exact name.
func (b *scopeBook) sensitive(s postern.Scope) bool {
	info := b.scopes[s]
	return info == nil || info.Sensitive
}

// waitingKey is the key of the address, as it is now, with how far it is.
func (c *Console) waitingKey(v *visit) (postern.ServiceKey, waitingPart, error) {
	k, err := c.kr.Key(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return k, waitingPart{}, err
	}
	p, err := c.waiting(v, &k)
	return k, p, err
}

// firstCallView is the page on which the wait goes on, without the secret.
type firstCallView struct {
	Common
	Key     *postern.ServiceKey
	Waiting waitingPart
	Connect connectPart
}

func (c *Console) firstCallPage(v *visit) error {
	k, p, err := c.waitingKey(v)
	if err != nil {
		return err
	}
	page := &firstCallView{Common: v.common("First call", "/keys", crumb{"Service keys", "/keys"}, crumb{k.Name, v.keyLink(k.ID)}), Key: &k, Waiting: p}
	page.Scripts = []string{"waiting.js"}
	if page.Connect, err = c.connect(v.r.Context(), &k, ""); err != nil {
		return err
	}
	return v.render("first-call", page)
}

// firstCallNow answers how far a key is.
func (c *Console) firstCallNow(v *visit) error {
	_, p, err := c.waitingKey(v)
	if err != nil {
		return err
	}
	return v.waitingJSON(&p)
}

func (v *visit) waitingJSON(p *waitingPart) error {
	body, err := p.json()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Cache-Control", "no-store")
	return v.send(http.StatusOK, body)
}

// firstCallStream tells how far a key is, and again whenever that changes, for a
// minute; then the browser asks anew. Where no stream may be opened it is answered with
// 204, after which the page asks every few seconds instead.
func (c *Console) firstCallStream(v *visit) error {
	k, err := c.kr.Key(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if v.r.Method == http.MethodHead {
		h.Set("Content-Type", "text/event-stream")
		v.w.WriteHeader(http.StatusOK)
		return nil
	}
	closed, ok := func() {}, !k.Ended()
	if ok {
		closed, ok = c.streams.open(v.session.ID)
	}
	if !ok {
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	defer closed()
	h.Set("Content-Type", "text/event-stream")
	ctx, stop := c.untilStopping(v.r.Context())
	defer stop()
	return c.followFirstCall(ctx, v)
}

// followFirstCall writes events until the time is over, the reader has gone or was
// signed out, or the server ends.
func (c *Console) followFirstCall(ctx context.Context, v *visit) error {
	f := activity.Filter{Account: v.by.AccountID, Key: postern.KeyID(v.path("id"))}
	_, at, err := c.cfg.Activity.Tail(ctx, f, activity.Cursor{}, 0)
	if err != nil {
		return err
	}
	_, p, err := c.waitingKey(v)
	if err != nil {
		return err
	}
	out := http.NewResponseController(v.w)
	if err := writeEvent(v.w, out, &p); err != nil {
		return nil // whoever waited has gone
	}
	for end := time.Now().Add(streamLife); time.Now().Before(end); {
		if _, at, err = c.cfg.Activity.Tail(ctx, f, at, streamLook); err != nil {
			return nil
		}
		if in, err := v.stillIn(ctx); err != nil || !in {
			return nil
		}
		v.now = c.now()
		_, now, err := c.waitingKey(v)
		if err != nil {
			v.err = err
			return nil
		}
		if !now.same(&p) {
			p = now
			if err := writeEvent(v.w, out, &p); err != nil {
				return nil
			}
		}
	}
	return nil
}

func writeEvent(w http.ResponseWriter, out *http.ResponseController, p *waitingPart) error {
	body, err := p.json()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "data: %s\n\n", body); err != nil {
		return err
	}
	return out.Flush()
}

// firstCallScope gives the key the scopes that a refused call lacked.
func (c *Console) firstCallScope(v *visit) error {
	var add []postern.Scope
	for s := range strings.FieldsSeq(v.r.PostForm.Get("scope")) {
		add = append(add, postern.Scope(s))
	}
	return c.firstCallEdit(v, "The scope is added. Send the call again.", func(k *postern.ServiceKey) keyring.KeyEdit {
		scopes := postern.SortScopes(append(slices.Clone(k.Scopes), add...))
		return keyring.KeyEdit{Scopes: &scopes}
	})
}

// firstCallAddress puts the address of a refused call on the key's list.
func (c *Console) firstCallAddress(v *visit) error {
	ip, err := netip.ParseAddr(v.r.PostForm.Get("address"))
	if err != nil {
		return postern.Invalidf("address", "This is no IP address. Go back and try again.")
	}
	ip = ip.Unmap().WithZone("")
	return c.firstCallEdit(v, "The address is allowed. Send the call again.", func(k *postern.ServiceKey) keyring.KeyEdit {
		if len(k.Networks) == 0 { // the list was taken away meanwhile, so that any address may call
			return keyring.KeyEdit{}
		}
		nets := append(slices.Clone(k.Networks), netip.PrefixFrom(ip, ip.BitLen()))
		return keyring.KeyEdit{Networks: &nets}
	})
}

// firstCallEdit changes the key as it is now, and answers a script with how far the
// key is, and a page with the page of the wait.
func (c *Console) firstCallEdit(v *visit, done string, edit func(*postern.ServiceKey) keyring.KeyEdit) error {
	k, err := c.kr.Key(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return err
	}
	in := edit(&k)
	in.IfRevision = k.Revision
	made, err := c.kr.EditKey(v.r.Context(), v.by, k.ID, in)
	if err != nil {
		return err
	}
	if v.r.Header.Get("Accept") != "application/json" {
		return v.done("/keys/"+string(k.ID)+"/first-call", done+watchEnded(&made))
	}
	_, p, err := c.waitingKey(v)
	if err != nil {
		return err
	}
	return v.waitingJSON(&p)
}
