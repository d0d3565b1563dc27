package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// BuiltinURL is how the URL of an upstream starts that is compiled in.
const BuiltinURL = "builtin:"

// ReservedUpstream is the id of Postern's own API, which is no upstream that anyone can set.
const ReservedUpstream postern.UpstreamID = "postern"

// OnlyNew, as the revision of an upstream that is put, asks that there is none of its id.
const OnlyNew int64 = -1

// PutUpstream adds an upstream or changes one. Where in.Revision isn't 0 it is the
// one that its editor saw, or OnlyNew; the change fails if it is another by now.
// Only members of the operator's account can.
func (kr *Keyring) PutUpstream(ctx context.Context, by postern.Actor, in postern.Upstream) (out postern.Upstream, err error) {
	seen := in.Revision
	_, err = kr.change(ctx, by, "upstream.update", string(in.ID), func(c *change) error {
		if _, err := c.operator(postern.PermCatalogWrite); err != nil {
			return err
		}
		if err := checkUpstream(&in); err != nil {
			return err
		}
		old, err := c.Upstream(c.ctx, in.ID)
		switch {
		case err == nil && seen == OnlyNew:
			e := postern.Errorf(postern.CodeConflict, "There is an API with this id. Choose another, or change that one.")
			e.Field = "id"
			return e
		case seen > 0 && (err == nil && old.Revision != seen || errors.Is(err, postern.CodeNotFound)):
			return postern.Errorf(postern.CodePrecondition, "This API was changed by someone else in the meantime. Look at their change before saving yours.")
		case errors.Is(err, postern.CodeNotFound):
			in.CreatedAt, in.CatalogVersion, in.Revision = c.now, 0, 0
		case err != nil:
			return err
		default:
			in.CreatedAt, in.CatalogVersion, in.Revision = old.CreatedAt, old.CatalogVersion, old.Revision
		}
		if err := c.mountable(in); err != nil {
			return err
		}
		if err := c.Tx.PutUpstream(c.ctx, &in); err != nil {
			return err
		}
		out = in
		if err := c.feed(postern.ChangeCatalog, "", string(in.ID)); err != nil {
			return err
		}
		return c.audit("upstream.update", string(in.ID), in.Name, diff(upstreamFacts(&old), upstreamFacts(&in)))
	})
	return out, err
}

// mountable refuses an upstream that stands where another one stands.
func (c *change) mountable(in postern.Upstream) error {
	all, err := c.Upstreams(c.ctx)
	if err != nil {
		return err
	}
	for _, u := range all {
		if u.ID != in.ID && strings.EqualFold(u.Host, in.Host) && u.Prefix == in.Prefix {
			return postern.Errorf(postern.CodeConflict, "The upstream %q is at the same host and path prefix. Give this one another host or prefix.", string(u.ID))
		}
	}
	return nil
}

func checkUpstream(u *postern.Upstream) (err error) {
	id := string(u.ID)
	if len(id) == 0 || len(id) > 40 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || u.ID == ReservedUpstream {
		return postern.Invalidf("id", "An upstream's id is 1 to 40 of a-z, 0-9, - and _, and not %q.", string(ReservedUpstream))
	}
	if u.Name == "" {
		u.Name = id
	}
	if u.Name, err = text("name", u.Name, postern.MaxNameLen, true); err != nil {
		return err
	}
	if !strings.HasPrefix(u.URL, BuiltinURL) {
		t, err := url.Parse(u.URL)
		if err != nil || t.Scheme != "http" && t.Scheme != "https" || t.Host == "" || t.User != nil || t.RawQuery != "" || t.Fragment != "" {
			return postern.Invalidf("url", "An upstream's URL is http:// or https:// with a host and perhaps a path; no user, query or fragment.")
		}
	}
	u.Host = strings.ToLower(strings.TrimSuffix(u.Host, "."))
	if strings.ContainsAny(u.Host, "/:@? \\") || len(u.Host) > 253 {
		return postern.Invalidf("host", "A host is a name such as api.example.org, without scheme, port or path.")
	}
	u.Prefix = strings.TrimSuffix(u.Prefix, "/")
	if _, err := catalog.NewRouter([]catalog.Mount{{Upstream: u.ID, Host: u.Host, Prefix: u.Prefix}}); err != nil || (u.Prefix != "" && u.Prefix[0] != '/') {
		return postern.Invalidf("prefix", "A path prefix is plain and starts with a slash: /crm")
	}
	switch u.Options.Errors {
	case "":
		u.Options.Errors = postern.ErrorsProblem
	case postern.ErrorsProblem, postern.ErrorsHubSpot:
	default:
		return postern.Invalidf("errors", "There is no dialect %q; there are %s and %s.", u.Options.Errors, postern.ErrorsProblem, postern.ErrorsHubSpot)
	}
	if u.Options.Timeout < 0 || u.Options.Timeout > time.Hour {
		return postern.Invalidf("timeout", "A timeout is from 0 (the default) to one hour.")
	}
	return nil
}

