package doctor

import (
	"net/url"
	"time"

	"postern.dev/postern/internal/limit/ledger"
)

// limits looks at the Redis server in which nodes count the limits of keys.
func (d *doctor) limits() {
	const check = "limits"
	if d.Limits == "" {
		d.say(check, OK, "", "No Redis server is set: each node allows its share.")
		return
	}
	took, err := ledger.Look(d.ctx, d.Limits, d.LimitsWait)
	if err != nil {
		d.say(check, Problem, "Start it, or put right the setting limits.", "Redis is away: %v. Meanwhile %s.", err, map[string]string{
			"share": "each node allows its share", "allow": "nothing is limited by the second", "refuse": "calls of keys that have a limit are refused with 503"}[d.LimitsAway])
		return
	}
	u, err := url.Parse(d.Limits)
	if err == nil && u.Scheme == "redis" && !loopback(u.Hostname()+":0") && u.User != nil {
		d.say(check, Warning, "Let Redis speak TLS, and the setting begin with rediss://.", "Redis answers, and its password crosses the network in the clear.")
		return
	}
	if took > d.LimitsWait/2 {
		d.say(check, Warning, "Bring Redis nearer, or raise limits-timeout.", "Redis took %s to answer, and a call waits %s at most.", took.Round(10*time.Microsecond), d.LimitsWait)
		return
	}
	d.say(check, OK, "", "Redis answers within %s; a call waits %s at most.", took.Round(10*time.Microsecond), d.LimitsWait)
}
