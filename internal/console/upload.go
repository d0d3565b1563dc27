package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

const (
	uploadsAtOnce = 4           // of this server
	uploadsEach   = 1           // of an account
	uploadTime    = time.Hour   // from end to end
	uploadPart    = time.Minute // in which some of it has to come
	uploadFields  = 64 << 10    // bytes of the fields before the file
	uploadNames   = 32          // fields before the file
	uploadGrace   = time.Minute // before a file must come at a pace of
	uploadPace    = 64 << 10    // bytes in
	uploadBeat    = 30 * time.Second
)

// upload is a file that is read as it comes. It is never held as a whole, and
// nothing of it goes to a disk.
type upload struct {
	*bufio.Reader
	Name string // as its sender calls it, without folders

	part  *multipart.Part
	conn  *http.ResponseController
	began time.Time
	slept time.Duration // of reading, waiting for the sender
	most  int64
	total int64 // of the request, which is a little more than the file
	n     atomic.Int64
	done  atomic.Int64 // records so far, where someone counts
}

// errUploadSize is an upload that is too big.
type errUploadSize struct{ most int64 }

func (e *errUploadSize) Error() string { return "the file is too big" }

// source reads from the part: bounded, and with a deadline for what comes next.
type source struct{ *upload }

func (s source) Read(b []byte) (int, error) {
	u := s.upload
	if u.n.Load() > u.most {
		return 0, &errUploadSize{u.most}
	}
	now := time.Now()
	until := now.Add(min(uploadPart, patience(u.n.Load(), u.slept), u.began.Add(uploadTime).Sub(now)))
	_ = u.conn.SetReadDeadline(until) // not every connection has deadlines
	_ = u.conn.SetWriteDeadline(until.Add(uploadPart))
	n, err := u.part.Read(b)
	u.slept += time.Since(now)
	if u.n.Add(int64(n)) > u.most {
		return 0, &errUploadSize{u.most}
	}
	return n, err
}

// patience is how much longer a sender of n bytes, for whom was waited so long, is
// waited for: a place isn't held by those who send a byte a minute.
func patience(n int64, slept time.Duration) time.Duration {
	return uploadGrace + time.Duration(n/uploadPace)*uploadBeat - slept
}

// fields bounds what comes before a file, with the names of the fields.
type fields struct {
	io.Reader
	left int // -1 from the file on
}

func (f *fields) Read(b []byte) (int, error) {
	if f.left < 0 {
		return f.Reader.Read(b)
	}
	if f.left == 0 {
		return 0, multipart.ErrMessageTooLarge
	}
	n, err := f.Reader.Read(b[:min(len(b), f.left)])
	f.left -= n
	return n, err
}

// runUpload serves a route that streams: it reads the fields before the file, and
// checks that a page of ours sent them.
func (v *visit) runUpload() error {
	leave, how := v.c.uploads.places.Enter(v.r.Context(), string(v.by.AccountID), 0)
	switch how {
	case limit.Share:
		return postern.Errorf(postern.CodeRateLimited, "Another file of your account is being read. Send this one when that is done.")
	case limit.Full:
		return postern.Errorf(postern.CodeUnavailable, "Other files are being read. Try again in a minute.")
	}
	defer leave()
	if err := v.openUpload(); err != nil {
		return err
	}
	return v.answerOnce()
}

