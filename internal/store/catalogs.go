package store

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
)

const upstreamColumns = "id, name, url, host, prefix, options, catalog_version, created_at, revision"

func scanUpstream(s scanner) (u postern.Upstream, err error) {
	var created int64
	var options string
	err = s.Scan(&u.ID, &u.Name, &u.URL, &u.Host, &u.Prefix, &options, &u.CatalogVersion, &created, &u.Revision)
	if err != nil {
		return u, err
	}
	u.CreatedAt = fromMicros(created)
	return u, fromJSON(options, &u.Options)
}

// Upstreams reads all upstreams by id.
func (q *queries) Upstreams(ctx context.Context) ([]postern.Upstream, error) {
	rows, err := q.db.QueryContext(ctx, "select "+upstreamColumns+" from upstreams order by id")
	return collect(rows, err, scanUpstream)
}

// Upstream reads one upstream.
func (q *queries) Upstream(ctx context.Context, id postern.UpstreamID) (postern.Upstream, error) {
	return one(q.db.QueryRowContext(ctx, "select "+upstreamColumns+" from upstreams where id = $1", id), scanUpstream, "upstream")
}

// PutUpstream writes an upstream, new or not, and raises its revision.
func (tx *Tx) PutUpstream(ctx context.Context, u *postern.Upstream) error {
	u.Revision++
	return tx.exec(ctx, "write upstream", "insert into upstreams ("+upstreamColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (id) do update set name = excluded.name, url = excluded.url, host = excluded.host, prefix = excluded.prefix,
		options = excluded.options, catalog_version = excluded.catalog_version, revision = excluded.revision`,
		u.ID, u.Name, u.URL, u.Host, u.Prefix, asJSON(u.Options), u.CatalogVersion, micros(u.CreatedAt), u.Revision)
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
	Digest   string // SHA-256 of the documents and the overlay, in hex
	Body     string // the catalog in its own encoding; empty in lists
	LoadedBy postern.MemberID
	LoadedAt time.Time
}

// Catalog reads a version of an upstream's catalog.
func (q *queries) Catalog(ctx context.Context, u postern.UpstreamID, version int64) (CatalogVersion, error) {
	return one(q.db.QueryRowContext(ctx, `select upstream_id, version, title, digest, body, loaded_by, loaded_at
		from catalogs where upstream_id = $1 and version = $2`, u, version), scanCatalog, "catalog version")
}

func scanCatalog(s scanner) (c CatalogVersion, err error) {
	var at int64
	err = s.Scan(&c.Upstream, &c.Version, &c.Title, &c.Digest, &c.Body, &c.LoadedBy, &at)
	c.LoadedAt = fromMicros(at)
	return c, err
}

// CatalogVersions lists the versions of an upstream's catalog, newest first, without their bodies.
func (q *queries) CatalogVersions(ctx context.Context, u postern.UpstreamID) ([]CatalogVersion, error) {
	rows, err := q.db.QueryContext(ctx, `select upstream_id, version, title, digest, '', loaded_by, loaded_at
		from catalogs where upstream_id = $1 order by version desc limit 200`, u)
	return collect(rows, err, scanCatalog)
}

// InsertCatalog writes the next version of an upstream's catalog and gives it its number.
func (tx *Tx) InsertCatalog(ctx context.Context, c *CatalogVersion) error {
	err := tx.db.QueryRowContext(ctx, "select coalesce(max(version), 0) + 1 from catalogs where upstream_id = $1", c.Upstream).Scan(&c.Version)
	if err != nil {
		return fmt.Errorf("store: next catalog version: %w", err)
	}
	return tx.exec(ctx, "insert catalog", `insert into catalogs (upstream_id, version, title, digest, body, loaded_by, loaded_at)
		values ($1, $2, $3, $4, $5, $6, $7)`, c.Upstream, c.Version, c.Title, c.Digest, c.Body, c.LoadedBy, micros(c.LoadedAt))
}
