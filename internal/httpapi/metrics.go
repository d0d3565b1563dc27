package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

// metrics are the figures of a server. Every label has a closed set of values:
// never a key, an account, or a text that someone sent.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(s *server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postern_http_requests_total",
			Help: "Requests to the management API and its pages."}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "postern_http_request_duration_seconds",
			Help: "How long requests to the management API and its pages took.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10)}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.duration, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &inner{s: s})
	return m
}

func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, methodOf(method), strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// inner gives the figures that the verifier and the activity log keep themselves.
type inner struct{ s *server }

func describe1(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("postern_"+name, help, labels, nil)
}

var (
	decisionsDesc  = describe1("decisions_total", "Decisions, by their reason.", "reason")
	keysDesc       = describe1("index_credentials", "Credentials in the index.")
	bytesDesc      = describe1("index_bytes", "Memory of the index.")
	aliveDesc      = describe1("lease_held", "Whether this node decides.")
	leaseDesc      = describe1("lease_left_seconds", "How long this node may still decide without the database.")
	lagDesc        = describe1("feed_lag_changes", "Changes that are known of and not yet in force here.")
	appliedDesc    = describe1("feed_applied", "The number of the change up to which all are in force here.")
	offsetDesc     = describe1("clock_offset_seconds", "By how much the database's clock is ahead of this machine's.")
	tamperedDesc   = describe1("tampered_credentials", "Credentials that are refused because their rows were altered outside of Postern.")
	alteredDesc    = describe1("altered_records_total", "How often a member, role, account or way in was read that had been altered outside of Postern, and was refused.")
	lostDesc       = describe1("lease_renewals_failed_total", "Renewals of the lease that failed.")
	receiptsDesc   = describe1("receipts_total", "Answers to where a change is in force, by what they said.", "kind")
	receiptDesc    = describe1("receipt_seconds", "From the commit of a change until it was in force on every node.")
	leadsDesc      = describe1("leads", "Whether this node does what is done once in a cluster.")
	limitsDesc     = describe1("limits_mode", "1 for how this node holds the limits of keys: together, or, while Redis is away, by share, allow or refuse. Only where Redis is set.", "mode")
	limitsSinceD   = describe1("limits_mode_since_timestamp_seconds", "Since when.")
	limitsAskDesc  = describe1("limits_questions_total", "Questions to Redis about limits, by what came of them.", "result")
	recordedDesc   = describe1("activity_recorded_total", "Calls that were taken into the activity buffer.")
	writtenDesc    = describe1("activity_written_total", "Calls that were written.")
	bufferedDesc   = describe1("activity_buffered", "Calls that wait to be written.")
	droppedDesc    = describe1("activity_dropped_total", "Calls that were not recorded for want of room, by their reason.", "reason")
	spoolDesc      = describe1("activity_spool_bytes", "Size of the calls that wait on disk for the database, and of what is not yet cleared away.")
	damagedDesc    = describe1("activity_spool_damaged_total", "Batches of calls on disk that can't be read.")
	lagTimeDesc    = describe1("activity_lag_seconds", "Age of the oldest call that waits to be written.")
	auditDesc      = describe1("audit_entries", "Entries of the audit log.")
	coveredDesc    = describe1("audit_covered_entries", "Entries of the audit log that signed checkpoints cover.")
	auditSoundDesc = describe1("audit_sound", "1, or 0 where the audit log is known to be broken.")
	checkedDesc    = describe1("audit_checked_timestamp_seconds", "When the whole audit log was checked last.")
	degradedDesc   = describe1("durability_degraded", "1 where an acknowledged change might be lost with a server; health says why.")
	journalDesc    = describe1("journal_failing", "1 where the journal of revocations is not written; not there where none is kept.")
	heldDesc       = describe1("journal_feed", "The number of the change up to which the journal of revocations holds all.")
	groupDesc      = describe1("store_group_size", "How many changes one commit made durable, on SQLite.")
	buildDesc      = describe1("build_info", "The version that runs.", "version")
)

// Describe lists the figures.
func (c *inner) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{decisionsDesc, keysDesc, bytesDesc, aliveDesc, leaseDesc, lagDesc, appliedDesc, offsetDesc,
		tamperedDesc, alteredDesc, lostDesc, receiptsDesc, receiptDesc, leadsDesc, limitsDesc, limitsSinceD, limitsAskDesc, recordedDesc, writtenDesc, bufferedDesc, droppedDesc, spoolDesc, damagedDesc, lagTimeDesc, auditDesc, coveredDesc, auditSoundDesc, checkedDesc, degradedDesc, journalDesc, heldDesc, groupDesc, buildDesc} {
		ch <- d
	}
}

