package api

import "time"

// NodeState is how a node is.
type NodeState string

// The states of a node.
const (
	NodeDecides NodeState = "decides" // its lease runs
	NodeBehind  NodeState = "behind"  // its lease runs, and it has not confirmed the latest changes
	NodeGone    NodeState = "gone"    // its lease is over: it answers nothing but 503, or is no more
)

// NodeLimits is how a node holds the limits of keys.
type NodeLimits string

// How a node holds the limits of keys.
const (
	LimitsTogether NodeLimits = "together" // counted in Redis with the other nodes
	LimitsShare    NodeLimits = "share"    // each node allows its part
	LimitsAllow    NodeLimits = "allow"    // Redis is away, and nothing is limited
	LimitsRefuse   NodeLimits = "refuse"   // Redis is away, and calls of keys that have a limit are refused
)

// Node is one of the processes that share a database.
type Node struct {
	ID            string     `json:"id" doc:"New at each start; receipts name it."`
	Name          string     `json:"name,omitempty" doc:"What the operator calls it."`
	Version       string     `json:"version,omitempty"`
	Address       string     `json:"address,omitempty" doc:"The URL at which it is reached, as far as it knows."`
	State         NodeState  `json:"state" enum:"decides,behind,gone"`
	StartedAt     time.Time  `json:"startedAt"`
	LeaseUntil    time.Time  `json:"leaseUntil" doc:"When it stops deciding, unless it renews its lease before."`
	Confirmed     int64      `json:"confirmed" doc:"The number of the change up to which all are in force there."`
	Lag           int64      `json:"lag" doc:"How many changes are not confirmed by it."`
	ClockOffsetMs int64      `json:"clockOffsetMs" doc:"By how much the database's clock is ahead of the node's."`
	Limits        NodeLimits `json:"limits,omitempty" enum:"together,share,allow,refuse" doc:"How it holds the limits of keys: together with the others, in Redis; its share of them; or, while Redis is away, not at all (allow), or by refusing their calls with 503 (refuse)."`
	LimitsSince   time.Time  `json:"limitsSince,omitzero" doc:"Since when, where Redis is set."`
	Leads         bool       `json:"leads,omitempty" doc:"It does what is done once in a cluster, such as signing checkpoints."`
	Answers       bool       `json:"answers,omitempty" doc:"It gave this answer."`
}
