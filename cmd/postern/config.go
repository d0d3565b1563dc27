package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"postern.dev/postern"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/signin"
)

// Config is everything that can be set. A field is set by a flag, a POSTERN_…
// variable or a member of the YAML file, in this order of precedence; each has a
// good default. docs/configuration.md is made from these tags.
type Config struct {
	Data     string `name:"data" default:"./data" help:"directory of the databases, the pepper and the lock"`
	Database string `name:"database" secret:"yes" help:"URL of a PostgreSQL server (postgres://…) that keeps the records; empty: SQLite in the data directory"`
	Standby  string `name:"standby" default:"required" help:"what keeps PostgreSQL's commits when a server is lost: required (a synchronous standby, or the server doesn't start), none (there is none, and that is accepted), or managed (the database service sees to it itself)"`
	NodeName string `name:"node-name" help:"what this node is called among those that share a PostgreSQL database, such as its host; empty: a name is made up at each start"`
	Pepper   string `name:"pepper" secret:"yes" help:"the pepper itself, as in a pepper file; empty: it is read from pepper-path"`

	PepperPath string `name:"pepper-path" help:"file that holds the pepper, mode 0600; empty: the file pepper in the data directory"`
	Journal    string `name:"journal" help:"file that revocations are written to besides, which a restore needs: keep it where the back-ups are; each node has its own; empty: none is kept"`

	Listen       string   `name:"listen" default:"127.0.0.1:8080" help:"address of the console, the management API and the verify API"`
	Gateway      string   `name:"gateway" default:"127.0.0.1:8081" help:"address of the gateway; off: none"`
	PublicURL    string   `name:"public-url" help:"URL at which people reach the console and the API; empty: http:// and the listen address"`
	GatewayURL   string   `name:"gateway-url" help:"URL at which integrations reach the gateway; empty: http:// and the gateway address"`
	TLSCert      string   `name:"tls-cert" help:"file of the TLS certificate chain (PEM) for both listeners; empty: plain HTTP"`
	TLSKey       string   `name:"tls-key" help:"file of the TLS key (PEM)"`
	TrustedProxy []string `name:"trusted-proxy" help:"address or network of a proxy in front of the gateway and the API whose X-Forwarded-For is believed; may be repeated"`
	ForwardAuth  []string `name:"forward-auth-peer" default:"127.0.0.0/8,::1/128" help:"address or network of a proxy that may ask /authorize; may be repeated"`
	Brand        string   `name:"brand" default:"pst" help:"first part of every secret: 2 to 16 of a-z and 0-9"`
	CRM          bool     `name:"crm" help:"serve the built-in CRM data API as the upstream crm"`

	Lease      time.Duration `name:"lease" default:"60s" help:"how long a node decides without the database, and the longest that a revocation takes when a node is cut off"`
	BurstCalls int           `name:"burst-calls" default:"100" help:"calls that a key without a limit of its own may make in burst-seconds; 0: no limit"`
	BurstSecs  int           `name:"burst-seconds" default:"10" help:"the seconds of burst-calls"`
	Limits     string        `name:"limits" secret:"yes" help:"URL of a Redis or Valkey server (redis://…, with TLS rediss://…) in which nodes that share a PostgreSQL database count the limits of keys together; empty: each node allows its share"`
	LimitsAway string        `name:"limits-away" default:"share" help:"what holds while that server is away: share (each node allows its share), allow (no limit) or refuse (503 for keys that have a limit)"`
	LimitsWait time.Duration `name:"limits-timeout" default:"25ms" help:"how long a call waits for that server at most"`
	DailyCalls int           `name:"daily-calls" default:"0" help:"calls a day of all keys of a new account together; 0: no limit"`

	SSOIssuer    string   `name:"sso-issuer" help:"URL of an OpenID Connect provider that members may sign in with; its redirect address is the public URL with /signin/sso/callback; empty: none"`
	SSOName      string   `name:"sso-name" default:"single sign-on" help:"what the button to that provider says after Sign in with"`
	SSOClient    string   `name:"sso-client-id" help:"the client ID that the provider gave this server"`
	SSOSecret    string   `name:"sso-client-secret" secret:"yes" help:"the client secret that the provider gave this server"`
	SSOClaim     string   `name:"sso-role-claim" help:"claim of the provider that holds groups or roles, such as groups; empty: roles are kept in Postern"`
	SSORoles     []string `name:"sso-role" help:"a value of that claim and the role that it gives, such as data-team=key_manager; the first that fits counts; may be repeated"`
	SSOProvision bool     `name:"sso-provision" help:"make a member of who comes from the provider for the first time with a role; otherwise people are invited"`

	SessionIdle  time.Duration `name:"session-idle" default:"30m" help:"how long a console session lasts without a request"`
	SessionLife  time.Duration `name:"session-life" default:"12h" help:"how long a console session lasts at most"`
	SessionFresh time.Duration `name:"session-fresh" default:"10m" help:"how long a proof of who it is counts before something risky asks for another"`

	SMTPHost string `name:"smtp-host" help:"mail server for reminders; empty: people are told in the console alone"`
	SMTPPort int    `name:"smtp-port" default:"587" help:"port of the mail server"`
	SMTPTLS  string `name:"smtp-tls" default:"starttls" help:"starttls (nothing is sent without), tls (from the first byte, often port 465) or none"`
	SMTPUser string `name:"smtp-user" help:"user name at the mail server; empty: no sign-in"`
	SMTPPass string `name:"smtp-password" secret:"yes" help:"password at the mail server"`
	SMTPFrom string `name:"smtp-from" help:"address that mails come from, such as postern@example.org"`

	LegacyHeader string   `name:"legacy-header" help:"header in which imported legacy credentials are accepted besides the bearer, such as X-Api-Key; it is taken out before the API is called; empty: none"`
	LegacyQuery  []string `name:"legacy-query" help:"upstream that accepts imported legacy credentials as ?hapikey= in the address, or * for all; it is taken out before the API is called; may be repeated"`
	LegacyLink   string   `name:"legacy-link" help:"page that answers to calls with legacy credentials link to; empty: the documentation of this server"`

	LogUnpacked int `name:"inventory-unpacked" default:"8192" help:"how many MiB an access log may have, unpacked, that is read in the console; the command line reads any size"`

	GitHubLeaks string `name:"github-leaks" help:"take reports of GitHub's secret scanning at /leaks/github: on, or the https URL or the file of the public keys that they are signed with; empty: none are taken"`

	KeepActivity time.Duration `name:"keep-activity" default:"720h" help:"how long single calls are kept"`
	KeepTotals   time.Duration `name:"keep-totals" default:"9504h" help:"how long totals by the hour are kept, and when keys and scopes were used"`
	SpoolMiB     int           `name:"activity-spool" default:"256" help:"how many MiB of calls may wait in the data directory while the database is away"`
	LogLevel     string        `name:"log-level" default:"info" help:"debug, info, warn or error"`
	LogFormat    string        `name:"log-format" default:"text" help:"text or json"`
	StopTimeout  time.Duration `name:"stop-timeout" default:"20s" help:"how long calls under way may take when the server stops"`
}

