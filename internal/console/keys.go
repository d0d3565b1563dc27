package console

import "postern.dev/postern"

// keysRoutes are the list of service keys.
func (c *Console) keysRoutes() []route {
	return []route{{Pattern: "GET /keys", Serve: c.listKeys, Need: []postern.Permission{postern.PermKeysRead}}}
}

type keysView struct{ Common }

type keyLists struct{}

func (c *Console) listKeys(v *visit) error {
	return v.render("keys", &keysView{Common: v.common("Service keys", "/keys", crumb{Name: "Development"})})
}
