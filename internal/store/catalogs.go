package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"postern.dev/postern"
)

func upstreamValues(u *postern.Upstream) []any {
	return []any{u.ID, u.Name, u.URL, u.Host, u.Prefix, asJSON(u.Options), u.CatalogVersion, micros(u.CreatedAt), u.Revision}
}

func (q *queries) scanUpstream(s scanner) (u postern.Upstream, err error) {
	var created int64
	var options string
	var m mark
	err = s.Scan(append([]any{&u.ID, &u.Name, &u.URL, &u.Host, &u.Prefix, &options, &u.CatalogVersion, &created, &u.Revision}, m.targets()...)...)
	if err != nil {
		return u, err
	}
	u.CreatedAt = fromMicros(created)
	if q.seals.broken(upstreamsTable, []any{u.ID, u.Name, u.URL, u.Host, u.Prefix, options, u.CatalogVersion, created, u.Revision}, m) {
		// Without a URL and a catalog no call reaches it, whoever forgets to ask about the seal.
		u.Altered, u.URL, u.CatalogVersion = true, "", 0
		return u, nil
	}
	return u, fromJSON(options, &u.Options)
}

// Upstreams reads all upstreams by id.
func (q *queries) Upstreams(ctx context.Context) ([]postern.Upstream, error) {
	rows, err := q.db.QueryContext(ctx, "select "+upstreamsTable.list("")+" from upstreams order by id")
	return collect(rows, err, q.scanUpstream)
}

// Upstream reads one upstream.
func (q *queries) Upstream(ctx context.Context, id postern.UpstreamID) (postern.Upstream, error) {
	return one(q.db.QueryRowContext(ctx, "select "+upstreamsTable.list("")+" from upstreams where id = $1", id), q.scanUpstream, "upstream")
}

// PutUpstream writes an upstream, new or not, and raises its revision. One whose
// record was altered is not written on; it is set anew.
func (tx *Tx) PutUpstream(ctx context.Context, u *postern.Upstream) error {
	if u.Altered {
		return errAltered("upstream", "Set it anew, then load its catalog.")
	}
	u.Revision++
	return tx.exec(ctx, "write upstream", upstreamsTable.put(), tx.seals.seal(upstreamsTable, upstreamValues(u))...)
}

// DeleteUpstream removes an upstream; its catalogs stay as history.
func (tx *Tx) DeleteUpstream(ctx context.Context, id postern.UpstreamID) error {
	return tx.execOne(ctx, "upstream", "delete from upstreams where id = $1", id)
}

// CatalogVersion is one version of an upstream's scope catalog.
type CatalogVersion struct {
	Upstream postern.UpstreamID
	Version  int64
	Title    string
	Digest   string // SHA-256 of the body, in hex
	Body     string // the catalog in its own encoding; empty in lists
	LoadedBy postern.MemberID
	LoadedAt time.Time
	// Altered is true where the record was changed by other means than Postern. Its
	// body is then a catalog of nothing, and its digest empty.
	Altered bool
}

// nothingCatalog is the body of a catalog without operations and scopes.
const nothingCatalog = `{"format":1}`

// values are what the seal covers: the digest stands for the body, so that lists need not read it.
func (c *CatalogVersion) values() []any {
	return []any{c.Upstream, c.Version, c.Title, c.Digest, "", c.LoadedBy, micros(c.LoadedAt)}
}

const catalogBody = 4 // the place of the body in the columns

func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func (q *queries) scanCatalog(whole bool) func(scanner) (CatalogVersion, error) {
	return func(s scanner) (c CatalogVersion, err error) {
		var at int64
		var m mark
		err = s.Scan(append([]any{&c.Upstream, &c.Version, &c.Title, &c.Digest, &c.Body, &c.LoadedBy, &at}, m.targets()...)...)
		if err != nil {
			return c, err
		}
		c.LoadedAt = fromMicros(at)
		sealed := c.values()
		if whole && digestOf(c.Body) != c.Digest {
			sealed[catalogBody] = nil // what no seal was made over
		}
		if q.seals.broken(catalogsTable, sealed, m) {
			c.Altered, c.Digest = true, ""
			if whole {
				c.Body = nothingCatalog
			}
		}
		return c, nil
	}
}

// Catalog reads a version of an upstream's catalog.
func (q *queries) Catalog(ctx context.Context, u postern.UpstreamID, version int64) (CatalogVersion, error) {
	return one(q.db.QueryRowContext(ctx, "select "+catalogsTable.list("")+" from catalogs where upstream_id = $1 and version = $2", u, version),
		q.scanCatalog(true), "catalog version")
}

// CatalogVersions lists the versions of an upstream's catalog, newest first, without their bodies.
func (q *queries) CatalogVersions(ctx context.Context, u postern.UpstreamID) ([]CatalogVersion, error) {
	rows, err := q.db.QueryContext(ctx, `select upstream_id, version, title, digest, '', loaded_by, loaded_at, mac, mac_pepper
		from catalogs where upstream_id = $1 order by version desc limit 200`, u)
	return collect(rows, err, q.scanCatalog(false))
}

// InsertCatalog writes the next version of an upstream's catalog and gives it its number and digest.
func (tx *Tx) InsertCatalog(ctx context.Context, c *CatalogVersion) error {
	err := tx.db.QueryRowContext(ctx, "select coalesce(max(version), 0) + 1 from catalogs where upstream_id = $1", c.Upstream).Scan(&c.Version)
	if err != nil {
		return fmt.Errorf("store: next catalog version: %w", err)
	}
	c.Digest = digestOf(c.Body)
	row := tx.seals.seal(catalogsTable, c.values())
	row[catalogBody] = c.Body
	return tx.exec(ctx, "insert catalog", catalogsTable.insert(), row...)
}
