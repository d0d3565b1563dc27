package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// loadConfig reads settings from flags, variables and the text of a file.
func loadConfig(t *testing.T, args []string, env map[string]string, file string) (Config, error) {
	t.Helper()
	var c Config
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.flags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "postern.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := c.load(set, path, func(name string) string { return env[name] })
	return c, err
}

// values are three values of each setting that differ from its default and from each other.
var values = map[string][3]string{
	"data": {"/a", "/b", "/c"}, "pepper-path": {"/p1", "/p2", "/p3"}, "journal": {"/j1", "/j2", "/j3"}, "brand": {"aa1", "bb2", "cc3"},
	"database": {"postgres://a/x", "postgres://b/x", "postgresql://c/x"}, "standby": {"none", "managed", "none"}, "node-name": {"one", "two", "three"}, "pepper": {"one", "two", "three"},
	"listen": {":1", ":2", ":3"}, "gateway": {":4", ":5", "off"},
	"public-url": {"https://a.example", "https://b.example", "https://c.example"}, "gateway-url": {"https://a.example", "https://b.example", "https://c.example"},
	"tls-cert": {"a.pem", "b.pem", "c.pem"}, "tls-key": {"a.key", "b.key", "c.key"},
	"trusted-proxy": {"10.0.0.1", "10.0.0.0/8,192.0.2.1", "2001:db8::/32"}, "forward-auth-peer": {"10.0.0.1", "10.0.0.2", "10.0.0.3,10.0.0.4"},
	"legacy-header": {"X-Api-Key", "X-Old", "Private-App"}, "legacy-query": {"crm", "*", "a,b"}, "inventory-unpacked": {"11", "12", "13"}, "legacy-link": {"https://a.example/1", "https://a.example/2", "https://a.example/3"},
	"github-leaks": {"on", "/keys.json", "https://a.example/keys"},
	"crm":          {"true", "true", "true"}, "lease": {"5s", "10s", "15m0s"}, "burst-calls": {"1", "2", "0"}, "burst-seconds": {"1", "2", "3"},
	"limits": {"redis://a", "rediss://b", "unix:///c"}, "limits-away": {"allow", "refuse", "allow"}, "limits-timeout": {"1ms", "2ms", "3ms"},
	"daily-calls": {"1", "2", "3"}, "keep-activity": {"2h0m0s", "3h0m0s", "4h0m0s"}, "keep-totals": {"1000h0m0s", "2000h0m0s", "3000h0m0s"}, "activity-spool": {"1", "2", "3"}, "log-level": {"debug", "warn", "error"},
	"log-format": {"json", "json", "json"}, "stop-timeout": {"1s", "2s", "3s"},
	"session-idle": {"1m0s", "2m0s", "3m0s"}, "session-life": {"1h0m0s", "2h0m0s", "3h0m0s"}, "session-fresh": {"1m0s", "2m0s", "3m0s"},
	"sso-issuer": {"https://a.example", "https://b.example", "https://c.example"}, "sso-name": {"A", "B", "C"}, "sso-client-id": {"a", "b", "c"},
	"sso-client-secret": {"one", "two", "three"}, "sso-role-claim": {"groups", "roles", "teams"}, "sso-role": {"a=viewer", "b=viewer", "a=viewer,b=developer"},
	"sso-provision": {"true", "true", "true"},
	"smtp-host":     {"a.example", "b.example", "c.example"}, "smtp-port": {"25", "465", "2525"}, "smtp-tls": {"tls", "none", "tls"}, "smtp-user": {"a", "b", "c"},
	"smtp-password": {"one", "two", "three"}, "smtp-from": {"a@example.org", "b@example.org", "c@example.org"},
}

// together are settings that can't be without others.
var together = map[string][]string{
	"limits": {"database"}, "tls-cert": {"tls-key"}, "tls-key": {"tls-cert"}, "sso-issuer": {"sso-client-id"}, "sso-client-id": {"sso-issuer"},
	"sso-client-secret": {"sso-issuer", "sso-client-id"}, "sso-role-claim": {"sso-issuer", "sso-client-id", "sso-role"},
	"sso-role": {"sso-issuer", "sso-client-id", "sso-role-claim"}, "sso-provision": {"sso-issuer", "sso-client-id", "sso-role-claim", "sso-role"},
	"smtp-host": {"smtp-from"}, "smtp-from": {"smtp-host"}, "smtp-user": {"smtp-host", "smtp-from", "smtp-password"}, "smtp-password": {"smtp-host", "smtp-from", "smtp-user"},
}

// field is a setting as text.
func (c *Config) field(name string) (text string) {
	c.each(func(n string, _ reflect.StructField, v reflect.Value) error {
		if n == name {
			text = strings.Trim(strings.ReplaceAll(fmt.Sprint(v.Interface()), " ", ","), "[]")
		}
		return nil
	})
	return text
}

