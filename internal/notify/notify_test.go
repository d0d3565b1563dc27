package notify_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const day = 24 * time.Hour

// outbox keeps mails, and fails as long as it is told to.
type outbox struct {
	mu   sync.Mutex
	sent []notify.Message
	fail error
}

func (o *outbox) Send(_ context.Context, m *notify.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail == nil {
		o.sent = append(o.sent, *m)
	}
	return o.fail
}

type world struct {
	*keyring.Keyring
	t     *testing.T
	db    *store.DB
	log   *activity.Log
	out   *outbox
	n     *notify.Notifier
	clock atomic.Int64 // microseconds
	super postern.Actor
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

// at sets the clock.
func (w *world) at(t time.Time) { w.clock.Store(t.UnixMicro()) }

func run(t *testing.T, test func(t *testing.T, w *world)) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := &world{t: t, db: storetest.Open(t, target), out: &outbox{}}
		w.at(t0)
		now := w.now
		file := target
		if !strings.Contains(target, "://") {
			file += ".activity"
		}
		ctx, stop := context.WithCancel(context.Background())
		var err error
		if w.log, err = activity.Open(ctx, activity.Config{Target: file, Delay: time.Millisecond, Now: now}); err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { _ = w.log.Run(ctx) })
		t.Cleanup(func() { stop(); running.Wait(); w.log.Close() })
		w.Keyring = keyring.New(keyring.Config{DB: w.db, Pepper: storetest.Pepper(t), Now: now})
		done, err := w.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada Ä"})
		if err != nil {
			t.Fatal(err)
		}
		w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
		w.n = w.notifier()
		w.do(w.n.Events) // what set-up did concerns nobody
		test(t, w)
	})
}

// notifier is another node over the same records.
func (w *world) notifier() *notify.Notifier {
	return notify.New(notify.Config{DB: w.db, Activity: w.log, Mail: w.out, PublicURL: "https://keys.example.org/", Now: w.now})
}

func (w *world) do(fns ...func(context.Context) error) {
	w.t.Helper()
	for _, fn := range fns {
		if err := fn(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) key(name string, end time.Time) postern.ServiceKey {
	w.t.Helper()
	made, err := w.CreateKey(w.t.Context(), w.super, keyring.NewKey{Name: name, ExpiresAt: end})
	if err != nil {
		w.t.Fatal(err)
	}
	return made.Key
}

// told is what a member was told, oldest first.
func (w *world) told(m postern.MemberID) (out []string) {
	w.t.Helper()
	list, err := w.db.Notifications(w.t.Context(), m, false, store.Cursor{}, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range list {
		out = append(out, n.Subject)
	}
	slices.Sort(out)
	return out
}

func (w *world) want(m postern.MemberID, subjects ...string) {
	w.t.Helper()
	slices.Sort(subjects)
	if got := w.told(m); !slices.Equal(got, subjects) {
		w.t.Errorf("told = %q, want %q", got, subjects)
	}
}

func (w *world) called(k postern.ServiceKey, gen int64, n int, refused bool, agent string) {
	w.t.Helper()
	for range n {
		e := postern.Event{At: postern.ToMicros(w.now()), Door: postern.DoorGateway, Method: "GET", Path: "/x", UserAgent: agent, Status: 200}
		d := &e.Decision
		copy(d.Key[:], k.ID)
		d.Known, d.Account, d.Kind, d.Gen, d.At, d.Allowed, d.Reason = true, k.AccountID, postern.KindServiceKey, uint32(gen), e.At, !refused, postern.ReasonAllowed
		if refused {
			d.Reason, e.Status = postern.ReasonInsufficientScope, 403
		}
		w.log.Record(&e)
	}
	w.do(w.log.Flush)
}

func TestExpiryIsToldOnceADay(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		m := w.super.MemberID
		w.key("finance-invoice-export", t0.Add(40*day))
		w.key("short", t0.Add(5*day)) // shorter than the reminders before 7 and 30 days
		w.do(w.n.Keys)
		w.want(m)
		w.at(t0.Add(10 * day))
		other := w.notifier()
		var both sync.WaitGroup
		for _, n := range []*notify.Notifier{w.n, other} {
			both.Go(func() { w.do(n.Keys, n.SendDue) })
		}
		both.Wait()
		w.want(m, "finance-invoice-export stops working in 30 days")
		w.at(t0.Add(33*day + time.Hour))
		w.do(w.n.Keys, w.n.Keys, w.n.SendDue)
		w.at(t0.Add(39*day + time.Hour))
		w.do(w.n.Keys, other.Keys, w.n.SendDue, other.SendDue)
		w.want(m, "finance-invoice-export stops working in 30 days", "finance-invoice-export stops working in 7 days", "finance-invoice-export stops working in 1 day")
		if len(w.out.sent) != 3 {
			t.Fatalf("%d mails, want 3", len(w.out.sent))
		}
		for _, s := range w.out.sent {
			if !strings.Contains(s.Text, "https://keys.example.org/keys/") || !strings.Contains(s.Text, "/me/notifications") || s.To.Address != "ada@example.org" {
				t.Errorf("mail = %+v", s)
			}
		}
		w.at(t0.Add(41 * day))
		w.do(w.n.Keys)
		if n := len(w.told(m)); n != 3 {
			t.Errorf("an expired key is told of: %q", w.told(m))
		}
	})
}

func TestOneNodeLooksAtKeysInAnHour(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.do(w.n.KeysIfDue)
		w.key("late", t0.Add(2*day))
		w.at(t0.Add(25 * time.Hour))
		w.do(w.n.KeysIfDue)
		w.want(w.super.MemberID, "late stops working in 1 day")
		w.key("later", w.now().Add(30*time.Hour))
		w.at(w.now().Add(59 * time.Minute))
		w.do(w.notifier().KeysIfDue)
		w.at(w.now().Add(6 * time.Hour))
		w.do(w.notifier().KeysIfDue)
		w.want(w.super.MemberID, "late stops working in 1 day", "later stops working in 1 day")
	})
}

