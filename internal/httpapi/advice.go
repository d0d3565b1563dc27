package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
)

type accountAdviceOutput struct{ Body api.AccountAdvice }

func (s *server) readAdvice(ctx context.Context, _ *struct{}) (*accountAdviceOutput, error) {
	o, err := s.advice.Account(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := api.AccountAdvice{Score: o.Score.Value(), Keys: o.Score.Keys, Lost: o.Score.Lost, AllKeys: o.Keys, Complete: o.Complete,
		Waiting: o.Waiting, Unrecorded: o.Unrecorded, Items: make([]api.Todo, len(o.Todos))}
	for i := range o.Todos {
		t := &o.Todos[i]
		out.Items[i] = api.Todo{KeyID: string(t.Key.ID), KeyName: t.Key.Name, KeyScore: t.Score, Worth: t.Worth, Advice: adviceJSON(&t.Finding)}
	}
	return &accountAdviceOutput{out}, nil
}

type keyAdviceOutput struct {
	ETag string `header:"ETag"`
	Body api.KeyAdvice
}

func (s *server) readKeyAdvice(ctx context.Context, in *KeyInput) (*keyAdviceOutput, error) {
	s.activity.Settle(ctx)
	r, err := s.advice.Key(ctx, by(ctx), postern.KeyID(in.ID))
	if err != nil {
		return nil, err
	}
	k := &r.Key
	out := api.KeyAdvice{KeyID: string(k.ID), KeyName: k.Name, Score: r.Score(), Since: r.Since, Days: r.Days, Wait: r.Wait, Calls: r.Calls,
		Unknown: r.Unknown, Exact: r.Exact, Scopes: make([]api.ScopeUse, len(r.Scopes)), Items: make([]api.Advice, len(r.Findings)),
		Watch: watchJSON(k.Watch), Revision: k.Revision}
	if k.Undo.Open(k.Revision, s.now()) {
		out.Undo = k.Undo.Until
	}
	for i := range r.Scopes {
		u := &r.Scopes[i]
		out.Scopes[i] = api.ScopeUse{Scope: string(u.Scope), State: string(u.State), Granted: u.Granted, First: u.First, Last: u.Last, Calls: u.Calls,
			IdleDays: u.Idle, Monthly: u.Monthly && u.Calls > 0, Instead: list[string](u.Instead)}
	}
	for i := range r.Findings {
		out.Items[i] = adviceJSON(&r.Findings[i])
	}
	return &keyAdviceOutput{etag(k.Revision), out}, nil
}

func adviceJSON(f *advice.Finding) api.Advice {
	out := api.Advice{Kind: string(f.Kind), Points: f.Points, Title: f.Title, Evidence: f.Evidence, FixWords: f.FixWords,
		DismissedAt: f.Dismissed, DismissedBy: string(f.DismissedBy)}
	out.Fix = api.Fix{Kind: string(f.Fix.Kind), Remove: list[string](f.Fix.Remove), Add: list[string](f.Fix.Add), ExpiresAt: f.Fix.ExpiresAt}
	out.Fix.Scopes, out.Fix.Networks = scopeTexts(f.Fix.Scopes), networkTexts(f.Fix.Networks)
	return out
}

func watchJSON(w *postern.Watch) *api.Watch {
	if w == nil {
		return nil
	}
	return &api.Watch{Scopes: scopeTexts(w.Scopes), Networks: networkTexts(w.Networks), Since: w.Since, By: string(w.By)}
}

func scopeTexts(in *[]postern.Scope) *[]string {
	if in == nil {
		return nil
	}
	out := list[string](*in)
	return &out
}

func networkTexts(in *[]netip.Prefix) *[]string {
	if in == nil {
		return nil
	}
	out := make([]string, len(*in))
	for i, n := range *in {
		out[i] = n.String()
	}
	return &out
}

// AdviceInput names advice of a kind on a key.
type AdviceInput struct {
	KeyInput
	Kind    string `path:"kind" maxLength:"40" doc:"The kind of advice."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
}

func (s *server) applyAdvice(ctx context.Context, in *AdviceInput) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	made, err := s.advice.Apply(ctx, by(ctx), postern.KeyID(in.ID), advice.Kind(in.Kind), revision)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, true), nil
}

type dismissInput struct {
	KeyInput
	Kind string `path:"kind" maxLength:"40" doc:"The kind of advice."`
	Body *api.Dismiss
}

func (s *server) dismissAdvice(ctx context.Context, in *dismissInput) (*struct{}, error) {
	aside := in.Body == nil || !in.Body.TakeUp
	return nil, s.advice.Dismiss(ctx, by(ctx), postern.KeyID(in.ID), advice.Kind(in.Kind), aside)
}

type narrowInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    *api.Narrow
}

func (s *server) narrowKey(ctx context.Context, in *narrowInput) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if in.Body == nil {
		in.Body = &api.Narrow{}
	}
	n := keyring.Narrowing{Pause: in.Body.Pause, Watch: in.Body.Watch, IfRevision: revision, Scopes: scopesOf(in.Body.Scopes)}
	if n.Networks, err = networksOf(in.Body.Networks); err != nil {
		return nil, err
	}
	if end := cut(in.Body.ExpiresAt); !end.IsZero() {
		n.ExpiresAt = &end
	}
	made, err := s.kr.NarrowKey(ctx, by(ctx), postern.KeyID(in.ID), n)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, !n.Watch), nil
}

func scopesOf(in *[]string) *[]postern.Scope {
	if in == nil {
		return nil
	}
	out := list[postern.Scope](*in)
	return &out
}

func networksOf(in *[]string) (*[]netip.Prefix, error) {
	if in == nil {
		return nil, nil
	}
	out, err := readNetworks(*in)
	return &out, err
}

// stepInput is a change that needs nothing but its key.
type stepInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
}

func (s *server) step(ctx context.Context, in *stepInput, do func(context.Context, postern.Actor, postern.KeyID, int64) (keyring.Made, error)) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	made, err := do(ctx, by(ctx), postern.KeyID(in.ID), revision)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, true), nil
}

func (s *server) enforceKey(ctx context.Context, in *stepInput) (*changedOutput, error) {
	return s.step(ctx, in, s.kr.EnforceKey)
}

func (s *server) unwatchKey(ctx context.Context, in *stepInput) (*changedOutput, error) {
	return s.step(ctx, in, s.kr.UnwatchKey)
}

func (s *server) undoKey(ctx context.Context, in *stepInput) (*changedOutput, error) {
	return s.step(ctx, in, s.kr.UndoKey)
}

type replayOutput struct{ Body api.Replay }

type watchedInput struct {
	KeyInput
	After int64  `query:"after" minimum:"0" doc:"The next of an answer that wasn't complete."`
	Wait  string `query:"wait" maxLength:"20" example:"5s" doc:"How long one answer may take: 1s unless said, at most 30s."`
}

func (s *server) readWatched(ctx context.Context, in *watchedInput) (*replayOutput, error) {
	s.activity.Settle(ctx)
	sp, err := s.span(ctx, &api.ReplaySpan{After: in.After, Wait: in.Wait})
	if err != nil {
		return nil, err
	}
	r, err := s.advice.Watched(ctx, by(ctx), postern.KeyID(in.ID), sp)
	return replayJSON(r), err
}

type whatIfInput struct {
	KeyInput
	Body *api.WhatIf
}

func (s *server) whatIf(ctx context.Context, in *whatIfInput) (*replayOutput, error) {
	if in.Body == nil {
		in.Body = &api.WhatIf{}
	}
	p := advice.Proposal{Scopes: scopesOf(in.Body.Scopes), ExpiresAt: optionalTime(in.Body.ExpiresAt)}
	var err error
	if p.Networks, err = networksOf(in.Body.Networks); err != nil {
		return nil, err
	}
	return s.replay(ctx, postern.KeyID(in.ID), &p, &in.Body.ReplaySpan)
}

type catalogWhatIfInput struct {
	UpstreamInput
	Body api.CatalogWhatIf
}

func (s *server) whatIfCatalog(ctx context.Context, in *catalogWhatIfInput) (*replayOutput, error) {
	// Megabytes are read for those who may load them.
	if err := s.kr.MayLoadCatalogs(ctx, by(ctx)); err != nil {
		return nil, err
	}
	cat, _, err := parseCatalog(ctx, postern.UpstreamID(in.ID), &in.Body.CatalogLoad)
	if err != nil {
		return nil, err
	}
	return s.replay(ctx, "", &advice.Proposal{Catalogs: []*catalog.Catalog{cat}}, &in.Body.ReplaySpan)
}

func (s *server) replay(ctx context.Context, id postern.KeyID, p *advice.Proposal, span *api.ReplaySpan) (*replayOutput, error) {
	s.activity.Settle(ctx)
	sp, err := s.span(ctx, span)
	if err != nil {
		return nil, err
	}
	r, err := s.advice.WhatIf(ctx, by(ctx), id, p, sp)
	return replayJSON(r), err
}

// span reads which calls are asked for, and gives the answer the time that it may take.
func (s *server) span(ctx context.Context, in *api.ReplaySpan) (sp advice.Span, err error) {
	sp.After, sp.To, sp.Within = in.After, cut(in.Until), time.Second
	if sp.To.IsZero() {
		sp.To = s.now()
	}
	days := in.Days
	if days == 0 {
		days = 7
	}
	sp.From = sp.To.AddDate(0, 0, -days)
	if in.Wait != "" {
		if sp.Within, err = time.ParseDuration(in.Wait); err != nil || sp.Within < 0 || sp.Within > advice.MaxWithin {
			return sp, postern.Invalidf("wait", "A wait is written as 5s, and at most 30s.")
		}
		// The server's own limit on writing would end the wait.
		_ = http.NewResponseController(stateOf(ctx).w).SetWriteDeadline(time.Now().Add(sp.Within + 30*time.Second))
	}
	return sp, nil
}

func replayJSON(r *advice.Replay) *replayOutput {
	if r == nil {
		return nil
	}
	out := api.Replay{From: r.From, Until: r.To, Looked: r.Looked, Refused: r.Refused, Already: r.Already, Fails: r.Fails, Unjudged: r.Unjudged,
		Items: make([]api.Failing, len(r.Refusals)), Others: r.Others, Complete: r.Complete, Reached: r.Reached}
	if !r.Complete {
		out.Next = r.After
	}
	for i := range r.Refusals {
		f := &r.Refusals[i]
		out.Items[i] = api.Failing{KeyID: string(f.Key), Upstream: string(f.Upstream), Operation: f.Operation, Method: f.Method, Reason: f.Reason.String(),
			MissingScopes: list[string](f.Missing), IP: f.IP, UserAgent: f.UserAgent, Calls: f.Calls, First: f.First, Last: f.Last}
	}
	return &replayOutput{out}
}
