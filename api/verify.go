package api

// VerifyRequest asks whether a secret may do something: a method and a path, or
// scopes. With neither, the question is only whether it is valid.
type VerifyRequest struct {
	Secret    string   `json:"secret" doc:"What was presented as a bearer. Left out or empty: nothing was."`
	Method    string   `json:"method,omitempty" doc:"The method of the call."`
	Path      string   `json:"path,omitempty" doc:"The path of the call as it was received, escaped. A query is dropped."`
	Host      string   `json:"host,omitempty" doc:"The host that the call came to, where that tells APIs apart."`
	Upstream  string   `json:"upstream,omitempty" doc:"The id of the API that the call is for; the path is then that within it."`
	Scopes    []string `json:"scopes,omitempty" nullable:"false" doc:"The scopes that the call needs, instead of method and path."`
	RemoteIP  string   `json:"remoteIp,omitempty" doc:"The caller's address. Without it, a key with an IP list is refused."`
	UserAgent string   `json:"userAgent,omitempty" doc:"The caller's User-Agent, for the activity."`
}

// VerifyAnswer is a decision. A denial is one too: its status is still 200.
type VerifyAnswer struct {
	Allowed   bool   `json:"allowed" doc:"Whether the call may go on."`
	Reason    string `json:"reason" doc:"Why, for programs: allowed, revoked, insufficient_scope and so on."`
	Status    int    `json:"status" doc:"The HTTP status to answer the call with, where it is refused; 200 where not."`
	RequestID string `json:"requestId" doc:"Names this verification in the activity."`
	Detail    string `json:"detail,omitempty" doc:"Why it is refused, in a sentence that the caller may be told."`

	// The following are there only where the whole true secret was presented.
	KeyID            string   `json:"keyId,omitempty" doc:"The public part of the secret."`
	Kind             string   `json:"kind,omitempty" doc:"The kind of credential: service_key and so on."`
	AccountID        string   `json:"accountId,omitempty" doc:"The account that the credential is of."`
	AccountNumber    int64    `json:"accountNumber,omitempty" doc:"The account's public number."`
	Upstream         string   `json:"upstream,omitempty" doc:"The API that the operation is of."`
	Operation        string   `json:"operation,omitempty" doc:"The operation that method and path name."`
	MissingScopes    []string `json:"missingScopes,omitempty" nullable:"false" doc:"The scopes that the credential lacks."`
	SecretGeneration int64    `json:"secretGeneration,omitempty" doc:"Which secret of the key was presented, counting from 1."`
	Which            string   `json:"which,omitempty" enum:"current,previous" doc:"Whether that secret is the key's current one, or the one before."`
	EndedAt          string   `json:"endedAt,omitempty" format:"date-time" doc:"Since when the credential has been revoked, expired or rotated away."`
	DeprecatedAt     string   `json:"deprecatedAt,omitempty" format:"date-time" doc:"Of an old credential that was imported: since when it is on its way out."`
	SunsetAt         string   `json:"sunsetAt,omitempty" format:"date-time" doc:"Of an old credential that was imported: when it is to stop."`
	RetryAfter       int64    `json:"retryAfter,omitempty" doc:"In how many seconds a call may come again."`
	Limits           *Limits  `json:"limits,omitempty" doc:"What the limits are, and what is left of them."`
	// Scopes are told to a resource server of the credential's account only.
	Scopes []string `json:"scopes,omitempty" nullable:"false" doc:"The scopes that the credential has. Told only to a resource server of its account."`
}

// Limits are a credential's limits after a call.
type Limits struct {
	Burst *Limit `json:"burst,omitempty" doc:"The credential's own."`
	Daily *Limit `json:"daily,omitempty" doc:"That of all credentials of its account together."`
}

// Limit is one limit: so many calls in so many seconds.
type Limit struct {
	Limit   int64 `json:"limit" doc:"How many calls."`
	Seconds int64 `json:"seconds" doc:"In how many seconds."`
	Left    int64 `json:"left" doc:"How many are left."`
	Reset   int64 `json:"reset" doc:"In how many seconds all are there again."`
}

// Introspection says what a token is (RFC 7662 section 2.2). All that is said of
// one that is unknown, dead, or of another account is that it isn't active.
type Introspection struct {
	Active        bool   `json:"active"`
	Scope         string `json:"scope,omitempty"` // with blanks between
	ClientID      string `json:"client_id,omitempty"`
	TokenType     string `json:"token_type,omitempty"`
	Subject       string `json:"sub,omitempty"` // the key ID
	Issuer        string `json:"iss,omitempty"`
	Expires       int64  `json:"exp,omitempty"`
	NotBefore     int64  `json:"nbf,omitempty"`
	Account       string `json:"account,omitempty"`
	AccountNumber int64  `json:"account_number,omitempty"`
	Kind          string `json:"kind,omitempty"`
}
