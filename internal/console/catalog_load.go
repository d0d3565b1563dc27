package console

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
)

// loadView asks for the documents.
type loadView struct {
	Common
	F        *form
	ID, Name string
	Rules    []option
}

func (c *Console) loadPage(v *visit, f *form, u *postern.Upstream) *loadView {
	p := &loadView{Common: v.common("Load a document", "/settings/integrations", append(catalogsTrail[:3:3], crumb{upstreamName(u), "/settings/catalog/" + string(u.ID)})...), F: f, ID: string(u.ID), Name: upstreamName(u),
		Rules: []option{{Value: "", Label: "All of them are needed (OpenAPI’s rule)"}, {Value: "any", Label: "Any one of them is enough"}}}
	p.Error = !f.OK()
	return p
}

func (c *Console) showLoad(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	return v.render("catalog-load", c.loadPage(v, newForm(), &u))
}

// checked is a catalog that was checked and can be loaded as it is.
type checked struct {
	Upstream postern.UpstreamID
	Force    int64  // the version that was in force
	Body     []byte // in its own encoding, compressed
}

// loadCheckView says what loading would do.
type loadCheckView struct {
	Common
	ID, Name string
	Report   *catalog.Report
	Cover    *coverage
	Findings []findingsPart
	Diff     *catalogDiff
	Keys     []touchedRow
	KeysMore int
	Sealed   string // to load it; empty where it can't be
	Next     int64
	Conflict *savedElsewhere // another version was loaded since it was checked
}

type findingsPart struct {
	Kind, Title string
	Lines       []string
	More        int
}

type touchedRow struct {
	ID           postern.KeyID
	Name         string
	Account      string // another one; empty for the reader's own
	Gains, Loses int
}

// checkCatalog reads the documents and says what loading them would do. It changes nothing.
func (c *Console) checkCatalog(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	f := v.sent()
	opts := catalog.Options{Upstream: u.ID, ScopesAny: f.Get("rule") == "any", BasePath: f.Get("basePath")}
	sources, err := sentFiles(v.r.MultipartForm, "documents")
	if err != nil {
		return err
	}
	overlays, err := sentFiles(v.r.MultipartForm, "overlay")
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		f.Wrong("documents", "Choose the OpenAPI document, a JSON or YAML file.")
	}
	if f.OK() && len(overlays) > 0 {
		opts.Overlay, err = catalog.ParseOverlay(v.r.Context(), overlays[0])
		if err := taken(f, "overlay", err); err != nil {
			return err
		}
	}
	var cat *catalog.Catalog
	var report *catalog.Report
	if f.OK() {
		cat, report, err = catalog.Parse(v.r.Context(), sources, opts)
		if err := taken(f, "documents", err); err != nil {
			return err
		}
	}
	if !f.OK() {
		return v.show(http.StatusUnprocessableEntity, "catalog-load", c.loadPage(v, f, &u))
	}
	view := c.checkPage(v, &u, cat)
	view.Report, view.Findings = report, findingsOf(report)
	if len(report.Conflicts) == 0 {
		if err := c.fillCheck(v, view, &u, cat); err != nil {
			return err
		}
	}
	return v.render("catalog-check", view)
}

func (c *Console) checkPage(v *visit, u *postern.Upstream, cat *catalog.Catalog) *loadCheckView {
	return &loadCheckView{Common: v.common("What loading would do", "/settings/integrations", append(catalogsTrail[:3:3], crumb{upstreamName(u), "/settings/catalog/" + string(u.ID)})...),
		ID: string(u.ID), Name: upstreamName(u), Cover: coverageIn(cat), Next: u.CatalogVersion + 1}
}

// fillCheck says what loading would do, and packs what it takes to load it.
func (c *Console) fillCheck(v *visit, view *loadCheckView, u *postern.Upstream, cat *catalog.Catalog) error {
	would, err := c.kr.LoadCatalog(v.r.Context(), v.by, u.ID, cat, true)
	if err != nil {
		return err
	}
	if err := c.wouldDo(v, view, &would); err != nil {
		return err
	}
	view.Sealed, err = v.sealCatalog(u, cat)
	return err
}

// checkAgain says what loading would do now, after someone else loaded another version.
func (c *Console) checkAgain(v *visit, cat *catalog.Catalog) error {
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	view := c.checkPage(v, &u, cat)
	if err := c.fillCheck(v, view, &u, cat); err != nil {
		return err
	}
	if view.Conflict, err = c.savedElsewhere(v, u.ID, "/settings/catalog/"+view.ID); err != nil {
		return err
	}
	return v.show(http.StatusConflict, "catalog-check", view)
}

// taken puts an error of reading documents beside its field.
func taken(f *form, field string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*postern.Error](err); ok && e.Code != postern.CodeInternal {
		f.Wrong(field, "%s", e.Message)
		return nil
	}
	return err
}

