package workbench

import (
	"context"
	"encoding/json"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// Upload puts the items of an inventory beside what is known: found again by their
// fingerprints. It tells how many were new, and how many belong to imported credentials.
func (s *Service) Upload(ctx context.Context, by postern.Actor, items []Item) (added, matched int, err error) {
	for n := 0; n < len(items); n += keyring.MaxMigrationBatch {
		part := items[n:min(n+keyring.MaxMigrationBatch, len(items))]
		var list []keyring.MigrationSeen
		known := 0
		for k := range part {
			seen, err := s.seen(ctx, by, &part[k], n+k+1)
			if err != nil {
				return added, matched, err
			}
			if seen.Key != "" {
				known++
			}
			list = append(list, *seen)
		}
		if err := s.cfg.Keyring.AddMigrations(ctx, by, list); err != nil {
			return added, matched, err
		}
		added, matched = added+len(list), matched+known
	}
	return added, matched, nil
}

// seen is what is kept of an item of an inventory, the nth of it.
func (s *Service) seen(ctx context.Context, by postern.Actor, it *Item, n int) (*keyring.MigrationSeen, error) {
	if !fingerprint(string(it.Fingerprint)) {
		return nil, postern.Invalidf("items", "Item %d has no fingerprint: it is fp_ with 16 hexadecimal digits.", n)
	}
	if len(it.Operations) > maxOperations || len(it.Callers) > maxCallers {
		return nil, postern.Invalidf("items", "Item %d has more operations or callers than an inventory tells apart.", n)
	}
	list, err := s.cfg.Keyring.LegacyByFingerprint(ctx, by, string(it.Fingerprint))
	if err != nil {
		return nil, err
	}
	out := &keyring.MigrationSeen{Fingerprint: string(it.Fingerprint), Name: it.Name}
	if len(list) > 0 {
		out.Key, out.Name = list[0].ID, list[0].Name
	}
	if out.Name == "" {
		out.Name = strings.TrimSpace("Unknown credential " + it.Shown)
	}
	for k := range it.Operations {
		it.Operations[k].Ways = nil // what permits it is asked of the catalogs in force
	}
	body, err := json.Marshal(it)
	if err != nil {
		return nil, err
	}
	out.Name, out.Seen = clip(postern.HideSecrets(out.Name)), postern.HideSecrets(string(body))
	return out, nil
}

func fingerprint(s string) bool {
	hexa, ok := strings.CutPrefix(s, "fp_")
	return ok && len(hexa) == 16 && strings.Trim(hexa, "0123456789abcdef") == ""
}
