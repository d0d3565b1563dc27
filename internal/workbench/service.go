package workbench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// Config is what a Service needs.
type Config struct {
	DB       *store.DB
	Keyring  *keyring.Keyring
	Activity *activity.Log
	Advice   *advice.Service
	Now      func() time.Time
}

// Service moves an account's old credentials: what is proposed, decided and done.
type Service struct {
	cfg Config

	mu      sync.Mutex
	edition string
	known   *known
}

// NewService makes a Service.
func NewService(cfg Config) *Service { return &Service{cfg: cfg} }

// ground is what all views of an account rest on.
type ground struct {
	*keyring.Grounds
	known *known
	table Table
	uses  map[postern.KeyID]activity.Use
	week  map[postern.KeyID]activity.KeyCalls
	now   time.Time
}

func (s *Service) ground(ctx context.Context, by postern.Actor) (*ground, error) {
	if err := s.cfg.Keyring.MayReadActivity(ctx, by); err != nil {
		return nil, err
	}
	gs, err := s.cfg.Keyring.Grounds(ctx, by)
	if err != nil {
		return nil, err
	}
	g := &ground{Grounds: gs, now: s.cfg.Now()}
	if g.known, err = s.knownOf(gs); err != nil {
		return nil, err
	}
	changed, err := s.cfg.DB.LegacyScopes(ctx)
	if err != nil {
		return nil, err
	}
	g.table = NewTable(changed)
	if g.uses, err = s.cfg.Activity.AllUses(ctx, by.AccountID); err != nil {
		return nil, err
	}
	g.week, err = s.cfg.Activity.CallsByKey(ctx, by.AccountID, g.now.AddDate(0, 0, -7))
	return g, err
}

func (s *Service) knownOf(g *keyring.Grounds) (*known, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || s.edition != g.Edition {
		k, err := newKnown(g.Catalogs)
		if err != nil {
			return nil, err
		}
		s.known, s.edition = k, g.Edition
	}
	return s.known, nil
}

// Item gives one item in full, by its ID or that of its credential.
func (s *Service) Item(ctx context.Context, by postern.Actor, id string) (*View, error) {
	g, err := s.ground(ctx, by)
	if err != nil {
		return nil, err
	}
	i, err := s.cfg.Keyring.Migration(ctx, by, id)
	if err != nil {
		return nil, err
	}
	var l *postern.LegacyCredential
	if i.Key != "" {
		rec, err := s.cfg.DB.Legacy(ctx, by.AccountID, i.Key)
		if err != nil {
			return nil, err
		}
		l = &rec.Legacy
	}
	f, err := s.facts(ctx, g, i, l, true)
	if err != nil {
		return nil, err
	}
	return Stand(f), nil
}

// facts reads what is known of an item; where it isn't to be whole, only what is cheap.
func (s *Service) facts(ctx context.Context, g *ground, i store.MigrationItem, l *postern.LegacyCredential, whole bool) (*Facts, error) {
	f := &Facts{Item: i, Legacy: l, Now: g.now, Partial: !whole}
	if l != nil && f.Item.Name == "" {
		f.Item.Name = l.Name
	}
	f.Week, f.NewWeek = g.week[i.Key].Calls, g.week[i.NewKey].Calls
	since := g.now.Add(-Window)
	if l != nil {
		f.SeenDays = int(g.now.Sub(l.CreatedAt) / aDay)
		f.Seen.Last = g.uses[i.Key].LastAt
	}
	var fresh []activity.Caller
	if i.NewKey != "" {
		if err := s.replacement(ctx, g, f); err != nil {
			return nil, err
		}
	}
	if !whole {
		return f, nil
	}
	var t traffic
	var err error
	if l != nil {
		if t, err = s.traffic(ctx, l.AccountID, l.ID, since); err != nil {
			return nil, err
		}
		f.Live = len(t.needs) > 0
	}
	if i.NewKey != "" {
		if fresh, err = s.cfg.Activity.Callers(ctx, i.AccountID, i.NewKey, 0, since); err != nil {
			return nil, err
		}
	}
	f.Seen = g.known.item(&t)
	if l != nil {
		f.Seen.Look = LookOf(l)
	}
	up := uploaded(&i)
	if up != nil && !up.First.IsZero() {
		f.SeenDays = max(f.SeenDays, int(g.now.Sub(up.First)/aDay))
	}
	live := f.Seen.Last
	g.known.join(&f.Seen, up)
	if l != nil {
		f.Seen.Last = later(live, f.Seen.Last)
	}
	f.Moves = moves(t.callers, fresh, time.Duration(quietDays(f))*aDay, g.now)
	return f, nil
}

