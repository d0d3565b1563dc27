package browser

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"postern.dev/postern"
	"postern.dev/postern/internal/node"
)

const password = "four words stand here"

// curl runs the lines of the page's curl pane as they stand there, with the secret in the variable.
func (b *tab) curl(secret string) (string, error) {
	b.t.Helper()
	lines := b.str(`document.querySelector('#connect-pane-curl pre code').textContent`)
	if strings.Contains(lines, secret) {
		b.t.Error("the lines to paste hold the secret")
	}
	cmd := exec.CommandContext(b.t.Context(), "sh", "-c", lines)
	cmd.Env = append(os.Environ(), "POSTERN_KEY="+secret)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// secret is the one that the page shows.
func (b *tab) secret() string {
	b.t.Helper()
	b.until(`document.querySelector('#secret')?.textContent.startsWith('pst_')`)
	return b.str(`document.querySelector('#secret').textContent`)
}

// From the set-up link to a working curl: at most 12 clicks and 4 typed fields.
func TestFirstRun(t *testing.T) {
	var link postern.Secret
	s, err := launch("first", func(ctx context.Context, n *node.Node) (err error) {
		link, _, err = n.Keyring.SetupLink(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b := s.stranger(t)
	b.letCopy()
	began := time.Now()
	b.open("/setup/" + link.Reveal())
	b.fill("#f-name", "Larkspur Instruments")
	b.fill("#f-email", "ada@larkspur.example")
	b.fill("#f-password", password)
	b.follow("=Set up")
	b.says("Set up in 3 steps", "Create your first key")
	b.accessible("first run")
	b.follow("=Create a key")
	b.fill("#f-name", "nightly-export")
	b.click("label[for=use-script]")
	b.follow("=Continue to scopes")
	b.click(".presets button.chip")
	b.until(`document.querySelectorAll('input.check[name=scope]:checked').length > 0`)
	b.follow("=Review")
	b.follow("#create")
	secret := b.secret()
	b.click("#copy-secret")
	b.says("Copied")
	b.says("Waiting for the first call")
	b.accessible("the secret is shown")
	clicks, fields := b.clicks, b.fields
	out, err := b.curl(secret)
	if err != nil || !strings.Contains(out, "results") {
		t.Fatalf("the curl line of the page answers %s (%v)", out, err)
	}
	b.says("It works. First call received.")
	b.until(`document.querySelector('[data-waiting]').classList.contains('ok')`)
	b.accessible("the first call came")
	t.Logf("%d clicks, %d typed fields, %s with everything", clicks, fields, time.Since(began).Round(time.Millisecond))
	if clicks > 12 || fields > 4 {
		t.Errorf("the newcomer needs %d clicks and %d typed fields, want at most 12 and 4", clicks, fields)
	}
	b.follow("#done")
	b.says("nightly-export")
	b.open("/")
	b.says("Latest changes")
}

// made makes a key as someone and gives its id and secret.
func (b *tab) made(name string, scopes ...string) (id, secret string) {
	b.t.Helper()
	q := url.Values{"name": {name}, "use": {"script"}, "step": {"3"}, "picked": {"1"}, "scope": scopes}
	b.open("/keys/new?" + q.Encode())
	b.follow("#create")
	secret = b.secret()
	return strings.Split(secret, "_")[2], secret
}

// Who lacks a scope sees it locked and why, and a forged form is refused with words.
func TestLockedScope(t *testing.T) {
	d := office(t)
	b := d.in(t, "Noor")
	b.open("/keys/new?name=noors-key&use=script&step=2")
	b.says("You don’t hold this, so you can’t pass it on.")
	if got := b.str(`document.querySelector('input[value="crm.objects.products.write"]').disabled`); got != "true" {
		t.Error("a scope that Noor lacks can be ticked")
	}
	b.says("You can only give what you hold.")
	b.open("/keys/new?name=noors-key&use=script&step=3&picked=1&scope=crm.objects.deals.read")
	b.js(`for (const f of document.querySelectorAll('#review, #back')) { const i = document.createElement('input'); i.type = 'hidden'; i.name = 'scope'; i.value = 'crm.objects.products.write'; f.append(i); }`, nil)
	b.follow("#create")
	if b.status < 400 {
		t.Errorf("the forged form is answered with %d, want a refusal", b.status)
	}
	b.until(`/don.t hold|do not hold|lack/i.test(document.querySelector('main').innerText)`)
	b.accessible("the forged form is refused")
	if _, err := d.node.Keyring.KeyNamed(t.Context(), d.as("Ada"), "noors-key"); err == nil {
		t.Error("the forged form made a key")
	}
	// The same where scopes are edited: the whole key, and nothing beside it.
	b.open("/keys/" + string(d.keys["support-bot"].ID) + "/scopes")
	b.says("You can only give what you hold.")
	b.js(`for (const i of document.querySelectorAll('input[name=scope]')) i.disabled = false; document.querySelector('input[value="crm.objects.products.write"]').checked = true`, nil)
	b.follow("=Save scopes")
	if b.status < 400 {
		t.Errorf("the forged edit is answered with %d, want a refusal", b.status)
	}
	rec, err := d.node.Keyring.Key(t.Context(), d.as("Ada"), d.keys["support-bot"].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range rec.Scopes {
		if s == "crm.objects.products.write" {
			t.Error("the forged edit gave a scope that Noor lacks")
		}
	}
}

const deals = "/crm/v3/objects/deals?limit=1"

// Rotating later: both secrets work for a real client and both are watched, until the old one is ended.
func TestRotateLater(t *testing.T) {
	d := office(t)
	b := d.in(t, "Ada")
	b.letCopy()
	id, old := b.made("rotate-later", "crm.objects.deals.read")
	if got := d.call(t, old, deals, "warehouse/1.0"); got != 200 {
		t.Fatalf("the first secret = %d, want 200", got)
	}
	b.open("/keys/" + id + "/rotate")
	b.follow(".wfoot button.primary")
	made := b.secret()
	if made == old || strings.Split(made, "_")[2] != id {
		t.Fatal("the new secret is none of this key")
	}
	b.accessible("the new secret is shown")
	b.click("=Copy secret")
	b.until(`document.querySelector('.secret button.primary').innerText.trim() === 'Copied'`)
	b.follow("=Copied, show me the move")
	b.says("Watch it move over")
	for range 2 {
		if got := d.call(t, old, deals, "airflow/2.9"); got != 200 {
			t.Errorf("the old secret = %d during the rotation, want 200", got)
		}
	}
	if got := d.call(t, made, deals, "warehouse/2.0"); got != 200 {
		t.Errorf("the new secret = %d, want 200", got)
	}
	b.until(`+document.querySelector('[data-w=newCalls]').textContent >= 1 && +document.querySelector('[data-w=oldCalls]').textContent >= 2`)
	b.says("warehouse", "airflow")
	b.follow("=End the old secret now…")
	b.says("still uses it.")
	b.follow("=End it anyway")
	if got := d.call(t, old, deals, "warehouse/1.0"); got != 401 {
		t.Errorf("the old secret = %d after its end, want 401", got)
	}
	if got := d.call(t, made, deals, "warehouse/2.0"); got != 200 {
		t.Errorf("the new secret = %d after the end of the old one, want 200", got)
	}
}

// Exposed: the old secret is refused within 5 seconds.
func TestRotateExposed(t *testing.T) {
	d := office(t)
	b := d.in(t, "Ada")
	id, old := b.made("rotate-exposed", "crm.objects.deals.read")
	if got := d.call(t, old, deals, "thief/1.0"); got != 200 {
		t.Fatalf("the first secret = %d, want 200", got)
	}
	b.open("/keys/" + id + "/rotate")
	b.click("#why-exposed")
	b.says("will fail")
	b.follow("=Stop the old secret now")
	answered := time.Now()
	made := b.secret()
	for d.call(t, old, deals, "thief/1.0") != 401 {
		if time.Since(answered) > 5*time.Second {
			t.Fatal("the old secret still works after 5 s")
		}
	}
	if got := d.call(t, made, deals, "warehouse/2.0"); got != 200 {
		t.Errorf("the new secret = %d, want 200", got)
	}
	b.says("Every address in 30 days")
	b.accessible("after an exposed secret")
}

// Ending a key that is in use takes its name, and holds at the next call; pausing can be undone.
func TestEnd(t *testing.T) {
	d := office(t)
	b := d.in(t, "Ada")
	id, secret := b.made("to-be-ended", "crm.objects.deals.read")
	d.call(t, secret, deals, "warehouse/1.0")
	b.says("It works. First call received.")
	b.open("/keys/" + id + "/pause")
	b.follow("=Pause it")
	if got := d.call(t, secret, deals, "warehouse/1.0"); got == 200 {
		t.Error("a paused key works")
	}
	b.open("/keys/" + id + "/resume")
	b.follow("=Resume it")
	if got := d.call(t, secret, deals, "warehouse/1.0"); got != 200 {
		t.Errorf("the resumed key = %d, want 200", got)
	}
	b.open("/keys/" + id + "/end")
	b.until(`document.querySelector('[data-needs]')?.disabled`)
	b.fill("#f-endtyped", "to-be-ended")
	b.follow("=End for good")
	b.says("This is in force everywhere.")
	b.accessible("the receipt")
	if got := d.call(t, secret, deals, "warehouse/1.0"); got != 401 {
		t.Errorf("the ended key = %d, want 401", got)
	}
}

// Editing scopes takes effect at the next call, and the secret stays.
func TestEditScopes(t *testing.T) {
	d := office(t)
	b := d.in(t, "Noor")
	id, secret := b.made("noors-scopes", "crm.objects.deals.read")
	const companies = "/crm/v3/objects/companies?limit=1"
	if got := d.call(t, secret, companies, "etl/1"); got != 403 {
		t.Fatalf("without the scope = %d, want 403", got)
	}
	b.open("/keys/" + id + "/scopes")
	b.click(`input[value="crm.objects.companies.read"]`)
	b.says("1 more")
	b.follow("=Save scopes")
	if got := d.call(t, secret, companies, "etl/1"); got != 200 {
		t.Errorf("with the scope = %d, want 200", got)
	}
	b.open("/keys/" + id + "/scopes")
	b.click(`input[value="crm.objects.deals.read"]`)
	b.follow("=Save scopes")
	if got := d.call(t, secret, deals, "etl/1"); got != 403 {
		t.Errorf("after the scope was taken away = %d, want 403", got)
	}
}

// Who is invited as a viewer comes in with the link, and can give nothing.
func TestInvite(t *testing.T) {
	d := office(t)
	b := d.in(t, "Ada")
	b.open("/settings/members/new")
	b.fill("#f-email", "nia@larkspur.example")
	b.fill("#f-name", "Nia Bell")
	b.click(`input[name=role][value=developer]`)
	b.click(`input[name=holds][value=own]`)
	b.fill("#f-patterns", "crm.objects.deals.read")
	b.follow("=Make the invitation")
	b.says("Invitation made. Copy the link now.")
	b.accessible("an invitation was made")
	link := b.str(`document.querySelector('#link').textContent`)
	nia := d.stranger(t)
	nia.open(strings.TrimPrefix(link, d.url))
	nia.fill("#f-password", password)
	nia.follow("=Join with this password")
	nia.says("Home")
	nia.open("/settings/members/new")
	nia.says("Your role is")
	if nia.status != 403 {
		t.Errorf("Nia may invite: %d", nia.status)
	}
	nia.open("/keys/new?name=nias-key&use=script&step=2")
	if got := nia.str(`[...document.querySelectorAll('input.check[name=scope]:not(:disabled)')].map((i) => i.value).filter((s) => s.startsWith('crm.')).join()`); got != "crm.objects.deals.read" {
		t.Errorf("Nia may give %s, want only crm.objects.deals.read", got)
	}
	// Out and in again with the password.
	nia.click("header details.menu summary")
	nia.follow("=Sign out")
	nia.says("You are signed out.")
	nia.fill("#f-email", "nia@larkspur.example")
	nia.fill("#f-password", "not the right password")
	nia.follow("form[action='/signin'] button.primary")
	nia.until(`document.title.startsWith('Error:') && document.activeElement.matches('[data-errors]')`)
	nia.accessible("a wrong password")
	nia.fill("#f-password", password)
	nia.follow("form[action='/signin'] button.primary")
	nia.says("Home")
}

// With the keyboard alone: from the list of keys to a green first call.
func TestKeyboard(t *testing.T) {
	d := office(t)
	b := d.in(t, "Ada")
	b.letCopy()
	enter := func() { b.leave(func() { b.press(kb.Enter) }) }
	b.open("/")
	b.tabTo(".skip")
	b.press(kb.Enter)
	b.press("g")
	b.leave(func() { b.press("k") })
	b.says("Service keys")
	b.leave(func() { b.press("c") })
	b.tabTo("#f-name")
	b.press("keyboard-made")
	b.tabTo("input[name=use]")
	b.press(kb.ArrowDown)
	b.tabTo("=Continue to scopes")
	enter()
	b.tabTo("#sq")
	b.press("deals")
	b.until(`[...document.querySelectorAll('[data-row]:not([hidden])')].length < 12`)
	b.tabTo(`input[value="crm.objects.deals.read"]`)
	b.visiblyFocused()
	ticked := b.str(`document.activeElement.checked`)
	b.press(" ")
	b.until("String(document.activeElement.checked) !== " + quote(ticked))
	if ticked == "true" {
		b.press(" ")
	}
	b.until("document.activeElement.checked")
	b.tabTo("=Review")
	enter()
	b.tabTo("#create")
	b.visiblyFocused()
	enter()
	secret := b.secret()
	b.tabTo("#copy-secret")
	b.press(kb.Enter)
	b.says("Copied")
	b.until(`document.activeElement.id === 'copy-secret'`)
	if got := d.call(t, secret, deals, "keyboard/1"); got != 200 {
		t.Fatalf("the key = %d, want 200", got)
	}
	b.until(`document.querySelector('[data-waiting]').classList.contains('ok')`)
	b.tabTo("#done")
	enter()
	b.says("keyboard-made")
	// A menu and a dialog give the focus back.
	b.tabTo("header details.menu summary")
	b.press(kb.Enter)
	b.until(`document.querySelector('header details.menu').open`)
	b.press(kb.Escape)
	b.until(`!document.querySelector('header details.menu').open && document.activeElement.matches('header details.menu summary')`)
	b.js(`document.activeElement.blur()`, nil)
	b.press("?")
	b.until(`document.querySelector('#shortcuts').open`)
	b.press(kb.Escape)
	b.until(`!document.querySelector('#shortcuts').open`)
	b.press("/")
	b.until(`document.activeElement.matches('#find, [data-slash]')`)
	if b.clicks != 0 {
		t.Errorf("the mouse was used %d times", b.clicks)
	}
}

// visiblyFocused checks that one sees where the focus is, and that nothing covers it.
func (b *tab) visiblyFocused() {
	b.t.Helper()
	if got := b.str(`(() => { const e = document.activeElement, c = getComputedStyle(e), r = e.getBoundingClientRect();
		if (r.bottom <= 0 || r.top >= innerHeight) return 'out of sight';
		const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		if (!(e.contains(top) || top?.contains(e))) return 'covered by ' + top?.className;
		return c.outlineStyle === 'none' || parseFloat(c.outlineWidth) < 2 ? 'no outline: ' + c.outline : ''; })()`); got != "" {
		b.t.Errorf("the focus on %s is not seen: %s", b.str(`document.activeElement.outerHTML.slice(0, 120)`), got)
	}
}

// Without scripts: signing in, making a key, seeing its first call, rotating and ending it.
func TestWithoutScripts(t *testing.T) {
	d := office(t)
	d.setPassword(t, "Ada")
	b := d.stranger(t)
	b.noScripts()
	b.open("/keys")
	b.fill("#f-email", d.people["Ada"].Email)
	b.fill("#f-password", password)
	b.follow("form[action='/signin'] button.primary")
	b.says("Service keys")
	b.open("/keys/new")
	b.fill("#f-name", "no-scripts")
	b.click("label[for=use-script]")
	b.follow("=Continue to scopes")
	b.fill("#sq", "/crm/v3/objects/deals")
	b.follow(".sbar button.no-js")
	b.click(`input[value="crm.objects.deals.read"]`)
	b.follow("=Review")
	b.says("Check it, then create it")
	b.follow("#create")
	secret := b.secret()
	id := strings.Split(secret, "_")[2]
	if got := d.call(t, secret, deals, "plain/1"); got != 200 {
		t.Fatalf("the key = %d, want 200", got)
	}
	b.open("/keys/" + id + "/first-call")
	b.says("It works. First call received.")
	b.open("/keys/" + id + "/rotate")
	b.click("#f-why")
	b.follow(".wfoot button.primary")
	made := b.secret()
	for _, secret := range []string{secret, made} {
		if got := d.call(t, secret, deals, "plain/1"); got != 200 {
			t.Errorf("a secret = %d during the rotation, want 200", got)
		}
	}
	b.open("/keys/" + id + "/rotate/finish")
	b.follow(".df .danger")
	if got := d.call(t, secret, deals, "plain/1"); got != 401 {
		t.Errorf("the old secret = %d, want 401", got)
	}
	b.open("/keys/" + id + "/end")
	b.fill("#f-endtyped", "no-scripts")
	b.follow("=End for good")
	if got := d.call(t, made, deals, "plain/1"); got != 401 {
		t.Errorf("the ended key = %d, want 401", got)
	}
}

// setPassword gives a member a password, as they would on their page.
func (d *desk) setPassword(t testing.TB, who string) {
	t.Helper()
	ctx := t.Context()
	text := d.session(t, d.people[who].ID)
	x, err := d.node.Signin.Session(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.node.Signin.SetPassword(ctx, x, password, postern.Actor{}); err != nil {
		t.Fatal(err)
	}
}
