// Package notify tells people what needs them: in the console, and by mail. A key
// is about to end, its secret is old, nobody uses it, its old secret is still in
// use, its calls are refused, somebody ended it, somebody joined.
//
// Each member is told of each thing once, however many nodes run: what is told of
// has a name, which the row of a notification has only once. Mail is sent after
// that, by whichever node claims it, and tried again with growing pauses. A node that
// dies between sending a mail and noting that is the one case in which it goes out
// twice, with the same Message-ID. Neither ever holds a secret, or a link that does
// something when it is opened.
package notify

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store"
)

// Kind is a kind of notification.
type Kind struct {
	ID    string
	Name  string // "A key ends soon"
	Words string
}

// The kinds.
const (
	KeyExpires   = "key_expires"
	SecretOld    = "secret_old"
	KeyUnused    = "key_unused"
	RotationEnds = "rotation_ends"
	KeyRefused   = "key_refused"
	KeyEnded     = "key_ended"
	Joined       = "joined"
	PolicySet    = "policy"
	// PolicyAltered is told once, until the policy is saved anew.
	PolicyAltered = "policy_altered"
)

// Kinds are all of them, as people choose among them.
func Kinds() []Kind {
	return []Kind{
		{KeyExpires, "A key ends soon", "On the days before its end that the security policy names."},
		{RotationEnds, "An old secret is still used", "A day before it stops, with who uses it."},
		{RotationAsks, "An old secret waits for your word", "It is held past its deadline, since something still uses it."},
		{Campaign, "Keys are to be rotated by a date", "Of a rotation of many keys: when it starts, as its deadline comes, and what is overdue."},
		{RotationOver, "An old secret ended by itself", "Nobody used it any more."},
		{Tripwire, "A tripwire was touched", "An ended secret, two far networks at once, a canary, a burst of refusals."},
		{SecretFound, "A secret was found", "In public code, or by somebody who reported it."},
		{Brownout, "A brownout of an old credential", "A day before it begins, when it met somebody, and when it was stopped."},
		{MigrationWaits, "An old credential waits to be moved", "Nothing was decided about it for two weeks."},
		{KeyRefused, "A key’s calls are refused", "At least 20 calls in an hour, and 5 in 100 of them refused."},
		{KeyEnded, "A key was ended", "Someone else revoked or deleted a key that you look after."},
		{SecretOld, "A secret is old", "It is due for a rotation by the security policy."},
		{KeyUnused, "A key is not used", "For as many days as the security policy names."},
		{Joined, "Someone accepted an invitation", "For those who look after members."},
		{PolicySet, "The security policy changed", "Someone else changed it."},
		{PolicyAltered, "The security policy was altered", "Its record was changed by other means than Postern: until it is saved anew the strictest reading counts."},
		{AuditBroken, "The audit log is broken", "A check found it changed by other means than Postern. For those who run this server."},
	}
}

// Preference is the name of a member's preference about the mails of a kind; its value "off" stops them.
func Preference(kind string) string { return "mail." + kind }

// Config is what a Notifier needs.
type Config struct {
	DB       *store.DB
	Activity *activity.Log
	// Mail sends mails; nil for none.
	Mail Sender
	// PublicURL is where the console is, for links in mails.
	PublicURL string
	// Leads, where set, says whether this node looks for what comes with time. What
	// happens here it tells of, whoever leads.
	Leads func() bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Notifier makes notifications and sends mails.
type Notifier struct {
	cfg  Config
	db   *store.DB
	poke chan struct{} // something happened
	post chan struct{} // there may be mails
}

// New makes a Notifier.
func New(cfg Config) *Notifier {
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	return &Notifier{cfg: cfg, db: cfg.DB, poke: make(chan struct{}, 1), post: make(chan struct{}, 1)}
}

// Poke says that something happened which somebody may want to know of. It never blocks.
func (n *Notifier) Poke() { wake(n.poke) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

const (
	breath    = 2 * time.Second  // between two looks, however much happens
	every     = time.Minute      // how often is looked for events and mails that are due
	everyKeys = time.Hour        // how often all keys are looked at, by one of the nodes
	keysTime  = 10 * time.Minute // how long that node may take, or have failed, before another tries
)

// Run works until ctx ends. What fails is told in the log and tried again. Mails go
// out beside the rest, as a mail server may take its time.
func (n *Notifier) Run(ctx context.Context) error {
	var mails sync.WaitGroup
	mails.Go(func() { n.again(ctx, n.post, 0, n.SendDue) })
	n.again(ctx, n.poke, breath, n.KeysIfDue, n.Events, func(context.Context) error {
		wake(n.post)
		return nil
	})
	mails.Wait()
	return nil
}

// again works every minute, and a moment after it is woken.
func (n *Notifier) again(ctx context.Context, woken <-chan struct{}, moment time.Duration, work ...func(context.Context) error) {
	t := time.NewTicker(every)
	defer t.Stop()
	for happened := false; ; {
		for _, do := range work {
			if !happened && n.cfg.Leads != nil && !n.cfg.Leads() {
				break
			}
			if err := do(ctx); err != nil && ctx.Err() == nil {
				n.cfg.Log.WarnContext(ctx, "notifications are late", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			happened = false
		case <-woken:
			happened = true
			select {
			case <-ctx.Done():
				return
			case <-time.After(moment):
			}
		}
	}
}
