package console

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"postern.dev/postern"
)

// searchRoutes are the search box: its page, and what it proposes while one types.
func (c *Console) searchRoutes() []route {
	return []route{
		{Pattern: "GET /search", Serve: c.search},
		{Pattern: "GET /search.json", Serve: c.suggest},
	}
}

const (
	foundOnPage = 50 // of each kind
	foundInBox  = 5
	// secretWords are said wherever somebody searches for a secret.
	secretWords = "That looks like a secret. We did not send it anywhere. Search with its last 4 characters."
)

// secretForms are what secrets of others look like: HubSpot's tokens, JSON web
// tokens, well-known prefixes, and long runs of what only chance writes.
var secretForms = regexp.MustCompile(`(?i:\bpat-[a-z]{2}\d-[0-9a-f-]{8,}|\beyJ[\w-]{10,}\.|\b(?:sk|rk|ghp|gho|ghs|glpat|xox[abps])[-_][\w-]{16,}|\bbearer\s+\S{8,})|[0-9A-Za-z]{40,}`)

// hasSecret reports whether a text looks as if it held a secret, whole or in part, ours or another's.
func hasSecret(s string) bool { return hasOurs(s) || secretForms.MatchString(s) }

// hasOurs is hasSecret for fields of activity and the audit log, whose paths and
// numbers callers choose: some look like a secret of somebody else.
func hasOurs(s string) bool { return looksSecret(s) || postern.HideSecrets(s) != s }

// found is something that was searched for.
type found struct {
	Kind string `json:"kind"`
	Icon string `json:"icon"`
	Name string `json:"name"`
	Text string `json:"text"`
	Link string `json:"link"`

	rank int
}

// foundGroup is what was found of a kind.
type foundGroup struct {
	Name  string
	ID    string
	Items []found
	More  int
}

// searchView is the page of the search box.
type searchView struct {
	Common
	Q      string
	Secret bool
	Groups []foundGroup
	Total  int
}

func (c *Console) search(v *visit) error {
	q := clipped(v.query("q"))
	if hasSecret(q) {
		return v.redirect("/search?secret=1") // so that it stays in no history and no bookmark
	}
	view := &searchView{Common: v.common("Search", ""), Q: q, Secret: v.query("secret") != ""}
	if q != "" {
		groups, err := c.findAll(v, q, foundOnPage)
		if err != nil {
			return err
		}
		view.Groups = groups
		for _, g := range groups {
			view.Total += len(g.Items) + g.More
		}
	}
	return v.render("search", view)
}

// suggest proposes what the box could mean.
func (c *Console) suggest(v *visit) error {
	q := clipped(v.query("q"))
	if hasSecret(q) {
		return v.sayJSON(http.StatusUnprocessableEntity, map[string]string{"error": secretWords})
	}
	items := []found{}
	if q != "" {
		groups, err := c.findAll(v, q, foundInBox)
		if err != nil {
			return err
		}
		for _, g := range groups {
			items = append(items, g.Items...)
		}
	}
	return v.sayJSON(http.StatusOK, map[string]any{"items": items, "all": link("/search", "q", q)})
}

func clipped(q string) string {
	if len(q) > 200 {
		return strings.ToValidUTF8(q[:200], "")
	}
	return q
}

// findAll finds keys, scopes, endpoints, pages and people, of each at most n.
func (c *Console) findAll(v *visit, q string, n int) ([]foundGroup, error) {
	low := strings.ToLower(q)
	groups := []foundGroup{{Name: "Pages", ID: "pages", Items: v.findPages(low)}}
	keys, err := v.findKeys(low)
	if err != nil {
		return nil, err
	}
	people, err := v.findPeople(low)
	if err != nil {
		return nil, err
	}
	scopes, endpoints, err := v.findScopes(low)
	if err != nil {
		return nil, err
	}
	if requestNumber.MatchString(q) && v.can(postern.PermActivityRead) {
		groups[0].Items = append(groups[0].Items, found{"Calls", "pulse", "Calls with this request number", "Activity of the last 30 days", link("/activity", "request", q, "period", "30d"), 0})
	}
	groups = append([]foundGroup{{Name: "Service keys", ID: "keys", Items: keys}}, append(groups, foundGroup{Name: "Scopes", ID: "scopes", Items: scopes},
		foundGroup{Name: "Endpoints", ID: "endpoints", Items: endpoints}, foundGroup{Name: "People", ID: "people", Items: people})...)
	out := groups[:0]
	for _, g := range groups {
		slices.SortStableFunc(g.Items, func(a, b found) int {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
		})
		if len(g.Items) > n {
			g.Items, g.More = g.Items[:n], len(g.Items)-n
		}
		if len(g.Items) > 0 {
			out = append(out, g)
		}
	}
	return out, nil
}

// requestNumber is the form of the numbers that this server gives to requests.
var requestNumber = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// rankOf says how well a text fits: 0 exactly, 1 from its beginning, 2 from that
// of a word, 3 anywhere; -1 not at all.
func rankOf(text, q string) int {
	text = strings.ToLower(text)
	i := strings.Index(text, q)
	switch {
	case i < 0:
		return -1
	case text == q:
		return 0
	case i == 0:
		return 1
	case strings.ContainsAny(text[i-1:i], " -_./:@"):
		return 2
	}
	return 3
}

