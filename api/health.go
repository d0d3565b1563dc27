package api

// Health says whether the server can do its work.
type Health struct {
	Status  string   `json:"status" enum:"ok,unavailable"`
	Reasons []string `json:"reasons,omitempty" nullable:"false" doc:"Why it can't."`
	// Warnings are what somebody has to look at although the server does its work.
	Warnings []string `json:"warnings,omitempty" nullable:"false" doc:"What somebody has to look at although it can: a broken audit log."`
}
