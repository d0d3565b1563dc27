package httpapi

import (
	"context"
	"strings"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
)

type listScopesInput struct {
	Q         string `query:"q" maxLength:"200" doc:"A part of the name, the group or the words, whatever the case."`
	Upstream  string `query:"upstream" maxLength:"40"`
	Group     string `query:"group" maxLength:"200"`
	Grantable string `query:"grantable" enum:"true,false" doc:"Only scopes that you may put on a key, or only the others."`
	Paging
}

type scopesOutput struct{ Body api.Page[api.Scope] }

func (s *server) listScopes(ctx context.Context, in *listScopesInput) (*scopesOutput, error) {
	at, err := readCursor(listScopes, in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	rows, err := s.kr.Scopes(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &scopesOutput{api.Page[api.Scope]{Items: []api.Scope{}}}
	for i := range rows {
		row := &rows[i]
		if at != nil && string(row.Name) <= at[0] || !in.wants(row) {
			continue
		}
		if len(out.Body.Items) == in.n() {
			out.Body.NextCursor = writeCursor(listScopes, out.Body.Items[in.n()-1].Name)
			break
		}
		out.Body.Items = append(out.Body.Items, api.Scope{Name: string(row.Name), Upstream: string(row.Upstream), Group: row.Group,
			Access: string(row.Access), Sensitive: row.Sensitive, Words: row.Words, Opens: list[string](row.Opens), Grantable: row.Grantable})
	}
	return out, nil
}

func (in *listScopesInput) wants(row *keyring.ScopeRow) bool {
	if in.Upstream != "" && string(row.Upstream) != in.Upstream || in.Group != "" && row.Group != in.Group ||
		in.Grantable != "" && row.Grantable != (in.Grantable == "true") {
		return false
	}
	q := strings.ToLower(in.Q)
	return q == "" || strings.Contains(strings.ToLower(string(row.Name)+"\n"+row.Group+"\n"+row.Words), q)
}
