package console

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// sendFile sends a form with a file: the fields first.
func (b *browser) sendFile(path, name string, file io.Reader, pairs ...string) *page {
	b.w.t.Helper()
	read, write := io.Pipe()
	m := multipart.NewWriter(write)
	token := b.token()
	go func() {
		_ = m.WriteField(formToken, token)
		for i := 0; i+1 < len(pairs); i += 2 {
			_ = m.WriteField(pairs[i], pairs[i+1])
		}
		if file != nil {
			part, _ := m.CreateFormFile("file", name)
			_, _ = io.Copy(part, file)
		}
		_ = m.Close()
		write.Close()
	}()
	req := must(http.NewRequest("POST", b.w.url+path, read))(b.w.t)
	req.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(req)
}

var checkedIn = regexp.MustCompile(`name="checked" value="([^"]+)"`)

const importCSV = `name,kind,secret,scopes,note
web-forms,api_key,7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2,,Kim
old-sync,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3,deals.read,Lee
bad,private_app,short,deals.read,
odd,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a5,no.such,
`

func (w *world) legacyCount() int64 {
	return must(w.kr.LegacyCounts(w.t.Context(), w.super))(w.t).All
}

// A file is checked first and changes nothing, and is then imported: small ones
// without being sent again. Nothing of it comes to rest on a disk or in the log.
func TestLegacyImport(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		t.Setenv("TMPDIR", dir)
		b := w.login()
		b.get("/legacy/import").want(200, "Choose the file", "What the columns are")
		b.sendFile("/legacy/import", "", nil, "do", "check").want(422, "Choose a file.")
		b.sendFile("/legacy/import", "keys.csv", strings.NewReader("colour\nred\n"), "do", "check").want(422, "Column 1 has a name that is not known")
		p := b.sendFile("/legacy/import", "keys.csv", strings.NewReader(importCSV), "do", "check").want(200, "What would happen", "2 of 4 lines", "1 API key", "A secret has from 8", "Nobody knows the scope", "postern migrate scope-names no.such", "Import 2 credentials")
		p.not("7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3", "3a1c7be0f0a5")
		if n := w.legacyCount(); n != 0 {
			t.Fatalf("a check imported %d", n)
		}
		if p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("the sealed file may be cached: %v", p.header)
		}
		sealed := checkedIn.FindStringSubmatch(p.body)[1]
		ada := w.login(w.member("ada@example.com", "Ada Marsh", postern.RoleSuperAdmin))
		ada.post("/legacy/import/checked", "checked", sealed).want(422, "kept for 30 minutes and is gone")
		b.post("/legacy/import/checked", "checked", "nonsense").want(422, "kept for 30 minutes and is gone")
		b.post("/legacy/import/checked", "checked", sealed).want(200, "Done", "2 of 4 lines", "See them")
		if n := w.legacyCount(); n != 2 {
			t.Fatalf("%d were imported", n)
		}
		// The same file again, in the other form, imports nothing twice.
		b.sendFile("/legacy/import", "keys.jsonl", strings.NewReader("\n"+`{"secret":"pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3","scopes":["deals.read"]}`), "do", "import").want(200, "0 of 1 line", "1 line: imported before, or twice in the file")
		if left := must(os.ReadDir(dir))(t); len(left) != 0 {
			t.Errorf("%d files are left", len(left))
		}
		if log := w.log.String(); strings.Contains(log, "7c5d0d3e-28f1") {
			t.Error("a secret is in the log")
		}

		// A member imports what they hold, and no more; one who may only look, nothing.
		noor := w.login(w.memberHolding("noor@example.com", postern.RoleKeyManager, "deals.read"))
		noor.sendFile("/legacy/import", "a.csv", strings.NewReader("kind,secret,scopes\napi_key,9c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2,\nprivate_app,pat-na1-9c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3,deals.write\nprivate_app,pat-na1-9c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a4,deals.read\n"), "do", "import").
			want(200, "1 of 3 lines", "may do everything, and you don't hold every scope", "deals.write")
		sam := w.login(w.member("sam@example.com", "Sam Whitlock", postern.RoleViewer))
		sam.get("/legacy/import").want(403)
		sam.sendFile("/legacy/import", "a.csv", strings.NewReader(importCSV), "do", "import").want(403)

		// Without a token of this session nothing is read; with an old proof the form is shown again.
		w.stranger().bare(t, "/legacy/import", importCSV).to("/signin?next=%2Flegacy%2Fimport")
		w.later(16 * time.Minute)
		b.sendFile("/legacy/import", "a.csv", strings.NewReader(importCSV), "do", "import").to("/confirm?next=%2Flegacy%2Fimport")
		b.get("/legacy/import").to("/confirm?next=%2Flegacy%2Fimport")
	})
}

// bare sends a file without a token.
func (b *browser) bare(t *testing.T, path, text string) *page {
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	part := must(m.CreateFormFile("file", "a.csv"))(t)
	fmt.Fprint(part, text)
	m.Close()
	req := must(http.NewRequest("POST", b.w.url+path, &body))(t)
	req.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(req)
}

// memberHolding invites someone who holds scopes.
func (w *world) memberHolding(email string, role postern.RoleID, scopes ...string) postern.Actor {
	w.t.Helper()
	a := w.member(email, "Noor Haddad", role)
	g := postern.Grants(scopes)
	if _, err := w.kr.EditMember(w.t.Context(), w.super, a.MemberID, keyring.MemberEdit{Scopes: &g}); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// A big file is read as it comes, and sent again for the import; one that is too
// big, or breaks off, is refused in words, and what came before stays.
func TestLegacyImportIsStreamed(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	b := w.login()
	b.bare(t, "/legacy/import", importCSV).want(403, "not made for this session")
	big := func(n int) io.Reader {
		var s strings.Builder
		s.WriteString("name,kind,secret,scopes\n")
		for i := range n {
			fmt.Fprintf(&s, "tool-%06d,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-%012d,deals.read\n", i, i)
		}
		return strings.NewReader(s.String())
	}
	b.sendFile("/legacy/import", "big.csv", big(2000), "do", "check", "job", "j").want(200, "2,000 of 2,000 lines", "The same file again").not(`name="checked"`)
	b.sendFile("/legacy/import", "big.csv", big(2000), "do", "import", "job", "j").want(200, "Done", "2,000 of 2,000 lines")
	if n := w.legacyCount(); n != 2000 {
		t.Errorf("%d were imported", n)
	}
	b.get("/uploads/j").want(200, `"known":false`)
	// 51 MiB: refused, and the sender sees why.
	rows := io.LimitReader(&endless{head: []byte("name,kind,secret,scopes\n"), line: []byte(strings.Repeat("x", 60_000) + ",private_app,short,deals.read\n")}, 51<<20)
	b.sendFile("/legacy/import", "huge.csv", rows, "do", "check").want(422, "The file has more than")
	page, err := w.db.LegacyPage(t.Context(), w.account, store.LegacyFilter{}, w.now(), store.Cursor{}, 1)
	if err != nil || len(page) != 1 {
		t.Errorf("list = %v, %v", page, err)
	}
}

// endless is a file without an end.
type endless struct{ head, line, left []byte }

func (e *endless) Read(b []byte) (int, error) {
	if e.head != nil {
		e.left, e.head = e.head, nil
	}
	n := 0
	for n < len(b) {
		if len(e.left) == 0 {
			e.left = e.line
		}
		k := copy(b[n:], e.left)
		n, e.left = n+k, e.left[k:]
	}
	return n, nil
}
