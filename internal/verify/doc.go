// Package verify is the hot path: it holds the index of every live credential in
// memory and decides whether a secret may do what it is presented for.
//
// It promises that deciding never waits for the database, except for a bounded
// number of look-ups of keys that this node has not heard of; that a node decides
// only while it holds a lease, so that a revocation is in force everywhere by a
// time that can be told; and that an allowed call allocates nothing.
//
//	door → Verify → parse → index → recognize → networks → limits → catalog → permit → Decision
//	door → Done → Event → Sink
//
// Changes arrive by the feed (feed.go), leases are renewed in lease.go, and
// Receipt says when a change is in force on every node.
package verify
