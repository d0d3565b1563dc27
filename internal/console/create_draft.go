package console

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	draftKept  = 2 * time.Hour
	draftsMost = 20       // of a session
	draftBytes = 64 << 10 // of what was typed
)

// Of a draft, what isn't typed: what the page says of the last thing that was done.
const (
	draftCopied  = "copied"  // the key whose scopes were taken over
	draftLacks   = "lacks"   // the visitor doesn't hold all of them
	draftMissing = "missing" // there is no key of this name
	draftRefused = "refused" // a field held a secret, and was not kept
)

// draftNames are all fields of a draft.
func draftNames() (names []string) {
	for step := 1; step <= 3; step++ {
		names = append(names, createFields[step]...)
	}
	return names
}

// draftOf is the id of a draft as a form or an address has it; a new one where it has none.
func draftOf(id string) string {
	if len(id) != onceLen || !postern.Scope(id).Valid() {
		return postern.RandomText(onceLen)
	}
	return id
}

// draftLink is the address of a step. What was typed is never in it.
func draftLink(id string, step int, pairs ...string) string {
	at := ""
	if step > 1 {
		at = strconv.Itoa(step)
	}
	return link("/keys/new", append([]string{"draft", id, "step", at}, pairs...)...)
}

// draftSeal names what a session's drafts are sealed for: no other session can open them.
func (v *visit) draftSeal() string { return "console draft of " + v.session.ID }

// keepDraft keeps what was typed, so that Back and reload find it.
func (v *visit) keepDraft(id string, values url.Values) error {
	body, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if len(body) > draftBytes {
		return postern.Errorf(postern.CodeTooLarge, "That is more than one key can be made with. Go back and choose fewer scopes or addresses.")
	}
	sealed, err := v.c.cfg.Signin.Seal(v.draftSeal(), values, draftKept)
	if err != nil {
		return err
	}
	d := store.Draft{Session: v.session.ID, ID: id, Body: sealed, ChangedAt: v.now, ExpiresAt: v.now.Add(draftKept)}
	_, err = v.c.cfg.DB.Write(v.r.Context(), func(tx *store.Tx) error { return tx.PutDraft(v.r.Context(), d, draftsMost) })
	return err
}

// openDraft is the form as it was kept, nil where there is none.
func (v *visit) openDraft(id string) (*form, error) {
	body, err := v.c.cfg.DB.Draft(v.r.Context(), v.session.ID, id, v.now)
	if errors.Is(err, postern.CodeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := &form{}
	if v.c.cfg.Signin.Open(v.draftSeal(), body, &f.Values) != nil {
		return nil, nil // it was sealed with another pepper, or is over
	}
	for _, name := range f.Values[draftRefused] {
		f.refuseSecret(name)
	}
	if name := f.Get(draftMissing); name != "" {
		f.Wrong("copy", "There is no key named %s. Check the name on the list of keys.", name)
	}
	return f, nil
}

func (f *form) refuseSecret(name string) {
	f.Wrong(name, "This holds a secret, which we did not keep. Type a name or a note instead.")
}

// draftFrom takes over the values of a form that belong to a draft, without secrets.
func draftFrom(values url.Values) *form {
	f := &form{Values: url.Values{}}
	for _, name := range draftNames() {
		if got := values[name]; len(got) > 0 {
			f.Values[name] = slices.Clone(got)
		}
	}
	for name, got := range f.Values {
		if name == "scope" || postern.HideSecrets(strings.Join(got, "\n")) == strings.Join(got, "\n") {
			continue
		}
		f.Values.Del(name)
		if name == "name" || name == "note" {
			f.Values.Add(draftRefused, name)
			f.refuseSecret(name)
		}
	}
	f.Values.Set("name", keyNameOf(f.Get("name")))
	return f
}
