package api

// Scope is a permission to call some operations of an upstream.
type Scope struct {
	Name      string   `json:"name"`
	Upstream  string   `json:"upstream" doc:"The upstream whose catalog declares it."`
	Group     string   `json:"group,omitempty" doc:"What it is shown under."`
	Access    string   `json:"access" enum:"read,write"`
	Sensitive bool     `json:"sensitive,omitempty" doc:"Only who holds it by its exact name may grant it."`
	Words     string   `json:"words,omitempty" doc:"What it lets someone do."`
	Opens     []string `json:"opens" nullable:"false" doc:"The operations that it opens, alone or with other scopes."`
	Grantable bool     `json:"grantable" doc:"Whether you may put it on a key."`
}
