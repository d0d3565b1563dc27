package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
)

// registerAudit is the audit log and its proofs.
func (s *server) registerAudit(a huma.API) {
	const read = postern.PermAuditRead
	huma.Register(a, op("GET /v1/audit", "listAudit", "Read the audit log", read), s.listAudit)
	huma.Register(a, op("GET /v1/audit/key", "readAuditKeys", "Read the keys that the audit log's checkpoints are verified with", read), s.readAuditKeys)
	huma.Register(a, op("GET /v1/audit/checkpoints", "listAuditCheckpoints", "List the signed checkpoints of the audit log", read), s.listCheckpoints)
	huma.Register(a, op("GET /v1/audit/checkpoints/latest", "readAuditCheckpoint", "Read the newest checkpoint of the audit log", read), s.readCheckpoint)
	huma.Register(a, op("GET /v1/audit/consistency", "proveAuditConsistency", "Prove that the audit log holds what it held before", read), s.proveConsistency)
	huma.Register(a, op("GET /v1/audit/{seq}/proof", "proveAuditEntry", "Prove that an entry is in the audit log", read), s.proveEntry)
	huma.Register(a, streamedAudit(op("GET /v1/audit/export", "exportAudit", "Export the audit log, the oldest first", read)), s.exportAudit)
}

// streamedAudit answers with lines of text.
func streamedAudit(o huma.Operation) huma.Operation {
	o.Responses = map[string]*huma.Response{"200": {Description: "The lines. The trailers Postern-Entries and Postern-Last-Entry say how many there were and which was the last; without them the answer was cut short.",
		Content: map[string]*huma.MediaType{"application/x-ndjson": {}, "text/csv": {}, "text/plain": {}}}}
	return o
}

type auditKeysOutput struct{ Body api.AuditKeys }

func (s *server) readAuditKeys(ctx context.Context, _ *struct{}) (*auditKeysOutput, error) {
	if err := s.kr.MayReadAudit(ctx, by(ctx)); err != nil {
		return nil, err
	}
	return &auditKeysOutput{api.AuditKeys{Origin: s.cfg.Auditor.Origin(), Keys: s.cfg.Auditor.Keys()}}, nil
}

type checkpointsOutput struct {
	Body api.Page[api.AuditCheckpoint]
}

