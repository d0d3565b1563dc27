package api

// Health says whether the server can do its work.
type Health struct {
	Status     string   `json:"status" enum:"ok,unavailable"`
	Durability string   `json:"durability" enum:"full,managed,degraded" doc:"What an acknowledged change survives: full is power loss and, on PostgreSQL, the loss of one server; managed is what the database service says of itself; degraded is less, and the warnings say why."`
	Reasons    []string `json:"reasons,omitempty" nullable:"false" doc:"Why it can't."`
	// Warnings are what somebody has to look at although the server does its work.
	Warnings []string `json:"warnings,omitempty" nullable:"false" doc:"What somebody has to look at although it can: a broken audit log, durability that is degraded."`
}
