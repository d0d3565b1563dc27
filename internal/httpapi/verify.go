package httpapi

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/verify"
)

// maxVerifyBody is the most bytes of a question.
const maxVerifyBody = 64 << 10

// VerifyHandler answers POST /v1/verify: whether a secret may do something. A
// denial is an answer, with status 200; 400 says that the question is malformed,
// and 503 that it can't be told now. Without a credential of its own a caller
// learns what the holder of the secret may know; a resource server of the
// credential's account, who presents one that holds postern.verify, learns which
// scopes it has too.
func VerifyHandler(d *door.Door) http.Handler { return &verifyHandler{d} }

type verifyHandler struct{ door *door.Door }

// verification is one question on its way; it is used again.
type verification struct {
	call  door.Call
	in    verifyInput
	body  []byte
	out   []byte
	began time.Time
	asker *door.Call
}

var verifications = sync.Pool{New: func() any { return &verification{body: make([]byte, 0, 1024), out: make([]byte, 0, 1024)} }}

// Headers of every answer. They are shared: net/http reads them only.
var (
	jsonType = []string{"application/json"}[:1:1]
	noStore  = []string{"no-store"}[:1:1]
	nosniff  = []string{"nosniff"}[:1:1]
)

func (h *verifyHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := verifications.Get().(*verification)
	q.began = time.Now()
	defer func() {
		if p := recover(); p != nil {
			if !h.door.Recovered(&q.call, p) {
				panic(p)
			}
			h.door.Refuse(w, &q.call)
			return // what a panic left behind isn't used again
		}
		q.reset()
		verifications.Put(q)
	}()
	q.call.RequestID = door.NewRequestID()
	q.call.Door = postern.DoorVerify
	if !h.read(w, r, q) {
		return
	}
	status := http.StatusOK
	if !h.door.Judge(r.Context(), &q.call) && q.call.Decision.Reason.Status() == http.StatusServiceUnavailable {
		status = http.StatusServiceUnavailable
		h.door.Refuse(w, &q.call)
	} else {
		h.answer(w, q)
	}
	h.door.Done(&q.call, verify.Outcome{Status: status, Duration: time.Since(q.began), BytesIn: int64(len(q.body)), BytesOut: int64(len(q.out))})
}

// read reads the question, and who asks it. What is wrong with it is said.
func (h *verifyHandler) read(w http.ResponseWriter, r *http.Request, q *verification) bool {
	status, err := h.readBody(r, q)
	if err == nil {
		status, err = http.StatusBadRequest, q.in.decode(q.body)
	}
	if err == nil {
		err = q.facts(h.door)
	}
	if err != nil {
		q.call.Status = status
		q.call.Refuse(err.Error())
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		h.door.Refuse(w, &q.call)
		return false
	}
	if r.Header["Authorization"] == nil {
		return true
	}
	asker, ok := h.door.Asker(r)
	if !ok {
		h.door.Refuse(w, asker)
	}
	h.door.Done(asker, verify.Outcome{Status: asker.StatusOf(), Duration: time.Since(q.began)})
	q.asker = asker
	return ok
}

func (h *verifyHandler) readBody(r *http.Request, q *verification) (status int, err error) {
	switch {
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, bad("Questions are asked with POST.")
	case !isJSON(r.Header["Content-Type"]):
		return http.StatusUnsupportedMediaType, bad("The question is to be JSON, with the Content-Type application/json.")
	case r.ContentLength > maxVerifyBody:
		return http.StatusRequestEntityTooLarge, bad("The question is longer than 64 KiB.")
	}
	for {
		if len(q.body) == cap(q.body) {
			q.body = append(q.body, 0)[:len(q.body)]
		}
		n, err := r.Body.Read(q.body[len(q.body):cap(q.body)])
		q.body = q.body[:len(q.body)+n]
		switch {
		case len(q.body) > maxVerifyBody:
			return http.StatusRequestEntityTooLarge, bad("The question is longer than 64 KiB.")
		case err == io.EOF:
			return 0, nil
		case err != nil:
			return http.StatusBadRequest, bad("The question could not be read to its end.")
		}
	}
}

// isJSON reports whether there is one content type, and it is JSON.
func isJSON(values []string) bool {
	if len(values) != 1 {
		return false
	}
	if values[0] == jsonType[0] {
		return true
	}
	media, params, _ := strings.Cut(values[0], ";")
	if !strings.EqualFold(strings.TrimSpace(media), jsonType[0]) {
		return false
	}
	params = strings.ToLower(strings.TrimSpace(params))
	return params == "" || params == "charset=utf-8" || params == `charset="utf-8"`
}

// facts turns the question into what is decided about.
func (q *verification) facts(d *door.Door) error {
	in, c := &q.in, &q.call
	switch {
	case in.method == "" && (in.path != "" || in.host != "" || in.upstream != ""):
		return bad("method: A path needs a method.")
	case in.method != "" && in.path == "":
		return bad("path: A method needs a path.")
	case in.method != "" && len(in.scopes) > 0:
		return bad("scopes: Ask about a method and a path, or about scopes.")
	}
	if in.remoteIP != "" {
		ip, err := netip.ParseAddr(in.remoteIP)
		if err != nil || ip.Zone() != "" {
			return bad("remoteIp: This is not an IP address.")
		}
		c.RemoteIP = ip.Unmap()
	}
	if in.secret != "" {
		c.Secret = door.Presented(in.secret)
	}
	c.UserAgent = in.userAgent
	c.Scopes = in.scopes
	if in.method != "" {
		c.Method, c.Upstream = in.method, postern.UpstreamID(in.upstream)
		d.Target(c, in.host, in.path)
	}
	return nil
}

func (h *verifyHandler) answer(w http.ResponseWriter, q *verification) {
	q.append(h.door)
	head := w.Header()
	head["Content-Type"] = jsonType
	head["Cache-Control"] = noStore
	head["X-Content-Type-Options"] = nosniff
	w.Write(q.out)
}

// reset makes a question ready to be used again, without its secrets.
func (q *verification) reset() {
	clear(q.body)
	*q = verification{body: q.body[:0], out: q.out[:0]}
	if cap(q.body) > maxKept {
		q.body = make([]byte, 0, 1024)
	}
	if cap(q.out) > maxKept {
		q.out = make([]byte, 0, 1024)
	}
}

// maxKept is the largest buffer that is kept for the next question.
const maxKept = 16 << 10
