package httpapi

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
)

// empty is what an operation takes that needs nothing, and what one answers that says nothing.
type empty struct{}

// MemberInput names a member.
type MemberInput struct {
	ID string `path:"id" maxLength:"64" doc:"The member's id."`
}

type memberOutput struct {
	ETag string `header:"ETag"`
	Body api.Member
}

type membersOutput struct{ Body api.Page[api.Member] }

func (s *server) listMembers(ctx context.Context, _ *empty) (*membersOutput, error) {
	all, err := s.kr.Members(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &membersOutput{api.Page[api.Member]{Items: make([]api.Member, len(all))}}
	for i := range all {
		out.Body.Items[i] = memberJSON(&all[i])
	}
	return out, nil
}

func (s *server) readMember(ctx context.Context, in *MemberInput) (*memberOutput, error) {
	m, err := s.kr.Member(ctx, by(ctx), postern.MemberID(in.ID))
	if err != nil {
		return nil, err
	}
	return &memberOutput{etag(m.Revision), memberJSON(&m)}, nil
}

type inviteInput struct{ Body api.NewMember }

type invitedOutput struct{ Body api.Invited }

func (s *server) inviteMember(ctx context.Context, in *inviteInput) (*invitedOutput, error) {
	n := keyring.NewMember{Email: in.Body.Email, Name: in.Body.Name, RoleID: postern.RoleID(in.Body.RoleID)}
	if in.Body.Scopes != nil {
		n.Scopes = postern.Grants(list[string](*in.Body.Scopes))
	}
	inv, err := s.kr.InviteMember(ctx, by(ctx), n)
	if err != nil {
		return nil, err
	}
	return &invitedOutput{s.invitedJSON(&inv)}, nil
}

func (s *server) reinviteMember(ctx context.Context, in *MemberInput) (*invitedOutput, error) {
	inv, err := s.kr.ReinviteMember(ctx, by(ctx), postern.MemberID(in.ID))
	if err != nil {
		return nil, err
	}
	return &invitedOutput{s.invitedJSON(&inv)}, nil
}

func (s *server) invitedJSON(inv *keyring.Invited) api.Invited {
	return api.Invited{Member: memberJSON(&inv.Member), Invitation: inv.Invitation.Reveal(), Link: s.link("join", inv.Invitation), ExpiresAt: inv.ExpiresAt}
}

type editMemberInput struct {
	MemberInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    api.EditMember
}

func (s *server) editMember(ctx context.Context, in *editMemberInput) (*memberOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	edit := keyring.MemberEdit{Name: in.Body.Name, IfRevision: revision}
	if in.Body.RoleID != nil {
		role := postern.RoleID(*in.Body.RoleID)
		edit.RoleID = &role
	}
	if scopes, ok := in.Body.Scopes.Get(); ok {
		var held postern.Grants // nil goes back to what the role grants
		if !in.Body.Scopes.Null() {
			held = postern.Grants(list[string](scopes))
		}
		edit.Scopes = &held
	}
	m, err := s.kr.EditMember(ctx, by(ctx), postern.MemberID(in.ID), edit)
	if err != nil {
		return nil, err
	}
	return &memberOutput{etag(m.Revision), memberJSON(&m)}, nil
}

func (s *server) removeMember(ctx context.Context, in *MemberInput) (*empty, error) {
	return nil, s.kr.RemoveMember(ctx, by(ctx), postern.MemberID(in.ID))
}

type meOutput struct{ Body api.Me }

func (s *server) whoAmI(ctx context.Context, _ *empty) (*meOutput, error) {
	me := by(ctx)
	m, err := s.kr.Member(ctx, me, me.MemberID)
	if err != nil {
		return nil, err
	}
	a, err := s.kr.Account(ctx, me)
	if err != nil {
		return nil, err
	}
	keys, err := s.kr.PersonalKeys(ctx, me)
	if err != nil {
		return nil, err
	}
	out := &meOutput{api.Me{Member: memberJSON(&m), Account: accountJSON(&a), Permissions: []string{}}}
	for i := range keys {
		if keys[i].Key != me.KeyID {
			continue
		}
		out.Body.Key = personalJSON(&keys[i], postern.LastUse{}, me.KeyID)
		narrowed := postern.Grants(list[string](keys[i].Scopes))
		for _, p := range m.Role.Permissions {
			if narrowed.Covers(p, false) {
				out.Body.Permissions = append(out.Body.Permissions, string(p))
			}
		}
	}
	return out, nil
}
