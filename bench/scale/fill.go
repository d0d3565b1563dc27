package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

// accounts is how many accounts the keys are spread over.
const accounts = 200

// samples is how many of the secrets are kept, to verify with.
const samples = 2000

// place is an engine and how many nodes stand before it.
type place struct {
	name, dir, database string
	nodes               int
}

// filling is a place with its keys.
type filling struct {
	place
	accounts []postern.AccountID
	member   postern.MemberID
	admin    string // the operator's personal access key
	have     int
	secrets  []string
}

// schema makes an empty schema in a PostgreSQL server.
func schema(ctx context.Context, server string) (target string, drop func(), err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, err
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", nil, err
	}
	name := "scale_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(ctx, "create schema "+name); err != nil {
		return "", nil, err
	}
	q := u.Query()
	q.Set("search_path", name)
	q.Set("pool_max_conns", "6")
	u.RawQuery = q.Encode()
	return u.String(), func() {
		conn.Exec(context.Background(), "drop schema "+name+" cascade")
		conn.Close(context.Background())
	}, nil
}

func (p place) pepper() string { return filepath.Join(p.dir, "pepper") }

func (p place) config(n int) node.Config {
	return node.Config{Data: filepath.Join(p.dir, fmt.Sprint("node", n)), Database: p.database, PepperPath: p.pepper(), Burst: postern.Rate{Calls: 1_000_000, Per: time.Second}}
}

const document = `
openapi: 3.1.0
info: {title: Things, version: "1"}
paths:
  /things/{id}: {get: {operationId: readThing, security: [{keys: [things.read]}]}, put: {operationId: writeThing, security: [{keys: [things.write]}]}}
components: {securitySchemes: {keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {things.read: Read things, things.write: Write things}}}}}}
`

// newFilling sets a place up with its accounts, and no keys yet.
func newFilling(ctx context.Context, p place) (*filling, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	n, err := node.Open(ctx, p.config(1))
	if err != nil {
		return nil, err
	}
	defer n.Close()
	done, err := n.Keyring.Setup(ctx, keyring.SetupInput{AccountName: "Account 1", Email: "ada@example.org", Name: "Ada"})
	if err != nil {
		return nil, err
	}
	f := &filling{place: p, accounts: []postern.AccountID{done.Account.ID}, member: done.Member.ID, admin: done.Secret.Reveal()}
	by := postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	if _, err := n.Keyring.PutUpstream(ctx, by, postern.Upstream{ID: "things", URL: "http://127.0.0.1:9"}); err != nil {
		return nil, err
	}
	cat, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "things.yaml", Data: []byte(document)}}, catalog.Options{Upstream: "things"})
	if err != nil {
		return nil, err
	}
	if _, err := n.Keyring.LoadCatalog(ctx, by, "things", cat, false); err != nil {
		return nil, err
	}
	for i := len(f.accounts); i < accounts; i++ {
		a, _, err := n.Keyring.CreateAccount(ctx, by, keyring.NewAccount{Name: fmt.Sprintf("Account %d", i+1), AdminEmail: fmt.Sprintf("admin%d@example.org", i+1), AdminName: "Admin"})
		if err != nil {
			return nil, err
		}
		f.accounts = append(f.accounts, a.ID)
	}
	return f, nil
}

// fill adds keys until there are so many, in bulk: their audit and feed entries
// are left out, since nothing that is measured reads those of old keys.
func (f *filling) fill(ctx context.Context, size int) error {
	n, err := node.Open(ctx, f.config(1))
	if err != nil {
		return err
	}
	defer n.Close()
	for f.have < size {
		part := min(5000, size-f.have)
		list := make([]*store.KeyRecord, part)
		for i := range list {
			list[i] = f.key(n.Pepper, f.have+i)
		}
		if _, err := n.DB.WriteAlone(ctx, func(tx *store.Tx) error { return tx.InsertKeys(ctx, list) }); err != nil {
			return err
		}
		f.have += part
	}
	return nil
}

// key is the record of a new key.
func (f *filling) key(pepper *postern.Pepper, i int) *store.KeyRecord {
	now := time.Now().UTC().Truncate(time.Microsecond)
	r := &store.KeyRecord{
		Row: postern.CredentialRow{Key: postern.NewKeyID(), AccountID: f.accounts[i%len(f.accounts)], Kind: postern.KindServiceKey, Scopes: []postern.Scope{"things.read", "things.write"}, Revision: 1},
		Key: postern.ServiceKey{Name: fmt.Sprintf("integration-%07d", i), Description: "Reads and writes things at night.", MadeBy: f.member, CreatedAt: now, UpdatedAt: now},
	}
	s := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, r.Row.Key)
	hash, version := pepper.Hash(s)
	r.Row.Current = postern.SecretHash{Hash: hash, Pepper: version, Generation: 1, LastFour: s.LastFour()}
	r.Key.Current = postern.SecretInfo{MadeAt: now, MadeBy: f.member}
	r.Row.Seal(pepper)
	switch {
	case len(f.secrets) < samples:
		f.secrets = append(f.secrets, s.Reveal())
	case i%97 == 0:
		f.secrets[(i/97)%samples] = s.Reveal()
	}
	return r
}
