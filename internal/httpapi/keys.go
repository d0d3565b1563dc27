package httpapi

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/verify"
)

// KeyInput names a service key. It is exported, as are the others of its kind, because huma
// passes over embedded fields that aren't.
type KeyInput struct {
	ID string `path:"id" maxLength:"64" doc:"The key ID."`
}

type keyOutput struct {
	ETag string `header:"ETag"`
	Body api.ServiceKey
}

type changedOutput struct {
	ETag string `header:"ETag"`
	Body api.ChangedKey
}

type createdOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     api.ChangedKey
}

type createKeyInput struct {
	Idempotency string `header:"Idempotency-Key" maxLength:"200" doc:"Makes it safe to send this request again: the key is made once, and its secret shown once. Another body under the same name is a conflict (409)."`
	Body        api.NewServiceKey
}

func (s *server) createKey(ctx context.Context, in *createKeyInput) (*createdOutput, error) {
	networks, err := readNetworks(in.Body.Networks)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	made, err := s.kr.CreateKey(ctx, by(ctx), keyring.NewKey{Name: b.Name, Description: b.Description, TeamID: postern.TeamID(b.TeamID),
		Scopes: list[postern.Scope](b.Scopes), Networks: networks, NotBefore: cut(b.NotBefore), ExpiresAt: cut(b.ExpiresAt),
		Rate: rateOf(b.RateLimit), Canary: b.Canary, Idempotency: in.Idempotency})
	if err != nil {
		return nil, err
	}
	body := api.ChangedKey{ServiceKey: s.keyJSON(&made.Key), Secret: made.Secret.Reveal(), SecretShown: made.Secret.Zero()}
	return &createdOutput{ETag: etag(made.Key.Revision), Location: "/v1/service-keys/" + body.ID, Body: body}, nil
}

func (s *server) readKey(ctx context.Context, in *KeyInput) (*keyOutput, error) {
	k, err := s.kr.Key(ctx, by(ctx), postern.KeyID(in.ID))
	if err != nil {
		return nil, err
	}
	body := s.keyJSON(&k)
	if err := s.addUses(ctx, &k, &body); err != nil {
		return nil, err
	}
	return &keyOutput{etag(k.Revision), body}, nil
}

type editKeyInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    api.EditServiceKey
}

func (s *server) editKey(ctx context.Context, in *editKeyInput) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	edit := keyring.KeyEdit{Name: b.Name, Description: b.Description, Paused: b.Paused, Reviewed: b.Reviewed, IfRevision: revision,
		NotBefore: optionalTime(b.NotBefore), ExpiresAt: optionalTime(b.ExpiresAt)}
	if team, ok := b.TeamID.Get(); ok {
		id := postern.TeamID(team)
		edit.TeamID = &id
	}
	if b.Scopes != nil {
		scopes := list[postern.Scope](*b.Scopes)
		edit.Scopes = &scopes
	}
	if b.Networks != nil {
		networks, err := readNetworks(*b.Networks)
		if err != nil {
			return nil, err
		}
		edit.Networks = &networks
	}
	if rate, ok := b.RateLimit.Get(); ok {
		r := postern.Rate{Calls: rate.Calls, Per: time.Duration(rate.Seconds) * time.Second}
		edit.Rate = &r
	}
	made, err := s.kr.EditKey(ctx, by(ctx), postern.KeyID(in.ID), edit)
	if err != nil {
		return nil, err
	}
	// What only words it differently is in force nowhere in particular.
	decides := edit.Scopes != nil || edit.Networks != nil || edit.NotBefore != nil || edit.ExpiresAt != nil || edit.Rate != nil || edit.Paused != nil
	return s.changed(ctx, made, decides), nil
}

type deleteKeyInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
}

func (s *server) deleteKey(ctx context.Context, in *deleteKeyInput) (*changedOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	made, err := s.kr.DeleteKey(ctx, by(ctx), postern.KeyID(in.ID), revision)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, true), nil
}

