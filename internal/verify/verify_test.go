package verify_test

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

func TestReasons(t *testing.T) {
	w := newWorld(t)
	plain, _ := w.key()
	stranger := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, postern.NewKeyID())
	of := func(change func(*postern.CredentialRow)) postern.Secret { s, _ := w.key(change); return s }
	typo := func(s postern.Secret) postern.Secret {
		text := []byte(s.Reveal())
		text[len(text)-10] ^= 1
		return postern.SecretOf(string(text))
	}
	wrong := func(s postern.Secret) postern.Secret {
		p, err := postern.ParseSecret(postern.DefaultBrand, s.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return postern.NewSecret(postern.DefaultBrand, p.Type, p.KeyID())
	}
	revoked := of(func(r *postern.CredentialRow) { r.RevokedAt = t0.Add(-time.Minute); r.ExpiresAt = t0.Add(-time.Hour) })
	tests := []struct {
		name   string
		secret postern.Secret
		method string
		path   string
		want   postern.Reason
	}{
		{"allowed", plain, "GET", "/deals", postern.ReasonAllowed},
		{"head follows get", plain, "HEAD", "/deals", postern.ReasonAllowed},
		{"another way", of(func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"crm.all"} }), "GET", "/deals", postern.ReasonAllowed},
		{"no credential", postern.Secret{}, "GET", "/deals", postern.ReasonNoCredential},
		{"empty credential", postern.SecretOf(""), "GET", "/deals", postern.ReasonNoCredential},
		{"garbage", postern.SecretOf("hello"), "GET", "/deals", postern.ReasonMalformed},
		{"huge garbage", postern.SecretOf(strings.Repeat("x", 1<<20)), "GET", "/deals", postern.ReasonMalformed},
		{"typing error", typo(plain), "GET", "/deals", postern.ReasonMalformed},
		{"a refresh token", postern.NewSecret(postern.DefaultBrand, postern.SecretRefresh, postern.NewKeyID()), "GET", "/deals", postern.ReasonMalformed},
		{"unknown key", stranger, "GET", "/deals", postern.ReasonUnknownKey},
		{"wrong secret", wrong(plain), "GET", "/deals", postern.ReasonUnknownKey},
		{"wrong secret for a revoked key", wrong(revoked), "GET", "/deals", postern.ReasonUnknownKey},
		{"no credential and no operation", postern.Secret{}, "GET", "/nothing", postern.ReasonNoCredential},
		{"unknown key and no operation", stranger, "GET", "/nothing", postern.ReasonUnknownKey},
		{"no operation", plain, "GET", "/nothing", postern.ReasonUnknownOperation},
		{"no method", plain, "DELETE", "/deals", postern.ReasonMethodNotAllowed},
		{"uncovered", plain, "GET", "/secret", postern.ReasonUncovered},
		{"missing scope", plain, "POST", "/deals", postern.ReasonInsufficientScope},
		{"no scopes at all", of(func(r *postern.CredentialRow) { r.Scopes = nil }), "GET", "/deals", postern.ReasonInsufficientScope},
		{"wrong kind", plain, "GET", "/keys", postern.ReasonWrongKind},
		{"revoked before expired", revoked, "GET", "/deals", postern.ReasonRevoked},
		{"deleted", of(func(r *postern.CredentialRow) { r.DeletedAt = t0 }), "GET", "/deals", postern.ReasonRevoked},
		{"expired before paused", of(func(r *postern.CredentialRow) { r.ExpiresAt = t0; r.PausedAt = t0 }), "GET", "/deals", postern.ReasonExpired},
		{"not expired", of(func(r *postern.CredentialRow) { r.ExpiresAt = t0.Add(time.Microsecond) }), "GET", "/deals", postern.ReasonAllowed},
		{"not yet", of(func(r *postern.CredentialRow) { r.NotBefore = t0.Add(time.Microsecond) }), "GET", "/deals", postern.ReasonNotYetValid},
		{"just now", of(func(r *postern.CredentialRow) { r.NotBefore = t0 }), "GET", "/deals", postern.ReasonAllowed},
		{"paused", of(func(r *postern.CredentialRow) { r.PausedAt = t0 }), "GET", "/deals", postern.ReasonPaused},
		{"paused and elsewhere", of(func(r *postern.CredentialRow) {
			r.PausedAt = t0
			r.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}), "GET", "/deals", postern.ReasonPaused},
		{"elsewhere", of(func(r *postern.CredentialRow) { r.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }),
			"GET", "/deals", postern.ReasonAddressNotAllowed},
		{"elsewhere and no operation", of(func(r *postern.CredentialRow) { r.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }),
			"GET", "/nothing", postern.ReasonAddressNotAllowed},
		{"at home", of(func(r *postern.CredentialRow) { r.Networks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} }),
			"GET", "/deals", postern.ReasonAllowed},
		{"public", postern.Secret{}, "GET", "/ping", postern.ReasonPublic},
		{"public, with a key", plain, "GET", "/ping", postern.ReasonPublic},
		{"public, with a revoked key", revoked, "GET", "/ping", postern.ReasonPublic},
		{"public, with garbage", postern.SecretOf("hello"), "GET", "/ping", postern.ReasonPublic},
		{"kind without scopes", of(func(r *postern.CredentialRow) { r.Kind = 99 }), "GET", "/deals", postern.ReasonWrongKind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := verifyWith(t, w.v, get(tt.secret, tt.method, tt.path))
			if d.Reason != tt.want {
				t.Errorf("Verify = %v, want %v", d.Reason, tt.want)
			}
			if known := tt.want.Status() != 401 && !tt.secret.Zero() && tt.secret.Reveal() != "hello"; known && !d.Known {
				t.Errorf("Verify: not known, with the reason %v", d.Reason)
			}
			if !d.Known && (d.Account != "" || d.Since != 0 || d.Which != postern.WhichNone || d.NMissing != 0) {
				t.Errorf("Verify told of a credential whose secret was not presented: %+v", d)
			}
		})
	}
}