func (v *visit) openUpload() error {
	unread := postern.Errorf(postern.CodeInvalid, "The form could not be read. Go back and send it again.")
	// The reader that knows the boundary reads the names of fields whole, and they can
	// be as long as megabytes: it is given no more than fields may have.
	before := &fields{Reader: v.r.Body, left: 2 * uploadFields}
	bounded := v.r.Clone(v.r.Context())
	bounded.Body = io.NopCloser(before)
	parts, err := bounded.MultipartReader()
	if err != nil {
		return unread
	}
	conn := http.NewResponseController(v.w)
	_ = conn.SetReadDeadline(time.Now().Add(uploadPart))
	v.r.PostForm = url.Values{}
	v.r.Form = v.r.PostForm
	for n, room := 0, uploadFields; ; n++ {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return unread
		}
		if p.FileName() != "" {
			before.left = -1
			v.file = &upload{Name: clipped(p.FileName()), part: p, conn: conn, began: time.Now(), most: v.rt.MaxBody - uploadFields, total: v.r.ContentLength}
			v.file.Reader = bufio.NewReaderSize(source{v.file}, 64<<10)
			break
		}
		if room -= len(p.FormName()) + 64; room < 0 || n == uploadNames {
			return unread
		}
		text, err := io.ReadAll(io.LimitReader(p, int64(room)+1))
		if err != nil || len(text) > room {
			return unread
		}
		room -= len(text)
		v.r.PostForm.Add(p.FormName(), string(text))
	}
	once, ok := v.c.checkFormToken(v.session.ID, v.r.PostForm.Get(formToken))
	if !ok {
		return postern.Errorf(postern.CodeForbidden, "This form was not made for this session. Open the page again and repeat what you did.")
	}
	v.once = once
	return nil
}

// drain reads what is left of an upload, so that its sender, who reads nothing
// before they have sent it all, gets to see the answer.
func (v *visit) drain() {
	if !v.rt.Streams || v.r.Body == nil || v.r.Method != http.MethodPost {
		return
	}
	conn := http.NewResponseController(v.w)
	_ = conn.SetReadDeadline(time.Now().Add(uploadPart))
	_, _ = io.Copy(io.Discard, v.r.Body)
	_ = conn.SetReadDeadline(time.Time{})
	_ = conn.SetWriteDeadline(time.Now().Add(uploadPart))
}

// uploadFailed says why a file could not be read to its end.
func uploadFailed(err error) error {
	if big, ok := errors.AsType[*errUploadSize](err); ok {
		return postern.Invalidf("file", "The file has more than %s, which is the most here. Send it in parts, or use the command line.", bytesWords(big.most))
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return postern.Invalidf("file", "The file is bigger than this page takes. Send it in parts, or use the command line.")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return postern.Invalidf("file", "The file comes too slowly: at least %d KB must come in %d seconds. Send it in parts, or use the command line.", uploadPace>>10, int(uploadBeat.Seconds()))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, multipart.ErrMessageTooLarge) {
		return postern.Invalidf("file", "The file did not arrive whole. Send it again.")
	}
	return err
}

// uploads are the files on their way in, so that their pages can say how far they are.
type uploads struct {
	places *limit.Places

	mu sync.Mutex
	by map[string]*upload
}

// begin notes an upload. Whoever began it ends it.
func (u *uploads) begin(name string, f *upload) (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = map[string]*upload{}
	}
	if u.by[name] != nil {
		name = fmt.Sprintf("%s %p", name, f)
	}
	u.by[name] = f
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.by, name)
	}
}

func (u *uploads) find(name string) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.by[name]
}

// job names an upload of the visit, as its page does.
func (v *visit) job(text string) string { return string(v.by.MemberID) + " " + clipped(text) }

// uploadRoutes are what reads files as they come, and says how far an upload is.
func (c *Console) uploadRoutes() []route {
	return append(c.inventoryRoutes(), route{Pattern: "GET /uploads/{job}", Quiet: true, Serve: c.showUpload, Need: []postern.Permission{postern.PermKeysWrite}})
}

// showUpload answers a page's script. An upload that another server reads, or that is over, is not known.
func (c *Console) showUpload(v *visit) error {
	out := struct {
		Known bool  `json:"known"`
		Read  int64 `json:"read"`
		Total int64 `json:"total"`
		Done  int64 `json:"done"`
	}{}
	if f := c.uploads.find(v.job(v.path("job"))); f != nil {
		out.Known, out.Read, out.Total, out.Done = true, f.n.Load(), f.total, f.done.Load()
	}
	return v.json(out)
}
