package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// load fills the parts from the stream, and checks all of it.
func (r *restore) load(at store.Place, unfinished string) (err error) {
	r.loaders = map[string]*store.Loader{}
	defer func() {
		for _, l := range r.loaders {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := r.open(at, unfinished); err != nil {
		return err
	}
	b := batch{ctx: r.ctx}
	r.out.Tables, err = r.in.ReadAll(func(part string, t *store.Table, row []any) error {
		l := r.loaders[part]
		if l == nil {
			return nil // left out
		}
		return b.add(l, t, row)
	}, r.o.Progress)
	if err == nil {
		err = b.flush()
	}
	if err == nil {
		err = r.in.Authentic(r.o.Pepper)
	}
	return err
}

// open makes the tables, and clears them.
func (r *restore) open(at store.Place, unfinished string) error {
	m := &r.in.Manifest
	for _, pm := range m.Parts {
		i := slices.IndexFunc(r.o.Parts, func(p store.Part) bool { return p.Name == pm.Name })
		if i < 0 {
			return fmt.Errorf("the backup holds a part %q, which this binary doesn't know: use a newer binary", pm.Name)
		}
		if slices.Contains(r.o.Without, pm.Name) {
			continue
		}
		l, err := store.OpenLoader(r.ctx, at, r.o.Parts[i], pm.Schema, r.o.Log)
		if err != nil {
			return err
		}
		r.loaders[pm.Name] = l
	}
	again, err := r.loaders["records"].Unfinished(r.ctx)
	if err != nil {
		return err
	}
	for _, l := range r.loaders {
		if empty, err := l.Empty(r.ctx); err != nil {
			return err
		} else if !empty && again == "" {
			return postern.Errorf(postern.CodeConflict, "The database isn't empty. A backup is restored into an empty database only.")
		}
	}
	r.began = true
	if err := r.loaders["records"].Clear(r.ctx, unfinished); err != nil {
		return err
	}
	for name, l := range r.loaders {
		if name != "records" {
			if err := l.Clear(r.ctx, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch collects rows, so that they are loaded many at a time.
type batch struct {
	ctx    context.Context
	loader *store.Loader
	table  *store.Table
	rows   [][]any
	bytes  int
}

const (
	batchRows  = 2000
	batchBytes = 8 << 20
)

func (b *batch) add(l *store.Loader, t *store.Table, row []any) error {
	if b.table != t {
		if err := b.flush(); err != nil {
			return err
		}
		have := l.Table(t.Name)
		if have == nil {
			return fmt.Errorf("the database has no table %s", t.Name)
		}
		if err := sameColumns(t, have); err != nil {
			return err
		}
		b.loader, b.table = l, t
	}
	b.rows = append(b.rows, row)
	for _, v := range row {
		switch v := v.(type) {
		case string:
			b.bytes += len(v)
		case []byte:
			b.bytes += len(v)
		}
	}
	if len(b.rows) >= batchRows || b.bytes >= batchBytes {
		return b.flush()
	}
	return nil
}

func (b *batch) flush() error {
	if len(b.rows) == 0 {
		return nil
	}
	err := b.loader.Insert(b.ctx, b.table.Name, b.table.Names(), b.rows)
	b.rows, b.bytes = nil, 0
	return err
}
