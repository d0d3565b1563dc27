package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
)

const listCampaigns = "m"

// registerCampaigns is the rotation of many keys by a date.
func (s *server) registerCampaigns(a huma.API) {
	const read, write = postern.PermKeysRead, postern.PermKeysWrite
	huma.Register(a, op("GET /v1/campaigns", "listCampaigns", "List rotations of many keys", read), s.listCampaigns)
	huma.Register(a, op("POST /v1/campaigns/choose", "chooseCampaign", "See which keys a rotation of many would be about", write), s.chooseCampaign)
	huma.Register(a, made(op("POST /v1/campaigns", "startCampaign", "Ask for many keys to be rotated by a date", write)), s.startCampaign)
	huma.Register(a, op("GET /v1/campaigns/{id}", "readCampaign", "See how a rotation of many keys stands", read), s.readCampaign)
	huma.Register(a, op("POST /v1/campaigns/{id}/close", "closeCampaign", "Close a rotation of many keys", write), s.closeCampaign)
	huma.Register(a, report(op("GET /v1/campaigns/{id}/report", "exportCampaign", "Download the report of a rotation of many keys", read)), s.exportCampaign)
}

type listCampaignsInput struct{ Paging }

type campaignsOutput struct{ Body api.Page[api.Campaign] }

func (s *server) listCampaigns(ctx context.Context, in *listCampaignsInput) (*campaignsOutput, error) {
	at, err := readCursor(listCampaigns, in.Cursor, 2)
	if err != nil {
		return nil, err
	}
	var after store.Cursor
	if at != nil {
		if after.At, err = strconv.ParseInt(at[0], 10, 64); err != nil || after.At < 1 {
			return nil, errCursor
		}
		after.ID = at[1]
	}
	rows, err := s.kr.Campaigns(ctx, by(ctx), after, in.n()+1)
	if err != nil {
		return nil, err
	}
	out := &campaignsOutput{api.Page[api.Campaign]{Items: []api.Campaign{}}}
	for i := range rows[:min(in.n(), len(rows))] {
		if rows[i].Altered {
			continue
		}
		st, err := s.kr.Campaign(ctx, by(ctx), rows[i].ID)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, campaignJSON(rotation.Standing(st, s.now()), false))
	}
	if len(rows) > in.n() {
		last := &rows[in.n()-1]
		out.Body.NextCursor = writeCursor(listCampaigns, strconv.FormatInt(int64(postern.ToMicros(last.CreatedAt)), 10), last.ID)
	}
	return out, nil
}

func choiceOf(in *api.CampaignChoice) (out keyring.CampaignChoice, err error) {
	out = keyring.CampaignChoice{MadeBy: postern.MemberID(in.MadeBy), Name: in.Name, Scope: postern.Scope(in.Scope), All: in.All}
	if in.KeyIDs != nil {
		out.IDs = list[postern.KeyID](in.KeyIDs)
	}
	if in.OlderThan != "" {
		if out.OlderThan, err = time.ParseDuration(in.OlderThan); err != nil || out.OlderThan <= 0 {
			return out, postern.Invalidf("olderThan", "A time is written as 2160h.")
		}
	}
	return out, nil
}

type chooseCampaignInput struct{ Body api.CampaignChoice }

type candidatesOutput struct{ Body api.CampaignCandidates }

func (s *server) chooseCampaign(ctx context.Context, in *chooseCampaignInput) (*candidatesOutput, error) {
	choice, err := choiceOf(&in.Body)
	if err != nil {
		return nil, err
	}
	found, err := s.kr.ChooseCampaign(ctx, by(ctx), choice)
	if err != nil {
		return nil, err
	}
	out := api.CampaignCandidates{Items: []api.CampaignCandidate{}}
	for i := range found {
		c := &found[i]
		if c.Why == "" {
			out.Chosen++
		}
		people := []api.Person{}
		for k := range c.Keepers {
			people = append(people, api.Person{ID: string(c.Keepers[k].ID), Name: c.Keepers[k].Name})
		}
		out.Items = append(out.Items, api.CampaignCandidate{ID: string(c.Key.ID), Name: c.Key.Name, SecretMadeAt: c.Key.Current.MadeAt, LookedAfterBy: people, Why: c.Why, Note: c.Note})
	}
	return &candidatesOutput{out}, nil
}

