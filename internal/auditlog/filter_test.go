package auditlog_test

import (
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/auditlog"
)

func TestFilter(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	e := api.AuditEntry{At: t0, Action: "service_key.create", Object: "k1", Result: "ok", Actor: api.AuditActor{MemberID: "mem_1"}}
	for _, c := range []struct {
		f    auditlog.Filter
		want bool
	}{
		{auditlog.Filter{}, true},
		{auditlog.Filter{Action: "service_key.create", Object: "k1", Result: "ok", Actor: "mem_1", Since: t0, Until: t0.Add(1)}, true},
		{auditlog.Filter{Action: "service_key"}, false},
		{auditlog.Filter{Object: "k2"}, false},
		{auditlog.Filter{Result: "refused"}, false},
		{auditlog.Filter{Actor: "mem_2"}, false},
		{auditlog.Filter{Since: t0.Add(1)}, false},
		{auditlog.Filter{Until: t0}, false},
	} {
		if got := c.f.Wants(&e); got != c.want {
			t.Errorf("%+v wants it = %t, want %t", c.f, got, c.want)
		}
	}
}
