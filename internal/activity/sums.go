package activity

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern.dev/postern"
)

// What is made from the calls of a batch. Each kind of total is summed in
// memory first, so that a batch touches each row once.

type (
	hourKey struct {
		account    postern.AccountID
		key        postern.KeyID
		hour       postern.Micros
		generation int64
		upstream   postern.UpstreamID
		operation  string
		scopes     string // what was needed
		allowed    bool
		reason     postern.Reason
		status     int64
	}
	hourSum struct{ calls, errors, duration, maxDuration, bytesIn, bytesOut int64 }

	useKey struct {
		account    postern.AccountID
		key        postern.KeyID
		generation int64
	}
	useSum struct {
		first  postern.Micros
		latest *cell
		calls  int64
	}

	// scopeKey is of one scope that calls needed: that let them through, or that they lacked.
	scopeKey struct {
		account postern.AccountID
		key     postern.KeyID
		scope   string
		allowed bool
	}

	callerKey struct {
		account    postern.AccountID
		key        postern.KeyID
		hour       postern.Micros
		generation int64
		ip, agent  string
	}
	callerSum struct {
		first, last    postern.Micros
		calls, refused int64
	}

	dayKey struct {
		account postern.AccountID
		start   postern.Micros
	}

	strangerKey struct {
		hour    postern.Micros
		network string
		reason  postern.Reason
		door    string
	}
	strangerSum struct {
		calls int64
		last  postern.Micros
	}
)

// cell is what the calls of one shape in a quarter of an hour come to: in one day,
// wherever that begins. Everything else is made from cells, of which there are
// far fewer than calls.
type cell struct {
	of          *sums
	facts       *facts
	from, hour  postern.Micros
	first, last postern.Micros
	latest      int64 // number of the latest call
	hourSum
}

const quarter = hour / 4

// sums are the totals of a batch.
type sums struct {
	cells     []*cell
	hours     map[hourKey]*hourSum
	uses      map[useKey]*useSum
	scopes    map[scopeKey]*useSum
	callers   map[callerKey]*callerSum
	days      map[dayKey]int64
	strangers map[strangerKey]*strangerSum
}

func newSums() *sums {
	return &sums{hours: map[hourKey]*hourSum{}, uses: map[useKey]*useSum{}, scopes: map[scopeKey]*useSum{}, callers: map[callerKey]*callerSum{},
		days: map[dayKey]int64{}, strangers: map[strangerKey]*strangerSum{}}
}

// total makes totals of what was added.
func (l *Log) total(s *sums) *sums {
	for _, c := range s.cells {
		if c.facts.stranger() {
			l.addStranger(s, c)
			continue
		}
		s.addHour(c)
		s.addScopes(c)
		l.addCaller(s, c)
		if c.facts.allowed {
			s.addUse(c)
		}
		if c.facts.counts {
			s.days[dayKey{c.facts.account, l.cfg.DayStart(c.facts.account, c.first)}] += c.calls
		}
	}
	return s
}

// add adds a call to the cell that it belongs to.
func (s *sums) add(n int64, at postern.Micros, f *facts, duration, in, out int64) {
	c := f.cell
	if c == nil || c.of != s || at < c.from || at-c.from >= quarter {
		c = &cell{of: s, facts: f, from: at - at%quarter, hour: at - at%hour, first: at}
		s.cells = append(s.cells, c)
		f.cell = c
	}
	c.first = min(c.first, at)
	if at >= c.last {
		c.last, c.latest = at, n
	}
	c.calls++
	// A refusal is no error: it is counted by its reason.
	if f.allowed && f.status >= 400 {
		c.errors++
	}
	c.duration += duration
	c.maxDuration = max(c.maxDuration, duration)
	c.bytesIn += in
	c.bytesOut += out
}

// in gives the value under k, a new one where there is none.
func in[K comparable, V any](m map[K]*V, k K) *V {
	v := m[k]
	if v == nil {
		v = new(V)
		m[k] = v
	}
	return v
}

func (s *sums) addHour(c *cell) {
	f := c.facts
	h := in(s.hours, hourKey{f.account, f.key, c.hour, f.generation, f.upstream, f.operation, f.scopes(), f.allowed, f.reason, int64(f.status)})
	h.calls += c.calls
	h.errors += c.errors
	h.duration += c.duration
	h.maxDuration = max(h.maxDuration, c.maxDuration)
	h.bytesIn += c.bytesIn
	h.bytesOut += c.bytesOut
}

