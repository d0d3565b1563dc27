package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/doctor"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// patient is a deployment that is well.
type patient struct {
	doctor.Config
	t      *testing.T
	pepper *postern.Pepper
}

func newPatient(t *testing.T, postgres bool) *patient {
	t.Helper()
	p := &patient{t: t, pepper: storetest.Pepper(t)}
	p.Config = doctor.Config{Parts: []store.Part{store.Records()}, Standby: store.StandbyNone, Listen: "127.0.0.1:1", Gateway: "off",
		Pepper: func() (*postern.Pepper, error) { return p.pepper, nil }, PepperPath: filepath.Join(t.TempDir(), "pepper")}
	p.Place.Data = t.TempDir()
	p.must(os.Chmod(p.Place.Data, 0o700))
	if postgres {
		p.Place.Database = storetest.Postgres(t)
	}
	records := store.Records()
	db, err := store.OpenDB(t.Context(), p.Place.Target(&records), p.pepper, slog.New(slog.DiscardHandler))
	p.must(err)
	_, err = db.Write(t.Context(), func(tx *store.Tx) error { return tx.SetSetting(t.Context(), "pepper.1", p.pepper.Fingerprint(1)) })
	p.must(err)
	_, err = auditor.New(t.Context(), auditor.Config{DB: db, Pepper: p.pepper})
	p.must(err)
	_, err = keyring.New(keyring.Config{DB: db, Pepper: p.pepper}).Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
	p.must(err)
	p.Journal = filepath.Join(t.TempDir(), "journal")
	f := journal.New(journal.Config{DB: db, Pepper: p.pepper, Path: p.Journal})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	p.must(f.Run(ctx))
	p.must(db.Close())
	p.Backups = t.TempDir()
	p.must(os.WriteFile(filepath.Join(p.Backups, "monday.backup"), []byte("age-encryption.org/v1\n"), 0o600))
	return p
}

func (p *patient) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// about are the findings of one check.
func (p *patient) about(check string) (level doctor.Level, text string) {
	p.t.Helper()
	level = "none"
	for _, f := range doctor.Look(p.t.Context(), p.Config) {
		if f.Check == check && (level == "none" || f.Level != doctor.OK) {
			level, text = f.Level, text+f.Says+" → "+f.Do
			if f.Level != doctor.OK && f.Do == "" {
				p.t.Errorf("%s: %s doesn't say what to do", check, f.Says)
			}
		}
	}
	return level, text
}

// A deployment that is well: nothing is a problem, and each check looked.
func TestWell(t *testing.T) {
	for _, postgres := range []bool{false, true} {
		t.Run(fmt.Sprintf("postgres=%v", postgres), func(t *testing.T) {
			p := newPatient(t, postgres)
			before := tree(t, p.Place.Data)
			list := doctor.Look(t.Context(), p.Config)
			for _, f := range list {
				if f.Level == doctor.Problem {
					t.Errorf("%s: %s", f.Check, f.Says)
				}
			}
			for _, want := range []string{"data directory", "pepper", "database", "pepper and database", "durability", "nodes", "journal of revocations", "backups",
				"disk of the data", "clock", "listeners", "proxies", "mail", "server"} {
				if level, _ := p.about(want); level == "none" {
					t.Errorf("nothing was said of: %s", want)
				}
			}
			if after := tree(t, p.Place.Data); after != before {
				t.Errorf("it changed files: %s, was %s", after, before)
			}
		})
	}
}

// tree is the names of files that stay, and their contents' sizes.
func tree(t *testing.T, dir string) string {
	var b strings.Builder
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if strings.HasSuffix(e.Name(), "-shm") || strings.HasSuffix(e.Name(), "-wal") {
			continue // of whoever reads
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d; ", e.Name(), info.Size())
	}
	return b.String()
}

