package crm

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxValue is the longest value in characters.
const maxValue = 65536

// normalize turns a value as a client wrote it into the one that is stored. What
// depends on other records (owners, pipelines, uniqueness) is checked elsewhere.
func (p *property) normalize(v, old string) (string, *valueError) {
	bad := func(code, format string, a ...any) (string, *valueError) {
		return "", &valueError{Name: p.Name, Code: code, Message: fmt.Sprintf(format, a...)}
	}
	if v == "" {
		return "", nil
	}
	if len(v) > maxValue && len([]rune(v)) > maxValue {
		return bad("INVALID_LENGTH", "The value of %s is longer than %d characters.", p.Name, maxValue)
	}
	switch p.Type {
	case "number":
		n, ok := normalNumber(v)
		if !ok {
			return bad("INVALID_NUMBER", "%s was not a valid number.", v)
		}
		return n, nil
	case "bool":
		switch low := strings.ToLower(v); low {
		case "true", "false":
			return low, nil
		}
		return bad("INVALID_BOOLEAN", "%s was not a valid boolean.", v)
	case "date":
		t, ok := parseTime(v)
		if !ok || !t.Equal(t.Truncate(24*time.Hour)) {
			return bad("INVALID_DATE", "%s was not a valid date: it must be YYYY-MM-DD, or midnight UTC in milliseconds.", v)
		}
		return t.Format(time.DateOnly), nil
	case "datetime":
		t, ok := parseTime(v)
		if !ok {
			return bad("INVALID_DATE", "%s was not a valid date: it must be ISO 8601 or milliseconds since 1970.", v)
		}
		return timestamp(micros(t)).String(), nil
	case "enumeration":
		return p.normalChoice(v, old)
	}
	return v, nil
}

// normalNumber is the shortest decimal of a number, without an exponent.
func normalNumber(v string) (string, bool) {
	if v == "" || !strings.ContainsRune("+-.0123456789", rune(v[0])) || strings.ContainsAny(v, "xXpP_") {
		return "", false
	}
	// A whole number is kept to the last digit, also beyond what a float holds.
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), true
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", false
	}
	return strconv.FormatFloat(f, 'f', -1, 64), true
}

// normalChoice checks the options of an enumeration. A leading semicolon adds to what a multiple choice holds.
func (p *property) normalChoice(v, old string) (string, *valueError) {
	if !p.multi() {
		return v, p.allowed(v)
	}
	var out []string
	if strings.HasPrefix(v, ";") && old != "" {
		out = strings.Split(old, ";")
	}
	for part := range strings.SplitSeq(v, ";") {
		if part == "" || slices.Contains(out, part) {
			continue
		}
		if e := p.allowed(part); e != nil {
			return "", e
		}
		out = append(out, part)
	}
	return strings.Join(out, ";"), nil
}

func (p *property) allowed(v string) *valueError {
	if p.ExternalOptions {
		return nil
	}
	var have []string
	for _, o := range p.Options {
		if o.Value == v {
			return nil
		}
		have = append(have, o.Value)
	}
	return &valueError{Name: p.Name, Code: "INVALID_OPTION", Message: fmt.Sprintf("%s was not one of the allowed options: [%s]", v, strings.Join(have, ", "))}
}

// normalEmail is an address as contacts keep it.
func normalEmail(v string) (string, bool) {
	v = strings.ToLower(strings.TrimSpace(v))
	a, err := mail.ParseAddress(v)
	if err != nil || a.Address != v || a.Name != "" {
		return "", false
	}
	_, domain, _ := strings.Cut(v, "@")
	return v, len(v) <= 254 && strings.Contains(strings.Trim(domain, "."), ".")
}

// normalDomain takes the scheme, "www." and the path off a domain.
func normalDomain(v string) string {
	v = strings.ToLower(strings.TrimSpace(v))
	if _, rest, ok := strings.Cut(v, "://"); ok {
		v = rest
	}
	if i := strings.IndexAny(v, "/?#"); i >= 0 {
		v = v[:i]
	}
	return strings.TrimPrefix(v, "www.")
}

// rules is what values are checked against beyond their own property.
type rules struct {
	typ       *objectType
	defs      definitions
	owners    map[string]bool
	pipelines []*pipeline
	now       int64
}

// rulesFor reads what the writes of a call are checked against.
func rulesFor(ctx context.Context, tx *sql.Tx, acct int64, t *objectType, now int64) (*rules, error) {
	defs, err := definitionsOf(ctx, tx, acct, t)
	if err != nil {
		return nil, err
	}
	r := &rules{typ: t, defs: defs, now: now}
	if r.owners, err = ownerIDs(ctx, tx, acct); err != nil {
		return nil, err
	}
	if t.Pipeline != "" {
		r.pipelines, err = pipelinesOf(ctx, tx, acct, t, false)
	}
	return r, err
}

// accept checks the values of one record, stores them in its props and gives the
// names that changed. A nil list of errors means that all of them hold.
func (r *rules) accept(c *call, rec *record, values map[string]scalar) (changed []string, errs []valueError) {
	for _, name := range sortedKeys(values) {
		raw := string(values[name])
		p := r.defs[name]
		if p == nil {
			errs = append(errs, valueError{name, "PROPERTY_DOESNT_EXIST", fmt.Sprintf("Property %q does not exist", name)})
			continue
		}
		if p.readOnly || p.Calculated {
			errs = append(errs, valueError{name, "READ_ONLY_VALUE", fmt.Sprintf("%q is a read only property; its value cannot be set.", name)})
			continue
		}
		v, e := r.normal(p, raw, rec.props[name])
		if e != nil {
			errs = append(errs, *e)
			continue
		}
		if name == r.typ.Created {
			// When a record was made is a column, not a value.
			if t, ok := parseTime(v); ok && micros(t) != rec.created {
				rec.created = micros(t)
				changed = append(changed, name)
			}
			continue
		}
		if rec.props[name] == v {
			continue
		}
		rec.set(name, v)
		changed = append(changed, name)
	}
	return changed, errs
}

// normal is the value that is stored, checked also against other tables.
func (r *rules) normal(p *property, raw, old string) (string, *valueError) {
	if raw == "" {
		return "", nil
	}
	switch {
	case r.typ.Plural == "contacts" && p.Name == "email":
		v, ok := normalEmail(raw)
		if !ok {
			return "", &valueError{p.Name, "INVALID_EMAIL", fmt.Sprintf("Email address %s is invalid", raw)}
		}
		return v, nil
	case r.typ.Plural == "contacts" && p.Name == "hs_additional_emails":
		var list []string
		for part := range strings.SplitSeq(raw, ";") {
			if part == "" {
				continue
			}
			v, ok := normalEmail(part)
			if !ok {
				return "", &valueError{p.Name, "INVALID_EMAIL", fmt.Sprintf("Email address %s is invalid", part)}
			}
			list = append(list, v)
		}
		return strings.Join(list, ";"), nil
	case r.typ.Plural == "companies" && p.Name == "domain":
		return normalDomain(raw), nil
	case p.owner():
		if !r.owners[raw] {
			return "", &valueError{p.Name, "INVALID_OWNER_ID", fmt.Sprintf("%s is not the id of an owner.", raw)}
		}
		return raw, nil
	}
	return p.normalize(raw, old)
}

// set stores a value, or clears it where the value is empty.
func (r *record) set(name, v string) bool {
	if r.props[name] == v {
		return false
	}
	if v == "" {
		delete(r.props, name)
	} else {
		r.props[name] = v
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string {
	out := keys(m)
	slices.Sort(out)
	return out
}