func TestDecisionTellsWhoItWas(t *testing.T) {
	w := newWorld(t)
	secret, row := w.key()
	d := w.want(get(secret, "POST", "/deals"), postern.ReasonInsufficientScope)
	if d.KeyID() != row.Key || d.Account != account || d.AccountNo != 101 || d.Kind != postern.KindServiceKey || d.Gen != 1 {
		t.Errorf("Verify = %+v", d)
	}
	if got := w.v.MissingScopes(get(secret, "POST", "/deals"), &d); !slices.Equal(got, []postern.Scope{"deals.write"}) {
		t.Errorf("MissingScopes = %v", got)
	}
	if d.Operation == nil || d.Operation.Name != "POST /deals" {
		t.Errorf("Operation = %v", d.Operation)
	}
	if got := string(w.v.AppendScopes([]byte("has "), &d)); got != "has deals.read" {
		t.Errorf("AppendScopes = %q", got)
	}
	w.put(func() postern.CredentialRow { row.RevokedAt = t0.Add(-time.Second); return row }())
	if d = w.want(get(secret, "GET", "/deals"), postern.ReasonRevoked); d.Since != postern.ToMicros(t0.Add(-time.Second)) {
		t.Errorf("Since = %v", d.Since.Time())
	}
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	old, row := w.key()
	fresh := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, row.Key)
	row.Previous, row.Current, row.PreviousUntil = row.Current, w.hash(fresh, 2), t0.Add(time.Hour)
	w.put(row)
	if d := w.want(get(old, "GET", "/deals"), postern.ReasonAllowed); d.Which != postern.WhichPrevious || d.Gen != 1 {
		t.Errorf("the old secret: which %v, generation %d", d.Which, d.Gen)
	}
	if d := w.want(get(fresh, "GET", "/deals"), postern.ReasonAllowed); d.Which != postern.WhichCurrent || d.Gen != 2 {
		t.Errorf("the new secret: which %v, generation %d", d.Which, d.Gen)
	}
	for range 3 {
		w.clock.add(20 * time.Minute)
		w.renew()
	}
	if d := w.want(get(old, "GET", "/deals"), postern.ReasonRetired); d.Since != postern.ToMicros(t0.Add(time.Hour)) {
		t.Errorf("Since = %v", d.Since.Time())
	}
	w.want(get(fresh, "GET", "/deals"), postern.ReasonAllowed)
}

