package cli

import (
	"net"
	"net/url"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"postern.dev/postern/client"
)

// server is where commands go, and with which key.
type server struct {
	profile   string // its name; empty where variables say all
	url       string
	secret    string
	allowHTTP bool
}

// server finds where a command goes: variables first, then the saved login. The
// key of a saved login is never sent to another server than the login's.
func (a *app) server(cmd *cobra.Command) (server, error) {
	s := server{url: strings.TrimRight(a.Getenv("POSTERN_SERVER"), "/"), allowHTTP: truth(a.Getenv("POSTERN_ALLOW_HTTP"))}
	var err error
	if s.secret, err = a.secretFromEnv(); err != nil {
		return s, err
	}
	if s.url != "" && s.secret != "" {
		return s, nil
	}
	c, err := a.readConfig()
	if err != nil {
		return s, err
	}
	flag, _ := cmd.Flags().GetString("profile")
	name := a.profileName(flag, c)
	p, ok := c.Profiles[name]
	switch {
	case !ok && s.url != "":
		return s, exit(ExitNotPermitted, errorf("POSTERN_SERVER names a server, and there is no key for it. Set POSTERN_SECRET_FILE too, or sign in with: postern login %s", "URL"))
	case !ok && len(c.Profiles) > 0:
		return s, exit(ExitNotPermitted, errorf("There is no profile %q. See %q.", name, "postern profiles"))
	case !ok:
		return s, exit(ExitNotPermitted, errorf("You are not signed in. Sign in with: postern login URL"))
	case s.url != "" && s.url != p.Server && s.secret == "":
		return s, exit(ExitNotPermitted, errorf("POSTERN_SERVER names another server than the profile %q, whose key isn't sent there. Set POSTERN_SECRET_FILE too.", name))
	}
	s.profile = name
	s.allowHTTP = s.allowHTTP || p.AllowHTTP
	if s.url == "" {
		s.url = p.Server
	}
	if s.secret == "" {
		s.secret = p.Secret
	}
	return s, nil
}

// connect makes a client for a server.
func (a *app) connect(s server) (*client.Client, error) {
	c, err := client.New(s.url, client.WithSecret(s.secret), client.WithUserAgent("postern-cli/"+a.Version+" ("+runtime.GOOS+")"))
	if err != nil {
		return nil, usagef("%s", sentence(strings.TrimPrefix(err.Error(), "client: ")))
	}
	if !s.allowHTTP && plainHTTP(s.url) {
		return nil, usagef("Over plain HTTP everyone on the way could read your key. Use https, or say --allow-http to login (POSTERN_ALLOW_HTTP=yes) where you trust the network.")
	}
	return c, nil
}

// plainHTTP reports whether a URL goes to another machine without TLS.
func plainHTTP(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "on":
		return true
	}
	return false
}
