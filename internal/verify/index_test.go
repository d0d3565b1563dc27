package verify_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// The index agrees with a map, through any sequence of puts, removals and sweeps.
func TestIndexAgainstMap(t *testing.T) {
	type entry struct {
		c    postern.Credential
		held []postern.ScopeID
		nets []verify.Network
	}
	const ended = postern.FlagRevoked | postern.FlagDeleted
	key := func(i int) (k [postern.KeyIDLen]byte) {
		copy(k[:], fmt.Sprintf("%016d", i))
		return k
	}
	rapid.Check(t, func(t *rapid.T) {
		table, model := verify.NewTable(), map[[postern.KeyIDLen]byte]entry{}
		var stamp uint32
		put := func(t *rapid.T) [postern.KeyIDLen]byte {
			k := key(rapid.IntRange(0, 300).Draw(t, "key"))
			stamp++
			e := entry{c: postern.Credential{Key: k, Account: stamp, Revision: rapid.Uint32Range(1, 5).Draw(t, "revision"),
				Flags: rapid.SampledFrom([]postern.Flags{0, 0, 0, postern.FlagPaused, postern.FlagRevoked}).Draw(t, "flags"),
				Kind:  rapid.SampledFrom([]postern.Kind{postern.KindServiceKey, postern.KindOAuthAccess}).Draw(t, "kind")},
				held: scopeIDs(rapid.SliceOfNDistinct(rapid.Uint16Range(1, 40), 0, 4, rapid.ID[uint16]).Draw(t, "held")),
			}
			if rapid.Bool().Draw(t, "expires") {
				e.c.ExpiresAt = postern.Micros(rapid.IntRange(1, 100).Draw(t, "expiry"))
			}
			for _, bits := range rapid.SliceOfN(rapid.IntRange(0, 32), 0, 2).Draw(t, "networks") {
				e.nets = append(e.nets, verify.NetworkOf(netip.PrefixFrom(home, bits)))
			}
			if err := table.Put(e.c, e.held, e.nets, false); err != nil {
				t.Fatal(err)
			}
			old, was := model[k]
			if was && e.c.Revision < old.c.Revision {
				old.c.Flags |= e.c.Flags & ended
				model[k] = old
				return k
			}
			if was {
				e.c.Flags |= old.c.Flags & ended
			}
			model[k] = e
			return k
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) { put(t) },
			"many": func(t *rapid.T) {
				for range 40 {
					put(t)
				}
			},
			"gone": func(t *rapid.T) {
				k := key(rapid.IntRange(0, 300).Draw(t, "key"))
				now := postern.Micros(rapid.IntRange(0, 100).Draw(t, "now"))
				table.Gone(k, now)
				if e, ok := model[k]; ok && e.c.ExpiresAt != 0 && e.c.ExpiresAt <= now {
					delete(model, k)
				} else if ok {
					e.c.Flags |= postern.FlagDeleted
					model[k] = e
				}
			},
			"sweep": func(t *rapid.T) {
				table.BeginSweep()
				kept := map[[postern.KeyIDLen]byte]bool{}
				for range rapid.IntRange(0, 200).Draw(t, "n") {
					kept[put(t)] = true
				}
				table.EndSweep()
				for k, e := range model {
					if !kept[k] && e.c.Flags&ended == 0 {
						delete(model, k)
					}
				}
			},
			"expire": func(t *rapid.T) {
				before := postern.Micros(rapid.IntRange(0, 100).Draw(t, "before"))
				table.DropExpired(before)
				for k, e := range model {
					if e.c.Kind == postern.KindOAuthAccess && e.c.ExpiresAt != 0 && e.c.ExpiresAt < before {
						delete(model, k)
					}
				}
			},
			"": func(t *rapid.T) {
				if int(table.Keys()) != len(model) {
					t.Fatalf("the index has %d keys, want %d", table.Keys(), len(model))
				}
				for i := range 301 {
					want, ok := model[key(i)]
					c, held, nets, found := table.Find(key(i))
					if found != ok {
						t.Fatalf("key %d: found %v, want %v", i, found, ok)
					}
					if ok && (c.Account != want.c.Account || c.Flags != want.c.Flags || !slices.Equal(held, want.held) || !slices.Equal(nets, want.nets)) {
						t.Fatalf("key %d: %+v %v %v, want %+v %v %v", i, c, held, nets, want.c, want.held, want.nets)
					}
				}
			},
		})
	})
}

func scopeIDs(list []uint16) (out []postern.ScopeID) {
	for _, n := range list {
		out = append(out, postern.ScopeID(n))
	}
	slices.Sort(out)
	return out
}

// However often sets of scopes change, the room for them does not grow without end.
func TestListsAreReclaimed(t *testing.T) {
	table := verify.NewTable()
	var keys [100][postern.KeyIDLen]byte
	for i := range keys {
		copy(keys[i][:], fmt.Sprintf("%016d", i))
	}
	for round := range 2_000 {
		for i, k := range keys {
			held := []postern.ScopeID{postern.ScopeID(i + 1), postern.ScopeID(1000 + round%30_000), 40_000, 50_000}
			if err := table.Put(postern.Credential{Key: k}, held, nil, false); err != nil {
				t.Fatal(err)
			}
			if _, got, _, _ := table.Find(k); !slices.Equal(got, held) {
				t.Fatalf("key %d in round %d: %v, want %v", i, round, got, held)
			}
		}
	}
	lists, elements := table.Lists()
	if lists != len(keys) || elements > 50_000 {
		t.Errorf("%d lists, %d elements after 200,000 changes of 100 keys", lists, elements)
	}
	if table.Bytes() > 1<<20 {
		t.Errorf("%d bytes for 100 keys", table.Bytes())
	}
}

func TestNetworksAgree(t *testing.T) {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "four") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 10, 127, 128, 255}), 4, 4).Draw(t, "v4")))
		}
		b := [16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0x20, 0xfe, 255}), 16, 16).Draw(t, "v6"))
		a := netip.AddrFrom16(b)
		if rapid.Bool().Draw(t, "mapped") {
			a = netip.AddrFrom16(netip.AddrFrom4([4]byte(b[:4])).As16())
		}
		if rapid.Bool().Draw(t, "zone") {
			a = a.WithZone("eth0")
		}
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		var prefixes []netip.Prefix
		var networks []verify.Network
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			a := addr.Draw(t, "network").WithZone("")
			p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			prefixes, networks = append(prefixes, p), append(networks, verify.NetworkOf(p))
		}
		ip := addr.Draw(t, "ip")
		if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
			ip = netip.Addr{}
		}
		if got, want := verify.InNetworks(networks, ip), postern.InNetworks(prefixes, ip); got != want {
			t.Fatalf("%v in %v = %v, want %v", ip, prefixes, got, want)
		}
	})
}