// sentFiles are the files of a field.
func sentFiles(m *multipart.Form, field string) (out []catalog.Source, err error) {
	if m == nil {
		return nil, nil
	}
	for _, h := range m.File[field] {
		if h.Size == 0 {
			continue // no file was chosen
		}
		file, err := h.Open()
		if err != nil {
			return nil, fmt.Errorf("console: open an uploaded file: %w", err)
		}
		data, err := io.ReadAll(file)
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("console: read an uploaded file: %w", err)
		}
		name := h.Filename
		if len(name) > 200 {
			name = strings.ToValidUTF8(name[:200], "")
		}
		out = append(out, catalog.Source{Name: cmp.Or(name, "document"), Data: data})
	}
	return out, nil
}

// wouldDo fills in what loading does to endpoints and keys.
func (c *Console) wouldDo(v *visit, view *loadCheckView, would *keyring.Loaded) error {
	view.Diff = catalogDiffOf(would.Diff)
	accounts, err := c.cfg.DB.Accounts(v.r.Context())
	if err != nil {
		return err
	}
	names := map[postern.AccountID]string{}
	for _, a := range accounts {
		names[a.ID] = a.Name
	}
	for i := range would.Keys {
		k := &would.Keys[i]
		if len(view.Keys) == catalogShown {
			view.KeysMore = len(would.Keys) - i
			break
		}
		row := touchedRow{ID: k.ID, Name: k.Name, Gains: len(k.Effect.Gains), Loses: len(k.Effect.Loses)}
		if k.AccountID != v.by.AccountID {
			row.Account = cmp.Or(names[k.AccountID], string(k.AccountID))
		}
		view.Keys = append(view.Keys, row)
	}
	slices.SortStableFunc(view.Keys, func(a, b touchedRow) int { return cmp.Compare(b.Loses, a.Loses) })
	return nil
}

func findingsOf(r *catalog.Report) (out []findingsPart) {
	for _, one := range []struct {
		kind, title string
		list        []catalog.Finding
	}{
		{"bad", "Paths that can’t be told apart, so it can’t be loaded", r.Conflicts},
		{"bad", "Not understood, and so closed", r.Problems},
		{"warn", "Endpoints that name no scope, and so are refused", r.Uncovered},
		{"warn", "Endpoints that no credential can use", r.Unsatisfiable},
		{"warn", "Scopes that are used and described nowhere", r.Undeclared},
		{"", "Scopes that open nothing", r.Unused},
		{"", "Worth a look", r.Warnings},
	} {
		if len(one.list) == 0 {
			continue
		}
		p := findingsPart{Kind: one.kind, Title: one.title + " (" + num(len(one.list)) + ")"}
		for i, f := range one.list {
			if i == findingsEach {
				p.More = len(one.list) - i
				break
			}
			p.Lines = append(p.Lines, f.String())
		}
		out = append(out, p)
	}
	return out
}

// sealCatalog packs a catalog into a form field, so that what is loaded is what was checked.
func (v *visit) sealCatalog(u *postern.Upstream, cat *catalog.Catalog) (string, error) {
	body, err := cat.Marshal()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return v.c.cfg.Signin.Seal(checkedSeal, checked{u.ID, u.CatalogVersion, b.Bytes()}, checkedKept)
}

// openCatalog gives back what was checked, and over which version.
func (v *visit) openCatalog(u *postern.Upstream, sealed string) (*catalog.Catalog, int64, error) {
	var in checked
	again := postern.Errorf(postern.CodeConflict, "What you checked was kept for 2 hours and is gone. Choose the document again.")
	if v.c.cfg.Signin.Open(checkedSeal, sealed, &in) != nil || in.Upstream != u.ID {
		return nil, 0, again
	}
	z, err := gzip.NewReader(bytes.NewReader(in.Body))
	if err != nil {
		return nil, 0, again
	}
	body, err := io.ReadAll(io.LimitReader(z, unpackedMax))
	if err != nil {
		return nil, 0, again
	}
	cat, err := catalog.Unmarshal(body)
	return cat, in.Force, err
}

// loadCatalog puts in force what was checked.
func (c *Console) loadCatalog(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	u, err := c.upstream(v)
	if err != nil {
		return err
	}
	cat, over, err := v.openCatalog(&u, v.r.PostForm.Get("checked"))
	if err != nil {
		return err
	}
	done, err := c.kr.LoadCatalogOver(v.r.Context(), v.by, u.ID, cat, over)
	if errors.Is(err, postern.CodePrecondition) {
		return c.checkAgain(v, cat)
	}
	if err != nil {
		return err
	}
	to := "/settings/catalog/" + string(u.ID)
	if done.Version == 0 {
		return v.done(to, "This document is in force already, so nothing was changed.")
	}
	return v.done(to, fmt.Sprintf("Version %d of %s is in force. Scopes that are new are on no key until someone puts them there.", done.Version, upstreamName(&u)))
}
