// Package journal keeps what was revoked, narrowed or ended in a small file beside
// the backups, so that a backup from before a revocation can be restored without
// bringing the key back to life.
//
// A Follower follows the feed of changes and the audit log from a mark that is in
// the file itself: a crash, a restart or a time without the server can't make it
// miss a change, since it goes on where the file ends. For each thing that changed
// it writes how far that still goes, never a secret nor a hash of one. A change's
// answer leaves once the file holds it and is synced; where the file can't be
// written, the change stands all the same, and health and doctor say so.
//
// Every line is authenticated, together with all before it, under a key of the
// pepper: none can be altered, left out, or moved. That lines were cut off at the
// end can't be told from the file alone; so it notes how far it is now and then,
// and whoever restores is told the last of these times.
package journal
