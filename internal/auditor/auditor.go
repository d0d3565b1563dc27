// Package auditor looks after the audit log of a running server: it signs
// checkpoints, checks the whole log now and then, and raises the alarm.
//
// It promises never to sign a tree that does not hold the one it signed before:
// every checkpoint grows from the last signed one, entry by entry, and the texts of
// the entries in between are read for it. Where that fails, nothing is signed any
// more, and it says so wherever somebody looks.
package auditor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
)

const (
	look      = time.Second // how often is looked whether a checkpoint is due
	signEvery = time.Minute
	lastWords = 5 * time.Second // how long the last checkpoint may take when the server stops
)

// Config is what an Auditor needs.
type Config struct {
	DB     *store.DB
	Pepper *postern.Pepper
	// Alarm, where given, tells people that the log is broken at an entry.
	Alarm func(ctx context.Context, entry int64, why string) error
	// Leads, where set, says whether this node signs and checks when it is time.
	// The others take note of what it did.
	Leads func() bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Auditor signs checkpoints and checks the log. Its methods may be called at once
// from many goroutines.
type Auditor struct {
	cfg Config
	db  *store.DB
	log *slog.Logger

	origin  string
	signers []auditlog.Signer // the newest version of the pepper first
	keys    auditlog.Keys

	dueSeen time.Time // of Step alone: when the next check was due at its last look

	mu        sync.Mutex
	running   chan struct{} // closed at the end of the check that runs; nil while none does
	state     State
	told      string    // the alarm that was raised last
	refusedAt time.Time // when signing was last refused
}

// State is what is known of the log.
type State struct {
	At     time.Time // of the latest check; zero: none
	Took   time.Duration
	Report auditlog.Report
	// Failed says that the latest check could not be made.
	Failed      bool
	Running     bool
	Done, Total int64
	// Refused is why no checkpoint is signed, and RefusedAt the entry that it is about.
	Refused   string
	RefusedAt int64
	Entries   int64 // in the log
	Covered   int64 // by checkpoints
}

// Sound is false where the log is known to be broken.
func (s *State) Sound() bool { return s.Refused == "" && (s.At.IsZero() || s.Report.Sound) }

// Broken is the first bad entry that is known of, and what is wrong; 0 where all is well.
func (s *State) Broken() (entry int64, why string) {
	if f := s.Report.First(); !s.At.IsZero() && f.Entry > 0 {
		return f.Entry, f.Why
	}
	return s.RefusedAt, s.Refused
}

// New makes an Auditor. It gives the log its name on its first start, and notes in
// it when another key signs.
func New(ctx context.Context, cfg Config) (*Auditor, error) {
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &Auditor{cfg: cfg, db: cfg.DB, log: cfg.Log}
	if err := a.names(ctx); err != nil {
		return nil, err
	}
	return a, a.recall(ctx)
}

// Origin names the log.
func (a *Auditor) Origin() string { return a.origin }

// Keys are those that sign its checkpoints, the newest first.
func (a *Auditor) Keys() []string {
	out := make([]string, len(a.signers))
	for i, s := range a.signers {
		out[i] = s.Key
	}
	return out
}

// SigningKeys are the keys that a pepper gives for a log: those that a verification believes.
func SigningKeys(p *postern.Pepper, origin string) ([]auditlog.Signer, error) {
	versions := p.Versions()
	slices.Sort(versions)
	slices.Reverse(versions)
	var out []auditlog.Signer
	for _, v := range versions {
		seed, _ := p.Derive(v, auditlog.KeyLabel)
		s, err := auditlog.NewSigner(origin, seed)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (a *Auditor) names(ctx context.Context) error {
	origin, known, err := a.db.AuditNames(ctx)
	if err != nil {
		return err
	}
	fresh := origin == ""
	if fresh {
		var b [8]byte
		_, _ = rand.Read(b[:])
		origin = "postern/" + hex.EncodeToString(b[:])
	}
	if err := a.useOrigin(origin); err != nil {
		return err
	}
	added := slices.DeleteFunc(a.Keys(), func(k string) bool { return slices.Contains(known, k) })
	if len(added) == 0 {
		return nil
	}
	_, err = a.db.Write(ctx, func(tx *store.Tx) error {
		there, known, err := tx.AuditNames(ctx)
		if err != nil {
			return err
		}
		if there != "" && there != origin { // another node was faster
			if err := a.useOrigin(there); err != nil {
				return err
			}
		}
		list := a.Keys()
		for _, k := range known {
			if !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
		if len(list) == len(known) {
			return nil
		}
		if err := tx.SetAuditNames(ctx, a.origin, list); err != nil || there == "" {
			return err
		}
		// So that a checkpoint is signed by the old key and the new one.
		by := postern.Actor{System: "audit"}
		e := by.Entry(a.cfg.Now(), "audit.key", auditlog.KeyID(list[0]))
		return tx.InsertAudit(ctx, e)
	})
	return err
}

func (a *Auditor) useOrigin(origin string) (err error) {
	a.origin = origin
	if a.signers, err = SigningKeys(a.cfg.Pepper, origin); err != nil {
		return err
	}
	a.keys, err = auditlog.ParseKeys(a.Keys()...)
	return err
}

// State is what is known of the log now.
func (a *Auditor) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// Run signs and checks until ctx ends, and then signs what is there. What fails is
// told in the log and tried again.
func (a *Auditor) Run(ctx context.Context) error {
	t := time.NewTicker(look)
	defer t.Stop()
	var failed string
	for {
		if err := a.Step(ctx); err != nil && ctx.Err() == nil {
			if failed != err.Error() {
				a.log.WarnContext(ctx, "the audit log is not looked after", "err", err)
			}
			failed = err.Error()
		} else {
			failed = ""
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			if err := a.Sign(last); err != nil {
				a.log.WarnContext(last, "the last checkpoint of the audit log was not signed", "err", err)
			}
			return nil
		case <-t.C:
		}
	}
}

// Step signs a checkpoint if one is due, and checks the log if that is.
func (a *Auditor) Step(ctx context.Context) error {
	return errors.Join(a.signIfDue(ctx), a.checkIfDue(ctx))
}

func (a *Auditor) leads() bool { return a.cfg.Leads == nil || a.cfg.Leads() }

func (a *Auditor) signIfDue(ctx context.Context) error {
	head, err := a.db.AuditHead(ctx)
	if err != nil {
		return err
	}
	last, err := a.db.AuditCheckpoint(ctx, 1<<62)
	if err != nil && !errors.Is(err, postern.CodeNotFound) {
		return err
	}
	a.mu.Lock()
	a.state.Entries, a.state.Covered = head.Entries, last.Size
	now, retry := a.cfg.Now(), a.refusedAt.Add(signEvery)
	refused := a.state.Refused != ""
	a.mu.Unlock()
	if !a.leads() {
		return nil
	}
	if refused {
		if now.Before(retry) {
			return nil
		}
		return a.Sign(ctx)
	}
	if !due(head.Entries-last.Size, now.Sub(postern.Micros(last.At).Time())) {
		return nil
	}
	return a.sign(ctx, due)
}

// due is whether a checkpoint is to be signed, by the entries after the last one and by its age.
func due(fresh int64, age time.Duration) bool {
	// Fewer entries than were signed are no business of later: they were cut off.
	return fresh != 0 && (fresh < 0 || fresh >= auditlog.CheckpointEvery || age < 0 || age >= signEvery)
}

// refusal is why nothing was signed.
type refusal struct {
	entry int64
	why   string
}

func (r *refusal) Error() string { return r.why }

// Sign signs checkpoints until all entries are covered. Where the log isn't what
// was signed before, it raises the alarm instead.
func (a *Auditor) Sign(ctx context.Context) error {
	return a.sign(ctx, func(int64, time.Duration) bool { return true })
}

// sign is Sign where it is still due: while this process stood still, another node
// may have signed.
func (a *Auditor) sign(ctx context.Context, due func(fresh int64, age time.Duration) bool) error {
	for first, more := true, true; more && ctx.Err() == nil; first = false {
		_, err := a.db.Write(ctx, func(tx *store.Tx) (err error) {
			more, err = a.signNext(ctx, tx, func(last *signed, entries int64) bool {
				return !first || due(entries-last.Size, a.cfg.Now().Sub(last.At))
			})
			return err
		})
		no, refused := errors.AsType[*refusal](err)
		switch {
		case refused:
			a.mu.Lock()
			first := a.state.Refused == ""
			a.state.Refused, a.state.RefusedAt, a.refusedAt = no.why, no.entry, a.cfg.Now()
			a.mu.Unlock()
			a.alarm(ctx, no.entry, no.why)
			if first { // what exactly is wrong
				await(ctx, a.Begin(ctx))
			}
			return nil
		case err != nil:
			return err
		}
	}
	a.mu.Lock()
	if a.state.Refused != "" {
		a.state.Refused, a.state.RefusedAt, a.told = "", 0, ""
	}
	a.mu.Unlock()
	return ctx.Err()
}

func await(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func refuse(entry int64, format string, args ...any) error {
	return &refusal{max(entry, 1), fmt.Sprintf(format, args...)}
}

// signNext signs one checkpoint, over at most CheckpointEvery more entries.
func (a *Auditor) signNext(ctx context.Context, tx *store.Tx, due func(last *signed, entries int64) bool) (more bool, err error) {
	head, err := tx.AuditHead(ctx)
	if err != nil {
		return false, err
	}
	last, tree, err := a.lastSigned(ctx, tx, head)
	if err != nil {
		return false, err
	}
	if head.Entries < last.Size {
		return false, refuse(head.Entries+1, "the log's head says %d entries, and checkpoint %d was signed over %d", head.Entries, last.Number, last.Size)
	}
	if head.Entries == last.Size || !due(&last, head.Entries) {
		return false, nil
	}
	c := auditlog.Checkpoint{Origin: a.origin, Number: last.Number + 1, Size: min(head.Entries, last.Size+auditlog.CheckpointEvery), At: a.cfg.Now(), Previous: last.hash}
	rows, err := tx.AuditRows(ctx, "", last.Size, c.Size, auditlog.CheckpointEvery)
	if err != nil {
		return false, err
	}
	if err := grow(tree, rows, c.Size); err != nil {
		return false, err
	}
	c.Root = tree.Root()
	if err := auditlog.CheckGrowth(last.Size, last.Root, c.Size, c.Root, tx.AuditHashes(ctx)); err != nil {
		return false, refuse(last.Size+1, "the stored hashes are not those of the entries: %v", err)
	}
	note, err := auditlog.Sign(&c, a.signers...)
	if err != nil {
		return false, err
	}
	return c.Size < head.Entries, tx.InsertAuditCheckpoint(ctx, &c, note)
}

// grow adds the rows after a tree to it.
func grow(tree *auditlog.Tree, rows []auditlog.Row, size int64) error {
	for i := range rows {
		want := tree.Size() + 1
		said, ok := auditlog.RowOf(rows[i].Text)
		if rows[i].Seq != want {
			return refuse(want, "entry %d is missing", want)
		}
		if !ok || said != rows[i] {
			return refuse(want, "entry %d is not as it was written", want)
		}
		tree.Add(auditlog.LeafHash(rows[i].Text))
	}
	if tree.Size() != size {
		return refuse(tree.Size()+1, "entry %d is missing", tree.Size()+1)
	}
	return nil
}

// signed is the checkpoint that was signed last.
type signed struct {
	auditlog.Checkpoint
	hash auditlog.Hash
}

// lastSigned reads it, and the tree that it was signed over; both are empty where there is none.
func (a *Auditor) lastSigned(ctx context.Context, tx *store.Tx, head store.AuditHead) (last signed, tree *auditlog.Tree, err error) {
	list, err := tx.AuditCheckpoints(ctx, 1<<62, 1)
	if err != nil {
		return last, nil, err
	}
	if len(list) == 0 {
		if head.Checkpoints > 0 {
			return last, nil, refuse(1, "all %d checkpoints are missing", head.Checkpoints)
		}
		return last, &auditlog.Tree{}, nil
	}
	s := list[0]
	c, ok, err := a.keys.Open(s.Note)
	switch {
	case err != nil || !ok:
		return last, nil, refuse(s.Size, "checkpoint %d is not one that this server signed", s.Number)
	case s.Number != head.Checkpoints || c.Number != s.Number || c.Size != s.Size || c.Origin != a.origin:
		return last, nil, refuse(s.Size, "checkpoint %d is not the last that was signed", s.Number)
	}
	tree, err = auditlog.Grown(c.Size, c.Root, tx.AuditHashes(ctx))
	if err != nil {
		return last, nil, refuse(1, "checkpoint %d does not fit any more: %v", c.Number, err)
	}
	return signed{c, auditlog.NoteHash(s.Note)}, tree, nil
}

// alarm tells that the log is broken: once for each thing that is.
func (a *Auditor) alarm(ctx context.Context, entry int64, why string) {
	what := fmt.Sprintf("%d: %s", entry, why)
	a.mu.Lock()
	again := a.told == what
	a.told = what
	a.mu.Unlock()
	if again {
		return
	}
	a.log.ErrorContext(ctx, "the audit log is broken: it was changed by other means than Postern", "entry", entry, "why", why)
	if a.cfg.Alarm == nil {
		return
	}
	if err := a.cfg.Alarm(context.WithoutCancel(ctx), entry, strings.TrimSuffix(why, ".")); err != nil {
		a.log.ErrorContext(ctx, "nobody could be told that the audit log is broken", "err", err)
	}
}
