package console

import (
	"strconv"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/store"
)

// noticeRoutes are what a member was told, and which of it comes by mail.
func (c *Console) noticeRoutes() []route {
	return []route{
		{Pattern: "GET /notifications", Serve: c.listNotices},
		{Pattern: "POST /notifications/read", Serve: c.readNotices},
		{Pattern: "GET /me/notifications", Serve: c.showNoticeChoice},
		{Pattern: "POST /me/notifications", Serve: c.saveNoticeChoice},
	}
}

const noticesShown = 50

type noticesView struct {
	Common
	Tabs   tabs
	Rows   []noticeRow
	Unread int // up to 100
	Only   bool
	Next   string
	Newer  bool // this is not the first page
	Here   string
}

type noticeRow struct {
	store.Notification
	Icon string
	Kind string
}

// noticeLooks are the icon and the kind of a notification's mark.
var noticeLooks = map[string][2]string{
	notify.KeyExpires: {"clock", "warn"}, notify.SecretOld: {"clock", ""}, notify.KeyUnused: {"pause", ""}, notify.RotationEnds: {"alert", "bad"},
	notify.KeyRefused: {"alert", "bad"}, notify.KeyEnded: {"key", ""}, notify.Joined: {"users", ""}, notify.PolicySet: {"shield", ""},
}

func (c *Console) listNotices(v *visit) error {
	var after store.Cursor
	if at, id, ok := strings.Cut(v.query("after"), "."); ok {
		if n, err := strconv.ParseInt(at, 10, 64); err == nil && n > 0 {
			after = store.Cursor{At: n, ID: strings.ToValidUTF8(id, "")}
		}
	}
	only := v.query("show") == "unread"
	list, err := c.cfg.DB.Notifications(v.r.Context(), v.by.MemberID, only, after, noticesShown+1)
	if err != nil {
		return err
	}
	page := &noticesView{Common: v.common("Notifications", ""), Only: only, Newer: after.ID != "", Here: "/notifications"}
	if page.Unread, err = c.cfg.DB.UnreadNotifications(v.r.Context(), v.by.MemberID); err != nil {
		return err
	}
	show := ""
	if only {
		show, page.Here = "unread", "/notifications?show=unread"
	}
	if len(list) > noticesShown {
		list = list[:noticesShown]
		last := list[len(list)-1]
		page.Next = link("/notifications", "show", show, "after", strconv.FormatInt(int64(postern.ToMicros(last.MadeAt)), 10)+"."+last.ID)
	}
	unread := ""
	if page.Unread > 0 {
		unread = strconv.Itoa(page.Unread)
	}
	page.Tabs = tabs{"Notifications", []tab{{Name: "All", Link: "/notifications", Current: !only}, {Name: "Unread", Link: "/notifications?show=unread", Count: unread, Current: only}}}
	for _, n := range list {
		look := noticeLooks[n.Kind]
		page.Rows = append(page.Rows, noticeRow{n, look[0], look[1]})
	}
	return v.render("notices", page)
}

func (c *Console) readNotices(v *visit) error {
	f := v.sent()
	_, err := c.cfg.DB.Write(v.r.Context(), func(tx *store.Tx) error {
		return tx.ReadNotifications(v.r.Context(), v.by.MemberID, f.Get("id"), v.now)
	})
	if err != nil {
		return err
	}
	if to := f.Get("open"); to != "" {
		return v.redirect(to)
	}
	next := f.Get("next")
	if next == "" {
		next = "/notifications"
	}
	if f.Get("id") == "" {
		return v.done(next, "All are marked as read.")
	}
	return v.redirect(next)
}

type noticeChoiceView struct {
	Common
	Email string
	Kinds []noticeChoice
}

type noticeChoice struct {
	ID, Name, Words string
	On              bool
}

func (c *Console) showNoticeChoice(v *visit) error {
	prefs, err := c.cfg.Signin.Preferences(v.r.Context(), v.by.MemberID)
	if err != nil {
		return err
	}
	page := &noticeChoiceView{Common: v.common("Your notifications", "/me/notifications"), Email: v.member().Email}
	for _, k := range notify.Kinds() {
		page.Kinds = append(page.Kinds, noticeChoice{k.ID, k.Name, k.Words, prefs[notify.Preference(k.ID)] != "off"})
	}
	return v.render("me_notices", page)
}

func (c *Console) saveNoticeChoice(v *visit) error {
	f := v.sent()
	for _, k := range notify.Kinds() {
		value := "off"
		if f.Has("mail", k.ID) {
			value = "on"
		}
		if err := c.cfg.Signin.SetPreference(v.r.Context(), v.by.MemberID, notify.Preference(k.ID), value); err != nil {
			return err
		}
	}
	return v.done("/me/notifications", "Your choice is saved.")
}
