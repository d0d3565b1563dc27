package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// CopyOptions say what is copied where. Nobody may write to either meanwhile: the
// caller holds both.
type CopyOptions struct {
	From, To store.Place
	Parts    []store.Part
	Without  []string
	Pepper   *postern.Pepper
	Log      *slog.Logger
	// Progress, where given, is told of the rows that were copied, and then of those that were compared.
	Progress func(what string, done, all int64)
}

// Copied says what a copy did.
type Copied struct {
	Resumed bool             `json:"resumed"` // it went on where one before it stood
	Before  int64            `json:"before"`  // rows that were there already then
	Rows    int64            `json:"rows"`
	Tables  []TableCopy      `json:"tables"`
	Seals   store.SealReport `json:"seals"`
}

// TableCopy is a table that is the same on both sides.
type TableCopy struct {
	Part   string      `json:"part"`
	Table  string      `json:"table"`
	Rows   int64       `json:"rows"`
	SHA256 string      `json:"sha256"`
	Chunks []ChunkCopy `json:"chunks,omitempty"`
}

// ChunkCopy is a stretch of a table, with the digest that both sides gave.
type ChunkCopy struct {
	Rows   int    `json:"rows"`
	SHA256 string `json:"sha256"`
}

const compareRows = 5000

// copier is one copy that is being made.
type copier struct {
	o       CopyOptions
	ctx     context.Context
	out     *Copied
	snap    *store.Snapshot
	loaders []*store.Loader // as snap.Parts
	done    int64
	all     int64
}

