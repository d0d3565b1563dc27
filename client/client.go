// Package client calls Postern's HTTP API.
//
//	c, err := client.New("http://127.0.0.1:8080", client.WithSecret(secret))
//	made, err := c.CreateServiceKey(ctx, api.NewServiceKey{Name: "nightly-deals-sync", Scopes: scopes})
//
// What it promises: a failure that the server tells of is an *Error with the
// server's code and sentence; the secret is sent to the base URL only, never
// after a redirect, and is in no error and no log; a request is sent again only
// where doing it twice is the same as once, and only when the server says to come
// back (429, 503).
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is the longest answer that is read.
const maxAnswer = 64 << 20

// Client calls one server. Its methods may be called from many goroutines.
type Client struct {
	base   *url.URL
	http   *http.Client
	secret func() string // in a function, so that printing a Client doesn't print it
	agent  string
	tries  int
	wait   time.Duration // the longest that a Retry-After is waited for
}

// Option sets something of a Client.
type Option func(*Client)

// WithSecret is the credential that is presented: a personal access key, or a service key's secret.
func WithSecret(secret string) Option {
	secret = strings.TrimSpace(secret)
	return func(c *Client) { c.secret = func() string { return secret } }
}

// WithHTTPClient uses another transport and timeout. Redirects are refused whatever it says.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { c.http = h }
}

// WithUserAgent says who calls; activity shows it.
func WithUserAgent(agent string) Option { return func(c *Client) { c.agent = agent } }

// WithRetries sets how often a request is sent at most (3 unless set), and the
// longest that a Retry-After is waited for (10 s unless set).
func WithRetries(tries int, wait time.Duration) Option {
	return func(c *Client) { c.tries, c.wait = max(1, tries), wait }
}

// New makes a client of the server at a base URL.
func New(baseURL string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The text isn't repeated: people paste secrets into the wrong place.
		return nil, errors.New("client: the server's address must be an http or https URL, such as https://postern.example.org, without user, query or fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	c := &Client{base: u, agent: "postern-go", tries: 3, wait: 10 * time.Second, secret: func() string { return "" }}
	for _, o := range opts {
		o(c)
	}
	if c.http == nil {
		c.http = &http.Client{Transport: transport()}
	}
	own := *c.http
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Jar = nil
	c.http = &own
	return c, nil
}

func transport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	t.MaxIdleConnsPerHost = 16
	t.ResponseHeaderTimeout = 2 * time.Minute // activity is waited for
	return t
}

// BaseURL is where the server is.
func (c *Client) BaseURL() string { return c.base.String() }

// request is one call before it is sent.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	in, out      any
	asks         bool                  // changes nothing, whatever its method
	stream       func(io.Reader) error // reads the body of an answer that has no end
}

// RequestOption sets something of one request.
type RequestOption func(*request)

// IdempotencyKey makes a request that creates or rotates safe to send again: the
// server does it once. Where the secret of a rotation was lost, the same request
// again voids it and shows a new one.
func IdempotencyKey(key string) RequestOption {
	return func(r *request) { r.header.Set("Idempotency-Key", key) }
}

// IfRevision makes a change fail with 412 where the thing was changed since this revision.
func IfRevision(n int64) RequestOption {
	return func(r *request) { r.header.Set("If-Match", `"`+strconv.FormatInt(n, 10)+`"`) }
}

// call sends a request and reads its answer into out.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any, opts ...RequestOption) error {
	r := &request{method: method, path: path, query: query, header: http.Header{}, in: in, out: out}
	for _, o := range opts {
		o(r)
	}
	var body []byte
	if raw, ok := in.(*lines); ok {
		body = raw.data
		r.header.Set("Content-Type", raw.kind)
		r.asks = true // the same lines again are imported once
	} else if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("client: %s %s: %w", method, path, err)
		}
	}
	for try := 1; ; try++ {
		after, err := c.send(ctx, r, body)
		if err == nil || after < 0 || try >= c.tries || !r.repeatable() || after > c.wait {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(after):
		}
	}
}

// repeatable reports whether doing it twice is the same as once.
func (r *request) repeatable() bool {
	return r.asks || r.method != http.MethodPost && r.method != http.MethodPatch || r.header.Get("Idempotency-Key") != ""
}

// send sends a request once. after is when the server wants it again; negative where it doesn't.
func (c *Client) send(ctx context.Context, r *request, body []byte) (after time.Duration, err error) {
	u := *c.base
	u.RawPath = c.base.EscapedPath() + r.path
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return -1, fmt.Errorf("client: %s %s: this is no path", r.method, r.path)
	}
	u.RawQuery = r.query.Encode()
	var rd io.Reader
	if r.in != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), rd)
	if err != nil {
		return -1, fmt.Errorf("client: %s %s: can't make the request", r.method, r.path)
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.agent)
	if r.in != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if s := c.secret(); s != "" {
		if !printable(s) {
			return -1, errors.New("client: the secret has characters that can't be in one; was something else pasted?")
		}
		req.Header.Set("Authorization", "Bearer "+s)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // its text holds the whole URL, and the query may be private
		}
		return -1, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
	}
	defer res.Body.Close()
	return c.read(r, res)
}

func (c *Client) read(r *request, res *http.Response) (after time.Duration, err error) {
	if r.stream != nil && res.StatusCode == http.StatusOK {
		return -1, r.stream(res.Body)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return -1, fmt.Errorf("client: %s %s: read the answer: %w", r.method, r.path, err)
	}
	if len(body) > maxAnswer {
		return -1, fmt.Errorf("client: %s %s: the answer has more than %d MB", r.method, r.path, maxAnswer>>20)
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return retryAfter(res), errorOf(r, res, kind, body)
	}
	if r.out == nil || res.StatusCode == http.StatusNoContent {
		return -1, nil
	}
	if kind != "application/json" {
		return -1, fmt.Errorf("client: %s %s: the answer is %q and no JSON; is this address a Postern server?", r.method, r.path, kind)
	}
	if err := json.Unmarshal(body, r.out); err != nil {
		return -1, fmt.Errorf("client: %s %s: the answer can't be read as JSON", r.method, r.path)
	}
	return -1, nil
}

// retryAfter is when the server wants the request again, or negative.
func retryAfter(res *http.Response) time.Duration {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return -1
	}
	text := res.Header.Get("Retry-After")
	if s, err := strconv.Atoi(text); err == nil && s >= 0 && s < 1<<31 {
		return max(time.Duration(s)*time.Second, 100*time.Millisecond)
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(time.Until(t), 100*time.Millisecond)
	}
	return -1
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
