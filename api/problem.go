package api

// ProblemBase is how the type of every problem starts; its code follows.
const ProblemBase = "https://postern.dev/problems/"

// Problem is a failure (RFC 9457), sent as application/problem+json.
type Problem struct {
	Type          string   `json:"type" format:"uri" doc:"Says what sort of problem this is: https://postern.dev/problems/ and the code."`
	Title         string   `json:"title" doc:"The sort of problem, in a few words."`
	Status        int      `json:"status" minimum:"400" maximum:"599" doc:"The HTTP status."`
	Detail        string   `json:"detail" doc:"What is wrong here and, where that can be said, what to do."`
	Instance      string   `json:"instance" doc:"Names this one occurrence: urn:postern:request: and the request id, which logs have too."`
	Code          string   `json:"code" doc:"What sort of problem this is, for programs."`
	Field         string   `json:"field,omitempty" doc:"The member of the request that is at fault."`
	Reason        string   `json:"reason,omitempty" doc:"Why the credential was refused."`
	MissingScopes []string `json:"missingScopes,omitempty" nullable:"false" doc:"The scopes that are missing."`
	Operation     string   `json:"operation,omitempty" doc:"The operation that the credential was refused for."`
}

// InstancePrefix is how the instance of a problem starts; the request id follows.
const InstancePrefix = "urn:postern:request:"
