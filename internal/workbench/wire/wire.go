// Package wire is the inventory of old credentials as it goes over the wire: what
// the command line prints and the API and the console take in.
package wire

import (
	"net/netip"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/workbench"
)

// Item reads one credential of an inventory. Its texts come from outside, and are cut.
func Item(in *api.InventoryItem) workbench.Item {
	kind, _ := postern.ParseKind(in.Kind)
	out := workbench.Item{Fingerprint: workbench.Fingerprint(in.Fingerprint), Name: clip(in.Name, 100), Look: workbench.Look{Kind: kind, Shown: clip(in.Shown, 40), Weak: in.Weak},
		Calls: in.Calls, Refused: in.Refused, Limited: in.Limited, Failed: in.Failed, InAddress: in.InAddress, First: in.FirstSeen, Last: in.LastSeen, Days: in.Days,
		Rhythm:          workbench.Rhythm{Kind: in.Schedule.Kind, At: in.Schedule.At, Every: in.Schedule.EveryMinutes, Words: clip(in.Schedule.Words, 200)},
		OtherOperations: in.OtherOperations, OtherCallers: in.OtherCallers}
	for _, o := range in.Operations {
		out.Operations = append(out.Operations, workbench.OperationUse{Upstream: postern.UpstreamID(o.Upstream), Operation: clip(o.Operation, 200), Method: clip(o.Method, 20),
			Path: clip(o.Path, 200), Calls: o.Calls, OK: o.Succeeded, First: o.FirstSeen, Last: o.LastSeen, Writes: o.Writes})
	}
	for _, c := range in.Callers {
		ip, _ := netip.ParseAddr(c.IP)
		out.Callers = append(out.Callers, workbench.Caller{IP: ip, UserAgent: clip(c.UserAgent, 200), Calls: c.Calls, Refused: c.Refused, First: c.FirstSeen, Last: c.LastSeen})
	}
	return out
}

// JSON is one credential of an inventory as it is told.
func JSON(i *workbench.Item) api.InventoryItem {
	out := api.InventoryItem{Fingerprint: string(i.Fingerprint), Name: i.Name, Shown: i.Shown, Weak: i.Weak, Calls: i.Calls, Refused: i.Refused,
		Limited: i.Limited, Failed: i.Failed, InAddress: i.InAddress, FirstSeen: i.First, LastSeen: i.Last, Days: i.Days,
		Schedule:   api.Schedule{Kind: i.Rhythm.Kind, At: i.Rhythm.At, EveryMinutes: i.Rhythm.Every, Words: i.Rhythm.Words},
		Operations: []api.OperationUse{}, OtherOperations: i.OtherOperations, Callers: []api.CallerUse{}, OtherCallers: i.OtherCallers,
		Scopes: texts(i.Scopes), Path: string(i.Advice.To), Reasons: i.Advice.Reasons, Notes: []api.PathNote{}}
	if i.Kind != 0 {
		out.Kind = i.Kind.String()
	}
	for _, o := range i.Operations {
		u := api.OperationUse{Upstream: string(o.Upstream), Operation: o.Operation, Method: o.Method, Path: o.Path, Calls: o.Calls, Succeeded: o.OK,
			FirstSeen: o.First, LastSeen: o.Last, Writes: o.Writes}
		for _, w := range o.Ways {
			u.AnyOf = append(u.AnyOf, texts(w))
		}
		out.Operations = append(out.Operations, u)
	}
	for _, c := range i.Callers {
		u := api.CallerUse{UserAgent: c.UserAgent, Calls: c.Calls, Refused: c.Refused, FirstSeen: c.First, LastSeen: c.Last}
		if c.IP.IsValid() {
			u.IP = c.IP.String()
		}
		out.Callers = append(out.Callers, u)
	}
	for _, n := range i.Advice.Notes {
		out.Notes = append(out.Notes, api.PathNote{Code: n.Code, Text: n.Text})
	}
	return out
}

// clip takes control characters out of a text from outside, and cuts it to a length.
func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

func texts(scopes []postern.Scope) []string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = string(s)
	}
	return out
}
