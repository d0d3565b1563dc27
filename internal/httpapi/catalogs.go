package httpapi

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/catalog"
)

type loadCatalogInput struct {
	UpstreamInput
	Body api.CatalogLoad
}

type loadedOutput struct{ Body api.CatalogLoaded }

func (s *server) loadCatalog(ctx context.Context, in *loadCatalogInput) (*loadedOutput, error) {
	id, b := postern.UpstreamID(in.ID), &in.Body
	// Who may not load one is told so before megabytes are read, and on the record.
	if a, err := s.kr.Account(ctx, by(ctx)); err != nil {
		return nil, err
	} else if !a.Operator {
		if _, err := s.kr.LoadCatalog(ctx, by(ctx), id, &catalog.Catalog{Upstream: id}, true); err != nil {
			return nil, err
		}
	}
	cat, report, err := parseCatalog(ctx, id, b)
	if err != nil {
		return nil, err
	}
	out := &loadedOutput{api.CatalogLoaded{DryRun: b.DryRun, Report: reportJSON(report), Keys: []api.KeyTouched{},
		Diff: api.CatalogDiff{Operations: []api.OperationChange{}, Scopes: []api.ScopeChange{}}}}
	if b.DryRun && len(report.Conflicts) > 0 {
		return out, nil // it could not be loaded, and the report says why
	}
	loaded, err := s.kr.LoadCatalog(ctx, by(ctx), id, cat, b.DryRun)
	if err != nil {
		return nil, err
	}
	out.Body.Version, out.Body.Diff = loaded.Version, diffJSON(loaded.Diff)
	for i := range loaded.Keys {
		k := &loaded.Keys[i]
		out.Body.Keys = append(out.Body.Keys, api.KeyTouched{AccountID: string(k.AccountID), ID: string(k.ID), Name: k.Name,
			Gains: names(k.Effect.Gains), Loses: names(k.Effect.Loses)})
	}
	return out, nil
}

func parseCatalog(ctx context.Context, id postern.UpstreamID, b *api.CatalogLoad) (*catalog.Catalog, *catalog.Report, error) {
	opts := catalog.Options{Upstream: id, ScopesAny: b.ScopeRule == "any", BasePath: b.BasePath}
	if b.Overlay != nil {
		var err error
		if opts.Overlay, err = catalog.ParseOverlay(ctx, catalog.Source{Name: b.Overlay.Name, Data: []byte(b.Overlay.Text)}); err != nil {
			return nil, nil, err
		}
	}
	var sources []catalog.Source
	for i := range b.Documents {
		sources = append(sources, catalog.Source{Name: b.Documents[i].Name, Data: []byte(b.Documents[i].Text)})
		b.Documents[i].Text = "" // megabytes, which aren't needed twice
	}
	return catalog.Parse(ctx, sources, opts)
}

type readCatalogInput struct {
	UpstreamInput
	Version int64 `query:"version" minimum:"1" doc:"Left out: the one in force."`
}

type catalogOutput struct{ Body api.Catalog }

func (s *server) readCatalog(ctx context.Context, in *readCatalogInput) (*catalogOutput, error) {
	c, version, err := s.kr.Catalog(ctx, by(ctx), postern.UpstreamID(in.ID), in.Version)
	if err != nil {
		return nil, err
	}
	out := api.Catalog{Upstream: in.ID, Version: version, Title: c.Title, APIVersion: c.Version, Documents: make([]api.CatalogFile, len(c.Documents)),
		Operations: make([]api.Operation, len(c.Operations)), Scopes: make([]api.CatalogScope, len(c.Scopes))}
	for i, d := range c.Documents {
		out.Documents[i] = api.CatalogFile{Name: d.Name, SHA256: d.SHA256, Overlay: d.Overlay}
	}
	for i := range c.Operations {
		out.Operations[i] = operationJSON(&c.Operations[i])
	}
	for i, sc := range c.Scopes {
		out.Scopes[i] = api.CatalogScope{Name: string(sc.Name), Group: sc.Group, Access: string(sc.Access), Sensitive: sc.Sensitive, Implicit: sc.Implicit, Words: sc.Words}
	}
	return &catalogOutput{out}, nil
}

