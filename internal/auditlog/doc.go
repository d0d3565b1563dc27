// Package auditlog is how the audit log proves itself: the bytes of an entry, the
// Merkle tree over all entries (RFC 6962 section 2.1), signed checkpoints of that
// tree, proofs against them, the exports, and the verification of all of it.
//
// It reads no database and asks no clock. docs/audit.md says the same in words
// from which another verifier can be written; whoever changes a format here
// changes that page.
package auditlog
