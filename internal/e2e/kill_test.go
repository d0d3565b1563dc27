package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
)

var (
	kills    = flag.Int("kills", 8, "how often TestKill kills the server on SQLite, and a fifth as often on PostgreSQL; 1000 is the long form")
	killSeed = flag.Uint64("killseed", 0, "the seed of TestKill; 0: another each time")
)

// leastChanges is how many changes are acknowledged before each kill.
const leastChanges = 5

// writers is how many clients change things at once.
const writers = 6

// The server is killed at random moments while clients change all kinds of
// things. After each new start everything that was acknowledged is there,
// nothing is there by half, and nothing that was ended works.
func TestKill(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		n := *kills
		if p.database != "" {
			n = (n + 4) / 5
		}
		seed := *killSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Logf("%d kills, -killseed %d", n, seed)
		newMassacre(t, p, seed).run(n)
	})
}

// massacre is one run: a place, the servers that lived there, and what was
// acknowledged.
type massacre struct {
	t       *testing.T
	place   place
	rnd     *rand.Rand
	writers []*writer
	admin   string

	acknowledged, unanswered, done int           // changes: with an answer, without, and of these those that had been made
	early                          int           // kills before the server was ready
	through                        atomic.Int64  // changes acknowledged in this round
	commits, committed             int           // on SQLite: commits, as far as servers told before they were killed, and the changes in them
	another                        chan struct{} // told of some of them
	calls                          int
}

func newMassacre(t *testing.T, p place, seed uint64) *massacre {
	m := &massacre{t: t, place: p, another: make(chan struct{}, 1), rnd: rand.New(rand.NewPCG(seed, 1)), admin: p.setup(t)}
	s := m.start()
	admin := s.as(m.admin)
	admin.must(t, http.StatusOK, nil, "PUT", "/v1/upstreams/lab", api.UpstreamSettings{URL: "http://127.0.0.1:9", Prefix: "/lab"})
	for i := range writers {
		m.writers = append(m.writers, &writer{m: m, n: i, rnd: rand.New(rand.NewPCG(seed, uint64(i)+2)), pak: admin.invite(t, fmt.Sprintf("w%d@example.org", i), "super_admin")})
	}
	s.kill()
	return m
}

func (m *massacre) args() []string {
	lease := "20s"
	if m.place.database != "" {
		lease = "5s" // receipts wait for those of the killed
	}
	return m.place.args("serve", "--crm", "--lease", lease, "--burst-calls", "0")
}

func (m *massacre) start() *server { return start(m.t, m.place.data, m.args()...) }

func (m *massacre) run(n int) {
	began := time.Now()
	for i := range n {
		if i%5 == 4 {
			m.killEarly()
		}
		s := m.start()
		m.check(s, false)
		life := time.Duration(20+m.rnd.IntN(480)) * time.Millisecond
		if raceEnabled {
			life *= 4 // it does as much less in the same time
		}
		m.load(s, life)
		if m.t.Failed() {
			m.t.Fatalf("after %d kills; the server said:\n%s", i+1, s.output())
		}
	}
	s := m.start()
	m.check(s, true)
	s.stop()
	if m.acknowledged < 3*n {
		m.t.Errorf("only %d acknowledged changes in %d rounds: the load is too small to say anything", m.acknowledged, n)
	}
	if m.place.database == "" {
		m.t.Logf("%d changes in %d commits", m.committed, m.commits)
		if m.committed <= m.commits {
			m.t.Error("no commit held several changes: nothing is said of those")
		}
	}
	m.t.Logf("%d kills under load and %d while starting, in %s: %d changes acknowledged, %d without an answer, of which %d had been made; %d gateway calls; %d ended secrets",
		n, m.early, time.Since(began).Round(time.Second), m.acknowledged, m.unanswered, m.done, m.calls, len(m.dead()))
}

// killEarly kills a server while it is starting.
func (m *massacre) killEarly() {
	s := launch(m.t, m.place.data, append(m.args(), "--data", m.place.data, "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0")...)
	select {
	case <-time.After(time.Duration(m.rnd.IntN(400)) * time.Millisecond):
	case <-s.ready:
	}
	s.kill()
	m.early++
}

