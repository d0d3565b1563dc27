package console

import (
	"net/http"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// keyStopRoutes are what stops a key: for a while or for good.
func (c *Console) keyStopRoutes() []route {
	write, stop := []postern.Permission{postern.PermKeysWrite}, []postern.Permission{postern.PermKeysRevoke}
	return []route{
		{Pattern: "GET /keys/{id}/pause", Serve: c.askStop("pause"), Need: stop},
		{Pattern: "POST /keys/{id}/pause", Serve: c.pause(true), Need: stop},
		{Pattern: "GET /keys/{id}/resume", Serve: c.askStop("resume"), Need: write},
		{Pattern: "POST /keys/{id}/resume", Serve: c.pause(false), Need: write},
		{Pattern: "GET /keys/{id}/end", Serve: c.askStop("end"), Need: stop},
		{Pattern: "POST /keys/{id}/end", Serve: c.endKey, Need: stop, Fresh: true},
		{Pattern: "GET /keys/{id}/delete", Serve: c.askStop("delete"), Need: stop},
		{Pattern: "POST /keys/{id}/delete", Serve: c.deleteKey, Need: stop, Fresh: true},
	}
}

// stopView asks before a key is paused, resumed, ended or deleted.
type stopView struct {
	keyHead
	Act string
}

func (c *Console) askStop(act string) func(*visit) error {
	titles := map[string]string{"pause": "Pause", "resume": "Resume", "end": "End", "delete": "Delete"}
	return func(v *visit) error {
		_, h, err := c.keyOf(v, titles[act])
		if err != nil {
			return err
		}
		switch {
		case act == "pause" && (h.Paused || !h.Live):
			return v.warn(h.Link(""), "The key is not in force, so there is nothing to pause.")
		case act == "resume" && (!h.Paused || !h.Live):
			return v.warn(h.Link(""), "The key is not paused.")
		case act == "end" && h.K.Ended():
			return v.redirect(h.Link("receipt"))
		}
		return v.render("key_stop", &stopView{h, act})
	}
}

// pause stops a key for a while, or lets it go on.
func (c *Console) pause(paused bool) func(*visit) error {
	return func(v *visit) error {
		_, h, err := c.keyOf(v, "Pause")
		if err != nil {
			return err
		}
		made, err := c.kr.EditKey(v.r.Context(), v.by, h.K.ID, keyring.KeyEdit{Paused: &paused})
		if err != nil {
			return err
		}
		if !paused {
			return v.done(h.Link(""), h.K.Name+" works again, with the same secret and scopes.")
		}
		said := h.K.Name + " is paused: its calls are refused."
		if made.Seq > 0 {
			said += " " + c.receipt(v, made.Seq).Said()
		}
		f := flash{Kind: "ok", Text: said}
		if v.can(postern.PermKeysWrite) {
			f.Link, f.LinkText = h.Link("resume"), "Undo"
		}
		v.setFlash(f)
		return v.redirect(h.Link(""))
	}
}

// endKey ends a key for good and shows where that is in force.
func (c *Console) endKey(v *visit) error {
	_, h, err := c.keyOf(v, "End")
	if err != nil {
		return err
	}
	h.F = v.sent()
	if h.InUse && h.F.Get("endtyped") != h.Typed {
		h.F.Wrong("endtyped", "Type %s to go on.", h.Typed)
	} else if _, err := c.kr.RevokeKey(v.r.Context(), v.by, h.K.ID, h.F.Get("reason")); err == nil {
		v.setFlash(flash{Kind: "ok", Text: h.K.Name + " has ended. Its calls are refused for good."})
		return v.redirect(h.Link("receipt"))
	} else if err := h.F.take(err); err != nil {
		return err
	}
	h.Error = true
	return v.show(http.StatusUnprocessableEntity, "key_stop", &stopView{h, "end"})
}

// deleteKey ends a key and takes it off the lists.
func (c *Console) deleteKey(v *visit) error {
	_, h, err := c.keyOf(v, "Delete")
	if err != nil {
		return err
	}
	h.F = v.sent()
	if h.Live && h.InUse && h.F.Get("typed") != h.Typed {
		h.F.Wrong("typed", "Type %s to go on.", h.Typed)
		h.Error = true
		return v.show(http.StatusUnprocessableEntity, "key_stop", &stopView{h, "delete"})
	}
	made, err := c.kr.DeleteKey(v.r.Context(), v.by, h.K.ID, 0)
	if err != nil {
		return err
	}
	said := h.K.Name + " is deleted."
	if h.Live && made.Seq > 0 {
		said += " Its calls are refused for good. " + c.receipt(v, made.Seq).Said()
	}
	return v.done("/keys", said)
}

// lacks are scopes of a key that the reader does not hold: its new secret is not for them to see.
func (v *visit) lacks(s *keySnap, k *postern.ServiceKey) []string {
	var out []string
	missing := postern.MayGrant(v.member(), k.Scopes, func(name postern.Scope) bool {
		i := s.scopes[name]
		return (i == nil || i.Sensitive) && name != postern.PermVerify
	})
	for _, m := range missing {
		out = append(out, string(m))
	}
	return out
}
