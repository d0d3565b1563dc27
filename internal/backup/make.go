package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Options say what is backed up.
type Options struct {
	From    store.Place
	Parts   []store.Part // the records first
	Without []string     // parts that are left out
	Pepper  *postern.Pepper
	Brand   string
	Version string // of this binary
	// Progress, where given, is told of the rows that were written.
	Progress func(rows int64)
}

// Report says what a backup holds.
type Report struct {
	Manifest Manifest `json:"manifest"`
	Tables   []Digest `json:"tables"`
	Trailer  Trailer  `json:"trailer"`
	Bytes    int64    `json:"bytes"` // as written
}

// Make writes a backup, encrypted, of the database as it is at one moment. A
// server may be running on it.
func Make(ctx context.Context, w io.Writer, to *Recipients, o Options) (r Report, err error) {
	parts := slices.DeleteFunc(slices.Clone(o.Parts), func(p store.Part) bool { return slices.Contains(o.Without, p.Name) })
	snap, err := store.OpenSnapshot(ctx, o.From, parts)
	if err != nil {
		return r, err
	}
	defer snap.Close()
	if r.Manifest, err = describe(ctx, snap, &o); err != nil {
		return r, err
	}
	count := &counter{w: w}
	sealed, err := to.Encrypt(count)
	if err != nil {
		return r, err
	}
	out, err := NewWriter(sealed, &r.Manifest)
	if err != nil {
		return r, err
	}
	if r.Tables, err = writeParts(ctx, out, snap, o.Progress); err != nil {
		return r, err
	}
	if r.Trailer, err = out.Close(o.Pepper); err != nil {
		return r, err
	}
	if err := sealed.Close(); err != nil {
		return r, fmt.Errorf("backup: write: %w", err)
	}
	r.Bytes = count.n
	return r, nil
}

// describe makes the manifest.
func describe(ctx context.Context, snap *store.Snapshot, o *Options) (m Manifest, err error) {
	head, err := snap.Head(ctx)
	if err != nil {
		return m, err
	}
	if head.Unfinished != "" {
		return m, errors.New("this database isn't whole: a restore or a copy into it was not finished")
	}
	m = Manifest{Postern: "backup", Format: Format, MadeAt: snap.Took.Format(time.RFC3339Nano), Version: o.Version, Engine: string(snap.Engine), Brand: o.Brand,
		Feed: head.Feed, Epoch: head.Epoch, Audit: head.Audit, Origin: head.Origin, Checkpoint: head.Checkpoint, Peppers: head.Peppers, Live: head.Live, Members: head.Members}
	for i := range snap.Parts {
		p := &snap.Parts[i]
		pm := PartManifest{Name: p.Name, Schema: p.Schema}
		for _, t := range p.Tables {
			if !slices.Contains(store.Passing(), t.Name) {
				pm.Tables = append(pm.Tables, t.Name)
			}
		}
		m.Parts = append(m.Parts, pm)
	}
	return m, m.RightPepper(o.Pepper)
}

func writeParts(ctx context.Context, out *Writer, snap *store.Snapshot, progress func(int64)) (list []Digest, err error) {
	for i := range snap.Parts {
		p := &snap.Parts[i]
		for j := range p.Tables {
			t := &p.Tables[j]
			if slices.Contains(store.Passing(), t.Name) {
				continue
			}
			if err := out.Table(p.Name, t); err != nil {
				return list, err
			}
			err := p.Rows(ctx, t, func(row []any) error {
				if progress != nil && out.done.Rows%1000 == 0 {
					progress(out.done.Rows)
				}
				return out.Row(row)
			})
			if err != nil {
				return list, err
			}
			rows, digest, err := out.EndTable()
			if err != nil {
				return list, err
			}
			list = append(list, Digest{p.Name, t.Name, rows, digest})
		}
	}
	return list, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
