package console

import (
	"regexp"
	"testing"

	"postern.dev/postern"
)

var roleIDIn = regexp.MustCompile(`/settings/roles/(rol_[0-9A-Za-z]+)"`)

// A role of one's own: made, changed, given, and deleted once nobody has it.
func TestRoles(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/settings/roles").want(200, "What each role may do", "Built in", "Manage keys", "Create, change, rotate and resume service keys", "1 member has it.").not("Delete…")
		b.get("/settings/roles/new").want(200, "Look at who changed what.", "Read deals")
		b.post("/settings/roles", "name", "", "permission", "postern.keys.read").want(422, "Give the role a name.", `value="postern.keys.read" checked`)
		b.post("/settings/roles", "name", "Sales", "permission", "postern.nothing").want(422, "There is no permission")
		b.post("/settings/roles", "name", "Sales", "patterns", "a*b").want(422, "is no scope")
		b.post("/settings/roles", "name", "Sales", "words", "For <sales>", "permission", "postern.keys.read", "permission", "postern.keys.write", "scope", "deals.read", "patterns", "contacts.*").to("/settings/roles")
		page := b.get("/settings/roles").want(200, "The role Sales is there.", "For <sales>", "Everything under contacts and Read deals", "0 members have it.").never("<sales>")
		id := roleIDIn.FindStringSubmatch(page.body)[1]
		path := "/settings/roles/" + id
		edit := b.get(path).want(200, `value="deals.read" checked`, "contacts.*", "0 members have this role")
		rev := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(edit.body)[1]
		b.post(path, "revision", rev, "name", "Sales two", "permission", "postern.keys.read").to("/settings/roles")
		b.post(path, "revision", rev, "name", "Sales three", "permission", "postern.keys.read").want(422, "Someone changed this meanwhile.", "Sales three")

		kim := w.member("kim@example.com", "Kim", postern.RoleID(id))
		b.get(path+"/delete").want(200, "1 member has this role.").not("Delete the role</button>")
		b.post(path+"/delete").want(409, "have the role")
		b.post("/settings/members/"+string(kim.MemberID), "name", "Kim", "role", "viewer", "holds", "role").to("/settings/members/" + string(kim.MemberID))
		b.get(path+"/delete").want(200, "Nobody has it.")
		b.post(path + "/delete").to("/settings/roles")
		b.get(path).want(404)
		b.get("/settings/roles/viewer").want(409, "Built-in roles")
		b.post("/settings/roles/viewer", "name", "x").want(409)

		// Containment: who lacks a permission can't put it into a role.
		s := w.login(w.member("sec@example.com", "Sec", postern.RoleSecurityAdmin))
		s.get("/settings/roles/new").want(200, "You may not do this, so you can’t pass it on.")
		s.post("/settings/roles", "name", "Mine", "permission", "postern.keys.write").want(422, "holds more than you do", "Mine")
		s.post("/settings/roles", "name", "Mine", "patterns", "**").want(422, "holds more than you do")
		k := w.login(w.member("km@example.com", "Km", postern.RoleKeyManager))
		k.get("/settings/roles").want(200, "Key manager").not("Add a role")
		k.get("/settings/roles/new").want(403, "Manage members")
		k.post("/settings/roles", "name", "Mine").want(403)
	})
}
