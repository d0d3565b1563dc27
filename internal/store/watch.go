package store

import (
	"net/netip"

	"postern.dev/postern"
)

// How a watch and an undo lie in their columns: JSON, and nothing where there is
// none. What doesn't decode is left out, so that the row's seal no longer fits.

type watchRow struct {
	Scopes   *[]postern.Scope `json:"scopes,omitempty"`
	Networks *[]string        `json:"networks,omitempty"`
	Since    int64            `json:"since"`
	By       postern.MemberID `json:"by,omitempty"`
}

type undoRow struct {
	Until     int64            `json:"until"`
	By        postern.MemberID `json:"by,omitempty"`
	Revision  int64            `json:"revision"`
	Scopes    []postern.Scope  `json:"scopes"`
	Networks  []string         `json:"networks"`
	ExpiresAt int64            `json:"expiresAt"`
	PausedAt  int64            `json:"pausedAt"`
	FlaggedAt int64            `json:"flaggedAt,omitempty"`
	Why       string           `json:"flaggedWhy,omitempty"`
	Watch     *watchRow        `json:"watch,omitempty"`
}

func networkTexts(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = n.String()
	}
	return out
}

func parseNetworks(texts []string) (out []netip.Prefix) {
	for _, n := range texts {
		if p, err := netip.ParsePrefix(n); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func networksOf(s string) []netip.Prefix {
	var texts []string
	if fromJSON(s, &texts) != nil {
		return nil
	}
	return parseNetworks(texts)
}

func watchRowOf(w *postern.Watch) *watchRow {
	if w == nil {
		return nil
	}
	r := &watchRow{Scopes: w.Scopes, Since: micros(w.Since), By: w.By}
	if w.Networks != nil {
		texts := networkTexts(*w.Networks)
		r.Networks = &texts
	}
	return r
}

func (r *watchRow) watch() *postern.Watch {
	if r == nil {
		return nil
	}
	w := &postern.Watch{Scopes: r.Scopes, Since: fromMicros(r.Since), By: r.By}
	if r.Networks != nil {
		nets := parseNetworks(*r.Networks)
		w.Networks = &nets
	}
	return w
}

func watchJSON(w *postern.Watch) string {
	if w == nil {
		return ""
	}
	return asJSON(watchRowOf(w))
}

func watchOf(s string) *postern.Watch {
	var r watchRow
	if s == "" || fromJSON(s, &r) != nil {
		return nil
	}
	return r.watch()
}

func undoJSON(u *postern.Undo) string {
	if u == nil {
		return ""
	}
	return asJSON(undoRow{Until: micros(u.Until), By: u.By, Revision: u.Revision, Scopes: u.Scopes, Networks: networkTexts(u.Networks),
		ExpiresAt: micros(u.ExpiresAt), PausedAt: micros(u.PausedAt), FlaggedAt: micros(u.FlaggedAt), Why: u.FlaggedWhy, Watch: watchRowOf(u.Watch)})
}

func undoOf(s string) *postern.Undo {
	var r undoRow
	if s == "" || fromJSON(s, &r) != nil {
		return nil
	}
	return &postern.Undo{Until: fromMicros(r.Until), By: r.By, Revision: r.Revision, Scopes: r.Scopes, Networks: parseNetworks(r.Networks),
		ExpiresAt: fromMicros(r.ExpiresAt), PausedAt: fromMicros(r.PausedAt), FlaggedAt: fromMicros(r.FlaggedAt), FlaggedWhy: r.Why, Watch: r.Watch.watch()}
}
