package model_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/keyring"
)

// request is one that was made with an Idempotency-Key and can be made again.
type request struct {
	by  model.Actor
	at  time.Time
	new *model.NewKey   // a create, or
	key *model.Key      // a rotation
	rot *model.Rotation // of it
}

func (w *world) createKey(r *rand.Rand) error {
	by := w.someone(r)
	in := model.NewKey{
		Name: aName(r), Scopes: someScopes(r), Networks: someNetworks(r), NotBefore: w.aStart(r), ExpiresAt: w.anEnd(r), Rate: aRate(r),
	}
	if chance(r, 0.3) {
		in.Idempotency = fmt.Sprintf("req-%d", r.IntN(40))
		w.ask(request{by: by, at: w.clock.now, new: &in})
	}
	return w.doCreate(by, in)
}

// ask keeps a request for a second time.
func (w *world) ask(req request) {
	w.requests = append(w.requests, req)
	w.requests = w.requests[max(0, len(w.requests)-12):]
}

func (w *world) doCreate(by model.Actor, in model.NewKey) error {
	what := fmt.Sprintf("%s creates a key %+v", w.name(by), in)
	w.note("%s", what)
	k, secret, refusal := w.m.CreateKey(by, in)
	made, err := w.kr.CreateKey(w.t.Context(), w.actor(by), keyring.NewKey{
		Name: in.Name, Description: in.Description, Scopes: scopes(in.Scopes), Networks: in.Networks,
		NotBefore: in.NotBefore, ExpiresAt: in.ExpiresAt, Rate: rate(in.Rate), Idempotency: in.Idempotency,
	})
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	if secret != nil {
		w.keys[k] = made.Key.ID
	}
	return w.made(what, k, secret, made, secret != nil)
}

