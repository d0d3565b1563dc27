package crm

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A search becomes two statements: one counts, one reads a page. Each condition on
// a property is "id in (the records that have such a value)", which both engines
// answer from the indexes of crm_values; conditions on the id and on the times of
// a record are answered from the indexes of crm_records.

type statement struct {
	text string
	args []any
}

type searchBuilder struct {
	c    *call
	q    querier
	t    *objectType
	defs definitions
	a    args
}

func (b *searchBuilder) build(s search) (count, list statement, err error) {
	b.a = args{b.c.acct, b.t.ID}
	where, err := b.where(s)
	if err != nil {
		return count, list, err
	}
	count = statement{`select count(*) from crm_records r where ` + where, slices.Clone(b.a)}
	join, order, err := b.order(s.sort)
	if err != nil {
		return count, list, err
	}
	limit, offset := b.a.add(int64(s.limit)), b.a.add(int64(s.offset))
	list = statement{`select r.id, r.rev, r.props, r.created_at, r.updated_at, coalesce(r.archived_at, 0) from crm_records r` + join +
		` where ` + where + ` order by ` + order + ` limit ` + limit + ` offset ` + offset, b.a}
	return count, list, nil
}

func (b *searchBuilder) where(s search) (string, error) {
	parts := []string{`r.acct = $1 and r.type_id = $2 and r.archived_at is null`}
	var groups []string
	for _, g := range s.groups {
		var all []string
		for _, f := range g {
			cond, err := b.filter(f)
			if err != nil {
				return "", err
			}
			all = append(all, cond)
		}
		groups = append(groups, "("+strings.Join(all, " and ")+")")
	}
	if len(groups) > 0 {
		parts = append(parts, "("+strings.Join(groups, " or ")+")")
	}
	parts = append(parts, b.query(s.query)...)
	return strings.Join(parts, " and "), nil
}

// maxWords is how many words of a query or of a filter are looked for.
const maxWords = 30

// query asks for every word in any of the fields that the type is searched by.
func (b *searchBuilder) query(text string) (conds []string) {
	var names []string
	for _, n := range b.t.Search {
		if p := b.defs[n]; p != nil && b.c.maySee(b.t, p) {
			names = append(names, n)
		}
	}
	for i, w := range strings.Fields(strings.ToLower(text)) {
		if pattern := tokenPattern(w); pattern != "" && i < maxWords {
			conds = append(conds, b.in(names, ` and v.tokens like `+b.a.add(pattern)+` escape '!'`))
		}
	}
	return conds
}

// in is the condition that a record has such a value in one of some properties.
func (b *searchBuilder) in(names []string, cond string) string {
	return `r.id in (select v.record_id from crm_values v where v.acct = $1 and v.type_id = $2 and v.property in ` + in(&b.a, names) + cond + `)`
}

// tokenPattern is the pattern that finds a word among tokens. An asterisk at
// either end stands for any letters there.
func tokenPattern(word string) string {
	start, end := strings.HasPrefix(word, "*"), strings.HasSuffix(word, "*")
	core := strings.Trim(word, "*")
	if !start {
		core = strings.TrimLeftFunc(core, isMark)
	}
	if !end {
		core = strings.TrimRightFunc(core, isMark)
	}
	if core == "" {
		if start || end {
			return "%"
		}
		return ""
	}
	core = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_", "*", "%").Replace(core)
	lead, tail := "% ", " %"
	if start {
		lead = "%"
	}
	if end {
		tail = "%"
	}
	return lead + core + tail
}

