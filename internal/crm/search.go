package crm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of a search.
const (
	searchPage     = 10
	maxSearchPage  = 200
	searchWindow   = 10_000
	maxGroups      = 5
	maxFilters     = 6
	maxAllFilters  = 18
	maxFilterIn    = 1000
	maxQueryLength = 3000
)

// searchBody is what a client asks for. Every member may be left out.
type searchBody struct {
	Query        string `json:"query"`
	FilterGroups []struct {
		Filters []filter `json:"filters"`
	} `json:"filterGroups"`
	Filters    []filter `json:"filters"`
	Sorts      []sortBy `json:"sorts"`
	Properties []string `json:"properties"`
	Limit      integer  `json:"limit"`
	After      scalar   `json:"after"`
}

// filter is one condition.
type filter struct {
	Property  string   `json:"propertyName"`
	Operator  string   `json:"operator"`
	Value     scalar   `json:"value"`
	HighValue scalar   `json:"highValue"`
	Values    []scalar `json:"values"`
}

// sortBy is an order: an object, or the name of a property with a minus before it for descending.
type sortBy struct {
	property   string
	descending bool
}

// UnmarshalJSON reads both forms.
func (s *sortBy) UnmarshalJSON(b []byte) error {
	var name string
	if json.Unmarshal(b, &name) == nil {
		s.property, s.descending = strings.CutPrefix(name, "-")
		return nil
	}
	var o struct {
		Property  string `json:"propertyName"`
		Direction string `json:"direction"`
	}
	err := json.Unmarshal(b, &o)
	s.property, s.descending = o.Property, strings.HasPrefix(strings.ToUpper(o.Direction), "DESC")
	return err
}

// search is a search that is within the bounds.
type search struct {
	query      string
	groups     [][]filter
	sort       sortBy
	properties []string
	limit      int
	offset     int
}

// check reads a body into a search.
func (b searchBody) check() (search, error) {
	s := search{query: b.Query, properties: splitList(b.Properties), limit: searchPage}
	if utf8.RuneCountInString(b.Query) > maxQueryLength {
		return s, invalid("query is longer than %d characters.", maxQueryLength)
	}
	if b.Limit.set {
		if b.Limit.n < 0 || b.Limit.n > maxSearchPage {
			return s, invalid("limit must be between 0 and %d, and is %d.", maxSearchPage, b.Limit.n)
		}
		s.limit = int(b.Limit.n)
	}
	if b.After != "" {
		n, err := strconv.ParseInt(string(b.After), 10, 64)
		if err != nil || n < 0 {
			return s, invalid("Invalid cursor: Cannot deserialize value of type `integer` from %q", b.After)
		}
		s.offset = int(min(n, searchWindow+1))
	}
	if s.offset+s.limit > searchWindow {
		return s, invalid("A search shows no more than its first %d results: after and limit together go beyond. Narrow it, or page by hs_object_id.", searchWindow)
	}
	if len(b.Sorts) > 0 {
		s.sort = b.Sorts[0]
	}
	if s.sort.property == "" {
		s.sort.property = "hs_object_id"
	}
	groups := make([][]filter, 0, len(b.FilterGroups)+1)
	for _, g := range b.FilterGroups {
		groups = append(groups, g.Filters)
	}
	if len(b.Filters) > 0 {
		groups = append(groups, b.Filters)
	}
	total := 0
	for _, g := range groups {
		total += len(g)
		if len(g) > maxFilters {
			return s, invalid("A filter group holds at most %d filters.", maxFilters)
		}
		if len(g) > 0 {
			s.groups = append(s.groups, g)
		}
	}
	if len(groups) > maxGroups || total > maxAllFilters {
		return s, invalid("A search has at most %d filter groups and %d filters.", maxGroups, maxAllFilters)
	}
	for _, g := range s.groups {
		for i := range g {
			g[i].Operator = strings.ToUpper(strings.TrimSpace(g[i].Operator))
			if err := g[i].check(); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// check refuses a filter without what its operator needs.
func (f *filter) check() error {
	missing := func(what string) error {
		return badRequestDetail("INVALID_FILTER", f.Property, "The operator %s on %q needs %s.", f.Operator, f.Property, what)
	}
	switch f.Operator {
	case "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN":
		if f.Value == "" {
			return missing("a value")
		}
	case "BETWEEN":
		if f.Value == "" || f.HighValue == "" {
			return missing("value and highValue")
		}
	case "IN", "NOT_IN":
		if len(f.Values) == 0 {
			return missing("values")
		}
		if len(f.Values) > maxFilterIn {
			return invalid("values of a filter holds at most %d elements.", maxFilterIn)
		}
	case "HAS_PROPERTY", "NOT_HAS_PROPERTY":
	default:
		return badRequestDetail("INVALID_OPERATOR", f.Property, "%q is not an operator: use EQ, NEQ, LT, LTE, GT, GTE, BETWEEN, IN, NOT_IN, HAS_PROPERTY, NOT_HAS_PROPERTY, CONTAINS_TOKEN or NOT_CONTAINS_TOKEN.", f.Operator)
	}
	return nil
}

// searchRecords answers the records that match.
func searchRecords(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(false, t)
	}
	if err != nil {
		return 0, nil, err
	}
	var body searchBody
	if err := c.body(&body); err != nil {
		return 0, nil, err
	}
	s, err := body.check()
	if err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	defs, err := definitionsOf(c.ctx(), q, c.acct, t)
	if err != nil {
		return 0, nil, err
	}
	b := &searchBuilder{c: c, q: q, t: t, defs: defs}
	count, list, err := b.build(s)
	if err != nil {
		return 0, nil, err
	}
	var total int64
	if err := q.QueryRowContext(c.ctx(), count.text, count.args...).Scan(&total); err != nil {
		return 0, nil, err
	}
	rows, err := q.QueryContext(c.ctx(), list.text, list.args...)
	records, err := collect(rows, err, scanRecord)
	if err != nil {
		return 0, nil, err
	}
	results, err := c.replies(q, t, defs, records, want{properties: s.properties})
	if err != nil {
		return 0, nil, err
	}
	p := page{Total: &total, Results: results}
	if end := s.offset + len(records); s.limit > 0 && int64(end) < total {
		p.Paging = c.next(strconv.Itoa(end))
	}
	return http.StatusOK, p, nil
}
