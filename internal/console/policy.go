package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// policyRoutes are the security policy, and single sign-on where it is set up.
func (c *Console) policyRoutes() []route {
	may := []postern.Permission{postern.PermAccountWrite}
	out := []route{
		{Pattern: "GET /settings/security", Serve: c.showPolicy, Need: []postern.Permission{postern.PermAccountRead}},
		{Pattern: "POST /settings/security/check", Serve: c.checkPolicy, Need: may},
		{Pattern: "POST /settings/security", Serve: c.savePolicy, Need: may, Fresh: true},
	}
	if len(c.cfg.Signin.Providers()) > 0 {
		out = append(out, route{Pattern: "GET /settings/sso", Serve: c.showSSO, Need: []postern.Permission{postern.PermAccountRead}})
	}
	return out
}

// flaggedShown is how many keys a list of flagged ones shows.
const flaggedShown = 100

// policyView is the security policy, what it flags, and what a proposed one would.
type policyView struct {
	Common
	F        *form
	P        postern.Policy
	By       string // who set it last
	May      bool   // change it
	SeesKeys bool
	Conflict bool
	Checked  bool // Flags is of what is proposed, which can be saved
	Flags    flagsPart
	Now      int // flagged by the policy in force, where another one was checked
	Remind   string
	Hidden   []nameValue // of the proposed policy
}

// flagsPart are keys that a policy flags.
type flagsPart struct {
	Keys  []flagRow
	Total int
	More  int
	Sums  []string
}

type flagRow struct {
	ID, Name string
	Words    []string
	Refused  bool // it would not be allowed to be made like this today
}

var policyFields = []string{"requireExpiry", "longestLife", "writeNetworks", "remindExpiry", "remindAge", "idleAfter", "revision",
	"tripRetired", "tripFar", "tripCanary", "tripRefused", "farMinutes", "farFleet", "farLearnHours", "refusedCalls", "refusedMinutes", "refusedPercent"}

func formOfPolicy(p *postern.Policy) *form {
	days := make([]string, len(p.RemindExpiry))
	for i, d := range p.RemindExpiry {
		days[i] = strconv.Itoa(d)
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	f := newForm("longestLife", number(p.LongestLife), "remindExpiry", strings.Join(days, ", "), "remindAge", number(p.RemindAge),
		"idleAfter", number(p.IdleAfter), "revision", strconv.FormatInt(p.Revision, 10))
	tripwireForm(f, &p.Tripwires)
	if p.RequireExpiry {
		f.Values.Set("requireExpiry", "on")
	}
	if p.WriteNetworks {
		f.Values.Set("writeNetworks", "on")
	}
	f.Values.Set("leakDo", string(p.Leaks.Do))
	if p.Leaks.FindersEnd {
		f.Values.Set("findersEnd", "on")
	}
	return f
}

// policyOf reads the form of a policy.
func policyOf(f *form) (p postern.Policy) {
	var sent struct {
		RequireExpiry bool   `form:"requireExpiry"`
		LongestLife   int    `form:"longestLife"`
		WriteNetworks bool   `form:"writeNetworks"`
		RemindExpiry  string `form:"remindExpiry"`
		RemindAge     int    `form:"remindAge"`
		IdleAfter     int    `form:"idleAfter"`
		Revision      int64  `form:"revision"`
	}
	f.decode(&sent)
	p = postern.Policy{RequireExpiry: sent.RequireExpiry, LongestLife: sent.LongestLife, WriteNetworks: sent.WriteNetworks,
		RemindAge: sent.RemindAge, IdleAfter: sent.IdleAfter, Revision: sent.Revision, Tripwires: tripwiresOf(f)}
	p.Leaks = leakPolicyOf(f)
	for word := range strings.FieldsFuncSeq(sent.RemindExpiry, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			f.Wrong("remindExpiry", "Write days with commas between them, such as 30, 7, 1.")
			return p
		}
		p.RemindExpiry = append(p.RemindExpiry, n)
	}
	slices.SortFunc(p.RemindExpiry, func(a, b int) int { return b - a })
	p.RemindExpiry = slices.Compact(p.RemindExpiry)
	return p
}

func (c *Console) policyPage(v *visit, f *form) (*policyView, error) {
	ctx := v.r.Context()
	p, err := c.kr.Policy(ctx, v.by)
	if err != nil {
		return nil, err
	}
	page := &policyView{Common: v.common("Security policy", "/settings/security", settingsTrail...), F: f, P: p,
		May: v.can(postern.PermAccountWrite), SeesKeys: v.can(postern.PermKeysRead)}
	if f == nil {
		propose := p
		if p.Revision == 0 {
			// What the create form proposes, too; it holds once someone saves it.
			propose.RequireExpiry, propose.LongestLife = true, 365
		}
		page.F = formOfPolicy(&propose)
	}
	days := make([]string, len(p.RemindExpiry))
	for i, d := range p.RemindExpiry {
		days[i] = strconv.Itoa(d)
	}
	page.Remind = list(days)
	if p.ChangedBy != "" {
		if m, err := c.cfg.DB.MemberOf(ctx, v.by.AccountID, p.ChangedBy); err == nil {
			page.By = nameOf(&m)
		} else if !errors.Is(err, postern.CodeNotFound) {
			return nil, err
		}
	}
	page.Flags, err = c.flags(v, p)
	return page, err
}