// LookOf is what is shown of an imported credential.
func LookOf(l *postern.LegacyCredential) Look {
	return Look{Kind: l.Kind, Shown: l.Shown, Weak: l.Strength == postern.StrengthWeak}
}

func (s *Service) replacement(ctx context.Context, g *ground, f *Facts) error {
	rec, ok, err := s.cfg.DB.AnyKey(ctx, f.Item.NewKey)
	if err != nil {
		return err
	}
	if ok && rec.Key.AccountID == f.Item.AccountID {
		f.New = &rec.Key
	}
	uses, err := s.cfg.Activity.Uses(ctx, f.Item.AccountID, f.Item.NewKey)
	if err != nil {
		return err
	}
	for _, u := range uses {
		if f.NewFirst.IsZero() || u.FirstAt.Before(f.NewFirst) {
			f.NewFirst = u.FirstAt
		}
		f.NewLast = later(f.NewLast, u.LastAt)
	}
	return nil
}

func (s *Service) traffic(ctx context.Context, a postern.AccountID, key postern.KeyID, since time.Time) (t traffic, err error) {
	if t.needs, err = s.cfg.Activity.Needs(ctx, a, key, since, time.Time{}); err != nil {
		return t, err
	}
	if t.callers, err = s.cfg.Activity.Callers(ctx, a, key, 0, since); err != nil || len(t.needs) == 0 {
		return t, err
	}
	t.hours, err = s.cfg.Activity.Series(ctx, activity.Subject{Account: a, Key: key}, since, s.cfg.Now(), time.Hour)
	return t, err
}

// uploaded is what an inventory said of an item; nil where none was uploaded.
func uploaded(i *store.MigrationItem) *Item {
	var up Item
	if i.Seen == "" || json.Unmarshal([]byte(i.Seen), &up) != nil {
		return nil
	}
	return &up
}

