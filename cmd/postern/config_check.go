package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/limit/ledger"
)

// check refuses what can't work, and names the setting.
func (c *Config) check() error {
	bad := func(name, format string, args ...any) error {
		return fmt.Errorf("%s (%s): %s", name, envName(name), fmt.Sprintf(format, args...))
	}
	for name, addr := range map[string]string{"listen": c.Listen, "gateway": c.Gateway} {
		if name == "gateway" && addr == "off" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return bad(name, "%q is not an address such as 127.0.0.1:8080", addr)
		}
	}
	for name, u := range map[string]string{"public-url": c.PublicURL, "gateway-url": c.GatewayURL} {
		if p, err := url.Parse(u); u != "" && (err != nil || p.Host == "" || (p.Scheme != "http" && p.Scheme != "https") || p.RawQuery != "") {
			return bad(name, "%q is not a URL such as https://keys.example.org", u)
		}
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		return bad("database", "want a URL that starts with postgres://")
	}
	if !nodeName.MatchString(c.NodeName) {
		return bad("node-name", "at most 40 of a-z, A-Z, 0-9, - and _, not %q", c.NodeName)
	}
	if !slices.Contains([]string{"required", "none", "managed"}, c.Standby) {
		return bad("standby", "required, none or managed, not %q", c.Standby)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return bad("tls-cert", "tls-cert and tls-key go together")
	}
	if !postern.ValidBrand(c.Brand) {
		return bad("brand", "%q is not 2 to 16 of a-z and 0-9, a letter first", c.Brand)
	}
	for name, list := range map[string][]string{"trusted-proxy": c.TrustedProxy, "forward-auth-peer": c.ForwardAuth} {
		if _, err := prefixes(list); err != nil {
			return bad(name, "%v", err)
		}
	}
	if err := c.checkSignin(bad); err != nil {
		return err
	}
	if err := c.checkMail(bad); err != nil {
		return err
	}
	if err := c.checkLimits(bad); err != nil {
		return err
	}
	switch {
	case c.Lease < 5*time.Second || c.Lease > time.Hour:
		return bad("lease", "from 5s to 1h, not %s", c.Lease)
	case c.BurstCalls < 0 || c.BurstCalls > 1_000_000:
		return bad("burst-calls", "from 0 to 1,000,000, not %d", c.BurstCalls)
	case c.BurstSecs < 1 || c.BurstSecs > 3600:
		return bad("burst-seconds", "from 1 to 3,600, not %d", c.BurstSecs)
	case c.DailyCalls < 0:
		return bad("daily-calls", "not below 0")
	case strings.Contains(c.GitHubLeaks, "://") && !strings.HasPrefix(c.GitHubLeaks, "https://"):
		return bad("github-leaks", "on, an https URL or a file")
	case !headerName.MatchString(c.LegacyHeader):
		return bad("legacy-header", "a header's name, such as X-Api-Key, and none that other things come in")
	case c.LegacyLink != "" && !strings.HasPrefix(c.LegacyLink, "https://") || strings.ContainsAny(c.LegacyLink, "<> "):
		return bad("legacy-link", "an https URL")
	case c.LogUnpacked < 1 || c.LogUnpacked > 1<<20:
		return bad("inventory-unpacked", "from 1 to 1,048,576, not %d", c.LogUnpacked)
	case c.KeepActivity < time.Hour:
		return bad("keep-activity", "at least 1h, not %s", c.KeepActivity)
	case c.KeepTotals < c.KeepActivity:
		return bad("keep-totals", "not shorter than keep-activity, which is %s", c.KeepActivity)
	case c.SpoolMiB < 1 || c.SpoolMiB > 1<<20:
		return bad("activity-spool", "from 1 to 1,048,576, not %d", c.SpoolMiB)
	case c.StopTimeout < time.Second:
		return bad("stop-timeout", "at least 1s, not %s", c.StopTimeout)
	case c.LogFormat != "text" && c.LogFormat != "json":
		return bad("log-format", "text or json, not %q", c.LogFormat)
	case c.Data == "":
		return bad("data", "name a directory")
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return bad("log-level", "debug, info, warn or error, not %q", c.LogLevel)
	}
	return nil
}

