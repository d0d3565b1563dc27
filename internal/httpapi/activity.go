package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
)

// maxWait is the longest that one request waits for new activity.
const maxWait = time.Minute

// CallsFilter narrows activity.
type CallsFilter struct {
	Key         string    `query:"key" maxLength:"64" doc:"A key ID."`
	Generation  int64     `query:"generation" minimum:"1" doc:"One of the key's secrets."`
	Upstream    string    `query:"upstream" maxLength:"40"`
	Operation   string    `query:"operation" maxLength:"300"`
	Method      string    `query:"method" maxLength:"20"`
	Status      int       `query:"status" minimum:"100" maximum:"599"`
	StatusClass int       `query:"statusClass" minimum:"1" maximum:"5" doc:"4 is 400 to 499."`
	Reason      string    `query:"reason" maxLength:"40"`
	Allowed     string    `query:"allowed" enum:"true,false"`
	WouldRefuse bool      `query:"wouldRefuse" doc:"Only allowed calls that a narrowing which was being tried on the key would have refused."`
	Door        string    `query:"door" maxLength:"20"`
	NotDoor     string    `query:"notDoor" maxLength:"20" doc:"Leaves out what came in here: api leaves out calls to this API itself."`
	IP          string    `query:"ip" maxLength:"64"`
	UserAgent   string    `query:"userAgent" maxLength:"300" doc:"A part of it, whatever the case."`
	PathPrefix  string    `query:"pathPrefix" maxLength:"1000"`
	RequestID   string    `query:"requestId" maxLength:"128"`
	Scope       string    `query:"scope" maxLength:"200" doc:"That let the call through, or that it lacked."`
	Since       time.Time `query:"since"`
	Until       time.Time `query:"until"`
}

type listActivityInput struct {
	CallsFilter
	Follow bool   `query:"follow" doc:"Waits for what happens from now on, or from after the cursor, oldest first."`
	Wait   string `query:"wait" maxLength:"20" example:"25s" doc:"How long to wait where activity is followed: 25s unless said, at most 1m."`
	Paging
}

type callsOutput struct{ Body api.Calls }

func (s *server) listActivity(ctx context.Context, in *listActivityInput) (*callsOutput, error) {
	if err := s.kr.MayReadActivity(ctx, by(ctx)); err != nil {
		return nil, err
	}
	f, err := in.filter(by(ctx).AccountID)
	if err != nil {
		return nil, err
	}
	at, err := activity.ParseCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	var calls []postern.Activity
	var next activity.Cursor
	if in.Follow {
		wait, err := in.wait()
		if err != nil {
			return nil, err
		}
		// The server's own limit on writing would end the wait.
		_ = http.NewResponseController(stateOf(ctx).w).SetWriteDeadline(time.Now().Add(wait + 30*time.Second))
		if calls, next, err = s.follow(ctx, f, at, wait); err != nil {
			return nil, err
		}
	} else {
		s.activity.Settle(ctx)
		if calls, next, err = s.activity.Query(ctx, f, at, in.n()); err != nil {
			return nil, err
		}
	}
	out := &callsOutput{api.Calls{Items: make([]api.Call, len(calls)), NextCursor: next.String()}}
	for i := range calls {
		out.Body.Items[i] = callJSON(&calls[i])
	}
	return out, nil
}

// errStopping ends waiting when the server stops.
var errStopping = errors.New("the server is stopping")

// follow waits for activity, and no longer than the server runs: then the answer
// is an empty page, from whose cursor the next server goes on.
func (s *server) follow(ctx context.Context, f activity.Filter, at activity.Cursor, wait time.Duration) ([]postern.Activity, activity.Cursor, error) {
	waiting, cancel := s.untilStopping(ctx)
	defer cancel()
	calls, next, err := s.activity.Tail(waiting, f, at, wait)
	if err != nil && context.Cause(waiting) == errStopping {
		if next.Zero() { // it ended before it knew where it stood: an answer without a cursor would lose calls
			return s.activity.Tail(ctx, f, at, 0)
		}
		return nil, next, nil
	}
	return calls, next, err
}