// fields are the fields of Config with their names.
func (c *Config) each(fn func(name string, f reflect.StructField, v reflect.Value) error) error {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if err := fn(f.Tag.Get("name"), f, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// urls are secrets that have a flag all the same: a URL need not hold a password.
var urls = []string{"database", "limits"}

// flags registers a flag for each field; secrets have none, since arguments are seen by everyone on the machine.
func (c *Config) flags(set *pflag.FlagSet, only ...string) {
	c.each(func(name string, f reflect.StructField, v reflect.Value) error {
		if len(only) > 0 && !strings.Contains(" "+strings.Join(only, " ")+" ", " "+name+" ") {
			return nil
		}
		help, def := f.Tag.Get("help"), f.Tag.Get("default")
		switch {
		case f.Tag.Get("secret") != "" && !slices.Contains(urls, name):
		case v.Kind() == reflect.Bool:
			set.Bool(name, def == "true", help)
		case v.Kind() == reflect.Int:
			n, _ := strconv.Atoi(def)
			set.Int(name, n, help)
		case v.Kind() == reflect.Slice:
			set.StringSlice(name, split(def), help)
		case v.Type() == reflect.TypeFor[time.Duration]():
			d, _ := time.ParseDuration(def)
			set.Duration(name, d, help)
		default:
			set.String(name, def, help)
		}
		return nil
	})
}

func split(s string) (out []string) {
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func envName(name string) string {
	return "POSTERN_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// load fills c: defaults, then the file, then the environment, then flags that were given.
func (c *Config) load(set *pflag.FlagSet, file string, getenv func(string) string) error {
	fromFile, err := readConfigFile(file)
	if err != nil {
		return err
	}
	err = c.each(func(name string, f reflect.StructField, v reflect.Value) error {
		if err := assign(v, f.Tag.Get("default")); err != nil {
			panic(fmt.Sprintf("default of %s: %v", name, err))
		}
		if raw, ok := fromFile[name]; ok {
			delete(fromFile, name)
			if err := assign(v, raw); err != nil {
				return fmt.Errorf("%s: %s: %w", file, name, err)
			}
		}
		env := envName(name)
		raw := getenv(env)
		if from := getenv(env + "_FILE"); from != "" {
			if raw != "" {
				return fmt.Errorf("%s and %s_FILE are both set; set one", env, env)
			}
			text, err := os.ReadFile(from)
			if err != nil {
				return fmt.Errorf("%s_FILE: %w", env, err)
			}
			raw = strings.TrimSpace(string(text))
		}
		if raw != "" {
			if err := assign(v, raw); err != nil {
				return fmt.Errorf("%s: %w", env, err)
			}
		}
		if fl := set.Lookup(name); fl != nil && fl.Changed {
			text := fl.Value.String()
			if s, ok := fl.Value.(pflag.SliceValue); ok {
				text = strings.Join(s.GetSlice(), ",")
			}
			if err := assign(v, text); err != nil {
				return fmt.Errorf("--%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name := range fromFile {
		return fmt.Errorf("%s: there is no setting %q; see docs/configuration.md", file, name)
	}
	return c.check()
}

// readConfigFile reads a YAML file of settings: a mapping of names to values or lists of them.
func readConfigFile(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the configuration file %s does not exist", file)
	}
	if err != nil {
		return nil, err
	}
	if len(text) > 1<<20 {
		return nil, fmt.Errorf("%s is larger than 1 MiB", file)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s: %s", file, yaml.FormatError(err, false, true))
	}
	out := map[string]string{}
	for k, v := range raw {
		switch v := v.(type) {
		case []any:
			var parts []string
			for _, p := range v {
				parts = append(parts, fmt.Sprint(p))
			}
			out[k] = strings.Join(parts, ",")
		case map[string]any:
			return nil, fmt.Errorf("%s: %s takes a value, not a mapping", file, k)
		default:
			out[k] = fmt.Sprint(v)
		}
	}
	return out, nil
}

func assign(v reflect.Value, s string) error {
	switch v.Interface().(type) {
	case string:
		v.SetString(s)
	case []string:
		v.Set(reflect.ValueOf(split(s)))
	case bool:
		if s == "" {
			s = "false"
		}
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is not true or false", s)
		}
		v.SetBool(b)
	case int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		v.SetInt(int64(n))
	case time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a length of time such as 60s, 15m or 720h", s)
		}
		v.SetInt(int64(d))
	default:
		panic("a setting of type " + v.Type().String())
	}
	return nil
}

// mailer sends mails as the settings say; nil where none are sent.
func (c *Config) mailer() notify.Sender {
	if c.SMTPHost == "" {
		return nil
	}
	from, err := mail.ParseAddress(c.SMTPFrom)
	if err != nil {
		return nil // check refused it
	}
	return &notify.SMTP{Host: c.SMTPHost, Port: c.SMTPPort, User: c.SMTPUser, Password: c.SMTPPass, From: *from, TLS: c.SMTPTLS}
}

// ssoRoles reads which value of the provider's claim gives which role.
func (c *Config) ssoRoles() (out []signin.RoleMap, err error) {
	for _, s := range c.SSORoles {
		value, role, ok := strings.Cut(s, "=")
		if !ok || value == "" || role == "" {
			return nil, fmt.Errorf("%q is not a value and a role, such as data-team=key_manager", s)
		}
		out = append(out, signin.RoleMap{Value: value, Role: postern.RoleID(role)})
	}
	return out, nil
}

// providers are where members may sign in besides here.
func (c *Config) providers() []signin.Provider {
	if c.SSOIssuer == "" {
		return nil
	}
	roles, _ := c.ssoRoles()
	return []signin.Provider{{ID: "sso", Name: c.SSOName, Issuer: c.SSOIssuer, ClientID: c.SSOClient, ClientSecret: c.SSOSecret,
		RoleClaim: c.SSOClaim, Roles: roles, Provision: c.SSOProvision}}
}

// prefixes reads addresses and networks.
func prefixes(list []string) (out []netip.Prefix, err error) {
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no address and no network such as 10.0.0.0/8", s)
		}
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

func (c *Config) pepperPath() string {
	if c.PepperPath != "" {
		return c.PepperPath
	}
	return filepath.Join(c.Data, "pepper")
}

func (c *Config) logger() *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(c.LogLevel))
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: hideSecrets}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}

// hideSecrets keeps secrets out of the log, in whatever text they came: a method,
// an error that quotes its input. It stands behind the care of whoever logs.
func hideSecrets(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch a.Value.Kind() {
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		err, ok := a.Value.Any().(error)
		if !ok {
			return a
		}
		text = err.Error()
	default:
		return a
	}
	if safe := postern.HideSecrets(text); safe != text {
		a.Value = slog.StringValue(safe)
	}
	return a
}
