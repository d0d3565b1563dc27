package console

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// createdView is the page that shows the secret, once.
type createdView struct {
	Common
	Key     *postern.ServiceKey
	Secret  string
	Waiting waitingPart
	Connect connectPart
}

// shownView says that a secret was shown before.
type shownView struct {
	Common
	Key *postern.ServiceKey
}

// createKey makes the key, and answers with its secret. Sent again it makes nothing
// and says when the secret was shown.
func (c *Console) createKey(v *visit) error {
	v.showsSecret()
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	f, draft := draftFrom(v.r.PostForm), draftOf(v.r.PostForm.Get("draft"))
	l, err := c.lifeOf(v)
	if err != nil {
		return err
	}
	in := v.newKeyOf(f, l, draft)
	if f.OK() {
		made, err := c.kr.CreateKey(v.r.Context(), v.by, in)
		if err == nil {
			return c.showCreated(v, f, made)
		}
		return c.createFailed(v, b, f, draft, err)
	}
	return c.showCreate(v, b, f, c.stepOf(f), draft)
}

// newKeyOf reads the form of the last step.
func (v *visit) newKeyOf(f *form, l lifeOf, draft string) keyring.NewKey {
	in := keyring.NewKey{Name: f.Get("name"), Description: f.Get("note"), Canary: f.Has("canary", "on")}
	for _, s := range f.Values["scope"] {
		in.Scopes = append(in.Scopes, postern.Scope(s))
	}
	in.Scopes = postern.SortScopes(in.Scopes)
	if n := len([]rune(in.Name)); n < nameLeast || n > nameMost {
		f.Wrong("name", "A name has %d to %d characters.", nameLeast, nameMost)
	}
	in.ExpiresAt = l.readEnd(f)
	if from := f.Get("notBefore"); from != "" {
		if day, err := time.ParseInLocation(time.DateOnly, from, v.zone); err != nil {
			f.Wrong("notBefore", "Choose the first day on which the key works, or leave it empty.")
		} else if day.Year() < 1970 {
			f.Wrong("notBefore", "Choose a day after 1970, or leave it empty.")
		} else if in.NotBefore = day.UTC(); !in.ExpiresAt.IsZero() && !in.NotBefore.Before(in.ExpiresAt) {
			f.Wrong("notBefore", "The key would end before it starts.")
		}
	}
	if f.Get("where") == "some" {
		in.Networks = networksOf(f)
	}
	if calls := f.Get("calls"); calls != "" {
		n, err := strconv.ParseInt(strings.ReplaceAll(calls, ",", ""), 10, 64)
		per, err2 := strconv.ParseInt(f.Get("per"), 10, 64)
		if err != nil || err2 != nil || n < 1 || n > 1_000_000 || per < 1 || per > 3600 {
			f.Wrong("calls", "Give a number of calls from 1 to 1,000,000, or leave it empty.")
		} else {
			in.Rate = postern.Rate{Calls: n, Per: time.Duration(per) * time.Second}
		}
	}
	// The same form makes one key however often it is sent; what was changed in it makes another.
	body, _ := json.Marshal(in) // a struct of plain values can always be written
	sum := sha256.Sum256(append([]byte(draft), body...))
	in.Idempotency = "console." + hex.EncodeToString(sum[:])
	return in
}

// networksOf reads the list of addresses, one a line.
func networksOf(f *form) (out []netip.Prefix) {
	for line := range strings.FieldsFuncSeq(f.Get("networks"), func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ' ' || r == ';' }) {
		n, err := netip.ParsePrefix(line)
		if a, err2 := netip.ParseAddr(line); err2 == nil {
			n, err = netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
		}
		if err != nil {
			f.Wrong("networks", "%s is no address or range. Write 203.0.113.7 or 203.0.113.0/24.", bounded(line))
			return nil
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		f.Wrong("networks", "Give at least one address, or choose “Any address”.")
	}
	return out
}

// stepOf is the step on which the first thing that is wrong can be put right.
func (c *Console) stepOf(f *form) int {
	for step := 1; step <= 3; step++ {
		if slices.ContainsFunc(f.Errors, func(e fieldError) bool {
			return slices.Contains(createFields[step], e.Field) || step == 2 && e.Field == "scopes"
		}) {
			return step
		}
	}
	return 3
}

// createFailed shows the step on which a refusal can be put right.
func (c *Console) createFailed(v *visit, b *scopeBook, f *form, draft string, err error) error {
	status := http.StatusUnprocessableEntity
	e, ok := errors.AsType[*postern.Error](err)
	if !ok {
		return err
	}
	if e.Code == postern.CodeForbidden || e.Code == postern.CodeInsufficientScope {
		status = http.StatusForbidden
	}
	switch {
	case e.Code == postern.CodeConflict && (e.Field == "name" || strings.Contains(e.Message, "named")):
		if err := c.checkName(v, f); err != nil {
			return err
		}
		if f.OK() {
			f.Wrong("name", "%s", e.Message)
		}
	case e.Field == "description":
		f.Wrong("note", "%s", e.Message)
	case e.Field == "rateLimit":
		f.Wrong("calls", "%s", e.Message)
	case e.Field == "expiresAt":
		f.Wrong("expires", "%s", e.Message)
	default:
		if err := f.take(err); err != nil {
			return err
		}
	}
	step := c.stepOf(f)
	if step == 2 {
		// What can't be given is not ticked when the page comes again.
		f.choose(slices.DeleteFunc(f.chosen(b), func(s postern.Scope) bool { return !v.mayGive(b, s) }))
	}
	return c.showCreateAs(v, b, f, step, draft, status)
}

// showCreated shows the secret of a key that was made, or that it was shown.
func (c *Console) showCreated(v *visit, f *form, made keyring.Made) error {
	trail := []crumb{{"Development", ""}, {"Service keys", "/keys"}}
	if made.Secret.Zero() {
		return v.render("create-shown", &shownView{Common: v.common("Shown already", "/keys", trail...), Key: &made.Key})
	}
	p := &createdView{Common: v.common("Key created", "/keys", trail...), Key: &made.Key, Secret: made.Secret.Reveal()}
	p.Scripts = []string{"create.js", "waiting.js"}
	var err error
	if p.Connect, err = c.connect(v.r.Context(), &made.Key, f.Get("use")); err == nil {
		p.Waiting, err = c.waiting(v, &made.Key)
	}
	if err != nil {
		// The key is made and its secret is here alone: what is shown beside it matters less.
		v.err = fmt.Errorf("console: beside a new secret: %w", err)
		p.Connect, p.Waiting = connectPart{}, waitingPart{}
	}
	p.Waiting.Tab = true
	return v.render("create-secret", p)
}
