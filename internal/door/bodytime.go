package door

import (
	"io"
	"net/http"
	"time"
)

// BodiesWithin bounds how long the body of a request may take to come: least, and
// a second for each 64 KiB that it says it has, up to two minutes. A connection
// whose body is late is closed after the answer.
func BodiesWithin(least time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			within := least + time.Duration(max(r.ContentLength, 0)>>16)*time.Second
			conn := http.NewResponseController(w)
			if conn.SetReadDeadline(time.Now().Add(min(within, 2*time.Minute))) == nil {
				r.Body = &timedBody{r.Body, conn}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody lifts the deadline when the body is there: one that ran out later would end the request.
type timedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
