package callfile

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"postern.dev/postern/api"
)

// otlpRecords is how many log records a line has.
const otlpRecords = 100

// otlpWriter writes lines, each of which is the JSON of an OTLP logs request: it can
// be posted to a collector's /v1/logs as it is.
type otlpWriter struct {
	enc     *json.Encoder
	line    otlpLine
	records []otlpRecord
}

type (
	otlpLine struct {
		ResourceLogs []otlpResource `json:"resourceLogs"`
	}
	otlpResource struct {
		Resource struct {
			Attributes []otlpAttribute `json:"attributes"`
		} `json:"resource"`
		ScopeLogs []otlpScope `json:"scopeLogs"`
	}
	otlpScope struct {
		Scope struct {
			Name    string `json:"name"`
			Version string `json:"version,omitempty"`
		} `json:"scope"`
		LogRecords []otlpRecord `json:"logRecords"`
	}
	otlpRecord struct {
		TimeUnixNano         string          `json:"timeUnixNano"`
		ObservedTimeUnixNano string          `json:"observedTimeUnixNano"`
		SeverityNumber       int             `json:"severityNumber"`
		SeverityText         string          `json:"severityText"`
		EventName            string          `json:"eventName"`
		Body                 otlpValue       `json:"body"`
		Attributes           []otlpAttribute `json:"attributes"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		String *string    `json:"stringValue,omitempty"`
		Int    *string    `json:"intValue,omitempty"` // 64 bits are text in this JSON
		Bool   *bool      `json:"boolValue,omitempty"`
		Double *float64   `json:"doubleValue,omitempty"`
		Array  *otlpArray `json:"arrayValue,omitempty"`
	}
	otlpArray struct {
		Values []otlpValue `json:"values"`
	}
)

func newOTLP(to io.Writer, version string) *otlpWriter {
	w := &otlpWriter{enc: json.NewEncoder(to)}
	w.enc.SetEscapeHTML(false)
	r := otlpResource{ScopeLogs: make([]otlpScope, 1)}
	r.Resource.Attributes = []otlpAttribute{{"service.name", otlpText("postern")}}
	if version != "" {
		r.Resource.Attributes = append(r.Resource.Attributes, otlpAttribute{"service.version", otlpText(version)})
	}
	r.ScopeLogs[0].Scope.Name = "postern.activity"
	w.line.ResourceLogs = []otlpResource{r}
	return w
}

func otlpText(s string) otlpValue { return otlpValue{String: &s} }

// attributes collects those that have a value.
type attributes []otlpAttribute

func (a *attributes) text(key, v string) {
	if v != "" {
		*a = append(*a, otlpAttribute{key, otlpText(v)})
	}
}

func (a *attributes) int(key string, v int64) {
	if v != 0 {
		s := strconv.FormatInt(v, 10)
		*a = append(*a, otlpAttribute{key, otlpValue{Int: &s}})
	}
}

func (a *attributes) list(key string, v []string) {
	if len(v) == 0 {
		return
	}
	arr := &otlpArray{}
	for _, s := range v {
		arr.Values = append(arr.Values, otlpText(s))
	}
	*a = append(*a, otlpAttribute{key, otlpValue{Array: arr}})
}

func (w *otlpWriter) Write(c *api.Call) error {
	at := strconv.FormatInt(c.At.UnixNano(), 10)
	r := otlpRecord{TimeUnixNano: at, ObservedTimeUnixNano: at, SeverityNumber: 9, SeverityText: "INFO", EventName: "postern.call"}
	if !c.Allowed {
		r.SeverityNumber, r.SeverityText = 13, "WARN"
	}
	r.Body = otlpText(strings.TrimSpace(c.Method+" "+c.Path) + " " + c.Reason)
	a := attributes(make([]otlpAttribute, 0, 24))
	a.int("postern.seq", c.Seq)
	a.text("postern.key.id", c.KeyID)
	a.text("postern.key.kind", c.Kind)
	a.int("postern.key.generation", c.Generation)
	a.text("postern.member.id", c.MemberID)
	a.text("postern.upstream", c.Upstream)
	a.text("postern.operation", c.Operation)
	a = append(a, otlpAttribute{"postern.allowed", otlpValue{Bool: &c.Allowed}})
	a.text("postern.reason", c.Reason)
	a.list("postern.missing_scopes", c.MissingScopes)
	a.list("postern.used_scopes", c.UsedScopes)
	a.text("postern.door", c.Door)
	ms := c.DurationMs
	a = append(a, otlpAttribute{"postern.duration_ms", otlpValue{Double: &ms}})
	a.text("http.request.method", c.Method)
	a.text("url.path", c.Path)
	a.int("http.response.status_code", int64(c.Status))
	a.int("http.request.body.size", c.BytesIn)
	a.int("http.response.body.size", c.BytesOut)
	a.text("client.address", c.IP)
	a.text("user_agent.original", c.UserAgent)
	a.text("postern.request_id", c.RequestID)
	r.Attributes = a
	if w.records = append(w.records, r); len(w.records) < otlpRecords {
		return nil
	}
	return w.Flush()
}

func (w *otlpWriter) Flush() error {
	if len(w.records) == 0 {
		return nil
	}
	w.line.ResourceLogs[0].ScopeLogs[0].LogRecords = w.records
	err := w.enc.Encode(&w.line)
	clear(w.records)
	w.records = w.records[:0]
	return err
}

func (w *otlpWriter) Close() error { return w.Flush() }
