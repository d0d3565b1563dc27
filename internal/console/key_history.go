package console

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// historyRow is a change of a key.
type historyRow struct {
	At      time.Time
	Words   string
	Who     string
	Detail  string
	Refused bool
	Seq     int64
}

// keyHistory is what the audit log says of a key.
func (c *Console) keyHistory(v *visit, view *keyView, n int) error {
	var before int64
	if text := v.query("before"); text != "" && view.At == "history" {
		var err error
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return errNoPage
		}
	}
	list, err := c.kr.Audit(v.r.Context(), v.by, store.AuditFilter{Object: string(view.K.ID)}, before, n+1)
	if err != nil {
		return err
	}
	names, err := c.memberNames(v)
	if err != nil {
		return err
	}
	for i := range list[:min(n, len(list))] {
		e := &list[i]
		view.History = append(view.History, historyRow{At: e.At, Words: historyWords(e), Who: actorName(e, names), Detail: e.Reason, Refused: e.Result != "ok", Seq: e.Seq})
	}
	if len(list) > n {
		view.Older = link(view.Link(""), "tab", "history", "before", strconv.FormatInt(list[n-1].Seq, 10))
	}
	return nil
}

// actorName is who did something.
func actorName(e *postern.AuditEntry, names map[postern.MemberID]string) string {
	switch a := &e.Actor; {
	case a.MemberID != "":
		return cmp.Or(names[a.MemberID], "A person who has left")
	case a.System != "":
		return "Postern"
	}
	return "Automation"
}

// historyWords says what was done to a key.
func historyWords(e *postern.AuditEntry) string {
	if e.Result != "ok" {
		return "Tried to change it, and was refused"
	}
	ends := func(m map[string]any) string {
		if s, ok := m["secretEndsIn"].(string); ok {
			return "…" + s
		}
		return ""
	}
	previous := func(m map[string]any) string {
		if p, ok := m["previous"].(map[string]any); ok {
			return ends(p)
		}
		return ""
	}
	switch e.Action {
	case "service_key.create":
		return "Created"
	case "service_key.rotate":
		return join("Rotated, new secret", ends(e.After))
	case "service_key.rotation.ask":
		return "Old secret still used at its deadline: held"
	case "tripwire.retired_secret":
		return "Tripwire: a secret that has ended was presented"
	case "tripwire.far_networks":
		return "Tripwire: used from two far networks at once"
	case "tripwire.canary":
		return "Tripwire: this canary was used"
	case "tripwire.refusals":
		return "Tripwire: a burst of refused calls"
	case "service_key.rotation.finish":
		return join("Old secret", cmp.Or(previous(e.Before), previous(e.After)), "ended early")
	case "service_key.rotation.cancel":
		return join("Rotation cancelled, new secret", ends(e.Before), "void")
	case "service_key.rotation.extend":
		return join("Old secret", cmp.Or(previous(e.After), previous(e.Before)), "kept longer")
	case "service_key.revoke":
		return "Ended for good"
	case "service_key.delete":
		return "Deleted"
	case "service_key.update":
		return updateWords(e)
	case "service_key.narrow":
		return join("Narrowed:", updateWords(e))
	case "service_key.enforce":
		return join("What was tried counts:", updateWords(e))
	case "service_key.undo":
		return join("Taken back:", updateWords(e))
	case "service_key.watch":
		return "Trying less"
	case "service_key.unwatch":
		return "Stopped trying less"
	}
	words := strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(e.Action, "service_key."), ".", " "), "_", " ")
	if words == "" {
		return "Changed"
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

func join(words ...string) string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// updateWords says what an edit changed.
func updateWords(e *postern.AuditEntry) string {
	var did []string
	if before, after, ok := scopesChanged(e); ok {
		added, gone := without(after, before), without(before, after)
		if len(added) > 0 {
			did = append(did, scopesWords(added, "added"))
		}
		if len(gone) > 0 {
			did = append(did, scopesWords(gone, "removed"))
		}
	}
	_, paused := e.After["pausedAt"]
	_, was := e.Before["pausedAt"]
	switch {
	case paused && !was:
		did = append(did, "paused")
	case was && !paused:
		did = append(did, "resumed")
	}
	for _, f := range []struct{ name, words string }{{"name", "renamed"}, {"description", "note changed"}, {"expiresAt", "end changed"}, {"notBefore", "start changed"},
		{"networks", "addresses changed"}, {"rateLimit", "limit changed"}, {"teamId", "team changed"}} {
		_, b := e.Before[f.name]
		_, a := e.After[f.name]
		if b || a {
			words := f.words
			if old, ok := e.Before["name"].(string); ok && f.name == "name" {
				words = "renamed from " + old
			}
			did = append(did, words)
		}
	}
	if len(did) == 0 {
		return "Reviewed"
	}
	words := list(did)
	return strings.ToUpper(words[:1]) + words[1:]
}

func without(from, what []postern.Scope) (out []postern.Scope) {
	has := map[postern.Scope]bool{}
	for _, s := range what {
		has[s] = true
	}
	for _, s := range from {
		if !has[s] {
			out = append(out, s)
		}
	}
	return out
}

func scopesWords(s []postern.Scope, done string) string {
	if len(s) > 2 {
		return num(len(s)) + " scopes " + done
	}
	names := make([]string, len(s))
	for i := range s {
		names[i] = string(s[i])
	}
	return "scope " + list(names) + " " + done
}