func (s *sums) addUse(c *cell) {
	f := c.facts
	if f.key == "" {
		return
	}
	in(s.uses, useKey{f.account, f.key, f.generation}).add(c)
}

func (s *sums) addScopes(c *cell) {
	f := c.facts
	if f.key == "" {
		return
	}
	for name := range strings.FieldsSeq(f.scopes()) {
		in(s.scopes, scopeKey{f.account, f.key, name, f.allowed}).add(c)
	}
}

func (u *useSum) add(c *cell) {
	if u.latest == nil || c.first < u.first {
		u.first = c.first
	}
	if u.latest == nil || c.last > u.latest.last || c.last == u.latest.last && c.latest > u.latest.latest {
		u.latest = c
	}
	u.calls += c.calls
}

func (l *Log) addCaller(s *sums, from *cell) {
	f := from.facts
	k := callerKey{f.account, f.key, from.hour, f.generation, f.ip, f.agent}
	group := useKey{f.account, f.key, 0}
	if !l.callers.admit(int64(k.hour), group, k) {
		k.ip, k.agent = "", ""
	}
	c := in(s.callers, k)
	if c.calls == 0 || from.first < c.first {
		c.first = from.first
	}
	c.last = max(c.last, from.last)
	c.calls += from.calls
	if !f.allowed {
		c.refused += from.calls
	}
}

func (l *Log) addStranger(s *sums, c *cell) {
	k := strangerKey{c.hour, c.facts.network, c.facts.reason, c.facts.door}
	if !l.networks.admit(int64(k.hour), "", k.network) {
		k.network = ""
	}
	v := in(s.strangers, k)
	v.calls += c.calls
	v.last = max(v.last, c.last)
}

var (
	hoursTable = table{name: "activity_hours",
		columns: `account_id, key_id, hour, generation, upstream, operation, scopes, allowed, reason, status,
			calls, errors, duration, max_duration, bytes_in, bytes_out`,
		conflict: `on conflict (account_id, key_id, hour, generation, upstream, operation, scopes, allowed, reason, status)
			do update set calls = activity_hours.calls + excluded.calls, errors = activity_hours.errors + excluded.errors,
			duration = activity_hours.duration + excluded.duration,
			max_duration = case when excluded.max_duration > activity_hours.max_duration then excluded.max_duration else activity_hours.max_duration end,
			bytes_in = activity_hours.bytes_in + excluded.bytes_in, bytes_out = activity_hours.bytes_out + excluded.bytes_out`}
	// A batch that comes late must not make an older call the latest.
	usesTable = table{name: "activity_uses",
		columns: `account_id, key_id, generation, first_at, at, ip, user_agent, upstream, operation, calls`,
		conflict: `on conflict (account_id, key_id, generation) do update set calls = activity_uses.calls + excluded.calls,
			first_at = case when excluded.first_at < activity_uses.first_at then excluded.first_at else activity_uses.first_at end,
			ip = case when excluded.at >= activity_uses.at then excluded.ip else activity_uses.ip end,
			user_agent = case when excluded.at >= activity_uses.at then excluded.user_agent else activity_uses.user_agent end,
			upstream = case when excluded.at >= activity_uses.at then excluded.upstream else activity_uses.upstream end,
			operation = case when excluded.at >= activity_uses.at then excluded.operation else activity_uses.operation end,
			at = case when excluded.at >= activity_uses.at then excluded.at else activity_uses.at end`}
	scopesTable = table{name: "activity_scopes",
		columns: `account_id, key_id, scope, allowed, first_at, at, generation, ip, user_agent, upstream, operation, calls`,
		conflict: `on conflict (account_id, key_id, scope, allowed) do update set calls = activity_scopes.calls + excluded.calls,
			first_at = case when excluded.first_at < activity_scopes.first_at then excluded.first_at else activity_scopes.first_at end,
			generation = case when excluded.at >= activity_scopes.at then excluded.generation else activity_scopes.generation end,
			ip = case when excluded.at >= activity_scopes.at then excluded.ip else activity_scopes.ip end,
			user_agent = case when excluded.at >= activity_scopes.at then excluded.user_agent else activity_scopes.user_agent end,
			upstream = case when excluded.at >= activity_scopes.at then excluded.upstream else activity_scopes.upstream end,
			operation = case when excluded.at >= activity_scopes.at then excluded.operation else activity_scopes.operation end,
			at = case when excluded.at >= activity_scopes.at then excluded.at else activity_scopes.at end`}
	callersTable = table{name: "activity_callers",
		columns: `account_id, key_id, hour, generation, ip, user_agent, first_at, last_at, calls, refused`,
		conflict: `on conflict (account_id, key_id, hour, generation, ip, user_agent)
			do update set calls = activity_callers.calls + excluded.calls, refused = activity_callers.refused + excluded.refused,
			first_at = case when excluded.first_at < activity_callers.first_at then excluded.first_at else activity_callers.first_at end,
			last_at = case when excluded.last_at > activity_callers.last_at then excluded.last_at else activity_callers.last_at end`}
	daysTable = table{name: "activity_days", columns: `account_id, day_start, calls`,
		conflict: `on conflict (account_id, day_start) do update set calls = activity_days.calls + excluded.calls`}
	strangersTable = table{name: "activity_strangers", columns: `hour, network, reason, door, calls, last_at`,
		conflict: `on conflict (hour, network, reason, door) do update set calls = activity_strangers.calls + excluded.calls,
			last_at = case when excluded.last_at > activity_strangers.last_at then excluded.last_at else activity_strangers.last_at end`}
)