// load lets all writers write, and kills the server in the midst of it.
func (m *massacre) load(s *server, life time.Duration) {
	var all sync.WaitGroup
	for _, w := range m.writers {
		w.server, w.client = s, &http.Client{Transport: &http.Transport{}}
		all.Go(w.write)
	}
	<-time.After(life)
	// On a busy machine the random life may be over before much has happened: it goes on
	// until some changes are through, so that there is something to lose.
	for slow := time.After(30 * time.Second); m.through.Load() < leastChanges; {
		select {
		case <-m.another:
			continue
		case <-slow:
		}
		break
	}
	m.countCommits(s)
	s.kill()
	all.Wait()
	m.through.Store(0)
	for _, w := range m.writers {
		w.client.CloseIdleConnections()
		m.acknowledged, m.calls = m.acknowledged+w.acknowledged, m.calls+w.calls
		w.acknowledged, w.calls = 0, 0
		if w.settle != nil {
			m.unanswered++
		}
	}
}

// countCommits asks how many commits there were, and how many changes they held.
func (m *massacre) countCommits(s *server) {
	_, out, err := (caller{http.DefaultClient, s.API, ""}).do("GET", "/metrics", nil)
	if err != nil || m.place.database != "" {
		return
	}
	for line := range strings.Lines(string(out)) {
		var n int
		if _, err := fmt.Sscanf(line, "postern_store_group_size_count %d", &n); err == nil {
			m.commits += n
		}
		if _, err := fmt.Sscanf(line, "postern_store_group_size_sum %d", &n); err == nil {
			m.committed += n
		}
	}
}

// check compares what a server that has just started knows with what was
// acknowledged before the kill.
func (m *massacre) check(s *server, all bool) {
	m.t.Helper()
	for _, w := range m.writers {
		w.server, w.client = s, http.DefaultClient
		if settle := w.settle; settle != nil {
			w.settle = nil
			if settle() {
				m.done++
			}
		}
		for _, k := range w.keys {
			if all || k.touched {
				w.compare(k)
				k.touched = false
			}
		}
		w.joins()
	}
	m.checkEnded(s, all)
	m.checkRecords()
}

// checkEnded asks for secrets that were ended: those of the latest round and
// some of the others, or all of them.
func (m *massacre) checkEnded(s *server, all bool) {
	m.t.Helper()
	dead := m.dead()
	for i, secret := range dead {
		if !all && m.rnd.IntN(len(dead)) > 60 {
			continue
		}
		if allowed, reason := s.verified(m.t, secret); allowed {
			m.t.Errorf("an ended secret is accepted after a restart: %s", reason)
		}
		if i%10 == 0 {
			if code, _ := get(m.t, s.Gateway+"/crm/v3/objects/deals", secret); code != http.StatusUnauthorized {
				m.t.Errorf("the gateway answers %d to an ended secret, want 401", code)
			}
		}
	}
	for _, w := range m.writers {
		for _, secret := range w.fresh {
			if allowed, reason := s.verified(m.t, secret); allowed {
				m.t.Errorf("a secret that was ended right before the kill is accepted: %s", reason)
			}
		}
		w.fresh = nil
	}
}

func (m *massacre) dead() (out []string) {
	for _, w := range m.writers {
		out = append(out, w.dead...)
	}
	return out
}