func TestPepperVersions(t *testing.T) {
	w := newWorld(t)
	old, row := w.key()
	w.pepper = pepperOf(t, pepper2)
	fresh := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, row.Key)
	row.Previous, row.Current, row.PreviousUntil = row.Current, w.hash(fresh, 2), t0.Add(time.Hour)
	w.v = w.node()
	w.renew()
	w.want(get(old, "GET", "/deals"), postern.ReasonAllowed)
	w.put(row) // its two secrets lie under two versions
	w.want(get(old, "GET", "/deals"), postern.ReasonAllowed)
	w.want(get(fresh, "GET", "/deals"), postern.ReasonAllowed)
	w.want(get(postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, row.Key), "GET", "/deals"), postern.ReasonUnknownKey)

	w.pepper = pepperOf(t, "2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=")
	w.v = w.node()
	w.renew()
	w.want(get(old, "GET", "/deals"), postern.ReasonUnknownKey)
	w.want(get(fresh, "GET", "/deals"), postern.ReasonAllowed)
}

func TestScopesInsteadOfOperation(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key()
	ask := func(scopes ...postern.Scope) *verify.Request {
		return &verify.Request{Secret: secret, Scopes: scopes, RemoteIP: home}
	}
	w.want(ask(), postern.ReasonAllowed)
	w.want(ask("deals.read"), postern.ReasonAllowed)
	d := w.want(ask("deals.read", "deals.write", "never.heard"), postern.ReasonInsufficientScope)
	if got := w.v.MissingScopes(ask("deals.read", "deals.write", "never.heard"), &d); !slices.Equal(got, []postern.Scope{"deals.write", "never.heard"}) {
		t.Errorf("MissingScopes = %v", got)
	}
	w.want(ask("never.heard"), postern.ReasonInsufficientScope)
	w.want(&verify.Request{Scopes: []postern.Scope{"deals.read"}}, postern.ReasonNoCredential)
}

func TestImported(t *testing.T) {
	w := newWorld(t)
	const text = "pat-eu1-11111111-2222-3333-4444-555555555555"
	w.want(get(postern.SecretOf(text), "GET", "/deals"), postern.ReasonMalformed)
	digest, _ := w.pepper.LegacyDigest(1, sha256.Sum256([]byte(text)))
	_, row := w.keyOf(postern.SecretServiceKey, postern.KindLegacyAPIKey, func(r *postern.CredentialRow) {
		r.Scopes, r.AllScopes = nil, true
		r.Current = postern.SecretHash{Hash: digest, Pepper: 1, Generation: 1}
	})
	d := w.want(get(postern.SecretOf(text), "POST", "/deals"), postern.ReasonAllowed)
	if d.KeyID() != row.Key || d.Kind != postern.KindLegacyAPIKey || !d.Known {
		t.Errorf("Verify = %+v", d)
	}
	w.want(get(postern.SecretOf(text), "GET", "/secret"), postern.ReasonUncovered)
	w.want(&verify.Request{Secret: postern.SecretOf(text), Scopes: []postern.Scope{"deals.read"}, RemoteIP: home}, postern.ReasonAllowed)
	w.want(&verify.Request{Secret: postern.SecretOf(text), Scopes: []postern.Scope{"never.heard"}, RemoteIP: home}, postern.ReasonInsufficientScope)
	w.want(get(postern.SecretOf(text+"x"), "GET", "/deals"), postern.ReasonMalformed)
	row.RevokedAt = t0
	w.put(row)
	w.want(get(postern.SecretOf(text), "GET", "/deals"), postern.ReasonRevoked)
}

