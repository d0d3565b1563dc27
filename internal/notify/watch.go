package notify

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// The kinds of what watching calls finds.
const (
	Tripwire     = "tripwire"
	RotationAsks = "rotation_asks"
	RotationOver = "rotation_over"
)

// tripSubjects are what is said of a key whose tripwire was touched.
var tripSubjects = map[postern.TripKind]string{
	postern.TripRetired: "is called with a secret that has ended",
	postern.TripFar:     "is used from two far networks at once",
	postern.TripCanary:  "is a canary, and was used",
	postern.TripRefused: "has a burst of refused calls",
}

// watched is what an entry of the audit log that watching made tells of, or nil.
func (n *Notifier) watched(ctx context.Context, tx *store.Tx, e *postern.AuditEntry, d *draft) (*draft, error) {
	kind, tripped := strings.CutPrefix(e.Action, "tripwire.")
	d.link = "/keys/" + e.Object
	switch {
	case tripped && tripSubjects[postern.TripKind(kind)] != "":
		d.kind, d.subject, d.words = Tripwire, e.Name+" "+tripSubjects[postern.TripKind(kind)], e.Reason
		if e.After["pausedAt"] != nil {
			d.words += " The key was paused: the security policy asks for that."
		}
	case e.Action == "service_key.rotation.ask":
		d.kind, d.subject = RotationAsks, "The old secret of "+e.Name+" is still used"
		d.words = "Its deadline has come, and it is held so that nothing breaks" + until(e) + ". See who uses it, then let it go on or end it."
		d.link += "/rotate"
	case e.Action == "service_key.rotation.finish" && e.Actor.System == "rotation":
		d.kind, d.subject, d.words = RotationOver, "The old secret of "+e.Name+" has ended", e.Reason+" The new one works on."
	default:
		return nil, nil
	}
	k, err := tx.KeyPeople(ctx, e.AccountID, postern.KeyID(e.Object))
	if errors.Is(err, postern.CodeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	who, err := n.people(ctx, tx, e.AccountID)
	if err != nil {
		return nil, err
	}
	if d.to, err = who.of(ctx, &k); err != nil || d.kind == RotationOver {
		return d, err
	}
	// What must be decided, or may be an attack, is for those who run the account, too.
	for _, r := range who.who(postern.PermAccountWrite) {
		if !told(d.to, r.id) {
			d.to = append(d.to, r)
		}
	}
	return d, nil
}

func told(to []reader, id postern.MemberID) bool {
	for _, r := range to {
		if r.id == id {
			return true
		}
	}
	return false
}

// until says how long a secret is held, as its entry tells.
func until(e *postern.AuditEntry) string {
	plan, _ := e.After["rotation"].(map[string]any)
	text, _ := plan["latest"].(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return ""
	}
	return ", until " + t.UTC().Format("2 January at 15:04 MST") + " at the latest"
}
