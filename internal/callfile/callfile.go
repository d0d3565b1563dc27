// Package callfile writes calls as files that other programs read: JSON lines,
// CSV, Parquet, and log records of OpenTelemetry. Each writer needs memory for a
// few thousand calls, however many there are.
package callfile

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern/api"
)

// Formats are the names of the formats.
var Formats = []string{"jsonl", "csv", "parquet", "otlp"}

// ContentTypes are the media types of the formats.
var ContentTypes = map[string]string{"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8",
	"parquet": "application/vnd.apache.parquet", "otlp": "application/jsonl"}

// Writer writes calls, one after the other. Close writes what is left, and not
// what the file was opened with.
type Writer interface {
	Write(*api.Call) error
	// Flush passes on what is held back, where the format allows it.
	Flush() error
	Close() error
}

// New makes the writer of a format. version is of the server or program that writes.
func New(format, version string, to io.Writer) (Writer, error) {
	switch format {
	case "jsonl":
		return newLines(to), nil
	case "csv":
		return newCSV(to)
	case "parquet":
		return newParquet(to), nil
	case "otlp":
		return newOTLP(to, version), nil
	}
	return nil, fmt.Errorf("there is no format %q: choose one of %s", format, strings.Join(Formats, ", "))
}

// lines writes each call as the API shows it, one object a line.
type lines struct{ enc *json.Encoder }

func newLines(to io.Writer) *lines {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	return &lines{enc}
}

func (w *lines) Write(c *api.Call) error { return w.enc.Encode(c) }
func (w *lines) Flush() error            { return nil }
func (w *lines) Close() error            { return nil }

// Columns are the columns of a CSV file, and of a Parquet file.
var Columns = []string{"seq", "at", "key_id", "kind", "generation", "member_id", "upstream", "operation", "method", "path", "status", "allowed", "reason",
	"missing_scopes", "used_scopes", "door", "duration_ms", "bytes_in", "bytes_out", "ip", "user_agent", "request_id"}

type csvWriter struct{ w *csv.Writer }

func newCSV(to io.Writer) (*csvWriter, error) {
	w := &csvWriter{csv.NewWriter(to)}
	return w, w.w.Write(Columns)
}

func (w *csvWriter) Write(c *api.Call) error {
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	return w.w.Write(cells([]string{n(c.Seq), c.At.UTC().Format(time.RFC3339Nano), c.KeyID, c.Kind, n(c.Generation), c.MemberID, c.Upstream, c.Operation, c.Method, c.Path,
		strconv.Itoa(c.Status), strconv.FormatBool(c.Allowed), c.Reason, strings.Join(c.MissingScopes, " "), strings.Join(c.UsedScopes, " "), c.Door,
		strconv.FormatFloat(c.DurationMs, 'f', 3, 64), n(c.BytesIn), n(c.BytesOut), c.IP, c.UserAgent, c.RequestID}))
}

// cells keeps what others wrote from being taken for a formula by a spreadsheet.
func cells(row []string) []string {
	for i, c := range row {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			row[i] = "'" + c
		}
	}
	return row
}

func (w *csvWriter) Flush() error {
	w.w.Flush()
	return w.w.Error()
}

func (w *csvWriter) Close() error { return w.Flush() }