func TestPersonalAccessKey(t *testing.T) {
	w := newWorld(t)
	personal := func(scopes ...postern.Scope) postern.Secret {
		s, _ := w.keyOf(postern.SecretPersonal, postern.KindPersonal, func(r *postern.CredentialRow) { r.MemberID, r.Scopes = member, scopes })
		return s
	}
	all, read := personal("*"), personal("postern.keys.read", "postern.members.*")
	if d := w.want(get(all, "POST", "/keys"), postern.ReasonAllowed); d.Member != member {
		t.Errorf("Member = %q", d.Member)
	}
	w.want(get(read, "GET", "/keys"), postern.ReasonAllowed)
	w.want(get(read, "POST", "/keys"), postern.ReasonInsufficientScope)
	w.want(get(all, "GET", "/deals"), postern.ReasonWrongKind)
	if d := w.want(get(read, "GET", "/keys"), postern.ReasonAllowed); !slices.Equal(w.v.HeldScopes(&d), []postern.Scope{"postern.keys.read", "postern.members.read"}) {
		t.Errorf("HeldScopes = %v", w.v.HeldScopes(&d))
	}

	// Their role changes, and with it what the key may do, at once.
	change := func(kind postern.ChangeKind, id string, f func(m *postern.Member)) {
		w.catchUp(w.store.commit(kind, id, func() {
			m := w.store.members[member]
			f(&m)
			w.store.members[member] = m
		}))
	}
	change(postern.ChangeRole, string(postern.RoleKeyManager), func(m *postern.Member) {
		m.Role.Permissions = []postern.Permission{postern.PermKeysRead}
	})
	w.want(get(all, "POST", "/keys"), postern.ReasonInsufficientScope)
	w.want(get(all, "GET", "/keys"), postern.ReasonAllowed)
	change(postern.ChangeMember, string(member), func(m *postern.Member) { m.RemovedAt = t0; m.Revision++ })
	if d := w.want(get(all, "GET", "/keys"), postern.ReasonRevoked); d.Since != postern.ToMicros(t0) {
		t.Errorf("Since = %v", d.Since)
	}

	ghost, _ := w.keyOf(postern.SecretPersonal, postern.KindPersonal, func(r *postern.CredentialRow) { r.MemberID, r.Scopes = "mem_nobody", []postern.Scope{"**"} })
	w.want(get(ghost, "GET", "/keys"), postern.ReasonRevoked)
	none, _ := w.keyOf(postern.SecretPersonal, postern.KindPersonal, func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"**"} })
	w.want(get(none, "GET", "/keys"), postern.ReasonRevoked)
}

func TestAccount(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key()
	set := func(f func(*postern.Account)) {
		w.catchUp(w.store.commit(postern.ChangeAccount, string(account), func() {
			a := w.store.accounts[account]
			a.Revision++
			f(&a)
			w.store.accounts[account] = a
		}))
	}
	set(func(a *postern.Account) { a.SuspendedAt = t0 })
	w.want(get(secret, "GET", "/deals"), postern.ReasonAccountSuspended)
	set(func(a *postern.Account) { a.SuspendedAt = time.Time{} })
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	w.catchUp(w.store.commit(postern.ChangeAccount, string(account), func() { delete(w.store.accounts, account) }))
	w.want(get(secret, "GET", "/deals"), postern.ReasonAccountSuspended)

	lost, _ := w.key(func(r *postern.CredentialRow) { r.AccountID = "acc_nowhere" })
	w.want(get(lost, "GET", "/deals"), postern.ReasonAccountSuspended)
}

func TestTampered(t *testing.T) {
	w := newWorld(t)
	secret, row := w.key()
	wide := row
	wide.Scopes = []postern.Scope{"deals.read", "deals.write"}
	w.catchUp(w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = wide }))
	w.want(get(secret, "GET", "/deals"), postern.ReasonUnknownKey)
	if s := w.v.Stats(); s.Tampered != 1 || s.BadRows != 1 {
		t.Errorf("Stats: tampered %d, bad rows %d, want 1 and 1", s.Tampered, s.BadRows)
	}
	// An older row, sealed in its time, is not put in its place.
	w.put(row)
	w.put(func() postern.CredentialRow { row.Revision++; return row }())
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	if s := w.v.Stats(); s.Tampered != 0 {
		t.Errorf("Stats: tampered %d after the repair", s.Tampered)
	}
}

// An altered member's personal access keys and an altered account's credentials
// are refused, whatever revision was written beside the rest, also by a node that
// starts then; they work again once the record is as it was.
func TestAlteredMemberAndAccount(t *testing.T) {
	w := newWorld(t)
	personal, _ := w.keyOf(postern.SecretPersonal, postern.KindPersonal, func(r *postern.CredentialRow) { r.MemberID, r.Scopes = member, []postern.Scope{"postern.*"} })
	secret, _ := w.key()
	for _, revision := range []int64{-9, 1 << 40} {
		m := w.store.members[member]
		bad := m
		bad.Altered, bad.Revision, bad.RemovedAt = true, revision, t0
		refused := func(req *verify.Request, want postern.Reason) {
			t.Helper()
			w.want(req, want)
			later := w.node()
			if err := later.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := verifyWith(t, later, req); d.Reason != want {
				t.Errorf("a node that starts now says %s, want %s", d.Reason, want)
			}
		}
		w.want(get(personal, "GET", "/keys"), postern.ReasonAllowed)
		w.catchUp(w.store.commit(postern.ChangeMember, string(member), func() { w.store.members[member] = bad }))
		refused(get(personal, "GET", "/keys"), postern.ReasonRevoked)
		w.catchUp(w.store.commit(postern.ChangeMember, string(member), func() { w.store.members[member] = m }))
		w.want(get(personal, "GET", "/keys"), postern.ReasonAllowed)

		a := w.store.accounts[account]
		worse := a
		worse.Altered, worse.Revision, worse.SuspendedAt = true, revision, t0
		w.catchUp(w.store.commit(postern.ChangeAccount, string(account), func() { w.store.accounts[account] = worse }))
		refused(get(secret, "GET", "/deals"), postern.ReasonAccountSuspended)
		w.catchUp(w.store.commit(postern.ChangeAccount, string(account), func() { w.store.accounts[account] = a }))
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	}
}

