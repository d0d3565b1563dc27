package door

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
)

// panicAt tells where a panic that was recovered came from: the first function
// on the stack that is not the runtime's or this file's.
func panicAt() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	past := false
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "runtime."):
			past = true
		case past:
			return f.Function + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

// Recover makes a handler's panic a 503, so that no request is left hanging and
// none is taken for allowed.
func (d *Door) Recover(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			c := &Call{}
			c.RequestID = NewRequestID()
			if !d.Recovered(c, p) {
				panic(p)
			}
			d.Refuse(w, c)
		}()
		h.ServeHTTP(w, r)
	})
}
