package backup_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

var (
	histories   = flag.Int("histories", 6, "random histories that are backed up and restored, on each engine; 200 is the long form")
	historySeed = flag.Uint64("historyseed", 1, "their seed; 0 is another each time")
)

// chaos makes random changes.
type chaos struct {
	*world
	r    *rand.Rand
	n    int
	keys []postern.KeyID
	own  []postern.KeyID // personal
	people
}

func (c *chaos) one(n int) bool { return c.r.IntN(n) == 0 }

func (c *chaos) scopes() (out []postern.Scope) {
	for _, s := range []postern.Scope{"deals.read", "deals.write", "contacts.read", "contacts.write"} {
		if c.one(2) {
			out = append(out, s)
		}
	}
	return append(out, "deals.read")
}

func (c *chaos) networks() []netip.Prefix {
	list := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.0/24")}
	return list[c.r.IntN(3):3:3][:c.r.IntN(2)]
}

// step makes one change; what the rules refuse is no change.
func (c *chaos) step() {
	ctx, by := c.t.Context(), c.super
	c.passed.Add(int64(c.r.IntN(120)) * int64(time.Second))
	if c.one(3) {
		c.stepPeople()
		return
	}
	if len(c.keys) < 3 || c.one(5) {
		c.n++
		id, _ := c.key(fmt.Sprintf("key-%d", c.n), c.scopes()...)
		c.keys = append(c.keys, id)
		return
	}
	id := c.keys[c.r.IntN(len(c.keys))]
	edit := func(in keyring.KeyEdit) { _, _ = c.EditKey(ctx, by, id, in) }
	switch c.r.IntN(13) {
	case 0:
		_, _ = c.RevokeKey(ctx, by, id, "")
	case 1:
		_, _ = c.DeleteKey(ctx, by, id, 0)
	case 2, 3:
		s := c.scopes()
		edit(keyring.KeyEdit{Scopes: &s})
	case 4:
		n := c.networks()
		edit(keyring.KeyEdit{Networks: &n})
	case 5:
		at := c.now().Add(time.Duration(1+c.r.IntN(4)) * time.Hour)
		edit(keyring.KeyEdit{ExpiresAt: &at})
	case 6:
		p := c.one(2)
		edit(keyring.KeyEdit{Paused: &p})
	case 7, 8:
		made, err := c.RotateKey(ctx, by, id, keyring.Rotation{Grace: time.Duration(c.r.IntN(3)) * 2 * time.Hour})
		if err == nil {
			c.secrets[id] = append(c.secrets[id], made.Secret)
		}
	case 9:
		_, _ = c.FinishRotation(ctx, by, id, 0)
	case 10:
		_, _ = c.CancelRotation(ctx, by, id, 0)
	case 11:
		made, err := c.CreatePersonalKey(ctx, by, keyring.NewPersonalKey{Name: fmt.Sprintf("own-%d", c.n), Scopes: []postern.Scope{"postern.keys.*"}})
		c.n++
		if err == nil {
			c.own = append(c.own, made.Key.Key)
			c.secrets[made.Key.Key] = []postern.Secret{made.Secret}
		}
	case 12:
		if len(c.own) > 0 {
			_ = c.RevokePersonalKey(ctx, by, c.own[c.r.IntN(len(c.own))])
		}
	}
}

// Random histories, a backup at a random moment, more changes, a restore with the
// journal: no credential works that didn't work in the end, or for more, or longer,
// or from elsewhere; and each that worked at the backup and in the end works. Members
// may do no more than they might then and last, nobody is signed in, an API that was
// removed is gone, and the restore names each policy and API that was changed.
func TestHistories(t *testing.T) {
	engines(t, func(t *testing.T, at store.Place) {
		seed := *historySeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		c := &chaos{world: newWorld(t, at), r: rand.New(rand.NewPCG(seed, 0))}
		first, firstStates := c.backup(), c.snapshot()
		var checked, dead, members, less int
		for i := range *histories {
			for range 3 + c.r.IntN(12) {
				c.step()
			}
			data, then := c.backup(), c.snapshot()
			for range c.r.IntN(15) {
				c.step()
			}
			// Now and then into the other engine; the oldest backup last.
			toPostgres := i == 1 && at.Database == ""
			if i == *histories-1 {
				data, then = first, firstStates
			}
			n := c.back(t, data, then, toPostgres)
			checked, dead, members, less = checked+n[0], dead+n[1], members+n[2], less+n[3]
			if i == 0 {
				first, firstStates = data, then
			}
			if t.Failed() {
				t.Fatalf("seed %d, history %d", seed, i)
			}
		}
		t.Logf("%d histories: %d secrets checked, %d of them dead, and %d members, %d of them removed since; 0 came back", *histories, checked, dead, members, less)
		if dead == 0 || checked == dead {
			t.Errorf("of %d secrets %d were dead: the test sees nothing", checked, dead)
		}
	})
}