func (s *server) listCheckpoints(ctx context.Context, in *struct{ Paging }) (*checkpointsOutput, error) {
	if err := s.kr.MayReadAudit(ctx, by(ctx)); err != nil {
		return nil, err
	}
	at, err := readCursor(listCheckpoint, in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	from := int64(math.MaxInt64)
	if at != nil {
		if from, err = strconv.ParseInt(at[0], 10, 64); err != nil || from < 1 {
			return nil, errCursor
		}
	}
	list, err := s.cfg.DB.AuditCheckpoints(ctx, from, in.n()+1)
	if err != nil {
		return nil, err
	}
	out := &checkpointsOutput{api.Page[api.AuditCheckpoint]{Items: []api.AuditCheckpoint{}}}
	for i := range list[:min(in.n(), len(list))] {
		out.Body.Items = append(out.Body.Items, checkpointJSON(&list[i]))
	}
	if len(list) > in.n() {
		out.Body.NextCursor = writeCursor(listCheckpoint, strconv.FormatInt(list[in.n()].Number, 10))
	}
	return out, nil
}

func checkpointJSON(c *auditlog.StoredCheckpoint) api.AuditCheckpoint {
	out := api.AuditCheckpoint{Number: c.Number, Size: c.Size, At: postern.Micros(c.At).Time(), Note: c.Note}
	var root auditlog.Hash
	if copy(root[:], c.Root) == len(root) {
		out.Root = root.String()
	}
	return out
}

type checkpointOutput struct{ Body api.AuditCheckpoint }

func (s *server) readCheckpoint(ctx context.Context, _ *struct{}) (*checkpointOutput, error) {
	if err := s.kr.MayReadAudit(ctx, by(ctx)); err != nil {
		return nil, err
	}
	c, err := s.cfg.DB.AuditCheckpoint(ctx, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	return &checkpointOutput{checkpointJSON(&c)}, nil
}

type proveEntryInput struct {
	Seq  int64 `path:"seq" minimum:"1" doc:"The number of an entry of your account."`
	Size int64 `query:"size" minimum:"1" doc:"The entries of the tree that it is proven in; those of the newest checkpoint unless said."`
}

type auditProofOutput struct{ Body api.AuditProof }

func (s *server) proveEntry(ctx context.Context, in *proveEntryInput) (*auditProofOutput, error) {
	if err := s.kr.MayReadAudit(ctx, by(ctx)); err != nil {
		return nil, err
	}
	e, err := s.cfg.Auditor.Prove(ctx, by(ctx).AccountID, in.Seq, in.Size)
	if err != nil {
		return nil, err
	}
	p := api.AuditProof{Seq: e.Seq, Size: e.Size, Text: e.Text, Leaf: e.Leaf.String(), Root: e.Root.String(), Proof: hashTexts(e.Path)}
	if e.Checkpoint != nil {
		c := checkpointJSON(e.Checkpoint)
		p.Checkpoint = &c
	}
	return &auditProofOutput{p}, nil
}

func hashTexts(list []auditlog.Hash) []string {
	out := make([]string, len(list))
	for i, h := range list {
		out[i] = h.String()
	}
	return out
}

type consistencyInput struct {
	From int64 `query:"from" required:"true" minimum:"1" doc:"The entries that it had."`
	To   int64 `query:"to" required:"true" minimum:"1" doc:"The entries that it has."`
}

type consistencyOutput struct{ Body api.AuditConsistency }

func (s *server) proveConsistency(ctx context.Context, in *consistencyInput) (*consistencyOutput, error) {
	if err := s.kr.MayReadAudit(ctx, by(ctx)); err != nil {
		return nil, err
	}
	if in.From > in.To {
		return nil, postern.Invalidf("from", "The earlier size comes first.")
	}
	if err := s.cfg.Auditor.Within(ctx, in.To); err != nil {
		return nil, err
	}
	stored := s.cfg.DB.AuditHashes(ctx)
	from, err1 := auditlog.RootAt(in.From, stored)
	to, err2 := auditlog.RootAt(in.To, stored)
	proof, err3 := auditlog.Growth(in.From, in.To, stored)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return &consistencyOutput{api.AuditConsistency{From: in.From, To: in.To, FromRoot: from.String(), ToRoot: to.String(), Proof: hashTexts(proof)}}, nil
}

const (
	formatProof = "proof"
	// auditPage is how long one page of an export may take.
	auditPage = 30 * time.Second
	auditRows = 500
)

type exportAuditInput struct {
	Format string    `query:"format" enum:"jsonl,csv,syslog,proof" default:"jsonl" doc:"proof is for postern audit verify, and takes no filter."`
	After  int64     `query:"after" minimum:"0" doc:"Only entries after this one."`
	Action string    `query:"action" maxLength:"100"`
	Object string    `query:"object" maxLength:"64"`
	Actor  string    `query:"actor" maxLength:"64"`
	Result string    `query:"result" enum:"ok,refused"`
	Since  time.Time `query:"since"`
	Until  time.Time `query:"until"`
}

// wants reports whether an entry, as its account is told it, passes the filters.
func (in *exportAuditInput) wants(e *api.AuditEntry) bool {
	f := auditlog.Filter{Action: in.Action, Object: in.Object, Actor: in.Actor, Result: in.Result, Since: in.Since, Until: in.Until}
	return f.Wants(e)
}

func (s *server) exportAudit(ctx context.Context, in *exportAuditInput) (*huma.StreamResponse, error) {
	who := by(ctx)
	if err := s.kr.MayReadAudit(ctx, who); err != nil {
		return nil, err
	}
	if bare := (exportAuditInput{Format: formatProof}); in.Format == formatProof && *in != bare {
		return nil, postern.Invalidf("format", "The format proof takes no filter, and begins with the first entry.")
	}
	leave, err := enterExport(ctx, s.auditExports, who.AccountID)
	if err != nil {
		return nil, err
	}
	x, err := s.beginExport(ctx, who, in)
	if err != nil {
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		h := stateOf(ctx).w.Header()
		h.Set("Content-Type", map[string]string{auditlog.JSONLines: "application/x-ndjson", formatProof: "application/x-ndjson", auditlog.CSV: "text/csv; charset=utf-8", auditlog.Syslog: "text/plain; charset=utf-8"}[in.Format])
		h.Set("Cache-Control", "no-store")
		h.Set("Trailer", "Postern-Entries, Postern-Last-Entry")
		x.out = hc.BodyWriter()
		if err := x.write(ctx); err != nil {
			// Broken off, so that nobody takes half an export for all of it.
			stateOf(ctx).err = err
			panic(http.ErrAbortHandler)
		}
		h.Set("Postern-Entries", strconv.FormatInt(x.entries, 10))
		h.Set("Postern-Last-Entry", strconv.FormatInt(x.last, 10))
	}}, nil
}

// auditStream is one export that is being written.
type auditStream struct {
	s             *server
	in            *exportAuditInput
	account       postern.AccountID
	out           interface{ Write([]byte) (int, error) }
	until         int64 // the last entry that belongs to it
	checkpoint    *auditlog.StoredCheckpoint
	entries, last int64
}

// beginExport settles what belongs to an export, and notes in the log that it is made.
func (s *server) beginExport(ctx context.Context, who postern.Actor, in *exportAuditInput) (*auditStream, error) {
	x := &auditStream{s: s, in: in, account: who.AccountID, last: in.After}
	head, err := s.cfg.DB.AuditHead(ctx)
	if err != nil {
		return nil, err
	}
	x.until = head.Entries
	if in.Format == formatProof {
		c, err := s.cfg.DB.AuditCheckpoint(ctx, math.MaxInt64)
		if errors.Is(err, postern.CodeNotFound) {
			return nil, postern.Errorf(postern.CodeConflict, "No checkpoint is signed yet. Ask again in a minute.")
		}
		if err != nil {
			return nil, err
		}
		x.until, x.checkpoint = c.Size, &c
	}
	_, err = s.cfg.DB.Write(ctx, func(tx *store.Tx) error {
		e := who.Entry(s.now(), "audit.export", "audit")
		e.After = map[string]any{"format": in.Format, "after": in.After}
		return tx.InsertAudit(ctx, e)
	})
	return x, err
}

func (x *auditStream) write(ctx context.Context) error {
	if x.checkpoint != nil {
		return x.proofs(ctx)
	}
	host := x.s.cfg.Auditor.Origin()
	lines, err := auditlog.NewLines(x.out, x.in.Format, host)
	if err != nil {
		return err
	}
	err = x.rows(ctx, func(r *auditlog.Row, e *postern.AuditEntry) error {
		told := auditlog.Told(e)
		if !x.in.wants(&told) {
			return nil
		}
		x.entries++
		return lines.Write(r.Account, &told)
	}, lines.Flush)
	return errors.Join(err, lines.Flush())
}

// rows gives the account's entries, page by page.
func (x *auditStream) rows(ctx context.Context, each func(*auditlog.Row, *postern.AuditEntry) error, flush func() error) error {
	control := http.NewResponseController(stateOf(ctx).w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(auditPage))
		rows, err := x.s.cfg.DB.AuditRows(ctx, x.account, x.last, x.until, auditRows)
		if err != nil {
			return err
		}
		for i := range rows {
			e, err := auditlog.Decode(rows[i].Text)
			if err != nil {
				return fmt.Errorf("entry %d can't be read: %w", rows[i].Seq, err)
			}
			if err := each(&rows[i], &e); err != nil {
				return err
			}
			x.last = rows[i].Seq
		}
		if err := flush(); err != nil || len(rows) < auditRows {
			return err
		}
		select {
		case <-x.s.cfg.Stopping:
			return errStopping
		default:
		}
	}
}

// proofs writes the account's entries with the proofs that lead to the newest checkpoint.
func (x *auditStream) proofs(ctx context.Context) error {
	w, err := auditlog.NewWriter(x.out, auditlog.Header{Origin: x.s.cfg.Auditor.Origin(), Keys: x.s.cfg.Auditor.Keys(), Account: string(x.account)})
	if err != nil {
		return err
	}
	if err := w.Checkpoint(x.checkpoint); err != nil {
		return err
	}
	var stored tlog.HashReader = auditlog.Remembering(x.s.cfg.DB.AuditHashes(ctx))
	err = x.rows(ctx, func(r *auditlog.Row, e *postern.AuditEntry) error {
		proof, err := auditlog.Proof(r.Seq, x.until, stored)
		if err != nil {
			return err
		}
		x.entries++
		return w.Part(r, auditlog.ByOperator(e), proof)
	}, func() error { return nil })
	return errors.Join(err, w.Close())
}
