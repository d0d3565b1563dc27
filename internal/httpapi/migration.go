package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
	"postern.dev/postern/internal/workbench/wire"
)

// registerMigration is the move off old credentials.
func (s *server) registerMigration(a huma.API) {
	const seen, write, revoke = postern.PermActivityRead, postern.PermKeysWrite, postern.PermKeysRevoke
	const item = "/v1/migration/items/{id}"
	huma.Register(a, op("GET /v1/migration", "readMigration", "See how the move off old credentials stands", seen), s.readMigration)
	huma.Register(a, report(op("GET /v1/migration/report", "exportMigration", "Download the report of the migration", seen)), s.exportMigration)
	huma.Register(a, op("POST /v1/migration/inventory", uploadInventory, "Upload an inventory of access logs", write), s.uploadInventory)
	huma.Register(a, op("GET /v1/migration/scopes", "listLegacyScopes", "See what old names of scopes stand for", postern.PermCatalogRead), s.listLegacyScopes)
	huma.Register(a, op("PUT /v1/migration/scopes/{name}", "setLegacyScope", "Say what an old name of scopes stands for", postern.PermCatalogWrite), s.setLegacyScope)
	huma.Register(a, gone(op("DELETE /v1/migration/scopes/{name}", "resetLegacyScope", "Take back what was said of an old name", postern.PermCatalogWrite)), s.resetLegacyScope)
	huma.Register(a, op("GET "+item, "readMigrationItem", "See one old credential on its way out", seen), s.readMigrationItem)
	huma.Register(a, op("POST "+item+"/path", "choosePath", "Decide what takes its place", write), s.choosePath)
	huma.Register(a, op("POST "+item+"/owner", "chooseOwner", "Say who looks after the move", write), s.chooseOwner)
	huma.Register(a, op("POST "+item+"/scopes", "chooseScopes", "Decide the scopes of the new key", write), s.chooseScopes)
	huma.Register(a, op("POST "+item+"/moved", "movedMigration", "Say where it moved: to a key that is there, or in words", write), s.movedMigration)
	huma.Register(a, made(op("POST "+item+"/key", "makeMigrationKey", "Make the new key", write)), s.makeMigrationKey)
	huma.Register(a, op("POST "+item+"/shadow", "shadowMigration", "Ask which of its calls the new key would refuse", seen), s.shadowMigration)
	huma.Register(a, op("POST "+item+"/brownouts", "scheduleBrownouts", "Schedule short refusals", revoke), s.scheduleBrownouts)
	huma.Register(a, op("POST "+item+"/brownouts/stop", "stopBrownouts", "End its brownouts at once", revoke), s.stopBrownouts)
	huma.Register(a, op("POST "+item+"/sign-off", "signOffMigration", "Say that it can go", write), s.signOff)
	huma.Register(a, op("POST "+item+"/archive", "archiveMigration", "Switch it off: pause it for 3 days", revoke), s.archiveMigration)
	huma.Register(a, op("POST "+item+"/undo", "undoMigration", "Bring it back", revoke), s.undoMigration)
	huma.Register(a, op("POST "+item+"/end", "endMigration", "End it for good", revoke), s.endMigration)
}

