package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"postern.dev/postern/api"
)

// ChooseCampaign tells which keys a campaign would be about, and why some can't be rotated. It changes nothing.
func (c *Client) ChooseCampaign(ctx context.Context, in api.CampaignChoice) (out api.CampaignCandidates, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/campaigns/choose", nil, in, &out)
}

// StartCampaign starts a rotation of many keys by a date. Sent again with the same Idempotency-Key, it starts none twice.
func (c *Client) StartCampaign(ctx context.Context, in api.NewCampaign, opts ...RequestOption) (out api.Campaign, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/campaigns", nil, in, &out, opts...)
}

// Campaigns reads a page of the account's campaigns, newest first.
func (c *Client) Campaigns(ctx context.Context, p Paging) (page api.Page[api.Campaign], err error) {
	q := query{}
	p.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/campaigns", url.Values(q), nil, &page)
}

// Campaign reads a campaign, and how its keys stand.
func (c *Client) Campaign(ctx context.Context, id string) (out api.Campaign, err error) {
	return out, c.call(ctx, http.MethodGet, campaignPath(id), nil, nil, &out)
}

// CloseCampaign ends a campaign: nobody is reminded any more.
func (c *Client) CloseCampaign(ctx context.Context, id, why string) (out api.Campaign, err error) {
	return out, c.call(ctx, http.MethodPost, campaignPath(id)+"/close", nil, api.MigrationNote{Note: why}, &out)
}

// CampaignReport writes the report of a campaign as CSV.
func (c *Client) CampaignReport(ctx context.Context, id string, w io.Writer) error {
	r := &request{method: http.MethodGet, path: campaignPath(id) + "/report", header: http.Header{}, asks: true, stream: func(body io.Reader) error {
		_, err := io.Copy(w, body)
		return err
	}}
	_, err := c.send(ctx, r, nil)
	return err
}

func campaignPath(id string) string { return "/v1/campaigns/" + url.PathEscape(id) }