// filter gives the condition of one filter.
func (b *searchBuilder) filter(f filter) (string, error) {
	if name, ok := strings.CutPrefix(f.Property, "associations."); ok {
		return b.associated(name, f)
	}
	p := b.defs[f.Property]
	if p == nil {
		return "", badRequestDetail("PROPERTY_DOESNT_EXIST", f.Property, "There is no property %q of %s to filter by.", f.Property, b.t.Plural)
	}
	if err := b.c.maySearch(b.t, b.defs, f.Property); err != nil {
		return "", err
	}
	if column, unit := b.column(f.Property); column != "" {
		return b.columnFilter(column, unit, p, f)
	}
	if strings.HasPrefix(f.Operator, "NOT_") || f.Operator == "NEQ" {
		positive := f
		positive.Operator = map[string]string{"NEQ": "EQ", "NOT_IN": "IN", "NOT_HAS_PROPERTY": "HAS_PROPERTY", "NOT_CONTAINS_TOKEN": "CONTAINS_TOKEN"}[f.Operator]
		cond, err := b.filter(positive)
		return "not " + cond, err
	}
	cond, err := b.valueFilter(p, f)
	if err != nil {
		return "", err
	}
	return b.in([]string{p.Name}, cond), nil
}

// valueFilter gives the condition on a row of crm_values.
func (b *searchBuilder) valueFilter(p *property, f filter) (string, error) {
	switch f.Operator {
	case "HAS_PROPERTY":
		return "", nil
	case "CONTAINS_TOKEN":
		var conds strings.Builder
		for i, w := range strings.Fields(strings.ToLower(string(f.Value))) {
			if pattern := tokenPattern(w); pattern != "" && i < maxWords {
				conds.WriteString(` and v.tokens like ` + b.a.add(pattern) + ` escape '!'`)
			}
		}
		if conds.Len() == 0 {
			return "", badRequestDetail("INVALID_FILTER", p.Name, "The value %q holds no word to look for.", f.Value)
		}
		return conds.String(), nil
	case "IN":
		if p.numeric() {
			nums, err := b.numbers(p, f.Values)
			return ` and v.num in ` + in(&b.a, nums), err
		}
		// Case is put aside here even for options: clients send them in lower case.
		words := make([]string, len(f.Values))
		for i, v := range f.Values {
			words[i] = fold(string(v))
		}
		if p.Type == "enumeration" {
			return ` and lower(v.word) in ` + in(&b.a, words), nil
		}
		return ` and v.word in ` + in(&b.a, words), nil
	}
	column, operand := "v.word", func(v scalar) (any, error) { return wordOf(p, string(v)), nil }
	if p.numeric() {
		column, operand = "v.num", func(v scalar) (any, error) { return number64(p, v) }
	}
	return b.compare(column, f, operand)
}

