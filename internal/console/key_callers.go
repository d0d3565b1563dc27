package console

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"postern.dev/postern"
)

// callerRow is an address and program that calls with a key.
type callerRow struct {
	Tool, Agent, IP string
	Calls, Refused  int64
	First, Last     time.Time
	New             bool
}

// callersOf are who called with a key in 30 days, most calls first; with a
// generation those who used that secret.
func (c *Console) callersOf(v *visit, k *postern.ServiceKey, generation int64) ([]callerRow, error) {
	list, err := c.cfg.Activity.Callers(v.r.Context(), v.by.AccountID, k.ID, generation, v.now.Add(-callersSince))
	if err != nil {
		return nil, err
	}
	var out []callerRow
	for _, one := range list {
		tool := toolName(one.UserAgent)
		i := slices.IndexFunc(out, func(r callerRow) bool { return r.IP == one.IP && r.Tool == tool })
		if i < 0 {
			i = len(out)
			out = append(out, callerRow{Tool: tool, Agent: one.UserAgent, IP: one.IP, First: one.FirstAt, Last: one.LastAt})
		}
		r := &out[i]
		r.Calls, r.Refused = r.Calls+one.Calls, r.Refused+one.Refused
		if one.FirstAt.Before(r.First) {
			r.First = one.FirstAt
		}
		if one.LastAt.After(r.Last) {
			r.Last, r.Agent = one.LastAt, one.UserAgent
		}
	}
	// On a young key everything is new, and nothing worth a mark.
	young := v.now.Sub(k.CreatedAt) < newCaller
	for i := range out {
		out[i].New = !young && v.now.Sub(out[i].First) < newCaller
	}
	slices.SortStableFunc(out, func(a, b callerRow) int { return cmp.Compare(b.Calls, a.Calls) })
	return out, nil
}

// Name is what a caller is called.
func (r callerRow) Name() string {
	switch {
	case r.Tool != "":
		return r.Tool
	case r.IP == "":
		return "Other callers"
	}
	return "Unnamed program"
}

// addressesView is every address that used a key in 30 days.
type addressesView struct {
	keyHead
	Rows []callerRow
	News int
}

func (c *Console) showAddresses(v *visit) error {
	_, h, err := c.keyOf(v, "Addresses of")
	if err != nil {
		return err
	}
	view := &addressesView{keyHead: h}
	if view.Rows, err = c.callersOf(v, &h.K, 0); err != nil {
		return err
	}
	for _, r := range view.Rows {
		if r.New {
			view.News++
		}
	}
	return v.render("key_callers", view)
}

func (c *Console) downloadAddresses(v *visit) error {
	k, err := c.kr.Key(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return err
	}
	rows, err := c.callersOf(v, &k, 0)
	if err != nil {
		return err
	}
	// The key itself is not changed, so the entry is no part of its history.
	e := v.by.Entry(v.now, "service_key.callers.export", "callers")
	e.Name, e.After = k.Name, map[string]any{"format": "csv", "key": string(k.ID), "rows": len(rows)}
	out, err := v.beginExport(e, "addresses-of-"+string(k.ID), "csv")
	if err != nil || out == nil {
		return err
	}
	out.row([]string{"address", "client", "calls", "refused", "first_seen", "last_seen", "new"})
	for _, r := range rows {
		out.row([]string{r.IP, r.Agent, fmt.Sprint(r.Calls), fmt.Sprint(r.Refused), stamp(r.First), stamp(r.Last), fmt.Sprint(r.New)})
	}
	return out.end()
}
