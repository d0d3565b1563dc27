package workbench

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/slowhash"
)

// importColumns are the columns, or members, of a file; the names after the first
// are other words for the same.
var importColumns = [][]string{
	{"name"}, {"note", "owner"}, {"kind", "type"}, {"scopes", "scope"}, {"secret", "token", "key"}, {"sha256"}, {"hash"}, {"find"},
	{"sunset", "sunsetAt"}, {"expires", "expiresAt"}, {"networks", "ips", "ip"},
}

const (
	maxImportLine = 64 << 10
	maxColumns    = 40
)

// importRow is one line of a file.
type importRow struct {
	line   int
	fields map[string]string
	bad    error // why the line can't be read
}

// importRows reads a file line by line; io.EOF ends it.
type importRows interface{ next() (*importRow, error) }

func openRows(in io.Reader, format string) (importRows, error) {
	switch format {
	case "csv":
		return openCSV(in)
	case "jsonl":
		return &jsonRows{in: bufio.NewReaderSize(in, maxImportLine)}, nil
	}
	return nil, postern.Invalidf("format", "A file of old credentials is csv or jsonl.")
}

// column gives the name of a column, or "".
func column(name string) string {
	for _, c := range importColumns {
		for _, n := range c {
			if strings.EqualFold(strings.TrimSpace(name), n) {
				return c[0]
			}
		}
	}
	return ""
}

// bad is why a line isn't taken, as a sentence for whoever reads the report.
func bad(format string, args ...any) *postern.Error {
	return postern.Errorf(postern.CodeInvalid, format, args...)
}

var errLongLine = bad("The line is longer than 64 KiB.")

type jsonRows struct {
	in   *bufio.Reader
	line int
}

func (r *jsonRows) next() (*importRow, error) {
	for {
		r.line++
		b, err := r.in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			for err == bufio.ErrBufferFull {
				_, err = r.in.ReadSlice('\n')
			}
			if err != nil && err != io.EOF {
				return nil, err
			}
			return &importRow{line: r.line, bad: errLongLine}, nil
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if b = bytes.TrimSpace(b); len(b) > 0 {
			return r.read(b), nil
		}
		if err == io.EOF {
			return nil, io.EOF
		}
	}
}

func (r *jsonRows) read(b []byte) *importRow {
	row := &importRow{line: r.line, fields: map[string]string{}}
	var in map[string]json.RawMessage
	if json.Unmarshal(b, &in) != nil || in == nil {
		row.bad = bad("The line is not a JSON object.")
		return row
	}
	for name, v := range in {
		c := column(name)
		_, dup := row.fields[c]
		text, err := jsonText(v)
		switch {
		case c == "" || dup:
			row.bad = bad("The object has a member that is not known, or one twice.")
		case err != nil:
			row.bad = bad("The member %s is neither text nor a list of texts.", c)
		default:
			row.fields[c] = strings.TrimSpace(text)
		}
	}
	return row
}

// jsonText is a member as one text; a list has blanks between.
func jsonText(v json.RawMessage) (string, error) {
	var one *string
	if json.Unmarshal(v, &one) == nil {
		if one == nil {
			return "", nil
		}
		return *one, nil
	}
	var list []string
	if err := json.Unmarshal(v, &list); err != nil {
		return "", err
	}
	return strings.Join(list, " "), nil
}

// item makes what shall be imported of a line. No reason repeats a secret.
func (r *importRow) item(brand string) (*keyring.LegacyItem, error) {
	if r.bad != nil {
		return nil, r.bad
	}
	it := &keyring.LegacyItem{Line: r.line, Name: r.fields["name"], Note: r.fields["note"], Strength: postern.StrengthUnknown}
	look, err := r.secret(it, brand)
	if err != nil {
		return nil, err
	}
	if it.Kind, err = readKind(r.fields["kind"], look.Kind); err != nil {
		return nil, err
	}
	for _, s := range words(r.fields["scopes"]) {
		it.Scopes = append(it.Scopes, postern.Scope(s))
	}
	if it.SunsetAt, err = readDate(r.fields["sunset"]); err != nil {
		return nil, bad("The sunset is not a date such as 2027-01-31.")
	}
	if it.ExpiresAt, err = readDate(r.fields["expires"]); err != nil {
		return nil, bad("The expiry is not a date such as 2027-01-31.")
	}
	if it.Networks, err = readNetworks(r.fields["networks"]); err != nil {
		return nil, err
	}
	if it.Name == "" {
		it.Name = strings.ToUpper(it.Kind.Words()[:1]) + it.Kind.Words()[1:] + ", line " + fmt.Sprint(it.Line)
		if it.Shown != "" {
			it.Name = strings.ToUpper(it.Kind.Words()[:1]) + it.Kind.Words()[1:] + " " + it.Shown
		}
	}
	if s := r.fields["secret"]; s != "" && (strings.Contains(it.Name, s) || strings.Contains(it.Note, s)) {
		return nil, bad("The name or the note has the secret in it, which many can read.")
	}
	return it, nil
}

