package doctor

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	patience  = 3 * time.Second
	fewBytes  = 1 << 30   // of free disk: soon
	noBytes   = 100 << 20 // of free disk: now
	certSoon  = 14 * 24 * time.Hour
	maxOffset = 5 * time.Second
)

func (d *doctor) disks() {
	seen := map[string]bool{}
	for _, p := range []struct{ what, path string }{{"data", d.Place.Data}, {"journal", filepath.Dir(d.Journal)}, {"backups", d.Backups}} {
		if p.path == "" || p.what == "journal" && d.Journal == "" || seen[p.path] {
			continue
		}
		seen[p.path] = true
		free, all, err := space(p.path)
		check := "disk of the " + p.what
		do := "Free space, or give it a larger disk."
		switch {
		case err != nil:
			d.say(check, Warning, "", "It can't be looked at: %v.", err)
		case free < noBytes:
			d.say(check, Problem, do, "%d MiB are left: soon no change is accepted.", free>>20)
		case free < fewBytes || all > 0 && free*20 < all:
			d.say(check, Warning, do, "%d MiB of %d are left.", free>>20, all>>20)
		default:
			d.say(check, OK, "", "%d MiB of %d are free.", free>>20, all>>20)
		}
	}
}

func (d *doctor) clock() {
	const check = "clock"
	if d.snap != nil && d.Place.Database != "" && d.Now == nil {
		// The store's time was read a moment ago; what passed since is less than a second or so.
		if off := time.Since(d.snap.Took); off.Abs() > maxOffset {
			d.say(check, Problem, "Let both machines keep time by NTP.", "This machine's clock is %s from the database's.", off.Round(time.Millisecond))
			return
		}
	}
	synced, known := clockSynced()
	switch {
	case !known:
		d.say(check, OK, "", "It agrees with the database's. Whether NTP keeps it can't be told on this system.")
	case !synced:
		d.say(check, Warning, "Run an NTP client, such as chrony or systemd-timesyncd.", "No NTP client keeps this machine's clock.")
	default:
		d.say(check, OK, "", "NTP keeps it.")
	}
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (d *doctor) listeners() {
	for _, l := range []struct{ name, addr string }{{"listen", d.Listen}, {"gateway", d.Gateway}} {
		if l.addr == "off" || l.addr == "" {
			continue
		}
		if !loopback(l.addr) && d.TLSCert == "" {
			d.say("listeners", Warning, "Set tls-cert and tls-key, or bind to loopback behind a proxy that has TLS.",
				"%s (%s) can be reached from other machines without TLS: secrets cross the network in the clear, unless a proxy is in front.", l.addr, l.name)
			return
		}
	}
	d.say("listeners", OK, "", "They are at loopback, or have TLS.")
}

func (d *doctor) certificate() {
	const check = "TLS certificate"
	if d.TLSCert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(d.TLSCert, d.TLSKey)
	if err != nil {
		d.say(check, Problem, "Put right tls-cert and tls-key.", "%v.", err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		d.say(check, Problem, "Put right tls-cert.", "%v.", err)
		return
	}
	if info, err := os.Stat(d.TLSKey); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.say(check, Warning, "Run: chmod 600 "+d.TLSKey, "Others on this machine can read the key %s.", d.TLSKey)
	}
	left := leaf.NotAfter.Sub(d.now)
	host := ""
	if u, err := url.Parse(d.PublicURL); err == nil {
		host = u.Hostname()
	}
	switch {
	case left <= 0:
		d.say(check, Problem, "Renew it, and restart the server.", "It ended at %s.", leaf.NotAfter.Format(time.RFC3339))
	case left < certSoon:
		d.say(check, Warning, "Renew it.", "It ends at %s.", leaf.NotAfter.Format(time.RFC3339))
	case host != "" && leaf.VerifyHostname(host) != nil:
		d.say(check, Problem, "Get one with this name, or put right public-url.", "It is not for %s.", host)
	default:
		d.say(check, OK, "", "It is good until %s.", leaf.NotAfter.Format(time.RFC3339))
	}
}

func (d *doctor) proxies() {
	const check = "proxies"
	for _, list := range [][]string{d.Proxies, d.ForwardPeers} {
		for _, p := range list {
			if n, err := netip.ParsePrefix(p); err == nil && n.Bits() < 8 {
				d.say(check, Problem, "Name the addresses of your proxies alone.", "%s is believed, which is nearly everyone: a caller could say that it comes from anywhere.", p)
				return
			}
		}
	}
	u, err := url.Parse(d.PublicURL)
	behind := d.PublicURL != "" && err == nil && u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") && (loopback(d.Listen) || d.TLSCert == "")
	if behind && len(d.Proxies) == 0 {
		d.say(check, Warning, "Name the proxy's address with trusted-proxy. Otherwise every call seems to come from it, and IP lists and limits go by that.",
			"People reach the server at %s, so a proxy is in front of it, and none is trusted.", d.PublicURL)
		return
	}
	if d.PublicURL != "" && err == nil && u.Scheme == "http" && u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") {
		d.say(check, Warning, "Put TLS in front, and let public-url begin with https.", "People reach the server at %s, without TLS.", d.PublicURL)
		return
	}
	if len(d.Proxies) > 0 {
		d.say(check, OK, "", "Trusted: %s.", strings.Join(d.Proxies, ", "))
	} else {
		d.say(check, OK, "", "None is trusted, and none seems to be in front.")
	}
}

func (d *doctor) mail() {
	const check = "mail"
	if d.MailHost == "" {
		d.say(check, OK, "", "No mail server is set: people are told in the console alone.")
		return
	}
	addr := net.JoinHostPort(d.MailHost, fmt.Sprint(d.MailPort))
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		d.say(check, Warning, "Check smtp-host and smtp-port, and the way there.", "The mail server can't be reached: %v.", err)
		return
	}
	defer c.Close()
	if d.MailPort == 465 {
		d.say(check, OK, "", "The mail server %s can be reached.", addr)
		return
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(io.LimitReader(c, 1024)).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "220") {
		d.say(check, Warning, "Check smtp-port and smtp-tls.", "%s does not greet like a mail server.", addr)
		return
	}
	d.say(check, OK, "", "The mail server %s answers.", addr)
}

// running asks the server itself, if it runs here.
func (d *doctor) running() {
	const check = "server"
	scheme := "http"
	if d.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(d.Listen)
	if err != nil {
		return
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	client := d.Client
	if client == nil {
		// The certificate is looked at elsewhere; here it is enough that this machine answers.
		client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return
	}
	res, err := client.Do(req)
	if err != nil {
		d.say(check, OK, "", "None answers at %s.", d.Listen)
		return
	}
	defer res.Body.Close()
	var h struct {
		Status   string   `json:"status"`
		Reasons  []string `json:"reasons"`
		Warnings []string `json:"warnings"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&h); err != nil || h.Status == "" {
		d.say(check, Warning, "Look what else uses that address.", "What answers at %s is not Postern.", d.Listen)
		return
	}
	switch {
	case res.StatusCode != http.StatusOK:
		d.say(check, Problem, "See its log.", "It should get no calls now: %s", strings.Join(h.Reasons, " "))
	case len(h.Warnings) > 0:
		d.say(check, Warning, "See its log.", "It runs, and warns: %s", strings.Join(h.Warnings, " "))
	default:
		d.say(check, OK, "", "It runs at %s and is ready.", d.Listen)
	}
}
