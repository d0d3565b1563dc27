package door

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/verify"
)

// Config is what doors need. Only Verifier has no default.
type Config struct {
	Verifier *verify.Verifier
	// TrustedProxies are the peers whose word on the caller's address and the
	// request's id counts; nobody's unless set.
	TrustedProxies []netip.Prefix
	// AddressHeader is the one header in which those peers say the address:
	// X-Forwarded-For, unless it is Forwarded (RFC 7239).
	AddressHeader string
	Realm         string // of WWW-Authenticate: "postern" unless set
	// DocsURL is where "/scopes" and "/authentication" explain themselves;
	// https://postern.dev/docs unless set.
	DocsURL string
	// MaxURL is the longest request target, in bytes: 8 KiB unless set. Clients of
	// an upstream with HubSpot's dialect put hundreds of names in a query, and may
	// use MaxLongURL: 24 KiB unless set.
	MaxURL, MaxLongURL int
	// LegacyHeader is a header in which imported credentials are accepted besides
	// the bearer; none unless set.
	LegacyHeader string
	// LegacyQuery names the upstreams that accept imported credentials as "hapikey"
	// in the query, or "*" for all; none unless set.
	LegacyQuery []string
	// LegacyPage is where callers with an old credential read what to do; the
	// page on migration below DocsURL unless set.
	LegacyPage string
	// InAddress, where set, is told of credentials that came in a query. It must not block.
	InAddress func(postern.KeyID)
	Log       *slog.Logger
}

// Door reads requests and says decisions. Its methods may be called at the same time.
type Door struct {
	v         *verify.Verifier
	trusted   []netip.Prefix
	forwarded bool // the address is in Forwarded
	realm     string
	docs      string
	maxURL    int
	maxLong   int
	log       *slog.Logger

	legacyHeader string // canonical
	legacyQuery  []string
	legacyPage   string
	onInAddress  func(postern.KeyID)

	upstreams atomic.Pointer[map[postern.UpstreamID]*postern.Upstream]
	policies  policies
}

// New makes a Door.
func New(c Config) (*Door, error) {
	if c.Verifier == nil {
		return nil, errors.New("door: a verifier is needed")
	}
	d := &Door{v: c.Verifier, trusted: c.TrustedProxies, realm: c.Realm, docs: strings.TrimSuffix(c.DocsURL, "/"),
		maxURL: c.MaxURL, maxLong: c.MaxLongURL, log: c.Log,
		legacyHeader: http.CanonicalHeaderKey(c.LegacyHeader), legacyQuery: c.LegacyQuery, legacyPage: c.LegacyPage, onInAddress: c.InAddress}
	switch {
	case c.AddressHeader == "", strings.EqualFold(c.AddressHeader, "X-Forwarded-For"):
	case strings.EqualFold(c.AddressHeader, "Forwarded"):
		d.forwarded = true
	default:
		return nil, errors.New("door: the address header is neither X-Forwarded-For nor Forwarded")
	}
	if d.realm == "" {
		d.realm = "postern"
	}
	if strings.ContainsAny(d.realm, "\"\\\r\n") {
		return nil, errors.New("door: the realm has a character that can't stand in a header")
	}
	if d.docs == "" {
		d.docs = "https://postern.dev/docs"
	}
	if !validHeader(c.LegacyHeader) {
		return nil, errors.New("door: the header for legacy credentials has no name that a header of theirs can have")
	}
	if strings.ContainsAny(d.legacyPage, "<>\r\n ") {
		return nil, errors.New("door: the page for legacy credentials is no URL")
	}
	if d.legacyPage == "" {
		d.legacyPage = d.docs + "/migration"
	}
	if d.maxURL <= 0 {
		d.maxURL = 8 << 10
	}
	if d.maxLong <= 0 {
		d.maxLong = 24 << 10
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.Set(nil)
	return d, nil
}

// Verifier is the one that decides.
func (d *Door) Verifier() *verify.Verifier { return d.v }

// Set says what upstreams there are: how each wants its paths read and its
// refusals said. Where they are mounted the verifier knows.
func (d *Door) Set(upstreams []postern.Upstream) {
	m := make(map[postern.UpstreamID]*postern.Upstream, len(upstreams))
	for _, u := range upstreams {
		m[u.ID] = &u
	}
	d.upstreams.Store(&m)
}

// Upstream finds an upstream, or nil.
func (d *Door) Upstream(id postern.UpstreamID) *postern.Upstream { return (*d.upstreams.Load())[id] }

// trusts reports whether a peer's word counts.
func trusts(list []netip.Prefix, peer netip.Addr) bool {
	for _, p := range list {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

func pathOptions(u *postern.Upstream) catalog.PathOptions {
	if u == nil {
		return catalog.PathOptions{}
	}
	return catalog.PathOptions{AllowSemicolon: u.Options.AllowSemicolon, CollapseLeadingSlashes: u.Options.CollapseLeadingSlash}
}
