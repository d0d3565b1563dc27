package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// bulkAct is what is done to several keys at once.
type bulkAct string

const (
	actPause  bulkAct = "pause"
	actResume bulkAct = "resume"
	actDelete bulkAct = "delete"
)

// words are how an act is said.
func (a bulkAct) words() (verb, done, lead, fits string) {
	switch a {
	case actPause:
		return "Pause", "paused", "Calls are refused at once. Nothing is lost and you can undo it.", "Will be paused"
	case actResume:
		return "Resume", "resumed", "The keys work again at once, with the same secrets and scopes.", "Will work again"
	case actDelete:
		return "Delete", "deleted", "Calls are refused at once and for good. Activity and audit history stay.", "Will be deleted"
	}
	return "", "", "", ""
}

func (a bulkAct) need() postern.Permission {
	if a == actResume {
		return postern.PermKeysWrite
	}
	return postern.PermKeysRevoke
}

// leaves says why a key is left as it is, empty where it isn't.
func (a bulkAct) leaves(k *postern.ServiceKey, now time.Time) string {
	state := k.State(now)
	switch {
	case a == actDelete:
		return ""
	case state == postern.StateEnded || state == postern.StateExpired:
		return "Stays as it is: it has ended"
	case a == actPause && !k.PausedAt.IsZero():
		return "Stays as it is: paused already"
	case a == actResume && k.PausedAt.IsZero():
		return "Stays as it is: not paused"
	}
	return ""
}

// bulkView says what would happen to each key, before it does.
type bulkView struct {
	Common
	F        *form
	Act      bulkAct
	Verb     string
	Lead     string
	Rows     []bulkRow
	Changing int
	InUse    int    // of those that change, called within 30 days
	Calls    int64  // of them, in 14 days
	Typed    string // what must be typed to delete what is in use
	Back     string
	Several  bool
}

type bulkRow struct {
	*keyRow
	Happens string
	Leaves  bool
}

// bulkIDs are the keys that were chosen: by their boxes, or all that match a filter.
func (v *visit) bulkIDs() ([]string, error) {
	if v.query("all") == "" {
		ids := v.r.URL.Query()["id"]
		if len(ids) > bulkMax {
			return nil, postern.Errorf(postern.CodeTooLarge, "Choose at most %s keys at once.", num(bulkMax))
		}
		return ids, nil
	}
	f, err := v.keysFilter()
	if err != nil {
		return nil, err
	}
	s, err := v.c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return nil, err
	}
	_, match := v.rows(s, f)
	if len(match) > bulkMax {
		return nil, postern.Errorf(postern.CodeTooLarge, "%s keys match. Narrow the list to at most %s and choose again.", num(len(match)), num(bulkMax))
	}
	ids := make([]string, len(match))
	for i, r := range match {
		ids[i] = string(r.Key.ID)
	}
	return ids, nil
}

// askBulk is the dry run: it changes nothing.
func (c *Console) askBulk(v *visit) error {
	if v.query("action") == "rotate" {
		return v.rotateChosen()
	}
	act := bulkAct(v.query("action"))
	if verb, _, _, _ := act.words(); verb == "" {
		return errNoPage
	}
	if !v.can(act.need()) {
		return denied(act.need())
	}
	ids, err := v.bulkIDs()
	if err != nil {
		return err
	}
	f, err := v.keysFilter()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return v.warn(f.with(), "Choose at least one key first.")
	}
	view, err := c.bulkView(v, act, ids, newForm())
	if err != nil {
		return err
	}
	view.Back = f.with()
	return v.render("keys-bulk", view)
}

func (c *Console) bulkView(v *visit, act bulkAct, ids []string, f *form) (*bulkView, error) {
	s, rows, err := v.rowsOf(v.r.Context(), ids)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, postern.Errorf(postern.CodeNotFound, "These keys are gone. Someone may have deleted them.")
	}
	if err := c.fillRows(v, s, rows); err != nil {
		return nil, err
	}
	verb, _, lead, fits := act.words()
	view := &bulkView{F: f, Act: act, Verb: verb, Lead: lead, Back: "/keys", Several: len(rows) != 1}
	name := count(len(rows), "key", "keys")
	if len(rows) == 1 {
		name = rows[0].Key.Name
	}
	view.Common = v.common(verb+" "+name, "/keys", crumb{"Service keys", "/keys"})
	for _, r := range rows {
		b := bulkRow{keyRow: r, Happens: fits}
		if why := act.leaves(r.Key, v.now); why != "" {
			b.Happens, b.Leaves = why, true
		} else {
			view.counts(v, r)
		}
		view.Rows = append(view.Rows, b)
	}
	view.asksTyping()
	return view, nil
}

// counts takes a key into what would change.
func (view *bulkView) counts(v *visit, r *keyRow) {
	view.Changing++
	view.Calls += r.Calls
	if !r.Used.IsZero() && v.now.Sub(r.Used) < 30*24*time.Hour {
		view.InUse++
	}
}

// asksTyping: deleting what is in use takes typing (console.md section 5, One key).
func (view *bulkView) asksTyping() {
	if view.Act != actDelete || view.InUse == 0 {
		return
	}
	if view.Typed = view.Rows[0].Key.Name; view.Several {
		view.Typed = "delete " + count(view.Changing, "key", "keys")
	}
}

