package console

import (
	"strings"
	"time"
)

// receiptView says where the latest change of a key is in force.
type receiptView struct {
	keyHead
	R        receiptWords
	Heading  string
	Reason   string
	WhenEnds time.Time
}

// receiptWords is a receipt as people read it.
type receiptWords struct {
	Known      bool
	Everywhere bool
	Confirmed  []string
	Awaited    []awaitedRow
	By         time.Time
}

type awaitedRow struct {
	Node  string
	Until time.Time
}

// receiptWait is how long a page waits for all servers to confirm a change.
const receiptWait = 3 * time.Second

// receipt asks where a change is in force. Where nobody can tell now it can be asked again.
func (c *Console) receipt(v *visit, seq int64) (out receiptWords) {
	r, err := c.cfg.Verifier.Receipt(v.r.Context(), seq, receiptWait)
	if err != nil {
		v.err = err
		return receiptWords{By: r.EffectiveBy}
	}
	out = receiptWords{Known: true, Everywhere: r.Everywhere, Confirmed: r.Confirmed, By: r.EffectiveBy}
	for _, a := range r.Awaited {
		out.Awaited = append(out.Awaited, awaitedRow{a.Node, a.Until})
	}
	return out
}

// Said is the receipt in a sentence.
func (r receiptWords) Said() string {
	switch {
	case !r.Known:
		return "The servers could not be asked yet."
	case r.Everywhere && len(r.Confirmed) > 1:
		return "All " + num(len(r.Confirmed)) + " servers confirmed it."
	case r.Everywhere:
		return "This is in force everywhere."
	}
	return count(len(r.Awaited), "server has", "servers have") + " not confirmed it yet."
}

func (c *Console) showReceipt(v *visit) error {
	_, h, err := c.keyOf(v, "Receipt for")
	if err != nil {
		return err
	}
	seq, err := c.kr.ChangeSeq(v.r.Context(), v.by, h.K.ID)
	if err != nil {
		return err
	}
	view := &receiptView{keyHead: h, R: c.receipt(v, seq), Heading: "The latest change is in force", Reason: h.K.RevokedWhy}
	switch {
	case h.K.Ended():
		view.Heading = "The key has ended"
	case h.Paused:
		view.Heading = "The key is paused"
	}
	if !view.R.Everywhere {
		view.Heading = strings.Replace(view.Heading, "is in force", "is on its way", 1)
	}
	return v.render("key_receipt", view)
}