func upstreamFacts(u *postern.Upstream) map[string]any {
	if u.ID == "" {
		return nil
	}
	return map[string]any{"name": u.Name, "url": u.URL, "host": u.Host, "prefix": u.Prefix, "options": u.Options, "catalogVersion": u.CatalogVersion}
}

// DeleteUpstream removes an upstream: its calls are refused from then on. The
// versions of its catalog stay as history.
func (kr *Keyring) DeleteUpstream(ctx context.Context, by postern.Actor, id postern.UpstreamID) error {
	_, err := kr.change(ctx, by, "upstream.delete", string(id), func(c *change) error {
		if _, err := c.operator(postern.PermCatalogWrite); err != nil {
			return err
		}
		old, err := c.Upstream(c.ctx, id)
		if err != nil {
			return err
		}
		if err := c.Tx.DeleteUpstream(c.ctx, id); err != nil {
			return err
		}
		if err := c.feed(postern.ChangeCatalog, "", string(id)); err != nil {
			return err
		}
		return c.audit("upstream.delete", string(id), old.Name, diff(upstreamFacts(&old), nil))
	})
	return err
}

// Upstreams lists the upstreams.
func (kr *Keyring) Upstreams(ctx context.Context, by postern.Actor) ([]postern.Upstream, error) {
	if err := kr.reader(ctx, by, postern.PermCatalogRead); err != nil {
		return nil, err
	}
	return kr.db.Upstreams(ctx)
}

// KeyTouched is a live key that a new catalog gives something to or takes something from.
type KeyTouched struct {
	AccountID postern.AccountID
	ID        postern.KeyID
	Name      string
	Effect    catalog.Effect
}

// Loaded is what loading a catalog did, or would do.
type Loaded struct {
	Version int64 // 0 for a dry run, and where nothing changed
	Diff    *catalog.Diff
	Keys    []KeyTouched
}

// LoadCatalog puts a new version of an upstream's catalog in force, in one
// transaction; with dry it tells what that would do and changes nothing. New
// scopes never attach to old keys by themselves. Only members of the operator's
// account can.
func (kr *Keyring) LoadCatalog(ctx context.Context, by postern.Actor, id postern.UpstreamID, cat *catalog.Catalog, dry bool) (out Loaded, err error) {
	return kr.loadCatalog(ctx, by, id, cat, dry, -1)
}

// LoadCatalogOver is LoadCatalog for who saw what it changes: it fails unless the
// version in force is still over, 0 for none.
func (kr *Keyring) LoadCatalogOver(ctx context.Context, by postern.Actor, id postern.UpstreamID, cat *catalog.Catalog, over int64) (Loaded, error) {
	return kr.loadCatalog(ctx, by, id, cat, false, over)
}