// bestOf is the best rank of several texts.
func bestOf(q string, texts ...string) int {
	best := -1
	for _, t := range texts {
		if r := rankOf(t, q); r >= 0 && (best < 0 || r < best) {
			best = r
		}
	}
	return best
}

func (v *visit) findPages(q string) (out []found) {
	add := func(group, name, to, icon string) {
		if r := bestOf(q, name, group); r >= 0 {
			out = append(out, found{"Page", icon, name, group, to, r})
		}
	}
	for _, g := range menu {
		for _, e := range g.items {
			if it, ok := v.item(e, ""); ok {
				add(g.name, it.Name, it.Link, it.Icon)
			}
		}
	}
	for _, e := range own {
		if it, ok := v.item(e, ""); ok {
			add("You", it.Name, it.Link, it.Icon)
		}
	}
	for _, p := range []struct {
		name, to, icon string
		need           postern.Permission
	}{
		{"Create a service key", "/keys/new", "plus", postern.PermKeysWrite}, {"Help me choose a credential", "/choose", "compass", ""},
		{"Roles", "/settings/roles", "users", postern.PermMembersRead}, {"Single sign-on", "/settings/sso", "lock", postern.PermAccountRead},
	} {
		if v.c.known["GET "+p.to] && (p.need == "" || v.can(p.need)) {
			add("", p.name, p.to, p.icon)
		}
	}
	return out
}

// findKeys finds keys by name, tool, key ID, and the last four characters of a secret.
func (v *visit) findKeys(q string) (out []found, err error) {
	if !v.can(postern.PermKeysRead) {
		return nil, nil
	}
	s, err := v.c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return nil, err
	}
	for _, k := range s.keys {
		r := rankOf(k.Name, q)
		tool := toolName(s.uses[k.ID].UserAgent)
		if t := rankOf(tool, q); r < 0 && t >= 0 {
			r = t + 1
		}
		if strings.EqualFold(string(k.ID), q) || strings.EqualFold(k.Current.LastFour, q) || strings.EqualFold(k.Previous.LastFour, q) {
			r = 0
		}
		if r < 0 {
			continue
		}
		state := s.state(k, v.now, v.zone)
		if state.Rank == rankEnded {
			r += 4
		}
		text := state.Words
		if tool != "" {
			text = tool + ", " + strings.ToLower(state.Words)
		}
		out = append(out, found{"Service key", "key", k.Name, text + ", secret ends in " + k.Current.LastFour, v.keyLink(k.ID), r})
	}
	return out, nil
}

func (v *visit) findPeople(q string) (out []found, err error) {
	if !v.can(postern.PermMembersRead) {
		return nil, nil
	}
	members, err := v.c.kr.Members(v.r.Context(), v.by)
	if err != nil {
		return nil, err
	}
	for i := range members {
		m := &members[i]
		r := bestOf(q, m.Name, m.Email)
		if r < 0 {
			continue
		}
		to := ""
		switch {
		case v.c.known["GET /settings/members/{id}"]:
			to = "/settings/members/" + string(m.ID)
		case v.c.known["GET /settings/members"]:
			to = "/settings/members"
		case v.can(postern.PermAuditRead):
			to = link("/audit", "person", string(m.ID))
		default:
			continue
		}
		out = append(out, found{"Person", "users", nameOf(m), m.Email + ", " + m.Role.Name, to, r})
	}
	return out, nil
}

// findScopes finds scopes, and the endpoints that the catalogs know, by words and paths.
func (v *visit) findScopes(q string) (scopes, endpoints []found, err error) {
	if !v.can(postern.PermCatalogRead) || !v.can(postern.PermKeysRead) {
		return nil, nil, nil
	}
	book, err := v.c.scopeBook(v.r.Context())
	if err != nil {
		return nil, nil, err
	}
	for name, info := range book.scopes {
		if r := bestOf(q, string(name), info.Words, info.Group); r >= 0 && !info.Implicit {
			words := info.Words
			if words == "" {
				words = info.Group
			}
			scopes = append(scopes, found{"Scope", "shield", string(name), words, link("/keys", "scope", string(name)), r})
		}
	}
	for i := range book.ops {
		op := &book.ops[i]
		r := bestOf(q, op.Path, op.Summary, op.Name, op.Method+" "+op.Path)
		if r < 0 {
			continue
		}
		if r *= 2; op.Method != http.MethodGet {
			r++ // of two that fit alike, what reads comes first
		}
		text := op.Summary
		if len(op.Ways) > 0 && len(op.Ways[0]) > 0 {
			text = strings.TrimSpace(strings.TrimSuffix(op.Summary, ".") + ", needs " + list(scopeNames(op.Ways[0])))
		}
		to := ""
		switch {
		case v.can(postern.PermActivityRead):
			to = link("/activity", "operation", op.Name, "period", "7d")
		case len(op.Ways) > 0 && len(op.Ways[0]) > 0:
			to = link("/keys", "scope", string(op.Ways[0][0]))
		default:
			continue
		}
		endpoints = append(endpoints, found{"Endpoint", "code", op.Method + " " + op.Path, strings.TrimPrefix(text, ", "), to, r})
	}
	return scopes, endpoints, nil
}

func scopeNames(scopes []postern.Scope) (out []string) {
	for _, s := range scopes {
		out = append(out, string(s))
	}
	return out
}
