package auditlog

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/api"
)

// The formats of entries for other systems. None of them proves anything.
const (
	JSONLines = "jsonl"
	CSV       = "csv"
	Syslog    = "syslog" // RFC 5424, one message a line
)

// ByOperator reports whether someone of another account made a change: only the
// operator's members can. The account is told that they did, and not which of them.
func ByOperator(e *postern.AuditEntry) bool {
	return e.Actor.AccountID != "" && e.Actor.AccountID != e.AccountID
}

// Told is an entry as its account is told it.
func Told(e *postern.AuditEntry) api.AuditEntry {
	if ByOperator(e) {
		shown := *e
		shown.Actor = postern.Actor{System: "operator"}
		return Whole(&shown)
	}
	return Whole(e)
}

// Whole is all of an entry.
func Whole(e *postern.AuditEntry) api.AuditEntry {
	a := &e.Actor
	return api.AuditEntry{Seq: e.Seq, At: e.At, Actor: api.AuditActor{MemberID: string(a.MemberID), KeyID: string(a.KeyID), System: a.System, IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID},
		Action: e.Action, Object: e.Object, Name: e.Name, Result: e.Result, Reason: e.Reason, Before: e.Before, After: e.After}
}

// Lines writes entries in one of the formats.
type Lines struct {
	format string
	host   string
	out    *bufio.Writer
	csv    *csv.Writer
}

// NewLines begins to write entries. Host is what syslog messages say where they come from.
func NewLines(w io.Writer, format, host string) (*Lines, error) {
	l := &Lines{format: format, host: host, out: bufio.NewWriter(w)}
	switch format {
	case JSONLines, Syslog:
		return l, nil
	case CSV:
		l.csv = csv.NewWriter(l.out)
		return l, l.csv.Write([]string{"entry", "time", "account", "member_id", "key_id", "system", "action", "object", "name", "result", "reason", "before", "after", "address", "client", "request"})
	}
	return nil, fmt.Errorf("there is no format %q; choose jsonl, csv or syslog", format)
}

// Write writes an entry of an account.
func (l *Lines) Write(account string, e *api.AuditEntry) error {
	switch l.format {
	case CSV:
		return l.csv.Write(cells(account, e))
	case Syslog:
		_, err := l.out.WriteString(Message(l.host, account, e) + "\n")
		return err
	}
	b, err := json.Marshal(struct {
		Account string `json:"account"`
		*api.AuditEntry
	}{account, e})
	if err != nil {
		return err
	}
	_, err = l.out.Write(append(b, '\n'))
	return err
}

// Flush hands on what was written.
func (l *Lines) Flush() error {
	if l.csv != nil {
		l.csv.Flush()
		if err := l.csv.Error(); err != nil {
			return err
		}
	}
	return l.out.Flush()
}

func cells(account string, e *api.AuditEntry) []string {
	facts := func(m map[string]any) string {
		if len(m) == 0 {
			return ""
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	row := []string{strconv.FormatInt(e.Seq, 10), e.At.UTC().Format("2006-01-02T15:04:05.000000Z"), account, e.Actor.MemberID, e.Actor.KeyID, e.Actor.System, e.Action, e.Object,
		e.Name, e.Result, e.Reason, facts(e.Before), facts(e.After), e.Actor.IP, e.Actor.UserAgent, e.Actor.RequestID}
	for i, c := range row {
		// A spreadsheet must not take what somebody chose as a name for a formula.
		if c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
			row[i] = "'" + c
		}
	}
	return row
}

const (
	facilityAudit = 13 // RFC 5424: log audit
	levelWarning  = 4
	levelNotice   = 5

	// dataID names the structured data. 32473 is the number that stands for an example:
	// no authority gave this project one.
	dataID = "postern@32473"
)

// Message is an entry as a syslog message of RFC 5424.
func Message(host, account string, e *api.AuditEntry) string {
	level := levelNotice
	if e.Result != "ok" {
		level = levelWarning
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s postern - %s [%s", facilityAudit*8+level, e.At.UTC().Format("2006-01-02T15:04:05.000000Z"), headerText(host, 255), headerText(e.Action, 32), dataID)
	for _, p := range []struct{ name, value string }{
		{"seq", strconv.FormatInt(e.Seq, 10)}, {"account", account}, {"action", e.Action}, {"object", e.Object}, {"name", e.Name}, {"result", e.Result}, {"reason", e.Reason},
		{"member", e.Actor.MemberID}, {"key", e.Actor.KeyID}, {"system", e.Actor.System}, {"ip", e.Actor.IP}, {"userAgent", e.Actor.UserAgent}, {"request", e.Actor.RequestID},
	} {
		if p.value != "" {
			fmt.Fprintf(&b, ` %s="%s"`, p.name, dataText(p.value))
		}
	}
	b.WriteByte(']')
	if len(e.Before)+len(e.After) > 0 {
		facts, _ := json.Marshal(struct {
			Before map[string]any `json:"before,omitempty"`
			After  map[string]any `json:"after,omitempty"`
		}{e.Before, e.After})
		b.WriteString(" \ufeff")
		b.Write(facts)
	}
	return b.String()
}

// headerText is a field of a message's header: printable ASCII without spaces.
func headerText(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

var dataEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// dataText is a value in structured data, on one line.
func dataText(s string) string {
	return dataEscapes.Replace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd")))
}

// Frame gives messages the length before each, as RFC 6587 section 3.4.1 sends them over TCP.
func Frame(w io.Writer) io.Writer { return &framer{w: w} }

type framer struct {
	w    io.Writer
	rest []byte
}

// Write takes whole lines, or parts of them, and sends each as a frame.
func (f *framer) Write(p []byte) (int, error) {
	f.rest = append(f.rest, p...)
	for {
		i := bytes.IndexByte(f.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		if _, err := fmt.Fprintf(f.w, "%d %s", i, f.rest[:i]); err != nil {
			return 0, err
		}
		f.rest = f.rest[i+1:]
	}
}