// A leader whose clock was days ahead keeps nobody from looking once it is set right.
func TestAClockThatWasAheadHoldsNothingUp(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.at(t0.Add(3 * day))
		w.do(w.n.KeysIfDue)
		w.at(t0.Add(time.Hour))
		w.key("late", w.now().Add(30*time.Hour))
		w.at(t0.Add(8 * time.Hour))
		w.do(w.notifier().KeysIfDue)
		w.want(w.super.MemberID, "late stops working in 1 day")
	})
}

func TestOldUnusedRefusedAndStillUsed(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		m := w.super.MemberID
		idle, busy := w.key("idle", time.Time{}), w.key("busy", time.Time{})
		w.at(t0.Add(46 * day))
		w.called(busy, 1, 19, false, "airflow/2.9")
		w.called(busy, 1, 1, true, "airflow/2.9")
		w.do(w.n.Keys, w.n.Keys)
		w.want(m, "busy is refused often", "idle was not used for 46 days")
		if _, err := w.RotateKey(t.Context(), w.super, busy.ID, keyring.Rotation{Grace: 2 * day}); err != nil {
			t.Fatal(err)
		}
		w.at(w.now().Add(25 * time.Hour))
		w.do(w.n.Keys)
		w.called(busy, 1, 2, false, "Airflow/2.9 (x)")
		w.do(w.n.Keys, w.n.Keys)
		w.want(m, "Still using the old secret: Airflow", "busy is refused often", "idle was not used for 46 days")
		w.at(t0.Add(181 * day))
		yes := true
		if _, err := w.EditKey(t.Context(), w.super, idle.ID, keyring.KeyEdit{Paused: &yes}); err != nil {
			t.Fatal(err)
		}
		w.do(w.n.Keys)
		if got := w.told(m); !slices.Contains(got, "idle has a secret that is 181 days old") || slices.Contains(got, "busy has a secret that is 181 days old") {
			t.Errorf("told = %q", got)
		}
	})
}