func TestOldRowIsNotReplayed(t *testing.T) {
	w := newWorld(t)
	secret, row := w.key(func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"deals.read", "deals.write"} })
	narrow := row
	narrow.Scopes = []postern.Scope{"deals.read"}
	w.put(narrow)
	w.want(get(secret, "POST", "/deals"), postern.ReasonInsufficientScope)
	w.catchUp(w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = row }))
	w.want(get(secret, "POST", "/deals"), postern.ReasonInsufficientScope)
	if s := w.v.Stats(); s.StaleRows != 1 {
		t.Errorf("Stats: stale rows %d, want 1", s.StaleRows)
	}
}

// Changes that are applied together are read together: a new key, one that was ended,
// and one whose row is gone.
func TestManyChangesAtOnce(t *testing.T) {
	w := newWorld(t)
	ended, endedRow := w.key()
	gone, goneRow := w.key()
	id := postern.NewKeyID()
	fresh := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, id)
	row := postern.CredentialRow{Key: id, AccountID: account, Kind: postern.KindServiceKey, Scopes: []postern.Scope{"deals.read"}, Current: w.hash(fresh, 1), Revision: 1}
	row.Seal(w.pepper)
	w.store.commit(postern.ChangeCredential, string(id), func() { w.store.rows[id] = row })
	endedRow.RevokedAt, endedRow.Revision = t0, endedRow.Revision+1
	endedRow.Seal(w.pepper)
	w.store.commit(postern.ChangeCredential, string(endedRow.Key), func() { w.store.rows[endedRow.Key] = endedRow })
	last := w.store.commit(postern.ChangeCredential, string(goneRow.Key), func() { delete(w.store.rows, goneRow.Key) })
	before := w.store.reads
	w.catchUp(last)
	if n := w.store.reads - before; n != 1 {
		t.Errorf("the rows were read in %d goes, want 1", n)
	}
	w.want(get(fresh, "GET", "/deals"), postern.ReasonAllowed)
	w.want(get(ended, "GET", "/deals"), postern.ReasonRevoked)
	w.want(get(gone, "GET", "/deals"), postern.ReasonRevoked)
	w.store.set(func() { w.store.down = errDown })
	w.store.commit(postern.ChangeCredential, string(id), nil)
	if err := w.v.CatchUp(t.Context(), w.store.commit(postern.ChangeCredential, string(endedRow.Key), nil)); err == nil {
		t.Error("changes were applied without a store")
	}
}

func TestCatalogChanges(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key()
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	byHost := &verify.Request{Secret: secret, Method: "GET", Host: "any.example", Path: "/crm/deals", RemoteIP: home}
	w.want(byHost, postern.ReasonAllowed)
	if up, within, ok := w.v.Route("any.example", "/crm/deals"); up != crm || within != "/deals" || !ok {
		t.Errorf("Route = %q, %q, %v", up, within, ok)
	}
	if got := w.v.Allow(get(secret, "DELETE", "/deals")); !slices.Contains(got, "POST") {
		t.Errorf("Allow = %v", got)
	}
	preflight := get(postern.Secret{}, "OPTIONS", "/deals")
	preflight.Preflight = "POST"
	w.want(preflight, postern.ReasonPublic)

	change := func(f func()) { w.catchUp(w.store.commit(postern.ChangeCatalog, string(crm), f)) }
	next := dealsCatalog()
	next.Operations[0].Ways[0].Scopes = []postern.Scope{"deals.see"}
	change(func() { w.store.catalogs[crm] = next; w.store.ups[0].Catalog = 2 })
	w.want(get(secret, "GET", "/deals"), postern.ReasonInsufficientScope)

	broken := dealsCatalog()
	broken.Operations = append(broken.Operations, broken.Operations[0])
	change(func() { w.store.catalogs[crm] = broken; w.store.ups[0].Catalog = 3 })
	w.want(get(secret, "GET", "/deals"), postern.ReasonUnknownOperation)
	if s := w.v.Stats(); !slices.Equal(s.Broken, []postern.UpstreamID{crm}) {
		t.Errorf("Stats: broken %v", s.Broken)
	}
	change(func() {
		w.store.catalogs[crm] = dealsCatalog()
		w.store.ups[0].Catalog = 4
		w.store.ups[0].Unmounted = true
	})
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	w.want(byHost, postern.ReasonUnknownOperation)
	change(func() { w.store.ups = nil })
	w.want(get(secret, "GET", "/deals"), postern.ReasonUnknownOperation)
}

