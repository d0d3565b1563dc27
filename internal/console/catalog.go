package console

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// catalogRoutes are the catalogs of the connected APIs: what each version opened
// and closed, what no scope opens, and how a new document is loaded.
func (c *Console) catalogRoutes() []route {
	read, write := []postern.Permission{postern.PermCatalogRead}, []postern.Permission{postern.PermCatalogWrite}
	return []route{
		{Pattern: "GET /settings/catalog", Serve: c.listCatalogs, Need: read},
		{Pattern: "GET /settings/catalog/{id}", Serve: c.showCatalog, Need: read},
		{Pattern: "GET /settings/catalog/{id}/load", Serve: c.showLoad, Need: write, Fresh: true},
		{Pattern: "POST /settings/catalog/{id}/check", Serve: c.checkCatalog, Need: write, MaxBody: documentsMax + 1<<20},
		{Pattern: "POST /settings/catalog/{id}/load", Serve: c.loadCatalog, Need: write, Fresh: true, MaxBody: documentsMax},
	}
}

const (
	documentsMax = 40 << 20
	catalogShown = 200           // changes and findings on a page
	checkedKept  = 2 * time.Hour // how long a document that was checked can be loaded
	unpackedMax  = 256 << 20     // of a catalog in its own encoding
	coversKept   = 64            // versions whose coverage is kept in memory
	findingsEach = 50            // of one sort
	checkedSeal  = "console catalog that was checked"
)

// coverage counts what a version of a catalog says of its endpoints.
type coverage struct {
	Title, Version                              string
	Operations, Open, Public, Uncovered, Denied int
	Scopes, Sensitive                           int
	Missing                                     []opLine // endpoints that no scope opens
	Documents                                   []string
}

// opLine is an endpoint in a list.
type opLine struct{ Method, Path, Words string }

// Percent is how many of 100 endpoints can be called.
func (c *coverage) Percent() int {
	if c.Operations == 0 {
		return 100
	}
	return 100 * (c.Open + c.Public) / c.Operations
}

// coverCache keeps the coverage of versions, which never change.
type coverCache struct {
	mu sync.Mutex
	by map[string]*coverage
}

// coverageOf tells of a version of an API's catalog.
func (c *Console) coverageOf(v *visit, id postern.UpstreamID, version int64) (*coverage, error) {
	name := fmt.Sprint(id, " ", version)
	c.covers.mu.Lock()
	have := c.covers.by[name]
	c.covers.mu.Unlock()
	if have != nil {
		return have, nil
	}
	cat, _, err := c.kr.Catalog(v.r.Context(), v.by, id, version)
	if err != nil {
		return nil, err
	}
	have = coverageIn(cat)
	c.covers.mu.Lock()
	defer c.covers.mu.Unlock()
	if c.covers.by == nil || len(c.covers.by) >= coversKept {
		c.covers.by = map[string]*coverage{}
	}
	c.covers.by[name] = have
	return have, nil
}

func coverageIn(cat *catalog.Catalog) *coverage {
	out := &coverage{Title: cat.Title, Version: cat.Version, Operations: len(cat.Operations)}
	for i := range cat.Operations {
		op := &cat.Operations[i]
		switch {
		case op.Public:
			out.Public++
		case op.Denied:
			out.Denied++
		case op.Uncovered || !op.Satisfiable():
			out.Uncovered++
			out.Missing = append(out.Missing, opLine{op.Method, op.Path, op.Summary})
		default:
			out.Open++
		}
	}
	for _, s := range cat.Scopes {
		if s.Implicit {
			continue
		}
		out.Scopes++
		if s.Sensitive {
			out.Sensitive++
		}
	}
	for _, d := range cat.Documents {
		out.Documents = append(out.Documents, d.Name)
	}
	return out
}

type catalogsView struct {
	Common
	Rows     []catalogRow
	Operator bool
}

type catalogRow struct {
	ID, Name string
	Version  int64
	Cover    *coverage
}

var catalogsTrail = []crumb{{Name: "Settings"}, {"Integrations", "/settings/integrations"}, {"Catalogs", "/settings/catalog"}}

// loads reports whether the reader may load documents.
func (v *visit) loads() bool { return v.account().Operator && v.can(postern.PermCatalogWrite) }

