package console

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/workbench"
	"postern.dev/postern/internal/workbench/accesslog"
	"postern.dev/postern/internal/workbench/wire"
)

const (
	inventoryMost  = 512 << 20 // bytes of a log, packed or not
	inventoryTime  = 15 * time.Minute
	inventoryItems = 20_000
	inventoryRows  = 200 // groups that are shown one by one
	inventoryCarry = 6 << 20
	inventoryKept  = 2 * time.Hour
	inventorySeal  = "console inventory"
	inventoryTold  = 5 // callers and operations of a group
)

// inventoryRoutes find out from access logs which old credentials there are.
func (c *Console) inventoryRoutes() []route {
	write := []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /migration/inventory", Serve: c.askInventory, Need: write},
		{Pattern: "POST /migration/inventory", Serve: c.readInventory, Need: write, Streams: true, MaxBody: inventoryMost + uploadFields},
		{Pattern: "POST /migration/inventory/take", Serve: c.takeInventory, Need: write, MaxBody: inventoryCarry + 2<<20},
	}
}

// inventoryView is the form for a log, or what was found in one.
type inventoryView struct {
	Common
	F       *form
	Job     string
	Most    int64
	Room    string // how much it may have, unpacked
	APIs    []option
	Name    string // of the file
	Shown   bool
	Groups  []groupRow
	More    int // groups beyond those that are shown
	Named   int // groups that the log only names, so that they can't be found again
	Items   int
	Stats   *accesslog.Stats
	Faults  []string
	Nobody  int64 // calls without a credential
	Beyond  int64
	From    time.Time
	To      time.Time
	Checked string
	TooMuch bool // it can't be carried to the plan
}

// groupRow is a credential of an inventory.
type groupRow struct {
	*workbench.Item
	Title    string
	Becomes  string
	Kind     string // of the pill
	Imported string // the name of the imported credential
	Link     string
	Who      []string
	Others   int
	Did      []workbench.OperationUse
	DidMore  int
}

func (c *Console) inventoryPage(v *visit, f *form) (*inventoryView, error) {
	page := &inventoryView{Common: v.common("Inventory of access logs", "/migration", crumb{Name: "Monitoring"}, crumb{Name: "Migration", Link: "/migration"}), F: f, Job: newOnce(), Most: inventoryMost, Room: roomWords(c.cfg.InventoryUnpacked)}
	page.Styles, page.Scripts = []string{"migration.css"}, []string{"upload.js"}
	ups, err := c.cfg.DB.Upstreams(v.r.Context())
	if err != nil {
		return nil, err
	}
	page.APIs = []option{{Value: "", Label: "All APIs, at gateway paths"}}
	for i := range ups {
		if u := &ups[i]; u.CatalogVersion > 0 {
			page.APIs = append(page.APIs, option{Value: string(u.ID), Label: upstreamName(u) + " alone, at its own paths"})
		}
	}
	return page, nil
}

func (c *Console) askInventory(v *visit) error {
	page, err := c.inventoryPage(v, newForm())
	if err != nil {
		return err
	}
	return v.render("inventory", page)
}

// readInventory reads a log, or an inventory that the command line made, as it comes.
func (c *Console) readInventory(v *visit) error {
	f := v.sent()
	if v.file == nil {
		f.Wrong("file", "Choose a file.")
		return c.inventoryAgain(v, f)
	}
	defer c.uploads.begin(v.job(f.Get("job")), v.file)()
	page, err := c.inventoryPage(v, f)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(v.r.Context(), inventoryTime)
	defer stop()
	var items []workbench.Item
	if startsList(v.file.Reader) {
		items, err = inventoryList(v.file)
	} else {
		items, err = c.readLog(ctx, v, f, page)
	}
	if err != nil {
		if ctx.Err() != nil && v.r.Context().Err() == nil {
			err = postern.Invalidf("file", "The log takes more than %d minutes. Use the command line: postern migrate inventory", int(inventoryTime.Minutes()))
		}
		return c.inventoryTold(v, f, uploadFailed(err))
	}
	page.Name = v.file.Name
	if err := c.inventoryFound(v, page, items); err != nil {
		return err
	}
	v.drain()
	return v.render("inventory", page)
}

// roomWords is a bound of bytes in words.
func roomWords(n int64) string {
	if n%(1<<30) == 0 {
		return num(n>>30) + " GiB"
	}
	return num(n>>20) + " MiB"
}

