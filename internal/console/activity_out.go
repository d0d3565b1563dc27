package console

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/store"
)

const (
	// exportMax is the most rows of one export, exportsAtOnce how many of a kind may
	// run, and exportsEach how many of them for one account.
	exportMax     = 1_000_000
	exportsAtOnce = 4
	exportsEach   = 2
	// liveWait is how long one question for new calls waits, liveLook how often it is
	// looked meanwhile whether who asks is still in.
	liveWait = 20 * time.Second
	liveLook = 2 * time.Second
	// livePause is when to ask again, in seconds, who was answered without a wait.
	livePause = 5
	// exportPage is how long a page of an export may take to be sent.
	exportPage = time.Minute
)

// liveCall is a call as the script of the live list shows it: texts only.
type liveCall struct {
	Link    string `json:"link"`
	At      string `json:"at"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Answer  string `json:"answer"`
	Kind    string `json:"kind"`
	Why     string `json:"why"`
	Name    string `json:"name"`
	KeyLink string `json:"keyLink"`
	IP      string `json:"ip"`
	Client  string `json:"client"`
	Took    string `json:"took"`
}

// liveCalls waits for calls that pass the filters, and answers with them and where
// to go on. The first question, without a cursor, is answered with where "now" is.
func (c *Console) liveCalls(v *visit) error {
	after, err := activity.ParseCursor(v.query("after"))
	if err != nil {
		return v.sayJSON(http.StatusUnprocessableEntity, map[string]string{"error": "Start again from now."})
	}
	keys, _, err := v.keysByID(v.r.Context())
	if err != nil {
		return err
	}
	f := v.callsFilter(keys)
	wait, pause := liveWait, 0
	if after.Zero() || v.r.Method == http.MethodHead {
		wait = 0
	} else if closed, ok := c.streams.open(v.session.ID); ok {
		defer closed()
	} else {
		wait, pause = 0, livePause
	}
	calls, next, err := c.newCalls(v, f.query(v.by.AccountID), after, wait)
	if err != nil {
		return err
	}
	rows, err := v.callRows(v.r.Context(), keys, calls, f)
	if err != nil {
		return err
	}
	out := struct {
		Calls []liveCall `json:"calls"`
		Next  string     `json:"next"`
		Pause int        `json:"pause,omitempty"` // seconds until the next question
	}{make([]liveCall, len(rows)), next.String(), pause}
	for i, r := range rows {
		out.Calls[i] = liveCall{r.Link, r.At.UTC().Format(time.RFC3339), r.Method, r.Path, r.Answer, r.Kind, r.Why, r.Name, r.KeyLink, r.IP, r.Client, r.Took}
	}
	return v.sayJSON(http.StatusOK, out)
}

// newCalls waits for calls, but not for somebody who was signed out meanwhile, nor on
// while the server ends.
func (c *Console) newCalls(v *visit, f activity.Filter, after activity.Cursor, wait time.Duration) ([]postern.Activity, activity.Cursor, error) {
	end := time.Now().Add(wait)
	_ = http.NewResponseController(v.w).SetWriteDeadline(end.Add(10 * time.Second))
	ctx, stop := c.untilStopping(v.r.Context())
	defer stop()
	for {
		left := max(0, time.Until(end))
		calls, next, err := c.cfg.Activity.Tail(ctx, f, after, min(left, liveLook))
		if err != nil {
			if ctx.Err() == nil || v.r.Context().Err() != nil {
				return nil, after, err
			}
			return nil, after, nil // the server ends; the next one goes on from here
		}
		if left == 0 {
			return calls, next, nil
		}
		in, err := v.stillIn(v.r.Context())
		if err != nil {
			return nil, after, err
		}
		if !in {
			return nil, after, postern.Errorf(postern.CodeUnauthenticated, "You are signed out. Sign in again.")
		}
		if len(calls) > 0 {
			return calls, next, nil
		}
		after = next
	}
}

// untilStopping is a context that ends with another one, and when the server begins to end.
func (c *Console) untilStopping(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if c.cfg.Stopping != nil {
		go func() {
			select {
			case <-c.cfg.Stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// sayJSON answers a script.
func (v *visit) sayJSON(status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	return v.send(status, b)
}

// exportCalls sends the calls that the filters let through, page by page, so that a
// million of them need no more room than one page.
func (c *Console) exportCalls(kind string, places *limit.Places) func(*visit) error {
	return func(v *visit) error {
		keys, _, err := v.keysByID(v.r.Context())
		if err != nil {
			return err
		}
		f := v.callsFilter(keys)
		if !f.F.OK() {
			return postern.Errorf(postern.CodeInvalid, "%s", f.F.Errors[0].Text)
		}
		leave, err := v.enterExport(places)
		if err != nil {
			return err
		}
		defer leave()
		q := f.query(v.by.AccountID)
		if q.Until.IsZero() {
			q.Until = v.now // what comes while it runs doesn't belong to it
		}
		e := v.by.Entry(v.now, "activity.export", "activity")
		e.After = map[string]any{"format": kind, "filter": f.with("/activity")}
		out, err := v.beginExport(e, "activity", kind)
		if err != nil || out == nil {
			return err
		}
		if kind == "csv" {
			out.row(callColumns)
		}
		var after activity.Cursor
		for n := 0; ; {
			calls, next, err := c.findCalls(out.ctx, q, after, 200)
			if err != nil {
				return out.broken(err)
			}
			people, err := v.peopleOf(out.ctx, calls)
			if err != nil {
				return out.broken(err)
			}
			for i := range calls {
				if n++; n > exportMax {
					return out.cut()
				}
				if kind == "csv" {
					name, _ := v.callerOf(&calls[i], keys, people)
					out.row(callCells(&calls[i], name))
				} else {
					out.json(callJSON(&calls[i]))
				}
			}
			if next.Zero() {
				return out.end()
			}
			if err := out.flush(); err != nil {
				return out.broken(err)
			}
			after = next
		}
	}
}

// enterExport takes a place for a download, or says why there is none.
func (v *visit) enterExport(places *limit.Places) (leave func(), err error) {
	switch leave, how := places.Enter(v.r.Context(), string(v.by.AccountID), 0); how {
	case limit.Entered:
		return leave, nil
	case limit.Share:
		return nil, postern.Errorf(postern.CodeRateLimited, "%d downloads of your account are running. Try again when one has ended.", exportsEach)
	}
	return nil, postern.Errorf(postern.CodeUnavailable, "Other downloads are running. Try again in a minute.")
}

var callColumns = []string{"time", "key", "key_id", "secret", "member_id", "method", "path", "api", "operation", "status", "answer", "reason", "would_refuse", "missing_scopes", "used_scopes",
	"address", "client", "door", "duration_ms", "bytes_in", "bytes_out", "request"}

func callCells(a *postern.Activity, name string) []string {
	answer := "worked"
	if !a.Allowed {
		answer = "refused"
	}
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	return []string{a.At.UTC().Format(time.RFC3339Nano), name, string(a.KeyID), n(a.Generation), string(a.MemberID), a.Method, a.Path, string(a.Upstream), a.Operation,
		strconv.Itoa(a.Status), answer, a.Reason.String(), a.Would.String(), joined(a.Missing), joined(a.Used), a.IP, a.UserAgent, a.Door,
		strconv.FormatFloat(float64(a.Duration)/float64(time.Millisecond), 'f', 3, 64), n(a.BytesIn), n(a.BytesOut), a.RequestID}
}

// callJSON is a call as the API gives it.
func callJSON(a *postern.Activity) api.Call {
	out := api.Call{At: a.At, KeyID: string(a.KeyID), Kind: a.Kind.String(), Generation: a.Generation, MemberID: string(a.MemberID), Upstream: string(a.Upstream),
		Operation: a.Operation, Method: a.Method, Path: a.Path, Status: a.Status, Allowed: a.Allowed, Reason: a.Reason.String(), WouldRefuse: a.Would.String(), Door: a.Door,
		DurationMs: float64(a.Duration) / float64(time.Millisecond), BytesIn: a.BytesIn, BytesOut: a.BytesOut, IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID}
	for _, s := range a.Missing {
		out.MissingScopes = append(out.MissingScopes, string(s))
	}
	for _, s := range a.Used {
		out.UsedScopes = append(out.UsedScopes, string(s))
	}
	return out
}

// export is a download that is being sent.
type export struct {
	ctx  context.Context
	v    *visit
	kind string
	csv  *csv.Writer
	to   io.Writer
	enc  *json.Encoder
	err  error
}

// beginExport writes to the audit log that something was downloaded, and begins
// the answer. It gives nothing where only the head was asked for.
func (v *visit) beginExport(e postern.AuditEntry, name, kind string) (*export, error) {
	h := v.w.Header()
	h.Set("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}[kind])
	h.Set("Content-Disposition", `attachment; filename="`+name+"-"+v.now.In(v.zone).Format("2006-01-02")+"."+kind+`"`)
	h.Set("Cache-Control", "no-store")
	if v.r.Method == http.MethodHead {
		v.w.WriteHeader(http.StatusOK)
		return nil, nil
	}
	if _, err := v.c.cfg.DB.Write(v.r.Context(), func(tx *store.Tx) error { return tx.InsertAudit(v.r.Context(), e) }); err != nil {
		for _, name := range []string{"Content-Type", "Content-Disposition"} {
			h.Del(name)
		}
		return nil, err
	}
	out := &export{ctx: v.r.Context(), v: v, kind: kind, csv: csv.NewWriter(v.w), to: v.w, enc: json.NewEncoder(v.w)}
	out.enc.SetEscapeHTML(false)
	return out, out.flush()
}

func (x *export) row(cols []string) {
	if x.err == nil {
		x.err = x.csv.Write(cells(cols))
	}
}

func (x *export) json(body any) {
	if x.err == nil {
		x.err = x.enc.Encode(body)
	}
}

// flush sends what there is, and gives the next page its time.
func (x *export) flush() error {
	x.csv.Flush()
	if x.err == nil {
		x.err = x.csv.Error()
	}
	_ = http.NewResponseController(x.v.w).SetWriteDeadline(time.Now().Add(exportPage))
	return x.err
}

// cut ends an export that is too long, and says so in its last line.
func (x *export) cut() error {
	const words = "Cut here: an export has at most 1,000,000 rows. Choose a shorter time and download the rest."
	if x.kind == "csv" {
		x.row([]string{words})
	} else {
		x.json(map[string]string{"cut": words})
	}
	return x.end()
}

func (x *export) end() error {
	if err := x.flush(); err != nil {
		return x.broken(err)
	}
	return nil
}

// broken breaks the connection off, so that nobody takes half an export for all of it.
func (x *export) broken(err error) error {
	x.v.err = err
	panic(http.ErrAbortHandler)
}
