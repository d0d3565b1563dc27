package auditor

import (
	"context"
	"errors"
	"math"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
)

// EntryProof shows that a log of some size holds an entry (RFC 9162, section 2.1.3).
type EntryProof struct {
	Seq, Size  int64
	Text       string // as it is hashed; empty where the account may not read all of it
	Leaf, Root auditlog.Hash
	Path       []auditlog.Hash
	Checkpoint *auditlog.StoredCheckpoint // of that size, where there is one
}

// Prove proves an entry of an account to a log of a size; 0 is that of the newest checkpoint.
func (a *Auditor) Prove(ctx context.Context, account postern.AccountID, seq, size int64) (p EntryProof, err error) {
	db := a.cfg.DB
	rows, err := db.AuditRows(ctx, account, seq-1, seq, 1)
	if err != nil {
		return p, err
	}
	if len(rows) == 0 {
		return p, postern.Errorf(postern.CodeNotFound, "The account has no such entry.")
	}
	p = EntryProof{Seq: seq, Leaf: auditlog.LeafHash(rows[0].Text)}
	if p.Size, p.Checkpoint, err = a.sized(ctx, size); err != nil {
		return p, err
	}
	if p.Size < seq {
		return p, postern.Errorf(postern.CodeConflict, "No checkpoint covers the entry yet. Ask again in a minute, or name a size.")
	}
	if e, err := auditlog.Decode(rows[0].Text); err == nil && !auditlog.ByOperator(&e) {
		p.Text = rows[0].Text
	}
	stored := db.AuditHashes(ctx)
	if p.Root, err = auditlog.RootAt(p.Size, stored); err != nil {
		return p, err
	}
	p.Path, err = auditlog.Proof(seq, p.Size, stored)
	return p, err
}

// sized is the size that was asked for, or that of the newest checkpoint, and the checkpoint of it.
func (a *Auditor) sized(ctx context.Context, asked int64) (int64, *auditlog.StoredCheckpoint, error) {
	most := asked
	if asked == 0 {
		most = math.MaxInt64
	} else if err := a.Within(ctx, asked); err != nil {
		return 0, nil, err
	}
	c, err := a.cfg.DB.AuditCheckpoint(ctx, most)
	if errors.Is(err, postern.CodeNotFound) {
		return asked, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if asked == 0 || asked == c.Size {
		return c.Size, &c, nil
	}
	return asked, nil, nil
}

// Within refuses a size that the log doesn't have.
func (a *Auditor) Within(ctx context.Context, size int64) error {
	head, err := a.cfg.DB.AuditHead(ctx)
	if err == nil && size > head.Entries {
		err = postern.Errorf(postern.CodeInvalid, "The log has %d entries.", head.Entries)
	}
	return err
}
