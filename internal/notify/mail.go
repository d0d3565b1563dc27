package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Message is one mail to one person.
type Message struct {
	ID      string // stays the same when it is tried again, so that a reader's mailbox can tell
	To      mail.Address
	Subject string
	Text    string
	At      time.Time
}

// Sender sends mails. An error is tried again later; one that is Final never.
type Sender interface {
	Send(ctx context.Context, m *Message) error
}

// Final marks an error of a mail that can't ever be sent: its receiver is refused.
type Final struct{ Err error }

func (f *Final) Error() string { return f.Err.Error() }
func (f *Final) Unwrap() error { return f.Err }

const (
	mailTime  = time.Minute  // how long a mail server may take for one
	claim     = 5 * mailTime // how long the one mail that a node claimed is its own
	mailTries = 9            // over about two days
)

// pause is how long to wait after a number of tries.
func pause(tries int64) time.Duration {
	return min(time.Minute<<min(2*(tries-1), 20), 12*time.Hour)
}

// SendDue sends the mails that are due, and claims each just before: what is claimed is
// sent well before another node may take it.
func (n *Notifier) SendDue(ctx context.Context) error {
	if n.cfg.Mail == nil {
		return nil
	}
	for {
		var list []store.Notification
		now := n.cfg.Now()
		_, err := n.db.Write(ctx, func(tx *store.Tx) (err error) {
			list, err = tx.ClaimMails(ctx, now, now.Add(claim), 1)
			return err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		if err := n.send(ctx, &list[0]); err != nil {
			return err
		}
	}
}

// send tries one mail and notes what came of it.
func (n *Notifier) send(ctx context.Context, row *store.Notification) error {
	m, err := n.message(ctx, row)
	if err != nil {
		return err
	}
	row.MailAt, row.MailError = time.Time{}, ""
	if m != nil {
		one, cancel := context.WithTimeout(ctx, mailTime)
		err := n.cfg.Mail.Send(one, m)
		cancel()
		_, final := errors.AsType[*Final](err)
		switch {
		case err == nil:
			row.MailedAt = n.cfg.Now()
			n.cfg.Log.InfoContext(ctx, "mail sent", "kind", row.Kind, "notification", row.ID, "member", row.MemberID)
		case ctx.Err() != nil:
			return ctx.Err() // claimed for a while; it is tried again after that
		default:
			row.MailError = err.Error()
			if !final && row.MailTries < mailTries {
				row.MailAt = n.cfg.Now().Add(pause(row.MailTries))
			}
			n.cfg.Log.WarnContext(ctx, "mail not sent", "kind", row.Kind, "notification", row.ID, "member", row.MemberID, "tries", row.MailTries, "again", !row.MailAt.IsZero(), "err", err)
		}
	}
	_, err = n.db.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.SetMail(ctx, row) })
	return err
}

// message is the mail of a notification; nil where its member is gone or wants none.
func (n *Notifier) message(ctx context.Context, row *store.Notification) (*Message, error) {
	m, err := n.db.MemberOf(ctx, row.AccountID, row.MemberID)
	if err != nil && !errors.Is(err, postern.CodeNotFound) {
		return nil, err
	}
	if err != nil || !m.RemovedAt.IsZero() || m.Altered || m.Email == "" {
		return nil, nil
	}
	prefs, err := n.db.Preferences(ctx, m.ID)
	if err != nil || prefs[Preference(row.Kind)] == "off" {
		return nil, err
	}
	a, err := n.db.Account(ctx, row.AccountID)
	if err != nil || !a.SuspendedAt.IsZero() {
		return nil, err
	}
	text := row.Subject + ".\n\n" + row.Words + "\n\n"
	if row.Link != "" {
		text += n.cfg.PublicURL + row.Link + "\n\n"
	}
	text += "-- \nYou get this as a member of " + a.Name + ". Choose which mails you get:\n" + n.cfg.PublicURL + "/me/notifications\n"
	return &Message{ID: row.ID, To: mail.Address{Name: m.Name, Address: m.Email}, Subject: postern.HideSecrets(row.Subject), Text: postern.HideSecrets(text), At: row.MadeAt}, nil
}

// client is what a user agent calls itself, for people: the first product in it.
func client(agent string) string {
	name, _, _ := strings.Cut(agent, " ")
	name, _, _ = strings.Cut(name, "/")
	if len([]rune(name)) > 60 {
		name = string([]rune(name)[:60])
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
}

// bytes is the mail as it goes over the wire (RFC 5322), plain text.
func (m *Message) bytes(from mail.Address) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(from.Address, "@")
	head := func(name, value string) {
		// A line end in a header would be the start of another one.
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
	}
	head("From", from.String())
	head("To", m.To.String())
	head("Subject", mime.QEncoding.Encode("utf-8", strings.NewReplacer("\r", " ", "\n", " ").Replace(m.Subject)))
	head("Date", m.At.UTC().Format(time.RFC1123Z))
	head("Message-ID", "<"+m.ID+"@"+domain+">")
	head("Auto-Submitted", "auto-generated")
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	q.Write([]byte(strings.ReplaceAll(m.Text, "\n", "\r\n")))
	q.Close()
	return b.Bytes()
}

// SMTP sends mails through a server.
type SMTP struct {
	Host     string
	Port     int
	User     string // empty: no sign-in
	Password string
	From     mail.Address
	// TLS is "starttls" (asked for, and never done without), "tls" (from the first byte) or "none".
	TLS string
	// Config is for tests; nil is the system's certificates.
	Config *tls.Config
}

// Send gives a mail to the server.
func (s *SMTP) Send(ctx context.Context, m *Message) error {
	conf := s.Config.Clone()
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf.ServerName = s.Host
	}
	conn, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	if s.TLS == "tls" {
		conn = tls.Client(conn, conf)
	}
	c, err := smtp.NewClient(conn, s.Host)
	if err != nil {
		return fmt.Errorf("greet the mail server: %w", err)
	}
	defer c.Close()
	if s.TLS == "starttls" {
		if err := c.StartTLS(conf); err != nil {
			return fmt.Errorf("start TLS with the mail server: %w", err)
		}
	}
	if s.User != "" {
		if err := c.Auth(smtp.PlainAuth("", s.User, s.Password, s.Host)); err != nil {
			return fmt.Errorf("sign in to the mail server: %w", err)
		}
	}
	if err := c.Mail(s.From.Address); err != nil {
		return fmt.Errorf("mail from %s: %w", s.From.Address, err)
	}
	if err := c.Rcpt(m.To.Address); err != nil {
		err = fmt.Errorf("mail to a member: %w", err)
		if e, ok := errors.AsType[*textproto.Error](err); ok && e.Code >= 550 && e.Code <= 553 {
			return &Final{err} // the mailbox isn't there, or takes nothing
		}
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.bytes(s.From)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	// It is taken; whether the server says goodbye doesn't matter.
	_ = c.Quit()
	return nil
}

// Folder writes mails into a directory, for trying things out.
type Folder struct {
	Dir  string
	From mail.Address
}

// Send writes a mail as a file. Tried again, it is the same file.
func (f *Folder) Send(_ context.Context, m *Message) error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.Dir, m.At.UTC().Format("20060102-150405-")+m.ID+".eml"), m.bytes(f.From), 0o600)
}
