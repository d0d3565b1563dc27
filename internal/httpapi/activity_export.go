package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/callfile"
	"postern.dev/postern/internal/store"
)

const (
	// exportPart is how long a part of an export may take to be sent.
	exportPart = time.Minute
	// exportFlush is after how many calls what is written is sent.
	exportFlush = 1000
)

const exportWords = `Sends all calls that pass the filter and were written before, in the order of their numbers, oldest
first. Where the connection breaks, ask again with after: the number of the last call that came whole. At most 4 exports
run at once, and 2 of one account. The audit log gets an entry.`

type exportActivityInput struct {
	Format string `query:"format" enum:"jsonl,csv,parquet,otlp" default:"jsonl" doc:"otlp: lines, each of which is the JSON of an OTLP logs request."`
	After  int64  `query:"after" minimum:"0" doc:"Goes on after the call with this number, such as that of the last which came before the connection broke."`
	CallsFilter
}

// callStream is an operation whose answer has no end that is known before.
func callStream(o huma.Operation, description string) huma.Operation {
	content := map[string]*huma.MediaType{}
	for _, t := range callfile.ContentTypes {
		content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	o.Description = description
	o.Responses = map[string]*huma.Response{"200": {Description: "The calls, in the order of their numbers.", Content: content}}
	return o
}

// exportActivity sends all calls that pass a filter, in the order of their
// numbers, a block at a time.
func (s *server) exportActivity(ctx context.Context, in *exportActivityInput) (*huma.StreamResponse, error) {
	who := by(ctx)
	if err := s.kr.MayReadActivity(ctx, who); err != nil {
		return nil, err
	}
	f, err := in.filter(who.AccountID)
	if err != nil {
		return nil, err
	}
	leave, err := enterExport(ctx, s.exports, who.AccountID)
	if err != nil {
		return nil, err
	}
	// Going on is told of too: nothing proves that the part before was ever asked for.
	if err := s.auditExport(ctx, in); err != nil {
		leave()
		return nil, err
	}
	s.activity.Settle(ctx)
	return &huma.StreamResponse{Body: func(huma.Context) {
		defer leave()
		st := stateOf(ctx)
		h := st.w.Header()
		h.Set("Content-Type", callfile.ContentTypes[in.Format])
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Disposition", `attachment; filename="activity-`+s.now().Format("2006-01-02")+map[string]string{"otlp": ".otlp.jsonl"}[in.Format]+
			map[string]string{"jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet"}[in.Format]+`"`)
		if err := s.sendCalls(ctx, st.w, in, f); err != nil {
			// Broken off, so that nobody takes half an export for all of it.
			st.err = err
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

func (s *server) sendCalls(ctx context.Context, w http.ResponseWriter, in *exportActivityInput, f activity.Filter) error {
	ctx, cancel := s.untilStopping(ctx)
	defer cancel()
	control := http.NewResponseController(w)
	extend := func() { _ = control.SetWriteDeadline(time.Now().Add(exportPart)) }
	extend()
	w.WriteHeader(http.StatusOK)
	out, err := callfile.New(in.Format, s.cfg.Version, w)
	if err != nil {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	n := 0
	err = s.activity.EachAfter(ctx, f, in.After, func(a *postern.Activity) error {
		c := callJSON(a)
		if err := out.Write(&c); err != nil {
			return err
		}
		if n++; n%exportFlush != 0 {
			return nil
		}
		extend()
		if err := out.Flush(); err != nil {
			return err
		}
		return control.Flush()
	})
	if err != nil {
		return err
	}
	extend()
	return out.Close()
}

func (s *server) auditExport(ctx context.Context, in *exportActivityInput) error {
	e := by(ctx).Entry(s.now(), "activity.export", "activity")
	e.After = map[string]any{"format": in.Format, "filter": in.query().Encode()}
	if in.After > 0 {
		e.After["after"] = in.After
	}
	_, err := s.cfg.DB.Write(ctx, func(tx *store.Tx) error { return tx.InsertAudit(ctx, e) })
	return err
}

// query is the filter as it was asked for, for the audit log.
func (in *CallsFilter) query() url.Values {
	q := url.Values{}
	for name, v := range map[string]string{"key": in.Key, "upstream": in.Upstream, "operation": in.Operation, "method": in.Method, "reason": in.Reason,
		"allowed": in.Allowed, "door": in.Door, "notDoor": in.NotDoor, "ip": in.IP, "userAgent": in.UserAgent, "pathPrefix": in.PathPrefix,
		"requestId": in.RequestID, "scope": in.Scope} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if in.WouldRefuse {
		q.Set("wouldRefuse", "true")
	}
	for name, n := range map[string]int64{"generation": in.Generation, "status": int64(in.Status), "statusClass": int64(in.StatusClass)} {
		if n != 0 {
			q.Set(name, strconv.FormatInt(n, 10))
		}
	}
	for name, t := range map[string]time.Time{"since": in.Since, "until": in.Until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}
