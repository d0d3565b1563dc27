package notify

import (
	"context"
	"errors"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// SecretFound is the kind of what is told of a secret that was found.
const SecretFound = "secret_found"

// leaked tells of a secret that was found: those who look after its key, and those
// who run the account.
func (n *Notifier) leaked(ctx context.Context, tx *store.Tx, e *postern.AuditEntry, d *draft) (*draft, error) {
	leak, _ := e.After["leak"].(map[string]any)
	text := func(name string) string { s, _ := leak[name].(string); return s }
	url := text("url")
	if text("source") != postern.LeakFromGitHub {
		url = "" // anyone may have written it, and a mail makes a link of it
	}
	name := e.Name
	if name == "" {
		name = "a key"
	}
	d.kind, d.subject = SecretFound, "A secret of "+name+" was found"
	if text("source") == postern.LeakFromGitHub {
		d.subject += " in public code"
	}
	who, err := n.people(ctx, tx, e.AccountID)
	if err != nil {
		return nil, err
	}
	switch e.Action {
	case "legacy_credential.leak":
		d.link = "/migration"
		d.words = leakWords(text("did"), text("lastFour"), url, "Make a new key in its place now, and end it.")
	case "personal_key.leak":
		d.link = "/me/keys"
		member, _ := e.After["member"].(string)
		d.words = leakWords(text("did"), text("lastFour"), url, "Make another one, and end this one.")
		if m := who.by[postern.MemberID(member)]; m != nil {
			d.to = append(d.to, reader{m.ID, "maker"})
		}
	default:
		d.link = "/keys/" + e.Object
		d.words = leakWords(text("did"), text("lastFour"), url, "Rotate it now, and say that it was exposed.")
		k, err := tx.KeyPeople(ctx, e.AccountID, postern.KeyID(e.Object))
		if errors.Is(err, postern.CodeNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if d.to, err = who.of(ctx, &k); err != nil {
			return nil, err
		}
	}
	for _, r := range who.who(postern.PermAccountWrite) {
		if !told(d.to, r.id) {
			d.to = append(d.to, r)
		}
	}
	return d, nil
}

// leakWords say what happened, and what to do now.
func leakWords(did, last, url, fix string) string {
	words := "Somebody presented the whole secret"
	if last != "" { // nobody knows it of what was imported by its hash
		words += " that ends in " + last
	}
	if url != "" {
		words += ", and says where it was: " + url
	}
	words += ". "
	switch postern.LeakAction(did) {
	case postern.LeakPause:
		return words + "It does not work any more: the key was paused, as your security policy asks, or its old secret ended. " + fix
	case postern.LeakRevoke:
		return words + "It was ended at once, and its calls are refused. Give what used it a new secret."
	}
	return words + "It still works. " + fix
}
