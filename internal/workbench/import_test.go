package workbench_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"crypto/sha256"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

// taken is what an import brings in.
type taken struct {
	items []keyring.LegacyItem
	sizes []int
}

func (*taken) BeginLegacyImport(context.Context, postern.Actor) (string, error) { return "imp_1", nil }

func (*taken) LegacyNames(context.Context) ([]store.LegacyScope, []*catalog.Catalog, error) {
	return []store.LegacyScope{{Name: "deals-old", Scopes: []string{"crm.objects.deals.*"}}, {Name: "gone", Scopes: []string{"nothing.*"}}}, []*catalog.Catalog{{Scopes: []postern.ScopeInfo{
		{Name: "crm.objects.contacts.read"}, {Name: "crm.objects.contacts.write"}, {Name: "crm.objects.deals.read"}, {Name: "tickets"}, {Name: "oauth", Implicit: true}}}}, nil
}

func (k *taken) ImportLegacy(_ context.Context, _ postern.Actor, in keyring.LegacyBatch) (out []keyring.LegacyResult, err error) {
	k.items, k.sizes = append(k.items, in.Items...), append(k.sizes, len(in.Items))
	for _, i := range in.Items {
		out = append(out, keyring.LegacyResult{Line: i.Line, Outcome: keyring.LegacyImported})
	}
	return out, nil
}

func importText(t *testing.T, format, text string) (*taken, *workbench.ImportReport, error) {
	t.Helper()
	k := &taken{}
	r, err := workbench.Import(t.Context(), k, postern.Actor{}, strings.NewReader(text), workbench.ImportOptions{Format: format, Brand: "pst", All: true})
	return k, r, err
}

func TestImportReadsWhatPeopleHave(t *testing.T) {
	sum := sha256.Sum256([]byte("the-same-secret"))
	k, r, err := importText(t, "jsonl", strings.Join([]string{
		`{"kind":"api_key","sha256":"` + hex.EncodeToString(sum[:]) + `"}`,
		``,
		`{"kind":"Private App","sha256":"` + base64.StdEncoding.EncodeToString(sum[:]) + `","scopes":["a","b"]}`,
		`{"kind":"legacy_private_app","sha256":"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `","scopes":"a, b","sunset":"2027-01-31","expires":"2027-02-28T12:00:00+02:00"}`,
		`{"secret":"pat-eu1-3f2b1c0d-1111-4222-8333-444455556666","owner":"Kim","ips":["203.0.113.7","2001:db8::/32"]}`,
	}, "\r\n"))
	if err != nil || r.Imported != 4 || r.Refused != 0 || r.APIKeys != 1 {
		t.Fatalf("report = %+v, %v", r, err)
	}
	for i, it := range k.items[:3] {
		if it.SHA256 != sum || it.Strength != postern.StrengthUnknown || it.Fingerprint != string(workbench.FingerprintOfSHA256(sum)) || it.Name == "" {
			t.Errorf("item %d = %+v", i, it)
		}
	}
	last := k.items[3]
	if k.items[2].SunsetAt.Format("2006-01-02") != "2027-01-31" || k.items[2].ExpiresAt.Hour() != 10 || k.items[1].Line != 3 {
		t.Errorf("items = %+v", k.items[1:3])
	}
	if last.Kind != postern.KindLegacyPrivateApp || last.Note != "Kim" || len(last.Networks) != 2 || last.Strength != postern.StrengthGood || last.Shown != "pat-eu1…6666" {
		t.Errorf("the token = %+v", last)
	}
}

// Old names of scopes are translated by the table, and what was translated is told.
func TestImportTranslatesOldNames(t *testing.T) {
	k, r, err := importText(t, "csv", `kind,secret,scopes
private_app,a-long-secret-number-1,contacts tickets
private_app,a-long-secret-number-2,deals-old crm.objects.deals.read
private_app,a-long-secret-number-3,hapikey
private_app,a-long-secret-number-4,gone
private_app,a-long-secret-number-5,nobody-knows
private_app,a-long-secret-number-6,contacts tickets
`)
	if err != nil || r.Imported != 4 || r.Refused != 2 {
		t.Fatalf("report = %+v, %v", r, err)
	}
	for i, want := range []string{"[crm.objects.contacts.read crm.objects.contacts.write crm.objects.deals.read tickets]", "[crm.objects.deals.read]", "[nobody-knows]"} {
		if got := fmt.Sprint(k.items[i].Scopes); got != want {
			t.Errorf("scopes of item %d = %s, want %s", i, got, want)
		}
	}
	if got := fmt.Sprint(r.Translated); got != "[{contacts [crm.objects.contacts.read crm.objects.contacts.write crm.objects.deals.read] 2} {deals-old [crm.objects.deals.read] 1}]" {
		t.Errorf("translated = %s", got)
	}
	for i, want := range []string{"stands for everything", "which no catalog has"} {
		if l := r.Lines[2+i]; l.Line != 4+i || !strings.Contains(l.Reason, want) {
			t.Errorf("line = %+v, want %q", l, want)
		}
	}
}

