package rotation

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// Report is how a campaign stands, a row for each key under one with their names.
func (c *Campaign) Report() [][]string {
	out := [][]string{{"name", "id", "state", "looked_after_by", "deadline", "rotated_at", "rotated_by", "old_secret_ends_at", "callers_on_the_old_secret", "first_callers"}}
	for i := range c.Keys {
		k := &c.Keys[i]
		out = append(out, []string{k.Name, string(k.ID), string(k.State), strings.Join(c.keeperNames(k), ", "), stamp(c.Deadline), stamp(k.RotatedAt), c.MemberName(k.RotatedBy), stamp(k.OldEndsAt),
			strconv.Itoa(k.Still), strings.Join(k.Callers, "; ")})
	}
	return out
}

// WriteCampaign writes the report of a campaign as CSV. No cell begins with a sign
// that a spreadsheet would take for a formula.
func WriteCampaign(w io.Writer, c *Campaign) error {
	out := csv.NewWriter(w)
	for _, row := range c.Report() {
		for n, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				row[n] = "'" + cell
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (c *Campaign) keeperNames(k *CampaignKey) (out []string) {
	for _, m := range k.Keepers {
		out = append(out, m.Name)
	}
	return out
}

// MemberName is the name of a member, removed ones too; the ID of one that is not known.
func (c *Campaign) MemberName(id postern.MemberID) string {
	if m, ok := c.Members[id]; ok && m.Name != "" {
		return m.Name
	}
	return string(id)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
