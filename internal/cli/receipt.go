package cli

import (
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
)

// What a receipt is about: what was taken away is refused, what was changed is in force.
const (
	refused = "Refused"
	inForce = "In force"
)

// tellReceipt says where a change is in force. done is refused or inForce.
func (c *call) tellReceipt(r *api.Receipt, done string) {
	switch {
	case r == nil:
	case r.Effective == api.EffectiveEverywhere:
		c.Printf("%s\n", c.Paint(screen.Good, done+" everywhere."))
	case !r.EffectiveBy.IsZero():
		var nodes []string
		for _, n := range r.Awaiting {
			nodes = append(nodes, screen.Clean(n.Node))
		}
		text := done + " everywhere by " + c.Time(r.EffectiveBy)
		switch len(nodes) {
		case 0:
		case 1:
			text += "; waiting for node " + nodes[0]
		default:
			text += "; waiting for nodes " + and(nodes)
		}
		c.Printf("%s\n", c.Paint(screen.Caution, text+"."))
	}
}

// receiptPause is between two questions for a receipt.
const receiptPause = 500 * time.Millisecond

// awaitReceipt asks until a change is in force everywhere, where the flag wait says so.
func (c *call) awaitReceipt(id string, r *api.Receipt) *api.Receipt {
	if r == nil || !c.on("wait") || r.Effective == api.EffectiveEverywhere {
		return r
	}
	spin := c.Spin("Waiting for the other nodes…")
	defer spin.Stop()
	for r.Effective != api.EffectiveEverywhere {
		select {
		case <-c.ctx.Done():
			return r
		case <-time.After(receiptPause):
		}
		next, err := c.Receipt(c.ctx, id)
		if err != nil {
			return r // the change is done, and what is known of it still holds
		}
		r = &next
	}
	return r
}