// doBulk does to the keys what the dry run said, one by one: one that is refused
// does not keep the others from it, and a failure of ours ends it. Either way the
// page says of each key what became of it.
func (c *Console) doBulk(act bulkAct) func(*visit) error {
	return func(v *visit) error {
		var in struct {
			IDs   []string `form:"id"`
			Typed string   `form:"typed"`
			Back  string   `form:"back"`
		}
		f := v.sent()
		f.decode(&in)
		if !v.can(act.need()) {
			return denied(act.need())
		}
		if len(in.IDs) > bulkMax {
			return postern.Errorf(postern.CodeTooLarge, "Choose at most %s keys at once.", num(bulkMax))
		}
		view, err := c.bulkView(v, act, in.IDs, f)
		if err != nil {
			return err
		}
		view.Back = localPath(cmp.Or(in.Back, "/keys"))
		if view.Typed != "" && in.Typed != view.Typed {
			f.Wrong("typed", "Type %s to go on.", view.Typed)
			view.Error = true
			return v.show(http.StatusUnprocessableEntity, "keys-bulk", view)
		}
		done, failed, broken := c.bulkEach(v, view)
		if failed > 0 {
			return c.bulkPartly(v, view, done, failed, broken)
		}
		_, said, _, _ := act.words()
		text := count(len(done), "key", "keys") + " " + said + "."
		if len(done) == 1 && !view.Several {
			text = view.Rows[0].Key.Name + " is " + said + "."
		}
		if act == actPause && len(done) > 0 {
			v.setFlash(v.undoPause(text, done))
			return v.redirect(view.Back)
		}
		return v.done(view.Back, text)
	}
}

// bulkEach does the act to each key that it changes, and notes in the rows what
// became of them. After a failure of ours the rest is left alone.
func (c *Console) bulkEach(v *visit, view *bulkView) (done []string, failed int, broken error) {
	_, said, _, _ := view.Act.words()
	for i := range view.Rows {
		r := &view.Rows[i]
		if r.Leaves {
			continue
		}
		if broken == nil {
			err := view.Act.do(v.r.Context(), c.kr, v.by, r.Key.ID)
			if err == nil {
				done = append(done, string(r.Key.ID))
				r.Happens, r.Leaves = "Is "+said, true
				continue
			}
			if r.Happens = "Stayed as it was: " + err.Error(); ours(err) {
				broken, r.Happens = err, "Stayed as it was: something went wrong here. The request has the number "+v.id+"."
			}
		} else {
			r.Happens = "Stayed as it was: not tried, after the failure before it."
		}
		failed++
	}
	return done, failed, broken
}

// bulkPartly shows what was done and what wasn't; what wasn't can be tried again.
func (c *Console) bulkPartly(v *visit, view *bulkView, done []string, failed int, broken error) error {
	verb, said, _, _ := view.Act.words()
	status := http.StatusConflict
	if broken != nil {
		v.err, status = broken, http.StatusInternalServerError
	}
	text := count(len(done), "key", "keys") + " " + said + ". "
	if len(done) == 0 {
		text = "No key was " + said + ". "
	}
	view.F.Wrong("", "%s", text+count(failed, "key", "keys")+" stayed as before. The list says why.")
	view.Title, view.Error = verb+" the rest", true
	view.Changing, view.InUse, view.Calls, view.Typed = 0, 0, 0, ""
	for _, r := range view.Rows {
		if !r.Leaves {
			view.counts(v, r.keyRow)
		}
	}
	view.asksTyping()
	return v.show(status, "keys-bulk", view)
}

// undoMost is how many keys an undo can name: its address is kept in a cookie.
const undoMost = 100

// undoPause is the message that keys were paused. Its undo leads to exactly those;
// where they are too many to name, to all that are paused.
func (v *visit) undoPause(text string, done []string) flash {
	f := flash{Kind: "ok", Text: text}
	switch {
	case !v.can(actResume.need()):
	case len(done) > undoMost:
		f.LinkText, f.Link = "See paused keys", keysFilter{}.with("tab", "paused")
	default:
		pairs := []string{"action", string(actResume)}
		for _, id := range done {
			pairs = append(pairs, "id", id)
		}
		f.LinkText, f.Link = "Undo", link("/keys/bulk", pairs...)
	}
	return f
}

func (a bulkAct) do(ctx context.Context, kr *keyring.Keyring, by postern.Actor, id postern.KeyID) (err error) {
	paused := a == actPause
	if a == actDelete {
		_, err = kr.DeleteKey(ctx, by, id, 0)
	} else {
		_, err = kr.EditKey(ctx, by, id, keyring.KeyEdit{Paused: &paused})
	}
	return err
}

// downloadKeys is the list as CSV, as the filters say. The audit log notes it.
func (c *Console) downloadKeys(v *visit) error {
	f, err := v.keysFilter()
	if err != nil {
		return err
	}
	s, err := c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return err
	}
	_, match := v.rows(s, f)
	if err := c.fillRows(v, s, match); err != nil {
		return err
	}
	e := v.by.Entry(v.now, "service_key.export", "service_keys")
	e.After = map[string]any{"format": "csv", "filter": f.with(), "keys": len(match)}
	out, err := v.beginExport(e, "service-keys", "csv")
	if err != nil || out == nil {
		return err
	}
	out.row([]string{"name", "id", "secret_ends_in", "state", "state_detail", "scopes", "access", "calls_14_days", "last_used", "last_client", "expires", "addresses", "created", "note"})
	for _, r := range match {
		k := r.Key
		out.row([]string{k.Name, string(k.ID), k.Current.LastFour, r.State.Words, r.State.Detail, joined(k.Scopes), r.How, strconv.FormatInt(r.Calls, 10),
			stamp(r.Used), r.Tool, stamp(k.ExpiresAt), joined(k.Networks), stamp(k.CreatedAt), k.Description})
	}
	return out.end()
}

// cells keeps the cells of a row from being run as formulas.
func cells(row []string) []string {
	out := slices.Clone(row)
	for i, c := range out {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			out[i] = "'" + c
		}
	}
	return out
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func joined[T any](list []T) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = fmt.Sprint(x)
	}
	return strings.Join(out, " ")
}
