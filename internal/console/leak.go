package console

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/store"
)

// leakRoutes are the page for whoever found a secret. It needs no sign-in: the
// secret, presented whole, is all that is asked for. It comes by POST alone, so
// that no address, log or history holds it.
func (c *Console) leakRoutes() []route {
	if c.cfg.Leaks == nil {
		return nil
	}
	return []route{
		{Pattern: "GET /found", Public: true, Serve: func(v *visit) error { return v.render("found", c.foundPage(v, newForm())) }},
		{Pattern: "POST /found", Public: true, Raw: true, MaxBody: foundMax, Serve: c.outside(c.checkFound)},
		{Pattern: "POST /found/report", Public: true, Raw: true, MaxBody: foundMax, Serve: c.outside(c.doFound(c.cfg.Leaks.Report))},
		{Pattern: "POST /found/revoke", Public: true, Raw: true, MaxBody: foundMax, Serve: c.outside(c.doFound(c.cfg.Leaks.End))},
	}
}

const (
	foundMax  = 32 << 10
	foundKept = 10 * time.Minute
)

// foundView is the page for finders: it asks for a secret, or says what it can do.
type foundView struct {
	Common
	F       *form
	Asked   bool // a secret was presented
	Found   leaks.Found
	Words   string
	Sealed  string // the secret, for the buttons: nobody but this server can read it
	URL     string
	Done    bool // it was reported or ended
	Settled bool // the end is in force everywhere
}

// Live reports whether something can still be done about the secret.
func (p *foundView) Live() bool { return p.Found.State == leaks.Live || p.Found.State == leaks.Dormant }

func (c *Console) foundPage(v *visit, f *form) *foundView {
	v.showsSecret()
	p := &foundView{Common: v.common("Found a secret?", ""), F: f}
	p.Wide, p.Error = true, !f.OK()
	return p
}

func (c *Console) checkFound(v *visit) error {
	f := v.sent()
	text := f.Get("secret")
	f.Values.Del("secret")
	if text == "" {
		f.Wrong("secret", "Paste the whole secret.")
		return v.show(http.StatusUnprocessableEntity, "found", c.foundPage(v, f))
	}
	page := c.foundPage(v, f)
	if err := v.foundLimit(); err != nil {
		return v.wrong("found", page, f, "secret", err)
	}
	found, err := c.cfg.Leaks.Look(v.r.Context(), leaks.Presented(text))
	if err != nil {
		return v.wrong("found", page, f, "secret", err)
	}
	return c.tellFound(v, page, found, text)
}

// doFound reports or ends the secret that the page carries, sealed.
func (c *Console) doFound(do func(context.Context, postern.Secret, leaks.Place) (leaks.Found, error)) func(*visit) error {
	return func(v *visit) error {
		f := v.sent()
		var text string
		if err := c.cfg.Signin.Open("console found secret", v.r.PostForm.Get("sealed"), &text); err != nil {
			f.Wrong("secret", "This page has been open for too long. Paste the secret again.")
			return v.show(http.StatusUnprocessableEntity, "found", c.foundPage(v, f))
		}
		page := c.foundPage(v, f)
		if err := v.foundLimit(); err != nil {
			return v.wrong("found", page, f, "secret", err)
		}
		found, err := do(v.r.Context(), leaks.Presented(text), leaks.Place{Source: postern.LeakFromFinder, URL: f.Get("url"),
			From: postern.Actor{IP: v.by.IP, UserAgent: v.by.UserAgent, RequestID: v.by.RequestID}})
		if err != nil {
			return v.wrong("found", page, f, "secret", err)
		}
		page.Done = true
		page.Settled = found.Seq != 0 && c.cfg.Leaks.Settle(v.r.Context(), found.Seq)
		return c.tellFound(v, page, found, text)
	}
}

func (c *Console) tellFound(v *visit, page *foundView, found leaks.Found, text string) (err error) {
	page.Asked, page.Found, page.Words, page.URL = true, found, found.Words(), postern.HideSecrets(page.F.Get("url"))
	if page.Live() {
		if page.Sealed, err = c.cfg.Signin.Seal("console found secret", text, foundKept); err != nil {
			return err
		}
	}
	return v.render("found", page)
}

