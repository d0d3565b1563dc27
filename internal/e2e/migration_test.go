package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/workbench"
)

// mover is a server in this process whose clock, but for that of decisions, can be
// put forward; and a fleet of clients that call it.
type mover struct {
	t       *testing.T
	n       *node.Node
	ahead   atomic.Int64 // how far the clock is put forward
	api     *client.Client
	by      postern.Actor
	gateway string
	old     string // the secret of the old credential

	mu     sync.Mutex
	secret [5]string // what each caller of the fleet has
	failed []string  // calls that failed, and why
	brown  int       // those that a brownout refused
}

func (m *mover) now() time.Time {
	return time.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(m.ahead.Load()))
}
func (m *mover) ok(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func newMover(t *testing.T, target string) *mover {
	m := &mover{t: t, old: "7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2"}
	cfg := node.Config{Data: t.TempDir(), CRM: true, Now: m.now}
	if strings.Contains(target, "://") {
		cfg.Database = target
	}
	ctx, stop := context.WithCancel(t.Context())
	admin, gate := local(t), local(t)
	cfg.PublicURL, cfg.GatewayURL = "http://"+admin.Addr().String(), "http://"+gate.Addr().String()
	m.gateway = cfg.GatewayURL
	var err error
	m.n, err = node.Open(ctx, cfg)
	m.ok(err)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- m.n.Run(ctx, node.Listeners{Admin: admin, Gateway: gate}, time.Second, func() { close(ready) })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	done, err := m.n.Keyring.Setup(ctx, keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
	m.ok(err)
	m.by = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	pak, err := m.n.Keyring.CreatePersonalKey(ctx, m.by, keyring.NewPersonalKey{Name: "test"})
	m.ok(err)
	m.api, err = client.New(cfg.PublicURL, client.WithSecret(pak.Secret.Reveal()))
	m.ok(err)
	return m
}

func local(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// call is one call of a caller, with the secret that it has.
func (m *mover) call(i int) {
	m.t.Helper()
	m.mu.Lock()
	secret := m.secret[i]
	m.mu.Unlock()
	status, reason := m.get(i, secret)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case status == http.StatusForbidden && reason == "brownout":
		m.brown++
	case status != http.StatusOK:
		m.failed = append(m.failed, fmt.Sprintf("caller %d: %d %s", i, status, reason))
	}
}

func (m *mover) get(i int, secret string) (int, string) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, m.gateway+[]string{"/crm/v3/objects/deals", "/crm/v3/objects/contacts"}[i%2], nil)
	m.ok(err)
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("User-Agent", fmt.Sprintf("tool-%c/1.0", 'a'+i))
	res, err := http.DefaultClient.Do(req)
	m.ok(err)
	defer res.Body.Close()
	var p struct{ Reason string }
	if res.StatusCode != http.StatusOK {
		buf := make([]byte, 4096)
		n, _ := res.Body.Read(buf)
		if strings.Contains(string(buf[:n]), "being switched off") {
			p.Reason = "brownout"
			if res.Header.Get("Retry-After") == "" {
				m.t.Error("a call that a brownout refused has no Retry-After")
			}
		} else {
			p.Reason = string(buf[:n])
		}
	}
	return res.StatusCode, p.Reason
}

func (m *mover) all() {
	for i := range m.secret {
		m.call(i)
	}
}

// until waits for something that the server finds out by itself.
func (m *mover) until(what string, within time.Duration, is func() bool) {
	m.t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// TestMigrationJourney: an old credential that five tools share is imported, watched,
// mapped, run beside its replacement, browned out and switched off. No call fails but
// those that a brownout refuses, and the tool that was forgotten is named.
func TestMigrationJourney(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) { journey(t, newMover(t, target)) })
}

