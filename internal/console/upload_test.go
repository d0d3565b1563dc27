package console

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

// An upload leaves no file behind, whoever sent it.
func TestUploadLeavesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		t.Setenv("TMPDIR", dir)
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("file", "openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(bytes.Repeat([]byte("a: b\n"), 1<<20))
		form.Close()
		met := 0
		rt := route{Pattern: "POST /upload", Public: true, Serve: func(v *visit) error {
			met = len(must(os.ReadDir(dir))(t))
			return postern.Errorf(postern.CodeInvalid, "No.")
		}}
		r := httptest.NewRequest(http.MethodPost, "/upload", &body)
		r.Header.Set("Content-Type", form.FormDataContentType())
		v := &visit{c: w.console, rt: rt, r: r.WithContext(t.Context()), w: httptest.NewRecorder()}
		if err := v.run(); err == nil {
			t.Fatal("no error")
		}
		if met == 0 {
			t.Fatal("the upload was not on disk: this test would show nothing")
		}
		if left := must(os.ReadDir(dir))(t); len(left) != 0 {
			t.Errorf("%d files are left", len(left))
		}
	})
}

// Names of fields count as much as what they hold, and their number is bounded.
func TestUploadFieldsAreBounded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/migration/inventory").want(200)
		var many []string
		for i := range uploadNames {
			many = append(many, fmt.Sprintf("f%d", i), "x")
		}
		for name, pairs := range map[string][]string{
			"a long name":  {strings.Repeat("n", uploadFields), "x"},
			"a huge name":  {strings.Repeat("n", 4*uploadFields), "x"},
			"long names":   {strings.Repeat("n", uploadFields/2), "x", strings.Repeat("m", uploadFields/2), "x"},
			"a long value": {"x", strings.Repeat("n", uploadFields)},
			"many":         many,
		} {
			t.Log(name)
			b.sendFile("/migration/inventory", "a.log", strings.NewReader("x"), pairs...).want(422, "The form could not be read")
		}
		b.sendFile("/migration/inventory", "a.log", strings.NewReader(strings.Repeat("x\n", 2*uploadFields)), many[:2*(uploadNames-2)]...).want(422, "No line of this file")
	})
}

// One account never holds all places, and who finds none has nothing of theirs read.
func TestUploadPlaces(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/migration/inventory").want(200)
		places := w.console.uploads.places
		leave, _ := places.Enter(t.Context(), string(w.super.AccountID), 0)
		b.sendFile("/migration/inventory", "a.log", strings.NewReader("x")).want(429, "Another file of your account is being read")
		leave()
		var leaves []func()
		for i := range uploadsAtOnce {
			leave, how := places.Enter(t.Context(), fmt.Sprint(i), 0)
			if how != limit.Entered {
				t.Fatalf("place %d: %s", i, how)
			}
			leaves = append(leaves, leave)
		}
		b.sendFile("/migration/inventory", "a.log", strings.NewReader("x")).want(503, "Other files are being read")
		for _, leave := range leaves {
			leave()
		}
		b.sendFile("/migration/inventory", "a.log", strings.NewReader("x")).want(422, "No line of this file")
	})
}

func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		n           int64
		slept, want time.Duration
	}{
		{0, 0, uploadGrace},
		{100, uploadGrace, 0},
		{uploadPace, uploadGrace, uploadBeat},
		{10 * uploadPace, 5 * time.Minute, uploadGrace},
		{uploadPace, 2 * time.Minute, -uploadBeat},
	} {
		if got := patience(tt.n, tt.slept); got != tt.want {
			t.Errorf("patience(%d, %s) = %s, want %s", tt.n, tt.slept, got, tt.want)
		}
	}
}
