package console

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// keyEditRoutes are changes of a key that leave it working.
func (c *Console) keyEditRoutes() []route {
	write := []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /keys/{id}/rename", Serve: c.askRename, Need: write},
		{Pattern: "POST /keys/{id}/rename", Serve: c.rename, Need: write},
		{Pattern: "GET /keys/{id}/limits", Serve: c.askLimits, Need: write},
		{Pattern: "POST /keys/{id}/limits", Serve: c.saveLimits, Need: write},
		{Pattern: "GET /keys/{id}/expiry", Serve: c.toLimits("expiresAt"), Need: write},
		{Pattern: "GET /keys/{id}/limit", Serve: c.toLimits("calls"), Need: write},
		{Pattern: "GET /keys/{id}/addresses", Serve: c.toLimits("networks"), Need: write},
		{Pattern: "GET /keys/{id}/scopes", Serve: c.askScopes, Need: write},
		{Pattern: "POST /keys/{id}/scopes", Serve: c.saveScopes, Need: write},
		{Pattern: "GET /keys/{id}/scopes/unused", Serve: c.askUnused, Need: write},
		{Pattern: "POST /keys/{id}/scopes/unused", Serve: c.removeUnused, Need: write},
		{Pattern: "POST /keys/{id}/undo", Serve: c.undoNarrowing, Need: write},
		{Pattern: "POST /keys/{id}/reviewed", Serve: c.reviewed, Need: write},
	}
}