// Each thing that can be wrong is found, and named.
func TestIll(t *testing.T) {
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		fmt.Fprint(w, `{"status":"unavailable","reasons":["The lease has run out."]}`)
	}))
	defer ready.Close()
	now := time.Now()
	for _, c := range []struct {
		check string
		level doctor.Level
		says  string
		harm  func(p *patient)
	}{
		{"data directory", doctor.Problem, "can't be looked at", func(p *patient) { p.Place.Data = "/nowhere/at/all" }},
		{"data directory", doctor.Warning, "chmod 700", func(p *patient) { p.must(os.Chmod(p.Place.Data, 0o755)) }},
		{"data directory", doctor.Warning, "chmod 600", func(p *patient) { p.must(os.Chmod(filepath.Join(p.Place.Data, "postern.db"), 0o644)) }},
		{"pepper", doctor.Problem, "missing", func(p *patient) {
			p.Pepper = func() (*postern.Pepper, error) { return nil, errors.New("the pepper file is missing") }
		}},
		{"pepper", doctor.Warning, "lies in the data directory", func(p *patient) { p.PepperPath = filepath.Join(p.Place.Data, "pepper") }},
		{"pepper and database", doctor.Problem, "not the pepper", func(p *patient) {
			other, err := postern.ParsePepper(postern.NewPepper())
			p.must(err)
			p.Pepper = func() (*postern.Pepper, error) { return other, nil }
		}},
		{"pepper and database", doctor.Problem, "lacks version 1", func(p *patient) {
			other, err := postern.ParsePepper("2" + postern.NewPepper()[1:])
			p.must(err)
			p.Pepper = func() (*postern.Pepper, error) { return other, nil }
		}},
		{"database", doctor.Problem, "no database", func(p *patient) { p.must(os.Remove(filepath.Join(p.Place.Data, "postern.db"))) }},
		{"database", doctor.Problem, "isn't whole", func(p *patient) {
			l, err := store.OpenLoader(t.Context(), p.Place, store.Records(), store.LatestRecords(), nil)
			p.must(err)
			p.must(l.Insert(t.Context(), "settings", []string{"name", "value"}, [][]any{{"unfinished", "copy"}}))
			p.must(l.Close())
		}},
		{"journal of revocations", doctor.Warning, "None is kept", func(p *patient) { p.Journal = "" }},
		{"journal of revocations", doctor.Problem, "no such file", func(p *patient) { p.Journal += "x" }},
		{"journal of revocations", doctor.Problem, "broken at line 1", func(p *patient) {
			text, err := os.ReadFile(p.Journal)
			p.must(err)
			text[20] ^= 1
			p.must(os.WriteFile(p.Journal, text, 0o600))
		}},
		{"backups", doctor.Warning, "isn't known", func(p *patient) { p.Backups = "" }},
		{"backups", doctor.Problem, "There is none", func(p *patient) { p.Backups = t.TempDir() }},
		{"backups", doctor.Problem, "old", func(p *patient) { p.Now = func() time.Time { return now.Add(72 * time.Hour) } }},
		{"backups", doctor.Warning, "not encrypted", func(p *patient) {
			p.must(os.WriteFile(filepath.Join(p.Backups, "x"), []byte("\x28\xb5\x2f\xfdxxxx"), 0o600))
		}},
		{"backups", doctor.Problem, "pepper lies beside", func(p *patient) {
			p.must(os.WriteFile(filepath.Join(p.Backups, "p"), []byte(postern.NewPepper()), 0o600))
		}},
		{"listeners", doctor.Warning, "without TLS", func(p *patient) { p.Listen = "0.0.0.0:1" }},
		{"TLS certificate", doctor.Problem, "no such file", func(p *patient) { p.TLSCert, p.TLSKey = "/nowhere/c", "/nowhere/k" }},
		{"proxies", doctor.Problem, "nearly everyone", func(p *patient) { p.Proxies = []string{"0.0.0.0/0"} }},
		{"proxies", doctor.Warning, "none is trusted", func(p *patient) { p.PublicURL = "https://keys.example.org" }},
		{"mail", doctor.Warning, "can't be reached", func(p *patient) { p.MailHost, p.MailPort = "127.0.0.1", 1 }},
		{"server", doctor.Problem, "lease has run out", func(p *patient) { p.Listen = strings.TrimPrefix(ready.URL, "http://") }},
	} {
		t.Run(c.check+" "+c.says, func(t *testing.T) {
			p := newPatient(t, false)
			c.harm(p)
			if level, text := p.about(c.check); level != c.level || !strings.Contains(text, c.says) {
				t.Errorf("%s is %s: %s; want %s, and %q", c.check, level, text, c.level, c.says)
			}
		})
	}
}

// The worst of all is what counts.
func TestWorst(t *testing.T) {
	f := func(levels ...doctor.Level) (out []doctor.Finding) {
		for _, l := range levels {
			out = append(out, doctor.Finding{Level: l})
		}
		return out
	}
	for _, c := range []struct {
		list []doctor.Finding
		want doctor.Level
	}{{nil, doctor.OK}, {f(doctor.OK, doctor.OK), doctor.OK}, {f(doctor.OK, doctor.Warning), doctor.Warning}, {f(doctor.Problem, doctor.Warning), doctor.Problem}, {f(doctor.Warning, doctor.Problem), doctor.Problem}} {
		if got := doctor.Worst(c.list); got != c.want {
			t.Errorf("Worst(%v) = %s, want %s", c.list, got, c.want)
		}
	}
}
