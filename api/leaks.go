package api

import "time"

// The states of a secret that somebody found.
const (
	FoundUnknown = "unknown"
	FoundLive    = "live"
	FoundDormant = "dormant"
	FoundDead    = "dead"
)

// FoundSecret is a secret that somebody found, presented whole.
type FoundSecret struct {
	Secret string `json:"secret" minLength:"1" maxLength:"4096" doc:"The whole secret."`
	URL    string `json:"url,omitempty" maxLength:"1000" doc:"Where it was found, for those who look after it."`
}

// FoundAnswer is what a secret can do, and what came of presenting it.
type FoundAnswer struct {
	State      string `json:"state" enum:"unknown,live,dormant,dead" doc:"unknown: not the whole secret of a credential of this server. live: it works. dormant: it doesn't now, and could again. dead: it never works again."`
	KeyID      string `json:"keyId,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Reported   bool   `json:"reported" doc:"Those who look after it know."`
	Did        string `json:"did,omitempty" enum:"notify,pause,revoke" doc:"What the account's policy did."`
	Revoked    bool   `json:"revoked" doc:"It was ended by this request."`
	Everywhere bool   `json:"everywhere,omitempty" doc:"Where it was ended or paused: no node of the server takes it any more."`
	Kept       bool   `json:"kept,omitempty" doc:"Its account doesn't let finders end its secrets. It was told."`
	Detail     string `json:"detail" doc:"The same in a sentence."`
}

// Leak is that a secret of the account was found.
type Leak struct {
	ID         string    `json:"id"`
	KeyID      string    `json:"keyId"`
	Kind       string    `json:"kind"`
	Name       string    `json:"name" doc:"Of the key, now."`
	Generation int64     `json:"generation"`
	LastFour   string    `json:"lastFour" doc:"The last four characters of the secret."`
	Source     string    `json:"source" enum:"github,finder" doc:"Who said so: GitHub's secret scanning, or someone who presented it."`
	URL        string    `json:"url,omitempty" doc:"Where it was found, as the finder says. Anyone may have written it."`
	Did        string    `json:"did" enum:"notify,pause,revoke"`
	At         time.Time `json:"at"`
	Live       bool      `json:"live" doc:"The secret still works, or could again: replace it."`
}

// LeakPolicy says what happens when a secret is found in the open.
type LeakPolicy struct {
	Do         string `json:"do" enum:"notify,pause,revoke" doc:"Its people are told in any case."`
	FindersEnd bool   `json:"findersEnd" doc:"Whoever presents a whole secret can end it."`
}

// EditLeakPolicy changes that. What is left out stays as it is.
type EditLeakPolicy struct {
	Do         *string `json:"do,omitempty" enum:"notify,pause,revoke"`
	FindersEnd *bool   `json:"findersEnd,omitempty"`
}
