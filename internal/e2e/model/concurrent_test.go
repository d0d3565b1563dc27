package model_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
)

const (
	actors = 6  // who act at once
	turns  = 70 // operations of each
)

// crowd is a world in which many act at once, and what they were told.
type crowd struct {
	*world
	kr     *keyring.Keyring
	admins []postern.Actor // super admins at first
	maker  postern.Actor   // makes keys while others change what they hold

	mu      sync.Mutex
	told    map[string]int                     // acknowledged changes, by action
	shown   map[postern.KeyID][]postern.Secret // every secret
	repeats map[string]map[postern.KeyID]int   // Idempotency-Key to the keys that it gave, and how often
	minted  map[string]int                     // and the secrets that it showed
	odd     []error                            // answers that nothing explains
}

// TestManyAtOnce lets several act at once on what they share, and then asks for
// a serial order that explains what they were told.
func TestManyAtOnce(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		for i := range uint64(2) {
			seed := *firstSeed + i
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				c := newCrowd(t, target, seed)
				var wg sync.WaitGroup
				for n := range actors {
					wg.Go(func() {
						for i := range turns {
							c.turn(random(seed, n*turns+i))
						}
					})
				}
				wg.Wait()
				for _, err := range c.odd {
					t.Error(err)
				}
				c.namesAreUnique()
				c.auditExplains()
				c.repeatsGaveOneKey()
				c.secretsAreAsStored()
				t.Logf("%v", c.told)
			})
			if target != "" && t.Failed() {
				return
			}
			target = again(t, target)
		}
	})
}

// again is another fresh database of the same engine.
func again(t *testing.T, target string) string {
	if len(target) > 8 && target[:8] == "postgres" {
		return storetest.Postgres(t)
	}
	return storetest.SQLite(t)
}

func newCrowd(t *testing.T, target string, seed uint64) *crowd {
	w := newWorld(t, target, seed, model.BugNone)
	c := &crowd{world: w, told: map[string]int{}, shown: map[postern.KeyID][]postern.Secret{},
		repeats: map[string]map[postern.KeyID]int{}, minted: map[string]int{}}
	c.kr = keyring.New(keyring.Config{
		DB: w.db, Pepper: w.pepper, Now: func() time.Time { return t0 }, Builtin: []*catalog.Catalog{w.own}, Logger: slog.New(slog.DiscardHandler),
		Applied: func(ctx context.Context, seq int64) {
			if err := w.v.CatchUp(ctx, seq); err != nil {
				c.wrong("catch up", err)
			}
		},
	})
	ada := w.actor(model.Actor{Account: w.m.Accounts[0], Member: w.m.Accounts[0].Members[0]})
	must(t, w.load(model.Actor{Account: w.m.Accounts[0], Member: w.m.Accounts[0].Members[0]}, allScopes()))
	c.admins = []postern.Actor{ada}
	join := func(email string, role postern.RoleID) postern.Actor {
		out, err := w.kr.InviteMember(t.Context(), ada, keyring.NewMember{Email: email, Name: email, RoleID: role})
		must(t, err)
		return postern.Actor{AccountID: ada.AccountID, MemberID: out.Member.ID}
	}
	for i := range 3 {
		c.admins = append(c.admins, join(fmt.Sprintf("s%d@example.org", i), postern.RoleSuperAdmin))
	}
	c.maker = join("maker@example.org", postern.RoleKeyManager)
	return c
}

// allScopes is a catalog in which every scope is plain.
func allScopes() model.Catalog { return model.Catalog{Upstream: "api", Declared: scopePool} }

func (c *crowd) wrong(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odd = append(c.odd, fmt.Errorf("%s: %w", what, err))
}

// tell notes the answer to a change. Whatever is no refusal of ours is odd.
func (c *crowd) tell(action string, changed bool, err error) bool {
	if err != nil {
		if e, ok := errors.AsType[*postern.Error](err); !ok || e.Code == postern.CodeInternal || e.Code == postern.CodeUnavailable {
			c.wrong(action, err)
		}
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if changed {
		c.told[action]++
	}
	return true
}

func (c *crowd) show(m keyring.Made) {
	if m.Secret.Zero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown[m.Key.ID] = append(c.shown[m.Key.ID], m.Secret)
}

// made notes a change of a key.
func (c *crowd) made(action string, m keyring.Made, err error) {
	if c.tell(action, m.Seq != 0, err) {
		c.show(m)
	}
}

// someKey is one of the keys that were shown so far.
func (c *crowd) someKey(r *rand.Rand) postern.KeyID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []postern.KeyID
	for id := range c.shown {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return "0000000000000000"
	}
	slices.Sort(ids)
	return pick(r, ids)
}

