package client

import (
	"context"
	"net/http"

	"postern.dev/postern/api"
)

// Verify asks whether a secret may do something. A denial is an answer and no error.
func (c *Client) Verify(ctx context.Context, in api.VerifyRequest) (out api.VerifyAnswer, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/verify", nil, in, &out, func(r *request) { r.asks = true })
}