func TestDone(t *testing.T) {
	w := newWorld(t)
	secret, row := w.key()
	req := get(secret, "POST", "/deals")
	req.UserAgent, req.RequestID = "test/1", "req_1"
	d := w.want(req, postern.ReasonInsufficientScope)
	w.v.Done(req, &d, verify.Outcome{Status: 403, Duration: time.Millisecond, BytesIn: 5, BytesOut: 7})
	e := w.sink.last
	if w.sink.n != 1 || e.Decision.KeyID() != row.Key || e.Missing != "deals.write" || e.Status != 403 || e.IP != home ||
		e.At != postern.ToMicros(t0) || e.Door != postern.DoorGateway || e.UserAgent != "test/1" || e.BytesOut != 7 {
		t.Errorf("the event is %+v", e)
	}
	// What a door decides by itself is recorded with the present time.
	w.v.Done(req, &postern.Decision{Reason: postern.ReasonBadRequest}, verify.Outcome{Status: 400})
	if e := w.sink.last; e.At != postern.ToMicros(t0) || e.Decision.Reason != postern.ReasonBadRequest {
		t.Errorf("the event is %+v", e)
	}
	if s := w.v.Stats(); s.Decisions[postern.ReasonInsufficientScope] != 1 {
		t.Errorf("Stats: decisions %v", s.Decisions)
	}
}

func TestUsedNamesTheWayThatWasTaken(t *testing.T) {
	w := newWorld(t)
	plain, _ := w.key()
	for name, c := range map[string]struct {
		req  *verify.Request
		want string
	}{
		"an operation": {get(plain, "GET", "/deals"), "deals.read"},
		"scopes":       {&verify.Request{Secret: plain, Scopes: []postern.Scope{"deals.read", "deals.read"}, RemoteIP: home}, "deals.read"},
		"no scope":     {&verify.Request{Secret: plain, RemoteIP: home}, ""},
		"public":       {get(postern.Secret{}, "GET", "/ping"), ""},
		"refused":      {get(plain, "POST", "/deals"), ""},
	} {
		d, err := w.v.Verify(context.Background(), c.req)
		if err != nil || d.Used != c.want {
			t.Errorf("%s: used %q, %v; want %q", name, d.Used, err, c.want)
		}
	}
}

func TestAllowedAllocatesNothing(t *testing.T) {
	w := newWorld(t, func(c *verify.Config) { c.Burst = postern.Rate{Calls: 1e6, Per: time.Second} })
	plain, _ := w.key(func(r *postern.CredentialRow) { r.Networks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
	personal, _ := w.keyOf(postern.SecretPersonal, postern.KindPersonal, func(r *postern.CredentialRow) { r.MemberID, r.Scopes = member, []postern.Scope{"*"} })
	for name, req := range map[string]*verify.Request{
		"service key": get(plain, "GET", "/deals"), "personal access key": get(personal, "GET", "/keys"),
		"by host": {Secret: plain, Method: "GET", Host: "api.example", Path: "/crm/deals", RemoteIP: home},
		"scopes":  {Secret: plain, Scopes: []postern.Scope{"deals.read"}, RemoteIP: home},
		"public":  get(postern.Secret{}, "GET", "/ping"),
	} {
		n := testing.AllocsPerRun(200, func() {
			d, err := w.v.Verify(context.Background(), req)
			if err != nil || !d.Allowed {
				t.Fatalf("%s: Verify = %v, %v", name, d.Reason, err)
			}
			w.v.Done(req, &d, verify.Outcome{Status: 200})
		})
		// The race detector makes pools forget on purpose.
		if n >= 1 && !raceEnabled {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
