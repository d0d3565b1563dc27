package callfile

import (
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"

	"postern.dev/postern/api"
)

// groupRows is how many calls a row group has, and so how many are held in memory.
const groupRows = 16384

// parquetRow is a call as a row: the columns of Columns, in their order.
type parquetRow struct {
	Seq           int64   `parquet:"seq,delta"`
	At            int64   `parquet:"at,timestamp(microsecond),delta"`
	KeyID         string  `parquet:"key_id,dict"`
	Kind          string  `parquet:"kind,dict"`
	Generation    int64   `parquet:"generation,dict"`
	MemberID      string  `parquet:"member_id,dict"`
	Upstream      string  `parquet:"upstream,dict"`
	Operation     string  `parquet:"operation,dict"`
	Method        string  `parquet:"method,dict"`
	Path          string  `parquet:"path"`
	Status        int32   `parquet:"status,dict"`
	Allowed       bool    `parquet:"allowed"`
	Reason        string  `parquet:"reason,dict"`
	MissingScopes string  `parquet:"missing_scopes,dict"`
	UsedScopes    string  `parquet:"used_scopes,dict"`
	Door          string  `parquet:"door,dict"`
	DurationMs    float64 `parquet:"duration_ms"`
	BytesIn       int64   `parquet:"bytes_in"`
	BytesOut      int64   `parquet:"bytes_out"`
	IP            string  `parquet:"ip,dict"`
	UserAgent     string  `parquet:"user_agent,dict"`
	RequestID     string  `parquet:"request_id"`
}

type parquetWriter struct {
	w    *parquet.GenericWriter[parquetRow]
	rows []parquetRow
}

func newParquet(to io.Writer) *parquetWriter {
	return &parquetWriter{w: parquet.NewGenericWriter[parquetRow](to, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("postern", "1", "")),
		rows: make([]parquetRow, 0, groupRows)}
}

func (w *parquetWriter) Write(c *api.Call) error {
	w.rows = append(w.rows, parquetRow{Seq: c.Seq, At: c.At.UnixMicro(), KeyID: c.KeyID, Kind: c.Kind, Generation: c.Generation, MemberID: c.MemberID, Upstream: c.Upstream,
		Operation: c.Operation, Method: c.Method, Path: c.Path, Status: int32(c.Status), Allowed: c.Allowed, Reason: c.Reason,
		MissingScopes: strings.Join(c.MissingScopes, " "), UsedScopes: strings.Join(c.UsedScopes, " "), Door: c.Door, DurationMs: c.DurationMs,
		BytesIn: c.BytesIn, BytesOut: c.BytesOut, IP: c.IP, UserAgent: c.UserAgent, RequestID: c.RequestID})
	if len(w.rows) < groupRows {
		return nil
	}
	return w.group()
}

// group writes what is held as a row group.
func (w *parquetWriter) group() error {
	if len(w.rows) == 0 {
		return nil
	}
	if _, err := w.w.Write(w.rows); err != nil {
		return err
	}
	clear(w.rows)
	w.rows = w.rows[:0]
	return w.w.Flush()
}

// Flush does nothing: a row group for a few calls would be a bad file.
func (w *parquetWriter) Flush() error { return nil }

func (w *parquetWriter) Close() error {
	if err := w.group(); err != nil {
		return err
	}
	return w.w.Close()
}
