package console

import (
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/store"
)

// nodeRoutes are the nodes that share the server's database.
func (c *Console) nodeRoutes() []route {
	return []route{{Pattern: "GET /settings/nodes", Serve: c.listNodes, Need: []postern.Permission{postern.PermAccountsWrite}}}
}

type nodesView struct {
	Common
	Rows  []nodeRow
	Lease bool // some node's lease is over
	Away  bool // Redis is away for some node
}

// nodeRow is a node as people see it.
type nodeRow struct {
	ID, Name, Version, Address string
	State                      pill
	Leads, Here                bool
	Lag, Confirmed             int64
	Started, Until             time.Time
	Clock                      string // in words
	ClockWrong                 bool
	Limits                     pill      // how it holds the limits of keys; empty where it doesn't say
	LimitsSince                time.Time // while Redis is away
}

// clockAlarm is how far a node's clock may be from the database's.
const clockAlarm = 5 * time.Second

var nodesTrail = []crumb{{Name: "Settings"}, {"Account", "/settings/account"}}

func (c *Console) listNodes(v *visit) error {
	if err := v.operators(); err != nil {
		return err
	}
	all, err := c.kr.Nodes(v.r.Context(), v.by)
	if err != nil {
		return err
	}
	view := &nodesView{Common: v.common("Nodes", "/settings/account", nodesTrail...)}
	for i := range all.List {
		l := &all.List[i]
		row := nodeRow{ID: l.Node, Name: l.Name, Version: l.Version, Address: l.Address, State: nodeState(all.State(l)), Leads: l.Leads, Here: l.Node == c.cfg.Verifier.Node(),
			Lag: max(0, all.Head-l.Confirmed), Confirmed: l.Confirmed, Started: l.Started, Until: l.Until, Clock: clockWords(l.Offset), ClockWrong: l.Offset.Abs() > clockAlarm}
		row.Limits = limitsState(l)
		if row.Limits.Kind == "warn" {
			row.LimitsSince, view.Away = l.LimitsAt, true
		}
		if row.Name == "" {
			row.Name = row.ID
		}
		view.Lease = view.Lease || all.State(l) == keyring.NodeGone
		view.Rows = append(view.Rows, row)
	}
	return v.render("nodes", view)
}

func nodeState(s string) pill {
	switch s {
	case keyring.NodeDecides:
		return pill{"ok", "Decides"}
	case keyring.NodeBehind:
		return pill{"warn", "Catching up"}
	}
	return pill{"bad", "Gone"}
}

// limitsState is how a node holds the limits of keys, in a word.
func limitsState(l *store.Lease) pill {
	words := map[limit.Mode]string{limit.Together: "Together", limit.Shared: "Share", limit.Allow: "None", limit.Refuse: "Refused"}[limit.Mode(l.Limits)]
	switch {
	case limit.Mode(l.Limits) == limit.Together:
		return pill{"ok", words}
	case !l.LimitsAt.IsZero():
		return pill{"warn", words}
	}
	return pill{"", words}
}

// clockWords says how far a node's clock is from the database's.
func clockWords(offset time.Duration) string {
	switch d := offset.Abs().Round(time.Millisecond); {
	case d < 100*time.Millisecond:
		return "Right"
	case offset > 0:
		return d.String() + " behind"
	default:
		return d.String() + " ahead"
	}
}
