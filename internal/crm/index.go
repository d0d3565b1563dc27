package crm

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWord is how many bytes of a value are compared and sorted as they are; of a
// longer one, the beginning and a digest, so that equality stays exact.
const maxWord = 240

// word is a text value in the form in which it is compared.
func fold(s string) string { return shorten(strings.ToLower(s)) }

func shorten(s string) string {
	if len(s) <= maxWord {
		return s
	}
	cut := maxWord - 60
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	sum := sha256.Sum256([]byte(s))
	return s[:cut] + " " + hex.EncodeToString(sum[:16])
}

// wordOf is the form in which a property's value is looked up: options keep their
// case, all else is folded.
func wordOf(p *property, v string) string {
	if p.Type == "enumeration" {
		return shorten(v)
	}
	return fold(v)
}

// numOf is the number by which a value is compared: dates by milliseconds since 1970.
func numOf(p *property, v string) (float64, bool) {
	switch p.Type {
	case "number":
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	case "date", "datetime":
		t, ok := parseTime(v)
		return float64(t.UnixMilli()), ok
	}
	return 0, false
}

// tokensOf are the words of a value, each between blanks: the words as they stand,
// without the marks around them, and the parts of those that have marks inside, so
// that an address is found whole, by its domain, and by a name within it.
func tokensOf(s string) string {
	var b strings.Builder
	b.WriteByte(' ')
	seen := map[string]bool{}
	add := func(w string) {
		if w != "" && !seen[w] {
			seen[w] = true
			b.WriteString(w)
			b.WriteByte(' ')
		}
	}
	for w := range strings.FieldsSeq(strings.ToLower(s)) {
		w = trimMarks(w)
		add(w)
		if _, domain, ok := strings.Cut(w, "@"); ok {
			add(domain)
		}
		for _, part := range strings.FieldsFunc(w, isMark) {
			add(part)
		}
	}
	return b.String()
}

func trimMarks(w string) string { return strings.TrimFunc(w, isMark) }

func isMark(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }

// indexRows are a record's rows in crm_values for one property.
func indexRows(acct int64, t *objectType, p *property, id int64, v string) [][]any {
	if v == "" {
		return nil
	}
	parts := []string{v}
	if p.multi() {
		parts = strings.Split(v, ";")
	}
	var rows [][]any
	for n, part := range parts {
		var num any
		if f, ok := numOf(p, part); ok {
			num = f
		}
		word := wordOf(p, part)
		if t.Plural == "contacts" && p.Name == "hs_additional_emails" {
			word = fold(part)
		}
		rows = append(rows, []any{acct, t.ID, p.Name, id, int64(n), word, num, tokensOf(part)})
	}
	return rows
}

const valueColumns = `crm_values (acct, type_id, property, record_id, n, word, num, tokens)`

// reindex makes crm_values true again for some properties of some records.
func reindex(ctx context.Context, tx *sql.Tx, acct int64, t *objectType, defs definitions, records []*record, names []string, fresh bool) error {
	if len(names) == 0 || len(records) == 0 {
		return nil
	}
	if !fresh {
		ids := make([]int64, len(records))
		for i, r := range records {
			ids[i] = r.id
		}
		if err := unindex(ctx, tx, acct, t, ids, names); err != nil {
			return err
		}
	}
	var rows [][]any
	for _, r := range records {
		for _, n := range names {
			if p := defs[n]; p != nil {
				rows = append(rows, indexRows(acct, t, p, r.id, r.props[n])...)
			}
		}
	}
	return bulkInsert(ctx, tx, valueColumns, rows, "")
}

// unindex takes the values of records out of the index; of the named properties.
func unindex(ctx context.Context, tx *sql.Tx, acct int64, t *objectType, ids []int64, names []string) error {
	return chunks(ids, 500, func(ids []int64) error {
		a := args{acct, t.ID}
		_, err := tx.ExecContext(ctx, `delete from crm_values where acct = $1 and type_id = $2 and property in `+in(&a, names)+` and record_id in `+in(&a, ids), a...)
		return err
	})
}