type revokeKeyInput struct {
	KeyInput
	Body *api.Revoke
}

func (s *server) revokeKey(ctx context.Context, in *revokeKeyInput) (*changedOutput, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	made, err := s.kr.RevokeKey(ctx, by(ctx), postern.KeyID(in.ID), reason)
	if err != nil {
		return nil, err
	}
	return s.changed(ctx, made, true), nil
}

// changed is the answer to a change; with its receipt where it takes something away.
func (s *server) changed(ctx context.Context, made keyring.Made, receipt bool) *changedOutput {
	body := api.ChangedKey{ServiceKey: s.keyJSON(&made.Key), Secret: made.Secret.Reveal(), WatchEnded: made.WatchEnded}
	if receipt && made.Seq > 0 {
		body.Receipt = s.receipt(ctx, made.Seq)
	}
	return &changedOutput{etag(made.Key.Revision), body}
}

// receipt asks where a change that was just made is in force. The change is made,
// whatever comes of asking: where nobody can tell now it says by when at the latest.
func (s *server) receipt(ctx context.Context, seq int64) *api.Receipt {
	r, err := s.verifier.Receipt(ctx, seq, s.cfg.ReceiptWait)
	if err != nil {
		stateOf(ctx).err = err
	}
	return receiptJSON(r)
}

func receiptJSON(r verify.Receipt) *api.Receipt {
	out := &api.Receipt{Confirmed: r.Confirmed}
	if r.Everywhere {
		out.Effective, out.TookMs = api.EffectiveEverywhere, (r.Took + time.Millisecond - 1).Milliseconds()
		return out
	}
	out.EffectiveBy = r.EffectiveBy.UTC()
	for _, a := range r.Awaited {
		out.Awaiting = append(out.Awaiting, api.Awaited{Node: a.Node, Until: a.Until.UTC()})
	}
	return out
}

type receiptOutput struct{ Body api.Receipt }

func (s *server) readReceipt(ctx context.Context, in *KeyInput) (*receiptOutput, error) {
	seq, err := s.kr.ChangeSeq(ctx, by(ctx), postern.KeyID(in.ID))
	if err != nil {
		return nil, err
	}
	r, err := s.verifier.Receipt(ctx, seq, s.cfg.ReceiptWait)
	if err != nil {
		stateOf(ctx).err = err
		return nil, postern.Errorf(postern.CodeUnavailable, "It can't be told now where the change is in force. Try again.")
	}
	return &receiptOutput{*receiptJSON(r)}, nil
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// ifMatch reads the revision that a change is meant for; 0 where it is meant for any.
func ifMatch(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "" || s == "*" {
		return 0, nil
	}
	text, quoted := strings.CutPrefix(s, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if !quoted || !closed || err != nil || n < 1 || text[0] == '+' {
		return 0, postern.Invalidf("If-Match", "If-Match is the ETag of an earlier answer, such as \"7\" with its quotes.")
	}
	return n, nil
}

// readNetworks reads addresses and networks.
func readNetworks(in []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(in))
	for _, text := range in {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err2 := netip.ParseAddr(text)
			if err2 != nil || a.Zone() != "" {
				return nil, postern.Invalidf("networks", "An entry is neither an address nor a network; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32.")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p)
	}
	return out, nil
}

// list makes a list of one kind of text a list of another.
func list[T, F ~string](in []F) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = T(v)
	}
	return out
}

// cut is a time as it is kept: in UTC, in whole microseconds.
func cut(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func optionalTime(o api.Optional[time.Time]) *time.Time {
	t, ok := o.Get()
	if !ok {
		return nil
	}
	t = cut(t)
	return &t
}

func rateOf(r *api.RateLimit) postern.Rate {
	if r == nil {
		return postern.Rate{}
	}
	return postern.Rate{Calls: r.Calls, Per: time.Duration(r.Seconds) * time.Second}
}
