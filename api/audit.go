package api

import "time"

// AuditKeys are what the audit log's checkpoints are verified with.
type AuditKeys struct {
	Origin string   `json:"origin" doc:"Names the log: the first line of its checkpoints."`
	Keys   []string `json:"keys" nullable:"false" doc:"Each NAME+ID+KEY, as golang.org/x/mod/sumdb/note and C2SP signed notes write it. The newest first."`
}

// AuditCheckpoint is what the log was at a moment, signed.
type AuditCheckpoint struct {
	Number int64     `json:"number"`
	Size   int64     `json:"size" doc:"How many entries it is over."`
	At     time.Time `json:"at"`
	Root   string    `json:"root" doc:"The hash of the tree of these entries, base64."`
	Note   string    `json:"note" doc:"The signed text."`
}

// AuditProof is the proof that an entry is in the log.
type AuditProof struct {
	Seq        int64            `json:"seq"`
	Size       int64            `json:"size" doc:"The entries of the tree that the proof leads to."`
	Text       string           `json:"text,omitempty" doc:"The entry as it is hashed; left out where your account may not read all of it."`
	Leaf       string           `json:"leaf" doc:"The entry's hash, base64."`
	Proof      []string         `json:"proof" nullable:"false" doc:"Hashes from the entry to the root, base64 (RFC 9162 section 2.1.3)."`
	Root       string           `json:"root"`
	Checkpoint *AuditCheckpoint `json:"checkpoint,omitempty" doc:"The signed checkpoint of that size, where there is one."`
}

// AuditConsistency is the proof that a log holds what it held before.
type AuditConsistency struct {
	From     int64    `json:"from"`
	To       int64    `json:"to"`
	FromRoot string   `json:"fromRoot"`
	ToRoot   string   `json:"toRoot"`
	Proof    []string `json:"proof" nullable:"false" doc:"Hashes, base64 (RFC 9162 section 2.1.4)."`
}
