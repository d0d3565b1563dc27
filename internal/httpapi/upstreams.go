package httpapi

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
)

// UpstreamInput names an upstream.
type UpstreamInput struct {
	ID string `path:"id" maxLength:"40" doc:"The upstream's id."`
}

type upstreamOutput struct{ Body api.Upstream }

type upstreamsOutput struct{ Body api.Page[api.Upstream] }

func (s *server) listUpstreams(ctx context.Context, _ *empty) (*upstreamsOutput, error) {
	all, err := s.kr.Upstreams(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	a, err := s.kr.Account(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &upstreamsOutput{api.Page[api.Upstream]{Items: make([]api.Upstream, len(all))}}
	for i := range all {
		out.Body.Items[i] = upstreamJSON(&all[i])
		if !a.Operator {
			// Where calls go inside is the operator's own affair.
			out.Body.Items[i].URL = ""
		}
	}
	return out, nil
}

type putUpstreamInput struct {
	UpstreamInput
	Body api.UpstreamSettings
}

func (s *server) putUpstream(ctx context.Context, in *putUpstreamInput) (*upstreamOutput, error) {
	b := &in.Body
	u := postern.Upstream{ID: postern.UpstreamID(in.ID), Name: b.Name, URL: b.URL, Host: b.Host, Prefix: b.Prefix,
		Options: postern.UpstreamOptions{StripPrefix: b.StripPrefix, Errors: b.Errors, CollapseLeadingSlash: b.CollapseLeadingSlash,
			AllowSemicolon: b.AllowSemicolon, Preflight: b.Preflight, KeepCredential: b.KeepCredential,
			Trailers: b.Trailers, Upgrades: b.Upgrades, InsecureSkipTLSVerify: b.InsecureSkipTLSVerify}}
	if b.Timeout != "" {
		var err error
		if u.Options.Timeout, err = time.ParseDuration(b.Timeout); err != nil {
			return nil, postern.Invalidf("timeout", "A timeout is written as 30s or 2m.")
		}
	}
	u, err := s.kr.PutUpstream(ctx, by(ctx), u)
	if err != nil {
		return nil, err
	}
	return &upstreamOutput{upstreamJSON(&u)}, nil
}

func (s *server) deleteUpstream(ctx context.Context, in *UpstreamInput) (*empty, error) {
	return nil, s.kr.DeleteUpstream(ctx, by(ctx), postern.UpstreamID(in.ID))
}

func upstreamJSON(u *postern.Upstream) api.Upstream {
	o := &u.Options
	set := api.UpstreamSettings{Name: u.Name, URL: u.URL, Host: u.Host, Prefix: u.Prefix, StripPrefix: o.StripPrefix, Errors: o.Errors,
		CollapseLeadingSlash: o.CollapseLeadingSlash, AllowSemicolon: o.AllowSemicolon, Preflight: o.Preflight,
		KeepCredential: o.KeepCredential, Trailers: o.Trailers, Upgrades: o.Upgrades, InsecureSkipTLSVerify: o.InsecureSkipTLSVerify}
	if o.Timeout > 0 {
		set.Timeout = o.Timeout.String()
	}
	return api.Upstream{ID: string(u.ID), UpstreamSettings: set, CatalogVersion: u.CatalogVersion, CreatedAt: u.CreatedAt, Revision: u.Revision}
}