func operationJSON(op *catalog.Operation) api.Operation {
	out := api.Operation{Name: op.Name, Method: op.Method, Path: op.Path, Summary: op.Summary, Public: op.Public, Uncovered: op.Uncovered, Denied: op.Denied}
	for _, w := range op.Ways {
		kinds := []string{}
		for _, k := range w.Kinds.List() {
			kinds = append(kinds, k.String())
		}
		out.AnyOf = append(out.AnyOf, api.Way{AllOf: list[string](w.Scopes), Kinds: kinds})
	}
	return out
}

type versionsOutput struct{ Body api.Page[api.CatalogVersion] }

func (s *server) listCatalogVersions(ctx context.Context, in *UpstreamInput) (*versionsOutput, error) {
	id := postern.UpstreamID(in.ID)
	rows, err := s.kr.CatalogVersions(ctx, by(ctx), id)
	if err != nil {
		return nil, err
	}
	ups, err := s.kr.Upstreams(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	force, known := int64(0), len(rows) > 0
	for i := range ups {
		if ups[i].ID == id {
			force, known = ups[i].CatalogVersion, true
		}
	}
	if !known {
		return nil, postern.Errorf(postern.CodeNotFound, "There is no such upstream.")
	}
	out := &versionsOutput{api.Page[api.CatalogVersion]{Items: make([]api.CatalogVersion, len(rows))}}
	for i, v := range rows {
		out.Body.Items[i] = api.CatalogVersion{Version: v.Version, Title: v.Title, Digest: v.Digest, LoadedBy: string(v.LoadedBy), LoadedAt: v.LoadedAt, InForce: v.Version == force}
	}
	return out, nil
}

func reportJSON(r *catalog.Report) api.CatalogReport {
	return api.CatalogReport{Operations: r.Operations, Public: r.Public, Scopes: r.Scopes, Safe: !r.Unsafe(), Uncovered: findings(r.Uncovered),
		Unsatisfiable: findings(r.Unsatisfiable), Conflicts: findings(r.Conflicts), Problems: findings(r.Problems),
		Undeclared: findings(r.Undeclared), Unused: findings(r.Unused), Warnings: findings(r.Warnings)}
}

func findings(in []catalog.Finding) []api.Finding {
	out := make([]api.Finding, len(in))
	for i, f := range in {
		out[i] = api.Finding{File: f.File, Line: f.Line, Pointer: f.Pointer, Operation: f.Operation, Scope: string(f.Scope), Text: f.Text}
	}
	return out
}

func diffJSON(d *catalog.Diff) api.CatalogDiff {
	out := api.CatalogDiff{Operations: make([]api.OperationChange, len(d.Operations)), Scopes: make([]api.ScopeChange, len(d.Scopes))}
	for i := range d.Operations {
		c := &d.Operations[i]
		now := c.Op()
		out.Operations[i] = api.OperationChange{Change: changeOf(c.Before == nil, c.After == nil), Name: now.Name, Method: now.Method, Path: now.Path,
			Opens: list[string](c.Opens), Closes: list[string](c.Closes), BecomesPublic: c.BecomesPublic}
	}
	for i, c := range d.Scopes {
		which := c.After
		if which == nil {
			which = c.Before
		}
		out.Scopes[i] = api.ScopeChange{Change: changeOf(c.Before == nil, c.After == nil), Name: string(which.Name)}
	}
	return out
}

func changeOf(isNew, isGone bool) string {
	switch {
	case isNew:
		return api.ChangeNew
	case isGone:
		return api.ChangeGone
	}
	return api.ChangeChanged
}

func names(ops []*catalog.Operation) []string {
	out := make([]string, len(ops))
	for i, op := range ops {
		out[i] = op.Name
	}
	return out
}
