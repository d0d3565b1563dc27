package console

import (
	"net/http"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/workbench"
)

// legacyNameRoutes are the table of what old names of scopes stand for.
func (c *Console) legacyNameRoutes() []route {
	read, write := []postern.Permission{postern.PermCatalogRead}, []postern.Permission{postern.PermCatalogWrite}
	return []route{
		{Pattern: "GET /legacy/names", Serve: c.listNames, Need: read},
		{Pattern: "POST /legacy/names", Serve: c.saveName, Need: write},
		{Pattern: "POST /legacy/names/reset", Serve: c.resetName, Need: write},
	}
}

// namesView is the table of old names of scopes.
type namesView struct {
	Common
	F    *form
	Rows []workbench.Standing
	May  bool // the reader may change it
}

func (c *Console) namesPage(v *visit, f *form) (*namesView, error) {
	rows, err := c.migration.Names(v.r.Context(), v.by)
	if err != nil {
		return nil, err
	}
	page := &namesView{Common: v.common("Old names of scopes", "/legacy", crumb{Name: "Development"}, crumb{Name: "Legacy credentials", Link: "/legacy"}), F: f, Rows: rows,
		May: v.can(postern.PermCatalogWrite) && v.account().Operator}
	page.Styles = []string{"migration.css"}
	if f == nil {
		page.F = newForm()
		if name := v.query("name"); name != "" && !hasSecret(name) {
			page.F.Values.Set("name", name)
			for _, r := range rows {
				if r.Name == name {
					page.F.Values.Set("scopes", strings.Join(r.Scopes, "\n"))
				}
			}
		}
	}
	return page, nil
}

func (c *Console) listNames(v *visit) error {
	page, err := c.namesPage(v, nil)
	if err != nil {
		return err
	}
	return v.render("legacy-names", page)
}

func (c *Console) saveName(v *visit) error {
	f := v.sent()
	name, scopes := f.Get("name"), strings.FieldsFunc(f.Values.Get("scopes"), func(r rune) bool { return r == '\n' || r == '\r' || r == ' ' || r == ',' || r == '\t' })
	if name == "" {
		f.Wrong("name", "Say the old name.")
	}
	if len(scopes) == 0 {
		f.Wrong("scopes", "Say what it stands for: a scope or a pattern on each line.")
	}
	if f.OK() {
		err := c.kr.PutLegacyScope(v.r.Context(), v.by, name, scopes)
		if err == nil {
			return v.done("/legacy/names", "Saved. The next import translates "+name+" by it.")
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	page, err := c.namesPage(v, f)
	if err != nil {
		return err
	}
	page.Error = true
	return v.show(http.StatusUnprocessableEntity, "legacy-names", page)
}

// resetName takes back what the operator said of a name.
func (c *Console) resetName(v *visit) error {
	name := v.sent().Get("name")
	if err := c.kr.PutLegacyScope(v.r.Context(), v.by, name, nil); err != nil {
		return err
	}
	return v.done("/legacy/names", name+" is as it was before.")
}