// revisionOf is the revision of the key that a form was made from.
func revisionOf(f *form) int64 {
	n, err := strconv.ParseInt(f.Get("revision"), 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

func errEndedKey(k *postern.ServiceKey) error {
	return postern.Errorf(postern.CodeConflict, "The key %s has ended, so it can't be changed. Make a new key instead.", k.Name)
}

// renameView is the form for a key's name and note.
type renameView struct{ keyHead }

func (c *Console) askRename(v *visit) error {
	_, h, err := c.keyOf(v, "Rename")
	if err != nil {
		return err
	}
	if h.State.Rank == rankEnded && h.K.Ended() {
		return errEndedKey(&h.K)
	}
	h.F = newForm("name", h.K.Name, "description", h.K.Description)
	return v.render("key_rename", &renameView{h})
}

func (c *Console) rename(v *visit) error {
	_, h, err := c.keyOf(v, "Rename")
	if err != nil {
		return err
	}
	h.F = v.sent()
	name, about := h.F.Get("name"), h.F.Get("description")
	made, err := c.kr.EditKey(v.r.Context(), v.by, h.K.ID, keyring.KeyEdit{Name: &name, Description: &about, IfRevision: revisionOf(h.F)})
	if err == nil {
		if made.Seq == 0 {
			return v.done(h.Link(""), "Nothing changed.")
		}
		return v.done(h.Link(""), "Saved.")
	}
	status, err := c.notSaved(v, &h, h.F, err)
	if err != nil {
		return err
	}
	h.Error = true
	return v.show(status, "key_rename", &renameView{h})
}

// reviewed takes the mark off a key that waited for a review.
func (c *Console) reviewed(v *visit) error {
	_, h, err := c.keyOf(v, "Review")
	if err != nil {
		return err
	}
	if _, err := c.kr.EditKey(v.r.Context(), v.by, h.K.ID, keyring.KeyEdit{Reviewed: true, IfRevision: revisionOf(v.sent())}); err != nil {
		return err
	}
	return v.done(h.Link(""), "Reviewed. The key stays as it is.")
}

// limitsView is the form for when, from where and how often a key may be used.
type limitsView struct {
	keyHead
	Here    string // the reader's address
	Callers []callerRow
}

// toLimits leads to a field of the form.
func (c *Console) toLimits(field string) func(*visit) error {
	return func(v *visit) error {
		return v.redirect(link("/keys/"+v.path("id")+"/limits", "add", v.query("add")) + "#f-" + field)
	}
}

const dayForm = "2006-01-02"

// lastMoment is the last moment before an end. Its date is the day that an end is
// named by: who chooses the 22nd gets all of that day, so the end at the midnight
// that follows is said as the 22nd too.
func lastMoment(end time.Time, zone *time.Location) time.Time {
	return end.Add(-time.Microsecond).In(zone)
}

// lastDay is the day until whose end something lasts, as a form shows it.
func lastDay(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return lastMoment(t, zone).Format(dayForm)
}

func firstDay(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format(dayForm)
}

func (c *Console) limitsPage(v *visit, h keyHead, f *form) (*limitsView, error) {
	h.F = f
	view := &limitsView{keyHead: h, Here: v.by.IP}
	if v.can(postern.PermActivityRead) {
		rows, err := c.callersOf(v, &h.K, 0)
		if err != nil {
			return nil, err
		}
		view.Callers = rows[:min(5, len(rows))]
	}
	return view, nil
}

func (c *Console) askLimits(v *visit) error {
	_, h, err := c.keyOf(v, "Limits of")
	if err != nil {
		return err
	}
	if h.K.Ended() {
		return errEndedKey(&h.K)
	}
	k := &h.K
	f := newForm("expiresAt", lastDay(k.ExpiresAt, v.zone), "notBefore", firstDay(k.NotBefore, v.zone))
	var nets []string
	for _, n := range k.Networks {
		if n.IsSingleIP() {
			nets = append(nets, n.Addr().String())
		} else {
			nets = append(nets, n.String())
		}
	}
	// "Allow it" of a refused call leads here with the address filled in.
	if a, err := netip.ParseAddr(v.query("add")); err == nil && len(nets) > 0 && !slices.Contains(nets, a.String()) {
		nets = append(nets, a.String())
	}
	f.Values.Set("networks", strings.Join(nets, "\n"))
	if k.Rate.Calls > 0 {
		f.Values.Set("calls", strconv.FormatInt(k.Rate.Calls, 10))
		f.Values.Set("seconds", strconv.FormatInt(int64(k.Rate.Per/time.Second), 10))
	}
	view, err := c.limitsPage(v, h, f)
	if err != nil {
		return err
	}
	return v.render("key_limits", view)
}

func (c *Console) saveLimits(v *visit) error {
	_, h, err := c.keyOf(v, "Limits of")
	if err != nil {
		return err
	}
	f := v.sent()
	edit := v.limitsOf(f, &h.K)
	edit.IfRevision = revisionOf(f)
	status := 422
	if f.OK() {
		made, err := c.kr.EditKey(v.r.Context(), v.by, h.K.ID, edit)
		if err == nil {
			if made.Seq == 0 {
				return v.done(h.Link(""), "Nothing changed.")
			}
			return v.done(h.Link(""), "Saved. The secret stays the same."+watchEnded(&made))
		}
		if status, err = c.notSaved(v, &h, f, err); err != nil {
			return err
		}
	}
	view, err := c.limitsPage(v, h, f)
	if err != nil {
		return err
	}
	view.Error = true
	return v.show(status, "key_limits", view)
}

// limitsOf reads the form. A day that is as it was shown leaves the time, which
// may be finer, as it is.
func (v *visit) limitsOf(f *form, k *postern.ServiceKey) (in keyring.KeyEdit) {
	day := func(name, was string, end bool) *time.Time {
		text := f.Get(name)
		if text == was {
			return nil
		}
		var t time.Time
		if text != "" {
			var err error
			if t, err = time.ParseInLocation(dayForm, text, v.zone); err != nil || t.Year() < 1970 {
				f.Wrong(name, "Write the day as 2026-12-31.")
				return nil
			}
			if end {
				t = t.AddDate(0, 0, 1)
			}
		}
		return &t
	}
	in.ExpiresAt = day("expiresAt", lastDay(k.ExpiresAt, v.zone), true)
	in.NotBefore = day("notBefore", firstDay(k.NotBefore, v.zone), false)
	nets, bad := keyNetworks(f.Get("networks"))
	if bad != "" {
		f.Wrong("networks", "%q is no address. Write one on each line, such as 203.0.113.7 or 203.0.113.0/24.", bad)
	}
	in.Networks = &nets
	in.Rate = f.rate("calls", "seconds")
	return in
}

// keyNetworks reads addresses and ranges, one on a line or with commas between.
func keyNetworks(text string) (out []netip.Prefix, bad string) {
	out = []netip.Prefix{}
	for one := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ' ' || r == '\t' }) {
		if a, err := netip.ParseAddr(one); err == nil && a.Zone() == "" {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(one)
		if err != nil {
			return out, one
		}
		out = append(out, p)
	}
	return out, ""
}

// rate reads a limit from two fields; both empty is the server's own.
func (f *form) rate(calls, seconds string) *postern.Rate {
	if f.Get(calls) == "" && f.Get(seconds) == "" {
		return &postern.Rate{}
	}
	read := func(name string) int64 {
		n, err := strconv.ParseInt(strings.ReplaceAll(f.Get(name), ",", ""), 10, 64)
		if err != nil || n < 1 || n > 1_000_000 {
			f.Wrong(name, "Give a whole number, or leave both fields empty for the server's own limit.")
			return 0
		}
		return n
	}
	return &postern.Rate{Calls: read(calls), Per: time.Duration(read(seconds)) * time.Second}
}