// report says that an operation answers with CSV.
func report(o huma.Operation) huma.Operation {
	o.Responses = map[string]*huma.Response{"200": {Description: "The report, a line for each old credential.",
		Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	return o
}

type migrationOutput struct{ Body api.Migration }

func (s *server) readMigration(ctx context.Context, _ *struct{}) (*migrationOutput, error) {
	s.activity.Settle(ctx)
	b, err := s.migration.Board(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := api.Migration{All: b.All, Off: b.Off, Full: b.Full, StopsAt: b.Stops, FinishAt: b.Finish, Partial: b.Partial, More: b.More,
		Items: make([]api.MigrationItem, len(b.Items)), Calendar: dates(b.Calendar)}
	for i, v := range b.Items {
		out.Items[i] = itemJSON(v)
	}
	return &migrationOutput{out}, nil
}

func dates(list []workbench.Dated) []api.BrownoutDate {
	out := make([]api.BrownoutDate, len(list))
	for i, d := range list {
		out[i] = api.BrownoutDate{ItemID: d.ID, Name: d.Name, From: d.From, Until: d.Until, State: d.State}
	}
	return out
}

func (s *server) exportMigration(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	b, err := s.migration.Board(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "text/csv; charset=utf-8")
		c.SetHeader("Content-Disposition", `attachment; filename="migration.csv"`)
		c.SetHeader("Cache-Control", "no-store")
		c.SetStatus(http.StatusOK)
		_ = workbench.WriteReport(c.BodyWriter(), b)
	}}, nil
}

// MigrationInput names an item. It is exported for huma.
type MigrationInput struct {
	ID string `path:"id" maxLength:"64" doc:"The item, or its imported credential."`
}

type migrationItemOutput struct{ Body api.MigrationItem }

func (s *server) readMigrationItem(ctx context.Context, in *MigrationInput) (*migrationItemOutput, error) {
	s.activity.Settle(ctx)
	v, err := s.migration.Item(ctx, by(ctx), in.ID)
	return s.migrationItem(ctx, v, err)
}

func (s *server) migrationItem(ctx context.Context, v *workbench.View, err error) (*migrationItemOutput, error) {
	if err != nil {
		return nil, err
	}
	out := itemJSON(v)
	m, err := s.migration.Mapping(ctx, by(ctx), v)
	if err != nil {
		return nil, err
	}
	out.Mapping = &api.ScopeMapping{Held: list[string](m.Held), Needed: list[string](m.Needed), Trimmed: list[string](m.Trimmed),
		Lacking: list[string](m.Lacking), Unknown: list[string](m.Unknown)}
	return &migrationItemOutput{out}, nil
}

type choosePathInput struct {
	MigrationInput
	Body api.ChoosePath
}

func (s *server) choosePath(ctx context.Context, in *choosePathInput) (*migrationItemOutput, error) {
	v, err := s.migration.Choose(ctx, by(ctx), in.ID, workbench.To(in.Body.Path), in.Body.Why)
	return s.migrationItem(ctx, v, err)
}

type chooseOwnerInput struct {
	MigrationInput
	Body api.ChooseOwner
}

func (s *server) chooseOwner(ctx context.Context, in *chooseOwnerInput) (*migrationItemOutput, error) {
	v, err := s.migration.Own(ctx, by(ctx), in.ID, postern.MemberID(in.Body.MemberID))
	return s.migrationItem(ctx, v, err)
}

type movedInput struct {
	MigrationInput
	Body api.MovedTo
}

func (s *server) movedMigration(ctx context.Context, in *movedInput) (*migrationItemOutput, error) {
	v, err := s.migration.Moved(ctx, by(ctx), in.ID, postern.KeyID(in.Body.KeyID), in.Body.Note)
	return s.migrationItem(ctx, v, err)
}

type chooseScopesInput struct {
	MigrationInput
	Body api.ChooseScopes
}

func (s *server) chooseScopes(ctx context.Context, in *chooseScopesInput) (*migrationItemOutput, error) {
	var scopes []postern.Scope
	if in.Body.Scopes != nil {
		scopes = list[postern.Scope](in.Body.Scopes)
	}
	v, err := s.migration.SetScopes(ctx, by(ctx), in.ID, scopes)
	return s.migrationItem(ctx, v, err)
}

type migrationKeyInput struct {
	MigrationInput
	Idempotency string `header:"Idempotency-Key" maxLength:"200" doc:"Makes it safe to send this request again: the key is made once, and its secret shown once."`
	Body        api.MigrationKey
}

type migrationKeyOutput struct{ Body api.MadeMigrationKey }

func (s *server) makeMigrationKey(ctx context.Context, in *migrationKeyInput) (*migrationKeyOutput, error) {
	var networks []netip.Prefix
	var err error
	if networks, err = readNetworks(in.Body.Networks); err != nil {
		return nil, err
	}
	m, v, err := s.migration.MakeKey(ctx, by(ctx), in.ID, keyring.NewKey{Name: in.Body.Name, Networks: networks, ExpiresAt: cut(in.Body.ExpiresAt), Idempotency: in.Idempotency})
	if err != nil {
		return nil, err
	}
	out := api.MadeMigrationKey{Item: itemJSON(v)}
	out.Key = api.ChangedKey{ServiceKey: s.keyJSON(&m.Key), Secret: m.Secret.Reveal(), SecretShown: m.Secret.Zero()}
	return &migrationKeyOutput{out}, nil
}

type shadowInput struct {
	MigrationInput
	Body *api.ReplaySpan
}

func (s *server) shadowMigration(ctx context.Context, in *shadowInput) (*replayOutput, error) {
	if in.Body == nil {
		in.Body = &api.ReplaySpan{}
	}
	s.activity.Settle(ctx)
	sp, err := s.span(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	r, err := s.migration.Shadow(ctx, by(ctx), in.ID, sp)
	if err != nil {
		return nil, err
	}
	return replayJSON(r), nil
}

type migrationChangedOutput struct{ Body api.MigrationChanged }

func (s *server) migrationChanged(ctx context.Context, v *workbench.View, seq int64, err error) (*migrationChangedOutput, error) {
	if err != nil {
		return nil, err
	}
	out := api.MigrationChanged{MigrationItem: itemJSON(v)}
	if seq > 0 {
		out.Receipt = s.receipt(ctx, seq)
	}
	return &migrationChangedOutput{out}, nil
}

type brownoutsInput struct {
	MigrationInput
	Body api.Brownouts
}

func (s *server) scheduleBrownouts(ctx context.Context, in *brownoutsInput) (*migrationChangedOutput, error) {
	b := &in.Body
	if b.From.IsZero() == (len(b.Windows) == 0) {
		return nil, postern.Invalidf("from", "Say when the ramp begins, or list the windows.")
	}
	var windows []postern.Window
	for _, w := range b.Windows {
		windows = append(windows, postern.Window{From: cut(w.From), Until: cut(w.Until)})
	}
	if len(windows) == 0 {
		days := b.Days
		if days == 0 {
			days = 5
		}
		windows = workbench.Ramp(cut(b.From), days)
	}
	v, seq, err := s.migration.SetBrownouts(ctx, by(ctx), in.ID, windows, store.MigrationBudget{Calls: b.MaxCalls, Callers: b.MaxCallers})
	return s.migrationChanged(ctx, v, seq, err)
}

type migrationNoteInput struct {
	MigrationInput
	Body *api.MigrationNote
}

func (in *migrationNoteInput) note() string {
	if in.Body == nil {
		return ""
	}
	return in.Body.Note
}

func (s *server) stopBrownouts(ctx context.Context, in *migrationNoteInput) (*migrationChangedOutput, error) {
	v, seq, err := s.migration.StopBrownouts(ctx, by(ctx), in.ID, in.note())
	return s.migrationChanged(ctx, v, seq, err)
}

func (s *server) signOff(ctx context.Context, in *migrationNoteInput) (*migrationItemOutput, error) {
	s.activity.Settle(ctx)
	v, err := s.migration.SignOff(ctx, by(ctx), in.ID, in.note())
	return s.migrationItem(ctx, v, err)
}

func (s *server) archiveMigration(ctx context.Context, in *MigrationInput) (*migrationChangedOutput, error) {
	s.activity.Settle(ctx)
	v, seq, err := s.migration.Archive(ctx, by(ctx), in.ID)
	return s.migrationChanged(ctx, v, seq, err)
}

func (s *server) undoMigration(ctx context.Context, in *MigrationInput) (*migrationChangedOutput, error) {
	v, seq, err := s.migration.Undo(ctx, by(ctx), in.ID)
	return s.migrationChanged(ctx, v, seq, err)
}

func (s *server) endMigration(ctx context.Context, in *MigrationInput) (*migrationChangedOutput, error) {
	v, seq, err := s.migration.End(ctx, by(ctx), in.ID)
	return s.migrationChanged(ctx, v, seq, err)
}

type uploadInventoryInput struct{ Body api.UploadInventory }

type uploadedOutput struct{ Body api.UploadedInventory }

func (s *server) uploadInventory(ctx context.Context, in *uploadInventoryInput) (*uploadedOutput, error) {
	items := make([]workbench.Item, len(in.Body.Items))
	for i := range in.Body.Items {
		items[i] = wire.Item(&in.Body.Items[i])
	}
	n, matched, err := s.migration.Upload(ctx, by(ctx), items)
	return &uploadedOutput{api.UploadedInventory{Items: n, Matched: matched}}, err
}

type legacyScopesOutput struct{ Body api.LegacyScopeNames }

func (s *server) listLegacyScopes(ctx context.Context, _ *struct{}) (*legacyScopesOutput, error) {
	t, err := s.migration.Table(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &legacyScopesOutput{api.LegacyScopeNames{Items: []api.LegacyScopeName{}}}
	for _, n := range t.List() {
		out.Body.Items = append(out.Body.Items, api.LegacyScopeName{Name: n.Name, Scopes: list[string](n.Scopes), Builtin: n.Builtin})
	}
	return out, nil
}

// LegacyScopeInput names an old scope. It is exported for huma.
type LegacyScopeInput struct {
	Name string `path:"name" maxLength:"100"`
}

type setLegacyScopeInput struct {
	LegacyScopeInput
	Body api.SetLegacyScope
}

type legacyScopeOutput struct{ Body api.LegacyScopeName }

func (s *server) setLegacyScope(ctx context.Context, in *setLegacyScopeInput) (*legacyScopeOutput, error) {
	scopes := list[string](in.Body.Scopes)
	for i := range scopes {
		scopes[i] = strings.TrimSpace(scopes[i])
	}
	if err := s.kr.PutLegacyScope(ctx, by(ctx), in.Name, scopes); err != nil {
		return nil, err
	}
	return &legacyScopeOutput{api.LegacyScopeName{Name: in.Name, Scopes: scopes}}, nil
}

func (s *server) resetLegacyScope(ctx context.Context, in *LegacyScopeInput) (*struct{}, error) {
	return nil, s.kr.PutLegacyScope(ctx, by(ctx), in.Name, nil)
}

// itemJSON is an item as the API tells of it.
func itemJSON(v *workbench.View) api.MigrationItem {
	i := &v.Item
	out := api.MigrationItem{ID: v.ID, CredentialID: string(i.Key), Name: i.Name, Stage: string(v.Stage), Next: v.Next, FullAccess: v.Full, InAddress: v.InAddress,
		Weak: v.Seen.Weak, OwnerID: string(i.Owner), Path: i.Path, Proposal: string(v.Proposal.To), Reasons: list[string](v.Proposal.Reasons), Notes: []api.PathNote{},
		CallsWeek: v.Week, NewCallsWeek: v.NewWeek, FirstSeen: v.Seen.First, LastSeen: v.Seen.Last, Schedule: v.Seen.Rhythm.Words, Needs: list[string](v.Seen.Scopes),
		NewKeyID: string(i.NewKey), MovedTo: i.MovedTo, Checks: []api.MigrationCheck{}, Callers: []api.MigrationCaller{}, Operations: []api.OperationUse{}, Brownouts: []api.BrownoutDate{},
		Forgotten: i.Forgotten, StoppedAt: i.StoppedAt, StoppedWhy: i.StoppedWhy, SignedAt: i.SignedAt, ArchivedAt: i.ArchivedAt, UndoUntil: i.UndoUntil, EndedAt: i.EndedAt,
		Gate: api.MigrationGate{Open: v.Gate.Open, Days: v.Gate.Days, Quiet: v.Gate.Quiet, Conditions: []api.MigrationCondition{}}, Partial: v.Partial}
	if !i.ScopesAt.IsZero() {
		out.Scopes = list[string](i.Scopes)
	}
	for _, n := range v.Proposal.Notes {
		out.Notes = append(out.Notes, api.PathNote{Code: n.Code, Text: n.Text})
	}
	for _, c := range v.Checks {
		out.Checks = append(out.Checks, api.MigrationCheck{State: c.State, Name: c.Name, Words: c.Words})
	}
	for _, c := range v.Gate.Conditions {
		out.Gate.Conditions = append(out.Gate.Conditions, api.MigrationCondition{ID: c.ID, Met: c.Met, Words: c.Words})
	}
	for k := range v.Moves {
		m := &v.Moves[k]
		out.Callers = append(out.Callers, api.MigrationCaller{IP: m.IP, UserAgent: m.UserAgent, State: string(m.State), OldCalls: m.OldCalls, NewCalls: m.NewCalls,
			Refused: m.Refused, OldLastAt: m.OldLast, NewLastAt: m.NewLast})
	}
	for _, o := range v.Seen.Operations {
		u := api.OperationUse{Upstream: string(o.Upstream), Operation: o.Operation, Method: o.Method, Path: o.Path, Calls: o.Calls, Succeeded: o.OK,
			FirstSeen: o.First, LastSeen: o.Last, Writes: o.Writes}
		for _, w := range o.Ways {
			u.AnyOf = append(u.AnyOf, list[string](w))
		}
		out.Operations = append(out.Operations, u)
	}
	out.Brownouts = dates(workbench.BrownoutsOf(v, time.Time{}))
	return out
}
