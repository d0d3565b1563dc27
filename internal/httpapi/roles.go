package httpapi

import (
	"context"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
)

// RoleInput names a role.
type RoleInput struct {
	ID string `path:"id" maxLength:"64" doc:"The role's id."`
}

type roleOutput struct {
	ETag string `header:"ETag"`
	Body api.Role
}

type rolesOutput struct{ Body api.Page[api.Role] }

func (s *server) listRoles(ctx context.Context, _ *empty) (*rolesOutput, error) {
	all, err := s.kr.Roles(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &rolesOutput{api.Page[api.Role]{Items: make([]api.Role, len(all))}}
	for i := range all {
		out.Body.Items[i] = roleJSON(&all[i])
	}
	return out, nil
}

type createRoleInput struct{ Body api.NewRole }

func (s *server) createRole(ctx context.Context, in *createRoleInput) (*roleOutput, error) {
	b := &in.Body
	r, err := s.kr.CreateRole(ctx, by(ctx), keyring.RoleInput{Name: b.Name, Words: b.Description,
		Permissions: list[postern.Permission](b.Permissions), Grants: postern.Grants(list[string](b.Scopes))})
	if err != nil {
		return nil, err
	}
	return &roleOutput{etag(r.Revision), roleJSON(&r)}, nil
}

type editRoleInput struct {
	RoleInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    api.EditRole
}

func (s *server) editRole(ctx context.Context, in *editRoleInput) (*roleOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	all, err := s.kr.Roles(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r postern.Role) bool { return string(r.ID) == in.ID })
	if i < 0 {
		return nil, postern.Errorf(postern.CodeNotFound, "There is no such role.")
	}
	old, b := &all[i], &in.Body
	// The keyring takes a role whole. What is left out is as it was read here, so
	// the change is of that revision, whether or not the caller names one.
	if revision == 0 {
		revision = old.Revision
	}
	to := keyring.RoleInput{Name: old.Name, Words: old.Words, Permissions: old.Permissions, Grants: old.Grants, IfRevision: revision}
	if b.Name != nil {
		to.Name = *b.Name
	}
	if b.Description != nil {
		to.Words = *b.Description
	}
	if b.Permissions != nil {
		to.Permissions = list[postern.Permission](*b.Permissions)
	}
	if b.Scopes != nil {
		to.Grants = postern.Grants(list[string](*b.Scopes))
	}
	r, err := s.kr.EditRole(ctx, by(ctx), postern.RoleID(in.ID), to)
	if err != nil {
		return nil, err
	}
	return &roleOutput{etag(r.Revision), roleJSON(&r)}, nil
}

func (s *server) deleteRole(ctx context.Context, in *RoleInput) (*empty, error) {
	return nil, s.kr.DeleteRole(ctx, by(ctx), postern.RoleID(in.ID))
}