// turn does one thing.
func (c *crowd) turn(r *rand.Rand) {
	ctx, by, id := c.t.Context(), pick(r, c.admins), c.someKey(r)
	switch r.IntN(13) {
	case 0, 1:
		m, err := c.kr.CreateKey(ctx, by, keyring.NewKey{Name: fmt.Sprintf("k%d", r.IntN(9))})
		c.made("service_key.create", m, err)
	case 2:
		c.repeat(r)
	case 3, 4:
		m, err := c.kr.CreateKey(ctx, c.maker, keyring.NewKey{Name: fmt.Sprintf("m%d", r.IntN(40)), Scopes: scopes(pick(r, [][]string{{"deals.read"}, {"contacts.read"}}))})
		c.made("service_key.create", m, err)
	case 5:
		holds := postern.Grants(pick(r, [][]string{{"deals.read"}, {"contacts.read"}, {}}))
		was, err := c.kr.Member(ctx, by, c.maker.MemberID)
		if err != nil {
			return // by is no super admin any more
		}
		out, err := c.kr.EditMember(ctx, by, c.maker.MemberID, keyring.MemberEdit{Scopes: &holds, IfRevision: was.Revision})
		c.tell("member.update", out.Revision != was.Revision, err)
	case 6:
		c.demote(r, by)
	case 7:
		name := fmt.Sprintf("k%d", r.IntN(9))
		m, err := c.kr.EditKey(ctx, by, id, keyring.KeyEdit{Name: &name})
		c.made("service_key.update", m, err)
	case 8, 9:
		m, err := c.kr.RotateKey(ctx, by, id, keyring.Rotation{Grace: pick(r, []time.Duration{0, time.Hour}), Replace: chance(r, 0.5),
			Idempotency: pick(r, []string{"", fmt.Sprintf("rot-%s-%d", id, r.IntN(2))})})
		c.made("service_key.rotate", m, err)
	case 10:
		m, err := c.kr.FinishRotation(ctx, by, id, 0)
		c.made("service_key.rotation.finish", m, err)
	case 11:
		m, err := c.kr.CancelRotation(ctx, by, id, 0)
		c.made("service_key.rotation.cancel", m, err)
	case 12:
		if chance(r, 0.5) {
			k, err := c.kr.Key(ctx, c.system(c.m.Accounts[0]), id)
			if err != nil || k.Ended() {
				return
			}
			// Two may find it live and revoke it; the second one changes nothing, and is told the first one's number.
			_, err = c.kr.RevokeKey(ctx, by, id, "")
			c.tell("service_key.revoke", false, err)
		}
	}
}

// repeat creates a key under one of few Idempotency-Keys.
func (c *crowd) repeat(r *rand.Rand) {
	name := fmt.Sprintf("once-%d", r.IntN(6))
	m, err := c.kr.CreateKey(c.t.Context(), c.maker, keyring.NewKey{Name: name, Idempotency: name})
	c.made("service_key.create", m, err)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.repeats[name] == nil {
		c.repeats[name] = map[postern.KeyID]int{}
	}
	c.repeats[name][m.Key.ID]++
	if !m.Secret.Zero() {
		c.minted[name]++
	}
}

// demote takes a super admin's role away, or gives it back.
func (c *crowd) demote(r *rand.Rand, by postern.Actor) {
	who := pick(r, c.admins)
	was, err := c.kr.Member(c.t.Context(), by, who.MemberID)
	if err != nil {
		return
	}
	role := postern.RoleViewer
	if was.Role.ID == role {
		role = postern.RoleSuperAdmin
	} else if chance(r, 0.6) {
		return
	}
	out, err := c.kr.EditMember(c.t.Context(), by, who.MemberID, keyring.MemberEdit{RoleID: &role, IfRevision: was.Revision})
	c.tell("member.update", out.Revision != was.Revision, err)
}

func (c *crowd) keys() (out []postern.ServiceKey) {
	c.t.Helper()
	out, err := c.kr.Keys(c.t.Context(), c.system(c.m.Accounts[0]), store.KeyFilter{}, store.Cursor{}, 100_000)
	must(c.t, err)
	return out
}