// startsList reports whether a file is a JSON array: what postern migrate inventory --json writes.
func startsList(r *bufio.Reader) bool {
	head, _ := r.Peek(512)
	return bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff \t\r\n"), []byte("["))
}

// inventoryList reads an inventory that was made elsewhere, one credential at a time.
func inventoryList(in io.Reader) (out []workbench.Item, err error) {
	err = wire.Each(in, func(it *api.InventoryItem) error {
		if len(out) == inventoryItems {
			return postern.Invalidf("file", "The inventory has more than %s credentials.", num(inventoryItems))
		}
		i := wire.Item(it)
		i.Scopes = nil
		for _, s := range it.Scopes {
			i.Scopes = append(i.Scopes, postern.Scope(s))
		}
		i.Advice = workbench.Path{To: workbench.To(it.Path), Reasons: it.Reasons}
		out = append(out, i)
		return nil
	})
	_, big := errors.AsType[*errUploadSize](err)
	_, told := errors.AsType[*postern.Error](err)
	switch {
	case err == nil || big || told || errors.Is(err, os.ErrDeadlineExceeded):
		return out, err
	case errors.Is(err, wire.ErrTooMuch):
		return nil, postern.Invalidf("file", "The inventory is too big. At most %d MB are read, of each credential at most 1,000 operations, 200 callers and 500 scopes. Use less of the log.", wire.MaxBytes>>20)
	}
	return nil, postern.Invalidf("file", "This is not what postern migrate inventory --json writes.")
}

// readLog reads an access log.
func (c *Console) readLog(ctx context.Context, v *visit, f *form, page *inventoryView) ([]workbench.Item, error) {
	opts := accesslog.Options{Template: f.Get("format"), Workers: min(4, runtime.GOMAXPROCS(0)), MaxBytes: c.cfg.InventoryUnpacked}
	if opts.Template != "" {
		if _, err := accesslog.FromTemplate(opts.Template); err != nil {
			return nil, postern.Invalidf("format", "The format can't be read: %s.", strings.TrimSuffix(err.Error(), "."))
		}
	}
	apis, err := c.inventoryAPIs(v, f)
	if err != nil {
		return nil, err
	}
	col, err := workbench.NewCollector(apis, opts.Workers)
	if err != nil {
		return nil, postern.Invalidf("api", "The connected APIs lie at the same paths. Choose the one whose log this is.")
	}
	stats, err := accesslog.Scan(ctx, v.file, opts, func(w int, call *accesslog.Call) {
		v.file.done.Add(1)
		col.Shard(w).Add(call)
	})
	if errors.Is(err, accesslog.ErrTooMuch) {
		return nil, postern.Invalidf("file", "Unpacked, the log has more than %s, which is what the setting inventory-unpacked of this server allows. The command line reads any size: postern migrate inventory", page.Room)
	}
	if err != nil {
		if ours(err) && ctx.Err() == nil && stats.Lines == 0 && strings.Contains(err.Error(), "looks packed") {
			return nil, postern.Invalidf("file", "The file looks packed, but can't be unpacked.")
		}
		return nil, err
	}
	if stats.Calls == 0 {
		return nil, postern.Invalidf("file", "No line of this file could be read as a call. Say how it is written, in Format of the log.")
	}
	inv := col.Inventory()
	page.Stats, page.Nobody, page.Beyond, page.From, page.To = &stats, inv.Anonymous, inv.Beyond, inv.From, inv.To
	for fault := accesslog.TooLong; int(fault) < accesslog.Faults; fault++ {
		if n := stats.Faults[fault]; n > 0 {
			page.Faults = append(page.Faults, fmt.Sprintf("%s could not be read (%s), first at line %s", count(n, "line", "lines"), fault.Words(), num(stats.First[fault][0])))
		}
	}
	return inv.Items, nil
}

// inventoryAPIs are the APIs that a log's calls are looked up in.
func (c *Console) inventoryAPIs(v *visit, f *form) (out []workbench.API, err error) {
	ups, err := c.cfg.DB.Upstreams(v.r.Context())
	if err != nil {
		return nil, err
	}
	_, cats, err := c.kr.LegacyNames(v.r.Context())
	if err != nil {
		return nil, err
	}
	chosen := f.Get("api")
	for i := range ups {
		u := &ups[i]
		if u.CatalogVersion == 0 || chosen != "" && chosen != string(u.ID) {
			continue
		}
		at := slices.IndexFunc(cats, func(cat *catalog.Catalog) bool { return cat.Upstream == u.ID })
		if at < 0 {
			continue
		}
		a := workbench.API{Catalog: cats[at]}
		if chosen == "" {
			a.Host, a.Prefix, a.Strip = u.Host, u.Prefix, u.Options.StripPrefix
		}
		out = append(out, a)
	}
	return out, nil
}

// inventoryFound puts what was found on the page, and seals it for the plan.
func (c *Console) inventoryFound(v *visit, page *inventoryView, items []workbench.Item) error {
	page.Shown, page.Items = true, len(items)
	slices.SortStableFunc(items, func(a, b workbench.Item) int { return cmp.Compare(b.Calls, a.Calls) })
	kept := items[:0:0]
	for i := range items {
		it := &items[i]
		for k := range it.Operations {
			it.Operations[k].Ways = nil
		}
		if it.Fingerprint == "" {
			page.Named++
		} else {
			kept = append(kept, *it)
		}
		if len(page.Groups) == inventoryRows {
			page.More++
			continue
		}
		row, err := c.groupRow(v, it)
		if err != nil {
			return err
		}
		page.Groups = append(page.Groups, row)
	}
	if len(kept) == 0 {
		return nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(kept); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	// Sealing writes it in base64 twice.
	if page.TooMuch = b.Len()*16/9 > inventoryCarry; page.TooMuch {
		return nil
	}
	var err error
	page.Checked, err = c.cfg.Signin.Seal(inventorySeal, carriedFile{v.by.MemberID, page.Name, b.Bytes()}, inventoryKept)
	return err
}

func (c *Console) groupRow(v *visit, it *workbench.Item) (groupRow, error) {
	row := groupRow{Item: it, Title: it.Name}
	if row.Title == "" {
		row.Title = strings.TrimSpace("Unknown credential " + it.Shown)
	}
	switch it.Advice.To {
	case workbench.ToServiceKey:
		row.Becomes, row.Kind = "A service key", "ok"
	case workbench.ToApp:
		row.Becomes, row.Kind = "An app", "info"
	case workbench.ToRetire:
		row.Becomes = "Switch it off"
	default:
		row.Becomes, row.Kind = "Unclear", "warn"
	}
	for i, who := range it.Callers {
		if i == inventoryTold {
			row.Others = len(it.Callers) - i
			break
		}
		name := toolName(who.UserAgent)
		if name == "" {
			name = "Unnamed program"
		}
		if who.IP.IsValid() {
			name += " at " + who.IP.String()
		}
		row.Who = append(row.Who, name)
	}
	row.Did = it.Operations[:min(len(it.Operations), inventoryTold)]
	row.DidMore = len(it.Operations) - len(row.Did)
	if it.Fingerprint == "" {
		return row, nil
	}
	known, err := c.kr.LegacyByFingerprint(v.r.Context(), v.by, string(it.Fingerprint))
	if err != nil {
		return row, err
	}
	if len(known) > 0 {
		row.Title, row.Imported, row.Link = known[0].Name, known[0].Name, "/legacy/"+string(known[0].ID)
	}
	return row, nil
}

// takeInventory puts what was found into the plan: all of it, or what was chosen.
func (c *Console) takeInventory(v *visit) error {
	f := v.sent()
	gone := func() error {
		f := newForm()
		f.Wrong("file", "What was found was kept for 2 hours and is gone. Choose the file again.")
		return c.inventoryAgain(v, f)
	}
	var in carriedFile
	if c.cfg.Signin.Open(inventorySeal, f.Get("checked"), &in) != nil || in.Member != v.by.MemberID {
		return gone()
	}
	z, err := gzip.NewReader(bytes.NewReader(in.Body))
	if err != nil {
		return gone()
	}
	var items []workbench.Item
	if err := json.NewDecoder(z).Decode(&items); err != nil {
		return gone()
	}
	f.Values.Del("checked")
	shown := map[string]bool{}
	for _, fp := range f.Values["shown"] {
		shown[fp] = true
	}
	items = slices.DeleteFunc(items, func(it workbench.Item) bool {
		fp := string(it.Fingerprint)
		return shown[fp] && !f.Has("take", fp) || !shown[fp] && f.Get("rest") == ""
	})
	if len(items) == 0 {
		return v.warn("/migration/inventory", "Nothing was chosen, so nothing was taken into the plan.")
	}
	n, matched, err := c.migration.Upload(v.r.Context(), v.by, items)
	if err != nil {
		return c.inventoryTold(v, newForm(), err)
	}
	said := count(n, "credential is", "credentials are") + " in the plan."
	if matched > 0 {
		said += " " + num(matched) + " of them " + map[bool]string{true: "was", false: "were"}[matched == 1] + " imported before, and each stays one item."
	}
	return v.done("/migration", said)
}

func (c *Console) inventoryTold(v *visit, f *form, err error) error {
	if err := f.take(err); err != nil {
		return err
	}
	return c.inventoryAgain(v, f)
}

func (c *Console) inventoryAgain(v *visit, f *form) error {
	page, err := c.inventoryPage(v, f)
	if err != nil {
		return err
	}
	page.Error = true
	v.drain()
	return v.show(http.StatusUnprocessableEntity, "inventory", page)
}
