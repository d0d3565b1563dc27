// Package leaks takes in secrets that were found where they should not be: from
// GitHub's secret scanning, and from anyone who presents one whole.
//
// It promises that a guesser learns nothing: what isn't the whole true secret of a
// credential is unknown, with the same answer and the same work. That a secret
// which is presented goes nowhere from here: not into a record, a log or an answer.
// And that a report repeated does nothing more.
package leaks

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/verify"
)

// State is what a found secret can do.
type State string

// The states.
const (
	Unknown State = "unknown" // not the whole secret of any credential of this server
	Live    State = "live"    // it works
	Dormant State = "dormant" // it doesn't work now, and could again: paused, expired, or not yet begun
	Dead    State = "dead"    // it has ended and never works again
)

// Found is what may be told of a secret to whoever presented the whole of it.
type Found struct {
	State    State
	Kind     postern.Kind  // 0 where it is unknown
	Key      postern.KeyID // empty where it is unknown
	Reported bool          // its people were told, now or before
	Did      postern.LeakAction
	Ended    bool // it was ended by this
	Kept     bool // its account doesn't let finders end its secrets
	Seq      int64
}

// Config is what an Intake needs. The first two have no default.
type Config struct {
	Verifier *verify.Verifier
	Keyring  *keyring.Keyring
	// Told is called after a report was taken, so that people hear of it soon. May be nil.
	Told func()
	// PerSecond is how many secrets an address may present: 20 unless set.
	PerSecond int
	Log       *slog.Logger
}

// Intake takes found secrets. Its methods may be called at once from many goroutines.
type Intake struct {
	cfg  Config
	from *limit.Throttle
}

// New makes an Intake.
func New(cfg Config) (*Intake, error) {
	if cfg.Verifier == nil || cfg.Keyring == nil {
		return nil, errors.New("leaks: a verifier and a keyring are needed")
	}
	if cfg.PerSecond <= 0 {
		cfg.PerSecond = 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Told == nil {
		cfg.Told = func() {}
	}
	return &Intake{cfg: cfg, from: limit.NewThrottle(cfg.PerSecond)}, nil
}

// Allow counts a secret that an address presents, and refuses where they are too many.
func (i *Intake) Allow(ip netip.Addr) error {
	if !i.from.Take(limit.Network(ip)) {
		return postern.Errorf(postern.CodeRateLimited, "Too many secrets came from this address. Try again in a moment.")
	}
	return nil
}

// maxPresented is the longest text that is looked at: secrets of old tools can be long.
const maxPresented = 4096

// Presented is a secret as people paste it: with blanks around it, or with "Bearer" before.
func Presented(text string) postern.Secret {
	text = strings.TrimSpace(text)
	if len(text) > 7 && strings.EqualFold(text[:7], "bearer ") {
		text = strings.TrimSpace(text[7:])
	}
	if len(text) > maxPresented {
		text = ""
	}
	return postern.SecretOf(text)
}

// Look tells what a secret can do. It changes nothing, and counts as no use of it.
func (i *Intake) Look(ctx context.Context, s postern.Secret) (Found, error) {
	f, _, err := i.look(ctx, s)
	return f, err
}

func (i *Intake) look(ctx context.Context, s postern.Secret) (Found, postern.Decision, error) {
	d := i.cfg.Verifier.Still(ctx, &verify.Request{Secret: s})
	if d.Reason == postern.ReasonUnavailable {
		return Found{}, d, postern.Errorf(postern.CodeUnavailable, "It can't be told now whether this secret works. Try again in a moment.")
	}
	if !d.Known {
		return Found{State: Unknown}, d, nil
	}
	return Found{State: stateOf(d.Reason, d.Kind), Kind: d.Kind, Key: d.KeyID()}, d, nil
}

func stateOf(r postern.Reason, k postern.Kind) State {
	switch r {
	case postern.ReasonRevoked, postern.ReasonRetired:
		return Dead
	case postern.ReasonExpired:
		if k == postern.KindPersonal {
			return Dead // others can be given a later end
		}
		return Dormant
	case postern.ReasonPaused, postern.ReasonNotYetValid, postern.ReasonAccountSuspended:
		return Dormant
	}
	return Live
}

// Place is where a secret was found, and who says so.
type Place struct {
	Source string // one of postern's LeakFrom constants
	URL    string
	From   postern.Actor
}

// Report notes that a secret was found: its people are told, and the account's
// policy is followed. What is unknown or dead is only looked at.
func (i *Intake) Report(ctx context.Context, s postern.Secret, at Place) (Found, error) {
	return i.take(ctx, s, at, false)
}

// End is Report, and ends the secret, where its account lets finders do that.
func (i *Intake) End(ctx context.Context, s postern.Secret, at Place) (Found, error) {
	return i.take(ctx, s, at, true)
}

func (i *Intake) take(ctx context.Context, s postern.Secret, at Place, end bool) (Found, error) {
	f, d, err := i.look(ctx, s)
	if err != nil || f.State == Unknown || f.State == Dead {
		return f, err
	}
	done, err := i.cfg.Keyring.TakeLeak(ctx, at.From, keyring.Leak{Account: d.Account, Key: f.Key, Generation: int64(d.Gen),
		Source: at.Source, URL: cleanURL(at.URL), End: end})
	if err != nil {
		return f, err
	}
	if !done.Live { // somebody was faster
		f.State = Dead
		return f, nil
	}
	f.Reported, f.Did, f.Kept, f.Seq = true, done.Did, done.Kept, done.Seq
	f.Ended = done.Seq != 0 && done.Did == postern.LeakRevoke
	switch {
	case f.Ended:
		f.State = Dead
	case done.Seq != 0 && done.Did == postern.LeakPause:
		f.State = Dormant
	}
	if done.New {
		i.cfg.Told()
		i.cfg.Log.InfoContext(ctx, "a secret was found", "key_id", string(f.Key), "account_id", string(d.Account), "source", at.Source, "did", string(done.Did), "request_id", at.From.RequestID)
	}
	return f, nil
}

// maxURL is how much is kept of where a secret was found.
const maxURL = 1000

// cleanURL is a place as it is kept: printable, bounded, and without any secret.
func cleanURL(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' || r >= 0x200e && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(s, "")))
	s = postern.HideSecrets(s)
	for i := range s {
		if i >= maxURL {
			return s[:i]
		}
	}
	return s
}

// receiptWait is how long ending a secret waits for all nodes.
const receiptWait = 3 * time.Second

// Settle waits until a change is in force on all nodes, for a while, and reports whether it is.
func (i *Intake) Settle(ctx context.Context, seq int64) bool {
	if seq == 0 {
		return true
	}
	r, err := i.cfg.Verifier.Receipt(ctx, seq, receiptWait)
	return err == nil && r.Everywhere
}

// Words is what came of presenting a secret, in a sentence or two.
func (f *Found) Words() string {
	switch {
	case f.State == Unknown:
		return "This is not the whole secret of a key of this server. Look whether something is missing at its ends."
	case f.Ended:
		return "The secret was ended. It never works again, and those who look after it were told."
	case f.State == Dead:
		return "This secret has ended already. It never works again."
	case f.Kept:
		return "The account that it belongs to doesn't let finders end its secrets. Those who look after it were told."
	case f.Reported && f.Did == postern.LeakPause && f.State == Dormant:
		return "Those who look after it were told, and it does not work for now."
	case f.Reported:
		return "Those who look after it were told."
	case f.State == Dormant:
		return "This secret is real. It does not work now, and could again."
	}
	return "This secret works."
}
