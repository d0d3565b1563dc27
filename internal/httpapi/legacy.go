package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

const (
	listLegacy   = "y"
	importLegacy = "importLegacyCredentials"

	maxImport      = 50 << 20
	importTime     = time.Hour // from end to end; it has to keep coming all the while
	importPart     = time.Minute
	importsAtOnce  = 2
	importFormCSV  = "text/csv"
	importFormJSON = "application/jsonl"
)

const importWords = `Lines of CSV, whose first names the columns, or of JSON objects: name, note, kind (private_app or api_key),
secret or sha256 or hash with find, scopes, sunset, expires, networks. They are imported in transactions of 500, as they
come: a line that can't be is left out and reported, and the same file again imports nothing twice. At most 50 MiB.
Old names of scopes, such as contacts, are translated by the table at /v1/migration/scopes, and the report says so.
Whoever imports must hold every scope that they bring in; for an API key, all of them.`

// registerLegacy is what old credentials are imported and looked after by.
func (s *server) registerLegacy(a huma.API) {
	const read, write, revoke = postern.PermKeysRead, postern.PermKeysWrite, postern.PermKeysRevoke
	const one = "/v1/legacy-credentials/{id}"
	huma.Register(a, op("GET /v1/legacy-credentials", "listLegacyCredentials", "List legacy credentials", read), s.listLegacy)
	in := op("POST /v1/legacy-credentials/import", importLegacy, "Import legacy credentials", write)
	in.Description = importWords
	lines := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	in.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{importFormCSV: lines, importFormJSON: lines}}
	huma.Register(a, in, s.importLegacy)
	huma.Register(a, op("GET "+one, "readLegacyCredential", "Read a legacy credential", read), s.readLegacy)
	huma.Register(a, op("PATCH "+one, "editLegacyCredential", "Change a legacy credential", write), s.editLegacy)
	huma.Register(a, op("POST "+one+"/pause", "pauseLegacyCredential", "Stop a legacy credential until it is resumed", write, revoke), s.pauseLegacy)
	huma.Register(a, op("POST "+one+"/resume", "resumeLegacyCredential", "Let a paused legacy credential work again", write), s.resumeLegacy)
	huma.Register(a, op("POST "+one+"/end", "endLegacyCredential", "End a legacy credential for good", revoke), s.endLegacy)
}

type listLegacyInput struct {
	Name   string `query:"name" maxLength:"400" doc:"A part of the name, the note or what is shown, whatever its case."`
	State  string `query:"state" enum:"active,sunset,paused,ended"`
	Kind   string `query:"kind" enum:"legacy_private_app,legacy_api_key"`
	Import string `query:"import" maxLength:"64" doc:"An import's id."`
	Weak   bool   `query:"weak" doc:"Only those that can be guessed."`
	Paging
}

type legacyListOutput struct {
	Body api.Page[api.LegacyCredential]
}

