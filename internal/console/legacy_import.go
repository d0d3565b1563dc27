package console

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/workbench"
)

const (
	importMost  = 50 << 20
	importCarry = 128 << 10 // a file up to this size is carried, sealed, from the check to the import
	importKept  = 30 * time.Minute
	importSeal  = "console legacy import"
	importLines = 200 // of a report
)

// legacyImportRoutes bring old credentials in.
func (c *Console) legacyImportRoutes() []route {
	write := []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /legacy/import", Serve: c.askImport, Need: write, Fresh: true},
		{Pattern: "POST /legacy/import", Serve: c.importFile, Need: write, Fresh: true, Streams: true, MaxBody: importMost + uploadFields},
		{Pattern: "POST /legacy/import/checked", Serve: c.importChecked, Need: write, Fresh: true},
	}
}

// importView is the form of an import, or its report.
type importView struct {
	Common
	F       *form
	Job     string
	Most    int64
	Name    string // of the file
	Report  *workbench.ImportReport
	Refused []keyring.LegacyResult // lines that are shown
	Others  int                    // refused lines that are not
	Checked string                 // the file, sealed, where it is small
	Stopped string                 // why it broke off
}

// Do says in what tense the report speaks.
func (p *importView) Do() string {
	if p.Report != nil && p.Report.DryRun {
		return "would be "
	}
	return ""
}

func (c *Console) importPage(v *visit, f *form) *importView {
	page := &importView{Common: v.common("Import old credentials", "/legacy", crumb{Name: "Development"}, crumb{Name: "Legacy credentials", Link: "/legacy"}), F: f, Job: newOnce(), Most: importMost}
	page.Styles, page.Scripts = []string{"migration.css"}, []string{"upload.js"}
	return page
}

func (c *Console) askImport(v *visit) error {
	return v.render("legacy-import", c.importPage(v, newForm()))
}

// importFile checks a file, or imports it, as it comes.
func (c *Console) importFile(v *visit) error {
	f := v.sent()
	check := f.Get("do") != "import"
	if v.file == nil {
		f.Wrong("file", "Choose a file.")
		return c.importAgain(v, f)
	}
	defer c.uploads.begin(v.job(f.Get("job")), v.file)()
	carry := &carried{most: importCarry}
	report, err := c.runImport(v.r.Context(), v, io.TeeReader(v.file, carry), check, func(r *workbench.ImportReport) { v.file.done.Store(int64(r.Records)) })
	if err != nil {
		return c.importTold(v, f, report, uploadFailed(err))
	}
	page := c.importPage(v, f)
	page.Name = v.file.Name
	if page.tell(report); check && !carry.over && report.Imported > 0 {
		if page.Checked, err = v.c.cfg.Signin.Seal(importSeal, carriedFile{v.by.MemberID, v.file.Name, carry.Bytes()}, importKept); err != nil {
			return err
		}
	}
	v.drain()
	v.w.Header().Set("Cache-Control", "no-store")
	return v.render("legacy-import", page)
}

// importChecked imports a file that was checked, and came along sealed.
func (c *Console) importChecked(v *visit) error {
	f := v.sent()
	var in carriedFile
	if v.c.cfg.Signin.Open(importSeal, f.Get("checked"), &in) != nil || in.Member != v.by.MemberID {
		f = newForm()
		f.Wrong("file", "What you checked was kept for 30 minutes and is gone. Choose the file again.")
		return c.importAgain(v, f)
	}
	f.Values.Del("checked")
	report, err := c.runImport(v.r.Context(), v, bytes.NewReader(in.Body), false, nil)
	if err != nil {
		return c.importTold(v, f, report, err)
	}
	page := c.importPage(v, f)
	page.Name = in.Name
	page.tell(report)
	return v.render("legacy-import", page)
}

// carriedFile is a small file on its way from the check to the import. Only this
// server can read it, and only for whoever checked it.
type carriedFile struct {
	Member postern.MemberID
	Name   string
	Body   []byte
}

// carried keeps what is read, up to a bound.
type carried struct {
	bytes.Buffer
	most int
	over bool
}

// Write keeps what fits.
func (c *carried) Write(b []byte) (int, error) {
	if c.over = c.over || c.Len()+len(b) > c.most; c.over {
		c.Buffer = bytes.Buffer{}
		return len(b), nil
	}
	return c.Buffer.Write(b)
}

func (c *Console) runImport(ctx context.Context, v *visit, in io.Reader, check bool, tell func(*workbench.ImportReport)) (*workbench.ImportReport, error) {
	format, in, err := fileFormat(in)
	if err != nil {
		return nil, err
	}
	return workbench.Import(ctx, c.kr, v.by, in, workbench.ImportOptions{Format: format, DryRun: check, Brand: c.kr.Brand(), Progress: func(r *workbench.ImportReport) error {
		if tell != nil {
			tell(r)
		}
		return ctx.Err()
	}})
}

// fileFormat finds out what a file of old credentials is: JSON lines begin with a brace.
func fileFormat(in io.Reader) (string, io.Reader, error) {
	var head []byte
	b := make([]byte, 1)
	for len(head) < 64 {
		n, err := in.Read(b)
		if n > 0 {
			head = append(head, b[0])
			if !strings.ContainsRune(" \t\r\n\ufeff", rune(b[0])) && b[0] < 0x80 {
				break
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", nil, err
		}
	}
	format := "csv"
	if bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff \t\r\n"), []byte("{")) {
		format = "jsonl"
	}
	return format, io.MultiReader(bytes.NewReader(head), in), nil
}

// tell puts a report on the page.
func (p *importView) tell(r *workbench.ImportReport) {
	p.Report = r
	for i := range r.Lines {
		if r.Lines[i].Outcome != keyring.LegacyRefused {
			continue
		}
		if len(p.Refused) == importLines {
			break
		}
		p.Refused = append(p.Refused, r.Lines[i])
	}
	p.Others = r.Refused - len(p.Refused)
	slices.SortStableFunc(p.Refused, func(a, b keyring.LegacyResult) int { return cmp.Compare(a.Line, b.Line) })
}

// importTold shows why an import broke off, and what stays of it.
func (c *Console) importTold(v *visit, f *form, r *workbench.ImportReport, err error) error {
	if err := f.take(err); err != nil {
		return err
	}
	for i := range f.Errors {
		f.Errors[i].Field = "file"
	}
	page := c.importPage(v, f)
	if r != nil && r.Records > 0 {
		page.tell(r)
		page.Stopped = f.Errors[0].Text
	}
	page.Error = true
	v.drain()
	return v.show(http.StatusUnprocessableEntity, "legacy-import", page)
}

func (c *Console) importAgain(v *visit, f *form) error {
	page := c.importPage(v, f)
	page.Error = true
	v.drain()
	return v.show(http.StatusUnprocessableEntity, "legacy-import", page)
}