// headerName is the name of a header that a legacy credential may come in; the door knows which may not.
// nodeName is what a node may be called.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9_-]{0,40}$`)

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]{0,64}$`)

// checkSignin refuses settings of single sign-on and of sessions that can't work.
func (c *Config) checkSignin(bad func(name, format string, args ...any) error) error {
	if c.SSOIssuer == "" {
		for name, v := range map[string]string{"sso-client-id": c.SSOClient, "sso-client-secret": c.SSOSecret, "sso-role-claim": c.SSOClaim} {
			if v != "" {
				return bad(name, "it goes with sso-issuer, which is not set")
			}
		}
	} else if u, err := url.Parse(c.SSOIssuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return bad("sso-issuer", "%q is not a URL such as https://login.example.org", c.SSOIssuer)
	} else if c.SSOClient == "" {
		return bad("sso-client-id", "sso-issuer needs it")
	}
	roles, err := c.ssoRoles()
	switch {
	case err != nil:
		return bad("sso-role", "%v", err)
	case (len(roles) > 0) != (c.SSOClaim != ""):
		return bad("sso-role", "sso-role and sso-role-claim go together")
	case c.SSOProvision && len(roles) == 0:
		return bad("sso-provision", "new members need a role: set sso-role-claim and sso-role")
	case c.SessionIdle < time.Minute || c.SessionIdle > 24*time.Hour:
		return bad("session-idle", "from 1m to 24h, not %s", c.SessionIdle)
	case c.SessionLife < c.SessionIdle || c.SessionLife > 30*24*time.Hour:
		return bad("session-life", "from session-idle to 720h, not %s", c.SessionLife)
	case c.SessionFresh < time.Minute || c.SessionFresh > c.SessionLife:
		return bad("session-fresh", "from 1m to session-life, not %s", c.SessionFresh)
	}
	return nil
}

// checkLimits refuses settings of limits in Redis that can't work.
func (c *Config) checkLimits(bad func(name, format string, args ...any) error) error {
	switch {
	case !slices.Contains(limit.Modes(), limit.Mode(c.LimitsAway)):
		return bad("limits-away", "share, allow or refuse, not %q", c.LimitsAway)
	case c.LimitsWait < time.Millisecond || c.LimitsWait > 10*time.Second:
		return bad("limits-timeout", "from 1ms to 10s, not %s", c.LimitsWait)
	case c.Limits == "":
		return nil
	case c.Database == "":
		return bad("limits", "it goes with database, which is not set: a node with a file of its own has nobody to count with")
	}
	if err := ledger.Check(c.Limits); err != nil {
		return bad("limits", "%v", err)
	}
	return nil
}

// checkMail refuses settings of mail that can't work.
func (c *Config) checkMail(bad func(name, format string, args ...any) error) error {
	if c.SMTPHost == "" {
		for name, v := range map[string]string{"smtp-user": c.SMTPUser, "smtp-password": c.SMTPPass, "smtp-from": c.SMTPFrom} {
			if v != "" {
				return bad(name, "it goes with smtp-host, which is not set")
			}
		}
		return nil
	}
	_, err := mail.ParseAddress(c.SMTPFrom)
	switch {
	case strings.ContainsAny(c.SMTPHost, ":/ "):
		return bad("smtp-host", "%q is not the name of a server; the port goes in smtp-port", c.SMTPHost)
	case c.SMTPPort < 1 || c.SMTPPort > 65535:
		return bad("smtp-port", "from 1 to 65535, not %d", c.SMTPPort)
	case c.SMTPTLS != "starttls" && c.SMTPTLS != "tls" && c.SMTPTLS != "none":
		return bad("smtp-tls", "starttls, tls or none, not %q", c.SMTPTLS)
	case c.SMTPFrom == "":
		return bad("smtp-from", "smtp-host needs it")
	case err != nil:
		return bad("smtp-from", "%q is not an address such as postern@example.org", c.SMTPFrom)
	case (c.SMTPUser == "") != (c.SMTPPass == ""):
		return bad("smtp-user", "smtp-user and smtp-password go together")
	case c.SMTPTLS == "none" && c.SMTPUser != "" && c.SMTPHost != "localhost" && c.SMTPHost != "127.0.0.1":
		return bad("smtp-tls", "a password is not sent over the network without TLS")
	}
	return nil
}

// hasPassword reports whether the URL of a server holds a password.
func hasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return true // to be on the safe side
	}
	_, has := u.User.Password()
	return has || u.Query().Get("password") != ""
}
