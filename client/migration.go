package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"postern.dev/postern/api"
)

// Migration reads how the move off old credentials stands.
func (c *Client) Migration(ctx context.Context) (out api.Migration, err error) {
	return out, c.call(ctx, http.MethodGet, "/v1/migration", nil, nil, &out)
}

func itemPath(id, what string) string {
	return "/v1/migration/items/" + url.PathEscape(id) + what
}

// MigrationItem reads one old credential on its way out.
func (c *Client) MigrationItem(ctx context.Context, id string) (out api.MigrationItem, err error) {
	return out, c.call(ctx, http.MethodGet, itemPath(id, ""), nil, nil, &out)
}

// ChoosePath decides what takes the place of an old credential.
func (c *Client) ChoosePath(ctx context.Context, id string, in api.ChoosePath) (out api.MigrationItem, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/path"), nil, in, &out)
}

// ChooseOwner says who looks after the move.
func (c *Client) ChooseOwner(ctx context.Context, id string, in api.ChooseOwner) (out api.MigrationItem, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/owner"), nil, in, &out)
}

// MovedMigration says where an old credential moved: to a key that is there, or in words.
func (c *Client) MovedMigration(ctx context.Context, id string, in api.MovedTo) (out api.MigrationItem, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/moved"), nil, in, &out)
}

// ChooseScopes decides the scopes of the new key.
func (c *Client) ChooseScopes(ctx context.Context, id string, in api.ChooseScopes) (out api.MigrationItem, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/scopes"), nil, in, &out)
}

// MakeMigrationKey makes the new key. Its secret is shown this once.
func (c *Client) MakeMigrationKey(ctx context.Context, id string, in api.MigrationKey, opts ...RequestOption) (out api.MadeMigrationKey, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/key"), nil, in, &out, opts...)
}

// ShadowMigration asks which recorded calls the new key would refuse.
func (c *Client) ShadowMigration(ctx context.Context, id string, in api.ReplaySpan) (out api.Replay, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/shadow"), nil, in, &out)
}

// ScheduleBrownouts schedules short refusals.
func (c *Client) ScheduleBrownouts(ctx context.Context, id string, in api.Brownouts) (out api.MigrationChanged, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/brownouts"), nil, in, &out)
}

// StopBrownouts ends its brownouts at once.
func (c *Client) StopBrownouts(ctx context.Context, id, why string) (out api.MigrationChanged, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/brownouts/stop"), nil, api.MigrationNote{Note: why}, &out)
}

// SignOffMigration says that it can go.
func (c *Client) SignOffMigration(ctx context.Context, id, note string) (out api.MigrationItem, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/sign-off"), nil, api.MigrationNote{Note: note}, &out)
}

// ArchiveMigration switches it off: it is paused, and can be brought back.
func (c *Client) ArchiveMigration(ctx context.Context, id string) (out api.MigrationChanged, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/archive"), nil, nil, &out)
}

// UndoMigration brings it back.
func (c *Client) UndoMigration(ctx context.Context, id string) (out api.MigrationChanged, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/undo"), nil, nil, &out)
}

// EndMigration ends it for good.
func (c *Client) EndMigration(ctx context.Context, id string) (out api.MigrationChanged, err error) {
	return out, c.call(ctx, http.MethodPost, itemPath(id, "/end"), nil, nil, &out)
}

// UploadInventory uploads what an inventory of access logs found.
func (c *Client) UploadInventory(ctx context.Context, in api.UploadInventory) (out api.UploadedInventory, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/migration/inventory", nil, in, &out)
}

// LegacyScopes reads what old names of scopes stand for.
func (c *Client) LegacyScopes(ctx context.Context) (out api.LegacyScopeNames, err error) {
	return out, c.call(ctx, http.MethodGet, "/v1/migration/scopes", nil, nil, &out)
}

// SetLegacyScope says what an old name stands for.
func (c *Client) SetLegacyScope(ctx context.Context, name string, scopes []string) (out api.LegacyScopeName, err error) {
	return out, c.call(ctx, http.MethodPut, "/v1/migration/scopes/"+url.PathEscape(name), nil, api.SetLegacyScope{Scopes: scopes}, &out)
}

// ResetLegacyScope takes back what was said of an old name.
func (c *Client) ResetLegacyScope(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/migration/scopes/"+url.PathEscape(name), nil, nil, nil)
}

// MigrationReport writes the report of the whole migration, as CSV.
func (c *Client) MigrationReport(ctx context.Context, w io.Writer) error {
	r := &request{method: http.MethodGet, path: "/v1/migration/report", header: http.Header{}, asks: true, stream: func(body io.Reader) error {
		_, err := io.Copy(w, body)
		return err
	}}
	_, err := c.send(ctx, r, nil)
	return err
}