// What is wrong with a line is said without repeating what may be a secret in it.
func TestImportRefusesLines(t *testing.T) {
	const secret = "hunter2-hunter2-hunter2"
	own := postern.NewSecret("pst", postern.SecretServiceKey, postern.NewKeyID()).Reveal()
	for line, want := range map[string]string{
		`{"kind":"api_key"}`: "Give one of",
		`{"kind":"api_key","secret":"` + secret + `","sha256":"aa"}`:                               "Give one of",
		`{"secret":"` + secret + `"}`:                                                              "Say the kind",
		`{"kind":"service_key","secret":"` + secret + `"}`:                                         "Say the kind",
		`{"kind":"api_key","secret":"` + own + `"}`:                                                "Postern's own",
		`{"kind":"api_key","secret":"short"}`:                                                      "from 8 to 1024",
		`{"kind":"api_key","secret":"` + strings.Repeat("x", 1025) + `"}`:                          "from 8 to 1024",
		`{"kind":"api_key","secret":"` + secret + ` x"}`:                                           "a blank, a comma",
		`{"kind":"api_key","sha256":"zz"}`:                                                         "64 hexadecimal",
		`{"kind":"api_key","hash":"` + secret + `","find":"prefix:hunt"}`:                          "The hash can't be used",
		`{"kind":"api_key","hash":"$2b$04$zKOiWSXCFwgmOkg4tIsEN.eWsFLrMvEsHa.q0BRYmwNpEuUvqDZze"}`: "needs a way to find it",
		`{"kind":"api_key","secret":"` + secret + `","find":"prefix:hunt"}`:                        "slow hash only",
		`{"kind":"api_key","secret":"` + secret + `","sunset":"soon"}`:                             "The sunset",
		`{"kind":"api_key","secret":"` + secret + `","networks":"home"}`:                           "The networks",
		`{"kind":"api_key","secret":"` + secret + `","name":"key ` + secret + `"}`:                 "which many can read",
		`{"kind":"api_key","secret":"` + secret + `","colour":"red"}`:                              "not known",
		`{"kind":"api_key","secret":"` + secret + `","token":"` + secret + `"}`:                    "one twice",
		`{"kind":"api_key","secret":{"a":1}}`:                                                      "neither text",
		`[1]`:                                                                                      "not a JSON object",
		`null`:                                                                                     "not a JSON object",
		`{"kind":`:                                                                                 "not a JSON object",
		strings.Repeat("x", 100_000):                                                               "longer than 64 KiB",
		secret:                                                                                     "not a JSON object",
	} {
		k, r, err := importText(t, "jsonl", line+"\n"+`{"kind":"api_key","secret":"a-good-one-that-goes-on"}`)
		if err != nil || r.Refused != 1 || r.Imported != 1 || len(k.items) != 1 {
			t.Errorf("%.60s: report = %+v, %v", line, r, err)
			continue
		}
		bad := r.Lines[0]
		if want = strings.Replace(want, "The networks", "networks", 1); bad.Line != 1 || !strings.Contains(bad.Reason, want) || strings.Contains(bad.Reason, secret) || strings.Contains(bad.Reason, own) {
			t.Errorf("%.60s: %+v, want %q and no secret", line, bad, want)
		}
	}
}

