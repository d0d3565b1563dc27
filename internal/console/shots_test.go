package console

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"postern.dev/postern/internal/store/storetest"
)

var shots = flag.String("shots", "", "a folder to put pictures of the pages in; needs Chromium")

// TestShots takes pictures of pages in both themes, on a desk and on a phone, and
// finds what the browser complains of: -shots says where to.
func TestShots(t *testing.T) {
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, storetest.SQLite(t))
	b := w.login()
	keys := w.fixture()
	session := b.c.Jar.Cookies(must(newRequest(w.url))(t).URL)[0].Value
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	chromedp.ListenTarget(ctx, func(e any) {
		if e, ok := e.(*log.EventEntryAdded); ok && e.Entry.Level == log.LevelError {
			t.Errorf("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
		}
	})
	cookie := func(name, value string) chromedp.Action {
		return network.SetCookie(name, value).WithURL(w.url).WithPath("/")
	}
	for name, path := range map[string]string{"keys": "/keys", "keys-none": "/keys?q=zzz", "keys-bulk": "/keys/bulk?action=delete&id=" + string(keys["stock-levels-to-erp"].ID) + "&id=" + string(keys["brand-new"].ID)} {
		for _, theme := range []string{"light", "dark"} {
			for _, size := range []struct {
				name string
				w, h int64
			}{{"1440", 1440, 900}, {"390", 390, 844}} {
				var png []byte
				var wide bool
				err := chromedp.Run(ctx, log.Enable(), cookie(cookieSession, session), cookie(cookieTheme, theme),
					emulation.SetDeviceMetricsOverride(size.w, size.h, 1, size.w < 500), chromedp.Navigate(w.url+path), chromedp.WaitReady("main"),
					chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide), chromedp.FullScreenshot(&png, 100))
				if err != nil {
					t.Fatal(err)
				}
				if wide {
					t.Errorf("%s at %s is wider than the window", name, size.name)
				}
				if err := os.WriteFile(filepath.Join(*shots, name+"-"+size.name+"-"+theme+".png"), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
