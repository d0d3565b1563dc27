package node

import (
	"net/http"

	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/outgoing"
)

// GitHubLeaksOn is the setting that takes reports of GitHub, with the keys that it publishes.
const GitHubLeaksOn = "on"

// openLeaks builds what takes in found secrets.
func (n *Node) openLeaks() (err error) {
	n.Leaks, err = leaks.New(leaks.Config{Verifier: n.Verifier, Keyring: n.Keyring, Told: n.Notifier.Poke, Log: n.Config.Log})
	return err
}

// githubLeaks is the door for GitHub's reports, or nil where none are taken.
func (n *Node) githubLeaks() (http.Handler, error) {
	source := n.Config.GitHubLeaks
	switch source {
	case "":
		return nil, nil
	case GitHubLeaksOn:
		source = leaks.GitHubKeys
	}
	signers, err := leaks.NewSigners(source, outgoing.New(outgoing.Config{}), n.Config.Now)
	if err != nil {
		return nil, err
	}
	return httpapi.GitHubLeaksHandler(httpapi.GitHubConfig{Door: n.doors.door, Leaks: n.Leaks, Signers: signers}), nil
}