// checkRecords looks at the database itself: a change and its entry are both
// there or neither is, numbers have no gaps, and the audit log is sound.
func (m *massacre) checkRecords() {
	t := m.t
	t.Helper()
	db := m.place.open(t, "postern")
	defer db.Close()
	for what, query := range map[string]string{
		"a key whose audit entries are not as many as its changes": `select k.key_id, c.revision, count(a.seq) from service_keys k join credentials c on c.key_id = k.key_id
			left join audit_entries a on a.account_id = k.account_id and a.object = k.key_id and a.result = 'ok' and a.action not like 'tripwire.%' group by k.key_id, c.revision having count(a.seq) <> c.revision`,
		"a key whose feed entries are not as many as its changes": `select c.key_id, c.revision, count(f.seq) from credentials c
			left join feed f on f.ref = c.key_id group by c.key_id, c.revision having count(f.seq) <> c.revision`,
		"an audit entry without its key": `select object, action from audit_entries where action like 'service_key.%' and result = 'ok'
			and object not in (select key_id from service_keys)`,
		"a credential that is neither a service key nor a personal one": `select key_id from credentials where key_id not in (select key_id from service_keys)
			and key_id not in (select key_id from personal_keys)`,
		"a member without an audit entry": `select id from members where id not in (select object from audit_entries where action in ('member.create', 'member.invite'))`,
		"an audit entry without its member": `select object from audit_entries where action in ('member.create', 'member.invite') and result = 'ok'
			and object not in (select id from members)`,
		"a member without an invitation": `select id from members where id not in (select member_id from single_use) and id not in
			(select object from audit_entries where action = 'member.create')`,
		"a personal key without an audit entry":                  `select key_id from personal_keys where key_id not in (select object from audit_entries where action = 'personal_key.create')`,
		"an invitation that is used while its member has no key": `select member_id from single_use where used_at <> 0 and member_id not in (select member_id from personal_keys)`,
		"a member who joined with an invitation that is not used": `select a.object from audit_entries a where a.action = 'member.join' and not exists
			(select 1 from single_use s where s.member_id = a.object and s.used_at <> 0)`,
		"an upstream whose catalog is missing": `select id from upstreams where catalog_version > 0 and not exists
			(select 1 from catalogs c where c.upstream_id = upstreams.id and c.version = upstreams.catalog_version)`,
		"a catalog without its audit entry": `select upstream_id, count(*) from catalogs group by upstream_id having count(*) <>
			(select count(*) from audit_entries a where a.action = 'catalog.load' and a.object = catalogs.upstream_id and a.result = 'ok')`,
		"a gap in the feed":                        `select max(seq), count(*) from feed having max(seq) <> count(*) or max(seq) <> (select n from heads where name = 'feed')`,
		"an idempotency key without what it names": `select name, object from idempotency where object not in (select key_id from service_keys)`,
	} {
		if bad := rows(t, db, query); len(bad) > 0 {
			t.Errorf("%s: %v", what, bad[:min(3, len(bad))])
		}
	}
	acts := m.place.open(t, "activity")
	defer acts.Close()
	if got := rows(t, acts, `select (select coalesce(sum(calls), 0) from activity_blocks), (select coalesce(sum(calls), 0) from activity_hours)`); got[0][0] != got[0][1] {
		t.Errorf("%s calls are recorded, and their totals say %s", got[0][0], got[0][1])
	}
	target := m.place.database
	if target == "" {
		target = filepath.Join(m.place.data, "postern.db")
	}
	records, err := store.OpenDB(t.Context(), target, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	if v, err := records.VerifyAudit(t.Context(), auditlog.Options{}); err != nil || !v.Sound || v.Entries == 0 {
		t.Errorf("the audit log: %+v, %v", v, err)
	}
}

// key is what was acknowledged of a service key.
type key struct {
	id, name, about string
	idempotency     string
	revision        int64
	current         string // its newest secret
	previous        string // the one before, while both work
	ended, deleted  bool
	touched         bool // since it was last compared
}

// writer is a client that changes its own keys, one change after the other.
type writer struct {
	m      *massacre
	n      int
	rnd    *rand.Rand
	pak    string
	server *server
	client *http.Client

	keys     []*key
	dead     []string // secrets that were ended
	fresh    []string // of them those of this round
	invited  []string // invitations that were acknowledged and not used
	joined   []string // personal access keys that were
	used     []string // invitations that were used
	version  int64    // of the catalog that was loaded last
	counter  int
	settle   func() bool // finds out what became of the change without an answer
	catalogs int

	acknowledged, calls int
}

var errGone = errors.New("the server is gone")

// write makes changes until the server is gone.
func (w *writer) write() {
	for {
		if err := w.step(); errors.Is(err, errGone) {
			return
		} else if err != nil {
			w.m.t.Errorf("writer %d: %v", w.n, err)
			return
		}
	}
}

func (w *writer) api() caller { return caller{w.client, w.server.API, w.pak} }

// step makes one change, or a call.
func (w *writer) step() error {
	live := slices.DeleteFunc(slices.Clone(w.keys), func(k *key) bool { return k.ended })
	var k *key
	if len(live) > 0 {
		k = live[w.rnd.IntN(len(live))]
	}
	switch dice := w.rnd.IntN(100); {
	case k == nil || dice < 20:
		return w.create()
	case dice < 40:
		return w.edit(k)
	case dice < 55:
		return w.rotate(k, "1h")
	case dice < 60:
		return w.rotate(k, "0s")
	case dice < 65:
		return w.endRotation(k, "finish")
	case dice < 70:
		return w.endRotation(k, "cancel")
	case dice < 76:
		return w.end(k, "POST", "/revoke")
	case dice < 80:
		return w.end(k, "DELETE", "")
	case dice < 84:
		return w.invite()
	case dice < 87 && len(w.invited) > 0:
		return w.accept()
	case dice < 90 && w.n == 0:
		return w.loadCatalog()
	}
	return w.call(k)
}

// send sends a change. Where no answer comes, settle is asked after the next
// start what became of it; it reports whether the change had been made.
func (w *writer) send(into any, settle func() bool, method, path string, body any, headers ...string) error {
	w.settle = settle
	for {
		status, out, err := w.api().do(method, path, body, headers...)
		switch {
		case err != nil:
			return errGone
		case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable: // nothing was changed
			<-time.After(20 * time.Millisecond)
			continue
		case status/100 != 2:
			w.settle = nil
			return fmt.Errorf("%s %s = %d %s", method, path, status, out)
		}
		if into != nil && len(out) > 0 {
			if err := json.Unmarshal(out, into); err != nil {
				return fmt.Errorf("%s %s: %v in %s", method, path, err, out)
			}
		}
		w.settle = nil
		w.acknowledged++
		w.m.through.Add(1)
		select {
		case w.m.another <- struct{}{}:
		default:
		}
		return nil
	}
}

// bury takes secrets for ended.
func (w *writer) bury(secrets ...string) {
	for _, s := range secrets {
		if s != "" {
			w.dead, w.fresh = append(w.dead, s), append(w.fresh, s)
		}
	}
}

func (w *writer) create() error {
	w.counter++
	k := &key{name: fmt.Sprintf("w%d-%d", w.n, w.counter), about: "as made", revision: 1, touched: true}
	k.idempotency = "create-" + k.name
	var made api.ChangedKey
	err := w.send(&made, func() bool { return w.createAgain(k) }, "POST", "/v1/service-keys", w.newKey(k), "Idempotency-Key", k.idempotency)
	if err != nil {
		return err
	}
	k.id, k.current = made.ID, made.Secret
	w.keys = append(w.keys, k)
	if made.Secret == "" {
		return fmt.Errorf("key %s was made without a secret", k.name)
	}
	return nil
}

func (w *writer) newKey(k *key) api.NewServiceKey {
	return api.NewServiceKey{Name: k.name, Description: "as made", Scopes: []string{"crm.objects.deals.read"}}
}

// createAgain asks again for a key whose making was not answered: it is made
// once, now or before.
func (w *writer) createAgain(k *key) bool {
	var made api.ChangedKey
	w.api().must(w.m.t, http.StatusCreated, &made, "POST", "/v1/service-keys", w.newKey(k), "Idempotency-Key", k.idempotency)
	k.id, k.current = made.ID, made.Secret
	w.keys = append(w.keys, k)
	if made.SecretShown == (made.Secret != "") {
		w.m.t.Errorf("asked again for %s: a secret %t, and said to be shown before %t", k.name, made.Secret != "", made.SecretShown)
	}
	if made.SecretShown { // nobody knows it; a rotation gives the key one that someone does
		var rotated api.ChangedKey
		w.api().must(w.m.t, http.StatusOK, &rotated, "POST", "/v1/service-keys/"+k.id+"/rotate", api.Rotate{Grace: "0s"})
		k.current, k.revision = rotated.Secret, rotated.Revision
	}
	return made.SecretShown
}

// made finds out whether a change of a key was made: its revision tells.
func (w *writer) made(k *key) bool {
	w.m.t.Helper()
	var is api.ServiceKey
	status, out, err := w.api().do("GET", "/v1/service-keys/"+k.id, nil)
	if err != nil || (status != http.StatusOK && status != http.StatusNotFound) {
		w.m.t.Errorf("key %s = %d %s (%v)", k.name, status, out, err)
		return false
	}
	if status == http.StatusNotFound {
		return true // only deletion does that, and compare looks whether it was asked for
	}
	if err := json.Unmarshal(out, &is); err != nil {
		w.m.t.Error(err)
	}
	if is.Revision != k.revision && is.Revision != k.revision+1 {
		w.m.t.Errorf("key %s has revision %d, want %d or one more", k.name, is.Revision, k.revision)
	}
	return is.Revision == k.revision+1
}

// change changes a key; effect is what it does to it.
func (w *writer) change(k *key, effect func(), method, path string, body any) error {
	k.touched = true
	apply := func() {
		k.revision++
		effect()
	}
	var made api.ChangedKey
	err := w.send(&made, func() bool {
		done := w.made(k)
		if done {
			apply()
		}
		return done
	}, method, "/v1/service-keys/"+k.id+path, body, "If-Match", `"`+strconv.FormatInt(k.revision, 10)+`"`)
	if err != nil {
		return err
	}
	apply()
	if made.Revision != k.revision {
		return fmt.Errorf("key %s has revision %d after %s %s, want %d", k.name, made.Revision, method, path, k.revision)
	}
	return nil
}

func (w *writer) edit(k *key) error {
	w.counter++
	about := fmt.Sprintf("text %d", w.counter)
	return w.change(k, func() { k.about = about }, "PATCH", "", api.EditServiceKey{Description: &about})
}

func (w *writer) end(k *key, method, path string) error {
	return w.change(k, func() {
		k.ended, k.deleted = true, method == "DELETE"
		w.bury(k.current, k.previous)
		k.current, k.previous = "", ""
	}, method, path, nil)
}

func (w *writer) endRotation(k *key, how string) error {
	if k.previous == "" {
		return w.call(k)
	}
	return w.change(k, func() {
		if how == "finish" {
			w.bury(k.previous)
		} else {
			w.bury(k.current)
			k.current = k.previous
		}
		k.previous = ""
	}, "POST", "/rotation/"+how, nil)
}

// rotate gives a key a new secret. Where the answer is lost, asking again with
// the same Idempotency-Key gives another, whatever had become of the first.
func (w *writer) rotate(k *key, grace string) error {
	if k.previous != "" {
		return w.endRotation(k, "finish")
	}
	w.counter++
	k.touched = true
	path, body := "/v1/service-keys/"+k.id+"/rotate", api.Rotate{Grace: grace}
	name := fmt.Sprintf("rotate-%d-%d", w.n, w.counter)
	apply := func(made *api.ChangedKey) {
		k.revision = made.Revision
		if grace == "0s" {
			w.bury(k.current)
		} else {
			k.previous = k.current
		}
		k.current = made.Secret
	}
	var made api.ChangedKey
	err := w.send(&made, func() bool {
		done, before := w.made(k), k.revision
		var again api.ChangedKey
		w.api().must(w.m.t, http.StatusOK, &again, "POST", path, body, "Idempotency-Key", name)
		if want := before + 1; !done && again.Revision != want || done && again.Revision != want+1 || again.Secret == "" {
			w.m.t.Errorf("key %s rotated again: revision %d after %d, done before %t, a secret %t", k.name, again.Revision, before, done, again.Secret != "")
		}
		apply(&again)
		return done
	}, "POST", path, body, "Idempotency-Key", name)
	if err != nil {
		return err
	}
	if made.Revision != k.revision+1 || made.Secret == "" {
		return fmt.Errorf("key %s rotated: revision %d after %d", k.name, made.Revision, k.revision)
	}
	apply(&made)
	return nil
}

func (w *writer) invite() error {
	w.counter++
	email := fmt.Sprintf("guest-%d-%d@example.org", w.n, w.counter)
	var made api.Invited
	err := w.send(&made, func() bool {
		status, out, err := w.api().do("POST", "/v1/members", api.NewMember{Email: email, Name: "Guest", RoleID: "viewer"})
		if err != nil || (status != http.StatusCreated && status != http.StatusConflict) {
			w.m.t.Errorf("invite %s again = %d %s (%v), want 201 or 409", email, status, out, err)
		}
		return status == http.StatusConflict
	}, "POST", "/v1/members", api.NewMember{Email: email, Name: "Guest", RoleID: "viewer"})
	if err == nil {
		w.invited = append(w.invited, made.Invitation)
	}
	return err
}

func (w *writer) accept() error {
	invitation := w.invited[0]
	w.invited = w.invited[1:]
	var made api.Joined
	err := w.send(&made, func() bool {
		status, out, err := w.api().do("POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: invitation})
		if err != nil || (status != http.StatusCreated && status != http.StatusUnauthorized) {
			w.m.t.Errorf("accept again = %d %s (%v), want 201 or 401", status, out, err)
		}
		w.used = append(w.used, invitation)
		return status == http.StatusUnauthorized
	}, "POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: invitation})
	if err == nil {
		w.joined, w.used = append(w.joined, made.Secret), append(w.used, invitation)
	}
	return err
}

// joins asks whether those who joined since the last start still can come in,
// and whether their invitations are used up.
func (w *writer) joins() {
	for _, secret := range w.joined {
		w.server.as(secret).must(w.m.t, http.StatusOK, nil, "GET", "/v1/members/me", nil)
	}
	for _, invitation := range w.used {
		w.server.as("").must(w.m.t, http.StatusUnauthorized, nil, "POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: invitation})
	}
	w.joined, w.used = nil, nil
	if w.catalogs > 0 {
		var is api.Catalog
		w.api().must(w.m.t, http.StatusOK, &is, "GET", "/v1/upstreams/lab/catalog", nil)
		if is.Version != w.version || is.APIVersion != strconv.Itoa(w.catalogs) {
			w.m.t.Errorf("the catalog in force is version %d of document %s, want %d of %d", is.Version, is.APIVersion, w.version, w.catalogs)
		}
	}
}

func (w *writer) loadCatalog() error {
	n := w.catalogs + 1
	body := api.CatalogLoad{Documents: []api.Document{{Name: "lab.yaml", Text: fmt.Sprintf(labDocument, n, n)}}}
	var made api.CatalogLoaded
	err := w.send(&made, func() bool {
		var is api.Catalog
		status, _, err := w.api().do("GET", "/v1/upstreams/lab/catalog", nil)
		if err == nil && status == http.StatusOK {
			w.api().must(w.m.t, http.StatusOK, &is, "GET", "/v1/upstreams/lab/catalog", nil)
		}
		if is.APIVersion == strconv.Itoa(n) {
			w.catalogs, w.version = n, is.Version
			return true
		}
		return false
	}, "POST", "/v1/upstreams/lab/catalog", body)
	if err == nil {
		w.catalogs, w.version = n, made.Version
	}
	return err
}

const labDocument = `openapi: 3.1.0
info: {title: Lab, version: "%d"}
paths:
  /lab/samples%d:
    get:
      operationId: listSamples
      security: [{key: [lab.read]}]
      responses: {"200": {description: fine}}
components:
  securitySchemes:
    key: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://example.org/token", scopes: {lab.read: Read samples}}}}
`

// call calls the gateway with a live secret, and at times with an ended one.
func (w *writer) call(k *key) error {
	w.calls++
	secret, want := k.current, http.StatusOK
	if n := len(w.dead); n > 0 && w.rnd.IntN(3) == 0 {
		secret, want = w.dead[w.rnd.IntN(n)], http.StatusUnauthorized
	}
	status, out, err := caller{w.client, w.server.Gateway, secret}.do("GET", "/crm/v3/objects/deals?limit=1", nil)
	if err != nil {
		return errGone
	}
	if status != want {
		return fmt.Errorf("the gateway answers %d %s, want %d", status, out, want)
	}
	return nil
}

// compare compares a key with what was acknowledged of it, and tries its secrets.
func (w *writer) compare(k *key) {
	t := w.m.t
	t.Helper()
	var is api.ServiceKey
	status, out, err := w.api().do("GET", "/v1/service-keys/"+k.id, nil)
	for range 200 { // a machine that is too busy lets a lease run out
		if err != nil || status != http.StatusServiceUnavailable {
			break
		}
		<-time.After(50 * time.Millisecond)
		status, out, err = w.api().do("GET", "/v1/service-keys/"+k.id, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if k.deleted && status == http.StatusNotFound {
		return
	}
	if status != http.StatusOK {
		t.Errorf("key %s = %d %s, want 200", k.name, status, out)
		return
	}
	if err := json.Unmarshal(out, &is); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"name": k.name, "description": k.about, "revision": strconv.FormatInt(k.revision, 10), "state": "active"}
	switch {
	case k.ended:
		want["state"] = "ended"
	case k.previous != "":
		want["state"] = "rotating"
	}
	got := map[string]string{"name": is.Name, "description": is.Description, "revision": strconv.FormatInt(is.Revision, 10), "state": is.State}
	if !maps.Equal(got, want) {
		t.Errorf("key %s is %v, want %v", k.name, got, want)
	}
	for _, secret := range []string{k.current, k.previous} {
		if secret == "" {
			continue
		}
		if allowed, reason := w.server.verified(t, secret); !allowed {
			t.Errorf("an acknowledged secret of %s is refused: %s", k.name, reason)
		}
	}
	if k.revision > 1 && k.idempotency != "" {
		var again api.ChangedKey
		w.api().must(t, http.StatusCreated, &again, "POST", "/v1/service-keys", w.newKey(k), "Idempotency-Key", k.idempotency)
		if again.ID != k.id || again.Secret != "" || !again.SecretShown {
			t.Errorf("asked again for %s with its Idempotency-Key: key %s, want %s, with no secret", k.name, again.ID, k.id)
		}
	}
}

// The command that verifies the audit log finds it sound after a kill, and
// finds what was altered behind its back.
func TestAuditVerifyCommand(t *testing.T) {
	p := place{data: t.TempDir()}
	admin := p.setup(t)
	s := start(t, p.data, "serve", "--crm")
	for i := range 3 {
		s.as(admin).must(t, http.StatusCreated, nil, "POST", "/v1/service-keys", api.NewServiceKey{Name: fmt.Sprintf("key-%d", i)})
	}
	s.kill()
	verify := func() (string, error) {
		out, err := exec.CommandContext(t.Context(), binary, "audit", "verify", "--data", p.data, "--json").Output()
		return string(out), err
	}
	if out, err := verify(); err != nil || !strings.Contains(out, `"sound":true`) {
		t.Errorf("audit verify = %s (%v), want sound", out, err)
	}
	db := p.open(t, "postern")
	if _, err := db.Exec(`update audit_entries set body = replace(body, 'key-1', 'key-9') where body like '%key-1%'`); err != nil {
		t.Fatal(err)
	}
	out, err := verify()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 6 || !strings.Contains(out, `"firstBad"`) {
		t.Errorf("audit verify of an altered log = %s (%v), want exit status 6 and the first bad entry", out, err)
	}
}
