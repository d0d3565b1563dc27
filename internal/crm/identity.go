package crm

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// caller is whom the gateway says is calling.
type caller struct {
	account postern.AccountID
	number  int64
	key     postern.KeyID
	scopes  []string
}

// callerOf reads the headers that the gateway sets after it has removed any that came in.
func callerOf(h http.Header) (caller, bool) {
	number, err := strconv.ParseInt(h.Get("Postern-Account-Number"), 10, 64)
	c := caller{account: postern.AccountID(h.Get("Postern-Account")), number: number, key: postern.KeyID(h.Get("Postern-Key")),
		scopes: strings.Fields(h.Get("Postern-Scopes"))}
	return c, err == nil && number >= 0 && c.account != ""
}

func (c caller) has(scope string) bool { return slices.Contains(c.scopes, scope) }

func (c caller) hasAny(scopes []string) bool { return slices.ContainsFunc(scopes, c.has) }

// require refuses a caller that has none of the scopes.
func (c *call) require(scopes []string) error {
	if c.who.hasAny(scopes) {
		return nil
	}
	return c.s.missingScopes(scopes)
}

// requireAll refuses a caller that may not do this to the records of every type.
func (c *call) requireAll(write bool, types ...*objectType) error {
	for _, t := range types {
		if write && len(t.Write) == 0 {
			return invalid("%s can only be read.", t.Labels)
		}
		if err := c.require(t.scopes(write)); err != nil {
			return err
		}
	}
	return nil
}

// sensitiveScope is the scope that opens a type's values of a sensitivity.
func sensitiveScope(t *objectType, level string, write bool) string {
	if t.Plural == "tickets" {
		return "tickets." + level + ".v2"
	}
	act := "read"
	if write {
		act = "write"
	}
	return "crm.objects." + t.Schema + "." + level + "." + act + ".v2"
}

// maySee reports whether the caller may see the values of a property.
func (c *call) maySee(t *objectType, p *property) bool {
	return p.Sensitivity == "" || p.Sensitivity == notSensitive || c.who.has(sensitiveScope(t, p.Sensitivity, false))
}
