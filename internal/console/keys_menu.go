package console

import "postern.dev/postern"

// Decide is the address of all keys that need a decision.
func (f keysFilter) Decide() string { return keysFilter{}.with("tab", "decision") }

// By is the address of the list in another order.
func (f keysFilter) By(sort string) string { return f.with("sort", sort) }

// Clear is the address of the list without what is searched for.
func (f keysFilter) Clear() string { return f.with("q", "", "scope", "") }

// KeyLink is the page of a key.
func (c *Common) KeyLink(id postern.KeyID) string {
	if c.v == nil {
		return "/keys"
	}
	return c.v.keyLink(id)
}

// keyMenu is what can be done with a key.
type keyMenu struct {
	Name  string
	Items []keyMenuItem
}

type keyMenuItem struct {
	Words, Link, Icon string
	Bad               bool
}

// MenuOf is what the reader may do with a key, of what has a page.
func (c *Common) MenuOf(r *keyRow) keyMenu {
	m := keyMenu{Name: r.Key.Name}
	if c.v == nil {
		return m
	}
	id := string(r.Key.ID)
	add := func(ok bool, words, to, icon string, bad bool) {
		if ok {
			m.Items = append(m.Items, keyMenuItem{words, to, icon, bad})
		}
	}
	live, write, stop := r.State.Rank != rankEnded, c.v.can(postern.PermKeysWrite), c.v.can(postern.PermKeysRevoke)
	has := func(pattern string) bool { return c.v.c.known[pattern] }
	bulk := func(a bulkAct) string { return link("/keys/bulk", "action", string(a), "id", id) }
	add(has("GET /activity") && c.v.can(postern.PermActivityRead), "See activity", link("/activity", "key", id), "pulse", false)
	add(live && write && has("GET /keys/{id}/rotate"), "Rotate secret…", "/keys/"+id+"/rotate", "rotate", false)
	add(live && write && has("GET /keys/{id}/rename"), "Rename…", "/keys/"+id+"/rename", "pencil", false)
	add(live && write && has("GET /keys/{id}/scopes"), "Edit scopes…", "/keys/"+id+"/scopes", "shield", false)
	add(live && stop && r.Key.PausedAt.IsZero(), "Pause…", bulk(actPause), "pause", false)
	add(live && write && !r.Key.PausedAt.IsZero(), "Resume…", bulk(actResume), "bolt", false)
	add(stop && has("GET /keys/{id}/delete"), "Delete…", "/keys/"+id+"/delete", "trash", true)
	add(stop && !has("GET /keys/{id}/delete"), "Delete…", bulk(actDelete), "trash", true)
	return m
}