// snap is how everything goes at one time.
type snap struct {
	secrets map[secretName]use
	people  peopleState
}

func (c *chaos) snapshot() snap { return snap{c.states(c.db, c.now()), c.peopleOf(c.db)} }

// back restores a backup, and compares every secret and every member. It returns how
// many secrets there were, how many of them dead, how many members, how many removed.
func (c *chaos) back(t *testing.T, data []byte, then snap, toPostgres bool) (n [4]int) {
	finally := c.snapshot()
	to := empty(t, toPostgres)
	done, err := restore(t, data, func(o *backup.RestoreOptions) {
		o.To, o.Journals, o.Now = to, []string{c.journal}, c.now
	})
	if err != nil {
		t.Fatal(err)
	}
	if done.Seals.Broken != 0 {
		t.Errorf("seals: %+v", done.Seals)
	}
	db := c.restored(to)
	soundWith(t, db, "backup.restore")
	after := c.states(db, c.now())
	for key, was := range then.secrets {
		n[0]++
		if !finally.secrets[key].works {
			n[1]++
		}
		c.compare(key, was, finally.secrets[key], after[key])
	}
	n[2], n[3] = c.comparePeople(then.people, finally.people, c.peopleOf(db), &done.Replayed)
	return n
}

type secretName struct {
	id postern.KeyID
	n  int
}

func (c *chaos) states(db *store.DB, now time.Time) map[secretName]use {
	out := map[secretName]use{}
	for id, list := range c.secrets {
		for n, s := range list {
			out[secretName{id, n}] = using(c.t, db, c.pepper, id, s, now)
		}
	}
	return out
}

// compare holds a secret after the restore against how it was at the backup and at the end.
func (c *chaos) compare(key secretName, was, end, is use) {
	c.t.Helper()
	if is.works && !end.works {
		c.t.Errorf("secret %v works after the restore, and did not in the end: then %+v, end %+v, is %+v", key, was.row, end.row, is.row)
		return
	}
	if is.works {
		for _, s := range is.scopes {
			if !contains(end.scopes, s) || !contains(was.scopes, s) {
				c.t.Errorf("secret %v may do %s after the restore; then %v, in the end %v", key, s, was.scopes, end.scopes)
			}
		}
		later := func(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }
		if later(is.row.ExpiresAt, end.row.ExpiresAt) || later(is.until, end.until) && !end.until.IsZero() {
			c.t.Errorf("secret %v works longer than it would have", key)
		}
		if len(end.row.Networks) > 0 {
			for _, n := range is.row.Networks {
				ok := false
				for _, m := range end.row.Networks {
					ok = ok || m.Bits() <= n.Bits() && m.Contains(n.Addr())
				}
				if !ok {
					c.t.Errorf("secret %v works from %s", key, n)
				}
			}
			if len(is.row.Networks) == 0 {
				c.t.Errorf("secret %v works from everywhere", key)
			}
		}
		return
	}
	// What worked then and in the end works, unless its two lists of networks have nothing in common, or the end that
	// it had then has come: what was lengthened after the backup isn't given back.
	over := func(at time.Time) bool { return !at.IsZero() && !c.now().Before(at) }
	lengthened := over(was.row.ExpiresAt) || over(was.until) && !end.until.IsZero()
	if was.works && end.works && !lengthened && !disjoint(was.row.Networks, end.row.Networks) {
		c.t.Errorf("secret %v was lost: then %+v, end %+v, is %+v", key, was.row, end.row, is.row)
	}
}

func contains(list []postern.Scope, s postern.Scope) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func disjoint(a, b []netip.Prefix) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	for _, x := range a {
		for _, y := range b {
			if x.Overlaps(y) {
				return false
			}
		}
	}
	return true
}
