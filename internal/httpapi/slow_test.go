package httpapi_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/httpapi"
)

// link is a connection over which a body comes bit by bit.
type link struct {
	*httptest.ResponseRecorder
	deadline time.Time
	size     int           // how much comes at a time
	every    time.Duration // how long each takes
	chunks   int
}

func (l *link) SetReadDeadline(t time.Time) error {
	l.deadline = t
	return nil
}

func (l *link) Close() error { return nil }

// Read gives the next bit when its time has come, or fails when the deadline has.
func (l *link) Read(b []byte) (int, error) {
	if l.chunks == 0 {
		return 0, io.EOF
	}
	if left := time.Until(l.deadline); !l.deadline.IsZero() && left < l.every {
		time.Sleep(max(left, 0))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(l.every)
	n := min(l.size, len(b))
	for i := range n {
		b[i] = ' '
	}
	l.chunks--
	if l.chunks == 0 {
		b[n-1] = '1'
	}
	return n, nil
}

// A body must keep coming: one that stops, or drips, ends its request soon, also
// where a whole one may take two minutes.
func TestSlowBody(t *testing.T) {
	for _, c := range []struct {
		name    string
		catalog bool
		size    int
		every   time.Duration
		chunks  int
		late    time.Duration // when it must be given up; 0: it is read
	}{
		{"a catalog that stops", true, 1, time.Hour, 1, 10 * time.Second},
		{"a catalog that drips", true, 1, time.Second, 1000, 11 * time.Second},
		{"a catalog at 8 KiB a second", true, 512, time.Second / 16, 10_000, 20 * time.Second},
		{"a catalog at 32 KiB a second", true, 512, time.Second / 64, 64 * 60, 0},
		{"one that is too long at that", true, 512, time.Second / 64, 64 * 180, 2 * time.Minute},
		{"a body that drips", false, 1, time.Second, 1000, 10 * time.Second},
		{"a body at 32 KiB a second", false, 512, time.Second / 64, 64 * 20, 10 * time.Second},
		{"a body in time", false, 512, time.Second / 64, 64 * 9, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &link{ResponseRecorder: httptest.NewRecorder(), size: c.size, every: c.every, chunks: c.chunks}
				r := httptest.NewRequest("POST", "/", nil)
				r.Body, r.ContentLength = l, -1
				r.Header.Set("Content-Type", "application/json")
				began := time.Now()
				_, err := httpapi.ReadBody(l, r, c.catalog)
				took := time.Since(began)
				if c.late == 0 {
					if err != nil || !l.deadline.IsZero() {
						t.Errorf("after %s: %v, deadline %s; want it read, and no deadline left", took, err, l.deadline)
					}
					return
				}
				if !errors.Is(err, postern.CodeTimeout) || took > c.late {
					t.Errorf("after %s: %v; want %s by %s", took, err, postern.CodeTimeout, c.late)
				}
				if l.deadline.IsZero() {
					t.Error("the deadline was lifted: the server would wait for the rest before it answers")
				}
			})
		})
	}
}
