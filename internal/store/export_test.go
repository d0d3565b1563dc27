package store

import (
	"context"
	"database/sql"
	"log/slog"

	"postern.dev/postern"
)

// VerifyAuditIn verifies the log as a transaction sees it, so that a test can take its tampering back.
func VerifyAuditIn(ctx context.Context, tx *sql.Tx, e Engine) (AuditVerdict, error) {
	q := queries{tx, e, nil}
	return q.verifyAudit(ctx, nil)
}

// SealFits reports whether the seal of a row of one table fits the same values in another.
func SealFits(p *postern.Pepper, from, to string, values []any) bool {
	s := &seals{pepper: p, log: slog.New(slog.DiscardHandler)}
	columns := make([]string, len(values))
	all := s.seal(&sealedTable{from, 1, columns}, values)
	return !s.broken(&sealedTable{to, 1, columns}, values, mark{all[len(values)].([]byte), all[len(values)+1].(int64)})
}
