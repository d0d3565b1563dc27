package workbench

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// reportColumns are those of the report of a migration.
var reportColumns = []string{"name", "credential", "stage", "next", "full_access", "in_address", "path", "proposal", "reason", "calls_7_days", "calls_7_days_new_key",
	"last_seen", "callers_left", "scopes_needed", "new_key", "brownouts", "stopped_because", "signed_off_by", "signed_off_at", "switched_off_at", "ended_at"}

// WriteReport writes the whole migration as CSV, a line for each old credential. No
// cell begins with a sign that a spreadsheet would take for a formula.
func WriteReport(w io.Writer, b *Board) error {
	out := csv.NewWriter(w)
	if err := out.Write(reportColumns); err != nil {
		return err
	}
	for _, v := range b.Items {
		i := &v.Item
		row := []string{i.Name, string(i.Key), string(v.Stage), v.Next, yes(v.Full), yes(v.InAddress), i.Path, string(v.Proposal.To), firstOf(v.Proposal.Reasons),
			strconv.FormatInt(v.Week, 10), strconv.FormatInt(v.NewWeek, 10), stamp(v.Seen.Last), strconv.Itoa(v.Left), scopeList(v.Seen.Scopes), string(i.NewKey),
			strconv.Itoa(len(BrownoutsOf(v, v.Now))), i.StoppedWhy, string(i.SignedBy), stamp(i.SignedAt), stamp(i.ArchivedAt), stamp(i.EndedAt)}
		for k := range row {
			row[k] = plain(row[k])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func scopeList(list []postern.Scope) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return strings.Join(out, " ")
}

// plain keeps a cell from being taken for a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