// flags tells which keys a policy flags.
func (c *Console) flags(v *visit, p postern.Policy) (out flagsPart, err error) {
	if !v.can(postern.PermKeysRead) {
		return out, nil
	}
	s, err := c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return out, err
	}
	all, err := c.kr.Flagged(v.r.Context(), v.by, p, func(id postern.KeyID) postern.LastUse { u := s.uses[id]; return u.LastUse() })
	if err != nil {
		return out, err
	}
	sums := map[postern.PolicyRule]int{}
	for _, one := range all {
		row := flagRow{ID: string(one.Key.ID), Name: one.Key.Name}
		for _, b := range one.Breaches {
			sums[b.Rule]++
			row.Words = append(row.Words, b.Words)
			row.Refused = row.Refused || b.Field != ""
		}
		if out.Total++; out.Total <= flaggedShown {
			out.Keys = append(out.Keys, row)
		}
	}
	out.More = max(0, out.Total-flaggedShown)
	for _, r := range []struct {
		rule      postern.PolicyRule
		one, many string
	}{
		{postern.RuleExpiry, "key without an end", "keys without an end"}, {postern.RuleLife, "key with an end too far ahead", "keys with an end too far ahead"},
		{postern.RuleNetworks, "key that can change records from any address", "keys that can change records from any address"},
		{postern.RuleAge, "key with an old secret", "keys with an old secret"}, {postern.RuleIdle, "unused key", "unused keys"},
	} {
		if n := sums[r.rule]; n > 0 {
			out.Sums = append(out.Sums, count(n, r.one, r.many))
		}
	}
	return out, nil
}

func (c *Console) showPolicy(v *visit) error {
	page, err := c.policyPage(v, nil)
	if err != nil {
		return err
	}
	return v.render("policy", page)
}

// checkPolicy shows what a policy would flag, before it is saved.
func (c *Console) checkPolicy(v *visit) error {
	f := v.sent()
	p := policyOf(f)
	if f.OK() {
		if err := p.Valid(); err != nil {
			if err := f.take(err); err != nil {
				return err
			}
		}
	}
	page, err := c.policyPage(v, f)
	if err != nil {
		return err
	}
	if !f.OK() {
		page.Error = true
		return v.show(http.StatusUnprocessableEntity, "policy", page)
	}
	return c.showChecked(v, page, p)
}

func (c *Console) showChecked(v *visit, page *policyView, p postern.Policy) (err error) {
	page.Now = page.Flags.Total
	if page.Flags, err = c.flags(v, p); err != nil {
		return err
	}
	page.Checked = true
	for _, name := range slices.Concat(policyFields, leakFields) {
		if value := page.F.Get(name); value != "" {
			page.Hidden = append(page.Hidden, nameValue{name, value})
		}
	}
	return v.render("policy", page)
}

func (c *Console) savePolicy(v *visit) error {
	f := v.sent()
	p := policyOf(f)
	if f.OK() {
		_, err := c.kr.SetPolicy(v.r.Context(), v.by, p)
		if err == nil {
			return v.done("/settings/security", "The security policy is saved. New and changed keys follow it from now on.")
		}
		if errors.Is(err, postern.CodePrecondition) {
			page, err := c.policyPage(v, f)
			if err != nil {
				return err
			}
			page.Conflict = true
			f.Values.Set("revision", strconv.FormatInt(page.P.Revision, 10))
			return v.show(http.StatusConflict, "policy", page)
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	page, err := c.policyPage(v, f)
	if err != nil {
		return err
	}
	page.Error = true
	return v.show(http.StatusUnprocessableEntity, "policy", page)
}

// ssoView is how single sign-on is set up, where the server is started.
type ssoView struct {
	Common
	Rows []ssoRow
}

type ssoRow struct {
	Name, Issuer, Client, Callback, Claim string
	Roles                                 []nameValue
	Provision                             bool
}

func (c *Console) showSSO(v *visit) error {
	page := &ssoView{Common: v.common("Single sign-on", "/settings/security", append(settingsTrail[:1:1], crumb{"Security policy", "/settings/security"})...)}
	for _, p := range c.cfg.Signin.ProvidersFor(v.account()) {
		row := ssoRow{Name: p.Name, Issuer: p.Issuer, Client: p.ClientID, Callback: c.cfg.PublicURL + "/signin/sso/callback", Claim: p.RoleClaim, Provision: p.Provision}
		for _, r := range p.Roles {
			name := string(r.Role)
			if b, ok := postern.BuiltinRole(r.Role); ok {
				name = b.Name
			}
			row.Roles = append(row.Roles, nameValue{r.Value, name})
		}
		page.Rows = append(page.Rows, row)
	}
	return v.render("sso", page)
}