func (kr *Keyring) loadCatalog(ctx context.Context, by postern.Actor, id postern.UpstreamID, cat *catalog.Catalog, dry bool, over int64) (out Loaded, err error) {
	undo := errors.New("dry run")
	// Alone: it looks at all keys.
	_, err = kr.changeAlone(ctx, by, "catalog.load", string(id), func(c *change) error {
		m, err := c.operator(postern.PermCatalogWrite)
		if err != nil {
			return err
		}
		out = Loaded{}
		up, err := c.Upstream(c.ctx, id)
		if err != nil {
			return err
		}
		if over >= 0 && up.CatalogVersion != over {
			return postern.Errorf(postern.CodePrecondition, "Another version was loaded in the meantime. Check again, so that you see what would change now.")
		}
		if up.Altered {
			return postern.Errorf(postern.CodeConflict, "The record of the upstream %q was altered outside of Postern, so no call reaches it. Set it anew with postern upstreams set, then load its catalog.", string(id))
		}
		if _, err := catalog.Compile(cat, func(postern.Scope) postern.ScopeID { return 1 }); err != nil {
			return err
		}
		old := &catalog.Catalog{Upstream: id}
		if up.CatalogVersion != 0 {
			if old, err = readCatalog(c.ctx, c, id, up.CatalogVersion); err != nil {
				return err
			}
		}
		out.Diff = catalog.Compare(old, cat)
		if out.Keys, err = c.touched(out.Diff); err != nil {
			return err
		}
		if dry {
			return undo
		}
		body, err := cat.Marshal()
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		v := store.CatalogVersion{Upstream: id, Title: cat.Title, Digest: hex.EncodeToString(sum[:]), Body: string(body), LoadedBy: m.ID, LoadedAt: c.now}
		if up.CatalogVersion != 0 {
			if have, err := c.Catalog(c.ctx, id, up.CatalogVersion); err != nil {
				return err
			} else if have.Digest == v.Digest {
				return nil
			}
		}
		if err := c.InsertCatalog(c.ctx, &v); err != nil {
			return err
		}
		up.CatalogVersion, out.Version = v.Version, v.Version
		if err := c.Tx.PutUpstream(c.ctx, &up); err != nil {
			return err
		}
		if err := c.feed(postern.ChangeCatalog, "", string(id)); err != nil {
			return err
		}
		return c.audit("catalog.load", string(id), cat.Title, diff(nil, map[string]any{"version": v.Version, "digest": v.Digest,
			"operations": len(cat.Operations), "scopes": len(cat.Scopes), "keysTouched": len(out.Keys)}))
	})
	if errors.Is(err, undo) {
		err = nil
	}
	return out, err
}

// touched gives the live keys that a difference of catalogs changes something for.
func (c *change) touched(d *catalog.Diff) ([]KeyTouched, error) {
	var out []KeyTouched
	err := c.KeysOf(c.ctx, func(a postern.AccountID, id postern.KeyID, name string, scopes []postern.Scope) error {
		if e := d.Effect(catalog.Holder{Kind: postern.KindServiceKey, Scopes: scopes}); e.Touched() {
			out = append(out, KeyTouched{a, id, name, e})
		}
		return nil
	})
	return out, err
}

func readCatalog(ctx context.Context, q catalogReader, id postern.UpstreamID, version int64) (*catalog.Catalog, error) {
	row, err := q.Catalog(ctx, id, version)
	if err != nil {
		return nil, err
	}
	cat, err := catalog.Unmarshal([]byte(row.Body))
	if err != nil {
		return nil, fmt.Errorf("keyring: catalog %s version %d: %w", id, version, err)
	}
	return cat, nil
}

// Catalog reads the catalog of an upstream: a version of it, or with 0 the one in force.
func (kr *Keyring) Catalog(ctx context.Context, by postern.Actor, id postern.UpstreamID, version int64) (*catalog.Catalog, int64, error) {
	if err := kr.reader(ctx, by, postern.PermCatalogRead); err != nil {
		return nil, 0, err
	}
	if version == 0 {
		up, err := kr.db.Upstream(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if version = up.CatalogVersion; version == 0 {
			return nil, 0, postern.Errorf(postern.CodeNotFound, "The upstream %q has no catalog yet. Load one with: postern catalog load", string(id))
		}
	}
	cat, err := readCatalog(ctx, kr.db, id, version)
	return cat, version, err
}

// CatalogVersions lists the versions of an upstream's catalog, newest first.
func (kr *Keyring) CatalogVersions(ctx context.Context, by postern.Actor, id postern.UpstreamID) ([]store.CatalogVersion, error) {
	if err := kr.reader(ctx, by, postern.PermCatalogRead); err != nil {
		return nil, err
	}
	return kr.db.CatalogVersions(ctx, id)
}

// Audit reads up to n entries of the account's audit log, newest first, before a number.
func (kr *Keyring) Audit(ctx context.Context, by postern.Actor, f store.AuditFilter, before int64, n int) ([]postern.AuditEntry, error) {
	if err := kr.reader(ctx, by, postern.PermAuditRead); err != nil {
		return nil, err
	}
	return kr.db.AuditPage(ctx, by.AccountID, f, before, n)
}

// MayReadAudit checks that someone may read the account's audit log.
func (kr *Keyring) MayReadAudit(ctx context.Context, by postern.Actor) error {
	return kr.reader(ctx, by, postern.PermAuditRead)
}

// MayReadActivity checks that someone may read the account's activity.
func (kr *Keyring) MayReadActivity(ctx context.Context, by postern.Actor) error {
	return kr.reader(ctx, by, postern.PermActivityRead)
}
