package console

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"postern.dev/postern"
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