func TestEvents(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, m := t.Context(), w.super.MemberID
		inv, err := w.InviteMember(ctx, w.super, keyring.NewMember{Email: "kim@example.org", Name: "Kim", RoleID: postern.RoleKeyManager})
		if err != nil {
			t.Fatal(err)
		}
		kim := postern.Actor{AccountID: w.super.AccountID, MemberID: inv.Member.ID}
		if _, err := w.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{IP: "192.0.2.9"}); err != nil {
			t.Fatal(err)
		}
		mine, theirs := w.key("mine", time.Time{}), w.key("theirs", time.Time{})
		if _, err := w.RevokeKey(ctx, w.super, mine.ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.DeleteKey(ctx, kim, theirs.ID, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.SetPolicy(ctx, w.super, postern.Policy{LongestLife: 365}); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		for _, n := range []*notify.Notifier{w.n, w.notifier()} {
			both.Go(func() { w.do(n.Events, n.Events, n.SendDue) })
		}
		both.Wait()
		w.want(m, "kim@example.org joined", "theirs was deleted")
		w.want(kim.MemberID)
		if len(w.out.sent) != 2 {
			t.Errorf("%d mails, want 2", len(w.out.sent))
		}
		// Read is read, by whom it is.
		write := func(fn func(tx *store.Tx) error) {
			if _, err := w.db.Write(ctx, fn); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx *store.Tx) error { return tx.ReadNotifications(ctx, kim.MemberID, "", w.now()) })
		if n, err := w.db.UnreadNotifications(ctx, m); err != nil || n != 2 {
			t.Errorf("unread = %d, %v; want 2", n, err)
		}
		write(func(tx *store.Tx) error { return tx.ReadNotifications(ctx, m, "", w.now()) })
		if n, err := w.db.UnreadNotifications(ctx, m); err != nil || n != 0 {
			t.Errorf("unread = %d, %v; want 0", n, err)
		}
	})
}

func TestMailIsTriedAgainAndGivenUp(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.key("late", t0.Add(40*day))
		w.at(t0.Add(11 * day))
		w.out.fail = errors.New("no connection")
		w.do(w.n.Keys)
		tries := 0
		row := func() store.Notification {
			list, err := w.db.Notifications(t.Context(), w.super.MemberID, false, store.Cursor{}, 9)
			if err != nil || len(list) != 1 {
				t.Fatalf("notifications = %v, %v", list, err)
			}
			return list[0]
		}
		for last := time.Duration(0); !row().MailAt.IsZero(); tries++ {
			w.do(w.n.SendDue, w.n.SendDue, w.notifier().SendDue)
			r := row()
			if int(r.MailTries) != tries+1 || r.MailError != "no connection" {
				t.Fatalf("after %d tries: %+v", tries+1, r)
			}
			if wait := r.MailAt.Sub(w.now()); !r.MailAt.IsZero() {
				if wait < last {
					t.Fatalf("pause %s after %s", wait, last)
				}
				last = wait
				w.at(r.MailAt)
			}
		}
		if tries != 9 || w.now().Sub(t0) < 12*day {
			t.Errorf("given up after %d tries, %s", tries, w.now().Sub(t0.Add(11*day)))
		}
	})
}

func TestNoMailForWhoWantsNoneOrLeft(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.key("late", t0.Add(40*day))
		w.at(t0.Add(11 * day))
		w.do(w.n.Keys)
		if _, err := w.db.Write(t.Context(), func(tx *store.Tx) error {
			return tx.PutPreference(t.Context(), w.super.MemberID, notify.Preference(notify.KeyExpires), "off")
		}); err != nil {
			t.Fatal(err)
		}
		w.do(w.n.SendDue)
		if len(w.out.sent) != 0 || len(w.told(w.super.MemberID)) != 1 {
			t.Errorf("mails %v, told %q; want none and one", w.out.sent, w.told(w.super.MemberID))
		}
	})
}

// smtpServer is a mail server on loopback that speaks STARTTLS and PLAIN.
func smtpServer(t *testing.T, conf *tls.Config, refuse string) (port int, got func() []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	serve := func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		say := func(s string) { io.WriteString(c, s+"\r\n") }
		say("220 loopback")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimSpace(line)
			verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
			mu.Lock()
			all = append(all, line)
			mu.Unlock()
			switch verb {
			case "EHLO":
				say("250-loopback")
				if _, ok := c.(*tls.Conn); !ok && conf != nil {
					say("250-STARTTLS")
				}
				say("250 AUTH PLAIN")
			case "STARTTLS":
				if conf == nil {
					say("502 not here")
					continue
				}
				say("220 go on")
				c = tls.Server(c, conf)
				r = bufio.NewReader(c)
			case "AUTH":
				say("235 in")
			case "RCPT":
				if refuse != "" {
					say(refuse)
					continue
				}
				say("250 yes")
			case "DATA":
				say("354 go on")
				var b strings.Builder
				for {
					line, err := r.ReadString('\n')
					if err != nil || line == ".\r\n" {
						break
					}
					b.WriteString(line)
				}
				mu.Lock()
				all = append(all, b.String())
				mu.Unlock()
				say("250 taken")
			case "QUIT":
				say("221 bye")
				return
			default:
				say("250 ok")
			}
		}
	}
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { serve(c) })
		}
	})
	return l.Addr().(*net.TCPAddr).Port, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(all) }
}

