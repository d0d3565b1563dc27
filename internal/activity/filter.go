package activity

import (
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// Filter says which calls of an account are asked for. Account is needed; of the
// others, what is zero asks for nothing.
type Filter struct {
	Account     postern.AccountID
	Key         postern.KeyID
	Generation  int64
	Upstream    postern.UpstreamID
	Operation   string
	Method      string
	Status      int // exactly
	StatusClass int // 4 for 400 to 499
	Reason      postern.Reason
	Allowed     *bool
	Door        string
	IP          string // as activity shows it
	UserAgent   string // a part of it, whatever the case
	PathPrefix  string
	Since       time.Time // and later
	Until       time.Time // and before
}

// where is a growing condition with its arguments.
type where struct {
	text strings.Builder
	args []any
}

// and adds a condition; each ? in it stands for the next of args.
func (w *where) and(cond string, args ...any) {
	if w.text.Len() > 0 {
		w.text.WriteString(" and ")
	}
	for _, a := range args {
		before, after, _ := strings.Cut(cond, "?")
		w.args = append(w.args, a)
		w.text.WriteString(before)
		w.text.WriteByte('$')
		w.text.WriteString(strconv.Itoa(len(w.args)))
		cond = after
	}
	w.text.WriteString(cond)
}

// clone is a copy that can grow on its own.
func (w *where) clone() *where {
	c := &where{args: append([]any(nil), w.args...)}
	c.text.WriteString(w.text.String())
	return c
}

// indexed adds what an index answers.
func (f *Filter) indexed(w *where) {
	w.and("account_id = ?", string(f.Account))
	if f.Key != "" {
		w.and("key_id = ?", string(f.Key))
	}
}

// rest adds what must be looked at call by call, and reports whether there is any.
func (f *Filter) rest(w *where) bool {
	n := w.text.Len()
	if f.Generation != 0 {
		w.and("generation = ?", f.Generation)
	}
	if f.Upstream != "" {
		w.and("upstream = ?", string(f.Upstream))
	}
	if f.Operation != "" {
		w.and("operation = ?", f.Operation)
	}
	if f.Method != "" {
		w.and("method = ?", f.Method)
	}
	if f.Status != 0 {
		w.and("status = ?", int64(f.Status))
	}
	if f.StatusClass != 0 {
		w.and("status >= ? and status < ?", int64(f.StatusClass)*100, int64(f.StatusClass)*100+100)
	}
	if f.Reason != postern.ReasonNone {
		w.and("reason = ?", f.Reason.String())
	}
	if f.Allowed != nil {
		w.and("allowed = ?", bit(*f.Allowed))
	}
	if f.Door != "" {
		w.and("door = ?", f.Door)
	}
	if f.IP != "" {
		w.and("ip = ?", f.IP)
	}
	if f.UserAgent != "" {
		w.and(`lower(user_agent) like lower(?) escape '\'`, "%"+likeEscaper.Replace(printable(f.UserAgent))+"%")
	}
	if f.PathPrefix != "" {
		prefix := printable(f.PathPrefix)
		w.and("substr(path, 1, ?) = ?", int64(len([]rune(prefix))), prefix)
	}
	return w.text.Len() > n
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