// compare gives " and column op value" for the operators that compare.
func (b *searchBuilder) compare(column string, f filter, operand func(scalar) (any, error)) (string, error) {
	v, err := operand(f.Value)
	if err != nil {
		return "", err
	}
	if f.Operator == "BETWEEN" {
		high, err := operand(f.HighValue)
		return " and " + column + " between " + b.a.add(v) + " and " + b.a.add(high), err
	}
	op := map[string]string{"EQ": "=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}[f.Operator]
	return " and " + column + " " + op + " " + b.a.add(v), nil
}

func number64(p *property, v scalar) (float64, error) {
	if f, ok := numOf(p, strings.TrimSpace(string(v))); ok && !math.IsNaN(f) && !math.IsInf(f, 0) {
		return f, nil
	}
	return 0, badRequestDetail("INVALID_"+strings.ToUpper(strings.TrimSuffix(p.Type, "time")), p.Name, "%q is not a valid %s to compare %q with.", v, p.Type, p.Name)
}

func (b *searchBuilder) numbers(p *property, list []scalar) ([]float64, error) {
	out := make([]float64, len(list))
	for i, v := range list {
		f, err := number64(p, v)
		if err != nil {
			return nil, err
		}
		out[i] = f
	}
	return out, nil
}

// column gives the column of crm_records that holds a system property, and how
// many of its units make a millisecond; 0 for the id.
func (b *searchBuilder) column(name string) (string, int64) {
	switch name {
	case "hs_object_id":
		return "r.id", 0
	case "hs_createdate", b.t.Created:
		return "r.created_at", 1000
	case "hs_lastmodifieddate", b.t.Modified:
		return "r.updated_at", 1000
	}
	return "", 0
}

// columnFilter gives the condition on a column of crm_records. These are always set.
func (b *searchBuilder) columnFilter(column string, unit int64, p *property, f filter) (string, error) {
	operand := func(v scalar) (any, error) {
		if unit == 0 {
			if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				return n, nil
			}
		}
		n, err := number64(p, v)
		if err != nil || math.Abs(n) > maxMillis {
			return nil, badRequestDetail("INVALID_NUMBER", p.Name, "%q is not a valid value to compare %q with.", v, p.Name)
		}
		return int64(n) * max(unit, 1), nil
	}
	switch f.Operator {
	case "HAS_PROPERTY":
		return "1 = 1", nil
	case "NOT_HAS_PROPERTY":
		return "1 = 0", nil
	case "IN", "NOT_IN":
		list := make([]any, len(f.Values))
		for i, v := range f.Values {
			n, err := operand(v)
			if err != nil {
				return "", err
			}
			list[i] = n
		}
		return column + map[string]string{"IN": " in ", "NOT_IN": " not in "}[f.Operator] + in(&b.a, list), nil
	case "NEQ":
		v, err := operand(f.Value)
		return column + " <> " + b.a.add(v), err
	case "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN":
		return "", badRequestDetail("INVALID_OPERATOR", p.Name, "%s is not an operator for %q.", f.Operator, p.Name)
	}
	cond, err := b.compare(column, f, operand)
	return strings.TrimPrefix(cond, " and "), err
}

// associated gives the condition that a record is associated with one of some others.
func (b *searchBuilder) associated(name string, f filter) (string, error) {
	o, err := b.c.s.typeOf(b.c.ctx(), b.q, b.c.acct, b.c.who.number, name)
	if err != nil {
		return "", err
	}
	if err := b.c.requireAll(false, o); err != nil {
		return "", err
	}
	values := f.Values
	if f.Operator == "EQ" {
		values = []scalar{f.Value}
	} else if f.Operator != "IN" {
		return "", badRequestDetail("INVALID_OPERATOR", f.Property, "%s is not an operator for %q: use EQ or IN.", f.Operator, f.Property)
	}
	var ids []int64
	for _, v := range values {
		id, ok := recordID(string(v))
		if !ok {
			return "", badRequestDetail("INVALID_LONG", f.Property, "%q is not the id of a record.", v)
		}
		ids = append(ids, id)
	}
	return `r.id in (select x.to_id from crm_associations x where x.acct = $1 and x.to_type = $2 and x.from_type = ` + b.a.add(o.ID) +
		` and x.from_id in ` + in(&b.a, ids) + `)`, nil
}

// order gives the order of the results, always ending in the id, and what must be
// joined for it. Records without a value come last.
func (b *searchBuilder) order(s sortBy) (join, order string, err error) {
	p := b.defs[s.property]
	if p == nil {
		return "", "", badRequestDetail("PROPERTY_DOESNT_EXIST", s.property, "There is no property %q of %s to sort by.", s.property, b.t.Plural)
	}
	if err := b.c.maySearch(b.t, b.defs, s.property); err != nil {
		return "", "", err
	}
	dir := " asc"
	if s.descending {
		dir = " desc"
	}
	if column, _ := b.column(s.property); column != "" {
		if column == "r.id" {
			return "", "r.id" + dir, nil
		}
		return "", column + dir + ", r.id" + dir, nil
	}
	key := "s.word"
	if p.numeric() {
		key = "s.num"
	}
	join = fmt.Sprintf(` left join crm_values s on s.acct = r.acct and s.type_id = r.type_id and s.property = %s and s.record_id = r.id and s.n = 0`, b.a.add(p.Name))
	return join, key + dir + " nulls last, r.id" + dir, nil
}
