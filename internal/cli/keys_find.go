package cli

import (
	"strings"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// notFound says that something that was named isn't there.
func notFound(format string, args ...any) error { return exit(ExitNotFound, errorf(format, args...)) }

// key finds the service key that a person means by an id or a name. An id goes
// first, so that no name can pass for one; of a name, the live key goes before
// those that ended.
func (c *call) key(ref string) (api.ServiceKey, error) {
	if looksSecret(ref) {
		return api.ServiceKey{}, usagef("That looks like a secret, and a secret is never an argument. Name the key by its name or id; the id is the third part of a secret.")
	}
	if isKeyID(ref) {
		k, err := c.ServiceKey(c.ctx, ref)
		if err == nil || !client.IsCode(err, "not_found") {
			return k, err
		}
	}
	var ended []api.ServiceKey
	near := ""
	for k, err := range c.EachServiceKey(c.ctx, client.KeyQuery{Name: ref, Paging: client.Paging{Limit: 200}}) {
		switch {
		case err != nil:
			return k, err
		case k.Name != ref:
			if near == "" && k.State != api.StateEnded {
				near = k.Name
			}
		case k.State != api.StateEnded:
			return k, nil
		default:
			ended = append(ended, k)
		}
	}
	switch {
	case len(ended) == 1:
		return ended[0], nil
	case len(ended) > 1:
		var ids []string
		for _, k := range ended {
			ids = append(ids, k.ID)
		}
		return api.ServiceKey{}, usagef("%d keys that ended had the name %s. Name one by its id: %s.", len(ids), quoted(ref), strings.Join(ids, ", "))
	case near != "":
		return api.ServiceKey{}, notFound("There is no key %s. Did you mean %s?", quoted(ref), quoted(near))
	}
	return api.ServiceKey{}, notFound(`There is no key %s. See "postern keys list".`, quoted(ref))
}

// isKeyID reports whether a text has the form of a key ID: 16 base62 characters.
func isKeyID(s string) bool {
	if len(s) != 16 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// theKey is how a key is called in a sentence.
func theKey(k api.ServiceKey) string { return "the key " + quoted(k.Name) }

// stale reports whether a change failed since someone else changed the thing meanwhile.
func stale(err error) bool {
	return client.IsCode(err, "precondition_failed")
}
