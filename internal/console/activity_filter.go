package console

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// periods are the times that calls can be looked at for.
var periods = []struct {
	id, name string
	long     time.Duration
}{{"1h", "Last hour", time.Hour}, {"", "Last 24 hours", 24 * time.Hour}, {"7d", "Last 7 days", 7 * 24 * time.Hour}, {"30d", "Last 30 days", 30 * 24 * time.Hour}}

// answerWould asks for calls that worked, and that a narrowing which is being tried would refuse.
const answerWould = "would"

// callAnswers are the ways in which calls are answered.
var callAnswers = []option{{Value: "", Label: "Any answer"}, {Value: "worked", Label: "Worked"}, {Value: "refused", Label: "Refused"},
	{Value: answerWould, Label: "Worked, would be refused"},
	{Value: "2xx", Label: "2xx, success"}, {Value: "3xx", Label: "3xx, elsewhere"}, {Value: "4xx", Label: "4xx, caller's mistake"}, {Value: "5xx", Label: "5xx, server's mistake"}}

var callMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

// callsFilter is what the address says of the calls that are asked for.
type callsFilter struct {
	asked
	After   string
	KeyID   postern.KeyID
	KeyName string
	since   time.Time
	until   time.Time // zero: now
}

// callFields are the filters in the order in which the first is the narrowest.
var callFields = []struct{ name, words string }{
	{"request", "the request number"}, {"path", "the path"}, {"operation", "the operation"}, {"scope", "the scope"}, {"ip", "the address"}, {"reason", "the reason"},
	{"method", "the method"}, {"answer", "the answer"}, {"key", "the key"},
}

// callsFilter reads the address. What is wrong is told beside its field, and narrows nothing.
func (v *visit) callsFilter(keys map[postern.KeyID]*postern.ServiceKey) callsFilter {
	f := callsFilter{asked: v.asked("period", "from", "to", "key", "answer", "reason", "method", "path", "ip", "operation", "scope", "request"), After: v.query("after")}
	f.readTime(v)
	f.readKey(keys)
	f.readRest()
	return f
}

// readTime finds from when to when. Times without a zone are the reader's.
func (f *callsFilter) readTime(v *visit) {
	f.since, f.until = f.timeOf(v, "from"), f.timeOf(v, "to")
	i := max(0, slices.IndexFunc(periods, func(p struct {
		id, name string
		long     time.Duration
	}) bool {
		return p.id == f.F.Get("period")
	}))
	if f.F.Get("period") == "" {
		i = 1
	}
	if f.since.IsZero() && f.until.IsZero() {
		f.since = v.now.Add(-periods[i].long)
	} else {
		f.values.Del("period")
		f.F.Values.Del("period")
		if f.since.IsZero() {
			f.since = f.until.Add(-periods[i].long)
		}
	}
	if !f.until.IsZero() && !f.since.Before(f.until) {
		f.drop("to", "The end has to come after the start.")
		f.until = time.Time{}
	}
}

// readKey finds the key by its ID or name.
func (f *callsFilter) readKey(keys map[postern.KeyID]*postern.ServiceKey) {
	text := f.F.Get("key")
	if text == "" {
		return
	}
	if k := keys[postern.KeyID(text)]; k != nil {
		f.KeyID, f.KeyName = k.ID, k.Name
		return
	}
	for _, k := range keys {
		// Of several keys of a name, ended ones too, the one that is alive.
		if k.Name == text && (f.KeyID == "" || keys[f.KeyID].Ended()) {
			f.KeyID, f.KeyName = k.ID, k.Name
		}
	}
	switch {
	case f.KeyID != "":
		f.values.Set("key", string(f.KeyID))
	case len(text) == postern.KeyIDLen:
		f.KeyID = postern.KeyID(text) // one that is deleted, or somebody's personal key
	default:
		f.drop("key", "No key is called that. Choose one from the list, or give its key ID.")
	}
}

func (f *callsFilter) readRest() {
	if a := f.F.Get("answer"); a != "" && !slices.ContainsFunc(callAnswers, func(o option) bool { return o.Value == a }) {
		f.drop("answer", "Choose one of the answers.")
	}
	if r := f.F.Get("reason"); r != "" {
		if _, ok := postern.ParseReason(r); !ok {
			f.drop("reason", "Choose one of the reasons.")
		}
	}
	if ip := f.F.Get("ip"); ip != "" {
		if a, err := netip.ParseAddr(ip); err != nil {
			f.drop("ip", "Write one address, such as 203.0.113.5.")
		} else {
			f.values.Set("ip", a.Unmap().String())
		}
	}
}

// query is the filter as the log takes it.
func (f *callsFilter) query(account postern.AccountID) activity.Filter {
	q := activity.Filter{Account: account, Key: f.KeyID, Operation: f.values.Get("operation"), Method: strings.ToUpper(f.values.Get("method")),
		IP: f.values.Get("ip"), PathPrefix: f.values.Get("path"), Scope: postern.Scope(f.values.Get("scope")), RequestID: f.values.Get("request"), Since: f.since, Until: f.until}
	q.Reason, _ = postern.ParseReason(f.values.Get("reason"))
	yes, no := true, false
	switch a := f.values.Get("answer"); a {
	case "worked":
		q.Allowed = &yes
	case "refused":
		q.Allowed = &no
	case answerWould:
		q.Would = true
	case "2xx", "3xx", "4xx", "5xx":
		q.StatusClass = int(a[0] - '0')
	}
	return q
}

// Narrow reports whether any calls of the time are left out.
func (f callsFilter) Narrow() bool {
	return slices.ContainsFunc(callFields, func(x struct{ name, words string }) bool { return f.values.Has(x.name) })
}

// More reports whether filters are set that stand behind "More filters".
func (f callsFilter) More() bool {
	for _, name := range []string{"from", "to", "method", "path", "ip", "operation", "scope", "request"} {
		if f.F != nil && (f.F.Values.Has(name) || f.F.ErrorOf(name) != "") {
			return true
		}
	}
	return false
}

// beyondBars reports whether the bars count calls that the list leaves out.
func (f callsFilter) beyondBars() bool {
	for _, x := range callFields {
		if a := f.values.Get("answer"); f.values.Has(x.name) && x.name != "key" && (x.name != "answer" || a != "worked" && a != "refused") {
			return true
		}
	}
	return false
}
