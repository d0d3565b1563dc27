package console

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// form is what someone sent, with what is wrong with it. A page shows it again
// as it came: nothing that was typed is ever thrown away.
type form struct {
	Values url.Values
	Errors []fieldError
}

// fieldError is what is wrong with a field; without a field, with the whole.
type fieldError struct{ Field, Text string }

// newForm is a form with its first values, in pairs.
func newForm(pairs ...string) *form {
	f := &form{Values: url.Values{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Values.Add(pairs[i], pairs[i+1])
	}
	return f
}

// sent is the form of the visit.
func (v *visit) sent() *form { return &form{Values: v.r.PostForm} }

// Get is a value as it was typed, without blanks around it.
func (f *form) Get(name string) string { return strings.TrimSpace(f.Values.Get(name)) }

// Has reports whether a box or a choice is set.
func (f *form) Has(name, value string) bool { return slices.Contains(f.Values[name], value) }

// Wrong adds what is wrong with a field.
func (f *form) Wrong(field, format string, args ...any) {
	f.Errors = append(f.Errors, fieldError{field, fmt.Sprintf(format, args...)})
}

// OK reports whether nothing is wrong.
func (f *form) OK() bool { return len(f.Errors) == 0 }

// take adds what an error of the keyring says. It gives back those that no form
// can tell of: failures of ours, and what is not there.
func (f *form) take(err error) error {
	e, ok := errors.AsType[*postern.Error](err)
	if !ok || e.Code == postern.CodeInternal || e.Code == postern.CodeNotFound || e.Code == postern.CodeUnavailable {
		return err
	}
	text := e.Message
	if len(e.Scopes) > 0 {
		names := make([]string, len(e.Scopes))
		for i, s := range e.Scopes {
			names[i] = string(s)
		}
		if !strings.Contains(text, names[0]) {
			text = strings.TrimSuffix(text, ".") + ": " + list(names) + "."
		}
		if e.Field == "" {
			e.Field = "scopes"
		}
	}
	f.Wrong(e.Field, "%s", text)
	return nil
}

// ErrorOf is what is wrong with a field.
func (f *form) ErrorOf(name string) string {
	for _, e := range f.Errors {
		if e.Field == name {
			return e.Text
		}
	}
	return ""
}

// field is an input with its label, hint and error.
type field struct {
	ID, Name, Label, Hint, Error string
	Value                        string
	Type                         string
	Autocomplete                 string
	Optional                     bool
	Mono                         bool
	Rows                         int // of a textarea; 0 is one line
	Max                          int // characters
	Options                      []option
	Autofocus                    bool
}

// option is a choice of a select.
type option struct {
	Value, Label string
	Selected     bool
}

// Field makes a text field of the form. The template goes on with its methods:
// {{template "field" ((.Form.Field "name" "Name" "").Opt)}}.
func (f *form) Field(name, label, hint string) field {
	return field{ID: "f-" + name, Name: name, Label: label, Hint: hint, Error: f.ErrorOf(name), Value: f.Values.Get(name), Type: "text"}
}

// Opt marks a field that may stay empty.
func (f field) Opt() field { f.Optional = true; return f }

// Of sets the type: email, password, number, url, date.
func (f field) Of(typ string) field { f.Type = typ; return f }

// Auto sets what a browser may fill in, in the words of HTML.
func (f field) Auto(token string) field { f.Autocomplete = token; return f }

// Code shows what is typed in the type of code, without correcting it.
func (f field) Code() field { f.Mono = true; return f }

// Lines makes it a text of several lines.
func (f field) Lines(n int) field { f.Rows = n; return f }

// Limit is the most characters.
func (f field) Limit(n int) field { f.Max = n; return f }

// Focus puts the cursor there when the page opens.
func (f field) Focus() field { f.Autofocus = true; return f }

// Choices makes it a select.
func (f field) Choices(options []option) field {
	f.Options = slices.Clone(options)
	for i := range f.Options {
		f.Options[i].Selected = f.Options[i].Value == f.Value
	}
	return f
}

// Described is what describes the input, for aria-describedby.
func (f field) Described() string {
	var ids []string
	if f.Error != "" {
		ids = append(ids, f.ID+"-e")
	}
	if f.Hint != "" {
		ids = append(ids, f.ID+"-h")
	}
	return strings.Join(ids, " ")
}

// decode reads values into a struct by its tags `form:"name"`: strings, booleans
// (a box that is ticked), whole numbers, and slices of strings. What can't be read
// is told of in the form.
func (f *form) decode(into any) {
	s := reflect.ValueOf(into).Elem()
	for i := range s.NumField() {
		name, ok := s.Type().Field(i).Tag.Lookup("form")
		if !ok {
			continue
		}
		to, text := s.Field(i), f.Get(name)
		switch to.Kind() {
		case reflect.String:
			to.SetString(text)
		case reflect.Bool:
			to.SetBool(text != "" && text != "0" && text != "off" && text != "false")
		case reflect.Int, reflect.Int64:
			if text == "" {
				continue
			}
			n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
			if err != nil {
				f.Wrong(name, "Give a whole number.")
				continue
			}
			to.SetInt(n)
		case reflect.Slice:
			all := reflect.MakeSlice(to.Type(), 0, len(f.Values[name]))
			for _, one := range f.Values[name] {
				if one = strings.TrimSpace(one); one != "" {
					el := reflect.New(to.Type().Elem()).Elem()
					el.SetString(one)
					all = reflect.Append(all, el)
				}
			}
			to.Set(all)
		default:
			panic("console: a form can't be read into a " + to.Type().String())
		}
	}
}