func TestImportCSV(t *testing.T) {
	for head, want := range map[string]string{"": "is empty", "hunter2-hunter2": "Column 1 has a name that is not known", "secret,token": "there twice",
		strings.Repeat("a,", 50): "has 51 columns"} {
		if _, _, err := importText(t, "csv", head); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("head %.20q = %v, want %q", head, err, want)
		}
	}
	var b strings.Builder
	b.WriteString("\ufeffKind,Secret,Note\n")
	for i := range 1203 {
		fmt.Fprintf(&b, "api_key,a-long-secret-number-%06d,\"two\nlines\"\n", i)
	}
	k, r, err := importText(t, "csv", b.String())
	if err != nil || r.Imported != 1203 || fmt.Sprint(k.sizes) != "[500 500 203]" || k.items[1202].Line != 2+2*1202 {
		t.Errorf("report = %d imported, batches %v, last line %d, %v", r.Imported, k.sizes, k.items[len(k.items)-1].Line, err)
	}
}

func FuzzImport(f *testing.F) {
	f.Add("kind,secret\napi_key,abcdefghijkl\n", true)
	f.Add(`{"kind":"api_key","secret":"abcdefghijkl"}`, false)
	f.Add("kind,secret\n\"a\"b,c\n\x00", true)
	f.Fuzz(func(t *testing.T, text string, table bool) {
		format := map[bool]string{true: "csv", false: "jsonl"}[table]
		k := &taken{}
		r, err := workbench.Import(t.Context(), k, postern.Actor{}, strings.NewReader(text), workbench.ImportOptions{Format: format, Brand: "pst"})
		if err == nil && (r.Imported != len(k.items) || r.Imported+r.Refused != r.Records) {
			t.Errorf("report = %+v for %d items", r, len(k.items))
		}
		for _, it := range k.items {
			if !it.Kind.Legacy() || it.Name == "" || it.Hash == "" && it.SHA256 == [32]byte{} {
				t.Errorf("item = %+v", it)
			}
		}
	})
}

// TestOpenQuoteSpoilsItsLineAlone: whatever stands after it is read as ever, and each
// line is told of.
func TestOpenQuoteSpoilsItsLineAlone(t *testing.T) {
	var b strings.Builder
	b.WriteString("name,kind,secret,note\n")
	line := func(i int, note string) {
		fmt.Fprintf(&b, "n%d,private_app,pat-na1-secret-number-%05d,%s\n", i, i, note)
	}
	line(2, `"two`)                                          // never closed
	line(3, `"a note`+"\n"+`of two lines, with ""quotes"""`) // lines 3 and 4
	line(5, `a"b`)
	line(6, `"c"d`)
	b.WriteString("\r\n")
	line(8, `"`+strings.Repeat("x", 70<<10)) // too long, and open
	for i := 9; i < 200; i++ {
		line(i, `"fine"`)
	}
	b.WriteString(`last,private_app,pat-na1-the-last-of-them,"open`)
	k, r, err := importText(t, "csv", b.String())
	if err != nil {
		t.Fatal(err)
	}
	refused := map[int]string{}
	for _, l := range r.Lines {
		if l.Outcome == keyring.LegacyRefused {
			refused[l.Line] = l.Reason
		}
	}
	for _, n := range []int{2, 5, 6, 200} {
		if !strings.Contains(refused[n], "a quote is missing") {
			t.Errorf("line %d: %q", n, refused[n])
		}
	}
	if !strings.Contains(refused[8], "longer than 64 KiB") || len(refused) != 5 {
		t.Errorf("refused = %v", refused)
	}
	if r.Imported != 192 || r.Records != 197 || len(k.items) != r.Imported {
		t.Errorf("%d of %d imported, %d refused: %v", r.Imported, r.Records, r.Refused, refused)
	}
	swallowed := false
	for _, i := range k.items {
		if i.Name == "n3" && i.Note != "a note\nof two lines, with \"quotes\"" {
			t.Errorf("the note of two lines = %q", i.Note)
		}
		swallowed = swallowed || strings.Contains(i.Note, "pat-")
	}
	if swallowed {
		t.Error("a secret ended in the note of another")
	}
}

// What a reader fails with ends an import; it is not taken for bad lines.
func TestImportEndsWithItsReader(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("name,kind,secret\na,private_app,\"open"), iotest.ErrReader(postern.Errorf(postern.CodeTooLarge, "Too much.")))
	if _, err := workbench.Import(t.Context(), &taken{}, postern.Actor{}, broken, workbench.ImportOptions{Format: "csv", Brand: "pst"}); !errors.Is(err, postern.CodeTooLarge) {
		t.Errorf("err = %v", err)
	}
}