// groupSizes is how many changes commits held.
func groupSizes(n store.GroupSizes) prometheus.Metric {
	upTo := map[float64]uint64{}
	for i, most := range store.GroupBounds {
		upTo[float64(most)] = n.UpTo[i]
	}
	return prometheus.MustNewConstHistogram(groupDesc, n.Commits, float64(n.Changes), upTo)
}

// Collect reads the figures.
func (c *inner) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	audit := c.s.cfg.Auditor.State()
	auditSound := 0.0
	if audit.Sound() {
		auditSound = 1
	}
	gauge(auditDesc, float64(audit.Entries))
	gauge(coveredDesc, float64(audit.Covered))
	gauge(auditSoundDesc, auditSound)
	if !audit.At.IsZero() {
		gauge(checkedDesc, float64(audit.At.UnixMilli())/1000)
	}
	v, a := c.s.verifier.Stats(), c.s.activity.Stats()
	for _, r := range postern.Reasons() {
		count(decisionsDesc, float64(v.Decisions[r]), r.String())
		count(droppedDesc, float64(a.Dropped[r]), r.String())
	}
	degraded := 0.0
	if c.s.cfg.DB.Durability().Level == store.DurabilityDegraded {
		degraded = 1
	}
	gauge(degradedDesc, degraded)
	if c.s.cfg.Journal != nil {
		held, failing := c.s.cfg.Journal()
		gauge(heldDesc, float64(held))
		gauge(journalDesc, map[bool]float64{true: 1}[failing])
	}
	if c.s.cfg.DB.Engine == store.SQLite {
		ch <- groupSizes(c.s.cfg.DB.GroupSizes())
	}
	alive := 0.0
	if v.Alive {
		alive = 1
	}
	gauge(keysDesc, float64(v.Keys))
	gauge(bytesDesc, float64(v.Bytes))
	gauge(aliveDesc, alive)
	gauge(leaseDesc, v.LeaseLeft.Seconds())
	gauge(lagDesc, float64(v.Lag))
	gauge(appliedDesc, float64(v.Applied))
	gauge(offsetDesc, v.Offset.Seconds())
	gauge(tamperedDesc, float64(v.Tampered))
	count(alteredDesc, float64(c.s.kr.AlteredRecords()))
	count(lostDesc, float64(v.RenewalsLost))
	c.receipts(ch, &v.Receipts)
	leads := 0.0
	if c.s.cfg.Leads == nil || c.s.cfg.Leads() {
		leads = 1
	}
	gauge(leadsDesc, leads)
	c.limits(ch, v.Limits)
	count(recordedDesc, float64(a.Recorded))
	count(writtenDesc, float64(a.Written))
	gauge(bufferedDesc, float64(a.Buffered))
	gauge(spoolDesc, float64(a.Spool.Bytes))
	count(damagedDesc, float64(a.Spool.DamagedFrames))
	gauge(lagTimeDesc, a.Lag.Seconds())
	gauge(buildDesc, 1, c.s.cfg.Version)
}

// limits are how the limits of keys are held, where that can change.
func (c *inner) limits(ch chan<- prometheus.Metric, s *limit.State) {
	if s == nil {
		return
	}
	for _, m := range append(limit.Modes(), limit.Together) {
		is := 0.0
		if m == s.Mode {
			is = 1
		}
		ch <- prometheus.MustNewConstMetric(limitsDesc, prometheus.GaugeValue, is, string(m))
	}
	ch <- prometheus.MustNewConstMetric(limitsSinceD, prometheus.GaugeValue, float64(s.Since.UnixMilli())/1000)
	ch <- prometheus.MustNewConstMetric(limitsAskDesc, prometheus.CounterValue, float64(s.Asked-s.Failed), "answered")
	ch <- prometheus.MustNewConstMetric(limitsAskDesc, prometheus.CounterValue, float64(s.Failed), "failed")
}

// receipts are the answers to where a change is in force, and how long it took.
func (c *inner) receipts(ch chan<- prometheus.Metric, r *verify.Receipts) {
	for kind, n := range map[string]int64{"everywhere": r.Everywhere, "effective_by": r.Awaiting, "unknown": r.Unknown} {
		ch <- prometheus.MustNewConstMetric(receiptsDesc, prometheus.CounterValue, float64(n), kind)
	}
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, bound := range verify.ReceiptBounds {
		sum += uint64(r.Took[i])
		buckets[bound.Seconds()] = sum
	}
	ch <- prometheus.MustNewConstHistogram(receiptDesc, uint64(r.Everywhere), r.TookSum.Seconds(), buckets)
}
