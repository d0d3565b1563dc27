// Package backup makes backups of a whole database, checks them, and restores them.
//
// A backup is one stream: lines of JSON, packed, and encrypted with age. The same
// stream is made of SQLite and of PostgreSQL, and is restored into either. It
// promises to be what the database was at one moment, and that no byte of it can
// be missing or changed unnoticed: every table has its count and its digest, the
// whole has a digest, and that is authenticated under a key of the pepper. The
// pepper itself is never in it, nor who is signed in.
//
// A backup remembers keys that were revoked later. Restoring one therefore takes
// the journal of revocations (package journal) and plays it on what was restored:
// that only ever takes away. Without it nothing is restored unless somebody says how
// many credentials may come back to life.
package backup
