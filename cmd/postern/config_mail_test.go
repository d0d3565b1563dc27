package main

import (
	"strings"
	"testing"
)

// Settings of mail that can't work are refused, and the setting is named.
func TestConfigOfMail(t *testing.T) {
	base := map[string]string{"POSTERN_SMTP_HOST": "mail.example", "POSTERN_SMTP_FROM": "Postern <postern@example.org>"}
	for _, c := range []struct{ name, value, want string }{
		{"SMTP_HOST", "", "it goes with smtp-host"},
		{"SMTP_HOST", "mail.example:25", "smtp-port"},
		{"SMTP_FROM", "", "smtp-host needs it"},
		{"SMTP_FROM", "postern", "not an address"},
		{"SMTP_PORT", "70000", "from 1 to 65535"},
		{"SMTP_TLS", "maybe", "starttls, tls or none"},
		{"SMTP_USER", "me", "go together"},
	} {
		env := map[string]string{}
		for k, v := range base {
			env[k] = v
		}
		env["POSTERN_"+c.name] = c.value
		if _, err := loadConfig(t, nil, env, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%q: %v, want %q", c.name, c.value, err, c.want)
		}
	}
	env := map[string]string{"POSTERN_SMTP_USER": "me", "POSTERN_SMTP_PASSWORD": "hush", "POSTERN_SMTP_TLS": "none"}
	for k, v := range base {
		env[k] = v
	}
	if _, err := loadConfig(t, nil, env, ""); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("a password without TLS: %v", err)
	}
	c, err := loadConfig(t, nil, base, "")
	if err != nil || c.mailer() == nil {
		t.Errorf("mail = %v, %v", c.mailer(), err)
	}
	if c, _ := loadConfig(t, nil, nil, ""); c.mailer() != nil {
		t.Error("mails are sent where no server is set")
	}
}
