package api

// Health says whether the server can do its work.
type Health struct {
	Status  string   `json:"status" enum:"ok,unavailable"`
	Reasons []string `json:"reasons,omitempty" nullable:"false" doc:"Why it can't."`
}