func (c *Console) listCatalogs(v *visit) error {
	ups, err := c.kr.Upstreams(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	view := &catalogsView{Common: v.common("Catalogs", "/settings/integrations", catalogsTrail[:2:2]...), Operator: v.loads()}
	for i := range ups {
		row := catalogRow{ID: string(ups[i].ID), Name: upstreamName(&ups[i]), Version: ups[i].CatalogVersion}
		if row.Version != 0 {
			if row.Cover, err = c.coverageOf(v, ups[i].ID, row.Version); err != nil {
				return err
			}
		}
		view.Rows = append(view.Rows, row)
	}
	return v.render("catalog", view)
}

// catalogView is one API's catalog: a version of it.
type catalogView struct {
	Common
	ID, Name string
	Force    int64 // the version in force, 0 where there is none
	Version  int64 // the one that is shown
	Cover    *coverage
	Missing  []opLine
	More     int // beyond those that are shown
	Versions []versionRow
	Diff     *catalogDiff
	Before   int64 // the version that the difference is to, 0 for the first
	Operator bool
}

type versionRow struct {
	Version int64
	Title   string
	At      time.Time
	By      string
	Force   bool
	Current bool
	Link    string
}

// catalogDiff is what changes from one catalog to the next.
type catalogDiff struct {
	New, Gone, Changed, Opened, Closed int
	Lines                              []diffLine
	More                               int
	NewScopes, GoneScopes              []string
	MoreScopes                         int
	Same                               bool
}

type diffLine struct {
	Kind, Words, Method, Path string
	Opens, Closes             string
	Public                    bool
}

func catalogDiffOf(d *catalog.Diff) *catalogDiff {
	p := &catalogDiff{Same: len(d.Operations)+len(d.Scopes) == 0}
	for i := range d.Operations {
		o := &d.Operations[i]
		line := diffLine{Kind: "info", Words: "Changed", Method: o.Op().Method, Path: o.Op().Path, Opens: scopeList(o.Opens), Closes: scopeList(o.Closes), Public: o.BecomesPublic}
		switch {
		case o.Before == nil:
			line.Kind, line.Words = "ok", "New"
			p.New++
		case o.After == nil:
			line.Kind, line.Words = "bad", "Gone"
			p.Gone++
		default:
			p.Changed++
		}
		if len(o.Opens) > 0 || o.BecomesPublic {
			p.Opened++
		}
		if len(o.Closes) > 0 {
			p.Closed++
		}
		if len(p.Lines) < catalogShown {
			p.Lines = append(p.Lines, line)
		} else {
			p.More++
		}
	}
	for _, s := range d.Scopes {
		switch {
		case len(p.NewScopes)+len(p.GoneScopes) >= catalogShown:
			p.MoreScopes++
		case s.Before == nil:
			p.NewScopes = append(p.NewScopes, string(s.After.Name))
		case s.After == nil:
			p.GoneScopes = append(p.GoneScopes, string(s.Before.Name))
		}
	}
	return p
}

func scopeList(s []postern.Scope) string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = string(s[i])
	}
	return few(names, 4)
}

func (c *Console) showCatalog(v *visit) error {
	ctx := v.r.Context()
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	view := &catalogView{Common: v.common(upstreamName(&u), "/settings/integrations", catalogsTrail...), ID: string(u.ID), Name: upstreamName(&u), Force: u.CatalogVersion, Version: u.CatalogVersion, Operator: v.loads()}
	rows, err := c.kr.CatalogVersions(ctx, v.by, u.ID)
	if err != nil {
		return err
	}
	if want := v.query("version"); want != "" {
		if view.Version, err = strconv.ParseInt(want, 10, 64); err != nil {
			return errNoPage
		}
	}
	at := -1
	for i, r := range rows {
		if r.Version == view.Version {
			at = i
		}
		row := versionRow{Version: r.Version, Title: r.Title, At: r.LoadedAt, By: "Whoever runs this server", Force: r.Version == u.CatalogVersion, Current: r.Version == view.Version,
			Link: link("/settings/catalog/"+view.ID, "version", strconv.FormatInt(r.Version, 10))}
		if m, err := c.cfg.DB.MemberOf(ctx, v.by.AccountID, r.LoadedBy); err == nil {
			row.By = nameOf(&m)
		} else if ours(err) {
			return err
		}
		view.Versions = append(view.Versions, row)
	}
	if view.Version == 0 {
		return v.render("catalog-one", view)
	}
	if at < 0 {
		return errNoPage
	}
	is, _, err := c.kr.Catalog(ctx, v.by, u.ID, view.Version)
	if err != nil {
		return err
	}
	view.Cover = coverageIn(is)
	if view.Missing = view.Cover.Missing; len(view.Missing) > catalogShown {
		view.Missing, view.More = view.Missing[:catalogShown], len(view.Missing)-catalogShown
	}
	if at+1 < len(rows) {
		view.Before = rows[at+1].Version
		was, _, err := c.kr.Catalog(ctx, v.by, u.ID, view.Before)
		if err != nil {
			return err
		}
		view.Diff = catalogDiffOf(catalog.Compare(was, is))
	}
	return v.render("catalog-one", view)
}
