package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
)

func TestSigninSettings(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"POSTERN_SSO_ISSUER=https://login.example.org", "POSTERN_SSO_CLIENT_ID=postern", "POSTERN_SSO_CLIENT_SECRET_FILE=" + secret}
	roles := append(good[:3:3], "POSTERN_SSO_ROLE_CLAIM=groups", "POSTERN_SSO_ROLE=admins=super_admin,data=key_manager")
	for what, c := range map[string]struct {
		env  []string
		want string // a part of what is wrong
	}{
		"none":                   {nil, ""},
		"a provider":             {good, ""},
		"roles":                  {append(roles, "POSTERN_SSO_PROVISION=true"), ""},
		"sessions":               {[]string{"POSTERN_SESSION_IDLE=5m", "POSTERN_SESSION_LIFE=1h", "POSTERN_SESSION_FRESH=2m"}, ""},
		"no client":              {good[:1], "sso-client-id"},
		"a client alone":         {good[1:2], "sso-issuer, which is not set"},
		"no URL":                 {[]string{"POSTERN_SSO_ISSUER=login", "POSTERN_SSO_CLIENT_ID=x"}, "is not a URL"},
		"a claim alone":          {append(good[:3:3], "POSTERN_SSO_ROLE_CLAIM=groups"), "go together"},
		"an odd role":            {append(good[:3:3], "POSTERN_SSO_ROLE_CLAIM=groups", "POSTERN_SSO_ROLE=admins"), "is not a value and a role"},
		"members without a role": {append(good[:3:3], "POSTERN_SSO_PROVISION=true"), "need a role"},
		"no idle time":           {[]string{"POSTERN_SESSION_IDLE=1s"}, "session-idle"},
		"a life under the idle":  {[]string{"POSTERN_SESSION_IDLE=2h", "POSTERN_SESSION_LIFE=1h"}, "session-life"},
		"an endless proof":       {[]string{"POSTERN_SESSION_FRESH=24h"}, "session-fresh"},
	} {
		var cfg Config
		set := pflag.NewFlagSet("test", pflag.ContinueOnError)
		cfg.flags(set)
		if set.Lookup("sso-client-secret") != nil {
			t.Error("the client secret has a flag, which everyone on the machine can read")
		}
		err := cfg.load(set, "", func(name string) string {
			for _, e := range c.env {
				if v, ok := strings.CutPrefix(e, name+"="); ok {
					return v
				}
			}
			return ""
		})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error = %v, want %q", what, err, c.want)
		}
		if what == "roles" {
			want := []signin.Provider{{ID: "sso", Name: "single sign-on", Issuer: "https://login.example.org", ClientID: "postern", ClientSecret: "from a file",
				RoleClaim: "groups", Roles: []signin.RoleMap{{Value: "admins", Role: postern.RoleSuperAdmin}, {Value: "data", Role: postern.RoleKeyManager}}, Provision: true}}
			if d := cmp.Diff(want, cfg.providers()); d != "" {
				t.Errorf("providers (-want +got):\n%s", d)
			}
		}
		if what == "none" && (cfg.SessionIdle != 30*time.Minute || cfg.SessionLife != 12*time.Hour || len(cfg.providers()) != 0) {
			t.Errorf("the defaults are %s, %s and %d providers", cfg.SessionIdle, cfg.SessionLife, len(cfg.providers()))
		}
	}
}