// secret reads what is known of the secret: its text, its SHA-256 or a slow hash.
func (r *importRow) secret(it *keyring.LegacyItem, brand string) (look Look, err error) {
	text, sum, hash := r.fields["secret"], r.fields["sha256"], r.fields["hash"]
	given := 0
	for _, s := range []string{text, sum, hash} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return look, bad("Give one of secret, sha256 and hash.")
	case hash == "" && r.fields["find"] != "":
		return look, bad("find goes with a slow hash only.")
	case text != "":
		return r.plain(it, text, brand)
	case sum != "":
		if it.SHA256, err = readSum(sum); err != nil {
			return look, err
		}
		it.Fingerprint = string(FingerprintOfSHA256(it.SHA256))
		return look, nil
	}
	h, err := slowhash.Parse(hash)
	if err != nil {
		return look, bad("The hash can't be used: %v.", err)
	}
	it.Hash, it.Slow = hash, h.Name()
	if it.Find, err = slowhash.ParseFind(r.fields["find"]); err != nil {
		return look, bad("A slow hash needs a way to find it, in find: %v.", err)
	}
	return look, nil
}

// The lengths of a secret that is given as text.
const minSecret, maxSecret = 8, 1024

func (r *importRow) plain(it *keyring.LegacyItem, text, brand string) (look Look, err error) {
	if len(text) < minSecret || len(text) > maxSecret {
		return look, bad("A secret has from %d to %d characters.", minSecret, maxSecret)
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == ',' {
			return look, bad("The secret has a blank, a comma or a character that can't stand in a header.")
		}
	}
	if _, err := postern.ParseSecret(brand, text); err == nil {
		return look, bad("This is one of Postern's own secrets.")
	}
	look = LookAt([]byte(text), false)
	it.SHA256 = sumOf(text)
	it.Fingerprint, it.Shown, it.Strength = string(FingerprintOfSHA256(it.SHA256)), look.Shown, strengthOf(look)
	return look, nil
}

func sumOf(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func strengthOf(l Look) postern.Strength {
	if l.Weak {
		return postern.StrengthWeak
	}
	return postern.StrengthGood
}

// readSum reads a SHA-256 in hexadecimal or base64 of either alphabet.
func readSum(s string) (sum [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if len(s) != 64 {
		s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
		b, err = base64.RawStdEncoding.DecodeString(s)
	}
	if err != nil || len(b) != len(sum) {
		return sum, bad("The SHA-256 is neither 64 hexadecimal digits nor base64 of 32 bytes.")
	}
	copy(sum[:], b)
	return sum, nil
}

func readKind(s string, looks postern.Kind) (postern.Kind, error) {
	switch strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(s)) {
	case "legacy_private_app", "private_app":
		return postern.KindLegacyPrivateApp, nil
	case "legacy_api_key", "api_key", "hapikey":
		return postern.KindLegacyAPIKey, nil
	case "":
		if looks != 0 {
			return looks, nil
		}
	}
	return 0, bad("Say the kind: private_app or api_key.")
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '|' })
}

func readDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

func readNetworks(s string) (out []netip.Prefix, err error) {
	for _, w := range words(s) {
		p, err := netip.ParsePrefix(w)
		if err != nil {
			a, err2 := netip.ParseAddr(w)
			if err2 != nil || a.Zone() != "" {
				return nil, bad("An entry of the networks is neither an address nor a network such as 203.0.113.0/24.")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p)
	}
	return out, nil
}