// untilStopping is a context that ends with another one, and when the server begins to end.
func (s *server) untilStopping(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.cfg.Stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (in *listActivityInput) wait() (time.Duration, error) {
	if in.Wait == "" {
		return 25 * time.Second, nil
	}
	d, err := time.ParseDuration(in.Wait)
	if err != nil || d < 0 || d > maxWait {
		return 0, postern.Invalidf("wait", "A wait is written as 25s, and at most 1m.")
	}
	return d, nil
}

func (in *CallsFilter) filter(a postern.AccountID) (activity.Filter, error) {
	f := activity.Filter{Account: a, Key: postern.KeyID(in.Key), Generation: in.Generation, Upstream: postern.UpstreamID(in.Upstream),
		Operation: in.Operation, Method: in.Method, Status: in.Status, StatusClass: in.StatusClass, Would: in.WouldRefuse, Door: in.Door, NotDoor: in.NotDoor, IP: in.IP,
		UserAgent: in.UserAgent, PathPrefix: in.PathPrefix, RequestID: in.RequestID, Scope: postern.Scope(in.Scope), Since: in.Since.UTC(), Until: in.Until.UTC()}
	if in.Since.IsZero() {
		f.Since = time.Time{}
	}
	if in.Until.IsZero() {
		f.Until = time.Time{}
	}
	if in.Reason != "" {
		var ok bool
		if f.Reason, ok = postern.ParseReason(in.Reason); !ok {
			return f, postern.Invalidf("reason", "There is no such reason.")
		}
	}
	if in.Allowed != "" {
		allowed := in.Allowed == "true"
		f.Allowed = &allowed
	}
	if in.IP != "" {
		ip, err := netip.ParseAddr(in.IP)
		if err != nil {
			return f, postern.Invalidf("ip", "This is no address.")
		}
		f.IP = ip.Unmap().WithZone("").String()
	}
	return f, nil
}

func callJSON(a *postern.Activity) api.Call {
	c := api.Call{Seq: a.Seq, At: a.At, KeyID: string(a.KeyID), Kind: a.Kind.String(), Generation: a.Generation, MemberID: string(a.MemberID),
		Upstream: string(a.Upstream), Operation: a.Operation, Method: a.Method, Path: a.Path, Status: a.Status, Allowed: a.Allowed,
		Reason: a.Reason.String(), Door: a.Door, DurationMs: float64(a.Duration.Microseconds()) / 1000, BytesIn: a.BytesIn, BytesOut: a.BytesOut,
		IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID}
	c.WouldRefuse = a.Would.String()
	if len(a.Missing) > 0 {
		c.MissingScopes = list[string](a.Missing)
	}
	if len(a.Used) > 0 {
		c.UsedScopes = list[string](a.Used)
	}
	return c
}

type listAuditInput struct {
	Action string    `query:"action" maxLength:"100" doc:"Such as service_key.create."`
	Object string    `query:"object" maxLength:"64" doc:"The id of what was acted on."`
	Actor  string    `query:"actor" maxLength:"64" doc:"The id of a member or a key."`
	Result string    `query:"result" enum:"ok,refused"`
	Since  time.Time `query:"since"`
	Until  time.Time `query:"until"`
	Paging
}

type auditOutput struct {
	Body api.Page[api.AuditEntry]
}

func (s *server) listAudit(ctx context.Context, in *listAuditInput) (*auditOutput, error) {
	at, err := readCursor(listAudit, in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	before := int64(0)
	if at != nil {
		if before, err = strconv.ParseInt(at[0], 10, 64); err != nil || before < 1 {
			return nil, errCursor
		}
	}
	f := store.AuditFilter{Action: in.Action, Object: in.Object, Actor: in.Actor, Result: in.Result, Since: in.Since, Until: in.Until}
	rows, err := s.kr.Audit(ctx, by(ctx), f, before, in.n()+1)
	if err != nil {
		return nil, err
	}
	out := &auditOutput{api.Page[api.AuditEntry]{Items: []api.AuditEntry{}}}
	for i := range rows[:min(in.n(), len(rows))] {
		if in.Actor != "" && auditlog.ByOperator(&rows[i]) {
			continue // found by an id that its account isn't told
		}
		out.Body.Items = append(out.Body.Items, auditlog.Told(&rows[i]))
	}
	if len(rows) > in.n() {
		out.Body.NextCursor = writeCursor(listAudit, strconv.FormatInt(rows[in.n()-1].Seq, 10))
	}
	return out, nil
}
