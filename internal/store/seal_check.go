package store

import (
	"context"
	"fmt"
	"log/slog"

	"postern.dev/postern"
)

// SealReport is what CheckSeals found.
type SealReport struct {
	Rows    int64    `json:"rows"`
	Broken  int64    `json:"broken"`
	Samples []string `json:"samples,omitempty"` // the first of those: table and key
}

// CheckSeals holds every sealed row against its seal: those of credentials, and
// those of everything else that gives someone a power.
func (d *DB) CheckSeals(ctx context.Context) (r SealReport, err error) {
	bad := func(table string, key ...any) {
		if r.Broken++; len(r.Samples) < 10 {
			r.Samples = append(r.Samples, table+" "+fmt.Sprint(key...))
		}
	}
	rows, err := d.r.QueryContext(ctx, "select "+credentialColumns+" from credentials c")
	err = eachRow(rows, err, func(s scanner) error {
		c, err := scanCredential(s)
		if err != nil {
			return err
		}
		if r.Rows++; !c.Sealed(d.seals.pepper) {
			bad("credentials", c.Key)
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	for _, t := range allSealed {
		if err := d.checkSealed(ctx, t, &r, bad); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (d *DB) checkSealed(ctx context.Context, t *sealedTable, r *SealReport, bad func(string, ...any)) error {
	table, err := describe(ctx, d.r, d.Engine, t.name)
	if err != nil {
		return err
	}
	used := table.At("used_at")
	return readRows(ctx, d.r, d.Engine, &table, nil, 0, func(row []any) error {
		values := make([]any, len(t.columns))
		for i, c := range t.columns {
			values[i] = row[table.At(c)]
		}
		if t == singleUseTable && row[used] != int64(0) {
			return nil // the seal of one that was used is taken away
		}
		if t == catalogsTable { // the digest stands for the body
			body, _ := values[catalogBody].(string)
			if values[catalogBody] = ""; digestOf(body) != row[table.At("digest")] {
				values[catalogBody] = nil
			}
		}
		mac, _ := row[table.At("mac")].([]byte)
		version, _ := row[table.At("mac_pepper")].(int64)
		if r.Rows++; !fits(d.seals.pepper, t, values, mark{mac, version}) {
			bad(t.name, values[:t.keys]...)
		}
		return nil
	})
}

// fits reports whether a seal is that of these values.
func fits(p *postern.Pepper, t *sealedTable, values []any, m mark) bool {
	s := seals{pepper: p, log: slog.New(slog.DiscardHandler)}
	return !s.broken(t, values, m)
}
