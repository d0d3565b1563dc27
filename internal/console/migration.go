package console

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

// migrationRoutes are the board of the move off old credentials, and its items.
func (c *Console) migrationRoutes() []route {
	see := []postern.Permission{postern.PermKeysRead}
	write, stop := []postern.Permission{postern.PermKeysWrite}, []postern.Permission{postern.PermKeysRevoke}
	const item = "/migration/{id}"
	return append(c.migrationLiveRoutes(), []route{
		{Pattern: "GET /migration", Serve: c.showMigration, Need: see},
		{Pattern: "GET /migration.csv", Serve: c.exportMigration, Need: see},
		{Pattern: "GET /migration/{id}", Serve: c.showMigrationItem, Need: see},
		{Pattern: "POST " + item + "/path", Serve: c.choosePath, Need: write},
		{Pattern: "POST " + item + "/owner", Serve: c.chooseOwner, Need: write},
		{Pattern: "POST " + item + "/scopes", Serve: c.chooseScopes, Need: write},
		{Pattern: "POST " + item + "/key", Serve: c.makeMigrationKey, Need: write, Repeats: true},
		{Pattern: "POST " + item + "/brownouts", Serve: c.scheduleBrownouts, Need: stop},
		{Pattern: "POST " + item + "/brownouts/stop", Serve: c.stopBrownouts, Need: stop},
		{Pattern: "POST " + item + "/sign-off", Serve: c.signOffMigration, Need: write},
		{Pattern: "POST " + item + "/archive", Serve: c.archiveMigration, Need: stop},
		{Pattern: "POST " + item + "/undo", Serve: c.undoMigration, Need: stop},
		{Pattern: "POST " + item + "/end", Serve: c.endMigration, Need: stop},
	}...)
}

// migrationView is the board, or the same as a list.
type migrationView struct {
	Common
	List     bool
	Board    *workbench.Board
	Lanes    []lane
	DaysLeft int
	First    *itemCard // the one to begin with
	Now      time.Time
}

// lane is a stage of the board.
type lane struct {
	ID, Name, Words string
	Number          int
	Cards           []itemCard
	More            int // that are not shown
}

// itemCard is an item on the board.
type itemCard struct {
	*workbench.View
	Owner, Initials string
}

// laneMost is how many cards a lane shows.
const laneMost = 100

// PathWords is where an item goes.
func (i itemCard) PathWords() string {
	gone := i.Stage == workbench.SwitchedOff
	switch {
	case i.Path == workbench.ToServiceKey && gone:
		return "Now a key"
	case i.Path == workbench.ToServiceKey:
		return "To a service key"
	case i.Path == workbench.ToApp && gone:
		return "Now an app"
	case i.Path == workbench.ToApp:
		return "To an app"
	case i.Path == workbench.ToRetire && gone:
		return "Not replaced"
	case i.Path == workbench.ToRetire:
		return "To be switched off"
	}
	return ""
}

// ADay is how many calls a day it made with the old credential, in the last week.
func (i itemCard) ADay() int64 { return (i.Week + 3) / 7 }

// Running reports whether there is a share to show.
func (i itemCard) Running() bool {
	return i.Stage == workbench.BothRunning && i.Week+i.NewWeek > 0
}

func (c *Console) card(v *workbench.View, people map[postern.MemberID]string) itemCard {
	out := itemCard{View: v, Owner: people[v.Item.Owner]}
	out.Initials = initials(out.Owner)
	return out
}

