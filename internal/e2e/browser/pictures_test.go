package browser

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"postern.dev/postern"
	"postern.dev/postern/internal/demo"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
)

var (
	shots = flag.String("shots", "", "a folder to put pictures of every page in: desktop and phone, light and dark")
	small = flag.String("small", "", "a folder to put the small pictures of the documentation in")
)

// eachLook does something in both themes and on both screens.
func (b *tab) eachLook(do func(look string)) {
	b.t.Helper()
	for _, s := range []size{desktop, phone} {
		b.resize(s)
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			do(s.name + " " + theme)
		}
	}
	b.resize(desktop)
	b.theme("light")
}

// TestShots takes pictures of every page in every look: -shots says where to.
func TestShots(t *testing.T) {
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &walker{office(t), t, map[string]*tab{}}
	for _, p := range w.d.places(t) {
		b := w.at(t, p)
		b.open(p.path)
		b.js(`document.fonts.ready`, nil)
		b.eachLook(func(look string) {
			var png []byte
			b.do(chromedp.FullScreenshot(&png, 100))
			if err := os.WriteFile(filepath.Join(*shots, p.name+"-"+strings.ReplaceAll(look, " ", "-")+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// studio is a company as it may be, for pictures: the demo's, in the second day of a rotation.
type studio struct {
	*server
	ada, rotating string
	back          atomic.Int64 // how far the clock is behind
}

func (s *studio) fill(ctx context.Context, n *node.Node) error {
	now := time.Now().UTC()
	if _, err := demo.Prepare(ctx, n, now); err != nil {
		return err
	}
	all, err := n.DB.Accounts(ctx)
	if err != nil {
		return err
	}
	members, err := n.DB.Members(ctx, all[0].ID, false)
	if err != nil {
		return err
	}
	by := postern.Actor{AccountID: all[0].ID, MemberID: members[0].ID, IP: "198.51.100.7"}
	for _, m := range members {
		if strings.HasPrefix(m.Name, "Ada") {
			by.MemberID = m.ID
		}
	}
	s.ada = string(by.MemberID)
	if _, err := n.Keyring.CreateKey(ctx, by, keyring.NewKey{Name: "partner-portal-sync", Scopes: []postern.Scope{"crm.objects.companies.read"}, ExpiresAt: now.AddDate(0, 0, 6)}); err != nil {
		return err
	}
	old, err := n.Keyring.CreateKey(ctx, by, keyring.NewKey{Name: "spring-mail-import", Scopes: []postern.Scope{"crm.objects.contacts.read", "crm.objects.contacts.write"}})
	if err != nil {
		return err
	}
	paused := true
	if _, err := n.Keyring.EditKey(ctx, by, old.Key.ID, keyring.KeyEdit{Paused: &paused}); err != nil {
		return err
	}
	changed := now.Sub(now.Truncate(time.Hour)) + 26*time.Hour - 30*time.Second // at the start of an hour
	s.back.Store(int64(40 * 24 * time.Hour))
	made, err := n.Keyring.CreateKey(ctx, by, keyring.NewKey{Name: "orders-to-warehouse", Description: "Copies deals and companies to the warehouse.",
		Scopes: []postern.Scope{"crm.objects.deals.read", "crm.objects.companies.read"}})
	if err != nil {
		return err
	}
	s.back.Store(int64(changed))
	if _, err := n.Keyring.RotateKey(ctx, by, made.Key.ID, keyring.Rotation{Grace: 7 * 24 * time.Hour}); err != nil {
		return err
	}
	s.back.Store(0)
	s.rotating = string(made.Key.ID)
	for _, place := range []struct {
		agent, ip string
		every     time.Duration
		moved     time.Duration // after the change; none: not yet
	}{{"airbyte/1.5", "203.0.113.21", 15 * time.Minute, 3 * time.Hour}, {"python-requests/2.32.3", "203.0.113.40", 40 * time.Minute, 9 * time.Hour}, {"n8n/1.68", "198.51.100.90", time.Hour, 0}} {
		e := postern.Event{Door: postern.DoorGateway, Method: "GET", Path: "/crm/v3/objects/deals", UserAgent: place.agent, IP: netip.MustParseAddr(place.ip), Status: 200, Duration: 31 * time.Millisecond,
			RequestID: "5d8c1f20-0000-4000-8000-" + fmt.Sprintf("%012d", place.every)[:12]}
		e.Decision = postern.Decision{Kind: postern.KindServiceKey, Known: true, Allowed: true, Reason: postern.ReasonAllowed, Account: all[0].ID, AccountNo: all[0].Number,
			Operation: &postern.Operation{Upstream: "crm", Name: "listDeals", Method: "GET", Path: "/crm/v3/objects/deals"}}
		copy(e.Decision.Key[:], made.Key.ID)
		for at := now.Add(-48 * time.Hour); at.Before(now.Add(-time.Minute)); at = at.Add(place.every) {
			e.Decision.Gen = 1
			if place.moved > 0 && at.After(now.Add(place.moved-changed)) {
				e.Decision.Gen = 2
			}
			e.At = postern.ToMicros(at)
			n.Activity.Record(&e)
		}
	}
	return n.Activity.Flush(ctx)
}

// TestSmallShots takes the pictures that the documentation shows: -small says where to.
func TestSmallShots(t *testing.T) {
	if *small == "" {
		return
	}
	s := &studio{}
	var err error
	s.server, err = launch("studio", s.fill, func(c *node.Config) {
		c.Now = func() time.Time {
			return time.Now().UTC().Add(-time.Duration(s.back.Load())).Truncate(time.Microsecond)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{server: s.server, people: map[string]postern.Member{"Ada": {ID: postern.MemberID(s.ada)}}}
	b := d.in(t, "Ada")
	for name, path := range map[string]string{"keys": "/keys", "create-scopes": "/keys/new?name=weekly-export&use=bi&step=2&preset=report", "rotate-watch": "/keys/" + s.rotating + "/rotate",
		"call": d.linkOn(t, "/activity?answer=refused&period=7d", "/activity/")} {
		b.open(path)
		if name == "rotate-watch" {
			b.theme("dark")
		}
		b.do(chromedp.ActionFunc(func(ctx context.Context) error {
			webp, err := page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatWebp).WithQuality(80).
				WithClip(&page.Viewport{Width: float64(desktop.w), Height: float64(desktop.h), Scale: 900 / float64(desktop.w)}).Do(ctx)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(*small, name+".webp"), webp, 0o644)
		}))
	}
}
