package client

import (
	"context"

	"postern.dev/postern/api"
)

// Nodes lists the nodes that share the server's database, for those who operate it.
func (c *Client) Nodes(ctx context.Context) ([]api.Node, error) {
	return list[api.Node](ctx, c, "/v1/nodes")
}