// Choose decides the path of an item.
func (s *Service) Choose(ctx context.Context, by postern.Actor, id string, to To, why string) (*View, error) {
	if to != ToServiceKey && to != ToApp && to != ToRetire {
		return nil, postern.Invalidf("path", "A path is service_key, app or retire.")
	}
	if err := checkText("why", why); err != nil {
		return nil, err
	}
	_, err := s.cfg.Keyring.EditMigration(ctx, by, id, "migration.path", func(i *store.MigrationItem) error {
		if i.NewKey != "" && to == ToRetire {
			return postern.Errorf(postern.CodeConflict, "%q has its new key already. End that key first, or keep the path.", i.Name)
		}
		i.Path, i.PathWhy, i.PathBy, i.PathAt = string(to), why, by.MemberID, s.cfg.Now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Item(ctx, by, id)
}

func checkText(field, text string) error {
	if len(text) > postern.MaxDescriptionLen || postern.HideSecrets(text) != text {
		return postern.Invalidf(field, "Write at most %d characters, and no secret.", postern.MaxDescriptionLen)
	}
	return nil
}

// Own says who looks after the move of an item; nobody with an empty member.
func (s *Service) Own(ctx context.Context, by postern.Actor, id string, owner postern.MemberID) (*View, error) {
	if owner != "" {
		if m, err := s.cfg.DB.MemberOf(ctx, by.AccountID, owner); err != nil || !m.RemovedAt.IsZero() {
			return nil, postern.Invalidf("owner", "There is no such member.")
		}
	}
	_, err := s.cfg.Keyring.EditMigration(ctx, by, id, "migration.owner", func(i *store.MigrationItem) error {
		i.Owner = owner
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Item(ctx, by, id)
}

// Mapping compares what an item's credential holds with what its calls need.
func (s *Service) Mapping(ctx context.Context, by postern.Actor, v *View) (Mapping, error) {
	g, err := s.cfg.Keyring.Grounds(ctx, by)
	if err != nil {
		return Mapping{}, err
	}
	changed, err := s.cfg.DB.LegacyScopes(ctx)
	return NewTable(changed).MapScopes(v.Legacy, v.Seen.Scopes, g.Catalogs), err
}

// SetScopes decides the scopes of the new key; nil takes those that the calls need.
func (s *Service) SetScopes(ctx context.Context, by postern.Actor, id string, scopes []postern.Scope) (*View, error) {
	v, err := s.Item(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if scopes == nil {
		if v.Seen.Calls == 0 {
			return nil, postern.Errorf(postern.CodeConflict, "No call of %q was seen yet, so nobody knows what it needs. Name its scopes, or wait.", v.Item.Name)
		}
		scopes = v.Seen.Scopes
	}
	g, err := s.cfg.Keyring.Grounds(ctx, by)
	if err != nil {
		return nil, err
	}
	for _, sc := range scopes {
		if !slices.ContainsFunc(g.Catalogs, catalogHas(sc)) {
			return nil, postern.Invalidf("scopes", "There is no scope %q in the catalog. See the scopes that exist with: postern scopes", string(sc))
		}
	}
	_, err = s.cfg.Keyring.EditMigration(ctx, by, id, "migration.scopes", func(i *store.MigrationItem) error {
		if i.NewKey != "" {
			return postern.Errorf(postern.CodeConflict, "The new key is made. Change its own scopes: postern keys scopes")
		}
		if i.Path != string(ToServiceKey) {
			return postern.Errorf(postern.CodeConflict, "Scopes are mapped for a service key. Choose that path first.")
		}
		i.Scopes, i.ScopesBy, i.ScopesAt = postern.SortScopes(slices.Clone(scopes)), by.MemberID, s.cfg.Now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Item(ctx, by, id)
}

// MakeKey makes the service key from the plan.
func (s *Service) MakeKey(ctx context.Context, by postern.Actor, id string, in keyring.NewKey) (keyring.Made, *View, error) {
	i, err := s.cfg.Keyring.Migration(ctx, by, id)
	if err != nil {
		return keyring.Made{}, nil, err
	}
	if i.Path != string(ToServiceKey) || i.ScopesAt.IsZero() {
		return keyring.Made{}, nil, postern.Errorf(postern.CodeConflict, "Choose the path service_key and map its scopes first.")
	}
	in.Scopes = i.Scopes
	if in.Name == "" {
		in.Name = newName(i.Name)
	}
	if in.Description == "" {
		in.Description = "Takes the place of " + i.Name + "."
	}
	made, _, err := s.cfg.Keyring.MakeMigrationKey(ctx, by, id, in)
	if err != nil {
		return made, nil, err
	}
	v, err := s.Item(ctx, by, id)
	return made, v, err
}

// newName makes the name of a key of that of an old credential.
func newName(old string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, old)
	name = strings.Trim(name, "-")
	if len(name) < 3 {
		name = "moved-" + name
	}
	return name[:min(len(name), 60)] + "-key"
}

// Shadow judges an item's recorded calls by the scopes that its new key has or is to
// have: what would break, before it does.
func (s *Service) Shadow(ctx context.Context, by postern.Actor, id string, sp advice.Span) (*advice.Replay, error) {
	v, err := s.Item(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if v.Legacy == nil {
		return nil, postern.Errorf(postern.CodeConflict, "%q is known from an inventory alone: there are no calls through Postern to judge.", v.Item.Name)
	}
	will := advice.Settings{Scopes: v.Item.Scopes}
	switch {
	case v.New != nil:
		will = advice.SettingsOf(v.New)
	case v.Item.ScopesAt.IsZero():
		will.Scopes = v.Seen.Scopes
	}
	return s.cfg.Advice.Shadow(ctx, by, v.Legacy.ID, will, sp)
}

// SignOff says that an old credential can go, now that no caller is left.
func (s *Service) SignOff(ctx context.Context, by postern.Actor, id, note string) (*View, error) {
	v, err := s.Item(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if err := checkText("note", note); err != nil {
		return nil, err
	}
	for _, c := range v.Gate.Conditions {
		if !c.Met && c.ID != "sign_off" {
			return nil, postern.Errorf(postern.CodeConflict, "It can't be signed off yet. Not met: %s %s", c.Words, c.Fix)
		}
	}
	_, err = s.cfg.Keyring.EditMigration(ctx, by, id, "migration.sign_off", func(i *store.MigrationItem) error {
		i.SignedBy, i.SignedAt, i.SignedNote = by.MemberID, s.cfg.Now(), note
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Item(ctx, by, id)
}

// Archive switches an old credential off, once its gate is open: it is paused, and can
// be brought back for keyring.UndoArchive.
func (s *Service) Archive(ctx context.Context, by postern.Actor, id string) (*View, int64, error) {
	v, err := s.Item(ctx, by, id)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range v.Gate.Conditions {
		if !c.Met && v.Stage != SwitchedOff {
			return nil, 0, postern.Errorf(postern.CodeConflict, "It can't be switched off yet. Not met: %s %s", c.Words, c.Fix)
		}
	}
	return s.done(ctx, by, id, s.cfg.Keyring.ArchiveMigration)
}

// Undo brings back an old credential that was switched off.
func (s *Service) Undo(ctx context.Context, by postern.Actor, id string) (*View, int64, error) {
	return s.done(ctx, by, id, s.cfg.Keyring.UndoMigration)
}

// End ends an old credential for good, once its undo is over.
func (s *Service) End(ctx context.Context, by postern.Actor, id string) (*View, int64, error) {
	return s.done(ctx, by, id, s.cfg.Keyring.EndMigration)
}

func (s *Service) done(ctx context.Context, by postern.Actor, id string, do func(context.Context, postern.Actor, string) (store.MigrationItem, int64, error)) (*View, int64, error) {
	i, seq, err := do(ctx, by, id)
	if err != nil {
		return nil, 0, err
	}
	v, err := s.Item(ctx, by, i.ID)
	return v, seq, err
}

// SetBrownouts schedules short refusals of an old credential.
func (s *Service) SetBrownouts(ctx context.Context, by postern.Actor, id string, list []postern.Window, budget store.MigrationBudget) (*View, int64, error) {
	if budget.Calls == 0 {
		budget.Calls = DefaultBudget.Calls
	}
	if budget.Callers == 0 {
		budget.Callers = DefaultBudget.Callers
	}
	return s.done(ctx, by, id, func(ctx context.Context, by postern.Actor, id string) (store.MigrationItem, int64, error) {
		return s.cfg.Keyring.SetBrownouts(ctx, by, id, list, budget)
	})
}

// StopBrownouts ends the brownouts of an old credential at once.
func (s *Service) StopBrownouts(ctx context.Context, by postern.Actor, id, why string) (*View, int64, error) {
	if why == "" {
		why = "A member stopped them."
	}
	if err := checkText("why", why); err != nil {
		return nil, 0, err
	}
	return s.done(ctx, by, id, func(ctx context.Context, by postern.Actor, id string) (store.MigrationItem, int64, error) {
		return s.cfg.Keyring.StopBrownouts(ctx, by, id, why, nil)
	})
}

// Table is how old scopes are translated.
func (s *Service) Table(ctx context.Context, by postern.Actor) (Table, error) {
	changed, err := s.cfg.Keyring.LegacyScopes(ctx, by)
	if err != nil {
		return nil, fmt.Errorf("workbench: scopes: %w", err)
	}
	return NewTable(changed), nil
}