// Copy copies a whole database into an empty one, of the same engine or the other,
// and then compares every row. Where it was stopped it goes on: rows are copied in
// the order of their keys, so what is there already says where it stood.
func Copy(ctx context.Context, o CopyOptions) (out Copied, err error) {
	parts := slices.DeleteFunc(slices.Clone(o.Parts), func(p store.Part) bool { return slices.Contains(o.Without, p.Name) })
	c := &copier{o: o, ctx: ctx, out: &out}
	if c.snap, err = store.OpenSnapshot(ctx, o.From, parts); err != nil {
		return out, err
	}
	defer c.snap.Close()
	defer func() {
		for _, l := range c.loaders {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := c.begin(); err != nil {
		return out, err
	}
	for _, step := range []func() error{c.copy, c.compare} {
		if err := step(); err != nil {
			return out, err
		}
	}
	for _, l := range c.loaders {
		if err := l.Sync(ctx); err != nil {
			return out, err
		}
	}
	if err := c.seals(); err != nil {
		return out, err
	}
	return out, c.loaders[0].Finished(ctx)
}

// begin readies the destination: empty, or the same copy that was stopped.
func (c *copier) begin() error {
	head, err := c.snap.Head(c.ctx)
	if err != nil {
		return err
	}
	if head.Unfinished != "" {
		return fmt.Errorf("the source isn't whole: a %s was stopped before its end", head.Unfinished)
	}
	if err := (&Manifest{Peppers: head.Peppers}).RightPepper(c.o.Pepper); err != nil {
		return err
	}
	for i := range c.snap.Parts {
		p := &c.snap.Parts[i]
		l, err := store.OpenLoader(c.ctx, c.o.To, p.Part, p.Schema, c.o.Log)
		if err != nil {
			return err
		}
		c.loaders = append(c.loaders, l)
		for j := range p.Tables {
			if !skipped(&p.Tables[j]) {
				n, err := p.Count(c.ctx, &p.Tables[j])
				if err != nil {
					return err
				}
				c.all += n
			}
		}
	}
	var names []string
	for _, p := range c.snap.Parts {
		names = append(names, p.Name)
	}
	what := fmt.Sprintf("copy of %s (%s) at change %d, entry %d, epoch %d", head.Origin, strings.Join(names, " "), head.Feed, head.Audit, head.Epoch)
	have, err := c.loaders[0].Unfinished(c.ctx)
	switch {
	case err != nil:
		return err
	case have == what:
		c.out.Resumed = true
		return nil
	case have != "":
		return postern.Errorf(postern.CodeConflict, "The destination holds something else that was stopped before its end: a %s. Empty it first.", have)
	}
	for _, l := range c.loaders {
		if empty, err := l.Empty(c.ctx); err != nil {
			return err
		} else if !empty {
			return postern.Errorf(postern.CodeConflict, "The destination isn't empty. A database is copied into an empty one only.")
		}
	}
	for i, l := range c.loaders {
		mark := ""
		if i == 0 {
			mark = what
		}
		if err := l.Clear(c.ctx, mark); err != nil {
			return err
		}
	}
	return nil
}

// skipped says which tables are about running nodes, and stay behind.
func skipped(t *store.Table) bool { return slices.Contains(store.OfNodes(), t.Name) }

// each runs fn on every table that is copied.
func (c *copier) each(fn func(p *store.PartSnapshot, l *store.Loader, t *store.Table) error) error {
	for i := range c.snap.Parts {
		p := &c.snap.Parts[i]
		for j := range p.Tables {
			if t := &p.Tables[j]; !skipped(t) {
				if err := fn(p, c.loaders[i], t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *copier) tell(what string) {
	if c.o.Progress != nil {
		c.o.Progress(what, c.done, c.all)
	}
}

func (c *copier) copy() error {
	return c.each(func(p *store.PartSnapshot, l *store.Loader, t *store.Table) error {
		after, err := c.stands(l, t)
		if err != nil {
			return err
		}
		for {
			rows, err := p.RowsAfter(c.ctx, t, after, batchRows)
			if err != nil || len(rows) == 0 {
				return err
			}
			if err := l.Insert(c.ctx, t.Name, t.Names(), rows); err != nil {
				return err
			}
			after = t.KeyOf(rows[len(rows)-1])
			c.done += int64(len(rows))
			c.out.Rows += int64(len(rows))
			c.tell("Copying")
		}
	})
}

// stands gives the key of the last row that is there already.
func (c *copier) stands(l *store.Loader, t *store.Table) ([]any, error) {
	if !c.out.Resumed {
		return nil, nil
	}
	if t.Name == "settings" { // it holds what says that this isn't finished
		return nil, l.ClearTable(c.ctx, t)
	}
	n, err := l.Count(c.ctx, t)
	if err != nil || n == 0 {
		return nil, err
	}
	c.done += n
	c.out.Before += n
	return l.LastKey(c.ctx, t)
}

// compare reads both sides again, a stretch at a time.
func (c *copier) compare() error {
	c.done = 0
	return c.each(func(p *store.PartSnapshot, l *store.Loader, t *store.Table) error {
		done := TableCopy{Part: p.Name, Table: t.Name}
		whole := sha256.New()
		var after []any
		for {
			left, err := p.RowsAfter(c.ctx, t, after, compareRows)
			if err != nil {
				return err
			}
			// By the source's key, which may have fewer columns: where rows lie in partitions, theirs is in the key too.
			right, err := l.RowsAfter(c.ctx, t, after, len(left)+1)
			if err != nil {
				return err
			}
			if len(left) == compareRows && len(right) > len(left) {
				right = right[:len(left)]
			}
			a, err := digestRows(t, left)
			if err != nil {
				return err
			}
			b, err := digestRows(t, right)
			if err != nil {
				return err
			}
			if a != b {
				return postern.Errorf(postern.CodeConflict, "The table %s is not the same on both sides after row %d. Someone wrote to one of them meanwhile. Empty the destination and copy again.", t.Name, done.Rows)
			}
			if len(left) == 0 {
				done.SHA256 = hex.EncodeToString(whole.Sum(nil))
				c.out.Tables = append(c.out.Tables, done)
				return nil
			}
			whole.Write([]byte(a))
			done.Chunks = append(done.Chunks, ChunkCopy{len(left), a})
			done.Rows += int64(len(left))
			after = t.KeyOf(left[len(left)-1])
			c.done += int64(len(left))
			c.tell("Comparing")
		}
	})
}

func digestRows(t *store.Table, rows [][]any) (string, error) {
	h := sha256.New()
	var b []byte
	for _, r := range rows {
		var err error
		if b, err = appendRow(b[:0], t, r); err != nil {
			return "", err
		}
		h.Write(append(b, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// seals holds the copied rows against their seals.
func (c *copier) seals() (err error) {
	records := store.Records()
	db, err := store.OpenDB(c.ctx, c.o.To.Target(&records), c.o.Pepper, c.o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c.out.Seals, err = db.CheckSeals(c.ctx)
	return err
}