// foundLimit counts a secret that was presented against its address.
func (v *visit) foundLimit() error {
	ip, err := netip.ParseAddr(v.by.IP)
	if err != nil {
		ip = netip.Addr{}
	}
	return v.c.cfg.Leaks.Allow(ip)
}

// leakPart are secrets of the account that were found and still work, or could again.
type leakPart struct {
	Leaks  []postern.LeakReport // the newest of each key, as many as are listed
	Leaked map[postern.KeyID]bool
	// LeaksMore is how many more keys than are listed, and LeaksCut that older reports weren't looked at.
	LeaksMore int
	LeaksCut  bool
}

// leaksAPage is how many reports are read at once for the list of keys, leakPages how
// often, and leaksShown of how many keys it tells. A test makes them small.
var leaksAPage, leakPages, leaksShown = 200, 25, 20

// leaksOf tells which of the account's keys have a found secret that still works.
func (c *Console) leaksOf(v *visit) (out leakPart, err error) {
	out.Leaked = map[postern.KeyID]bool{}
	var after store.Cursor
	for page := range leakPages + 1 {
		if page == leakPages {
			out.LeaksCut = true
			break
		}
		all, err := c.cfg.DB.Leaks(v.r.Context(), v.by.AccountID, "", v.now, after, leaksAPage)
		if err != nil {
			return out, err
		}
		for _, l := range all {
			if l.Live && l.Kind == postern.KindServiceKey && !out.Leaked[l.Key] {
				out.Leaked[l.Key] = true
				out.Leaks = append(out.Leaks, l)
			}
		}
		if len(all) < leaksAPage {
			break
		}
		last := &all[len(all)-1]
		after = store.Cursor{At: int64(postern.ToMicros(last.At)), ID: last.ID}
	}
	out.LeaksMore = max(0, len(out.Leaks)-leaksShown)
	out.Leaks = out.Leaks[:len(out.Leaks)-out.LeaksMore]
	return out, nil
}

// leakOf is the newest report of a secret of a key that still works; nil where there is none.
func (c *Console) leakOf(v *visit, id postern.KeyID) (*postern.LeakReport, error) {
	all, err := c.cfg.DB.LiveLeaks(v.r.Context(), v.by.AccountID, []postern.KeyID{id}, v.now)
	if l, ok := all[id]; ok {
		return &l, err
	}
	return nil, err
}

// leakedPersonal tells which of a member's own keys were found and still work.
func (c *Console) leakedPersonal(v *visit, ids []postern.KeyID) (map[postern.KeyID]postern.LeakReport, error) {
	return c.cfg.DB.LiveLeaks(v.r.Context(), v.by.AccountID, ids, v.now)
}

// leakChoices are what a policy can ask for when a secret is found.
func leakChoices() []option {
	return []option{{Value: string(postern.LeakNotify), Label: "Tell its people"}, {Value: string(postern.LeakPause), Label: "Tell its people, and pause the key"},
		{Value: string(postern.LeakRevoke), Label: "Tell its people, and end the secret at once"}}
}

// LeakField is the choice on the page of the security policy.
func (p *policyView) LeakField() field {
	return p.F.Field("leakDo", "When a secret is found in the open", "GitHub or a finder presented it whole. A key that rotates loses only the secret that was found, where that is the old one. Personal keys can’t be paused: they end.").Choices(leakChoices())
}

// LeakWords is what the policy in force does then.
func (p *policyView) LeakWords() string {
	for _, o := range leakChoices() {
		if o.Value == string(p.P.Leaks.Do) {
			return o.Label
		}
	}
	return leakChoices()[0].Label
}

// leakFields are the fields of that part of the form.
var leakFields = []string{"leakDo", "findersEnd"}

// leakPolicyOf reads that part; a form without it leaves the policy as it is.
func leakPolicyOf(f *form) postern.LeakPolicy {
	do := f.Get("leakDo")
	if do == "" {
		return postern.LeakPolicy{}
	}
	return postern.LeakPolicy{Do: postern.LeakAction(do), FindersEnd: f.Has("findersEnd", "on")}
}