// Every setting has a default that works, a flag unless it is a secret, a
// variable, a file for the variable, and a member of the YAML file; the one above
// overrules the one below.
func TestConfigSources(t *testing.T) {
	var plain Config
	var names []string
	plain.each(func(name string, f reflect.StructField, _ reflect.Value) error {
		names = append(names, name)
		if name == "" || f.Tag.Get("help") == "" {
			t.Errorf("the field %s has no name or no help", f.Name)
		}
		return nil
	})
	if diff := cmp.Diff(slices.Sorted(maps.Keys(values)), slices.Sorted(slices.Values(names))); diff != "" {
		t.Fatalf("the settings that are tested and those there are (-tested +there):\n%s", diff)
	}
	if _, err := loadConfig(t, nil, nil, ""); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	for _, name := range names {
		v := values[name]
		also := func(env map[string]string) map[string]string { // what goes together
			for _, other := range together[name] {
				env[envName(other)] = values[other][0]
			}
			return env
		}
		check := func(source, want string, args []string, env map[string]string, file string) {
			t.Helper()
			c, err := loadConfig(t, args, also(env), file)
			if err != nil {
				t.Errorf("%s by %s: %v", name, source, err)
			} else if got := c.field(name); got != want {
				t.Errorf("%s by %s = %q, want %q", name, source, got, want)
			}
		}
		yaml := name + ": " + v[0] + "\n"
		held := filepath.Join(t.TempDir(), "held")
		if err := os.WriteFile(held, []byte(v[1]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		check("the file", v[0], nil, map[string]string{}, yaml)
		check("its variable, above the file", v[1], nil, map[string]string{envName(name): v[1]}, yaml)
		check("a file that its variable names", v[1], nil, map[string]string{envName(name) + "_FILE": held}, yaml)
		if name == "pepper" || name == "sso-client-secret" || name == "smtp-password" {
			c := Config{}
			set := pflag.NewFlagSet("test", pflag.ContinueOnError)
			if c.flags(set); set.Lookup(name) != nil {
				t.Errorf("the secret %s has a flag, which everyone on the machine can read", name)
			}
			continue
		}
		check("its flag, above all", v[2], []string{"--" + name + "=" + v[2]}, map[string]string{envName(name): v[1]}, yaml)
	}
}

func TestConfigLists(t *testing.T) {
	c, err := loadConfig(t, []string{"--trusted-proxy", "10.0.0.1", "--trusted-proxy", "10.1.0.0/16,::1"}, nil, "")
	if diff := cmp.Diff([]string{"10.0.0.1", "10.1.0.0/16", "::1"}, c.TrustedProxy); diff != "" || err != nil {
		t.Errorf("by flags: %v\n%s", err, diff)
	}
	c, err = loadConfig(t, nil, nil, "trusted-proxy:\n  - 10.0.0.1\n  - ::1\n")
	if diff := cmp.Diff([]string{"10.0.0.1", "::1"}, c.TrustedProxy); diff != "" || err != nil {
		t.Errorf("by the file: %v\n%s", err, diff)
	}
}

// A setting that can't work is refused, and named with where it came from.
func TestConfigRefused(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		file string
		want []string // all stand in the error
	}{
		{name: "no address", args: []string{"--listen=nonsense"}, want: []string{"listen", "POSTERN_LISTEN", `"nonsense"`, "127.0.0.1:8080"}},
		{name: "off is for the gateway only", args: []string{"--listen=off"}, want: []string{"POSTERN_LISTEN"}},
		{name: "gateway", env: map[string]string{"POSTERN_GATEWAY": "x"}, want: []string{"POSTERN_GATEWAY"}},
		{name: "public URL without a host", env: map[string]string{"POSTERN_PUBLIC_URL": "keys.example.org"}, want: []string{"POSTERN_PUBLIC_URL", "https://"}},
		{name: "public URL of another kind", env: map[string]string{"POSTERN_PUBLIC_URL": "ftp://keys.example.org"}, want: []string{"POSTERN_PUBLIC_URL"}},
		{name: "gateway URL with a query", file: "gateway-url: https://a.example/?x=1", want: []string{"POSTERN_GATEWAY_URL"}},
		{name: "another database", env: map[string]string{"POSTERN_DATABASE": "mysql://db"}, want: []string{"POSTERN_DATABASE", "postgres://"}},
		{name: "node name", args: []string{"--node-name=two words"}, want: []string{"POSTERN_NODE_NAME", "two words"}},
		{name: "standby", args: []string{"--standby=maybe"}, want: []string{"POSTERN_STANDBY", `"maybe"`, "managed"}},
		{name: "a certificate without its key", args: []string{"--tls-cert=c.pem"}, want: []string{"tls-cert", "tls-key"}},
		{name: "a key without its certificate", args: []string{"--tls-key=k.pem"}, want: []string{"tls-cert", "tls-key"}},
		{name: "brand", args: []string{"--brand=P"}, want: []string{"POSTERN_BRAND", `"P"`}},
		{name: "a proxy's name", args: []string{"--trusted-proxy=proxy.example"}, want: []string{"POSTERN_TRUSTED_PROXY", `"proxy.example"`}},
		{name: "a peer", args: []string{"--forward-auth-peer=10.0.0.0/99"}, want: []string{"POSTERN_FORWARD_AUTH_PEER"}},
		{name: "lease too short", args: []string{"--lease=4s"}, want: []string{"POSTERN_LEASE", "5s", "4s"}},
		{name: "lease too long", args: []string{"--lease=2h"}, want: []string{"POSTERN_LEASE", "1h"}},
		{name: "lease in the file", file: "lease: soon", want: []string{"postern.yaml", "lease", `"soon"`, "60s"}},
		{name: "burst calls", args: []string{"--burst-calls=-1"}, want: []string{"POSTERN_BURST_CALLS", "-1"}},
		{name: "burst calls by variable", env: map[string]string{"POSTERN_BURST_CALLS": "many"}, want: []string{"POSTERN_BURST_CALLS", `"many"`, "number"}},
		{name: "burst seconds", args: []string{"--burst-seconds=0"}, want: []string{"POSTERN_BURST_SECONDS"}},
		{name: "limits without a database", args: []string{"--limits=redis://a"}, want: []string{"POSTERN_LIMITS", "database"}},
		{name: "limits elsewhere", env: map[string]string{"POSTERN_DATABASE": "postgres://db", "POSTERN_LIMITS": "http://:hush-hush@a"}, want: []string{"POSTERN_LIMITS", "redis://"}},
		{name: "limits without a check of the certificate", env: map[string]string{"POSTERN_DATABASE": "postgres://db", "POSTERN_LIMITS": "rediss://:hush-hush@a?skip_verify=true"}, want: []string{"POSTERN_LIMITS", "skip_verify", "sslrootcert"}},
		{name: "limits away", args: []string{"--limits-away=maybe"}, want: []string{"POSTERN_LIMITS_AWAY", `"maybe"`, "refuse"}},
		{name: "limits timeout", args: []string{"--limits-timeout=1m"}, want: []string{"POSTERN_LIMITS_TIMEOUT", "10s"}},
		{name: "daily calls", args: []string{"--daily-calls=-5"}, want: []string{"POSTERN_DAILY_CALLS"}},
		{name: "keep activity", args: []string{"--keep-activity=1m"}, want: []string{"POSTERN_KEEP_ACTIVITY", "1h"}},
		{name: "stop timeout", args: []string{"--stop-timeout=1ms"}, want: []string{"POSTERN_STOP_TIMEOUT"}},
		{name: "log level", args: []string{"--log-level=loud"}, want: []string{"POSTERN_LOG_LEVEL", `"loud"`}},
		{name: "log format", args: []string{"--log-format=xml"}, want: []string{"POSTERN_LOG_FORMAT", `"xml"`}},
		{name: "no data directory", file: "data: ''", want: []string{"POSTERN_DATA"}},
		{name: "crm", env: map[string]string{"POSTERN_CRM": "maybe"}, want: []string{"POSTERN_CRM", `"maybe"`}},
		{name: "an unknown member", file: "listen: :1\nlisten-on: :2\n", want: []string{"postern.yaml", `"listen-on"`}},
		{name: "a mapping", file: "listen:\n  port: 1\n", want: []string{"postern.yaml", "listen"}},
		{name: "not YAML", file: "a: [", want: []string{"postern.yaml"}},
		{name: "a file that isn't there", env: map[string]string{"POSTERN_PEPPER_FILE": "/nowhere/pepper"}, want: []string{"POSTERN_PEPPER_FILE", "/nowhere/pepper"}},
		{name: "a secret twice", env: map[string]string{"POSTERN_PEPPER": "hush-hush", "POSTERN_PEPPER_FILE": "/x"}, want: []string{"POSTERN_PEPPER", "POSTERN_PEPPER_FILE"}},
	}
	for _, tt := range tests {
		_, err := loadConfig(t, tt.args, tt.env, tt.file)
		if err == nil {
			t.Errorf("%s: taken", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q doesn't have %q in it", tt.name, err, want)
			}
		}
		if strings.Contains(err.Error(), "hush-hush") {
			t.Errorf("%s: the secret is in %q", tt.name, err)
		}
	}
	var c Config
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.flags(set)
	if err := c.load(set, "/nowhere/postern.yaml", func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "/nowhere/postern.yaml does not exist") {
		t.Errorf("a file of settings that isn't there: %v", err)
	}
}

// A database's password doesn't come back in an error.
func TestConfigHidesDatabase(t *testing.T) {
	_, err := loadConfig(t, nil, map[string]string{"POSTERN_DATABASE": "mysql://u:hush-hush@db"}, "")
	if err == nil || strings.Contains(err.Error(), "hush-hush") {
		t.Errorf("error = %v, want one without the password", err)
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add("listen: :1\nlease: 10s\ntrusted-proxy: [10.0.0.1]\n")
	f.Add("a: &a [*a]")
	f.Add("data: ~\ncrm: yes\nburst-calls: 1e9\n")
	f.Add("{}")
	f.Add("- a")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var c Config
		set := pflag.NewFlagSet("test", pflag.ContinueOnError)
		c.flags(set)
		if err := c.load(set, path, func(string) string { return "" }); err == nil && (c.Lease < 5*time.Second || c.Data == "") {
			t.Errorf("%q was taken as %+v", text, c)
		}
	})
}