func (s *server) listLegacy(ctx context.Context, in *listLegacyInput) (*legacyListOutput, error) {
	at, err := readCursor(listLegacy, in.Cursor, 2)
	if err != nil {
		return nil, err
	}
	var after store.Cursor
	if at != nil {
		if after.At, err = strconv.ParseInt(at[0], 10, 64); err != nil {
			return nil, errCursor
		}
		after.ID = at[1]
	}
	kind, _ := postern.ParseKind(in.Kind)
	f := store.LegacyFilter{Name: in.Name, State: postern.LegacyState(in.State), Kind: kind, Import: in.Import, Weak: in.Weak}
	rows, err := s.kr.LegacyList(ctx, by(ctx), f, after, in.n()+1)
	if err != nil {
		return nil, err
	}
	out := &legacyListOutput{api.Page[api.LegacyCredential]{Items: []api.LegacyCredential{}}}
	page := rows[:min(in.n(), len(rows))]
	if len(rows) > len(page) {
		last := &page[len(page)-1]
		out.Body.NextCursor = writeCursor(listLegacy, strconv.FormatInt(int64(postern.ToMicros(last.CreatedAt)), 10), string(last.ID))
	}
	ids := make([]postern.KeyID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	uses, err := s.activity.LastUsed(ctx, by(ctx).AccountID, ids)
	if err != nil {
		return nil, err
	}
	for i := range page {
		out.Body.Items = append(out.Body.Items, s.legacyJSON(&page[i], uses[page[i].ID]))
	}
	return out, nil
}

type legacyOutput struct {
	ETag string `header:"ETag"`
	Body api.LegacyCredential
}

func (s *server) readLegacy(ctx context.Context, in *KeyInput) (*legacyOutput, error) {
	l, err := s.kr.Legacy(ctx, by(ctx), postern.KeyID(in.ID))
	if err != nil {
		return nil, err
	}
	uses, err := s.activity.LastUsed(ctx, by(ctx).AccountID, []postern.KeyID{l.ID})
	if err != nil {
		return nil, err
	}
	return &legacyOutput{etag(l.Revision), s.legacyJSON(&l, uses[l.ID])}, nil
}

func (s *server) legacyJSON(l *postern.LegacyCredential, use postern.LastUse) api.LegacyCredential {
	now := s.now()
	out := api.LegacyCredential{ID: string(l.ID), Kind: l.Kind.String(), Name: l.Name, Note: l.Note, Shown: l.Shown, State: string(l.State(now)),
		Strength: string(l.Strength), AllScopes: l.AllScopes, Scopes: list[string](l.Scopes), Networks: make([]string, len(l.Networks)), SlowHash: l.Slow,
		DeprecatedAt: l.DeprecatedAt, SunsetAt: l.SunsetAt, ExpiresAt: l.ExpiresAt, PausedAt: l.PausedAt, InAddressAt: l.InAddressAt, ImportID: l.Import,
		LastUsed: useJSON(use), MadeBy: string(l.MadeBy), CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt, Revision: l.Revision}
	for i, n := range l.Networks {
		out.Networks[i] = n.String()
	}
	if l.Rate.Calls > 0 {
		out.RateLimit = &api.RateLimit{Calls: l.Rate.Calls, Seconds: int64(l.Rate.Per / time.Second)}
	}
	switch {
	case !l.RevokedAt.IsZero():
		out.Ended = &api.Revoked{At: l.RevokedAt, Reason: l.EndedWhy}
	case l.State(now) == postern.LegacyEnded:
		out.Ended = &api.Revoked{At: l.ExpiresAt, Reason: "It expired."}
	}
	return out
}

type changedLegacyOutput struct {
	ETag string `header:"ETag"`
	Body api.ChangedLegacy
}

func (s *server) changedLegacy(ctx context.Context, made keyring.LegacyMade, err error) (*changedLegacyOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &changedLegacyOutput{etag(made.Legacy.Revision), api.ChangedLegacy{LegacyCredential: s.legacyJSON(&made.Legacy, postern.LastUse{})}}
	if made.Seq > 0 {
		out.Body.Receipt = s.receipt(ctx, made.Seq)
	}
	return out, nil
}

type editLegacyInput struct {
	KeyInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    api.EditLegacy
}

func (s *server) editLegacy(ctx context.Context, in *editLegacyInput) (*changedLegacyOutput, error) {
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	edit := keyring.LegacyEdit{IfRevision: revision}
	if v, ok := in.Body.Name.Get(); ok {
		edit.Name = &v
	}
	if v, ok := in.Body.Note.Get(); ok {
		edit.Note = &v
	}
	if v, ok := in.Body.SunsetAt.Get(); ok {
		v = cut(v)
		edit.SunsetAt = &v
	}
	if v, ok := in.Body.ExpiresAt.Get(); ok {
		v = cut(v)
		edit.ExpiresAt = &v
	}
	made, err := s.kr.EditLegacy(ctx, by(ctx), postern.KeyID(in.ID), edit)
	return s.changedLegacy(ctx, made, err)
}

func (s *server) pauseLegacy(ctx context.Context, in *KeyInput) (*changedLegacyOutput, error) {
	yes := true
	made, err := s.kr.EditLegacy(ctx, by(ctx), postern.KeyID(in.ID), keyring.LegacyEdit{Paused: &yes})
	return s.changedLegacy(ctx, made, err)
}

func (s *server) resumeLegacy(ctx context.Context, in *KeyInput) (*changedLegacyOutput, error) {
	no := false
	made, err := s.kr.EditLegacy(ctx, by(ctx), postern.KeyID(in.ID), keyring.LegacyEdit{Paused: &no})
	return s.changedLegacy(ctx, made, err)
}

func (s *server) endLegacy(ctx context.Context, in *revokeKeyInput) (*changedLegacyOutput, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	made, err := s.kr.EndLegacy(ctx, by(ctx), postern.KeyID(in.ID), reason)
	return s.changedLegacy(ctx, made, err)
}

type importLegacyInput struct {
	DryRun bool   `query:"dryRun" doc:"Check everything, and change nothing."`
	Report string `query:"report" enum:"problems,all" default:"problems" doc:"all: tell the lines that were imported too."`
}

type importLegacyOutput struct{ Body api.LegacyImport }

// importLegacy imports a file as it comes. It is never held as a whole.
func (s *server) importLegacy(ctx context.Context, in *importLegacyInput) (*importLegacyOutput, error) {
	st := stateOf(ctx)
	if !enter(s.imports) {
		return nil, postern.Errorf(postern.CodeUnavailable, "Other imports are running. Try again in a minute.")
	}
	defer leave(s.imports)
	conn := http.NewResponseController(st.w)
	o := workbench.ImportOptions{Format: st.format, DryRun: in.DryRun, All: in.Report == "all", Brand: s.kr.Brand(), Progress: func(*workbench.ImportReport) error {
		_ = conn.SetWriteDeadline(time.Now().Add(importPart)) // not every connection has deadlines
		return ctx.Err()
	}}
	r, err := workbench.Import(ctx, s.kr, by(ctx), st.body, o)
	if err != nil {
		return nil, importFailed(err, r)
	}
	_ = conn.SetReadDeadline(time.Time{})
	out := &importLegacyOutput{api.LegacyImport{ImportID: r.Import, DryRun: r.DryRun, Records: r.Records, Imported: r.Imported, Duplicates: r.Duplicates,
		Refused: r.Refused, Weak: r.Weak, APIKeys: r.APIKeys, Lines: make([]api.LegacyImportLine, len(r.Lines)), LeftOut: r.LeftOut}}
	if r.DryRun {
		out.Body.ImportID = ""
	}
	for _, t := range r.Translated {
		out.Body.Translated = append(out.Body.Translated, api.TranslatedScope{Name: t.Name, Scopes: list[string](t.Scopes), Lines: t.Lines})
	}
	for i, l := range r.Lines {
		out.Body.Lines[i] = api.LegacyImportLine{Line: l.Line, Result: string(l.Outcome), ID: string(l.ID), Reason: l.Reason}
	}
	return out, nil
}

// importFailed says why an import broke off, and what stays of it.
func importFailed(err error, r *workbench.ImportReport) error {
	stays := ""
	if r != nil && r.Imported > 0 && !r.DryRun {
		stays = " " + strconv.Itoa(r.Imported) + " credentials were imported before that and stay. Send the same file again: nothing is imported twice."
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return postern.Errorf(postern.CodeTooLarge, "The file has more than %d MiB. Send it in parts, or use the command line.%s", maxImport>>20, stays)
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return &postern.Error{Code: postern.CodeTimeout, Message: "The file did not come in time." + stays, Err: err}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &postern.Error{Code: postern.CodeInvalid, Message: "The file did not arrive whole." + stays, Err: err}
	}
	return err
}

// openImport makes a request's body ready to be read as it comes.
func openImport(w http.ResponseWriter, r *http.Request) (format string, body io.Reader, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
	case kind == importFormCSV:
		format = "csv"
	case kind == importFormJSON, kind == "application/x-ndjson":
		format = "jsonl"
	}
	switch {
	case format == "":
		return "", nil, postern.Errorf(postern.CodeUnsupportedMedia, "Send the file as it is, with Content-Type: text/csv or application/jsonl.")
	case r.Header.Get("Content-Encoding") != "":
		return "", nil, postern.Errorf(postern.CodeUnsupportedMedia, "Send the file as it is, without a Content-Encoding.")
	case r.ContentLength > maxImport:
		return "", nil, postern.Errorf(postern.CodeTooLarge, "The file has more than %d MiB, which is the most here. Send it in parts, or use the command line.", maxImport>>20)
	}
	conn := http.NewResponseController(w)
	return format, http.MaxBytesReader(w, &paced{ReadCloser: r.Body, conn: conn, began: time.Now(), most: importTime}, maxImport), nil
}
