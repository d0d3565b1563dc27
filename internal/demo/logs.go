package demo

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"postern.dev/postern/internal/node"
)

// logDays is for how many days the sample logs go back.
const logDays = 45

// logged is a call as a proxy writes it down.
type logged struct {
	at                 time.Time
	method, path       string
	secret, agent, ip  string
	status, sent, took int
}

// sampleLogs writes access logs of the company's proxies, with the CRM's description
// beside them, so that there is something to take an inventory of. They are made up,
// and their secrets are those of this demo alone.
func sampleLogs(dir string, list []*old, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("demo: sample logs: %w", err)
	}
	inAddress, inHeader := logCallers(list)
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"crm.yaml", func(w io.Writer) error { _, err := w.Write(node.CRMOpenAPI()); return err }},
		{"edge-access.log", func(w io.Writer) error {
			return eachCall(inAddress, now, func(c *logged) error { return c.combined(w) })
		}},
		{"api-gateway.log.gz", func(w io.Writer) error {
			z := gzip.NewWriter(w)
			if err := eachCall(inHeader, now, func(c *logged) error { return c.json(z) }); err != nil {
				return err
			}
			return z.Close()
		}},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.write); err != nil {
			return fmt.Errorf("demo: sample logs: %w", err)
		}
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 64<<10)
	if err := write(b); err != nil {
		_ = f.Close()
		return err
	}
	if err := b.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// logCaller is a habit of a caller, with the secret that it has.
type logCaller struct {
	habit
	secret string
}

// logCallers are those of the company's old credentials, and of three that nobody has imported.
func logCallers(list []*old) (inAddress, inHeader []logCaller) {
	for _, o := range list {
		for _, h := range o.habits {
			h.ended = 0
			if c := (logCaller{h, o.secret}); o.inAddress {
				inAddress = append(inAddress, c)
			} else {
				inHeader = append(inHeader, c)
			}
		}
	}
	read := habit{method: "GET", path: "/crm/v3/objects/contacts"}
	leaked, mailer := uuid(), "pat-eu1-"+uuid()
	inAddress = append(inAddress, logCaller{read.by("newsletter/2.2", "198.51.100.201", 240, 6, 22), leaked}, logCaller{read.by("Go-http-client/1.1", "192.0.2.77", 180, 0, 24), leaked})
	hooks := habit{method: "POST", path: "/webhooks/v3/4242/subscriptions"}
	inHeader = append(inHeader, logCaller{hooks.by("event-relay/1.4", "198.51.100.90", 360, 0, 24), "pat-eu1-" + uuid()},
		logCaller{habit{method: "POST", path: "/crm/v3/objects/contacts"}.by("old-mailer/0.3", "198.51.100.15", 240, 8, 18), mailer})
	return inAddress, inHeader
}

// eachCall goes through the calls of some callers, in the order of time.
func eachCall(callers []logCaller, now time.Time, fn func(*logged) error) error {
	rnd := rand.New(rand.NewPCG(uint64(len(callers)), logDays))
	today := now.UTC().Truncate(24 * time.Hour)
	for day := today.AddDate(0, 0, -logDays); day.Before(today); day = day.AddDate(0, 0, 1) {
		for minute := range 24 * 60 {
			for i := range callers {
				h := &callers[i]
				if minute < h.from*60 || minute >= h.to*60 || (minute-h.from*60)%h.minutes != 0 {
					continue
				}
				c := &logged{at: day.Add(time.Duration(minute)*time.Minute + time.Duration(rnd.IntN(55))*time.Second), method: h.method, path: h.path, secret: h.secret,
					agent: h.agent, ip: h.ip, status: 200, sent: 2_000 + rnd.IntN(60_000), took: 10 + rnd.IntN(80)}
				if rnd.IntN(200) == 0 {
					c.status = 429
				}
				if err := fn(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// combined writes a call as nginx and Apache do, with the key in the address.
func (c *logged) combined(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s - - [%s] \"%s %s?limit=100&hapikey=%s HTTP/1.1\" %d %d \"-\" \"%s\"\n", c.ip, c.at.Format("02/Jan/2006:15:04:05 -0700"), c.method, c.path, c.secret, c.status, c.sent, c.agent)
	return err
}

// json writes a call as a line of JSON, with the header.
func (c *logged) json(w io.Writer) error {
	return json.NewEncoder(w).Encode(map[string]any{"time": c.at.Format(time.RFC3339), "remote_addr": c.ip, "method": c.method, "uri": c.path + "?limit=100", "status": c.status,
		"bytes_sent": c.sent, "duration_ms": c.took, "user_agent": c.agent, "authorization": "Bearer " + c.secret})
}
