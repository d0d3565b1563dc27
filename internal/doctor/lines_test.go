package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/doctor"
	"postern.dev/postern/internal/store"
)

// change writes to the patient's database, as a server would.
func (p *patient) change(fn func(db *store.DB) error) {
	p.t.Helper()
	records := store.Records()
	db, err := store.OpenDB(p.t.Context(), p.Place.Target(&records), p.pepper, slog.New(slog.DiscardHandler))
	p.must(err)
	p.must(fn(db))
	p.must(db.Close())
}

// older appends a change that every node had time for.
func (p *patient) older(db *store.DB) (seq int64) {
	p.t.Helper()
	_, err := db.Write(p.t.Context(), func(tx *store.Tx) (err error) {
		seq, err = tx.AppendFeed(p.t.Context(), postern.Change{At: time.Now().Add(-time.Minute), Kind: postern.ChangeAccount, ID: "acc_nobody"})
		return err
	})
	p.must(err)
	return seq
}

func (p *patient) is(check string, level doctor.Level, says string) {
	p.t.Helper()
	if got, text := p.about(check); got != level || !strings.Contains(text, says) {
		p.t.Errorf("%s is %s: %s; want %s, and %q", check, got, text, level, says)
	}
}

// Nodes, how far they are, and their versions; and a PostgreSQL that may forget.
func TestNodesAndDurability(t *testing.T) {
	p := newPatient(t, true)
	joins := func(node, version string) {
		p.change(func(db *store.DB) error {
			_, err := db.RenewLeaseOf(t.Context(), store.NodeInfo{Node: node, Version: version, Protocol: store.Protocol}, time.Hour)
			return err
		})
	}
	p.is("nodes", doctor.OK, "None holds a lease")
	joins("one", "v1")
	p.is("nodes", doctor.OK, "1 with a lease: one")
	p.is("versions", "none", "")
	p.change(func(db *store.DB) error {
		seq := p.older(db)
		return db.ConfirmFeed(t.Context(), "one", seq)
	})
	p.is("feed", "none", "")
	p.change(func(db *store.DB) error { p.older(db); return nil })
	p.is("feed", doctor.Warning, "one is 1 changes behind")
	joins("two", "v2")
	p.is("versions", doctor.Warning, "Finish the upgrade")
	joins("three", "v3")
	p.is("versions", doctor.Problem, "one version")
	p.is("durability", doctor.Warning, "PostgreSQL's configuration")
	p.Standby = store.StandbyRequired
	p.is("durability", doctor.Problem, "PostgreSQL's configuration")
}

// A journal that is behind, and one of another server.
func TestJournalLines(t *testing.T) {
	p := newPatient(t, true)
	p.is("journal of revocations", doctor.OK, "holds everything")
	own := p.Journal
	p.Journal = newPatient(t, false).Journal
	p.is("journal of revocations", doctor.Problem, "of another server")
	p.Journal = own
	p.change(func(db *store.DB) error { p.older(db); return nil })
	p.is("journal of revocations", doctor.Problem, "does not hold the latest changes")
}

func TestCertificate(t *testing.T) {
	p := newPatient(t, false)
	p.is("TLS certificate", "none", "")
	now := time.Now()
	for _, c := range []struct {
		until time.Duration
		host  string
		mode  os.FileMode
		level doctor.Level
		says  string
	}{
		{90 * 24 * time.Hour, "keys.example.org", 0o600, doctor.OK, "good until"},
		{90 * 24 * time.Hour, "keys.example.org", 0o644, doctor.Warning, "chmod 600"},
		{7 * 24 * time.Hour, "keys.example.org", 0o600, doctor.Warning, "Renew it"},
		{-time.Hour, "keys.example.org", 0o600, doctor.Problem, "It ended"},
		{90 * 24 * time.Hour, "other.example.org", 0o600, doctor.Problem, "not for keys.example.org"},
	} {
		p.PublicURL = "https://keys.example.org"
		p.TLSCert, p.TLSKey = certificate(t, c.host, now.Add(c.until), c.mode)
		p.is("TLS certificate", c.level, c.says)
	}
}

func certificate(t *testing.T, host string, until time.Time, mode os.FileMode) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-365 * 24 * time.Hour), NotAfter: until, DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, x, x, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), mode); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// What answers at addresses: the server itself, something else, mail servers.
func TestAnswers(t *testing.T) {
	p := newPatient(t, false)
	says := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, says) }))
	defer s.Close()
	p.Listen = strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		says  string
		level doctor.Level
		want  string
	}{
		{`{"status":"ok"}`, doctor.OK, "is ready"},
		{`{"status":"ok","warnings":["The journal is not written."]}`, doctor.Warning, "The journal is not written."},
		{`hello`, doctor.Warning, "not Postern"},
	} {
		says = c.says
		p.is("server", c.level, c.want)
	}
	p.Listen = "127.0.0.1:1"
	p.is("server", doctor.OK, "None answers")
	for greeting, want := range map[string]doctor.Level{"220 mail.example.org\r\n": doctor.OK, "SSH-2.0\r\n": doctor.Warning} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		p.must(err)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, greeting)
				c.Close()
			}
		}()
		p.MailHost, p.MailPort = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
		p.is("mail", want, "")
		p.must(l.Close())
	}
	p.PublicURL, p.Proxies = "https://keys.example.org", []string{"192.0.2.7/32"}
	p.is("proxies", doctor.OK, "Trusted: 192.0.2.7/32")
	p.PublicURL, p.Listen, p.TLSCert = "http://keys.example.org", "192.0.2.1:1", "x"
	p.is("proxies", doctor.Warning, "without TLS")
}