// namesAreUnique: no two live keys of one name.
func (c *crowd) namesAreUnique() {
	seen := map[string]postern.KeyID{}
	for _, k := range c.keys() {
		if !k.Ended() {
			if other, dup := seen[k.Name]; dup {
				c.t.Errorf("the live keys %s and %s are both named %q", other, k.ID, k.Name)
			}
			seen[k.Name] = k.ID
		}
	}
}

// auditExplains: the log verifies, has one entry for each change that was
// acknowledged, and read in its order no rule was broken: whoever made a key held
// its scopes then, whoever changed something was a super admin then, and at all
// times there was one.
func (c *crowd) auditExplains() {
	ctx, t := c.t.Context(), c.t
	verdict, err := c.db.VerifyAudit(ctx, auditlog.Options{})
	must(t, err)
	if !verdict.Sound {
		t.Errorf("audit: %+v", verdict.Faults)
	}
	log, err := c.db.AuditPage(ctx, c.admins[0].AccountID, store.AuditFilter{Result: "ok"}, 0, 1_000_000)
	must(t, err)
	slices.SortFunc(log, func(a, b postern.AuditEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	held, super, counted := []string{"*"}, map[postern.MemberID]bool{c.admins[0].MemberID: true}, map[string]int{}
	for _, e := range log {
		id, by := postern.MemberID(e.Object), e.Actor.MemberID
		if by != c.maker.MemberID && !super[by] && e.Actor.System == "" {
			t.Errorf("entry %d: %s by %s, who was no super admin then", e.Seq, e.Action, by)
		}
		switch e.Action {
		case "member.invite":
			super[id] = e.After["role"] == string(postern.RoleSuperAdmin)
			continue // before anyone acted at once
		case "member.update":
			if role := e.After["role"]; role != nil {
				super[id] = role == string(postern.RoleSuperAdmin)
			}
			if list, ok := e.After["scopes"]; ok && id == c.maker.MemberID {
				held = texts(list)
			}
		case "service_key.create":
			if by == c.maker.MemberID {
				for _, s := range texts(e.After["scopes"]) {
					if !slices.Contains(held, "*") && !slices.Contains(held, s) {
						t.Errorf("entry %d: a key with %s by someone who held %v", e.Seq, s, held)
					}
				}
			}
		}
		counted[e.Action]++
		left := 0
		for _, is := range super {
			if is {
				left++
			}
		}
		if left == 0 {
			t.Errorf("entry %d left no super admin", e.Seq)
		}
	}
	for action, n := range c.told {
		if counted[action] != n {
			t.Errorf("%d changes %s were acknowledged, and the log has %d", n, action, counted[action])
		}
	}
	if len(c.told) < 5 || len(c.repeats) < 3 {
		t.Errorf("too little was done to find anything: %v", c.told)
	}
}

func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, s := range list {
		out = append(out, fmt.Sprint(s))
	}
	return out
}

// repeatsGaveOneKey: an Idempotency-Key gives one key, and its secret once.
func (c *crowd) repeatsGaveOneKey() {
	for name, keys := range c.repeats {
		if len(keys) != 1 || c.minted[name] != 1 {
			c.t.Errorf("the Idempotency-Key %s gave the keys %v and %d secrets", name, keys, c.minted[name])
		}
	}
}

// secretsAreAsStored: of all secrets that were shown of a key, those work that
// the store says, two at most; and a verifier that followed the feed says of each
// what one says that reads the store now.
func (c *crowd) secretsAreAsStored() {
	followed := c.v
	c.startVerifier()
	for _, k := range c.keys() {
		want := 0
		if !k.Ended() {
			want = 1
			if k.Rotating(t0) {
				want = 2
			}
		}
		work := 0
		for _, s := range c.shown[k.ID] {
			req := verify.Request{Secret: s, Door: postern.DoorVerify}
			a, err := followed.Verify(c.t.Context(), &req)
			must(c.t, err)
			b, err := c.v.Verify(c.t.Context(), &req)
			must(c.t, err)
			if a.Reason != b.Reason || a.Gen != b.Gen || a.Which != b.Which {
				c.t.Errorf("a secret of %s: %s (%d) by the feed, %s (%d) by the store", k.ID, a.Reason, a.Gen, b.Reason, b.Gen)
			}
			if a.Allowed {
				work++
			}
		}
		if work != want {
			c.t.Errorf("%d secrets of %s work, want %d", work, k.ID, want)
		}
	}
}
