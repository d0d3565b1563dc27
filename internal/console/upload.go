package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

const (
	uploadsAtOnce = 2           // of this server
	uploadTime    = time.Hour   // from end to end
	uploadPart    = time.Minute // in which some of it has to come
	uploadFields  = 64 << 10    // bytes of the fields before the file
)

// upload is a file that is read as it comes. It is never held as a whole, and
// nothing of it goes to a disk.
type upload struct {
	*bufio.Reader
	Name string // as its sender calls it, without folders

	part  *multipart.Part
	conn  *http.ResponseController
	began time.Time
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
	until := time.Now().Add(uploadPart)
	if end := u.began.Add(uploadTime); end.Before(until) {
		until = end
	}
	_ = u.conn.SetReadDeadline(until) // not every connection has deadlines
	_ = u.conn.SetWriteDeadline(until.Add(uploadPart))
	n, err := u.part.Read(b)
	if u.n.Add(int64(n)) > u.most {
		return 0, &errUploadSize{u.most}
	}
	return n, err
}

// runUpload serves a route that streams: it reads the fields before the file, and
// checks that a page of ours sent them.
func (v *visit) runUpload() error {
	if err := v.openUpload(); err != nil {
		return err
	}
	return v.answerOnce()
}

func (v *visit) openUpload() error {
	unread := postern.Errorf(postern.CodeInvalid, "The form could not be read. Go back and send it again.")
	parts, err := v.r.MultipartReader()
	if err != nil {
		return unread
	}
	v.r.PostForm = url.Values{}
	v.r.Form = v.r.PostForm
	for room := uploadFields; ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return unread
		}
		if p.FileName() != "" {
			conn := http.NewResponseController(v.w)
			v.file = &upload{Name: clipped(p.FileName()), part: p, conn: conn, began: time.Now(), most: v.rt.MaxBody - uploadFields, total: v.r.ContentLength}
			v.file.Reader = bufio.NewReaderSize(source{v.file}, 64<<10)
			break
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
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, multipart.ErrMessageTooLarge) {
		return postern.Invalidf("file", "The file did not arrive whole. Send it again.")
	}
	return err
}

// uploads are the files on their way in, so that their pages can say how far they are.
type uploads struct {
	mu sync.Mutex
	by map[string]*upload
}

// begin makes room for an upload. Whoever got it ends it.
func (u *uploads) begin(name string, f *upload) (end func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.by) >= uploadsAtOnce {
		return nil, postern.Invalidf("file", "Other files are being read. Try again in a minute.")
	}
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
	}, nil
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