// made compares what a change gave with the key as it should be.
func (w *world) made(what string, k *model.Key, secret *model.Secret, made keyring.Made, changed bool) error {
	if made.Secret.Zero() != (secret == nil) {
		return fmt.Errorf("%s: shows a secret: %t, want %t", what, !made.Secret.Zero(), secret != nil)
	}
	if secret != nil {
		w.secrets[secret] = made.Secret
	}
	if changed && made.Seq != w.seq {
		return fmt.Errorf("%s: feed number %d, and decisions were told of %d", what, made.Seq, w.seq)
	}
	if err := w.likeKey(k, &made.Key); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func rate(r model.Rate) postern.Rate { return postern.Rate{Calls: r.Calls, Per: r.Per} }

func (w *world) editKey(r *rand.Rand) error {
	by := w.someone(r)
	k := w.aKey(r, by.Account)
	if chance(r, 0.2) {
		k = w.aRotatingKey(r, by.Account)
	}
	var in model.KeyEdit
	for range 1 + r.IntN(4)/3 {
		switch r.IntN(11) {
		case 0:
			in.Name = ref(aName(r))
		case 1:
			in.Description = ref(pick(r, []string{"", "What it is for", "Another text"}))
		case 2, 3:
			s := someScopes(r)
			if k != nil && chance(r, 0.6) { // one more, one less
				s = append(some(r, k.Scopes, 0.85), some(r, scopePool, 0.1)...)
			}
			in.Scopes = &s
		case 4:
			in.Networks = ref(someNetworks(r))
		case 5:
			in.NotBefore = ref(w.aStart(r))
		case 6, 10:
			in.ExpiresAt = ref(w.anEnd(r))
			if k != nil && w.m.Rotating(k) && chance(r, 0.5) { // before the previous secret would
				in.ExpiresAt = ref(w.clock.now.Add(time.Microsecond))
			}
		case 7:
			in.Rate = ref(aRate(r))
		case 8:
			in.Paused = ref(k != nil && k.PausedAt.IsZero() != chance(r, 0.05))
		case 9:
			in.Reviewed = true
		}
	}
	if k != nil {
		in.Revision = aRevision(r, k.Revision)
	}
	return w.doEdit(by, k, in)
}

func (w *world) doEdit(by model.Actor, k *model.Key, in model.KeyEdit) error {
	what := fmt.Sprintf("%s edits %s: %s", w.name(by), keyName(k), edit(in))
	w.note("%s", what)
	real := keyring.KeyEdit{
		Name: in.Name, Description: in.Description, Networks: in.Networks, NotBefore: in.NotBefore, ExpiresAt: in.ExpiresAt,
		Paused: in.Paused, Reviewed: in.Reviewed, IfRevision: in.Revision,
	}
	if in.Scopes != nil {
		real.Scopes = ref(scopes(*in.Scopes))
	}
	if in.Rate != nil {
		real.Rate = ref(rate(*in.Rate))
	}
	changed, refusal := w.m.EditKey(by, k, in)
	made, err := w.kr.EditKey(w.t.Context(), w.actor(by), w.keyID(k), real)
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	if changed != (made.Seq != 0) {
		return fmt.Errorf("%s: feed number %d; the model says changed: %t", what, made.Seq, changed)
	}
	return w.made(what, k, nil, made, changed)
}

func (w *world) rotateKey(r *rand.Rand) error {
	by := w.someone(r)
	k := w.aKey(r, by.Account)
	in := model.Rotation{Grace: pick(r, gracePool), Replace: chance(r, 0.3)}
	if k != nil {
		in.Revision = aRevision(r, k.Revision)
	}
	if chance(r, 0.5) && k != nil {
		in.Idempotency = fmt.Sprintf("req-%d", r.IntN(40))
		w.ask(request{by: by, at: w.clock.now, key: k, rot: &in})
	}
	return w.doRotate(by, k, in)
}

func (w *world) doRotate(by model.Actor, k *model.Key, in model.Rotation) error {
	what := fmt.Sprintf("%s rotates %s %+v", w.name(by), keyName(k), in)
	w.note("%s", what)
	secret, refusal := w.m.Rotate(by, k, in)
	made, err := w.kr.RotateKey(w.t.Context(), w.actor(by), w.keyID(k), keyring.Rotation{
		Grace: in.Grace, Replace: in.Replace, Idempotency: in.Idempotency, IfRevision: in.Revision,
	})
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	return w.made(what, k, secret, made, true)
}

// askAgain repeats a request as if its answer were lost, or another one under its
// Idempotency-Key.
func (w *world) askAgain(r *rand.Rand) error {
	if len(w.requests) == 0 {
		return nil
	}
	req := pick(r, w.requests[max(0, len(w.requests)-3):])
	other := chance(r, 0.1)
	if req.new != nil {
		in := *req.new
		if other {
			in.Name += "x"
		}
		return w.doCreate(req.by, in)
	}
	in := *req.rot
	if other {
		in.Grace = (in.Grace + time.Hour) % day
	}
	return w.doRotate(req.by, req.key, in)
}

// endRotation finishes or cancels.
func (w *world) endRotation(r *rand.Rand) error {
	by := w.someone(r)
	k := w.aKey(r, by.Account)
	if chance(r, 0.7) {
		k = w.aRotatingKey(r, by.Account)
	}
	var revision int64
	if k != nil {
		revision = aRevision(r, k.Revision)
	}
	act, model, real := "finishes", w.m.Finish, w.kr.FinishRotation
	if chance(r, 0.5) {
		act, model, real = "cancels", w.m.Cancel, w.kr.CancelRotation
	}
	what := fmt.Sprintf("%s %s the rotation of %s, revision %d", w.name(by), act, keyName(k), revision)
	w.note("%s", what)
	refusal := model(by, k, revision)
	made, err := real(w.t.Context(), w.actor(by), w.keyID(k), revision)
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	return w.made(what, k, nil, made, true)
}

func (w *world) revokeKey(r *rand.Rand) error {
	by := w.someone(r)
	k := w.aKey(r, by.Account)
	why := pick(r, []string{"", "leaked"})
	what := fmt.Sprintf("%s revokes %s", w.name(by), keyName(k))
	w.note("%s", what)
	changed, refusal := w.m.RevokeKey(by, k, why)
	made, err := w.kr.RevokeKey(w.t.Context(), w.actor(by), w.keyID(k), why)
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	return w.made(what, k, nil, made, changed)
}

func (w *world) deleteKey(r *rand.Rand) error {
	by := w.someone(r)
	k := w.aKey(r, by.Account)
	var revision int64
	if k != nil {
		revision = aRevision(r, k.Revision)
	}
	what := fmt.Sprintf("%s deletes %s, revision %d", w.name(by), keyName(k), revision)
	w.note("%s", what)
	refusal := w.m.DeleteKey(by, k, revision)
	_, err := w.kr.DeleteKey(w.t.Context(), w.actor(by), w.keyID(k), revision)
	return w.agree(what, refusal, err)
}

func (w *world) readKey(r *rand.Rand) error {
	by := w.someone(r)
	k := w.aKey(r, by.Account)
	what := fmt.Sprintf("%s reads %s", w.name(by), keyName(k))
	w.note("%s", what)
	refusal := w.m.ReadKey(by, k)
	got, err := w.kr.Key(w.t.Context(), w.actor(by), w.keyID(k))
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	return w.likeKey(k, &got)
}