func (l *Log) insertSums(ctx context.Context, tx *sql.Tx, s *sums) error {
	var hours, uses, scopes, callers, days, strangers []any
	// In the order of the key: neighbours lie on the same pages.
	for _, k := range slices.SortedFunc(maps.Keys(s.hours), func(a, b hourKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.key, b.key), cmp.Compare(a.hour, b.hour), cmp.Compare(a.operation, b.operation))
	}) {
		v := s.hours[k]
		hours = append(hours, string(k.account), string(k.key), int64(k.hour), k.generation, string(k.upstream), k.operation,
			k.scopes, bit(k.allowed), k.reason.String(), k.status, v.calls, v.errors, v.duration, v.maxDuration, v.bytesIn, v.bytesOut)
	}
	for _, k := range slices.SortedFunc(maps.Keys(s.uses), func(a, b useKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.key, b.key))
	}) {
		v := s.uses[k]
		f := v.latest.facts
		uses = append(uses, string(k.account), string(k.key), k.generation, int64(v.first), int64(v.latest.last), f.ip,
			f.agent, string(f.upstream), f.operation, v.calls)
	}
	for _, k := range slices.SortedFunc(maps.Keys(s.scopes), func(a, b scopeKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.key, b.key), cmp.Compare(a.scope, b.scope))
	}) {
		v := s.scopes[k]
		f := v.latest.facts
		scopes = append(scopes, string(k.account), string(k.key), k.scope, bit(k.allowed), int64(v.first), int64(v.latest.last),
			f.generation, f.ip, f.agent, string(f.upstream), f.operation, v.calls)
	}
	for _, k := range slices.SortedFunc(maps.Keys(s.callers), func(a, b callerKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.key, b.key), cmp.Compare(a.hour, b.hour))
	}) {
		v := s.callers[k]
		callers = append(callers, string(k.account), string(k.key), int64(k.hour), k.generation, k.ip, k.agent,
			int64(v.first), int64(v.last), v.calls, v.refused)
	}
	for k, n := range s.days {
		days = append(days, string(k.account), int64(k.start), n)
	}
	for k, v := range s.strangers {
		strangers = append(strangers, int64(k.hour), k.network, k.reason.String(), k.door, v.calls, int64(v.last))
	}
	for _, in := range []struct {
		t    *table
		args []any
	}{{&hoursTable, hours}, {&usesTable, uses}, {&scopesTable, scopes}, {&callersTable, callers}, {&daysTable, days}, {&strangersTable, strangers}} {
		if err := in.t.insert(ctx, tx, l.pool.Engine, in.args); err != nil {
			return fmt.Errorf("add to %s: %w", in.t.name, err)
		}
	}
	return nil
}