func TestSMTP(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	trust := x509.NewCertPool()
	trust.AddCert(web.Certificate())
	server := &tls.Config{Certificates: web.TLS.Certificates}
	m := &notify.Message{ID: "ntf_1", To: mail.Address{Name: "Ada Ä", Address: "ada@example.org"}, Subject: "late stops working in 7 days", Text: "Grüße = ok\n.\nend\n", At: t0}
	port, got := smtpServer(t, server, "")
	s := &notify.SMTP{Host: "127.0.0.1", Port: port, User: "postern", Password: "hush", From: mail.Address{Address: "postern@example.org"}, TLS: "starttls", Config: &tls.Config{RootCAs: trust}}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	all := got()
	if !slices.Contains(all, "MAIL FROM:<postern@example.org>") || !slices.Contains(all, "RCPT TO:<ada@example.org>") {
		t.Errorf("the server heard %q", all)
	}
	i := slices.Index(all, "DATA")
	if i < 0 || slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, "AUTH PLAIN") }) < slices.Index(all, "STARTTLS") {
		t.Fatalf("the server heard %q; want the password only after TLS", all)
	}
	checkMail(t, []byte(strings.ReplaceAll(all[i+1], "\r\n..\r\n", "\r\n.\r\n")), m.Subject, "Grüße = ok\r\n.\r\nend\r\n")

	// A certificate that isn't trusted, and a server without TLS, get neither password nor mail.
	bad := *s
	bad.Config = nil
	plain, heard := smtpServer(t, nil, "")
	for _, other := range []*notify.SMTP{&bad, {Host: "127.0.0.1", Port: plain, User: "postern", Password: "hush", From: s.From, TLS: "starttls"}} {
		if err := other.Send(t.Context(), m); err == nil {
			t.Errorf("a mail was sent without TLS")
		}
	}
	if slices.ContainsFunc(heard(), func(l string) bool { return strings.HasPrefix(l, "AUTH") || l == "DATA" }) {
		t.Errorf("a server without TLS heard %q", heard())
	}
	// Who has no mailbox is not tried again; who is busy is.
	for answer, final := range map[string]bool{"550 no such mailbox": true, "450 later": false} {
		port, _ := smtpServer(t, nil, answer)
		err := (&notify.SMTP{Host: "127.0.0.1", Port: port, From: s.From, TLS: "none"}).Send(t.Context(), m)
		if _, is := errors.AsType[*notify.Final](err); err == nil || is != final {
			t.Errorf("%s: %v, final %v", answer, err, is)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	f := &notify.Folder{Dir: dir, From: mail.Address{Name: "Postern", Address: "postern@example.org"}}
	m := &notify.Message{ID: "ntf_1", To: mail.Address{Name: "Ada Ä", Address: "ada@example.org"}, Subject: "key\r\nBcc: x@example.org stops", Text: "Grüße = ok\n", At: t0}
	for range 2 {
		if err := f.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("files = %v, %v", files, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	checkMail(t, text, "key  Bcc: x@example.org stops", "Grüße = ok\r\n")
}

func checkMail(t *testing.T, raw []byte, subject, body string) {
	t.Helper()
	got, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	s, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || s != subject || got.Header.Get("Bcc") != "" {
		t.Errorf("subject = %q, %v, Bcc %q", s, err, got.Header.Get("Bcc"))
	}
	if to, err := got.Header.AddressList("To"); err != nil || to[0].Name != "Ada Ä" || to[0].Address != "ada@example.org" {
		t.Errorf("to = %v, %v", to, err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(got.Body))
	if err != nil || string(text) != body {
		t.Errorf("body = %q, %v; want %q", text, err, body)
	}
}