type startCampaignInput struct {
	Idempotency string `header:"Idempotency-Key" maxLength:"200" doc:"Makes it safe to send this request again: it starts one campaign. Another body under the same name is a conflict (409)."`
	Body        api.NewCampaign
}

type campaignOutput struct{ Body api.Campaign }

func (s *server) startCampaign(ctx context.Context, in *startCampaignInput) (*campaignOutput, error) {
	choice, err := choiceOf(&in.Body.Choose)
	if err != nil {
		return nil, err
	}
	c, err := s.kr.StartCampaign(ctx, by(ctx), keyring.NewCampaign{Name: in.Body.Name, Words: in.Body.Words, Deadline: cut(in.Body.Deadline), Choice: choice, Idempotency: in.Idempotency})
	if err != nil {
		return nil, err
	}
	return s.campaign(ctx, c.ID)
}

// CampaignInput names a campaign. It is exported for huma.
type CampaignInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *server) readCampaign(ctx context.Context, in *CampaignInput) (*campaignOutput, error) {
	s.activity.Settle(ctx)
	return s.campaign(ctx, in.ID)
}

func (s *server) campaign(ctx context.Context, id string) (*campaignOutput, error) {
	c, err := rotation.CampaignOf(ctx, s.kr, s.activity, by(ctx), id, s.now())
	if err != nil {
		return nil, err
	}
	return &campaignOutput{campaignJSON(c, true)}, nil
}

type closeCampaignInput struct {
	CampaignInput
	Body *api.MigrationNote
}

func (s *server) closeCampaign(ctx context.Context, in *closeCampaignInput) (*campaignOutput, error) {
	why := ""
	if in.Body != nil {
		why = in.Body.Note
	}
	if _, err := s.kr.CloseCampaign(ctx, by(ctx), in.ID, why); err != nil {
		return nil, err
	}
	return s.campaign(ctx, in.ID)
}

func (s *server) exportCampaign(ctx context.Context, in *CampaignInput) (*huma.StreamResponse, error) {
	s.activity.Settle(ctx)
	st, err := rotation.CampaignReport(ctx, s.kr, s.activity, by(ctx), in.ID, s.now())
	if err != nil {
		return nil, err
	}
	e := by(ctx).Entry(s.now(), "campaign.export", st.ID)
	e.Name, e.After = st.Name, map[string]any{"format": "csv", "keys": len(st.Keys)}
	if _, err := s.cfg.DB.Write(ctx, func(tx *store.Tx) error { return tx.InsertAudit(ctx, e) }); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "text/csv; charset=utf-8")
		c.SetHeader("Content-Disposition", `attachment; filename="rotation.csv"`)
		c.SetHeader("Cache-Control", "no-store")
		c.SetStatus(http.StatusOK)
		_ = rotation.WriteCampaign(c.BodyWriter(), st)
	}}, nil
}

func campaignJSON(c *rotation.Campaign, keys bool) api.Campaign {
	person := func(id postern.MemberID) api.Person { return api.Person{ID: string(id), Name: c.MemberName(id)} }
	n := c.Counts
	out := api.Campaign{ID: c.ID, Name: c.Name, Words: c.Words, ChosenBy: c.ChosenBy, MadeBy: person(c.MadeBy), Deadline: c.Deadline, CreatedAt: c.CreatedAt, ClosedAt: c.ClosedAt,
		All: c.All(), Left: c.Left(), Lost: c.Lost(), Counts: api.CampaignCounts{Waiting: n[rotation.KeyWaits], Rotating: n[rotation.KeyRotating], Done: n[rotation.KeyDone],
			Overdue: n[rotation.KeyOverdue], Ended: n[rotation.KeyEnded]}}
	if !keys {
		return out
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		row := api.CampaignKey{ID: string(k.ID), Name: k.Name, State: string(k.State), LookedAfterBy: []api.Person{}, RotatedAt: k.RotatedAt, OldEndsAt: k.OldEndsAt, Still: k.Still, Callers: k.Callers}
		for m := range k.Keepers {
			row.LookedAfterBy = append(row.LookedAfterBy, person(k.Keepers[m].ID))
		}
		if k.RotatedBy != "" {
			by := person(k.RotatedBy)
			row.RotatedBy = &by
		}
		out.Keys = append(out.Keys, row)
	}
	return out
}