func (c *Console) showMigration(v *visit) error {
	if !v.can(postern.PermActivityRead) {
		return denied(postern.PermActivityRead)
	}
	c.cfg.Activity.Settle(v.r.Context())
	b, err := c.migration.Board(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	people, err := v.people()
	if err != nil {
		return err
	}
	page := &migrationView{Common: v.common("Migration", "/migration", crumb{Name: "Monitoring"}), Board: b, List: v.query("view") == "list", Now: v.now}
	page.Styles = []string{"migration.css"}
	if !b.Stops.IsZero() {
		page.DaysLeft = daysLeft(v.now, b.Stops)
	}
	for n, s := range workbench.Stages() {
		l := lane{ID: string(s.ID), Name: s.Name, Words: s.Words, Number: n + 1}
		for _, it := range b.Of(s.ID) {
			if len(l.Cards) == laneMost {
				l.More++
				continue
			}
			l.Cards = append(l.Cards, c.card(it, people))
		}
		page.Lanes = append(page.Lanes, l)
	}
	if i := slices.IndexFunc(b.Items, func(it *workbench.View) bool { return it.InAddress && it.Stage != workbench.SwitchedOff }); i >= 0 {
		first := c.card(b.Items[i], people)
		page.First = &first
	}
	return v.render("migration", page)
}

func (c *Console) exportMigration(v *visit) error {
	if !v.can(postern.PermActivityRead) {
		return denied(postern.PermActivityRead)
	}
	b, err := c.migration.Board(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="migration.csv"`)
	h.Set("Cache-Control", "no-store")
	return workbench.WriteReport(v.w, b)
}

// migrationItemView is one item with its checklist.
type migrationItemView struct {
	Common
	F         *form
	I         itemCard
	Mapping   workbench.Mapping
	Brownouts []workbench.Dated
	Members   []option
	Paths     []option
	May, Stop bool
	Made      string // the name of the new key
	Now       time.Time
	Undo      bool // it can still be brought back
	Shadow    *replayPart
	Takeovers []option // keys that may have taken over
	Zone      string   // that times are typed in
}

func (c *Console) migrationItem(v *visit, f *form) (*migrationItemView, error) {
	if !v.can(postern.PermActivityRead) {
		return nil, denied(postern.PermActivityRead)
	}
	ctx := v.r.Context()
	c.cfg.Activity.Settle(ctx)
	it, err := c.migration.Item(ctx, v.by, v.path("id"))
	if err != nil {
		return nil, err
	}
	people, err := v.people()
	if err != nil {
		return nil, err
	}
	page := &migrationItemView{Common: v.common(it.Item.Name, "/migration", crumb{Name: "Monitoring"}, crumb{Name: "Migration", Link: "/migration"}), F: f, I: c.card(it, people),
		May: v.can(postern.PermKeysWrite), Stop: v.can(postern.PermKeysRevoke), Brownouts: workbench.BrownoutsOf(it, v.now), Now: v.now}
	page.Zone = page.zone().String()
	page.Styles, page.Scripts = []string{"migration.css"}, []string{"migration.js"}
	if page.Shadow, err = c.shadowOf(v, it); err != nil {
		return nil, err
	}
	if page.Takeovers, err = c.takeovers(v); err != nil {
		return nil, err
	}
	page.Undo = !it.Item.ArchivedAt.IsZero() && it.Item.EndedAt.IsZero() && v.now.Before(it.Item.UndoUntil)
	if page.Mapping, err = c.migration.Mapping(ctx, v.by, it); err != nil {
		return nil, err
	}
	if page.F == nil {
		path := it.Item.Path
		if path == "" && it.Proposal.To != workbench.ToUnclear {
			path = string(it.Proposal.To)
		}
		page.F = newForm("path", path, "owner", string(it.Item.Owner), "takeover", linkedKey(it), "moved", it.Item.MovedTo, "days", "5", "calls", strconv.FormatInt(workbench.DefaultBudget.Calls, 10),
			"callers", strconv.FormatInt(workbench.DefaultBudget.Callers, 10))
	}
	page.Paths = []option{{Value: "", Label: "Not decided"}, {Value: "service_key", Label: "A service key"}, {Value: "app", Label: "An app"}, {Value: "retire", Label: "Switch it off"}}
	page.Members = []option{{Value: "", Label: "Nobody yet"}}
	members, err := c.cfg.DB.Members(ctx, v.by.AccountID, false)
	if err != nil {
		return nil, err
	}
	for i := range members {
		page.Members = append(page.Members, option{Value: string(members[i].ID), Label: nameOf(&members[i])})
	}
	return page, nil
}

// linkedKey is the key that took over and was there before.
func linkedKey(it *workbench.View) string {
	if it.Item.KeyMadeAt.IsZero() {
		return string(it.Item.NewKey)
	}
	return ""
}

func (c *Console) showMigrationItem(v *visit) error {
	page, err := c.migrationItem(v, nil)
	if err != nil {
		return err
	}
	return v.render("migration-item", page)
}

// afterItem shows an item again after a form: with what was wrong, or with a message.
func (c *Console) afterItem(v *visit, f *form, it *workbench.View, err error, done string) error {
	if err == nil && f.OK() {
		return v.done("/migration/"+it.ID, done)
	}
	if err != nil {
		if err := f.take(err); err != nil {
			return err
		}
	}
	page, err := c.migrationItem(v, f)
	if err != nil {
		return err
	}
	page.Error = true
	return v.show(http.StatusUnprocessableEntity, "migration-item", page)
}

func (c *Console) choosePath(v *visit) error {
	f := v.sent()
	it, err := c.migration.Choose(v.r.Context(), v.by, v.path("id"), workbench.To(f.Get("path")), f.Get("why"))
	return c.afterItem(v, f, it, err, "Its path is chosen.")
}

func (c *Console) chooseOwner(v *visit) error {
	f := v.sent()
	it, err := c.migration.Own(v.r.Context(), v.by, v.path("id"), postern.MemberID(f.Get("owner")))
	return c.afterItem(v, f, it, err, "Saved. Reminders go to them.")
}

func (c *Console) chooseScopes(v *visit) error {
	f := v.sent()
	it, err := c.migration.SetScopes(v.r.Context(), v.by, v.path("id"), nil)
	return c.afterItem(v, f, it, err, "The scopes of the new key are decided.")
}

// migrationKeyView shows the new key's secret, this once.
type migrationKeyView struct {
	Common
	ID, Name, Old, Secret string
}

func (c *Console) makeMigrationKey(v *visit) error {
	v.showsSecret()
	f := v.sent()
	made, it, err := c.migration.MakeKey(v.r.Context(), v.by, v.path("id"), keyring.NewKey{Name: f.Get("name"), ExpiresAt: v.now.AddDate(1, 0, 0).Truncate(time.Second), Idempotency: v.once})
	if err != nil {
		return c.afterItem(v, f, nil, err, "")
	}
	return v.render("migration-key", &migrationKeyView{Common: v.common("Key made", "/migration", crumb{Name: "Monitoring"}, crumb{Name: "Migration", Link: "/migration"}),
		ID: it.ID, Name: made.Key.Name, Old: it.Item.Name, Secret: made.Secret.Reveal()})
}

func (c *Console) scheduleBrownouts(v *visit) error {
	f := v.sent()
	var in struct {
		Days    int   `form:"days"`
		Calls   int64 `form:"calls"`
		Callers int64 `form:"callers"`
	}
	f.decode(&in)
	from, err := time.ParseInLocation("2006-01-02T15:04", f.Get("from"), v.zone)
	if err != nil {
		f.Wrong("from", "Say when the first one begins.")
	}
	if in.Days < 1 || in.Days > workbench.MaxRamp {
		f.Wrong("days", "1 to %d days.", workbench.MaxRamp)
	}
	if !f.OK() {
		return c.afterItem(v, f, nil, nil, "")
	}
	it, _, err := c.migration.SetBrownouts(v.r.Context(), v.by, v.path("id"), workbench.Ramp(from, in.Days), store.MigrationBudget{Calls: in.Calls, Callers: in.Callers})
	return c.afterItem(v, f, it, err, "The brownouts are scheduled.")
}

func (c *Console) stopBrownouts(v *visit) error {
	f := v.sent()
	it, _, err := c.migration.StopBrownouts(v.r.Context(), v.by, v.path("id"), "")
	return c.afterItem(v, f, it, err, "No call is refused for a brownout any more.")
}

func (c *Console) signOffMigration(v *visit) error {
	f := v.sent()
	it, err := c.migration.SignOff(v.r.Context(), v.by, v.path("id"), f.Get("note"))
	return c.afterItem(v, f, it, err, "Signed off.")
}

func (c *Console) archiveMigration(v *visit) error {
	f := v.sent()
	it, _, err := c.migration.Archive(v.r.Context(), v.by, v.path("id"))
	return c.afterItem(v, f, it, err, "It is switched off. You can bring it back for 3 days.")
}

func (c *Console) undoMigration(v *visit) error {
	f := v.sent()
	it, _, err := c.migration.Undo(v.r.Context(), v.by, v.path("id"))
	return c.afterItem(v, f, it, err, "It works again.")
}

func (c *Console) endMigration(v *visit) error {
	f := v.sent()
	it, _, err := c.migration.End(v.r.Context(), v.by, v.path("id"))
	return c.afterItem(v, f, it, err, "It ended for good.")
}