func journey(t *testing.T, m *mover) {
	ctx := t.Context()
	r, err := workbench.Import(ctx, m.n.Keyring, m.by, strings.NewReader("name,kind,secret\nreporting,legacy_api_key,"+m.old+"\n"), workbench.ImportOptions{Format: "csv"})
	m.ok(err)
	if r.Imported != 1 {
		t.Fatalf("import: %+v", r)
	}
	for i := range m.secret {
		m.secret[i] = m.old
	}
	m.all()
	b, err := m.api.Migration(ctx)
	m.ok(err)
	if len(b.Items) != 1 || b.Full != 1 || b.Items[0].Stage != "found" {
		t.Fatalf("the board: %+v", b)
	}
	id := b.Items[0].ID
	item, err := m.api.MigrationItem(ctx, id)
	m.ok(err)
	if len(item.Callers) != 5 || item.Mapping == nil || len(item.Mapping.Needed) != 2 || len(item.Mapping.Trimmed) == 0 {
		t.Fatalf("found: %d callers, mapping %+v, want 5 and 2 scopes needed", len(item.Callers), item.Mapping)
	}
	if _, err := m.api.ArchiveMigration(ctx, id); !client.IsCode(err, "conflict") {
		t.Errorf("switching off what is in use = %v, want a conflict", err)
	}

	// Its path, its scopes, and the key.
	if _, err = m.api.MakeMigrationKey(ctx, id, api.MigrationKey{}); !client.IsCode(err, "conflict") {
		t.Errorf("a key without a path = %v, want a conflict", err)
	}
	item, err = m.api.ChoosePath(ctx, id, api.ChoosePath{Path: "service_key", Why: "It only reads."})
	m.ok(err)
	id = item.ID // decided, so it has an ID of its own
	_, err = m.api.ChooseScopes(ctx, id, api.ChooseScopes{})
	m.ok(err)
	shadow, err := m.api.ShadowMigration(ctx, id, api.ReplaySpan{})
	m.ok(err)
	if shadow.Fails != 0 || shadow.Looked != 5 {
		t.Errorf("the mapped scopes would break %d of %d calls, want 0 of 5", shadow.Fails, shadow.Looked)
	}
	made, err := m.api.MakeMigrationKey(ctx, id, api.MigrationKey{Name: "reporting-key"})
	m.ok(err)
	if made.Key.Secret == "" || made.Item.Stage != "scopes_mapped" {
		t.Fatalf("the new key: %+v", made.Item)
	}

	// Four tools move one by one; the fifth is forgotten.
	for i := range 4 {
		m.secret[i] = made.Key.Secret
		m.all()
	}
	m.until("the board names who is left", 5*time.Second, func() bool {
		item, err = m.api.MigrationItem(ctx, id)
		m.ok(err)
		return item.Stage == "both_running" && leftOnly(item, "tool-e/1.0")
	})

	// A brownout meets it, is stopped by its budget, and nothing fails afterwards.
	m.ok(func() error {
		_, err := m.api.ScheduleBrownouts(ctx, id, api.Brownouts{Windows: []api.Brownout{{From: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour)}}, MaxCalls: 3, MaxCallers: 2})
		return err
	}())
	m.until("the brownout begins", 5*time.Second, func() bool { m.all(); return m.brown >= 3 })
	begun := time.Now()
	m.until("its budget stops it", 10*time.Second, func() bool {
		item, err = m.api.MigrationItem(ctx, id)
		m.ok(err)
		return !item.StoppedAt.IsZero()
	})
	t.Logf("the brownout was stopped %v after its budget was used up", time.Since(begun).Round(time.Millisecond))
	if len(item.Forgotten) != 1 || !strings.HasPrefix(item.Forgotten[0], "tool-e") || len(item.Brownouts) != 0 {
		t.Errorf("forgotten = %q with %d brownouts left, want tool-e and none", item.Forgotten, len(item.Brownouts))
	}
	m.until("the stop is in force", 5*time.Second, func() bool { was := m.brown; m.call(4); return m.brown == was })
	brown := m.brown
	m.secret[4] = made.Key.Secret
	m.all()

	// A week later it has been quiet, and everybody has moved.
	if _, err := m.api.SignOffMigration(ctx, id, ""); !client.IsCode(err, "conflict") {
		t.Errorf("signing off before it is quiet = %v, want a conflict", err)
	}
	m.ahead.Store(int64(8 * 24 * time.Hour))
	m.all()
	_, err = m.api.SignOffMigration(ctx, id, "All five moved.")
	m.ok(err)
	off, err := m.api.ArchiveMigration(ctx, id)
	m.ok(err)
	if off.Stage != "switched_off" {
		t.Errorf("archived: stage %s", off.Stage)
	}
	if status, _ := m.get(4, m.old); status != http.StatusForbidden {
		t.Errorf("the old secret after it was switched off: %d, want 403", status)
	}
	m.all()
	_, err = m.api.UndoMigration(ctx, id)
	m.ok(err)
	m.until("the undo is in force", 5*time.Second, func() bool { status, _ := m.get(4, m.old); return status == http.StatusOK })

	// And again, for good.
	m.ahead.Store(int64(17 * 24 * time.Hour))
	_, err = m.api.SignOffMigration(ctx, id, "Still.")
	m.ok(err)
	_, err = m.api.ArchiveMigration(ctx, id)
	m.ok(err)
	if _, err := m.api.EndMigration(ctx, id); !client.IsCode(err, "conflict") {
		t.Errorf("ending while it can be brought back = %v, want a conflict", err)
	}
	m.ahead.Store(int64(21 * 24 * time.Hour))
	if _, err := m.api.UndoMigration(ctx, id); !client.IsCode(err, "conflict") {
		t.Errorf("undo after its time = %v, want a conflict", err)
	}
	end, err := m.api.EndMigration(ctx, id)
	m.ok(err)
	if end.EndedAt.IsZero() {
		t.Error("it has not ended")
	}
	m.until("the end is in force", 5*time.Second, func() bool { status, _ := m.get(4, m.old); return status == http.StatusUnauthorized })
	m.all()
	if len(m.failed) > 0 || m.brown != brown {
		t.Errorf("calls failed outside of the brownout: %q, and %d more were refused by one", m.failed, m.brown-brown)
	}
	t.Logf("%d calls were refused by the brownout, none failed otherwise", m.brown)
	var report strings.Builder
	m.ok(m.api.MigrationReport(ctx, &report))
	if !strings.Contains(report.String(), "reporting") || strings.Contains(report.String(), m.old) {
		t.Errorf("the report: %s", report.String())
	}
}

// leftOnly reports whether one caller alone still uses the old credential.
func leftOnly(item api.MigrationItem, agent string) bool {
	n, found := 0, false
	for _, c := range item.Callers {
		if c.State == "old" || c.State == "both" {
			n++
			found = found || c.UserAgent == agent
		}
	}
	return n == 1 && found
}
