package httpapi

import (
	"strconv"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
)

// append writes the answer, as api.VerifyAnswer has it, to q.out. Only whoever
// has the whole true secret learns whose it is and why it doesn't work.
func (q *verification) append(d *door.Door) {
	c, dec := &q.call, &q.call.Decision
	b := q.out
	if dec.Allowed {
		b = append(b, `{"allowed":true`...)
	} else {
		b = append(b, `{"allowed":false`...)
	}
	b = member(b, "reason", dec.Reason.String())
	b = number(b, "status", int64(c.StatusOf()))
	b = member(b, "requestId", c.RequestID)
	var missing []postern.Scope
	if !dec.Allowed {
		missing = d.Missing(c)
		b = member(b, "detail", d.Detail(c, missing))
	}
	if dec.Known {
		b = q.appendKnown(b, d, missing)
	} else if dec.Allowed && dec.Operation != nil {
		b = member(b, "upstream", string(dec.Operation.Upstream))
		b = member(b, "operation", dec.Operation.Name)
	}
	q.out = append(b, '}', '\n')
}

func (q *verification) appendKnown(b []byte, d *door.Door, missing []postern.Scope) []byte {
	dec := &q.call.Decision
	b = member(b, "keyId", string(dec.Key[:]))
	b = member(b, "kind", dec.Kind.String())
	b = member(b, "accountId", string(dec.Account))
	if dec.AccountNo != 0 {
		b = number(b, "accountNumber", dec.AccountNo)
	}
	if dec.Operation != nil {
		b = member(b, "upstream", string(dec.Operation.Upstream))
		b = member(b, "operation", dec.Operation.Name)
	}
	if len(missing) > 0 {
		b = append(b, `,"missingScopes":`...)
		b = scopeList(b, missing)
	}
	b = number(b, "secretGeneration", int64(dec.Gen))
	switch dec.Which {
	case postern.WhichCurrent:
		b = append(b, `,"which":"current"`...)
	case postern.WhichPrevious:
		b = append(b, `,"which":"previous"`...)
	}
	if dec.Since != 0 && !dec.Allowed {
		b = moment(b, "endedAt", dec.Since)
	}
	if dec.Kind.Legacy() {
		r, _ := d.Verifier().Retirement(dec.KeyID())
		b = moment(b, "deprecatedAt", r.DeprecatedAt)
		b = moment(b, "sunsetAt", r.SunsetAt)
	}
	if retry := d.RetryAfter(&q.call); retry > 0 {
		b = number(b, "retryAfter", retry)
	}
	b = appendLimits(b, &dec.Limit)
	if q.asker != nil && q.asker.Decision.Account == dec.Account {
		if list := d.Verifier().ScopesAt(dec); len(list) > 0 {
			b = append(b, `,"scopes":`...)
			b = scopeList(b, list)
		}
	}
	return b
}

func appendLimits(b []byte, l *postern.LimitState) []byte {
	if l.BurstLimit == 0 && l.DailyLimit == 0 {
		return b
	}
	b = append(b, `,"limits":{`...)
	if l.BurstLimit != 0 {
		b = appendLimit(b, "burst", int64(l.BurstLimit), int64(l.BurstSecs), int64(l.BurstLeft), int64(l.BurstReset))
	}
	if l.DailyLimit != 0 {
		if l.BurstLimit != 0 {
			b = append(b, ',')
		}
		b = appendLimit(b, "daily", l.DailyLimit, 86_400, l.DailyLeft, l.DailyReset)
	}
	return append(b, '}')
}

func appendLimit(b []byte, name string, limit, seconds, left, reset int64) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":{"limit":`...)
	b = strconv.AppendInt(b, limit, 10)
	b = number(b, "seconds", seconds)
	b = number(b, "left", left)
	b = number(b, "reset", reset)
	return append(b, '}')
}

func member(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return door.AppendJSON(b, value)
}

// moment appends a time; nothing where there is none.
func moment(b []byte, name string, at postern.Micros) []byte {
	if at == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':', '"')
	b = at.Time().AppendFormat(b, "2006-01-02T15:04:05.999999Z07:00")
	return append(b, '"')
}

func number(b []byte, name string, n int64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, n, 10)
}

func scopeList(b []byte, list []postern.Scope) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = door.AppendJSON(b, string(s))
	}
	return append(b, ']')
}
