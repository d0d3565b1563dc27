package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/store"
)

// entryView is one entry.
type entryView struct {
	Common
	Row   auditRow
	Diff  []diffRow
	Back  string
	Older string
	Open  action // the page of what was changed
}

// diffRow is a fact before and after.
type diffRow struct {
	Name          string
	Before, After []diffPart
}

// diffPart is a value; of lists, each member, and whether it came or went.
type diffPart struct {
	Text    string
	Changed bool
}

func (c *Console) showEntry(v *visit) error {
	seq, err := v.entrySeq()
	if err != nil {
		return err
	}
	f, err := v.auditFilter()
	if err != nil {
		return err
	}
	entries, err := c.kr.Audit(v.r.Context(), v.by, store.AuditFilter{}, seq+1, 1)
	if err != nil {
		return v.noAudit(err)
	}
	if len(entries) == 0 || entries[0].Seq != seq {
		return postern.Errorf(postern.CodeNotFound, "The account has no such entry.")
	}
	people, err := v.people()
	if err != nil {
		return v.noAudit(err)
	}
	row := auditRowOf(entries[0], people, f)
	view := &entryView{Common: v.common(fmt.Sprintf("Entry %s", num(seq)), "/audit", crumb{Name: "Monitoring"}, crumb{Name: "Audit log", Link: "/audit"}),
		Row: row, Diff: diffOf(row.Before, row.After, v.zone), Back: f.with("/audit")}
	older, err := c.kr.Audit(v.r.Context(), v.by, f.AuditFilter, seq, 1)
	if err != nil {
		return v.noAudit(err)
	}
	if len(older) > 0 {
		view.Older = f.with("/audit/" + strconv.FormatInt(older[0].Seq, 10))
	}
	switch kind, _, _ := strings.Cut(row.Action, "."); {
	case kind == "service_key" && c.known["GET /keys/{id}"] && v.can(postern.PermKeysRead):
		view.Open = action{Words: "Open the key", Link: "/keys/" + row.Object, Icon: "key"}
	case kind == "member" && c.known["GET /settings/members"] && v.can(postern.PermMembersRead):
		view.Open = action{Words: "Open members", Link: "/settings/members", Icon: "users"}
	case kind == "role" && c.known["GET /settings/roles"] && v.can(postern.PermMembersRead):
		view.Open = action{Words: "Open roles", Link: "/settings/roles", Icon: "users"}
	}
	return v.render("audit-entry", view)
}

// entrySeq is the entry that the address names.
func (v *visit) entrySeq() (int64, error) {
	seq, err := strconv.ParseInt(v.path("entry"), 10, 64)
	if err != nil || seq < 1 || strconv.FormatInt(seq, 10) != v.path("entry") {
		return 0, errNoPage
	}
	return seq, nil
}

// entryProof is the proof that the log holds an entry, as the API gives it, to be kept
// or checked elsewhere.
func (c *Console) entryProof(v *visit) error {
	seq, err := v.entrySeq()
	if err != nil {
		return err
	}
	if err := c.kr.MayReadAudit(v.r.Context(), v.by); err != nil {
		return err
	}
	p, err := c.cfg.Auditor.Prove(v.r.Context(), v.by.AccountID, seq, 0)
	if err != nil {
		return err
	}
	out := api.AuditProof{Seq: p.Seq, Size: p.Size, Text: p.Text, Leaf: p.Leaf.String(), Root: p.Root.String(), Proof: []string{}}
	for _, h := range p.Path {
		out.Proof = append(out.Proof, h.String())
	}
	if s := p.Checkpoint; s != nil {
		out.Checkpoint = &api.AuditCheckpoint{Number: s.Number, Size: s.Size, At: postern.Micros(s.At).Time(), Root: out.Root, Note: s.Note}
	}
	v.w.Header().Set("Content-Disposition", `attachment; filename="audit-entry-`+strconv.FormatInt(seq, 10)+`-proof.json"`)
	return v.sayJSON(http.StatusOK, out)
}

// diffOf lays what was before beside what is after.
func diffOf(before, after map[string]any, zone *time.Location) (out []diffRow) {
	before, after = flat("", before, nil), flat("", after, nil)
	names := make([]string, 0, len(before)+len(after))
	for name := range before {
		names = append(names, name)
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b, hadIt := before[name]
		a, hasIt := after[name]
		x, y := partsOf(b, hadIt, zone), partsOf(a, hasIt, zone)
		mark := func(of, other []diffPart) {
			for i := range of {
				of[i].Changed = !slices.ContainsFunc(other, func(p diffPart) bool { return p.Text == of[i].Text })
			}
		}
		mark(x, y)
		mark(y, x)
		out = append(out, diffRow{factWords(name), x, y})
	}
	return out
}

// flat gives the facts within facts a row of their own: "previous.endsAt".
func flat(prefix string, facts, into map[string]any) map[string]any {
	if into == nil {
		into = map[string]any{}
	}
	for name, value := range facts {
		if inner, ok := value.(map[string]any); ok && len(inner) > 0 {
			flat(prefix+name+".", inner, into)
		} else {
			into[prefix+name] = value
		}
	}
	return into
}

// factWords is the name of a fact as people write it: "expiresAt" as "Expires at".
func factWords(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return capital(strings.NewReplacer("_", " ", ".", ": ").Replace(strings.ToLower(b.String())))
}

func partsOf(value any, there bool, zone *time.Location) []diffPart {
	if !there {
		return nil
	}
	if list, ok := value.([]any); ok {
		var out []diffPart
		for _, x := range list {
			out = append(out, diffPart{Text: plainText(x, zone)})
		}
		if len(out) == 0 {
			out = []diffPart{{Text: "none"}}
		}
		return out
	}
	return []diffPart{{Text: plainText(value, zone)}}
}

func plainText(value any, zone *time.Location) string {
	switch x := value.(type) {
	case nil:
		return "none"
	case string:
		if x == "" {
			return "empty"
		}
		if t, err := time.Parse(time.RFC3339Nano, x); err == nil {
			return t.In(zone).Format("2 Jan 2006, 15:04:05 MST")
		}
		return x
	case bool:
		if x {
			return "yes"
		}
		return "no"
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}
