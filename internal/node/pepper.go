package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// LoadPepper reads a pepper file. Where there is none, it makes one, but only
// where make says that there is no data yet that another pepper was used for.
func LoadPepper(path string, make bool) (*postern.Pepper, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && make {
		if err := writeNew(path, postern.NewPepper()); err != nil {
			return nil, fmt.Errorf("make the pepper file: %w", err)
		}
		text, err = os.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the pepper file %s is missing: without it no secret can be checked. Put it back from where you keep it; a new one would make every key useless", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 && info.Mode().IsRegular() {
		return nil, fmt.Errorf("the pepper file %s can be read by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	p, err := postern.ParsePepper(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// writeNew writes a file that isn't there, readable by its owner only, so that it survives a power cut whole or not at all.
func writeNew(path, text string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".pepper-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.WriteString(text); err != nil {
		tmp.Close()
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkPepper refuses a pepper that the database's secrets were not made under:
// every key would look unknown.
func checkPepper(ctx context.Context, db *store.DB, p *postern.Pepper) error {
	for _, v := range p.Versions() {
		name := fmt.Sprintf("pepper.%d", v)
		have, err := db.Setting(ctx, name)
		if err != nil {
			return err
		}
		switch have {
		case p.Fingerprint(v):
		case "":
			if _, err := db.Write(ctx, func(tx *store.Tx) error { return tx.SetSetting(ctx, name, p.Fingerprint(v)) }); err != nil {
				return err
			}
		default:
			return fmt.Errorf("this is not the pepper that the database was made with (version %d): no secret would be accepted. Use the right pepper file", v)
		}
	}
	used, err := db.PepperVersions(ctx)
	if err != nil {
		return err
	}
	for _, v := range used {
		if !p.Has(v) {
			return fmt.Errorf("the pepper lacks version %d, which keys in the database were made under; add its line to the pepper file", v)
		}
	}
	return nil
}
