package workbench

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Moved says where an item moved: to a key that is there already, and in words, such
// as the name of an app. An empty key takes back one that was named so.
func (s *Service) Moved(ctx context.Context, by postern.Actor, id string, key postern.KeyID, note string) (*View, error) {
	if err := checkText("note", note); err != nil {
		return nil, err
	}
	if key != "" {
		if err := s.mayLink(ctx, by, key); err != nil {
			return nil, err
		}
	}
	_, err := s.cfg.Keyring.EditMigration(ctx, by, id, "migration.moved", func(i *store.MigrationItem) error {
		switch {
		case i.Path != string(ToApp) && i.Path != string(ToServiceKey):
			return postern.Errorf(postern.CodeConflict, "Choose the path app or service_key first.")
		case !i.KeyMadeAt.IsZero() && key != "" && key != i.NewKey:
			return postern.Errorf(postern.CodeConflict, "%q has its own new key already.", i.Name)
		case i.KeyMadeAt.IsZero():
			i.NewKey = key
		}
		i.MovedTo = note
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Item(ctx, by, id)
}

// mayLink checks that a key takes calls: one that has ended takes nothing over.
func (s *Service) mayLink(ctx context.Context, by postern.Actor, id postern.KeyID) error {
	k, err := s.cfg.Keyring.Key(ctx, by, id)
	if err != nil {
		return postern.Invalidf("key", "There is no such service key.")
	}
	switch k.State(s.cfg.Now()) {
	case postern.StateEnded, postern.StateExpired:
		return postern.Invalidf("key", "The key %q has ended.", k.Name)
	}
	return nil
}
