package store

import (
	"context"
	"database/sql"
)

// VerifyAuditIn verifies the log as a transaction sees it, so that a test can take its tampering back.
func VerifyAuditIn(ctx context.Context, tx *sql.Tx, e Engine) (AuditVerdict, error) {
	q := queries{tx, e, nil}
	return q.verifyAudit(ctx, nil)
}
